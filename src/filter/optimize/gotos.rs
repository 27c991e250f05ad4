//! Unconditional jumps: none that needs not be.

use super::flow::{Flow, can_reject};
use super::intern::redirect;
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Makes tests that lead to the same block either way unconditional. Those behind a load that
/// may reject the packet stay, to keep it alive; all but the program's first, which needs no test
/// for that at this point.
pub(super) fn drop_tests(cfg: &mut Cfg, flow: &Flow) -> bool {
    let mut changed = false;
    for &id in &flow.post {
        let may_go = id == cfg.root || !cfg.insns_of(id).iter().any(can_reject);
        let term = &mut cfg.blocks[id.index()].term;
        if let Term::If { jt, jf, .. } = *term
            && jt == jf
            && may_go
        {
            *term = Term::Goto(jt);
            changed = true;
        }
    }
    changed
}

/// Leads edges past empty blocks and joins a block with the only block that goes to it.
pub(super) fn join_blocks(cfg: &mut Cfg, flow: &mut Flow) -> bool {
    if !flow.has_gotos {
        return false;
    }
    let mut changed = false;
    // Where an edge to a block really goes; successors first, so one step is enough.
    let mut real: Vec<BlockId> = (0..cfg.blocks.len() as u32).map(BlockId).collect();
    for &id in &flow.post {
        let block = &mut cfg.blocks[id.index()];
        let before = block.term;
        redirect(&mut block.term, |to| real[to.index()]);
        changed |= block.term != before;
        if let (Term::Goto(to), 0) = (block.term, block.len) {
            real[id.index()] = to;
        }
    }
    cfg.root = real[cfg.root.index()];
    flow.update(cfg);
    let mut joined = vec![false; cfg.blocks.len()];
    for &id in flow.post.iter().rev() {
        if !joined[id.index()] {
            changed |= join_chain(cfg, flow, id, &mut joined);
        }
    }
    changed
}

/// Takes the blocks that only `head` leads to into it.
fn join_chain(cfg: &mut Cfg, flow: &Flow, head: BlockId, joined: &mut [bool]) -> bool {
    let next_of = |cfg: &Cfg, id: BlockId| match cfg.block(id).term {
        Term::Goto(next) if flow.of(next).incoming == 1 => Some(next),
        _ => None,
    };
    let Some(first) = next_of(cfg, head) else {
        return false;
    };
    let start = cfg.insns.len() as u32;
    let mut last = head;
    let mut next = Some(first);
    cfg.insns.extend_from_within(cfg.range(head));
    while let Some(id) = next {
        cfg.insns.extend_from_within(cfg.range(id));
        joined[id.index()] = true;
        last = id;
        next = next_of(cfg, id);
    }
    let term = cfg.block(last).term;
    let block = &mut cfg.blocks[head.index()];
    block.start = start;
    block.len = cfg.insns.len() as u32 - start;
    block.term = term;
    true
}
