//! Known branches: an edge on which the outcome of the next test is known goes past it.

use super::dominators::{Dominators, Node, block_node};
use super::facts::{Facts, Question};
use super::flow::{A, Flow, Regs, X, can_reject, successors};
use super::values::Values;
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Tests that the walk may pass over, per block and in all: more happens only where thousands of
/// edges each lead into a chain of thousands of decided tests. What is left undone stays correct.
const STEPS_PER_BLOCK: usize = 64;
const STEPS: usize = 1 << 16;

/// Leads every edge as far as the tests on its way are decided by the edges that dominate it. Each
/// change moves an edge to a block nearer to the end, so repetition comes to an end.
pub(super) fn thread_edges(
    cfg: &mut Cfg,
    flow: &mut Flow,
    values: &mut Values,
    work: &mut ThreadWork,
) -> bool {
    work.dominators.update(cfg, flow);
    work.questions.clear();
    for id in 0..cfg.blocks.len() as u32 {
        let id = BlockId(id);
        let question = match cfg.block(id).term {
            Term::If { test, .. } if flow.incoming[id.index()] > 0 => {
                Some(Question::of(values, id, test))
            }
            _ => None,
        };
        work.questions.push(question);
    }
    work.facts.reset(values.len(), cfg.blocks.len());
    let steps = STEPS + STEPS_PER_BLOCK * flow.post.len();
    let mut walk = Walk { cfg, flow, work, steps, changed: false };
    walk.run();
    walk.changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct ThreadWork {
    dominators: Dominators,
    facts: Facts,
    questions: Vec<Option<Question>>,
}

enum Visit {
    /// A node of the dominator tree.
    Node(Node),
    /// Everything below an edge has been seen.
    Leave(usize),
}

struct Walk<'a> {
    cfg: &'a mut Cfg,
    flow: &'a mut Flow,
    work: &'a mut ThreadWork,
    steps: usize,
    changed: bool,
}

impl Walk<'_> {
    /// Visits the dominator tree depth first, with the facts that hold at each edge.
    fn run(&mut self) {
        let mut stack = vec![Visit::Node(block_node(self.cfg.root))];
        while let Some(visit) = stack.pop() {
            let node = match visit {
                Visit::Leave(mark) => {
                    self.work.facts.rewind(mark);
                    continue;
                }
                Visit::Node(node) => node,
            };
            let id = BlockId(node / 3);
            let below = stack.len();
            if node % 3 != 0 {
                stack.push(Visit::Leave(self.work.facts.mark()));
                self.edge(id, node % 3 == 1);
            } else {
                let edges = successors(&self.cfg.block(id).term).count() as u32;
                stack.extend((1..=edges).map(|edge| Visit::Node(node + edge)));
            }
            let from = stack.len();
            stack.extend(self.work.dominators.children(node).map(|id| Visit::Node(block_node(id))));
            // The first to visit must be on top; what to undo stays at the bottom.
            let first = if node % 3 != 0 { from } else { below };
            stack[first..].reverse();
        }
    }

    /// Learns what an edge says and moves its target.
    fn edge(&mut self, id: BlockId, taken: bool) {
        if let Some(question) = &self.work.questions[id.index()] {
            self.work.facts.learn(question, taken);
        }
        if self.flow.incoming[id.index()] == 0 {
            return;
        }
        let old = match self.cfg.block(id).term {
            Term::If { jt, .. } if taken => jt,
            Term::If { jf, .. } => jf,
            Term::Goto(to) => to,
            Term::Ret(_) => return,
        };
        let new = self.destination(old);
        if new == old {
            return;
        }
        match &mut self.cfg.blocks[id.index()].term {
            Term::If { jt, .. } if taken => *jt = new,
            Term::If { jf, .. } => *jf = new,
            Term::Goto(to) => *to = new,
            Term::Ret(_) => {}
        }
        self.changed = true;
        self.flow.incoming[new.index()] += 1;
        self.release(old);
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
                Term::If { jt, jf, .. } => match &self.work.questions[at.index()] {
                    Some(question) => match self.work.facts.answer(self.cfg, question) {
                        Some(answer) => {
                            if answer {
                                jt
                            } else {
                                jf
                            }
                        }
                        None => break,
                    },
                    None => break,
                },
            };
            self.steps -= 1;
            skipped |= self.flow.written[at.index()];
            at = next;
            if skipped & self.flow.live_in[at.index()] == 0 {
                best = at;
            }
        }
        best
    }

    /// Whether passing over a decided test loses no load: what the test itself reads has been
    /// loaded where it was decided, what is stored may not have been.
    fn may_skip(&self, id: BlockId) -> bool {
        let decided = matches!(self.cfg.block(id).term, Term::If { jt, jf, .. } if jt != jf);
        let stores = self.flow.written[id.index()] & !(A | X) != 0;
        (decided && !stores) || !self.cfg.insns_of(id).iter().any(can_reject)
    }

    /// An edge to the block is gone; blocks that nothing leads to any more lose theirs.
    fn release(&mut self, id: BlockId) {
        let mut lost = vec![id];
        while let Some(id) = lost.pop() {
            let incoming = &mut self.flow.incoming[id.index()];
            *incoming -= 1;
            if *incoming == 0 {
                lost.extend(successors(&self.cfg.block(id).term));
            }
        }
    }
}
