//! VLAN tags: taken off by kernel or adapter, put back where they were.

use crate::linktype::Dlt;

/// Bytes of a tag.
pub(super) const TAG_LEN: u32 = 4;

/// An 802.1Q or 802.1ad tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// Protocol identifier, for example 0x8100.
    pub tpid: u16,
    /// Priority, drop eligibility, VLAN identifier.
    pub tci: u16,
}

impl Tag {
    /// The tag that status bits, `tp_vlan_tci` and `tp_vlan_tpid` of a packet tell of.
    #[inline]
    pub fn from_kernel(status: u32, tci: u16, tpid: u16) -> Option<Self> {
        // Kernels before 3.0 have no status bit: there tag 0 looks like none.
        if status & libc::TP_STATUS_VLAN_VALID == 0 && tci == 0 {
            return None;
        }
        let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        Some(Self { tpid: if known { tpid } else { libc::ETH_P_8021Q as u16 }, tci })
    }

    /// The bytes on the wire.
    pub fn bytes(self) -> [u8; TAG_LEN as usize] {
        let ([a, b], [c, d]) = (self.tpid.to_be_bytes(), self.tci.to_be_bytes());
        [a, b, c, d]
    }
}

/// Where in a packet of this type a tag belongs; `None` where it cannot be put back.
pub(super) fn tag_offset(linktype: Dlt) -> Option<u32> {
    match linktype {
        Dlt::EN10MB | DOCSIS => Some(12),
        Dlt::LINUX_SLL => Some(14),
        _ => None,
    }
}

/// `DLT_DOCSIS`: Ethernet cards can be told to deliver DOCSIS frames.
pub(super) const DOCSIS: Dlt = Dlt(143);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity() {
        let valid = libc::TP_STATUS_VLAN_VALID;
        let tpid = libc::TP_STATUS_VLAN_TPID_VALID;
        assert_eq!(Tag::from_kernel(0, 0, 0), None);
        assert_eq!(Tag::from_kernel(valid, 0, 0), Some(Tag { tpid: 0x8100, tci: 0 }));
        assert_eq!(Tag::from_kernel(0, 5, 0), Some(Tag { tpid: 0x8100, tci: 5 }));
        let service = Tag::from_kernel(valid | tpid, 0x2005, 0x88a8).unwrap();
        assert_eq!(service.bytes(), [0x88, 0xa8, 0x20, 0x05]);
    }
}
