//! Tests of the same value side by side.
//!
//! In `a or b or c` the order of the tests does not change the outcome; in a chain of blocks that
//! all leave by the same exit, those that test the same value are brought together (keeping their
//! order otherwise), so that the value is loaded once.

use super::facts::Question;
use super::flow::{Flow, Regs, successors};
use super::values::Value;
use crate::filter::cfg::{Block, BlockId, Cfg, Term, TestOp};

/// Regroups every chain: first of blocks with the same "true" target linked by "false", then the
/// other way round. The graph keeps its shape; only contents of blocks trade places.
pub(super) fn regroup_chains(
    cfg: &mut Cfg,
    flow: &mut Flow,
    questions: &mut [Question],
    work: &mut RegroupWork,
) -> bool {
    if flow.exact {
        return false;
    }
    work.prepare(cfg, flow, questions);
    let mut changed = false;
    for (exit, kind) in [(true, 1), (false, 2)] {
        for at in (0..flow.post.len()).rev() {
            let id = flow.post[at];
            if work.chain_from(cfg, flow, id, exit, kind) {
                changed |= work.regroup(cfg, flow, questions, exit);
            }
        }
    }
    changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct RegroupWork {
    /// By block.
    places: Vec<Place>,
    chain: Vec<BlockId>,
    /// How many value numbers there are.
    numbers: usize,
    /// Group of each value in the stretch at hand; made when needed.
    group_of: Vec<u32>,
    contents: Vec<(u32, Contents)>,
    /// Where each group goes in the stretch at hand.
    starts: Vec<u32>,
}

/// What is known of a block.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Value of the accumulator on arrival.
    arriving: Value,
    /// Kinds of chains that it is in already, as bits.
    chains: u32,
}

const NO_GROUP: u32 = u32::MAX;
/// So few tests are compared with each other.
const FEW: usize = 16;
/// Several values may arrive.
const SEVERAL: Value = u32::MAX;

impl RegroupWork {
    /// For a graph of so many blocks.
    pub fn new(blocks: usize) -> Self {
        Self {
            places: Vec::with_capacity(blocks),
            chain: Vec::with_capacity(16),
            ..Self::default()
        }
    }

    /// There are so many value numbers.
    pub fn resize(&mut self, numbers: usize) {
        self.numbers = numbers;
    }

    fn prepare(&mut self, cfg: &Cfg, flow: &Flow, questions: &[Question]) {
        self.places.clear();
        self.places.resize(cfg.blocks.len(), Place::default());
        for &id in &flow.post {
            let value = questions[id.index()].value;
            successors(&cfg.block(id).term).for_each(|next| {
                let Place { arriving, .. } = &mut self.places[next.index()];
                *arriving = if *arriving == 0 || *arriving == value { value } else { SEVERAL };
            });
        }
    }

    /// Collects the chain of a `kind` that begins at a block; false when there is nothing to regroup.
    fn chain_from(&mut self, cfg: &Cfg, flow: &Flow, head: BlockId, exit: bool, kind: u32) -> bool {
        if self.places[head.index()].chains & kind != 0 {
            return false;
        }
        let Some((target, mut next)) = exits(cfg, head, exit) else {
            return false;
        };
        self.chain.clear();
        self.chain.push(head);
        while flow.of(next).incoming == 1
            && let Some((same, after)) = exits(cfg, next, exit)
            && same == target
        {
            self.places[next.index()].chains |= kind;
            self.chain.push(next);
            next = after;
        }
        self.chain.len() > 1
    }

