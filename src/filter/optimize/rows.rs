//! Rows of tests for equality of one value with constants: where a known value leads at once.

use super::facts::Question;
use super::flow::Flow;
use super::values::hash;
use crate::filter::cfg::{BlockId, Cfg, Term};
use crate::filter::key_set::KeySet;

/// Rows in a graph, as it was when they were looked for: each test is asked when the one before it fails, and no
/// constant comes twice. A program of two contradicting lists leads every term of the one into the other:
/// with this it passes all of these tests in one step.
pub(super) struct Rows {
    /// By block.
    places: Vec<Place>,
    /// By row, its first test and where its last one leads when it fails.
    rows: Vec<[BlockId; 2]>,
    /// Tests by row and constant. Open addressing.
    table: Vec<u32>,
    /// Most that are looked for are not in the table.
    keys: KeySet,
}

/// Where a block stands.
#[derive(Clone, Copy)]
struct Place {
    row: u32,
    /// Tests that follow in the row.
    left: u32,
}

const NONE: u32 = u32::MAX;

impl Rows {
    /// Finds all rows. Every block loads what it tests.
    pub fn new(cfg: &Cfg, flow: &Flow, questions: &[Question]) -> Self {
        let is_equality = |id: &&BlockId| questions[id.index()].is_equality();
        let count = flow.post.iter().filter(is_equality).count();
        let mut found = Self {
            places: vec![Place { row: NONE, left: 0 }; cfg.blocks.len()],
            rows: Vec::new(),
            table: vec![NONE; (count + count / 4 + 1).next_power_of_two()],
            keys: KeySet::new(count, std::iter::empty()),
        };
        for &id in &flow.post {
            let question = &questions[id.index()];
            if let (Some(constant), Term::If { jf, .. }) = (question.constant(), cfg.block(id).term)
            {
                found.add(id, question, constant, jf, questions);
            }
        }
        found
    }

    /// Puts a test in front of the row that it leads to, or makes a row of it.
    fn add(
        &mut self,
        id: BlockId,
        question: &Question,
        constant: u32,
        jf: BlockId,
        questions: &[Question],
    ) {
        let Place { row, left } = self.places[jf.index()];
        if row != NONE
            && self.rows[row as usize][0] == jf
            && let next = &questions[jf.index()]
            && next.value == question.value
        {
            // Most rows stay rows of one, which nobody needs to find.
            if left == 0
                && let Some(constant) = next.constant()
            {
                self.put(jf, row, constant, questions);
            }
            if self.put(id, row, constant, questions) {
                self.places[id.index()] = Place { row, left: left + 1 };
                self.rows[row as usize][0] = id;
                return;
            }
        }
        self.places[id.index()] = Place { row: self.rows.len() as u32, left: 0 };
        self.rows.push([id, jf]);
    }

    /// Puts a test into the table; false when there is one for the same constant.
    fn put(&mut self, id: BlockId, row: u32, constant: u32, questions: &[Question]) -> bool {
        let slot = self.slot(row, constant, questions);
        let is_new = self.table[slot] == NONE;
        if is_new {
            self.table[slot] = id.0;
            self.keys.insert(hash(0, row, constant));
        }
        is_new
    }

    /// Where the test for a constant is in the table, or belongs.
    fn slot(&self, row: u32, constant: u32, questions: &[Question]) -> usize {
        let key = hash(0, row, constant);
        let is_new = !self.keys.may_hold(key);
        let is_it = |test: usize| {
            self.places[test].row == row && questions[test].constant() == Some(constant)
        };
        let mask = self.table.len() - 1;
        let mut slot = key as usize & mask;
        while self.table[slot] != NONE && (is_new || !is_it(self.table[slot] as usize)) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Where a value that equals `constant` goes from a test that it fails: to the test in the row that it
    /// passes, or behind the row.
    pub fn next(&self, id: BlockId, constant: u32, questions: &[Question]) -> Option<BlockId> {
        let Place { row, left } = self.places[id.index()];
        let [_, end] = *self.rows.get(row as usize)?;
        if !self.keys.may_hold(hash(0, row, constant)) {
            return Some(end);
        }
        let test = self.table[self.slot(row, constant, questions)];
        let passes = test != NONE && self.places[test as usize].left < left;
        Some(if passes { BlockId(test) } else { end })
    }
}
