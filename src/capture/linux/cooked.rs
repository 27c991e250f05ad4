//! Linux cooked headers, made from the address that comes with a packet.

use super::kernel_filter::Cooked;
use crate::linktype::Dlt;

/// Bytes of a v1 header.
pub(super) const V1_LEN: usize = 16;
/// Bytes of a v2 header.
pub(super) const V2_LEN: usize = 20;

/// Length of the header users see; 0 for none.
pub(super) fn header_len(cooked: Cooked) -> usize {
    match cooked {
        Cooked::No => 0,
        Cooked::V1 => V1_LEN,
        Cooked::V2 => V2_LEN,
    }
}

/// The header form of a cooked socket whose packets have this type. IrDA, LAPD and netlink have
/// link types of their own, with headers laid out as v1.
pub(super) fn form(linktype: Dlt) -> Cooked {
    if linktype == Dlt::LINUX_SLL2 { Cooked::V2 } else { Cooked::V1 }
}

/// A v1 header (`DLT_LINUX_SLL`).
pub(super) fn v1(from: &libc::sockaddr_ll) -> [u8; V1_LEN] {
    let mut header = [0; V1_LEN];
    header[0..2].copy_from_slice(&u16::from(from.sll_pkttype).to_be_bytes());
    header[2..4].copy_from_slice(&from.sll_hatype.to_be_bytes());
    header[4..6].copy_from_slice(&u16::from(from.sll_halen).to_be_bytes());
    header[6..14].copy_from_slice(&from.sll_addr);
    // In network byte order already.
    header[14..16].copy_from_slice(&from.sll_protocol.to_ne_bytes());
    header
}

/// A v2 header (`DLT_LINUX_SLL2`).
pub(super) fn v2(from: &libc::sockaddr_ll) -> [u8; V2_LEN] {
    let mut header = [0; V2_LEN];
    header[0..2].copy_from_slice(&from.sll_protocol.to_ne_bytes());
    header[4..8].copy_from_slice(&from.sll_ifindex.to_be_bytes());
    header[8..10].copy_from_slice(&from.sll_hatype.to_be_bytes());
    header[10] = from.sll_pkttype;
    header[11] = from.sll_halen;
    header[12..20].copy_from_slice(&from.sll_addr);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> libc::sockaddr_ll {
        libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0x0800u16.to_be(),
            sll_ifindex: 258,
            sll_hatype: 772,
            sll_pkttype: 4,
            sll_halen: 6,
            sll_addr: [1, 2, 3, 4, 5, 6, 0, 0],
        }
    }

    #[test]
    fn v1_layout() {
        assert_eq!(v1(&from()), [0, 4, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]);
    }

    #[test]
    fn v2_layout() {
        let expected = [8, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        assert_eq!(v2(&from()), expected);
    }
}
