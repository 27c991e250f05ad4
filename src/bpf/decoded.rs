//! Programs decoded once for a fast interpreter.
//!
//! Every instruction becomes an operation that knows its successors by reference, so that going on
//! is one load, without a position to compute and to check. Common runs of instructions (a load
//! and a conditional jump, a header length with what it is for) become one operation; those who
//! jump into a run find its instructions as operations, too. What is not common is left to the
//! interpreter for instructions as they are, from there on.

use super::interpreter::{byte, continue_from, half, header_len, indexed, word};
use super::{Aux, Insn, InvalidProgram, aux, check, op};
use std::hint::black_box;
use std::sync::Arc;

/// Longest program that is decoded; longer ones run as they are.
const MAX_LEN: usize = 4096;

/// A decoded program. Made of strictly valid programs only.
#[derive(Debug)]
pub(super) struct Decoded {
    first: Next,
    /// For each instruction its operation, to be freed in this order: the other way round the
    /// first would free the second, this the third and so on, recursively.
    _all: Box<[Next]>,
}

type Next = Arc<Op>;

/// Fields of an operation without a test.
#[derive(Debug)]
struct Step {
    k: u32,
    next: Next,
}

/// Fields of an operation that ends with a test.
#[derive(Debug)]
struct Test {
    /// Offset of the load at a constant offset before a mask, or of the indirect load behind a
    /// header length.
    offset: u16,
    /// Offset of any other load; the mask; the first of two constants.
    k: u32,
    /// What the test compares with.
    c: u32,
    taken: Next,
    not_taken: Next,
}

#[derive(Debug)]
enum Op {
    RetK(u32),
    LdWAbs(Step),
    LdHAbs(Step),
    LdBAbs(Step),
    LdWInd(Step),
    LdHInd(Step),
    LdBInd(Step),
    LdxImm(Step),
    LdxMsh(Step),
    AndK(Step),
    JeqK(Test),
    /// Equal to one of two.
    JeqEitherK(Test),
    JgtK(Test),
    JgeK(Test),
    JsetK(Test),
    LdWAbsJeqK(Test),
    LdHAbsJeqK(Test),
    LdBAbsJeqK(Test),
    LdHAbsJsetK(Test),
    LdHIndJeqK(Test),
    LdHIndJgeK(Test),
    AndKJeqK(Test),
    LdWAbsAndKJeqK(Test),
    LdxMshLdHIndJeqK(Test),
    LdxMshLdBIndJsetK(Test),
    /// The other interpreter goes on at this instruction.
    Other(usize),
}

impl Decoded {
    /// Decodes a program that [`check`] takes.
    pub(super) fn new(insns: &[Insn]) -> Result<Self, InvalidProgram> {
        check(insns)?;
        if insns.len() > MAX_LEN {
            return Ok(Self { first: Arc::new(Op::Other(0)), _all: Box::default() });
        }
        // From the end, so that successors are there.
        let mut ops: Vec<Next> = Vec::with_capacity(insns.len());
        for pc in (0..insns.len()).rev() {
            let op = decode(&insns[pc..], pc, &ops);
            ops.push(op);
        }
        ops.reverse();
        Ok(Self { first: ops[0].clone(), _all: ops.into() })
    }

