//! From the kernel's hardware type to the link-layer type of the packets.

use super::vlan::DOCSIS;
use crate::linktype::Dlt;

/// How an interface is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkKind {
    /// Types to choose from, the default first.
    pub linktypes: Vec<Dlt>,
    /// Without link-layer headers from the kernel, with cooked ones from us.
    pub cooked: bool,
    /// The hardware type is not known: cooked for want of something better.
    pub unknown: bool,
}

impl LinkKind {
    fn raw(linktypes: &[Dlt]) -> Self {
        Self { linktypes: linktypes.to_vec(), cooked: false, unknown: false }
    }

    fn cooked(linktype: Dlt) -> Self {
        Self { linktypes: vec![linktype], cooked: true, unknown: false }
    }

    /// All interfaces at once.
    pub fn any() -> Self {
        let linktypes = vec![Dlt::LINUX_SLL, Dlt::LINUX_SLL2];
        Self { linktypes, cooked: true, unknown: false }
    }
}

/// What an interface is captured as.
///
/// `hatype`: `ARPHRD_*` of linux/if_arp.h; the numbers are those of Linux.
pub(super) fn link_kind(device: &[u8], hatype: u16) -> LinkKind {
    if hatype == 1 {
        return ethernet(device);
    }
    if let Some(linktype) = cooked_type(hatype) {
        return LinkKind::cooked(linktype);
    }
    match hatype {
        // Fibre Channel: point to point, arbitrated loop, public loop, fabric.
        784..=787 => LinkKind::raw(&[Dlt(224), Dlt(225), Dlt(122)]),
        _ => match raw_type(hatype) {
            Some(linktype) => LinkKind::raw(&[linktype]),
            None => LinkKind { unknown: true, ..LinkKind::cooked(Dlt::LINUX_SLL) },
        },
    }
}

fn ethernet(device: &[u8]) -> LinkKind {
    // ISDN devices call themselves Ethernet whatever they carry.
    if device.starts_with(b"isdn") || device.starts_with(b"isdY") {
        return LinkKind::cooked(Dlt::LINUX_SLL);
    }
    LinkKind::raw(&[Dlt::EN10MB, DOCSIS])
}

/// Hardware types whose link-layer header is not there, not always the same, or says less than
/// what the kernel knows.
fn cooked_type(hatype: u16) -> Option<Dlt> {
    Some(match hatype {
        19 | 512 => Dlt::LINUX_SLL, // ATM, PPP
        783 => Dlt(144),            // IrDA: DLT_LINUX_IRDA
        824 => Dlt(253),            // netlink: DLT_NETLINK
        8445 => Dlt(177),           // LAPD: DLT_LINUX_LAPD
        _ => return None,
    })
}

/// Hardware types whose packets carry a link-layer header that has a DLT, or none at all.
fn raw_type(hatype: u16) -> Option<Dlt> {
    Some(match hatype {
        2 => Dlt(2),                 // experimental Ethernet: DLT_EN3MB
        3 => Dlt(202),               // AX.25: DLT_AX25_KISS
        4 => Dlt(4),                 // DLT_PRONET
        5 => Dlt(5),                 // DLT_CHAOS
        6 | 800 => Dlt(6),           // Token Ring: DLT_IEEE802
        7 => Dlt(129),               // DLT_ARCNET_LINUX
        15 => Dlt(107),              // Frame Relay DLCI: DLT_FRELAY
        18 => Dlt(122),              // DLT_IP_OVER_FC
        23 | 772 => Dlt::EN10MB,     // Metricom, loopback
        256..=259 | 264 => Dlt::RAW, // SLIP and its kin
        280 => Dlt(227),             // DLT_CAN_SOCKETCAN
        513 => Dlt(104),             // DLT_C_HDLC
        518 | 519 => Dlt::RAW,       // raw HDLC, raw IP
        768 | 769 | 776 => Dlt::RAW, // IP in IP, IP6 tunnels, SIT
        773 => Dlt(114),             // DLT_LTALK
        774 => Dlt(10),              // DLT_FDDI
        801 => Dlt(105),             // DLT_IEEE802_11
        802 => Dlt(119),             // DLT_PRISM_HEADER
        803 => Dlt(127),             // DLT_IEEE802_11_RADIO
        804 => Dlt(230),             // DLT_IEEE802_15_4_NOFCS
        826 => Dlt(271),             // DLT_VSOCK
        0xfffe => Dlt::RAW,          // no header at all
        _ => return None,
    })
}

/// Link type of a DSA switch port by the tag its frames carry, from sysfs `dsa/tagging`.
///
/// # Errors
/// Tags that no DLT stands for.
pub(super) fn dsa_linktype(tagging: &str) -> Result<Dlt, ()> {
    match tagging {
        "none" => Ok(Dlt::EN10MB),
        "brcm" => Ok(Dlt(281)),
        "brcm-prepend" => Ok(Dlt(282)),
        "dsa" => Ok(Dlt(283)),
        "edsa" => Ok(Dlt(284)),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(link_kind(b"eth0", 1).linktypes, [Dlt::EN10MB, DOCSIS]);
        assert_eq!(link_kind(b"lo", 772).linktypes, [Dlt::EN10MB]);
        assert!(link_kind(b"isdn0", 1).cooked);
        let ppp = link_kind(b"ppp0", 512);
        assert_eq!((ppp.cooked, ppp.unknown), (true, false));
        assert_eq!(link_kind(b"tun0", 0xfffe), LinkKind::raw(&[Dlt::RAW]));
        assert!(link_kind(b"strange0", 9999).unknown);
        assert_eq!(link_kind(b"fc0", 785).linktypes.len(), 3);
    }
}
