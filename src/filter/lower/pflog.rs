//! The header of OpenBSD's packet filter log.

use super::Lowerer;
use super::code::{Base, Size};
use super::error::LowerError;
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Offsets in the header.
const ACTION: u32 = 2;
const REASON: u32 = 3;
const IFNAME: u32 = 4;
const RULESET: u32 = 20;
const RULE: u32 = 36;
const SUBRULE: u32 = 40;
/// Longest interface and ruleset name, without its terminator.
const NAME_MAX: usize = 15;

#[rustfmt::skip]
const REASONS: [(&str, u32); 16] = [
    ("match", 0), ("bad-offset", 1), ("fragment", 2), ("short", 3), ("normalize", 4),
    ("memory", 5), ("bad-timestamp", 6), ("congestion", 7), ("ip-option", 8),
    ("proto-cksum", 9), ("state-mismatch", 10), ("state-insert", 11), ("state-limit", 12),
    ("src-limit", 13), ("synproxy", 14), ("translate", 15),
];

#[rustfmt::skip]
const ACTIONS: [(&str, u32); 18] = [
    ("pass", 0), ("accept", 0), ("drop", 1), ("block", 1), ("scrub", 2), ("noscrub", 3),
    ("nat", 4), ("nonat", 5), ("binat", 6), ("nobinat", 7), ("rdr", 8), ("nordr", 9),
    ("synproxy-drop", 10), ("defer", 11), ("match", 12), ("divert", 13), ("rt", 14),
    ("afrt", 15),
];

/// The number of a name, or the name if it is none of those known.
fn number(name: &str, names: &[(&str, u32)]) -> Result<u32, String> {
    let known = names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    known.map(|&(_, n)| n).ok_or_else(|| name.to_owned())
}

impl Lowerer<'_> {
    fn pflog_only(&self, what: &'static str) -> Result<(), LowerError> {
        if self.layout.dlt == Dlt::PFLOG {
            Ok(())
        } else {
            Err(LowerError::OnlyOn(what, "PFLOG linktype"))
        }
    }

    /// `ifname`.
    pub(super) fn pf_ifname(&mut self, name: &str) -> Lowered {
        self.pflog_only("ifname")?;
        if name.len() > NAME_MAX {
            return Err(LowerError::PfIfname(NAME_MAX));
        }
        self.eq_bytes(Base::Link, IFNAME, name.as_bytes())
    }

    /// `ruleset`.
    pub(super) fn pf_ruleset(&mut self, name: &str) -> Lowered {
        self.pflog_only("ruleset")?;
        if name.len() > NAME_MAX {
            return Err(LowerError::PfRuleset(NAME_MAX));
        }
        self.eq_bytes(Base::Link, RULESET, name.as_bytes())
    }

    /// `rulenum`.
    pub(super) fn pf_rule(&mut self, n: u32) -> Lowered {
        self.pflog_only("rnr")?;
        self.eq(Base::Link, RULE, Size::W, n)
    }

    /// `subrulenum`.
    pub(super) fn pf_subrule(&mut self, n: u32) -> Lowered {
        self.pflog_only("srnr")?;
        self.eq(Base::Link, SUBRULE, Size::W, n)
    }

    /// `reason NAME`.
    pub(super) fn pf_reason_name(&mut self, name: &str) -> Lowered {
        let n = number(name, &REASONS).map_err(LowerError::PfReason)?;
        self.pf_reason(n)
    }

    /// `reason N`.
    pub(super) fn pf_reason(&mut self, n: u32) -> Lowered {
        self.pflog_only("reason")?;
        self.eq(Base::Link, REASON, Size::B, n)
    }

    /// `action`.
    pub(super) fn pf_action(&mut self, name: &str) -> Lowered {
        let n = number(name, &ACTIONS).map_err(LowerError::PfAction)?;
        self.pflog_only("action")?;
        self.eq(Base::Link, ACTION, Size::B, n)
    }
}