    /// Runs the program, which was made from `insns`: see [`interpret`](super::interpret).
    #[inline(never)]
    pub(super) fn run(&self, insns: &[Insn], packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut op: &Op = &self.first;
        macro_rules! or_reject {
            ($value:expr) => {
                match $value {
                    Some(value) => value,
                    None => return 0,
                }
            };
        }
        macro_rules! load {
            ($load:ident, $offset:expr) => {
                or_reject!($load(packet, $offset as usize))
            };
        }
        macro_rules! load_at_x {
            ($load:ident, $k:expr) => {
                load!($load, or_reject!(indexed(x, $k)))
            };
        }
        // A real branch: see `interpreter::choose`.
        macro_rules! test {
            ($test:ident, $taken:expr) => {
                op = if $taken {
                    &$test.taken
                } else {
                    black_box(());
                    &$test.not_taken
                }
            };
        }
        macro_rules! load_and_test {
            ($test:ident, $value:expr, $condition:expr) => {{
                a = $value;
                test!($test, $condition(a, $test.c));
            }};
        }
        let equal = |a, c| a == c;
        let at_least = |a, c| a >= c;
        let any = |a, c| a & c != 0;
        loop {
            match op {
                Op::RetK(k) => return *k,
                Op::LdWAbs(s) => (a, op) = (load!(word, s.k), &s.next),
                Op::LdHAbs(s) => (a, op) = (load!(half, s.k), &s.next),
                Op::LdBAbs(s) => (a, op) = (load!(byte, s.k), &s.next),
                Op::LdWInd(s) => (a, op) = (load_at_x!(word, s.k), &s.next),
                Op::LdHInd(s) => (a, op) = (load_at_x!(half, s.k), &s.next),
                Op::LdBInd(s) => (a, op) = (load_at_x!(byte, s.k), &s.next),
                Op::LdxImm(s) => (x, op) = (s.k, &s.next),
                Op::LdxMsh(s) => (x, op) = (header_len(load!(byte, s.k)), &s.next),
                Op::AndK(s) => (a, op) = (a & s.k, &s.next),
                Op::JeqK(t) => test!(t, a == t.c),
                Op::JeqEitherK(t) => test!(t, a == t.k || a == t.c),
                Op::JgtK(t) => test!(t, a > t.c),
                Op::JgeK(t) => test!(t, a >= t.c),
                Op::JsetK(t) => test!(t, a & t.c != 0),
                Op::LdWAbsJeqK(t) => load_and_test!(t, load!(word, t.k), equal),
                Op::LdHAbsJeqK(t) => load_and_test!(t, load!(half, t.k), equal),
                Op::LdBAbsJeqK(t) => load_and_test!(t, load!(byte, t.k), equal),
                Op::LdHAbsJsetK(t) => load_and_test!(t, load!(half, t.k), any),
                Op::LdHIndJeqK(t) => load_and_test!(t, load_at_x!(half, t.k), equal),
                Op::LdHIndJgeK(t) => load_and_test!(t, load_at_x!(half, t.k), at_least),
                Op::AndKJeqK(t) => load_and_test!(t, a & t.k, equal),
                Op::LdWAbsAndKJeqK(t) => load_and_test!(t, load!(word, t.offset) & t.k, equal),
                Op::LdxMshLdHIndJeqK(t) => {
                    x = header_len(load!(byte, t.k));
                    load_and_test!(t, load!(half, x + u32::from(t.offset)), equal);
                }
                Op::LdxMshLdBIndJsetK(t) => {
                    x = header_len(load!(byte, t.k));
                    load_and_test!(t, load!(byte, x + u32::from(t.offset)), any);
                }
                Op::Other(pc) => {
                    return continue_from(insns, &insns[*pc..], (a, x), packet, wirelen, aux);
                }
            }
        }
    }
}

/// Decodes the first of some instructions together with those it can be fused with. `pc` is its
/// position, `behind` has the operations behind it, the last of the program first.
fn decode(insns: &[Insn], pc: usize, behind: &[Next]) -> Next {
    let code = |index: usize| insns.get(index).map_or(0, |insn| insn.code);
    let k = |index: usize| insns.get(index).map_or(0, |insn| insn.k);
    let after = |count: usize| behind[behind.len() - count].clone();
    let step = || Step { k: k(0), next: after(1) };
    let test = |len: usize, offset: u32, k: u32| {
        let Insn { jt, jf, k: c, .. } = insns[len - 1];
        let [taken, not_taken] = [jt, jf].map(|skip| after(len + usize::from(skip)));
        Test { offset: offset as u16, k, c, taken, not_taken }
    };
    let pair = || test(2, 0, k(0));
    let is_short = |offset: u32| offset <= u16::MAX.into();
    if aux::is_absolute_load(code(0)) && aux::slot(k(0)).is_some() {
        return Arc::new(Op::Other(pc));
    }
    Arc::new(match [code(0), code(1), code(2)] {
        [LDXB_MSH, LDH_IND, JEQ] if is_short(k(1)) => Op::LdxMshLdHIndJeqK(test(3, k(1), k(0))),
        [LDXB_MSH, LDB_IND, JSET] if is_short(k(1)) => Op::LdxMshLdBIndJsetK(test(3, k(1), k(0))),
        [LD_ABS, AND, JEQ] if is_short(k(0)) => Op::LdWAbsAndKJeqK(test(3, k(0), k(1))),
        [LD_ABS, JEQ, _] => Op::LdWAbsJeqK(pair()),
        [LDH_ABS, JEQ, _] => Op::LdHAbsJeqK(pair()),
        [LDB_ABS, JEQ, _] => Op::LdBAbsJeqK(pair()),
        [LDH_ABS, JSET, _] => Op::LdHAbsJsetK(pair()),
        [LDH_IND, JEQ, _] => Op::LdHIndJeqK(pair()),
        [LDH_IND, JGE, _] => Op::LdHIndJgeK(pair()),
        [AND, JEQ, _] => Op::AndKJeqK(pair()),
        [JEQ, JEQ, _] if is_either(insns) => Op::JeqEitherK(pair()),
        [JEQ, ..] => Op::JeqK(test(1, 0, 0)),
        [JGT, ..] => Op::JgtK(test(1, 0, 0)),
        [JGE, ..] => Op::JgeK(test(1, 0, 0)),
        [JSET, ..] => Op::JsetK(test(1, 0, 0)),
        [LD_ABS, ..] => Op::LdWAbs(step()),
        [LDH_ABS, ..] => Op::LdHAbs(step()),
        [LDB_ABS, ..] => Op::LdBAbs(step()),
        [LD_IND, ..] => Op::LdWInd(step()),
        [LDH_IND, ..] => Op::LdHInd(step()),
        [LDB_IND, ..] => Op::LdBInd(step()),
        [LDX_IMM, ..] => Op::LdxImm(step()),
        [LDXB_MSH, ..] => Op::LdxMsh(step()),
        [AND, ..] => Op::AndK(step()),
        [RET, ..] => Op::RetK(k(0)),
        [JA, ..] if (k(0) as i32) >= 0 => return after(1 + k(0) as usize),
        _ => Op::Other(pc),
    })
}

