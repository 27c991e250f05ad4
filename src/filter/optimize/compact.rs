//! Blocks in program order, side by side.

use super::flow::Flow;
use super::intern::redirect;
use crate::filter::cfg::{BlockId, Cfg, Walk};

/// Graphs of so many blocks fit into the caches as they are.
const SMALL: usize = 1 << 12;

/// Drops blocks that the root does not reach and numbers the others in program order, each before its
/// successors. Passes then go through memory from one end to the other, and need no walk to find an
/// order: what they do to edges leads these nearer to the end.
pub(super) fn in_program_order(cfg: &mut Cfg) {
    cfg.in_order = true;
    const UNSEEN: u32 = u32::MAX;
    let mut place = vec![UNSEEN; cfg.blocks.len()];
    let mut order = Vec::with_capacity(cfg.blocks.len());
    let mut discover = |id: BlockId| std::mem::replace(&mut place[id.index()], 0) == UNSEEN;
    let mut walk = Walk::start(cfg, &mut discover);
    while let Some(id) = walk.next(cfg, &mut discover) {
        order.push(id);
    }
    for (new, id) in (0..).zip(order.iter().rev()) {
        place[id.index()] = new;
    }
    let moved = |id: BlockId| BlockId(place[id.index()]);
    let blocks = order.iter().rev().map(|&id| {
        let mut block = *cfg.block(id);
        redirect(&mut block.term, moved);
        block
    });
    cfg.blocks = blocks.collect();
    cfg.root = BlockId(0);
}

/// Where most blocks of a large graph can no longer be reached, moves the others and their
/// instructions together; true when it did.
pub(super) fn drop_unreachable(cfg: &mut Cfg, flow: &Flow) -> bool {
    let count = flow.post.len();
    if count <= SMALL || count > cfg.blocks.len() / 2 {
        return false;
    }
    let mut place = vec![BlockId(0); cfg.blocks.len()];
    for (new, id) in (0..).zip(flow.post.iter().rev()) {
        place[id.index()] = BlockId(new);
    }
    let mut blocks = Vec::with_capacity(count);
    let mut insns = Vec::with_capacity(cfg.insns.len().min(2 * count));
    for &id in flow.post.iter().rev() {
        let mut block = *cfg.block(id);
        block.start = insns.len() as u32;
        insns.extend_from_slice(cfg.insns_of(id));
        redirect(&mut block.term, |to| place[to.index()]);
        blocks.push(block);
    }
    cfg.root = BlockId(0);
    (cfg.blocks, cfg.insns) = (blocks, insns);
    true
}
