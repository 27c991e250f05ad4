//! Rows of tests for equality of one value with constants: where a known value leads at once.

use super::facts::Question;
use super::flow::Flow;
use super::values::hash;
use crate::filter::cfg::{BlockId, Cfg, Term};

/// Rows in a graph, as it was when they were looked for: each test is asked when the one before it fails, and no
/// constant comes twice. A program of two contradicting lists leads every term of the one into the other:
/// with this it passes all of these tests in one step.
pub(super) struct Rows {
    /// By block.
    places: Vec<Place>,
    /// By row, its first test and where its last one leads when it fails.
    rows: Vec<[BlockId; 2]>,
    /// By row and constant: the constant, and the test for it. Open addressing; most that are looked for are
    /// not there, which the constants alone tell.
    table: Vec<(u32, u32)>,
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
        let slots = (2 * flow.post.iter().filter(is_equality).count()).next_power_of_two();
        let mut found = Self {
            places: vec![Place { row: NONE, left: 0 }; cfg.blocks.len()],
            rows: Vec::new(),
            table: vec![(0, NONE); slots],
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
            && questions[jf.index()].value == question.value
            && let slot = self.slot(row, constant)
            && self.table[slot].1 == NONE
        {
            self.table[slot] = (constant, id.0);
            self.rows[row as usize][0] = id;
            self.places[id.index()] = Place { row, left: left + 1 };
            return;
        }
        let row = self.rows.len() as u32;
        self.rows.push([id, jf]);
        let slot = self.slot(row, constant);
        self.table[slot] = (constant, id.0);
        self.places[id.index()] = Place { row, left: 0 };
    }

    /// Where the test for a constant is in the table, or belongs.
    fn slot(&self, row: u32, constant: u32) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(0, row, constant) as usize & mask;
        while let (other, test) = self.table[slot]
            && test != NONE
            && (other != constant || self.places[test as usize].row != row)
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Where a value that equals `constant` goes from a test that it fails: to the test in the row that it
    /// passes, or behind the row.
    pub fn next(&self, id: BlockId, constant: u32) -> Option<BlockId> {
        let Place { row, left } = self.places[id.index()];
        let [_, end] = *self.rows.get(row as usize)?;
        let (_, test) = self.table[self.slot(row, constant)];
        let passes = test != NONE && self.places[test as usize].left < left;
        Some(if passes { BlockId(test) } else { end })
    }
}