/// Whether two tests in a row go to the same place when true, and the first only goes to the second
/// when not.
fn is_either(insns: &[Insn]) -> bool {
    insns[0].jf == 0 && insns[0].jt.checked_sub(1) == Some(insns[1].jt)
}

// Codes, named as in listings.
const LD_ABS: u16 = op::LD | op::W | op::ABS;
const LDH_ABS: u16 = op::LD | op::H | op::ABS;
const LDB_ABS: u16 = op::LD | op::B | op::ABS;
const LD_IND: u16 = op::LD | op::W | op::IND;
const LDH_IND: u16 = op::LD | op::H | op::IND;
const LDB_IND: u16 = op::LD | op::B | op::IND;
const LDX_IMM: u16 = op::LDX | op::IMM;
const LDXB_MSH: u16 = op::LDX | op::B | op::MSH;
const AND: u16 = op::ALU | op::AND | op::K;
const JA: u16 = op::JMP | op::JA;
const JEQ: u16 = op::JMP | op::JEQ | op::K;
const JGT: u16 = op::JMP | op::JGT | op::K;
const JGE: u16 = op::JMP | op::JGE | op::K;
const JSET: u16 = op::JMP | op::JSET | op::K;
const RET: u16 = op::RET | op::K;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::interpret;

    /// Long chains of operations are freed without deep recursion, on any stack.
    #[test]
    fn the_longest_programs_are_freed() {
        for len in [MAX_LEN, MAX_LEN + 1, 300_000] {
            let mut insns = vec![Insn::jump(JEQ, 0, 0, 0); len];
            insns[len - 1] = Insn::stmt(RET, 3);
            let run = move || {
                let decoded = Decoded::new(&insns).expect("valid");
                decoded.run(&insns, &[], 0, &Aux::NONE)
            };
            let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(run);
            assert_eq!(thread.expect("a thread").join().ok(), Some(3));
        }
    }

    /// Jumps into the middle of what was fused.
    #[test]
    fn runs_may_be_entered_anywhere() {
        for into in 0..4 {
            let insns = [
                Insn::stmt(LDX_IMM, 1),
                Insn::stmt(LDH_ABS, 0),
                Insn::stmt(JA, into),
                Insn::stmt(LDXB_MSH, 2),
                Insn::stmt(LDH_IND, 1),
                Insn::jump(JEQ, 0x0607, 0, 1),
                Insn::stmt(RET, 1),
                Insn::stmt(RET, 2),
            ];
            let decoded = Decoded::new(&insns).expect("valid");
            for packet in [&[0, 0, 1, 3, 4, 6, 7][..], &[6, 7, 6, 7], &[1, 2, 3]] {
                let expected = interpret(&insns, packet, 7, &Aux::NONE);
                assert_eq!(decoded.run(&insns, packet, 7, &Aux::NONE), expected);
            }
        }
    }
}
