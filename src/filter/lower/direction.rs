//! `inbound`, `outbound` and `ifindex`.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::LowerError;
use crate::bpf::Ancillary;
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Linux's packet type of what the host itself sent.
const PACKET_OUTGOING: u32 = 4;
/// IPNET's hook types.
const IPNET_OUTBOUND: u32 = 1;
const IPNET_INBOUND: u32 = 2;
/// PFLOG's directions.
const PF_IN: u32 = 1;
const PF_OUT: u32 = 2;

impl Lowerer<'_> {
    /// `inbound` and `outbound`.
    pub(super) fn direction(&mut self, outbound: bool) -> Lowered {
        let pick = |out: u32, inside: u32| if outbound { out } else { inside };
        // Everything that was not sent is inbound.
        let outgoing = pick_cmp(outbound);
        match self.layout.dlt {
            Dlt::SLIP => self.cmp(Base::Link, 0, Size::B, pick_cmp(!outbound), 0),
            Dlt::IPNET => self.eq(Base::Link, 2, Size::H, pick(IPNET_OUTBOUND, IPNET_INBOUND)),
            Dlt::LINUX_SLL => self.cmp(Base::Link, 0, Size::H, outgoing, PACKET_OUTGOING),
            Dlt::LINUX_SLL2 => self.cmp(Base::Link, 10, Size::B, outgoing, PACKET_OUTGOING),
            Dlt::PFLOG => self.eq(Base::Link, 60, Size::B, pick(PF_OUT, PF_IN)),
            Dlt::PPP_PPPD => self.eq(Base::Link, 0, Size::B, u32::from(outbound)),
            Dlt::DSA_TAG_BRCM => self.eq_masked(Base::Link, 12, Size::B, 0xe0, pick(0x20, 0)),
            Dlt::DSA_TAG_DSA => self.eq_masked(Base::Link, 12, Size::B, 0x40, pick(0x40, 0)),
            _ if self.layout.is_juniper() => {
                self.eq_masked(Base::Link, 3, Size::B, 0x01, pick(0, 1))
            }
            dlt => {
                let what = pick_name(outbound);
                self.require_kernel(what, dlt)?;
                let k = Ancillary::PktType.offset();
                self.cmp(Base::Packet, k, Size::H, outgoing, PACKET_OUTGOING)
            }
        }
    }

    /// `ifindex N`.
    pub(super) fn ifindex(&mut self, index: u32) -> Lowered {
        if self.layout.dlt == Dlt::LINUX_SLL2 {
            return self.eq(Base::Link, 4, Size::W, index);
        }
        self.require_kernel("ifindex", self.layout.dlt)?;
        self.eq(Base::Packet, Ancillary::IfIndex.offset(), Size::W, index)
    }

    fn require_kernel(&self, what: &'static str, dlt: Dlt) -> Result<(), LowerError> {
        match self.options.live {
            Some(live) if live.kernel_extensions => Ok(()),
            _ => Err(LowerError::NotLive { what, dlt }),
        }
    }
}

const fn pick_name(outbound: bool) -> &'static str {
    if outbound { "outbound" } else { "inbound" }
}

/// The comparison that holds, or the one that does not, for what a direction bit says.
const fn pick_cmp(equal: bool) -> Cmp {
    if equal { Cmp::Eq } else { Cmp::Ne }
}
