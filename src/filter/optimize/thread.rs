//! Known branches: an edge on which the outcome of the next test is known goes past it.

use super::dominators::{Dominators, Node, block_node, is_block, is_yes};
use super::facts::{Facts, Question};
use super::flow::{A, Flow, Regs, X, can_reject, successors};
use super::rows::Rows;
use super::values::Value;
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Tests that all walks together may pass over, per block and in all: more happens only where thousands of
/// edges each lead into a chain of thousands of decided tests. What is left undone stays correct.
const STEPS_PER_BLOCK: usize = 64;
const STEPS: usize = 1 << 16;
/// Tests that one walk of the first round may pass over. On the way there may be blocks whose own edges will
/// pass over many at once when the round is done, or that nothing will lead to any more.
const FIRST_STEPS: usize = 64;
/// A walk of so many steps is long: it is worth looking for rows.
const LONG: usize = 8;

/// Leads every edge as far as the tests on its way are decided by the edges that dominate it. Each
/// change moves an edge to a block nearer to the end, so repetition comes to an end.
///
/// Edges near the end of the program come first: so an edge passes in one step what the edges
/// behind it have passed.
pub(super) fn thread_edges(
    cfg: &mut Cfg,
    flow: &Flow,
    questions: &[Question],
    numbers: usize,
    work: &mut ThreadWork,
) -> bool {
    let longest = if work.steps.is_none() { FIRST_STEPS } else { usize::MAX };
    let steps = *work.steps.get_or_insert(STEPS + STEPS_PER_BLOCK * flow.post.len());
    let cfg_len = cfg.blocks.len();
    let mut router = Router { cfg, flow, questions, steps, longest, rows: None, changed: false };
    if cfg_len <= SMALL {
        if !work.noted {
            work.about.clear();
            work.about.resize(numbers, 0);
            note_questions(&router, &mut work.about);
        }
        thread_small(&mut router, &work.about);
    } else {
        thread_large(&mut router, numbers, work);
    }
    work.steps = Some(router.steps);
    work.noted = true;
    router.changed
}

/// Memory that is used again from one round to the next.
#[derive(Default)]
pub(super) struct ThreadWork {
    dominators: Dominators,
    /// See [`note_questions`].
    about: Vec<u64>,
    /// Questions are as they were noted.
    pub noted: bool,
    /// Empty between rounds.
    facts: Facts,
    /// By edge on the way to the node at hand: where its facts begin.
    marks: Vec<u32>,
    /// Steps left for all rounds together; none before the first.
    steps: Option<usize>,
}

/// So many blocks have bits in one word.
const SMALL: usize = 64;

/// Edges as two sets of blocks: those left by "true" and those left by "false". A block is the bit of its
/// number.
#[derive(Clone, Copy)]
struct Edges {
    yes: u64,
    no: u64,
}

impl Edges {
    /// The same with an edge of a block.
    fn with(self, id: BlockId, taken: bool) -> Self {
        let bit = 1 << id.0;
        if taken {
            Self { yes: self.yes | bit, ..self }
        } else {
            Self { no: self.no | bit, ..self }
        }
    }

    /// Adds, to a set of what is absent, all but `others`.
    fn lose_all_but(&mut self, others: Self) {
        self.yes |= !others.yes;
        self.no |= !others.no;
    }

    fn complement(self) -> Self {
        Self { yes: !self.yes, no: !self.no }
    }

    /// Those from which the answer to a question may follow.
    fn about(question: &Question, about: &[u64]) -> Self {
        let same = about[question.number as usize];
        Self { yes: about[question.value as usize] | same, no: same }
    }

    fn meets(self, others: Self) -> bool {
        self.yes & others.yes | self.no & others.no != 0
    }
}

/// The edges that dominate each block as sets.
fn thread_small(router: &mut Router, about: &[u64]) {
    // Of blocks that have been visited: the edges that may decide them.
    let mut absent = [Edges { yes: 0, no: 0 }; SMALL];
    look_around(router, &mut absent);
    let Router { flow, questions, .. } = *router;
    for &id in &flow.post {
        let known = absent[id.index() % SMALL].complement();
        let mut decisive = Edges { yes: 0, no: 0 };
        match router.cfg.block(id).term {
            Term::Ret(_) => {}
            Term::Goto(_) => {
                thread_edge(router, id, true, known, about);
                decisive = decisive.complement();
            }
            Term::If { jt, jf, .. } => {
                let mut decided = jt == jf;
                for (taken, to) in [(true, jt), (false, jf)] {
                    let known = known.with(id, taken);
                    if known.meets(absent[to.index() % SMALL]) {
                        thread_edge(router, id, taken, known, about);
                        decided = is_decided(&router.cfg.block(id).term);
                    }
                }
                decisive = match decided {
                    true => decisive.complement(),
                    false => Edges::about(&questions[id.index()], about),
                };
            }
        }
        absent[id.index() % SMALL] = decisive;
    }
}

/// Leads the edge of a block as far as what is known on it decides.
fn thread_edge(router: &mut Router, id: BlockId, taken: bool, known: Edges, about: &[u64]) {
    let answer = |router: &Router, question: &Question| {
        let decisive = Edges::about(question, about);
        let mut facts = known.yes & decisive.yes | known.no & decisive.no;
        while facts != 0 {
            // The last one first: where they contradict each other nothing ever comes.
            let fact = facts.ilog2() as usize;
            facts ^= 1 << fact;
            let learnt = &router.questions[fact];
            let answer = question.follows(router.cfg, learnt, known.yes >> fact & 1 != 0);
            if answer.is_some() {
                return answer;
            }
        }
        None
    };
    router.edge(id, taken, answer, |_| None);
}

