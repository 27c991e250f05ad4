//! Programs that come anew with every packet, as `pcap_offline_filter` gets them.

use super::jit::{self, Run};
use super::{Aux, Insn, check, interpret};

/// Longest program that is compiled.
const MAX_LEN: usize = 4096;

/// Interpreted runs after which a program is compiled.
///
/// Until then our interpreter has saved, against libpcap's, what compiling costs (benches/bpf.rs):
/// wherever a program ends, it has not been slower.
const RUNS_BEFORE_COMPILING: u64 = 24_000;

/// Runs a program that the caller owns and may change or free between two runs, without
/// ancillary data.
///
/// What a thread runs again and again becomes native code, which compares every instruction that
/// it executes with the caller's: what runs is always what `insns` say now.
pub fn run_cached(insns: &[Insn], packet: &[u8], wirelen: u32) -> u32 {
    match jit::run_slices(insns, packet, wirelen) {
        Run::Done(verdict) => return verdict,
        Run::Interpret => (),
        Run::Sample => sample(insns),
    }
    interpret(insns, packet, wirelen, &Aux::NONE)
}

/// The part of [`run_cached`] that is sure not to panic: native code, if there is some.
pub fn run_anywhere(insns: &[Insn], packet: &[u8], wirelen: u32) -> Run {
    jit::run_slices(insns, packet, wirelen)
}

/// Takes note of a program of which a run is looked at; compiles it when it has run often enough.
#[cold]
pub fn sample(insns: &[Insn]) {
    // The longer a program, the longer it takes to compile.
    if jit::count(insns) >= RUNS_BEFORE_COMPILING + 32 * insns.len().min(MAX_LEN) as u64 {
        jit::compile(insns, insns.len() <= MAX_LEN && check(insns).is_ok());
    }
}

/// Whether this thread runs a program as native code.
pub fn is_cached_native(insns: &[Insn]) -> bool {
    jit::is_native(insns)
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

    /// Runs a program until it is compiled, where that can be.
    fn warm_up(insns: &[Insn]) {
        for _ in 0..2 * RUNS_BEFORE_COMPILING {
            run_cached(insns, &[], 0);
        }
        let jit = cfg!(target_arch = "x86_64")
            && std::env::var_os("PCAPX_JIT").is_none_or(|value| value != "off");
        assert_eq!(is_cached_native(insns), jit);
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
            insns[1].k = 7;
            if round % 4 != 0 {
                warm_up(&insns);
            }
            assert_eq!((run(&insns, &[7], 1), run(&insns, &[8], 1)), (1, 2));
            insns[1].k = 8;
            assert_eq!((run(&insns, &[7], 1), run(&insns, &[8], 1)), (2, 1));
            insns[2].k = round;
            assert_eq!(run(&insns, &[8], 1), round);
            insns[2].k = 1;
            assert_eq!(run(&insns[3..], &[8], 1), 2);
        }
    }

    /// More programs than there is room for, taking turns, in one allocation.
    #[test]
    fn many_programs_take_turns() {
        let mut insns = Vec::new();
        for k in 0..200 {
            insns.extend([Insn::stmt(0x30, 0), Insn::jump(0x15, k, 0, 1)]);
            insns.extend([Insn::stmt(0x06, k + 1), Insn::stmt(0x06, 0)]);
        }
        for stride in [1, 2, 40] {
            let programs: Vec<_> = insns.chunks(4 * stride).map(|chunk| &chunk[..4]).collect();
            for round in 0..30_000usize {
                let packet = [(round / 7 * stride) as u8];
                let program = programs[round % programs.len()];
                let expected = interpret(program, &packet, 1, &Aux::NONE);
                assert_eq!(run_cached(program, &packet, 1), expected);
            }
        }
    }

    /// A thread that ends frees its code, and one that comes later starts anew.
    #[test]
    fn threads_come_and_go() {
        let insns = [Insn::stmt(0x30, 0), Insn::stmt(0x16, 0)];
        for _ in 0..8 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(!is_cached_native(&insns));
                    warm_up(&insns);
                    assert_eq!(run_cached(&insns, &[9], 1), 9);
                });
            });
        }
    }

    /// Every instruction that is executed is compared, whichever it is.
    #[test]
    fn any_changed_instruction_is_noticed() {
        for len in 1..9 {
            let mut insns: Vec<_> = (1..len).map(|k| Insn::stmt(0x04, 1 << k)).collect();
            insns.push(Insn::stmt(0x16, 0));
            for at in 0..insns.len() {
                warm_up(&insns);
                let before = insns[at];
                insns[at] = Insn::stmt(0x06, 77);
                assert_eq!(run(&insns, &[], 0), interpret(&insns, &[], 0, &Aux::NONE));
                insns[at] = before;
                assert_eq!(run(&insns, &[], 0), interpret(&insns, &[], 0, &Aux::NONE));
            }
        }
    }
}
