//! Known branches: an edge on which the outcome of the next test is known goes past it.

use super::dominators::{Dominators, Node, block_node};
use super::facts::{Facts, Question};
use super::flow::{A, Flow, Regs, X, can_reject, successors};
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Tests that the walk may pass over, per block and in all: more happens only where thousands of
/// edges each lead into a chain of thousands of decided tests. What is left undone stays correct.
const STEPS_PER_BLOCK: usize = 64;
const STEPS: usize = 1 << 16;

/// Leads every edge as far as the tests on its way are decided by the edges that dominate it. Each
/// change moves an edge to a block nearer to the end, so repetition comes to an end.
pub(super) fn thread_edges(
    cfg: &mut Cfg,
    flow: &Flow,
    questions: &[Question],
    work: &mut ThreadWork,
) -> bool {
    work.dominators.update(cfg, flow);
    work.stack.clear();
    let steps = STEPS + STEPS_PER_BLOCK * flow.post.len();
    let mut walk = Walk { cfg, flow, questions, work, steps, changed: false };
    walk.run();
    walk.changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct ThreadWork {
    dominators: Dominators,
    /// Empty between rounds.
    facts: Facts,
    stack: Vec<Visit>,
}

impl ThreadWork {
    /// Makes room for so many value numbers.
    pub fn resize(&mut self, numbers: usize) {
        self.facts.reset(numbers);
    }
}

pub(super) enum Visit {
    /// A node of the dominator tree.
    Enter(Node),
    /// Everything that an edge dominates has been seen; the mark is where its facts begin.
    Leave(Node, usize),
}

struct Walk<'a> {
    cfg: &'a mut Cfg,
    flow: &'a Flow,
    questions: &'a [Question],
    work: &'a mut ThreadWork,
    steps: usize,
    changed: bool,
}

impl Walk<'_> {
    /// Visits the dominator tree depth first, with the facts that hold at each edge. The end of the
    /// program comes first: so an edge passes in one step what the edges behind it have passed.
    fn run(&mut self) {
        self.work.stack.push(Visit::Enter(block_node(self.cfg.root)));
        while let Some(visit) = self.work.stack.pop() {
            let ThreadWork { dominators, facts, stack } = &mut *self.work;
            match visit {
                Visit::Leave(edge, mark) => {
                    self.edge(BlockId(edge / 3), edge % 3 == 1);
                    self.work.facts.rewind(mark);
                }
                Visit::Enter(node) => {
                    let id = BlockId(node / 3);
                    if node % 3 == 0 {
                        let edges = successors(&self.cfg.block(id).term).count() as u32;
                        stack.extend((1..=edges).map(|edge| Visit::Enter(node + edge)));
                    } else {
                        stack.push(Visit::Leave(node, facts.mark()));
                        let question = &self.questions[id.index()];
                        if question.is_some() {
                            facts.learn(question, node % 3 == 1);
                        }
                    }
                    // In program order, so that the last is on top.
                    let below = dominators.children(node);
                    stack.extend(below.map(|id| Visit::Enter(block_node(id))));
                }
            }
        }
    }

    /// Moves the target of an edge as far as what is known there decides.
    fn edge(&mut self, id: BlockId, taken: bool) {
        let mut term = self.cfg.block(id).term;
        let target = match &mut term {
            Term::If { jt, .. } if taken => jt,
            Term::If { jf, .. } => jf,
            Term::Goto(to) => to,
            Term::Ret(_) => return,
        };
        let destination = self.destination(*target);
        self.changed |= destination != *target;
        *target = destination;
        self.cfg.blocks[id.index()].term = term;
    }

    /// The farthest block that an edge to `target` may go to instead: every test between is
    /// decided, and nothing computed between is read there.
    fn destination(&mut self, target: BlockId) -> BlockId {
        let mut best = target;
        let mut at = target;
        let mut skipped: Regs = 0;
        while self.steps > 0 {
            if self.flow.exact && !self.may_skip(at) {
                break;
            }
            let next = match self.cfg.block(at).term {
                Term::Ret(_) => break,
                Term::Goto(to) => to,
                Term::If { jt, jf, .. } if jt == jf => jt,
                Term::If { jt, jf, .. } => {
                    match self.work.facts.answer(self.cfg, &self.questions[at.index()]) {
                        Some(true) => jt,
                        Some(false) => jf,
                        None => break,
                    }
                }
            };
            self.steps -= 1;
            skipped |= self.flow.of(at).written;
            at = next;
            if skipped & self.flow.of(at).live_in == 0 {
                best = at;
            }
        }
        best
    }

    /// Whether passing over a decided test loses no load: what the test itself reads has been
    /// loaded where it was decided, what is stored may not have been.
    fn may_skip(&self, id: BlockId) -> bool {
        let decided = matches!(self.cfg.block(id).term, Term::If { jt, jf, .. } if jt != jf);
        let stores = self.flow.of(id).written & !(A | X) != 0;
        (decided && !stores) || !self.cfg.insns_of(id).iter().any(can_reject)
    }
}
