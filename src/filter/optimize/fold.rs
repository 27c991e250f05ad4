//! Constant folding and removal of loads and stores that change nothing.

use super::flow::Flow;
use super::values::{ACC, IDX, Value, Values};
use crate::bpf::{Insn, op};
use crate::filter::cfg::{Cfg, Term, TestOp};

/// Rewrites instructions by the values that registers are known to have; drops those whose
/// target holds the value already.
pub(super) fn fold_insns(cfg: &mut Cfg, flow: &Flow, values: &mut Values) -> bool {
    values.number(cfg, flow, fold)
}

/// What becomes of an instruction; `None` when it is not needed.
fn fold(values: &mut Values, insn: &Insn, state: &[Value]) -> Option<Insn> {
    let class = op::class(insn.code);
    if matches!(class, op::ST | op::STX) {
        let source = state[if class == op::ST { ACC } else { IDX }];
        return (state[2 + (insn.k as usize & 15)] != source).then_some(*insn);
    }
    let tax = insn.code == op::MISC | op::TAX;
    let target = if class == op::LDX || tax { IDX } else { ACC };
    let value = values.of_insn(insn, state);
    if value == state[target] {
        return None;
    }
    let by_memory = matches!(class, op::LD | op::LDX) && op::mode(insn.code) == op::MEM;
    if (class == op::ALU || by_memory)
        && let Some(k) = values.constant(value)
    {
        let load = if class == op::LDX { op::LDX } else { op::LD };
        return Some(Insn::stmt(load | op::IMM, k));
    }
    match class {
        op::LD if op::mode(insn.code) == op::IND => Some(absolute(values, insn, state)),
        op::ALU if op::src(insn.code) == op::X && op::operation(insn.code) != op::NEG => {
            Some(by_constant(values, insn, state, value))
        }
        _ => Some(*insn),
    }
}

/// An indexed load with a known index is an absolute one.
fn absolute(values: &Values, insn: &Insn, state: &[Value]) -> Insn {
    match values.constant(state[IDX]).and_then(|base| values.add_offsets(base, insn.k)) {
        Some(k) => Insn::stmt(op::LD | op::size(insn.code) | op::ABS, k),
        None => *insn,
    }
}

/// Arithmetic with a known index register, or with no effect beyond copying it.
fn by_constant(values: &Values, insn: &Insn, state: &[Value], value: Value) -> Insn {
    if value == state[IDX] {
        return Insn::stmt(op::MISC | op::TXA, 0);
    }
    let operation = op::operation(insn.code);
    match values.constant(state[IDX]) {
        // Programs that divide by a constant 0 or shift by more than 31 are refused by kernels;
        // with the index register they are fine.
        Some(0) if matches!(operation, op::DIV | op::MOD) => *insn,
        Some(32..) if matches!(operation, op::LSH | op::RSH) => *insn,
        Some(k) => Insn::stmt(op::ALU | operation | op::K, k),
        None => *insn,
    }
}

/// Makes tests of values that do not depend on the packet unconditional, and compares with
/// constants where the index register is one.
pub(super) fn fold_tests(cfg: &mut Cfg, flow: &Flow, values: &Values) -> bool {
    let mut changed = false;
    for &id in &flow.post {
        let Term::If { test: TestOp::Compare(mut compare), jt, jf } = cfg.block(id).term else {
            continue;
        };
        if op::src(compare.code) == op::X
            && let Some(k) = values.constant(values.at_exit(id, IDX))
        {
            compare.code &= !op::X;
            compare.k = k;
            changed = true;
        }
        let mut term = Term::If { test: TestOp::Compare(compare), jt, jf };
        if op::src(compare.code) == op::K
            && let Some(a) = values.constant(values.at_exit(id, ACC))
        {
            term = Term::Goto(if holds(compare.code, a, compare.k) { jt } else { jf });
            changed = true;
        }
        cfg.blocks[id.index()].term = term;
    }
    changed
}

/// A comparison of constants.
pub(super) fn holds(code: u16, a: u32, k: u32) -> bool {
    match op::operation(code) {
        op::JEQ => a == k,
        op::JGT => a > k,
        op::JGE => a >= k,
        _ => a & k != 0,
    }
}
