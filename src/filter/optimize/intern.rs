//! Common tails: blocks that do the same become one.

use super::flow::Flow;
use super::values::hash;
use crate::bpf::Insn;
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};

/// Sends every edge to the first of all equal blocks. Blocks are compared successors first, so
/// one sweep finds every equality.
pub(super) fn intern_blocks(cfg: &mut Cfg, flow: &Flow) -> bool {
    let mut table: Vec<u32> = vec![u32::MAX; (flow.post.len() * 2).next_power_of_two()];
    let mut first_equal: Vec<BlockId> = (0..cfg.blocks.len() as u32).map(BlockId).collect();
    let mask = table.len() - 1;
    let mut changed = false;
    for &id in &flow.post {
        let term = &mut cfg.blocks[id.index()].term;
        redirect(term, |to| first_equal[to.index()]);
        let mut slot = hash_block(cfg, id) as usize & mask;
        loop {
            match table[slot] {
                u32::MAX => {
                    table[slot] = id.0;
                    break;
                }
                other if equal(cfg, BlockId(other), id) => {
                    first_equal[id.index()] = BlockId(other);
                    changed = true;
                    break;
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }
    cfg.root = first_equal[cfg.root.index()];
    changed
}

/// Maps the successors of a block.
pub(super) fn redirect(term: &mut Term, to: impl Fn(BlockId) -> BlockId) {
    match term {
        Term::Ret(_) => {}
        Term::Goto(next) => *next = to(*next),
        Term::If { jt, jf, .. } => {
            *jt = to(*jt);
            *jf = to(*jf);
        }
    }
}

fn equal(cfg: &Cfg, a: BlockId, b: BlockId) -> bool {
    cfg.block(a).term == cfg.block(b).term && cfg.insns_of(a) == cfg.insns_of(b)
}

fn hash_block(cfg: &Cfg, id: BlockId) -> u32 {
    let seed = match cfg.block(id).term {
        Term::Ret(k) => hash(1, k, 0),
        Term::Goto(to) => hash(2, to.0, 0),
        Term::If { test, jt, jf } => match test {
            TestOp::Compare(compare) => hash(compare.code, compare.k, hash(3, jt.0, jf.0)),
            TestOp::In(set) => hash(4, set.0, hash(3, jt.0, jf.0)),
        },
    };
    cfg.insns_of(id).iter().fold(seed, |sum, Insn { code, k, .. }| hash(*code, *k, sum))
}
