//! IEEE 802.11: frame types, directions, and up to four addresses.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::LowerError;
use crate::filter::ast::Dir;
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// Bits of the first byte of the frame control field.
const TYPE_MASK: u32 = 0x0c;
const SUBTYPE_MASK: u32 = 0xf0;
/// Set in control frames (and extension frames).
const CONTROL_BIT: u32 = 0x04;
/// Set in data frames (and extension frames).
const DATA_BIT: u32 = 0x08;
const TYPE_CONTROL: u32 = 0x04;
const TYPE_DATA: u32 = 0x08;
const SUBTYPE_CTS: u32 = 0xc0;
const SUBTYPE_ACK: u32 = 0xd0;
/// Bits of the second byte.
const TO_DS: u32 = 0x01;
const FROM_DS: u32 = 0x02;
const DIR_MASK: u32 = 0x03;
/// Offsets of the addresses.
const ADDR: [u32; 4] = [4, 10, 16, 24];

impl Lowerer<'_> {
    /// A data frame: the only kind with an LLC header.
    pub(super) fn wlan_is_data(&mut self) -> Lowered {
        self.eq_masked(Base::Link, 0, Size::B, TYPE_MASK, TYPE_DATA)
    }

    fn bit(&mut self, offset: u32, bit: u32, set: bool) -> Lowered {
        let cmp = if set { Cmp::Set } else { Cmp::Clear };
        self.cmp(Base::Link, offset, Size::B, cmp, bit)
    }

    /// Packets with an address in a role.
    pub(super) fn wlan_host(&mut self, mac: [u8; 6], dir: Option<Dir>) -> Lowered {
        match dir {
            Some(Dir::Src) => self.wlan_source(mac),
            Some(Dir::Dst) => self.wlan_destination(|this, at| this.address(at, mac)),
            None | Some(Dir::SrcOrDst | Dir::SrcAndDst) => {
                let src = self.wlan_source(mac)?;
                let dst = self.wlan_destination(|this, at| this.address(at, mac))?;
                let both = dir == Some(Dir::SrcAndDst);
                Ok(if both { self.and(src, dst) } else { self.or(src, dst) })
            }
            Some(Dir::Addr1) => self.address(ADDR[0], mac),
            Some(Dir::Addr2) => {
                let there = self.has_addr2()?;
                let address = self.address(ADDR[1], mac)?;
                Ok(self.and(there, address))
            }
            Some(Dir::Addr3) => {
                let there =
                    self.cmp_masked(Base::Link, 0, Size::B, TYPE_MASK, Cmp::Ne, TYPE_CONTROL)?;
                let address = self.address(ADDR[2], mac)?;
                Ok(self.and(there, address))
            }
            Some(Dir::Addr4) => {
                let there = self.eq_masked(Base::Link, 1, Size::B, DIR_MASK, TO_DS | FROM_DS)?;
                let address = self.address(ADDR[3], mac)?;
                Ok(self.and(there, address))
            }
            Some(Dir::Ra) => {
                let there = self.bit(0, DATA_BIT, true)?;
                let address = self.address(ADDR[0], mac)?;
                Ok(self.and(there, address))
            }
            Some(Dir::Ta) => {
                let data = self.bit(0, DATA_BIT, true)?;
                let there = self.has_addr2()?;
                let address = self.address(ADDR[1], mac)?;
                Ok(self.all(&[data, there, address]))
            }
        }
    }

    fn address(&mut self, at: u32, mac: [u8; 6]) -> Lowered {
        self.eq_bytes(Base::Link, at, &mac)
    }

    /// CTS and ACK frames have one address only.
    fn has_addr2(&mut self) -> Lowered {
        let control = self.eq_masked(Base::Link, 0, Size::B, TYPE_MASK, TYPE_CONTROL)?;
        let cts = self.eq_masked(Base::Link, 0, Size::B, SUBTYPE_MASK, SUBTYPE_CTS)?;
        let ack = self.eq_masked(Base::Link, 0, Size::B, SUBTYPE_MASK, SUBTYPE_ACK)?;
        let short = self.or(cts, ack);
        let short = self.and(control, short);
        Ok(self.not(short))
    }

    /// Source: address 2, except in data frames from the distribution system (3, or 4 when they
    /// also go to it); control frames have none.
    fn wlan_source(&mut self, mac: [u8; 6]) -> Lowered {
        let not_control = self.bit(0, CONTROL_BIT, false)?;
        let management = self.bit(0, DATA_BIT, false)?;
        let here = self.address(ADDR[1], mac)?;
        let management = self.and(management, here);
        let data = self.bit(0, DATA_BIT, true)?;
        let not_from = self.bit(1, FROM_DS, false)?;
        let here = self.address(ADDR[1], mac)?;
        let not_from = self.and(not_from, here);
        let from = self.bit(1, FROM_DS, true)?;
        let not_to = self.bit(1, TO_DS, false)?;
        let here = self.address(ADDR[2], mac)?;
        let not_to = self.and(not_to, here);
        let to = self.bit(1, TO_DS, true)?;
        let here = self.address(ADDR[3], mac)?;
        let to = self.and(to, here);
        let either = self.or(not_to, to);
        let from = self.and(from, either);
        let either = self.or(not_from, from);
        let data = self.and(data, either);
        let frame = self.or(management, data);
        Ok(self.and(not_control, frame))
    }

    /// Destination: address 1, except in data frames to the distribution system (3); control
    /// frames have none.
    fn wlan_destination(&mut self, mut test: impl FnMut(&mut Self, u32) -> Lowered) -> Lowered {
        let not_control = self.bit(0, CONTROL_BIT, false)?;
        let management = self.bit(0, DATA_BIT, false)?;
        let here = test(self, ADDR[0])?;
        let management = self.and(management, here);
        let data = self.bit(0, DATA_BIT, true)?;
        let not_to = self.bit(1, TO_DS, false)?;
        let here = test(self, ADDR[0])?;
        let not_to = self.and(not_to, here);
        let to = self.bit(1, TO_DS, true)?;
        let here = test(self, ADDR[2])?;
        let to = self.and(to, here);
        let either = self.or(not_to, to);
        let data = self.and(data, either);
        let frame = self.or(management, data);
        Ok(self.and(not_control, frame))
    }

    /// The destination is a group.
    pub(super) fn wlan_multicast(&mut self) -> Lowered {
        self.wlan_destination(Self::group_bit)
    }

    fn wlan_only(&self, what: &'static str) -> Result<(), LowerError> {
        if self.layout.is_80211() {
            return Ok(());
        }
        Err(LowerError::NotSupportedOn { what, dlt: self.layout.dlt })
    }

    /// `type T [subtype S]`: bits of the first byte.
    pub(super) fn wlan_type(&mut self, ty: u32, subtype: Option<u32>) -> Lowered {
        self.wlan_only("type/subtype")?;
        match subtype {
            None => self.eq_masked(Base::Link, 0, Size::B, TYPE_MASK, ty),
            Some(subtype) => {
                self.eq_masked(Base::Link, 0, Size::B, TYPE_MASK | SUBTYPE_MASK, ty | subtype)
            }
        }
    }

    /// `dir D`.
    pub(super) fn wlan_dir(&mut self, dir: u32) -> Lowered {
        self.wlan_only("dir")?;
        self.eq_masked(Base::Link, 1, Size::B, DIR_MASK, dir)
    }
}
