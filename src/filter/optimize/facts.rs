//! What is known of values where some tests have been passed, and undone on the way back.

use super::fold::holds;
use super::values::{IDX, Value, Values, hash};
use crate::bpf::op;
use crate::filter::cfg::{BlockId, Cfg, TestOp};

/// A test as a question about values: the same question has the same answer throughout a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// Jump code without the source bit, or [`IN_SET`].
    code: u16,
    /// The value tested.
    value: Value,
    /// Value it is compared with, or the set.
    operand: u32,
    /// The operand as a constant.
    constant: Option<u32>,
}

const IN_SET: u16 = 0xfff0;

impl Question {
    /// What a block asks.
    pub fn of(values: &mut Values, id: BlockId, test: TestOp) -> Self {
        let value = values.at_exit(id, 0);
        match test {
            TestOp::In(set) => Self { code: IN_SET, value, operand: set.0, constant: None },
            TestOp::Compare(compare) => {
                let code = op::operation(compare.code);
                let operand = match op::src(compare.code) {
                    op::X => values.at_exit(id, IDX),
                    _ => values.of_constant(compare.k),
                };
                Self { code, value, operand, constant: values.constant(operand) }
            }
        }
    }
}

/// Bounds of a value that has been tested.
#[derive(Clone, Copy)]
struct Range {
    low: u32,
    high: u32,
}

#[derive(Clone, Copy)]
enum Undo {
    Range(Value, Option<Range>),
    Answer(u32),
}

/// Answers known so far.
#[derive(Default)]
pub(super) struct Facts {
    /// By value; only values that were tested (so their loads have succeeded) have one.
    ranges: Vec<Option<Range>>,
    /// Open addressing: questions answered, with the answer.
    answers: Vec<Option<(Question, bool)>>,
    undo: Vec<Undo>,
}

impl Facts {
    /// Forgets everything; `values` counts the value numbers, `tests` the blocks.
    pub fn reset(&mut self, values: usize, tests: usize) {
        self.ranges.clear();
        self.ranges.resize(values, None);
        self.answers.clear();
        self.answers.resize((2 * tests + 2).next_power_of_two(), None);
        self.undo.clear();
    }

    /// A mark to [`Facts::rewind`] to.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Forgets what was learnt since the mark.
    pub fn rewind(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Range(value, range)) => self.ranges[value as usize] = range,
                // Entries go in the reverse order of coming, so no chain of probes is cut.
                Some(Undo::Answer(slot)) => self.answers[slot as usize] = None,
                None => return,
            }
        }
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, question: &Question, answer: bool) {
        if let Err(slot) = self.slot(question) {
            self.answers[slot] = Some((*question, answer));
            self.undo.push(Undo::Answer(slot as u32));
        }
        let old = self.ranges[question.value as usize];
        let Range { mut low, mut high } = old.unwrap_or(Range { low: 0, high: u32::MAX });
        if let Some(k) = question.constant {
            match (question.code, answer) {
                (op::JEQ, true) => (low, high) = (k, k),
                (op::JEQ, false) if k == low => low = low.saturating_add(1),
                (op::JEQ, false) if k == high => high = high.saturating_sub(1),
                (op::JGT, true) => low = low.max(k.saturating_add(1)),
                (op::JGT, false) => high = high.min(k),
                (op::JGE, true) => low = low.max(k),
                (op::JGE, false) => high = high.min(k.saturating_sub(1)),
                (op::JSET, true) => low = low.max(1),
                _ => {}
            }
        }
        if low <= high {
            self.undo.push(Undo::Range(question.value, old));
            self.ranges[question.value as usize] = Some(Range { low, high });
        }
    }

    /// The answer, if it is known.
    pub fn answer(&self, cfg: &Cfg, question: &Question) -> Option<bool> {
        let Range { low, high } = self.ranges[question.value as usize]?;
        if question.code == IN_SET && low == high {
            let set = &cfg.sets[question.operand as usize];
            let above = set.partition_point(|&(first, _)| first <= low);
            return Some(set[..above].last().is_some_and(|&(_, last)| low <= last));
        }
        if let Some(k) = question.constant {
            let known = match question.code {
                _ if low == high => Some(holds(question.code, low, k)),
                op::JEQ if k < low || k > high => Some(false),
                op::JGT if low > k => Some(true),
                op::JGT if high <= k => Some(false),
                op::JGE if low >= k => Some(true),
                op::JGE if high < k => Some(false),
                _ => None,
            };
            if known.is_some() {
                return known;
            }
        }
        self.slot(question).ok().and_then(|slot| self.answers[slot]).map(|(_, answer)| answer)
    }

    /// Where a question stands, or where it would.
    fn slot(&self, question: &Question) -> Result<usize, usize> {
        let mask = self.answers.len() - 1;
        let mut slot = hash(question.code, question.value, question.operand) as usize & mask;
        loop {
            match &self.answers[slot] {
                None => return Err(slot),
                Some((known, _)) if known == question => return Ok(slot),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}
