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

// Both are made in registers: a header put together in memory and then copied to the packet would
// wait for its parts to arrive there, and these for what was stored to packets before.

/// A v1 header (`DLT_LINUX_SLL`).
#[inline(always)]
pub(super) fn v1(from: &libc::sockaddr_ll) -> [u8; V1_LEN] {
    let header = u128::from(from.sll_pkttype) << 112
        | u128::from(from.sll_hatype) << 96
        | u128::from(from.sll_halen) << 80
        | u128::from(u64::from_be_bytes(from.sll_addr)) << 16
        | u128::from(u16::from_be(from.sll_protocol));
    header.to_be_bytes()
}

/// A v2 header (`DLT_LINUX_SLL2`): protocol and interface; types and length of the address; address.
#[inline(always)]
pub(super) fn v2(from: &libc::sockaddr_ll) -> ([u8; 8], [u8; 4], [u8; 8]) {
    let place =
        u64::from(u16::from_be(from.sll_protocol)) << 48 | u64::from(from.sll_ifindex as u32);
    let kind = u32::from(from.sll_hatype) << 16
        | u32::from(from.sll_pkttype) << 8
        | u32::from(from.sll_halen);
    (place.to_be_bytes(), kind.to_be_bytes(), from.sll_addr)
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
        let (place, kind, address) = v2(&from());
        assert_eq!([&place[..], &kind, &address].concat(), expected);
    }
}
