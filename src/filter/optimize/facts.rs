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

/// What was learnt of a value or a question, and what was known of it before.
#[derive(Clone, Copy)]
struct Learnt {
    about: Value,
    before: u32,
    /// The constant that a value was found equal to.
    constant: u32,
}

const NO: u32 = 1;
const YES: u32 = 2;

/// Answers known so far.
#[derive(Default)]
pub(super) struct Facts {
    /// By question: `NO` or `YES`. By value: the last of `learnt` about it, counted from 1. 0 is unknown.
    known: Vec<u32>,
    learnt: Vec<Learnt>,
}

impl Facts {
    /// Forgets everything; `numbers` is how many values and questions there are.
    pub fn reset(&mut self, numbers: usize) {
        self.known.clear();
        self.known.resize(numbers, 0);
        self.learnt.clear();
    }

    /// A mark to [`Facts::rewind`] to.
    pub fn mark(&self) -> usize {
        self.learnt.len()
    }

    /// Forgets what was learnt since the mark.
    pub fn rewind(&mut self, mark: usize) {
        for Learnt { about, before, .. } in self.learnt.drain(mark..).rev() {
            self.known[about as usize] = before;
        }
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, question: &Question, answer: bool) {
        let known = &mut self.known[question.number as usize];
        if *known == 0 {
            *known = if answer { YES } else { NO };
            self.learnt.push(Learnt { about: question.number, before: 0, constant: 0 });
        }
        if answer && question.is_equality() {
            let known = &mut self.known[question.value as usize];
            let (about, before) = (question.value, *known);
            self.learnt.push(Learnt { about, before, constant: question.operand });
            *known = self.learnt.len() as u32;
        }
    }

    /// The answer, if it is known (by the rules of [`Question::follows`]).
    pub fn answer(&self, cfg: &Cfg, question: &Question) -> Option<bool> {
        let by_value = match self.known[question.value as usize] {
            0 => None,
            at => question.if_equal(cfg, self.learnt[at as usize - 1].constant),
        };
        by_value.or_else(|| match self.known[question.number as usize] {
            0 => None,
            known => Some(known == YES),
        })
    }
}
