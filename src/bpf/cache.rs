//! Filters for programs that come anew with every packet, as `pcap_offline_filter` gets them.

use super::{Aux, Filter, Insn, Preference, Program, interpret};
use std::cell::RefCell;

/// Programs that a thread may alternate between; a power of two.
const ENTRIES: usize = 8;

/// Runs of one program before it is worth a copy.
const RUNS_BEFORE_COPY: u32 = 64;

/// Longest program that is kept. Every run compares the whole program, but executes only a path
/// through it: with long ones, running the instructions where they lie is faster.
const MAX_LEN: usize = 128;

/// Runs a program that the caller owns and may change or free between two runs; `aux` is none.
///
/// Programs that a thread runs again and again are kept in prepared form, and compared with the
/// caller's instructions on every run: what runs is always what `insns` says now.
pub fn run_cached(insns: &[Insn], packet: &[u8], wirelen: u32) -> u32 {
    thread_local! {
        static CACHE: RefCell<[Entry; ENTRIES]> = const {
            RefCell::new([const { Entry::EMPTY }; ENTRIES])
        };
    }
    if insns.len() <= MAX_LEN {
        // Not available at the end of a thread, nor to a signal handler that came in between.
        let verdict = CACHE.try_with(|cache| {
            let mut entries = cache.try_borrow_mut().ok()?;
            let address = insns.as_ptr().addr();
            entries[(address / 16) % ENTRIES].run(address, insns, packet, wirelen)
        });
        if let Ok(Some(verdict)) = verdict {
            return verdict;
        }
    }
    interpret(insns, packet, wirelen, &Aux::NONE)
}

struct Entry {
    /// Where the caller's instructions are.
    address: usize,
    len: usize,
    /// Runs left before it gets a filter.
    runs_left: u32,
    filter: Option<Filter>,
}

impl Entry {
    const EMPTY: Self = Self { address: 0, len: 0, runs_left: 0, filter: None };

    /// `None` when the caller had better interpret.
    #[inline]
    fn run(&mut self, address: usize, insns: &[Insn], packet: &[u8], wirelen: u32) -> Option<u32> {
        match &self.filter {
            Some(filter) if self.address == address && same(filter.program().insns(), insns) => {
                Some(filter.run(packet, wirelen, &Aux::NONE))
            }
            _ => {
                self.note(address, insns);
                None
            }
        }
    }

    #[inline(never)]
    fn note(&mut self, address: usize, insns: &[Insn]) {
        if (self.address, self.len) != (address, insns.len()) || self.filter.is_some() {
            *self = Self { address, len: insns.len(), runs_left: RUNS_BEFORE_COPY, filter: None };
        }
        self.runs_left -= 1;
        if self.runs_left == 0 {
            let program = Program::from_insns(insns);
            self.filter = Some(Filter::with_preference(&program, Preference::Adaptive));
        }
    }
}

/// Without an early exit, so that it runs on vectors.
#[inline]
fn same(a: &[Insn], b: &[Insn]) -> bool {
    let bits = |insn: &Insn| {
        u64::from(insn.code)
            | u64::from(insn.jt) << 16
            | u64::from(insn.jf) << 24
            | u64::from(insn.k) << 32
    };
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (bits(a) ^ bits(b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

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
                assert_eq!((run_cached(&insns, &[7], 1), run_cached(&insns, &[8], 1)), (1, 2));
            }
            insns[1].k = 8;
            assert_eq!((run_cached(&insns, &[7], 1), run_cached(&insns, &[8], 1)), (2, 1));
            insns[2].k = round;
            assert_eq!(run_cached(&insns, &[8], 1), round);
            insns[2].k = 1;
            assert_eq!(run_cached(&insns[3..], &[8], 1), 2);
        }
    }

    #[test]
    fn every_field_counts() {
        let insn = Insn { code: 0x15, jt: 1, jf: 2, k: 3 };
        let variants = [
            Insn { code: 0x115, ..insn },
            Insn { jt: 2, ..insn },
            Insn { jf: 3, ..insn },
            Insn { k: 0x8000_0003, ..insn },
        ];
        assert!(same(&[insn; 3], &[insn; 3]));
        for variant in variants {
            assert!(!same(&[insn, insn, insn], &[insn, insn, variant]));
        }
        assert!(!same(&[insn; 2], &[insn; 3]));
    }
}
