//! Native code for programs that come anew with every packet, as `pcap_offline_filter` gets them.

use super::filter::runs_before_compiling;
use super::jit::GuardedCode;
use super::{Aux, Insn, check, interpret};
use std::cell::RefCell;

/// Programs that a thread may alternate between; a power of two.
const ENTRIES: usize = 8;

/// Longest program that is compiled.
const MAX_LEN: usize = 4096;

thread_local! {
    static CACHE: RefCell<[Entry; ENTRIES]> = const {
        RefCell::new([const { Entry::EMPTY }; ENTRIES])
    };
}

/// Runs a program that the caller owns and may change or free between two runs, without
/// ancillary data.
///
/// What a thread runs again and again becomes native code, which compares every instruction that
/// it executes with the caller's: what runs is always what `insns` say now.
pub fn run_cached(insns: &[Insn], packet: &[u8], wirelen: u32) -> u32 {
    try_cached(insns, packet, wirelen).unwrap_or_else(|| {
        let address = insns.as_ptr().addr();
        let _ = CACHE.try_with(|cache| {
            if let Ok(mut entries) = cache.try_borrow_mut() {
                entries[slot(address)].note(address, insns);
            }
        });
        interpret(insns, packet, wirelen, &Aux::NONE)
    })
}

/// The part of [`run_cached`] that is sure not to panic: `None` unless there is native code for
/// just this program.
#[inline]
pub fn try_cached(insns: &[Insn], packet: &[u8], wirelen: u32) -> Option<u32> {
    let address = insns.as_ptr().addr();
    // Not available at the end of a thread, nor to a signal handler that came in between.
    let cached = CACHE.try_with(|cache| {
        let entries = cache.try_borrow().ok()?;
        let entry = &entries[slot(address)];
        let code = entry.code.as_ref().filter(|_| entry.address == address)?;
        code.run(insns, packet, wirelen)
    });
    cached.ok().flatten()
}

fn slot(address: usize) -> usize {
    (address / 16) % ENTRIES
}

struct Entry {
    /// Where the caller's instructions are.
    address: usize,
    len: usize,
    /// Runs left before it is compiled.
    runs_left: u32,
    code: Option<GuardedCode>,
}

impl Entry {
    const EMPTY: Self = Self { address: 0, len: 0, runs_left: 0, code: None };

    /// Counts a run that was not native.
    #[inline(never)]
    fn note(&mut self, address: usize, insns: &[Insn]) {
        let is_known = (self.address, self.len) == (address, insns.len());
        if !is_known || self.code.is_some() {
            let runs_left = runs_before_compiling(insns.len());
            *self = Self { address, len: insns.len(), runs_left, code: None };
        }
        self.runs_left = self.runs_left.saturating_sub(1);
        if self.runs_left == 0 {
            // Where there is no code to be had, the count starts again.
            self.runs_left = u32::MAX;
            if insns.len() <= MAX_LEN && check(insns).is_ok() {
                self.code = GuardedCode::compile(insns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(insns: &[Insn], packet: &[u8], wirelen: u32) -> u32 {
        let verdict = interpret(insns, packet, wirelen, &Aux::NONE);
        for _ in 0..2 {
            assert_eq!(run_cached(insns, packet, wirelen), verdict);
        }
        verdict
    }

    #[test]
    fn a_changed_program_is_never_run_stale() {
        let mut insns = [
            Insn::stmt(0x30, 0),
            Insn::jump(0x15, 7, 0, 1),
            Insn::stmt(0x06, 1),
            Insn::stmt(0x06, 2),
        ];
        for round in 0..20 {
            for _ in 0..round * 97 {
                insns[1].k = 7;
                assert_eq!((run(&insns, &[7], 1), run(&insns, &[8], 1)), (1, 2));
            }
            insns[1].k = 8;
            assert_eq!((run(&insns, &[7], 1), run(&insns, &[8], 1)), (2, 1));
            insns[2].k = round;
            assert_eq!(run(&insns, &[8], 1), round);
            insns[2].k = 1;
            assert_eq!(run(&insns[3..], &[8], 1), 2);
        }
    }
}
