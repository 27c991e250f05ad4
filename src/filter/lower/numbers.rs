//! Protocol numbers.

/// Ethernet types.
pub(super) mod ethertype {
    pub(in super::super) const NS: u32 = 0x0600;
    pub(in super::super) const IP: u32 = 0x0800;
    pub(in super::super) const ARP: u32 = 0x0806;
    pub(in super::super) const MOPDL: u32 = 0x6001;
    pub(in super::super) const MOPRC: u32 = 0x6002;
    pub(in super::super) const DN: u32 = 0x6003;
    pub(in super::super) const LAT: u32 = 0x6004;
    pub(in super::super) const SCA: u32 = 0x6007;
    pub(in super::super) const TEB: u32 = 0x6558;
    pub(in super::super) const REVARP: u32 = 0x8035;
    pub(in super::super) const ATALK: u32 = 0x809b;
    pub(in super::super) const AARP: u32 = 0x80f3;
    pub(in super::super) const VLAN: u32 = 0x8100;
    pub(in super::super) const IPX: u32 = 0x8137;
    pub(in super::super) const IPV6: u32 = 0x86dd;
    pub(in super::super) const MPLS: u32 = 0x8847;
    pub(in super::super) const PPPOED: u32 = 0x8863;
    pub(in super::super) const PPPOES: u32 = 0x8864;
    pub(in super::super) const QINQ: u32 = 0x88a8;
    pub(in super::super) const QINQ_OLD: u32 = 0x9100;
}

/// LLC service access points.
pub(super) mod llc {
    pub(in super::super) const IP: u32 = 0x06;
    pub(in super::super) const STP: u32 = 0x42;
    pub(in super::super) const IPX: u32 = 0xe0;
    pub(in super::super) const NETBEUI: u32 = 0xf0;
    pub(in super::super) const ISONS: u32 = 0xfe;
}

/// PPP protocols.
pub(super) mod ppp {
    pub(in super::super) const IP: u32 = 0x0021;
    pub(in super::super) const OSI: u32 = 0x0023;
    pub(in super::super) const NS: u32 = 0x0025;
    pub(in super::super) const DECNET: u32 = 0x0027;
    pub(in super::super) const APPLE: u32 = 0x0029;
    pub(in super::super) const IPX: u32 = 0x002b;
    pub(in super::super) const VJC: u32 = 0x002d;
    pub(in super::super) const VJNC: u32 = 0x002f;
    pub(in super::super) const BRPDU: u32 = 0x0031;
    pub(in super::super) const IPV6: u32 = 0x0057;
    pub(in super::super) const MPLS: u32 = 0x0281;
}

/// IP protocols.
pub(super) mod ipproto {
    pub(in super::super) const HOPOPTS: u32 = 0;
    pub(in super::super) const ICMP: u32 = 1;
    pub(in super::super) const IGMP: u32 = 2;
    pub(in super::super) const TCP: u32 = 6;
    pub(in super::super) const IGRP: u32 = 9;
    pub(in super::super) const UDP: u32 = 17;
    pub(in super::super) const ROUTING: u32 = 43;
    pub(in super::super) const FRAGMENT: u32 = 44;
    pub(in super::super) const ESP: u32 = 50;
    pub(in super::super) const AH: u32 = 51;
    pub(in super::super) const ICMPV6: u32 = 58;
    pub(in super::super) const NONE: u32 = 59;
    pub(in super::super) const DSTOPTS: u32 = 60;
    pub(in super::super) const PIM: u32 = 103;
    /// CARP has the same number.
    pub(in super::super) const VRRP: u32 = 112;
    pub(in super::super) const SCTP: u32 = 132;
}
