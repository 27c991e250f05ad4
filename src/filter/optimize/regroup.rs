//! Tests of the same value side by side.
//!
//! In `a or b or c` the order of the tests does not change the outcome; in a chain of blocks that
//! all leave by the same exit, those that test the same value are brought together (keeping their
//! order otherwise), so that the value is loaded once.

use super::flow::{Flow, Regs};
use super::values::{ACC, Value, Values};
use crate::filter::cfg::{Block, BlockId, Cfg, Term, TestOp};

/// Regroups every chain: first of blocks with the same "true" target linked by "false", then the
/// other way round. The graph keeps its shape; only contents of blocks trade places.
pub(super) fn regroup_chains(
    cfg: &mut Cfg,
    flow: &mut Flow,
    values: &Values,
    work: &mut RegroupWork,
) -> bool {
    if flow.exact {
        return false;
    }
    work.prepare(cfg, flow, values);
    let mut changed = false;
    for exit in [true, false] {
        for at in (0..flow.post.len()).rev() {
            let id = flow.post[at];
            if work.chain_from(cfg, flow, id, exit) {
                changed |= work.regroup(cfg, flow, values, exit);
            }
        }
    }
    changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct RegroupWork {
    /// Value that each block tests; travels with the block's contents.
    tested: Vec<Value>,
    /// Last chain that a block was in, per exit.
    in_chain: Vec<[bool; 2]>,
    chain: Vec<BlockId>,
    /// Group of each value in the chain at hand.
    group_of: Vec<u32>,
    groups: Vec<Vec<u32>>,
}

const NO_GROUP: u32 = u32::MAX;

impl RegroupWork {
    fn prepare(&mut self, cfg: &Cfg, flow: &Flow, values: &Values) {
        self.tested.clear();
        self.tested.resize(cfg.blocks.len(), 0);
        for &id in &flow.post {
            self.tested[id.index()] = values.at_exit(id, ACC);
        }
        self.in_chain.clear();
        self.in_chain.resize(cfg.blocks.len(), [false; 2]);
        self.group_of.clear();
        self.group_of.resize(values.len(), NO_GROUP);
    }

    /// Collects the chain that begins at a block; false when there is nothing to regroup.
    fn chain_from(&mut self, cfg: &Cfg, flow: &Flow, head: BlockId, exit: bool) -> bool {
        self.chain.clear();
        let Some((target, mut next)) = exits(cfg, head, exit) else {
            return false;
        };
        if self.in_chain[head.index()][usize::from(exit)] {
            return false;
        }
        self.chain.push(head);
        while let Some((same, after)) = exits(cfg, next, exit)
            && same == target
            && flow.incoming[next.index()] == 1
        {
            self.in_chain[next.index()][usize::from(exit)] = true;
            self.chain.push(next);
            next = after;
        }
        self.chain.len() > 1
    }

    /// Regroups the chain, stretch by stretch between blocks that must stay where they are.
    fn regroup(&mut self, cfg: &mut Cfg, flow: &mut Flow, values: &Values, exit: bool) -> bool {
        let last = self.chain[self.chain.len() - 1];
        let Some((target, end)) = exits(cfg, last, exit) else {
            return false;
        };
        let exposed = |id: &BlockId| flow.exposed[id.index()];
        let mut read: Regs = flow.live_in[target.index()] | flow.live_in[end.index()];
        read |= self.chain.iter().map(exposed).fold(0, |sum, regs| sum | regs);
        let pinned = |id: BlockId| flow.written[id.index()] & read != 0 || exposed(&id) != 0;
        let stays: Vec<bool> = self.chain.iter().map(|&id| pinned(id)).collect();
        let mut changed = false;
        let mut from = 0;
        while from < self.chain.len() {
            let len = stays[from..].iter().take_while(|&&stays| !stays).count();
            if len > 1 {
                changed |= self.regroup_stretch(cfg, flow, values, from..from + len);
            }
            from += len + 1;
        }
        changed
    }

    fn regroup_stretch(
        &mut self,
        cfg: &mut Cfg,
        flow: &mut Flow,
        values: &Values,
        stretch: std::ops::Range<usize>,
    ) -> bool {
        let places = &self.chain[stretch];
        // The value that the accumulator holds on arrival comes first if it is tested here.
        let arriving = values.at_entry(places[0], ACC);
        let mut used = 0;
        let arrives = places.iter().any(|id| self.tested[id.index()] == arriving);
        let tested = places.iter().map(|id| self.tested[id.index()]);
        for value in arrives.then_some(arriving).into_iter().chain(tested) {
            if self.group_of[value as usize] == NO_GROUP {
                self.group_of[value as usize] = used as u32;
                used += 1;
            }
        }
        if self.groups.len() < used {
            self.groups.resize_with(used, Vec::new);
        }
        for id in places {
            let group = self.group_of[self.tested[id.index()] as usize];
            self.groups[group as usize].push(id.0);
        }
        let order: Vec<BlockId> =
            self.groups[..used].iter_mut().flat_map(|group| group.drain(..)).map(BlockId).collect();
        for id in places {
            self.group_of[self.tested[id.index()] as usize] = NO_GROUP;
        }
        if order == places {
            return false;
        }
        let contents: Vec<Contents> =
            order.iter().map(|&id| Contents::take(cfg, flow, &self.tested, id)).collect();
        for (&id, contents) in places.iter().zip(contents) {
            contents.put(cfg, flow, &mut self.tested, id);
        }
        true
    }
}

/// The exit of a chain at a block and the block's other successor.
fn exits(cfg: &Cfg, id: BlockId, exit: bool) -> Option<(BlockId, BlockId)> {
    match cfg.block(id).term {
        Term::If { jt, jf, .. } if jt != jf => Some(if exit { (jt, jf) } else { (jf, jt) }),
        _ => None,
    }
}

/// A block without its place in the graph.
struct Contents {
    start: u32,
    len: u32,
    test: Option<TestOp>,
    tested: Value,
    written: Regs,
    exposed: Regs,
}

impl Contents {
    fn take(cfg: &Cfg, flow: &Flow, tested: &[Value], id: BlockId) -> Self {
        let Block { start, len, term } = *cfg.block(id);
        let test = if let Term::If { test, .. } = term { Some(test) } else { None };
        let at = id.index();
        let (written, exposed) = (flow.written[at], flow.exposed[at]);
        Self { start, len, test, tested: tested[at], written, exposed }
    }

    fn put(self, cfg: &mut Cfg, flow: &mut Flow, tested: &mut [Value], id: BlockId) {
        let block = &mut cfg.blocks[id.index()];
        block.start = self.start;
        block.len = self.len;
        if let (Term::If { test, .. }, Some(new)) = (&mut block.term, self.test) {
            *test = new;
        }
        tested[id.index()] = self.tested;
        flow.written[id.index()] = self.written;
        flow.exposed[id.index()] = self.exposed;
    }
}
