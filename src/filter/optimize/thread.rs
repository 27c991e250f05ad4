//! Known branches: an edge on which the outcome of the next test is known goes past it.

use super::dominators::{Dominators, Node, block_node};
use super::facts::{Facts, Question};
use super::flow::{A, Flow, Regs, X, can_reject, successors};
use super::values::Value;
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Tests that all walks together may pass over, per block and in all: more happens only where thousands of
/// edges each lead into a chain of thousands of decided tests. What is left undone stays correct.
const STEPS_PER_BLOCK: usize = 64;
const STEPS: usize = 1 << 16;
/// Tests that one walk of the first round may pass over. On the way there may be blocks whose own edges will
/// pass over many at once when the round is done, or that nothing will lead to any more.
const FIRST_STEPS: usize = 32;

/// Leads every edge as far as the tests on its way are decided by the edges that dominate it. Each
/// change moves an edge to a block nearer to the end, so repetition comes to an end.
///
/// Edges near the end of the program come first: so an edge passes in one step what the edges
/// behind it have passed.
pub(super) fn thread_edges(
    cfg: &mut Cfg,
    flow: &Flow,
    questions: &[Question],
    work: &mut ThreadWork,
) -> bool {
    let longest = if work.steps.is_none() { FIRST_STEPS } else { usize::MAX };
    let steps = *work.steps.get_or_insert(STEPS + STEPS_PER_BLOCK * flow.post.len());
    let mut router = Router { cfg, flow, questions, steps, longest, changed: false };
    if flow.post.len() <= SMALL {
        thread_small(&mut router);
    } else {
        thread_large(&mut router, work);
    }
    work.steps = Some(router.steps);
    router.changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct ThreadWork {
    dominators: Dominators,
    /// Empty between rounds.
    facts: Facts,
    stack: Vec<Visit>,
    /// Steps left for all rounds together; none before the first.
    steps: Option<usize>,
}

/// So many blocks have their edges in the bits of one word.
const SMALL: usize = 64;

/// The dominating edges of every block as a set: an edge is bit `2 * place` (true) or the next one
/// (false), with the block's place in postorder.
fn thread_small(router: &mut Router) {
    let Router { cfg, flow, questions, .. } = router;
    let count = flow.post.len();
    let mut dominators = [u128::MAX; SMALL];
    let mut classes = Classes { values: [0; SMALL], edges: [0; SMALL], count: 0 };
    let mut class_of = [0u8; SMALL];
    dominators[count - 1] = 0;
    for (place, &id) in flow.post.iter().enumerate().rev() {
        let known = dominators[place];
        match cfg.block(id).term {
            Term::Ret(_) => {}
            Term::Goto(to) => dominators[flow.of(to).place as usize] &= known,
            Term::If { jt, jf, .. } => {
                let edge = 1 << (2 * place);
                class_of[place] = classes.add(questions[id.index()].value, 3 * edge);
                dominators[flow.of(jt).place as usize] &= known | edge;
                dominators[flow.of(jf).place as usize] &= known | edge << 1;
            }
        }
    }
    for (place, &dominated) in dominators.iter().enumerate().take(count) {
        let id = router.flow.post[place];
        let (targets, edges) = match router.cfg.block(id).term {
            Term::Ret(_) => continue,
            Term::Goto(to) => ([to; 2], 1),
            Term::If { jt, jf, .. } => ([jt, jf], 2),
        };
        for (edge, &to) in targets.iter().enumerate().take(edges) {
            let known = dominated | 1 << (2 * place + edge);
            let class = usize::from(class_of[router.flow.of(to).place as usize]);
            let undecided = match router.cfg.block(to).term {
                Term::Ret(_) => true,
                Term::Goto(_) => false,
                Term::If { jt, jf, .. } => jt != jf && known & classes.edges[class] == 0,
            };
            if undecided {
                continue;
            }
            router.edge(id, edge == 0, |router, question, at| {
                let class = class_of[router.flow.of(at).place as usize];
                let mut related = known & classes.edges[usize::from(class)];
                while related != 0 {
                    let fact = related.trailing_zeros() as usize;
                    related &= related - 1;
                    let learnt = &router.questions[router.flow.post[fact / 2].index()];
                    let answer = question.follows(router.cfg, learnt, fact % 2 == 0);
                    if answer.is_some() {
                        return answer;
                    }
                }
                None
            });
        }
    }
}

/// The edges of all blocks that test the same value, for each value.
struct Classes {
    values: [Value; SMALL],
    edges: [u128; SMALL],
    count: usize,
}

impl Classes {
    /// Adds edges of a block that tests a value; returns where that value's edges are.
    fn add(&mut self, value: Value, edges: u128) -> u8 {
        let known = self.values[..self.count].iter().position(|&other| other == value);
        let class = known.unwrap_or(self.count);
        self.values[class] = value;
        self.count = self.count.max(class + 1);
        self.edges[class] |= edges;
        class as u8
    }
}

#[derive(Clone, Copy)]
enum Visit {
    /// A node of the dominator tree.
    Enter(Node),
    /// Everything that an edge dominates has been seen; the mark is where its facts begin.
    Leave(Node, usize),
}

/// Visits the dominator tree depth first, with the facts that hold at each edge.
fn thread_large(router: &mut Router, work: &mut ThreadWork) {
    work.dominators.update(router.cfg, router.flow);
    let numbers = router.questions.iter().map(Question::highest).max().unwrap_or(0) as usize + 1;
    work.facts.reset(numbers);
    let ThreadWork { dominators, facts, stack, .. } = work;
    stack.clear();
    stack.push(Visit::Enter(block_node(router.cfg.root)));
    while let Some(visit) = stack.pop() {
        match visit {
            Visit::Leave(edge, mark) => {
                let id = BlockId(edge / 3);
                router.edge(id, edge % 3 == 1, |r, question, _| facts.answer(r.cfg, question));
                facts.rewind(mark);
            }
            Visit::Enter(node) => {
                let id = BlockId(node / 3);
                if node % 3 == 0 {
                    let edges = successors(&router.cfg.block(id).term).count() as u32;
                    stack.extend((1..=edges).map(|edge| Visit::Enter(node + edge)));
                } else {
                    stack.push(Visit::Leave(node, facts.mark()));
                    let question = &router.questions[id.index()];
                    if question.is_some() {
                        facts.learn(question, node % 3 == 1);
                    }
                }
                // In program order, so that the last is on top.
                stack.extend(dominators.children(node).map(|id| Visit::Enter(block_node(id))));
            }
        }
    }
}

/// Moves edges.
struct Router<'a> {
    cfg: &'a mut Cfg,
    flow: &'a Flow,
    questions: &'a [Question],
    steps: usize,
    /// Steps that one walk may take.
    longest: usize,
    changed: bool,
}

