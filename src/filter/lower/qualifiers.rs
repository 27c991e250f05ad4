//! Qualifiers by name, for errors.

use super::error::LowerError;
use crate::filter::ast::{AddrKind, Dir, Proto};

/// A protocol as the filter language spells it.
pub(super) const fn protocol(proto: Proto) -> &'static str {
    match proto {
        Proto::Link => "link",
        Proto::Ip => "ip",
        Proto::Arp => "arp",
        Proto::Rarp => "rarp",
        Proto::Sctp => "sctp",
        Proto::Tcp => "tcp",
        Proto::Udp => "udp",
        Proto::Icmp => "icmp",
        Proto::Igmp => "igmp",
        Proto::Igrp => "igrp",
        Proto::Atalk => "atalk",
        Proto::Decnet => "decnet",
        Proto::Lat => "lat",
        Proto::Sca => "sca",
        Proto::Moprc => "moprc",
        Proto::Mopdl => "mopdl",
        Proto::Ipv6 => "ip6",
        Proto::Icmpv6 => "icmp6",
        Proto::Ah => "ah",
        Proto::Esp => "esp",
        Proto::Pim => "pim",
        Proto::Vrrp => "vrrp",
        Proto::Aarp => "aarp",
        Proto::Iso => "iso",
        Proto::Esis => "esis",
        Proto::Isis => "isis",
        Proto::Clnp => "clnp",
        Proto::Stp => "stp",
        Proto::Ipx => "ipx",
        Proto::Netbeui => "netbeui",
        Proto::IsisL1 => "l1",
        Proto::IsisL2 => "l2",
        Proto::IsisIih => "iih",
        Proto::IsisSnp => "snp",
        Proto::IsisCsnp => "csnp",
        Proto::IsisPsnp => "psnp",
        Proto::IsisLsp => "lsp",
        Proto::Radio => "radio",
        Proto::Carp => "carp",
    }
}

/// A direction as the filter language spells it.
pub(super) const fn direction(dir: Dir) -> &'static str {
    match dir {
        Dir::Src => "src",
        Dir::Dst => "dst",
        Dir::SrcOrDst => "src or dst",
        Dir::SrcAndDst => "src and dst",
        Dir::Addr1 => "addr1",
        Dir::Addr2 => "addr2",
        Dir::Addr3 => "addr3",
        Dir::Addr4 => "addr4",
        Dir::Ra => "ra",
        Dir::Ta => "ta",
    }
}

/// A kind of identifier as the filter language spells it; hosts where there is none.
pub(super) const fn kind(kind: Option<AddrKind>) -> &'static str {
    match kind {
        None | Some(AddrKind::Host) => "host",
        Some(AddrKind::Net) => "net",
        Some(AddrKind::Port) => "port",
        Some(AddrKind::PortRange) => "portrange",
        Some(AddrKind::Gateway) => "gateway",
        Some(AddrKind::Proto) => "proto",
        Some(AddrKind::ProtoChain) => "protochain",
    }
}

/// The error for a protocol that does not go with an identifier.
pub(super) fn not_a_qualifier(proto: Proto, of: impl Into<String>) -> LowerError {
    LowerError::NotAQualifier { qual: protocol(proto).to_owned(), of: of.into() }
}
