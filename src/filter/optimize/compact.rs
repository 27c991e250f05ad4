//! Blocks that are left, side by side.

use super::flow::Flow;
use super::intern::redirect;
use crate::filter::cfg::{BlockId, Cfg};

/// Graphs of so many blocks fit into the caches as they are.
const SMALL: usize = 1 << 12;

/// Where most blocks of a large graph can no longer be reached, moves the others and their
/// instructions together, in program order; true when it did. Passes that follow read memory from
/// one end to the other rather than a little of every cache line.
pub(super) fn drop_unreachable(cfg: &mut Cfg, flow: &Flow) -> bool {
    let count = flow.post.len();
    if count <= SMALL || count > cfg.blocks.len() / 2 {
        return false;
    }
    let moved = |id: BlockId| BlockId(count as u32 - 1 - flow.of(id).place);
    let mut blocks = Vec::with_capacity(count);
    let mut insns = Vec::with_capacity(cfg.insns.len().min(2 * count));
    for &id in flow.post.iter().rev() {
        let mut block = *cfg.block(id);
        block.start = insns.len() as u32;
        insns.extend_from_slice(cfg.insns_of(id));
        redirect(&mut block.term, moved);
        blocks.push(block);
    }
    cfg.root = moved(cfg.root);
    (cfg.blocks, cfg.insns) = (blocks, insns);
    true
}
