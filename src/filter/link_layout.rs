//! Where the headers of a packet lie, as far as the filter text up to here has determined it.
//!
//! A [`LinkLayout`] starts from the link-layer type and is replaced whenever a primitive such as
//! `vlan`, `mpls`, `pppoes`, `geneve` or `vxlan` moves the headers; the new value is in force for
//! the rest of the text, as in libpcap, whatever the parentheses.

use crate::linktype::Dlt;

/// Constant part of an offset the link-layer type does not have. Offsets are added modulo 2^32,
/// so that a field of such a header lies where libpcap would look for it.
pub const UNSET: u32 = u32::MAX;

/// An offset from the start of the packet: a constant, plus the content of a scratch register
/// where a header before it has a variable length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Bytes.
    pub constant: u32,
    /// A register must be added.
    pub variable: bool,
    /// The register, once something needed it.
    pub reg: Option<u8>,
}

impl Offset {
    /// A fixed offset.
    pub const fn fixed(constant: u32) -> Self {
        Self { constant, variable: false, reg: None }
    }

    /// An offset that is known at run time only.
    pub const fn variable() -> Self {
        Self { constant: 0, variable: true, reg: None }
    }

    /// An offset kept in a register.
    pub const fn in_register(reg: u8) -> Self {
        Self { constant: 0, variable: true, reg: Some(reg) }
    }

    /// Whether the link-layer type has this header at all.
    pub const fn is_set(self) -> bool {
        self.constant != UNSET
    }

    /// The same, some bytes on.
    pub const fn plus(self, bytes: u32) -> Self {
        Self { constant: self.constant.wrapping_add(bytes), ..self }
    }
}

/// Which tunnel the current headers lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// Not in one, or in one that always carries a link-layer header.
    None,
    /// Geneve or VXLAN: the type field is there even if the link-layer header is not.
    Encap,
}

/// Where the headers lie. Names follow libpcap's manual; "payload" is what follows the link-layer
/// header (the LLC header on IEEE 802 networks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLayout {
    /// Link-layer type in force (`PPP` after `pppoes`, `EN10MB` after `geneve` …).
    pub dlt: Dlt,
    /// Link-layer type of the capture.
    pub outermost_dlt: Dlt,
    /// Link-layer type before the last one was entered.
    pub prev_dlt: Option<Dlt>,
    /// Link-layer header before the last one was entered.
    pub prev_link_header: Offset,
    /// Link-layer header.
    pub link_header: Offset,
    /// Type field (ethertype or the like).
    pub link_type: Offset,
    /// Link-layer payload.
    pub payload: Offset,
    /// Network layer, from the payload, where LLC is followed by SNAP.
    pub network: u32,
    /// Network layer, from the payload, where LLC is not followed by SNAP.
    pub network_no_snap: u32,
    /// MPLS labels gone by.
    pub mpls_depth: u32,
    /// VLAN tags gone by.
    pub vlan_depth: u32,
    /// Tunnel entered last.
    pub tunnel: Tunnel,
    /// The fields of an ATM pseudo-header lie before the link-layer header.
    pub atm: bool,
    /// Times the layout was replaced; two equal epochs of one compilation have equal offsets.
    pub epoch: u32,
}

/// Link-layer header length is read from the packet; the type field needs LLC.
const fn is_80211(dlt: Dlt) -> bool {
    matches!(
        dlt,
        Dlt::IEEE802_11
            | Dlt::PRISM_HEADER
            | Dlt::IEEE802_11_RADIO_AVS
            | Dlt::IEEE802_11_RADIO
            | Dlt::PPI
    )
}

/// Type field, payload, network layer with and without SNAP.
type Quad = (u32, u32, u32, u32);

/// Offsets of the link-layer types whose header has a fixed length.
#[rustfmt::skip]
const fn fixed_offsets(dlt: Dlt) -> Quad {
    const NO: u32 = UNSET;
    match dlt {
        Dlt::ARCNET => (2, 6, 0, 0),
        Dlt::ARCNET_LINUX => (4, 8, 0, 0),
        Dlt::EN10MB => (12, 14, 0, 3),
        Dlt::DSA_TAG_BRCM | Dlt::DSA_TAG_DSA => (16, 18, 0, 3),
        Dlt::NETANALYZER => (16, 18, 0, 3),
        Dlt::NETANALYZER_TRANSPARENT => (24, 26, 0, 3),
        Dlt::SLIP => (NO, 16, 0, 0),
        Dlt::SLIP_BSDOS => (NO, 24, 0, 0),
        Dlt::NULL | Dlt::LOOP => (0, 4, 0, 0),
        Dlt::ENC => (0, 12, 0, 0),
        Dlt::PPP | Dlt::PPP_PPPD | Dlt::C_HDLC | Dlt::HDLC | Dlt::PPP_SERIAL => (2, 4, 0, 0),
        Dlt::PPP_ETHER => (6, 8, 0, 0),
        Dlt::PPP_BSDOS => (5, 24, 0, 0),
        Dlt::FDDI => (13, 13, 8, 3),
        Dlt::IEEE802 => (14, 14, 8, 3),
        Dlt::ATM_RFC1483 | Dlt::ATM_CLIP => (0, 0, 8, 3),
        Dlt::SUNATM => (4, 4, 8, 3),
        Dlt::RAW | Dlt::IPV4 | Dlt::IPV6 | Dlt::LTALK | Dlt::FRELAY => (NO, 0, 0, 0),
        Dlt::LINUX_SLL => (14, 16, 0, 0),
        Dlt::LINUX_SLL2 => (0, 20, 0, 0),
        Dlt::IP_OVER_FC => (16, 16, 8, 3),
        Dlt::APPLE_IP_OVER_IEEE1394 => (16, 18, 0, 0),
        Dlt::SYMANTEC_FIREWALL => (6, 44, 0, 0),
        Dlt::JUNIPER_MFR | Dlt::JUNIPER_MLFR | Dlt::JUNIPER_MLPPP | Dlt::JUNIPER_PPP
        | Dlt::JUNIPER_CHDLC | Dlt::JUNIPER_FRELAY => (4, 4, 0, NO),
        Dlt::JUNIPER_PPPOE_ATM => (4, 6, 0, NO),
        Dlt::JUNIPER_ATM1 => (4, 4, 0, 10),
        Dlt::JUNIPER_ATM2 => (8, 8, 0, 10),
        Dlt::JUNIPER_PPPOE | Dlt::JUNIPER_ETHER => (16, 14, 18, 21),
        Dlt::JUNIPER_GGSN | Dlt::JUNIPER_MONITOR => (6, 12, 0, NO),
        Dlt::JUNIPER_ES => (6, NO, NO, NO),
        Dlt::JUNIPER_SERVICES => (12, NO, NO, NO),
        Dlt::JUNIPER_VP | Dlt::JUNIPER_ST => (18, NO, NO, NO),
        Dlt::JUNIPER_ISM | Dlt::JUNIPER_VS | Dlt::JUNIPER_SRX_E2E | Dlt::JUNIPER_FIBRECHANNEL
        | Dlt::JUNIPER_ATM_CEMIC => (8, NO, NO, NO),
        Dlt::PFSYNC => (NO, 4, 0, 0),
        Dlt::IPNET => (1, 24, 0, NO),
        _ => (NO, NO, NO, NO),
    }
}

