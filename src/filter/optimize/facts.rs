//! What is known where some tests have been passed, and undone on the way back.

use super::values::{ACC, IDX, Value, Values, hash};
use crate::bpf::op;
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};
use crate::filter::key_set::KeySet;

/// What a block asks, in terms of values.
#[derive(Clone, Copy, Default)]
pub(super) struct Question {
    /// Number of the question: the same question has the same number, and the same answer
    /// throughout a run of the program. 0 where no other block asks it.
    pub number: Value,
    /// The value tested.
    pub value: Value,
    /// What is asked of it.
    code: u16,
    /// The constant or the number of the value that it is compared with, or the set.
    operand: u32,
}

/// Marks codes of questions.
const QUESTION: u16 = 0x8000;
const IN_SET: u16 = QUESTION | 0x100;
/// The test has taken in arithmetic.
const SHORTENED: u16 = 0x200;
/// Is it this constant?
const EQUALS: u16 = QUESTION | op::JEQ | op::K;

impl Question {
    /// What a block asks, not numbered so far; without a test it is only the value that it leaves.
    pub fn of(values: &Values, id: BlockId, term: &Term) -> Self {
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
        Self { number: 0, value, code, operand }
    }

    /// What a block asks whose test has taken in the arithmetic before it, in terms of the value
    /// before that; `values` are still those. Nothing but the same question answers it.
    pub fn before(values: &Values, id: BlockId, term: &Term) -> Self {
        let question = Self::of(values, id, term);
        Self { code: question.code | SHORTENED, ..question }
    }

    /// The same question of values numbered one after the other has hashes near each other.
    fn hash(&self) -> u32 {
        hash(self.code, 0, self.operand).wrapping_add(self.value << 3)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.code, self.value, self.operand) == (other.code, other.value, other.operand)
    }

    /// Whether a "yes" tells the value.
    pub fn is_equality(&self) -> bool {
        self.code == EQUALS
    }

    /// The constant that it asks for equality with.
    pub fn constant(&self) -> Option<u32> {
        self.is_equality().then_some(self.operand)
    }

    /// Whether the block asks anything.
    pub fn is_some(&self) -> bool {
        self.code != 0
    }

    /// The answer that follows from the answer to a question about the same value, if any.
    /// Nothing cleverer than libpcap's rules (the same question, or equality with a constant): what
    /// is decided here makes whole branches and their loads go, and with them the verdict on
    /// packets too short for these loads.
    pub fn follows(&self, cfg: &Cfg, other: &Self, answer: bool) -> Option<bool> {
        if self.number != 0 && self.number == other.number {
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

/// So many blocks need no table.
const FEW: usize = 64;

/// Numbers the questions of `blocks`, from `first` on: those that are asked more than once. Returns the
/// number behind the last.
pub(super) fn number_questions(
    questions: &mut [Question],
    blocks: &[BlockId],
    first: usize,
) -> usize {
    if blocks.len() <= FEW {
        number_few(questions, blocks, first)
    } else {
        number_many(questions, blocks, first)
    }
}

/// Looks at the questions before that have the same hash, the last one first.
fn number_few(questions: &mut [Question], blocks: &[BlockId], first: usize) -> usize {
    const SLOTS: usize = 128;
    // Places in `blocks`, counted from 1.
    let (mut last, mut before) = ([0_u8; SLOTS], [0_u8; FEW]);
    let mut number = first;
    for (at, &id) in blocks.iter().enumerate() {
        let question = questions[id.index()];
        if !question.is_some() {
            continue;
        }
        let slot = &mut last[question.hash() as usize % SLOTS];
        let mut place = std::mem::replace(slot, at as u8 + 1);
        before[at % FEW] = place;
        while place != 0 {
            let same = blocks[place as usize - 1].index();
            if questions[same].is_same(&question) {
                if questions[same].number == 0 {
                    questions[same].number = number as Value;
                    number += 1;
                }
                questions[id.index()].number = questions[same].number;
                break;
            }
            place = before[(place as usize - 1) % FEW];
        }
    }
    number
}

/// Few questions of a large graph are asked twice, and of these alone a table is made.
fn number_many(questions: &mut [Question], blocks: &[BlockId], first: usize) -> usize {
    let asked =
        blocks.iter().map(|id| &questions[id.index()]).filter(|question| question.is_some());
    let (twice, repeated) = KeySet::of_repeated(blocks.len(), asked.map(Question::hash));
    let mut number = first;
    if repeated == 0 {
        return number;
    }
    const FREE: u32 = u32::MAX;
    let mut table = vec![FREE; (4 * repeated).next_power_of_two()];
    for &id in blocks {
        let question = questions[id.index()];
        let key = question.hash();
        if !question.is_some() || !twice.may_hold(key) {
            continue;
        }
        let mut slot = key as usize & (table.len() - 1);
        while table[slot] != FREE && !questions[table[slot] as usize].is_same(&question) {
            slot = (slot + 1) & (table.len() - 1);
        }
        if table[slot] == FREE {
            table[slot] = id.0;
            questions[id.index()].number = number as Value;
            number += 1;
        } else {
            questions[id.index()].number = questions[table[slot] as usize].number;
        }
    }
    number
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
    pub fn mark(&self) -> u32 {
        self.learnt.len() as u32
    }

    /// Forgets what was learnt since the mark.
    pub fn rewind(&mut self, mark: u32) {
        for Learnt { about, before, .. } in self.learnt.drain(mark as usize..).rev() {
            self.known[about as usize] = before;
        }
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, question: &Question, answer: bool) {
        let known = &mut self.known[question.number as usize];
        if question.number != 0 && *known == 0 {
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

    /// The constant that a value is known to be.
    pub fn constant(&self, value: Value) -> Option<u32> {
        let at = self.known[value as usize].checked_sub(1)?;
        Some(self.learnt[at as usize].constant)
    }

    /// The answer, if it is known (by the rules of [`Question::follows`]).
    pub fn answer(&self, cfg: &Cfg, question: &Question) -> Option<bool> {
        let by_value = self.constant(question.value).and_then(|k| question.if_equal(cfg, k));
        by_value.or_else(|| match self.known[question.number as usize] {
            0 => None,
            known => Some(known == YES),
        })
    }
}