/// Which blocks ask a question, by its number, or for equality with a constant, by the number of the value.
fn note_questions(router: &Router, about: &mut [u64]) {
    for &id in &router.flow.post {
        let question = &router.questions[id.index()];
        if question.number != 0 {
            about[question.number as usize] |= 1 << id.0;
        }
        if question.is_equality() {
            about[question.value as usize] |= 1 << id.0;
        }
    }
}

/// Finds the edges that do not dominate each block.
fn look_around(Router { cfg, flow, .. }: &Router, absent: &mut [Edges; SMALL]) {
    absent[cfg.root.index() % SMALL] = Edges { yes: u64::MAX, no: u64::MAX };
    for &id in flow.post.iter().rev() {
        let known = absent[id.index() % SMALL].complement();
        match cfg.block(id).term {
            Term::Ret(_) => {}
            Term::Goto(to) => absent[to.index() % SMALL].lose_all_but(known),
            Term::If { jt, jf, .. } => {
                absent[jt.index() % SMALL].lose_all_but(known.with(id, true));
                absent[jf.index() % SMALL].lose_all_but(known.with(id, false));
            }
        }
    }
}

/// Whether a block goes to the same successor whatever it asks.
fn is_decided(term: &Term) -> bool {
    match *term {
        Term::Ret(_) => false,
        Term::Goto(_) => true,
        Term::If { jt, jf, .. } => jt == jf,
    }
}

/// Visits the dominator tree depth first, with the facts that hold at each edge. Of what is below a node,
/// the last in the program comes first.
fn thread_large(router: &mut Router, numbers: usize, work: &mut ThreadWork) {
    work.dominators.update(router.cfg, router.flow);
    work.facts.reset(numbers);
    let ThreadWork { dominators, facts, marks, .. } = work;
    let root = block_node(router.cfg.root);
    let mut node = root;
    loop {
        if !is_block(node) {
            marks.push(facts.mark());
            let question = &router.questions[node as usize / 3];
            if question.is_some() {
                facts.learn(question, is_yes(node));
            }
        }
        if let Some(child) = dominators.last_child(node) {
            node = block_node(child);
            continue;
        }
        // Up, as long as all below has been seen.
        node = loop {
            let id = BlockId(node / 3);
            if is_block(node) {
                let edges = successors(&router.cfg.block(id).term).count() as Node;
                if edges > 0 {
                    break node + edges;
                }
            } else {
                let answer = |r: &Router, question: &Question| facts.answer(r.cfg, question);
                router.edge(id, is_yes(node), answer, |value| facts.constant(value));
                facts.rewind(marks.pop().unwrap_or_default());
                if !is_yes(node) {
                    break node - 1;
                }
            }
            if block_node(id) == root {
                return;
            }
            match dominators.previous(id) {
                Some(sibling) => break block_node(sibling),
                None => node = dominators.parent(block_node(id)),
            }
        };
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
    /// Once a walk has been long.
    rows: Option<Rows>,
    changed: bool,
}

impl Router<'_> {
    /// Moves the target of an edge as far as `answer` decides the tests of blocks; `constant` is what a
    /// value is known to be.
    fn edge(
        &mut self,
        id: BlockId,
        taken: bool,
        answer: impl Fn(&Self, &Question) -> Option<bool>,
        constant: impl Fn(Value) -> Option<u32>,
    ) {
        let old = match self.cfg.block(id).term {
            Term::If { jt, .. } if taken => jt,
            Term::If { jf, .. } => jf,
            Term::Goto(to) => to,
            Term::Ret(_) => return,
        };
        let new = self.destination(old, answer, constant);
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
        answer: impl Fn(&Self, &Question) -> Option<bool>,
        constant: impl Fn(Value) -> Option<u32>,
    ) -> BlockId {
        let mut best = target;
        let mut at = target;
        let mut skipped: Regs = 0;
        let last = self.steps.saturating_sub(self.longest);
        let long = self.steps.saturating_sub(LONG);
        while self.steps > last {
            if self.flow.exact && !self.may_skip(at) {
                break;
            }
            let next = match self.cfg.block(at).term {
                Term::Ret(_) => break,
                Term::Goto(to) => to,
                Term::If { jt, jf, .. } if jt == jf => jt,
                Term::If { jt, jf, .. } => match answer(self, &self.questions[at.index()]) {
                    Some(true) => jt,
                    Some(false) if self.steps < long => self.behind_row(at, jf, &constant),
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

    /// Where to go on behind a test that fails: past all others of a row that fail, too.
    fn behind_row(
        &mut self,
        id: BlockId,
        jf: BlockId,
        constant: impl Fn(Value) -> Option<u32>,
    ) -> BlockId {
        let question = &self.questions[id.index()];
        let Some(known) = constant(question.value).filter(|_| question.is_equality()) else {
            return jf;
        };
        if self.flow.exact || !self.flow.self_contained {
            return jf;
        }
        let rows = self.rows.get_or_insert_with(|| Rows::new(self.cfg, self.flow, self.questions));
        rows.next(id, known, self.questions).unwrap_or(jf)
    }

    /// Whether passing over a decided test loses no load: what the test itself reads has been
    /// loaded where it was decided, what is stored may not have been.
    fn may_skip(&self, id: BlockId) -> bool {
        let decided = matches!(self.cfg.block(id).term, Term::If { jt, jf, .. } if jt != jf);
        let stores = self.flow.of(id).written & !(A | X) != 0;
        (decided && !stores) || !self.cfg.insns_of(id).iter().any(can_reject)
    }
}
