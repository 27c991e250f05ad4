//! Programs decoded once for a fast interpreter.
//!
//! Every instruction becomes an operation that knows the function which does it and its successors,
//! by reference: going on is two loads and a jump, without a position to compute and to check (for
//! how the functions call each other see [`interpreter`](super::interpreter)). Common runs of
//! instructions become one operation: a header length, a load, a mask and a test, or any part of
//! this. Those who jump into a run find its instructions as operations, too. What is not common is
//! left to the interpreter for instructions as they are, from there on.

use super::code::*;
use super::interpreter::{
    WINDOW, byte, continue_from, half, header_len, indexed, keep_apart, word,
};
use super::{Aux, Insn, InvalidProgram, aux, check, interpret};
use std::sync::Arc;

/// Longest program that is decoded; longer ones run as they are. It bounds the stack in builds where
/// calls are no jumps.
const MAX_LEN: usize = WINDOW;

/// A decoded program. Made of strictly valid programs only.
#[derive(Debug)]
pub(super) struct Decoded {
    first: Arc<Op>,
    /// For each instruction its operation, to be freed in this order: the other way round the
    /// first would free the second, this the third and so on, recursively.
    _all: Box<[Arc<Op>]>,
}

/// One instruction, or a run of them.
#[derive(Debug)]
struct Op {
    operation: Operation,
    operands: Operands,
    /// The next operation, or the one behind a test that is true.
    taken: Next,
    /// The one behind a test that is not.
    not_taken: Next,
}

/// `None` where there is none: behind a return.
type Next = Option<Arc<Op>>;

#[derive(Debug, Default)]
struct Operands {
    /// Where the header length lies; also whatever an instruction by itself has.
    k: u32,
    /// Offset of the load.
    offset: u32,
    mask: u32,
    /// What the test compares with.
    c: u32,
    /// What it compares with next.
    or: u32,
}

/// Does an operation with this accumulator and index register, and all that come after it.
type Operation = fn(&Op, u32, u32, &[u8], &Run<'_>) -> u32;

/// What is the same for all operations of a run.
struct Run<'r> {
    insns: &'r [Insn],
    wirelen: u32,
    aux: &'r Aux,
}

impl Decoded {
    /// Decodes a program that [`check`] takes.
    pub(super) fn new(insns: &[Insn]) -> Result<Self, InvalidProgram> {
        check(insns)?;
        if insns.len() > MAX_LEN {
            return Ok(Self { first: alone(as_it_is, 0, None), _all: Box::default() });
        }
        // From the end, so that successors are there.
        let mut ops: Vec<Arc<Op>> = Vec::with_capacity(insns.len());
        for pc in (0..insns.len()).rev() {
            let op = decode(&insns[pc..], pc, &ops);
            ops.push(op);
        }
        ops.reverse();
        Ok(Self { first: ops[0].clone(), _all: ops.into() })
    }

    /// Runs the program, which was made from `insns`: see [`interpret`].
    #[inline(always)]
    pub(super) fn run(&self, insns: &[Insn], packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        let first = &self.first;
        (first.operation)(first, 0, 0, packet, &Run { insns, wirelen, aux })
    }
}

/// Goes on with the next operation. For `COPY` see `interpreter::go_on`.
#[inline(always)]
fn go_on<const COPY: u8>(next: &Next, a: u32, x: u32, packet: &[u8], run: &Run<'_>) -> u32 {
    let Some(op) = next else { return 0 };
    keep_apart::<COPY>();
    (op.operation)(op, a, x, packet, run)
}

fn ret_k(op: &Op, _: u32, _: u32, _: &[u8], _: &Run<'_>) -> u32 {
    op.operands.k
}

fn ldx_imm(op: &Op, a: u32, _: u32, packet: &[u8], run: &Run<'_>) -> u32 {
    go_on::<0>(&op.taken, a, op.operands.k, packet, run)
}

fn ldx_msh(op: &Op, a: u32, _: u32, packet: &[u8], run: &Run<'_>) -> u32 {
    match byte(packet, op.operands.k as usize) {
        Some(byte) => go_on::<0>(&op.taken, a, header_len(byte), packet, run),
        None => 0,
    }
}

/// Leaves a whole program to the other interpreter.
fn as_it_is(_: &Op, _: u32, _: u32, packet: &[u8], run: &Run<'_>) -> u32 {
    interpret(run.insns, packet, run.wirelen, run.aux)
}

/// Leaves it to the other interpreter from instruction `k` on.
#[cold]
fn other(op: &Op, a: u32, x: u32, packet: &[u8], run: &Run<'_>) -> u32 {
    let at = &run.insns[op.operands.k as usize..];
    continue_from(run.insns, at, (a, x), packet, run.wirelen, run.aux)
}

