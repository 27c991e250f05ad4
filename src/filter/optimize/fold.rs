//! Constant folding and removal of loads and stores that change nothing.

use super::dead::shake;
use super::facts::Question;
use super::flow::{Flow, X, is_fixed_load, is_msh, term_uses, uses};
use super::values::{ACC, IDX, Value, Values};
use crate::bpf::{Insn, op};
use crate::filter::cfg::{Cfg, Term, TestOp};

/// Rewrites instructions by the values that registers are known to have; drops those whose
/// target holds the value already, and then what the block computes in vain. Doing both block by
/// block keeps a value that nobody asked for so far from being kept for a later block: scratch
/// words would stay alive from one end of the program to the other. True when that opened the way
/// for more: not when all that went were loads of what the register held already.
///
/// `tested` has the value that each block tests, if that is known.
pub(super) fn fold_insns(
    cfg: &mut Cfg,
    flow: &Flow,
    values: &mut Values,
    tested: Option<&[Question]>,
) -> bool {
    let mut changed = false;
    if tested.is_none() {
        values.reset(cfg);
    }
    values.begin(cfg, flow, true);
    for &id in flow.post.iter().rev() {
        values.enter(id, flow.of(id).exposed);
        let block = &mut cfg.blocks[id.index()];
        let insns = &mut cfg.insns[block.start as usize..][..block.len as usize];
        let mut kept = 0;
        let known = match (tested, &*insns) {
            (Some(tested), [load]) if is_fixed_load(load) => Some(tested[id.index()].value),
            _ => None,
        };
        for at in 0..insns.len() {
            let folded = match known {
                Some(value) => (value != values.now(ACC)).then_some((insns[at], value)),
                None => fold(values, &insns[at]),
            };
            let Some((insn, value)) = folded else {
                continue;
            };
            changed |= insn != insns[at];
            insns[kept] = insn;
            kept += 1;
            values.set(&insn, value);
        }
        block.len = kept as u32;
        // A test needs the only load before it.
        if known.is_none() || !matches!(block.term, Term::If { .. }) {
            let live = flow.live_out(&block.term) | term_uses(&block.term);
            let lost = shake(cfg, id, live, flow.exact).lost;
            values.forget(lost);
            changed |= lost != 0;
        }
        values.leave(id, &cfg.block(id).term);
    }
    changed
}

/// Whether every block is an end of the program, or tests what it loads: from a fixed place, or from one behind
/// an IPv4 header.
pub(super) fn all_load_and_test(cfg: &Cfg, flow: &Flow) -> bool {
    flow.post.iter().all(|&id| match (cfg.insns_of(id), cfg.block(id).term) {
        ([], Term::Ret(_)) => true,
        ([load], Term::If { .. }) => is_fixed_load(load),
        ([length, load], Term::If { .. }) => is_msh(length) && uses(load) == X,
        _ => false,
    })
}

/// [`fold_insns`] for such a program, whose blocks test the values `tested`: drops loads of what registers hold.
/// Where the accumulator holds a value behind a header, the index register still has that header's length.
pub(super) fn drop_repeated_loads(
    cfg: &mut Cfg,
    flow: &Flow,
    values: &mut Values,
    tested: &[Question],
) {
    values.begin(cfg, flow, true);
    for &id in flow.post.iter().rev() {
        let block = &mut cfg.blocks[id.index()];
        let Term::If { jt, jf, .. } = block.term else { continue };
        let value = tested[id.index()].value;
        let (held, mut index) = (values.at_entry(id, ACC), values.at_entry(id, IDX));
        if held == value {
            block.len = 0;
        } else if block.len == 2 {
            let length = values.of_insn(&cfg.insns[block.start as usize]);
            let repeated = u32::from(length == index);
            block.start += repeated;
            block.len -= repeated;
            index = length;
        }
        values.leave_with(id, [value, index], [jt, jf]);
    }
}

/// What becomes of an instruction, and its value; `None` when it is not needed.
fn fold(values: &mut Values, insn: &Insn) -> Option<(Insn, Value)> {
    let class = op::class(insn.code);
    if matches!(class, op::ST | op::STX) {
        let source = values.now(if class == op::ST { ACC } else { IDX });
        return (values.word_now(insn.k) != source).then_some((*insn, 0));
    }
    let tax = insn.code == op::MISC | op::TAX;
    let target = if class == op::LDX || tax { IDX } else { ACC };
    let value = values.of_insn(insn);
    if value == values.now(target) {
        return None;
    }
    let by_memory = matches!(class, op::LD | op::LDX) && op::mode(insn.code) == op::MEM;
    if (class == op::ALU || by_memory)
        && let Some(k) = values.constant(value)
    {
        let load = if class == op::LDX { op::LDX } else { op::LD };
        return Some((Insn::stmt(load | op::IMM, k), value));
    }
    let simpler = match class {
        op::LD if op::mode(insn.code) == op::IND => absolute(values, insn),
        op::ALU if op::src(insn.code) == op::X && op::operation(insn.code) != op::NEG => {
            by_constant(values, insn, value)
        }
        _ => *insn,
    };
    Some((simpler, value))
}

/// An indexed load with a known index is an absolute one.
fn absolute(values: &Values, insn: &Insn) -> Insn {
    match values.constant(values.now(IDX)).and_then(|base| values.add_offsets(base, insn.k)) {
        Some(k) => Insn::stmt(op::LD | op::size(insn.code) | op::ABS, k),
        None => *insn,
    }
}

/// Arithmetic with a known index register, or with no effect beyond copying it.
fn by_constant(values: &Values, insn: &Insn, value: Value) -> Insn {
    if value == values.now(IDX) {
        return Insn::stmt(op::MISC | op::TXA, 0);
    }
    let operation = op::operation(insn.code);
    match values.constant(values.now(IDX)) {
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