impl Router<'_> {
    /// Moves the target of an edge as far as `answer` decides the tests of blocks.
    fn edge(
        &mut self,
        id: BlockId,
        taken: bool,
        answer: impl Fn(&Self, &Question, BlockId) -> Option<bool>,
    ) {
        let old = match self.cfg.block(id).term {
            Term::If { jt, .. } if taken => jt,
            Term::If { jf, .. } => jf,
            Term::Goto(to) => to,
            Term::Ret(_) => return,
        };
        let new = self.destination(old, answer);
        if new == old {
            return;
        }
        self.changed = true;
        match &mut self.cfg.blocks[id.index()].term {
            Term::If { jt, .. } if taken => *jt = new,
            Term::If { jf, .. } => *jf = new,
            Term::Goto(to) => *to = new,
            Term::Ret(_) => {}
        }
    }

    /// The farthest block that an edge to `target` may go to instead: every test between is
    /// decided, and nothing computed between is read there.
    fn destination(
        &mut self,
        target: BlockId,
        answer: impl Fn(&Self, &Question, BlockId) -> Option<bool>,
    ) -> BlockId {
        let mut best = target;
        let mut at = target;
        let mut skipped: Regs = 0;
        let last = self.steps.saturating_sub(self.longest);
        while self.steps > last {
            if self.flow.exact && !self.may_skip(at) {
                break;
            }
            let next = match self.cfg.block(at).term {
                Term::Ret(_) => break,
                Term::Goto(to) => to,
                Term::If { jt, jf, .. } if jt == jf => jt,
                Term::If { jt, jf, .. } => match answer(self, &self.questions[at.index()], at) {
                    Some(true) => jt,
                    Some(false) => jf,
                    None => break,
                },
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