/// Where a load of a fused operation takes its offset from.
mod load {
    pub(super) const NONE: u8 = 0;
    pub(super) const ABS: u8 = 1;
    pub(super) const IND: u8 = 2;
    /// Behind a header whose length is loaded first.
    pub(super) const BEHIND: u8 = 3;
}

/// The test at the end of a fused operation.
mod test {
    pub(super) const NONE: u8 = 0;
    pub(super) const EQ: u8 = 1;
    /// Equal to one of two.
    pub(super) const EQ_EITHER: u8 = 2;
    pub(super) const GT: u8 = 3;
    pub(super) const GE: u8 = 4;
    pub(super) const SET: u8 = 5;
}

/// A load of `SIZE` bytes, a mask and a test, as far as they are wanted.
fn fused<const LOAD: u8, const SIZE: u8, const MASK: bool, const TEST: u8>(
    op: &Op,
    mut a: u32,
    mut x: u32,
    packet: &[u8],
    run: &Run<'_>,
) -> u32 {
    let Operands { k, offset, mask, c, or } = op.operands;
    if LOAD == load::BEHIND {
        let Some(byte) = byte(packet, k as usize) else { return 0 };
        x = header_len(byte);
    }
    if LOAD != load::NONE {
        let offset = match LOAD {
            load::ABS => Some(offset as usize),
            _ => indexed(x, offset),
        };
        let Some(offset) = offset else { return 0 };
        let value = match SIZE {
            1 => byte(packet, offset),
            2 => half(packet, offset),
            _ => word(packet, offset),
        };
        let Some(value) = value else { return 0 };
        a = value;
    }
    if MASK {
        a &= mask;
    }
    let taken = match TEST {
        test::EQ => a == c,
        test::EQ_EITHER => a == c || a == or,
        test::GT => a > c,
        test::GE => a >= c,
        test::SET => a & c != 0,
        _ => true,
    };
    // A real branch: see `interpreter::branch`.
    if taken {
        go_on::<0>(&op.taken, a, x, packet, run)
    } else {
        go_on::<1>(&op.not_taken, a, x, packet, run)
    }
}

/// The function for a fused operation.
fn fusion(load: u8, size: u8, mask: bool, test: u8) -> Operation {
    fn masked<const LOAD: u8, const SIZE: u8>(mask: bool, test: u8) -> Operation {
        match mask {
            true => tested::<LOAD, SIZE, true>(test),
            false => tested::<LOAD, SIZE, false>(test),
        }
    }
    fn tested<const LOAD: u8, const SIZE: u8, const MASK: bool>(test: u8) -> Operation {
        match test {
            test::EQ => fused::<LOAD, SIZE, MASK, { test::EQ }>,
            test::EQ_EITHER => fused::<LOAD, SIZE, MASK, { test::EQ_EITHER }>,
            test::GT => fused::<LOAD, SIZE, MASK, { test::GT }>,
            test::GE => fused::<LOAD, SIZE, MASK, { test::GE }>,
            test::SET => fused::<LOAD, SIZE, MASK, { test::SET }>,
            _ => fused::<LOAD, SIZE, MASK, { test::NONE }>,
        }
    }
    match (load, size) {
        (load::ABS, 1) => masked::<{ load::ABS }, 1>(mask, test),
        (load::ABS, 2) => masked::<{ load::ABS }, 2>(mask, test),
        (load::ABS, _) => masked::<{ load::ABS }, 4>(mask, test),
        (load::IND, 1) => masked::<{ load::IND }, 1>(mask, test),
        (load::IND, 2) => masked::<{ load::IND }, 2>(mask, test),
        (load::IND, _) => masked::<{ load::IND }, 4>(mask, test),
        (load::BEHIND, 1) => masked::<{ load::BEHIND }, 1>(mask, test),
        (load::BEHIND, 2) => masked::<{ load::BEHIND }, 2>(mask, test),
        (load::BEHIND, _) => masked::<{ load::BEHIND }, 4>(mask, test),
        _ => masked::<{ load::NONE }, 0>(mask, test),
    }
}

/// An operation of one instruction.
fn alone(operation: Operation, k: u32, taken: Next) -> Arc<Op> {
    let operands = Operands { k, ..Operands::default() };
    Arc::new(Op { operation, operands, taken, not_taken: None })
}

