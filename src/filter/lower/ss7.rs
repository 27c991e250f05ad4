//! Signalling System 7: MTP2 signal units and MTP3 routing labels.

use super::Lowerer;
use super::atm::comparison;
use super::code::{Base, Cmp, Size};
use super::error::{LowerError, at_most};
use crate::filter::ast::{Mtp2Type, Mtp3Field, ValueTest};
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Longest length indicators of a link status signal unit, in place: plain and high speed.
const LSSU_MAX: u32 = 2;
const HIGH_SPEED_LSSU_MAX: u32 = 0x0100;
/// Masks of the length indicators.
const LENGTH_MASK: u32 = 0x3f;
const HIGH_SPEED_LENGTH_MASK: u32 = 0xff80;
/// Bytes by which a high-speed header is longer.
const HIGH_SPEED: u32 = 3;

/// An MTP3 field: name, offset from the service information octet, width, mask, largest value.
struct Mtp3 {
    name: &'static str,
    offset: u32,
    size: Size,
    mask: u32,
    max: u32,
}

fn describe(field: Mtp3Field) -> Mtp3 {
    let (name, high) = match field {
        Mtp3Field::Sio => ("sio", 0),
        Mtp3Field::Opc => ("opc", 0),
        Mtp3Field::Dpc => ("dpc", 0),
        Mtp3Field::Sls => ("sls", 0),
        Mtp3Field::HSio => ("hsio", HIGH_SPEED),
        Mtp3Field::HOpc => ("hopc", HIGH_SPEED),
        Mtp3Field::HDpc => ("hdpc", HIGH_SPEED),
        Mtp3Field::HSls => ("hsls", HIGH_SPEED),
    };
    let (offset, size, mask, max) = match field {
        Mtp3Field::Sio | Mtp3Field::HSio => (0, Size::B, u32::MAX, 0xff),
        Mtp3Field::Opc | Mtp3Field::HOpc => (1, Size::W, 0x00c0_ff0f, 0x3fff),
        Mtp3Field::Dpc | Mtp3Field::HDpc => (1, Size::H, 0xff3f, 0x3fff),
        Mtp3Field::Sls | Mtp3Field::HSls => (4, Size::B, 0xf0, 0x0f),
    };
    Mtp3 { name, offset: offset + high, size, mask, max }
}

/// A value as it lies in the packet under the field's mask: point codes are little-endian and
/// straddle bytes.
const fn in_place(field: Mtp3Field, value: u32) -> u32 {
    match field {
        Mtp3Field::Sio | Mtp3Field::HSio => value,
        Mtp3Field::Opc | Mtp3Field::HOpc => {
            (value & 0x3c00) >> 10 | (value & 0x03fc) << 6 | (value & 0x03) << 22
        }
        Mtp3Field::Dpc | Mtp3Field::HDpc => (value & 0xff) << 8 | (value & 0x3f00) >> 8,
        Mtp3Field::Sls | Mtp3Field::HSls => value << 4,
    }
}

impl Lowerer<'_> {
    /// Bytes in front of the MTP2 header.
    fn mtp2_start(&self, what: &'static str) -> Result<u32, LowerError> {
        match self.layout.dlt {
            Dlt::MTP2 => Ok(0),
            Dlt::MTP2_WITH_PHDR => Ok(4),
            Dlt::ERF => Ok(20),
            _ => Err(LowerError::OnlyOn(what, "SS7")),
        }
    }

    /// A signal unit by the value of its length indicator.
    pub(super) fn mtp2_type(&mut self, ty: Mtp2Type) -> Lowered {
        let (name, high) = match ty {
            Mtp2Type::Fisu => ("fisu", false),
            Mtp2Type::Lssu => ("lssu", false),
            Mtp2Type::Msu => ("msu", false),
            Mtp2Type::HFisu => ("hfisu", true),
            Mtp2Type::HLssu => ("hlssu", true),
            Mtp2Type::HMsu => ("hmsu", true),
        };
        let start = self.mtp2_start(name)?;
        let (offset, size, mask, max) = if high {
            (start + 4, Size::H, HIGH_SPEED_LENGTH_MASK, HIGH_SPEED_LSSU_MAX)
        } else {
            (start + 2, Size::B, LENGTH_MASK, LSSU_MAX)
        };
        let mut length = |cmp, value| self.cmp_masked(Base::Packet, offset, size, mask, cmp, value);
        match ty {
            Mtp2Type::Fisu | Mtp2Type::HFisu => length(Cmp::Eq, 0),
            Mtp2Type::Msu | Mtp2Type::HMsu => length(Cmp::Gt, max),
            Mtp2Type::Lssu | Mtp2Type::HLssu => {
                let not_empty = length(Cmp::Gt, 0)?;
                let short = length(Cmp::Le, max)?;
                Ok(self.and(not_empty, short))
            }
        }
    }

    /// An MTP3 field.
    pub(super) fn mtp3_field(&mut self, field: Mtp3Field, tests: &[ValueTest]) -> Lowered {
        let Mtp3 { name, offset, size, mask, max } = describe(field);
        let at = self.mtp2_start(name)? + 3 + offset;
        let mut terms = Vec::with_capacity(tests.len());
        for test in tests {
            let value = test.value;
            at_most(name, value, max)?;
            let cmp = comparison(test.op);
            let value = in_place(field, value);
            terms.push(self.cmp_masked(Base::Packet, at, size, mask, cmp, value)?);
        }
        Ok(self.any(&terms))
    }
}
