//! Turns jumps inside blocks into edges of the graph.

use crate::bpf::{Insn, op};
use crate::filter::cfg::{Block, BlockId, Cfg, Term, TestOp};
use crate::filter::cond::Compare;

/// Cuts blocks at their inner jumps. False when one of them goes backward: such a program loops
/// and is left as it is.
pub(super) fn split_blocks(cfg: &mut Cfg) -> bool {
    if !cfg.inner_jumps {
        return true;
    }
    let backward = |insn: &Insn| insn.code == op::JMP | op::JA && insn.k > i32::MAX as u32;
    if cfg.insns.iter().any(backward) {
        return false;
    }
    for id in 0..cfg.blocks.len() as u32 {
        split_block(cfg, BlockId(id));
    }
    (cfg.inner_jumps, cfg.in_order) = (false, false);
    true
}

fn split_block(cfg: &mut Cfg, id: BlockId) {
    let Block { start, len, term } = *cfg.block(id);
    let insns = cfg.insns_of(id);
    if !insns.iter().any(is_jump) {
        return;
    }
    // One block for each step where a jump arrives or that follows a jump, and one for the end.
    let mut block_at: Vec<Option<BlockId>> = vec![None; len as usize + 1];
    let mut leaders = vec![false; len as usize + 1];
    for (at, insn) in insns.iter().enumerate().filter(|(_, insn)| is_jump(insn)) {
        leaders[at + 1] = true;
        let (jt, jf) = targets(at, insn);
        leaders[jt] = true;
        leaders[jf] = true;
    }
    leaders[0] = true;
    block_at[0] = Some(id);
    for at in (1..=len as usize).filter(|&at| leaders[at]) {
        block_at[at] = Some(cfg.add_block(term));
    }
    let block_of = |at: usize| block_at[at].expect("jumps go to leaders");
    let mut at = 0;
    while at <= len as usize {
        let this = block_of(at);
        let end = (at + 1..=len as usize).find(|&next| leaders[next]);
        let mut stop = end.unwrap_or(len as usize);
        let last = (stop > at).then(|| cfg.insns[start as usize + stop - 1]);
        let term = match (end, last) {
            (Some(_), Some(insn)) if is_jump(&insn) => {
                stop -= 1;
                let (jt, jf) = targets(stop, &insn);
                match op::operation(insn.code) {
                    op::JA => Term::Goto(block_of(jt)),
                    _ => {
                        let test = TestOp::Compare(Compare { code: insn.code, k: insn.k });
                        Term::If { test, jt: block_of(jt), jf: block_of(jf) }
                    }
                }
            }
            (Some(next), _) => Term::Goto(block_of(next)),
            (None, _) => term,
        };
        let range = (start + at as u32, (stop - at) as u32);
        cfg.blocks[this.index()] = Block { start: range.0, len: range.1, term };
        at = end.unwrap_or(len as usize + 1);
    }
}

fn is_jump(insn: &Insn) -> bool {
    op::class(insn.code) == op::JMP
}

/// Steps that a jump at step `at` leads to.
fn targets(at: usize, insn: &Insn) -> (usize, usize) {
    match op::operation(insn.code) {
        op::JA => (at + 1 + insn.k as usize, at + 1 + insn.k as usize),
        _ => (at + 1 + insn.jt as usize, at + 1 + insn.jf as usize),
    }
}