/// Decodes the first of some instructions together with those it can be fused with. `pc` is its
/// position, `behind` has the operations behind it, the last of the program first.
fn decode(insns: &[Insn], pc: usize, behind: &[Arc<Op>]) -> Arc<Op> {
    let Insn { code, k, .. } = insns[0];
    let after = |count: usize| behind[behind.len() - count].clone();
    match code {
        RET_K => alone(ret_k, k, None),
        LDX_IMM => alone(ldx_imm, k, Some(after(1))),
        JA if (k as i32) >= 0 => after(1 + k as usize),
        _ if aux::is_absolute_load(code) && aux::slot(k).is_some() => alone(other, pc as u32, None),
        _ => fuse(insns, after).unwrap_or_else(|| match code {
            LDX_MSH => alone(ldx_msh, k, Some(after(1))),
            _ => alone(other, pc as u32, None),
        }),
    }
}

/// As many of some instructions as one operation can do; `None` if it cannot do the first.
fn fuse(insns: &[Insn], after: impl Fn(usize) -> Arc<Op>) -> Option<Arc<Op>> {
    let mut operands = Operands::default();
    let mut rest = insns;
    let mut load = load::NONE;
    if let [Insn { code: LDX_MSH, k, .. }, behind @ ..] = rest {
        (load, operands.k, rest) = (load::BEHIND, *k, behind);
    }
    let mut size = 0;
    if let [Insn { code, k, .. }, behind @ ..] = rest {
        let (from, bytes) = match *code {
            LD_W_ABS => (load::ABS, 4),
            LD_H_ABS => (load::ABS, 2),
            LD_B_ABS => (load::ABS, 1),
            LD_W_IND => (load::IND, 4),
            LD_H_IND => (load::IND, 2),
            LD_B_IND => (load::IND, 1),
            _ => (load::NONE, 0),
        };
        match (load, from) {
            (_, load::NONE) if load == load::BEHIND => return None,
            (load::BEHIND, load::ABS) => return None,
            (_, load::NONE) => (),
            _ => {
                load = load.max(from);
                (size, operands.offset, rest) = (bytes, *k, behind);
            }
        }
    }
    let mut mask = false;
    if let [Insn { code: AND_K, k, .. }, behind @ ..] = rest {
        (mask, operands.mask, rest) = (true, *k, behind);
    }
    let test = match rest[0].code {
        JEQ_K if is_either(rest) => test::EQ_EITHER,
        JEQ_K => test::EQ,
        JGT_K => test::GT,
        JGE_K => test::GE,
        JSET_K => test::SET,
        _ => test::NONE,
    };
    let mut done = insns.len() - rest.len();
    let (taken, not_taken) = match test {
        test::NONE if done == 0 => return None,
        test::NONE => (after(done), None),
        _ => {
            operands.c = rest[0].k;
            done += 1;
            if test == test::EQ_EITHER {
                operands.or = rest[1].k;
                done += 1;
            }
            let Insn { jt, jf, .. } = insns[done - 1];
            (after(done + usize::from(jt)), Some(after(done + usize::from(jf))))
        }
    };
    let operation = fusion(load, size, mask, test);
    Some(Arc::new(Op { operation, operands, taken: Some(taken), not_taken }))
}

/// Whether two tests in a row go to the same place when true, and the first only goes to the second
/// when not.
fn is_either(insns: &[Insn]) -> bool {
    matches!(insns, [Insn { jt: 1.., jf: 0, .. }, Insn { code: JEQ_K, .. }, ..])
        && insns[0].jt - 1 == insns[1].jt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::interpret;

    /// Long chains of operations run and are freed without deep recursion, calls being jumps or not.
    #[test]
    fn the_longest_programs_are_freed() {
        for len in [MAX_LEN, MAX_LEN + 1, 300_000] {
            let mut insns = vec![Insn::jump(JEQ_K, 0, 0, 0); len];
            insns[len - 1] = Insn::stmt(RET_K, 3);
            let run = move || {
                let decoded = Decoded::new(&insns).expect("valid");
                decoded.run(&insns, &[], 0, &Aux::NONE)
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(run);
            assert_eq!(thread.expect("a thread").join().ok(), Some(3));
        }
    }

    /// Jumps into the middle of what was fused.
    #[test]
    fn runs_may_be_entered_anywhere() {
        for into in 0..4 {
            let insns = [
                Insn::stmt(LDX_IMM, 1),
                Insn::stmt(LD_H_ABS, 0),
                Insn::stmt(JA, into),
                Insn::stmt(LDX_MSH, 2),
                Insn::stmt(LD_H_IND, 1),
                Insn::jump(JEQ_K, 0x0607, 0, 1),
                Insn::stmt(RET_K, 1),
                Insn::stmt(RET_K, 2),
            ];
            let decoded = Decoded::new(&insns).expect("valid");
            for packet in [&[0, 0, 1, 3, 4, 6, 7][..], &[6, 7, 6, 7], &[1, 2, 3]] {
                let expected = interpret(&insns, packet, 7, &Aux::NONE);
                assert_eq!(decoded.run(&insns, packet, 7, &Aux::NONE), expected);
            }
        }
    }
}
