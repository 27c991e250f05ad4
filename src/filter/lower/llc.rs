//! `llc`: IEEE 802.2 headers and the types of their PDUs.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::LowerError;
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// A type of PDU: mask and value of the control byte. Information PDUs have the low bit clear.
#[rustfmt::skip]
const TYPES: [(&str, u32, u32); 13] = [
    ("s", 0x03, 0x01), ("u", 0x03, 0x03),
    ("rr", 0x0f, 0x01), ("rnr", 0x0f, 0x05), ("rej", 0x0f, 0x09),
    ("ui", 0xef, 0x03), ("ua", 0xef, 0x63), ("disc", 0xef, 0x43), ("dm", 0xef, 0x0f),
    ("sabme", 0xef, 0x6f), ("test", 0xef, 0xe3), ("xid", 0xef, 0xaf), ("frmr", 0xef, 0x87),
];

impl Lowerer<'_> {
    /// `llc type`.
    pub(super) fn llc(&mut self, name: &str) -> Lowered {
        let known = TYPES.into_iter().find(|(known, ..)| name.eq_ignore_ascii_case(known));
        let information = name.eq_ignore_ascii_case("i");
        if known.is_none() && !information {
            return Err(LowerError::LlcType(name.to_owned()));
        }
        let header = self.has_llc()?;
        let ty = match known {
            Some((_, mask, value)) => self.eq_masked(Base::Llc, 2, Size::B, mask, value)?,
            None => self.cmp(Base::Llc, 2, Size::B, Cmp::Clear, 0x01)?,
        };
        Ok(self.and(header, ty))
    }

    /// `llc`.
    pub(super) fn has_llc(&mut self) -> Lowered {
        match self.layout.dlt {
            _ if self.layout.is_ethernet_like() => {
                let is_llc = self.ether_is_llc()?;
                // Not raw NetWare.
                let is_sap = self.cmp(Base::Llc, 0, Size::H, Cmp::Ne, 0xffff)?;
                Ok(self.and(is_llc, is_sap))
            }
            _ if self.layout.is_80211() => self.wlan_is_data(),
            Dlt::SUNATM => self.sunatm_llc(),
            Dlt::IEEE802 | Dlt::FDDI | Dlt::ATM_RFC1483 => Ok(self.constant(true)),
            dlt => Err(LowerError::NotSupportedOn { what: "llc", dlt }),
        }
    }
}