impl LinkLayout {
    /// The layout of a link-layer type before any primitive moved it.
    pub fn new(dlt: Dlt) -> Self {
        let (link_type, payload, network, network_no_snap) = fixed_offsets(dlt);
        let link_header = match dlt {
            Dlt::NETANALYZER => Offset::fixed(4),
            Dlt::NETANALYZER_TRANSPARENT => Offset::fixed(12),
            _ if is_80211(dlt) && dlt != Dlt::IEEE802_11 => Offset::variable(),
            _ => Offset::fixed(0),
        };
        let mut layout = Self {
            dlt,
            outermost_dlt: dlt,
            prev_dlt: None,
            prev_link_header: Offset::fixed(UNSET),
            link_header,
            link_type: Offset::fixed(link_type),
            payload: Offset::fixed(payload),
            network,
            network_no_snap,
            mpls_depth: 0,
            vlan_depth: 0,
            tunnel: Tunnel::None,
            atm: dlt == Dlt::SUNATM,
            epoch: 0,
        };
        if is_80211(dlt) {
            layout.link_type = Offset::variable();
            layout.payload = Offset::variable();
            (layout.network, layout.network_no_snap) = (8, 3);
        }
        if dlt == Dlt::PFLOG {
            layout.link_type = Offset::fixed(0);
            layout.payload = Offset::variable();
            (layout.network, layout.network_no_snap) = (0, 0);
        }
        layout
    }

    /// Whether the link layer in force is 802.11 in one of its forms.
    pub fn is_80211(&self) -> bool {
        is_80211(self.dlt)
    }

    /// Whether the capture has radio information in front of 802.11 headers.
    pub fn has_radio(&self) -> bool {
        self.is_80211() && !matches!(self.dlt, Dlt::IEEE802_11 | Dlt::PPI)
    }

    /// Whether the link layer in force has Ethernet's header.
    pub fn is_ethernet_like(&self) -> bool {
        matches!(
            self.dlt,
            Dlt::EN10MB
                | Dlt::NETANALYZER
                | Dlt::NETANALYZER_TRANSPARENT
                | Dlt::DSA_TAG_BRCM
                | Dlt::DSA_TAG_DSA
        )
    }

    /// Whether the capture's link layer is one of Juniper's.
    pub fn is_juniper(&self) -> bool {
        is_juniper(self.dlt)
    }

    /// Enters a link-layer header inside the current one.
    #[must_use]
    pub fn enter(self, dlt: Dlt, link_header: Offset) -> Self {
        Self {
            prev_dlt: Some(self.dlt),
            prev_link_header: self.link_header,
            dlt,
            link_header,
            tunnel: Tunnel::None,
            epoch: self.epoch + 1,
            ..self
        }
    }
}

/// Link-layer types that begin with Juniper's magic number.
const fn is_juniper(dlt: Dlt) -> bool {
    matches!(
        dlt,
        Dlt::JUNIPER_MFR
            | Dlt::JUNIPER_MLFR
            | Dlt::JUNIPER_MLPPP
            | Dlt::JUNIPER_PPP
            | Dlt::JUNIPER_CHDLC
            | Dlt::JUNIPER_FRELAY
            | Dlt::JUNIPER_PPPOE_ATM
            | Dlt::JUNIPER_ATM1
            | Dlt::JUNIPER_ATM2
            | Dlt::JUNIPER_PPPOE
            | Dlt::JUNIPER_ETHER
            | Dlt::JUNIPER_GGSN
            | Dlt::JUNIPER_MONITOR
            | Dlt::JUNIPER_ES
            | Dlt::JUNIPER_SERVICES
            | Dlt::JUNIPER_VP
            | Dlt::JUNIPER_ST
            | Dlt::JUNIPER_ISM
            | Dlt::JUNIPER_VS
            | Dlt::JUNIPER_SRX_E2E
            | Dlt::JUNIPER_FIBRECHANNEL
            | Dlt::JUNIPER_ATM_CEMIC
    )
}
