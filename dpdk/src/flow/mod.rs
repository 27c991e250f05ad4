//! `PCAPX_DPDK_FLOW=on`: the part of a filter that a port can match by itself, as its rules.
//!
//! Rules let pass what the filter may accept, and a last one of lower priority drops the rest; what
//! passes is filtered all the same. So a rule must never say more than the filter: `derive` finds
//! patterns of which every accepted packet matches one, `rule` writes them as headers. Where a port
//! does not take them, ones that say less are tried, and in the end it has none.

mod derive;
mod pattern;
#[cfg(test)]
mod proof;
mod rule;

use crate::error::Failure;
use crate::ffi::{self, OxFlows, OxPort};
use oxpcap_plugin::CbpfInsn;
pub use rule::Item;
use rule::{Detail, Rule};
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

/// Most rules of one filter.
const MOST_RULES: usize = 128;

/// The rules of a port.
pub enum Offload {
    /// Not wanted.
    Off,
    /// Wanted on a port that is not ours to change.
    Joined,
    /// Wanted.
    On(Rules),
}

/// Rules in a port; taken away when dropped.
pub struct Rules(NonNull<OxFlows>);

/// Whether `PCAPX_DPDK_FLOW` asks for it.
pub fn wanted() -> Result<bool, Failure> {
    let value = std::env::var_os("PCAPX_DPDK_FLOW").unwrap_or_default();
    match value.to_str() {
        Some("" | "off") => Ok(false),
        Some("on") => Ok(true),
        _ => {
            let value = value.to_string_lossy();
            Err(Failure::new(format!("PCAPX_DPDK_FLOW={value}: neither on nor off")))
        }
    }
}

impl Offload {
    /// For an open port.
    ///
    /// # Safety
    /// The port outlives the result.
    pub unsafe fn on(port: *const OxPort) -> Result<Self, Failure> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is writable; the caller promises the rest.
        let rc = unsafe { ffi::ox_flows_new(port, &mut raw) };
        match NonNull::new(raw).filter(|_| rc == 0) {
            Some(raw) => Ok(Self::On(Rules(raw))),
            None => Err(Failure::errno("preparing rte_flow", rc, "")),
        }
    }

    /// Replaces the rules by those for `program` (none: no filter). What came of it, for people;
    /// an error where old rules stay.
    pub fn apply(&mut self, program: &[CbpfInsn]) -> Result<String, Failure> {
        let rules = match self {
            Self::Off => return Ok(String::new()),
            Self::Joined => {
                return Ok("PCAPX_DPDK_FLOW has no effect on a port that this program runs".into());
            }
            Self::On(rules) => rules,
        };
        rules.clear()?;
        if program.is_empty() {
            return Ok(String::new());
        }
        let Some(patterns) = derive::patterns(program) else {
            return Ok("PCAPX_DPDK_FLOW has no effect, the filter is too long or has loops".into());
        };
        rules.create_best(&patterns)
    }
}

impl Rules {
    /// Creates the most telling rules that the port takes.
    fn create_best(&mut self, patterns: &[pattern::Pattern]) -> Result<String, Failure> {
        let mut tried: Vec<Rule> = Vec::new();
        let mut refusal = None;
        for detail in Detail::ALL {
            let rules = rule::rules(patterns, detail);
            if rules.is_empty() || rules.iter().any(Rule::is_any) {
                break;
            }
            if rules == tried || rules.len() > MOST_RULES {
                continue;
            }
            match self.create(&rules) {
                Ok(()) => {
                    return Ok(format!(
                        "the port lets pass what matches one of {} rules of rte_flow ({})",
                        rules.len(),
                        detail.name()
                    ));
                }
                Err(failure) => refusal = Some(failure.text),
            }
            self.clear()?;
            tried = rules;
        }
        Ok(match refusal {
            Some(why) => format!("PCAPX_DPDK_FLOW has no effect, the port takes no rules: {why}"),
            None => "PCAPX_DPDK_FLOW has no effect, no header field decides this filter".into(),
        })
    }

    /// All of `rules`, and last the one that drops the rest.
    fn create(&mut self, rules: &[Rule]) -> Result<(), Failure> {
        for rule in rules {
            self.add(&rule.0)?;
        }
        self.add(&[])
    }

    /// One rule; without items the one that drops the rest.
    fn add(&mut self, items: &[Item]) -> Result<(), Failure> {
        let mark = ffi::log_mark();
        let mut why: *const c_char = std::ptr::null();
        // SAFETY: the items are read during the call.
        let rc = unsafe {
            ffi::ox_flows_add(self.0.as_ptr(), items.as_ptr(), items.len() as u32, &mut why)
        };
        if rc == 0 {
            return Ok(());
        }
        let what = if items.is_empty() { "dropping the rest" } else { "a rule" };
        let mut failure = Failure::errno(what, rc, &ffi::log_since(mark));
        if !why.is_null() {
            // SAFETY: a string of the driver's, which stays.
            let why = unsafe { CStr::from_ptr(why) }.to_string_lossy();
            failure.text.push_str(&format!(" ({why})"));
        }
        Err(failure)
    }

    fn clear(&mut self) -> Result<(), Failure> {
        // SAFETY: the rules are ours.
        match unsafe { ffi::ox_flows_clear(self.0.as_ptr()) } {
            0 => Ok(()),
            rc => Err(Failure::errno("taking rules of rte_flow away", rc, "")),
        }
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        // SAFETY: not used again.
        unsafe { ffi::ox_flows_free(self.0.as_ptr()) }
    }
}
