//! ATM with SunATM's pseudo-header.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::{LowerError, at_most};
use crate::filter::ast::{AtmField, AtmType, RelOp, ValueTest};
use crate::filter::cond::CondId;
use crate::filter::link_layout::Offset;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Protocols in the pseudo-header.
const LANE: u32 = 1;
const LLC: u32 = 2;
/// Offsets in the pseudo-header, which has this length.
const VPI: u32 = 1;
const VCI: u32 = 2;
const HEADER: u32 = 4;
/// Q.2931: where the message type lies, and the messages.
const MESSAGE_TYPE: u32 = HEADER + 5;
const CALL_PROCEEDING: u32 = 0x02;
const SETUP: u32 = 0x05;
const CONNECT: u32 = 0x07;
const CONNECT_ACK: u32 = 0x0f;
const RELEASE: u32 = 0x4d;
const RELEASE_DONE: u32 = 0x5a;
/// Virtual channels with a meaning, all of path 0.
const META_SIGNALLING: u32 = 1;
const BROADCAST: u32 = 2;
const OAM_SEGMENT: u32 = 3;
const OAM_END_TO_END: u32 = 4;
const SIGNALLING: u32 = 5;
const ILMI: u32 = 16;

/// A comparison as written.
pub(super) const fn comparison(op: RelOp) -> Cmp {
    match op {
        RelOp::Gt => Cmp::Gt,
        RelOp::Ge => Cmp::Ge,
        RelOp::Eq => Cmp::Eq,
        RelOp::Le => Cmp::Le,
        RelOp::Lt => Cmp::Lt,
        RelOp::Ne => Cmp::Ne,
    }
}

const fn type_name(ty: AtmType) -> &'static str {
    match ty {
        AtmType::Lane => "lane",
        AtmType::Metac => "metac",
        AtmType::Bcc => "bcc",
        AtmType::Sc => "sc",
        AtmType::Ilmic => "ilmic",
        AtmType::OamF4Ec => "oamf4ec",
        AtmType::OamF4Sc => "oamf4sc",
        AtmType::Oam => "oam",
        AtmType::OamF4 => "oamf4",
        AtmType::ConnectMsg => "connectmsg",
        AtmType::MetaConnect => "metaconnect",
    }
}

impl Lowerer<'_> {
    fn sunatm_only(&self, what: &'static str) -> Result<(), LowerError> {
        if self.layout.atm { Ok(()) } else { Err(LowerError::OnlyOn(what, "SUNATM")) }
    }

    /// An ATM keyword.
    pub(super) fn atm_type(&mut self, ty: AtmType) -> Lowered {
        self.sunatm_only(type_name(ty))?;
        match ty {
            AtmType::Lane => self.lane(),
            AtmType::Metac => self.channel(META_SIGNALLING),
            AtmType::Bcc => self.channel(BROADCAST),
            AtmType::Sc => self.channel(SIGNALLING),
            AtmType::Ilmic => self.channel(ILMI),
            AtmType::OamF4Ec => self.channel(OAM_END_TO_END),
            AtmType::OamF4Sc => self.channel(OAM_SEGMENT),
            AtmType::Oam | AtmType::OamF4 => {
                let path = self.eq(Base::Packet, VPI, Size::B, 0)?;
                let segment = self.eq(Base::Packet, VCI, Size::H, OAM_SEGMENT)?;
                let end = self.eq(Base::Packet, VCI, Size::H, OAM_END_TO_END)?;
                let either = self.or(segment, end);
                Ok(self.and(path, either))
            }
            AtmType::ConnectMsg => {
                let types = [RELEASE_DONE, RELEASE, CONNECT_ACK, CONNECT, SETUP, CALL_PROCEEDING];
                self.messages(SIGNALLING, &types)
            }
            AtmType::MetaConnect => {
                let types = [RELEASE_DONE, RELEASE, CONNECT, SETUP, CALL_PROCEEDING];
                self.messages(META_SIGNALLING, &types)
            }
        }
    }

    fn channel(&mut self, vci: u32) -> Lowered {
        let path = self.eq(Base::Packet, VPI, Size::B, 0)?;
        let channel = self.eq(Base::Packet, VCI, Size::H, vci)?;
        Ok(self.and(path, channel))
    }

    fn messages(&mut self, vci: u32, types: &[u32]) -> Lowered {
        let channel = self.channel(vci)?;
        let mut terms = Vec::with_capacity(types.len());
        for &ty in types {
            terms.push(self.eq(Base::Packet, MESSAGE_TYPE, Size::B, ty)?);
        }
        let message = self.any(&terms);
        Ok(self.and(channel, message))
    }

    /// LAN emulation: an Ethernet header follows the LE client identifier.
    fn lane(&mut self) -> Lowered {
        let lane = self.sunatm_type(LANE)?;
        let ether = Offset::fixed(HEADER + 2);
        let mut layout = self.layout.enter(Dlt::EN10MB, ether);
        layout.link_type = ether.plus(12);
        layout.payload = ether.plus(14);
        (layout.network, layout.network_no_snap) = (0, 3);
        self.layout = layout;
        Ok(lane)
    }

    /// LLC encapsulation.
    pub(super) fn sunatm_llc(&mut self) -> Lowered {
        self.sunatm_type(LLC)
    }

    /// `vpi` and `vci`.
    pub(super) fn atm_field(&mut self, field: AtmField, tests: &[ValueTest]) -> Lowered {
        let (name, number, offset, size, max) = match field {
            AtmField::Vpi => ("vpi", "VPI", VPI, Size::B, 0xff),
            AtmField::Vci => ("vci", "VCI", VCI, Size::H, 0xffff),
        };
        self.sunatm_only(name)?;
        let mut terms = Vec::with_capacity(tests.len());
        for test in tests {
            at_most(number, test.value, max)?;
            let cmp = comparison(test.op);
            terms.push(self.cmp(Base::Packet, offset, size, cmp, test.value)?);
        }
        Ok(self.any(&terms))
    }
}
