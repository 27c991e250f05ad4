//! What is known of values where some tests have been passed, and undone on the way back.

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

#[derive(Clone, Copy)]
enum Undo {
    Equal(Value, Option<u32>),
    Answer(u32),
}

/// Answers known so far.
#[derive(Default)]
pub(super) struct Facts {
    /// By value: the constant it was found equal to.
    equal: Vec<Option<u32>>,
    /// Open addressing: questions answered, with the answer.
    answers: Vec<Option<(Question, bool)>>,
    undo: Vec<Undo>,
}

impl Facts {
    /// Forgets everything; `values` counts the value numbers, `tests` the blocks.
    pub fn reset(&mut self, values: usize, tests: usize) {
        self.equal.clear();
        self.equal.resize(values, None);
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
                Some(Undo::Equal(value, old)) => self.equal[value as usize] = old,
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
        if let (op::JEQ, true, Some(k)) = (question.code, answer, question.constant) {
            let old = self.equal[question.value as usize].replace(k);
            self.undo.push(Undo::Equal(question.value, old));
        }
    }

    /// The answer, if it is known. Nothing cleverer than libpcap's rules (the same question, or
    /// equality with a constant): what is decided here makes whole branches and their loads go,
    /// and with them the verdict on packets too short for these loads.
    pub fn answer(&self, cfg: &Cfg, question: &Question) -> Option<bool> {
        let known = self.equal[question.value as usize];
        match (question.code, question.constant, known) {
            (op::JEQ, Some(k), Some(known)) => return Some(k == known),
            (IN_SET, _, Some(known)) => {
                let set = &cfg.sets[question.operand as usize];
                let above = set.partition_point(|&(low, _)| low <= known);
                return Some(set[..above].last().is_some_and(|&(_, high)| known <= high));
            }
            _ => {}
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
