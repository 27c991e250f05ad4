//! What is known where some tests have been passed, and undone on the way back.

use super::values::{ACC, IDX, Value, Values};
use crate::bpf::op;
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};

/// What a block asks, in terms of values.
#[derive(Clone, Copy, Default)]
pub(super) struct Question {
    /// Number of the question: the same question has the same number, and the same answer
    /// throughout a run of the program. 0 is none.
    number: Value,
    /// The value tested.
    pub value: Value,
    kind: Kind,
}

#[derive(Clone, Copy, Default)]
enum Kind {
    /// Is it this constant?
    Equals(u32),
    /// Is it in this set?
    In(u32),
    #[default]
    Other,
}

/// Marks questions among the value numbers; no instruction has such a code.
const QUESTION: u16 = 0x8000;
const IN_SET: u16 = QUESTION | 0x100;
const SHORTENED: u16 = QUESTION | 0x200;

impl Question {
    /// What a block asks; without a test it is only the value that it leaves.
    pub fn of(values: &mut Values, id: BlockId, term: &Term) -> Self {
        let value = values.at_exit(id, ACC);
        let Term::If { test, .. } = *term else {
            return Self { value, ..Self::default() };
        };
        match test {
            TestOp::In(set) => {
                let number = values.of_question(IN_SET, value, set.0);
                Self { number, value, kind: Kind::In(set.0) }
            }
            TestOp::Compare(compare) => {
                let operation = op::operation(compare.code);
                let index = (op::src(compare.code) == op::X).then(|| values.at_exit(id, IDX));
                let constant = index.map_or(Some(compare.k), |index| values.constant(index));
                let (source, operand) = match (constant, index) {
                    (None, Some(index)) => (op::X, index),
                    (constant, _) => (op::K, constant.unwrap_or_default()),
                };
                let number = values.of_question(QUESTION | source | operation, value, operand);
                let kind = match constant {
                    Some(k) if operation == op::JEQ => Kind::Equals(k),
                    _ => Kind::Other,
                };
                Self { number, value, kind }
            }
        }
    }

    /// What a block asks whose test has taken in the arithmetic before it, in terms of the value
    /// before that; `values` are still those. Nothing but the same question answers it.
    pub fn before(values: &mut Values, id: BlockId, term: &Term) -> Self {
        let Self { number, value, .. } = Self::of(values, id, term);
        Self { number: values.of_question(SHORTENED, value, number), value, kind: Kind::Other }
    }

    /// Whether the block asks anything.
    pub fn is_some(&self) -> bool {
        self.number != 0
    }

    /// The highest number in it.
    pub fn highest(&self) -> Value {
        self.number.max(self.value)
    }

    /// The answer that follows from the answer to a question about the same value, if any.
    /// Nothing cleverer than libpcap's rules (the same question, or equality with a constant): what
    /// is decided here makes whole branches and their loads go, and with them the verdict on
    /// packets too short for these loads.
    pub fn follows(&self, cfg: &Cfg, other: &Self, answer: bool) -> Option<bool> {
        match (self.kind, other.kind) {
            _ if self.number == other.number => Some(answer),
            (_, Kind::Equals(known)) if answer => self.if_equal(cfg, known),
            _ => None,
        }
    }

    /// The answer for a value that equals a constant.
    fn if_equal(&self, cfg: &Cfg, known: u32) -> Option<bool> {
        match self.kind {
            Kind::Equals(k) => Some(k == known),
            Kind::In(set) => {
                let set = &cfg.sets[set as usize];
                let above = set.partition_point(|&(low, _)| low <= known);
                Some(set[..above].last().is_some_and(|&(_, high)| known <= high))
            }
            Kind::Other => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Undo {
    Equal(Value, Option<u32>),
    Answer(Value),
}

/// Answers known so far.
#[derive(Default)]
pub(super) struct Facts {
    /// By value: the constant it was found equal to.
    equal: Vec<Option<u32>>,
    /// By question.
    answers: Vec<Option<bool>>,
    undo: Vec<Undo>,
}

impl Facts {
    /// Forgets everything; `numbers` is how many values and questions there are.
    pub fn reset(&mut self, numbers: usize) {
        self.equal.clear();
        self.equal.resize(numbers, None);
        self.answers.clear();
        self.answers.resize(numbers, None);
        self.undo.clear();
    }

    /// A mark to [`Facts::rewind`] to.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Forgets what was learnt since the mark.
    pub fn rewind(&mut self, mark: usize) {
        for undo in self.undo.drain(mark..).rev() {
            match undo {
                Undo::Equal(value, old) => self.equal[value as usize] = old,
                Undo::Answer(question) => self.answers[question as usize] = None,
            }
        }
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, question: &Question, answer: bool) {
        let known = &mut self.answers[question.number as usize];
        if known.is_none() {
            *known = Some(answer);
            self.undo.push(Undo::Answer(question.number));
        }
        if let (Kind::Equals(k), true) = (question.kind, answer) {
            let old = self.equal[question.value as usize].replace(k);
            self.undo.push(Undo::Equal(question.value, old));
        }
    }

    /// The answer, if it is known (by the rules of [`Question::follows`]).
    pub fn answer(&self, cfg: &Cfg, question: &Question) -> Option<bool> {
        self.equal[question.value as usize]
            .and_then(|known| question.if_equal(cfg, known))
            .or(self.answers[question.number as usize])
    }
}
