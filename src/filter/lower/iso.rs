//! ISO network protocols and the PDU types of IS-IS.

use super::Lowerer;
use super::code::{Base, Size};
use super::error::{LowerError, at_most};
use super::numbers::llc;
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Network layer protocol identifiers.
pub(super) const CLNP: u32 = 0x81;
pub(super) const ESIS: u32 = 0x82;
pub(super) const ISIS: u32 = 0x83;

/// PDU types of IS-IS.
const L1_LAN_IIH: u32 = 15;
const L2_LAN_IIH: u32 = 16;
const PTP_IIH: u32 = 17;
const L1_LSP: u32 = 18;
const L2_LSP: u32 = 20;
const L1_CSNP: u32 = 24;
const L2_CSNP: u32 = 25;
const L1_PSNP: u32 = 26;
const L2_PSNP: u32 = 27;

/// PDU types that a keyword stands for, in the order they are tested.
pub(super) const L1: &[u32] = &[L1_PSNP, L1_CSNP, L1_LSP, L1_LAN_IIH, PTP_IIH];
pub(super) const L2: &[u32] = &[L2_PSNP, L2_CSNP, L2_LSP, L2_LAN_IIH, PTP_IIH];
pub(super) const IIH: &[u32] = &[PTP_IIH, L1_LAN_IIH, L2_LAN_IIH];
pub(super) const LSP: &[u32] = &[L1_LSP, L2_LSP];
pub(super) const SNP: &[u32] = &[L2_PSNP, L1_PSNP, L1_CSNP, L2_CSNP];
pub(super) const CSNP: &[u32] = &[L1_CSNP, L2_CSNP];
pub(super) const PSNP: &[u32] = &[L1_PSNP, L2_PSNP];

/// The number of an ISO protocol name.
pub(super) fn proto_number(name: &str) -> Option<u32> {
    match name {
        "esis" => Some(ESIS),
        "isis" => Some(ISIS),
        "clnp" => Some(CLNP),
        _ => None,
    }
}

impl Lowerer<'_> {
    /// `iso proto N`.
    pub(super) fn iso_proto(&mut self, nlpid: u32) -> Lowered {
        at_most("ISO protocol", nlpid, 0xff)?;
        if self.layout.dlt == Dlt::FRELAY {
            // The NLPID is Frame Relay's own protocol field.
            return self.eq(Base::Link, 2, Size::H, 0x0300 | nlpid);
        }
        let iso = self.link_type(llc::ISONS)?;
        let offset = self.osi_padding();
        let proto = self.eq(Base::NetNoSnap, offset, Size::B, nlpid)?;
        Ok(self.and(iso, proto))
    }

    /// Cisco HDLC puts a byte before OSI packets.
    fn osi_padding(&self) -> u32 {
        u32::from(matches!(self.layout.dlt, Dlt::C_HDLC | Dlt::HDLC))
    }

    /// `isis proto N`: one PDU type.
    pub(super) fn isis_pdu(&mut self, ty: u32) -> Lowered {
        at_most("IS-IS PDU type", ty, 0x1f)?;
        let isis = self.iso_proto(ISIS)?;
        let offset = 4 + self.osi_padding();
        let pdu = self.eq_masked(Base::NetNoSnap, offset, Size::B, 0x1f, ty)?;
        Ok(self.and(isis, pdu))
    }

    /// Any of some PDU types.
    pub(super) fn isis_pdus(&mut self, types: &[u32]) -> Lowered {
        let mut terms = Vec::with_capacity(types.len());
        for &ty in types {
            terms.push(self.isis_pdu(ty)?);
        }
        Ok(self.any(&terms))
    }
}
