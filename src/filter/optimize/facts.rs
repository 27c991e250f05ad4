//! What is known where some tests have been passed, and undone on the way back.

use super::values::{ACC, IDX, Value, Values};
use crate::bpf::op;
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};

/// What a block asks, in terms of values.
#[derive(Clone, Copy, Default)]
pub(super) struct Question {
    /// Number of the question: the same question has the same number, and the same answer
    /// throughout a run of the program. 0 is none.
    pub number: Value,
    /// The value tested.
    pub value: Value,
    /// What is asked of it.
    code: u16,
    /// The constant or the number of the value that it is compared with, or the set.
    operand: u32,
}

/// Marks questions among the value numbers; no instruction has such a code.
const QUESTION: u16 = 0x8000;
const IN_SET: u16 = QUESTION | 0x100;
/// The test has taken in arithmetic.
const SHORTENED: u16 = 0x200;
/// Is it this constant?
const EQUALS: u16 = QUESTION | op::JEQ | op::K;

impl Question {
    /// What a block asks; without a test it is only the value that it leaves.
    pub fn of(values: &mut Values, id: BlockId, term: &Term) -> Self {
        let value = values.at_exit(id, ACC);
        let (code, operand) = match *term {
            Term::If { test: TestOp::In(set), .. } => (IN_SET, set.0),
            Term::If { test: TestOp::Compare(compare), .. } => {
                let operation = QUESTION | op::operation(compare.code);
                match op::src(compare.code) {
                    op::X => {
                        let index = values.at_exit(id, IDX);
                        let constant = values.constant(index);
                        constant.map_or((operation | op::X, index), |k| (operation | op::K, k))
                    }
                    _ => (operation | op::K, compare.k),
                }
            }
            Term::Goto(_) | Term::Ret(_) => return Self { value, ..Self::default() },
        };
        Self { number: values.of_question(code, value, operand), value, code, operand }
    }

    /// What a block asks whose test has taken in the arithmetic before it, in terms of the value
    /// before that; `values` are still those. Nothing but the same question answers it.
    pub fn before(values: &mut Values, id: BlockId, term: &Term) -> Self {
        let question = Self::of(values, id, term);
        let code = question.code | SHORTENED;
        let number = values.of_question(code, question.value, question.operand);
        Self { number, code, ..question }
    }

    /// Whether a "yes" tells the value.
    pub fn is_equality(&self) -> bool {
        self.code == EQUALS
    }

    /// Whether the block asks anything.
    pub fn is_some(&self) -> bool {
        self.number != 0
    }

    /// The answer that follows from the answer to a question about the same value, if any.
    /// Nothing cleverer than libpcap's rules (the same question, or equality with a constant): what
    /// is decided here makes whole branches and their loads go, and with them the verdict on
    /// packets too short for these loads.
    pub fn follows(&self, cfg: &Cfg, other: &Self, answer: bool) -> Option<bool> {
        if self.number == other.number {
            return Some(answer);
        }
        if answer && other.is_equality() { self.if_equal(cfg, other.operand) } else { None }
    }

    /// The answer for a value that equals a constant.
    fn if_equal(&self, cfg: &Cfg, known: u32) -> Option<bool> {
        match self.code {
            EQUALS => Some(self.operand == known),
            IN_SET => {
                let set = &cfg.sets[self.operand as usize];
                let above = set.partition_point(|&(low, _)| low <= known);
                Some(set[..above].last().is_some_and(|&(_, high)| known <= high))
            }
            _ => None,
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
        if answer && question.is_equality() {
            let old = self.equal[question.value as usize].replace(question.operand);
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