    /// Regroups the chain, stretch by stretch between blocks that must stay where they are.
    fn regroup(
        &mut self,
        cfg: &mut Cfg,
        flow: &mut Flow,
        questions: &mut [Question],
        exit: bool,
    ) -> bool {
        let last = self.chain[self.chain.len() - 1];
        let Some((target, end)) = exits(cfg, last, exit) else {
            return false;
        };
        if flow.self_contained {
            return self.regroup_stretch(cfg, flow, questions, 0..self.chain.len());
        }
        let mut read: Regs = flow.of(target).live_in | flow.of(end).live_in;
        for &id in &self.chain {
            read |= flow.of(id).exposed;
        }
        let mut changed = false;
        let mut from = 0;
        while from < self.chain.len() {
            let stays = |id: &BlockId| flow.of(*id).written & read != 0;
            let len = self.chain[from..].iter().take_while(|id| !stays(id)).count();
            if len > 1 {
                changed |= self.regroup_stretch(cfg, flow, questions, from..from + len);
            }
            from += len + 1;
        }
        changed
    }

    fn regroup_stretch(
        &mut self,
        cfg: &mut Cfg,
        flow: &mut Flow,
        questions: &mut [Question],
        stretch: std::ops::Range<usize>,
    ) -> bool {
        let places = &self.chain[stretch];
        let tested = |id: &BlockId| questions[id.index()].value;
        let arriving = self.places[places[0].index()].arriving;
        if places.len() <= FEW && in_order(places, arriving, tested) {
            return false;
        }
        // The value that the accumulator holds on arrival comes first if it is tested here.
        let arrives = places.iter().any(|id| tested(id) == arriving);
        let (mut groups, mut highest, mut in_order) = (0, 0, true);
        self.group_of.resize(self.group_of.len().max(self.numbers), NO_GROUP);
        for value in arrives.then_some(arriving).into_iter().chain(places.iter().map(tested)) {
            let group = &mut self.group_of[value as usize];
            if *group == NO_GROUP {
                *group = groups;
                groups += 1;
            }
            in_order &= *group >= highest;
            highest = highest.max(*group);
        }
        self.contents.clear();
        self.starts.clear();
        if !in_order {
            self.starts.resize(groups as usize + 1, 0);
            for id in places {
                let group = self.group_of[tested(id) as usize];
                self.contents.push((group, Contents::take(cfg, flow, questions, *id)));
                self.starts[group as usize + 1] += 1;
            }
            for group in 0..groups as usize {
                self.starts[group + 1] += self.starts[group];
            }
        }
        for id in places {
            self.group_of[tested(id) as usize] = NO_GROUP;
        }
        for (group, contents) in &self.contents {
            let place = &mut self.starts[*group as usize];
            contents.put(cfg, flow, questions, places[*place as usize]);
            *place += 1;
        }
        !in_order
    }
}

/// Whether tests of equal values are side by side already, those of what arrives first.
fn in_order(places: &[BlockId], arriving: Value, tested: impl Fn(&BlockId) -> Value) -> bool {
    (1..places.len()).all(|at| {
        let value = tested(&places[at]);
        let comes_late =
            || value == arriving || places[..at - 1].iter().any(|id| tested(id) == value);
        value == tested(&places[at - 1]) || !comes_late()
    })
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
    question: Question,
    written: Regs,
    exposed: Regs,
}

impl Contents {
    fn take(cfg: &Cfg, flow: &Flow, questions: &[Question], id: BlockId) -> Self {
        let Block { start, len, term } = *cfg.block(id);
        let test = if let Term::If { test, .. } = term { Some(test) } else { None };
        let info = flow.of(id);
        let question = questions[id.index()];
        Self { start, len, test, question, written: info.written, exposed: info.exposed }
    }

    fn put(&self, cfg: &mut Cfg, flow: &mut Flow, questions: &mut [Question], id: BlockId) {
        let block = &mut cfg.blocks[id.index()];
        block.start = self.start;
        block.len = self.len;
        if let (Term::If { test, .. }, Some(new)) = (&mut block.term, self.test) {
            *test = new;
        }
        questions[id.index()] = self.question;
        let info = &mut flow.info[id.index()];
        info.written = self.written;
        info.exposed = self.exposed;
    }
}
