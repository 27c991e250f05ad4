//! Greatest values that registers can have within a block.

use super::values::Values;
use crate::bpf::{Insn, op};
use crate::filter::cfg::BlockId;

/// Most instructions that are looked back on: a block may have thousands.
const WINDOW: usize = 64;

/// Bounds of the accumulator, the index register and the scratch words, as [`Values`] counts them.
struct Bounds([u32; 2 + op::MEMWORDS]);

const A: usize = 0;
const X: usize = 1;

/// Greatest value that the index register can have behind `insns`, the first ones of block `id`.
pub(super) fn index_bound(values: &Values, id: BlockId, insns: &[Insn]) -> u32 {
    let skipped = insns.len().saturating_sub(WINDOW);
    let mut bounds = Bounds(std::array::from_fn(|reg| match skipped {
        0 => values.max(values.at_entry(id, reg)),
        _ => u32::MAX,
    }));
    insns[skipped..].iter().for_each(|insn| bounds.step(insn));
    bounds.0[X]
}

impl Bounds {
    fn step(&mut self, insn: &Insn) {
        let word = 2 + insn.k as usize % op::MEMWORDS;
        let (reg, bound) = match op::class(insn.code) {
            op::LD => (A, self.loaded(insn, word)),
            op::LDX => (X, self.loaded(insn, word)),
            op::ST => (word, self.0[A]),
            op::STX => (word, self.0[X]),
            op::ALU => (A, self.computed(insn)),
            op::MISC if insn.code == op::MISC | op::TAX => (X, self.0[A]),
            op::MISC => (A, self.0[X]),
            _ => return,
        };
        self.0[reg] = bound;
    }

    fn loaded(&self, insn: &Insn, word: usize) -> u32 {
        match (op::mode(insn.code), op::size(insn.code)) {
            (op::IMM, _) => insn.k,
            (op::MEM, _) => self.0[word],
            (op::MSH, _) => 60,
            (op::ABS | op::IND, op::B) => 0xff,
            (op::ABS | op::IND, op::H) => 0xffff,
            _ => u32::MAX,
        }
    }

    fn computed(&self, insn: &Insn) -> u32 {
        let (left, constant) = (self.0[A], op::src(insn.code) == op::K);
        let right = if constant { insn.k } else { self.0[X] };
        let bound = match op::operation(insn.code) {
            op::ADD => left.checked_add(right),
            op::MUL => left.checked_mul(right),
            op::AND => Some(left.min(right)),
            op::LSH if constant => u32::try_from(u64::from(left) << right.min(32)).ok(),
            op::RSH if constant => left.checked_shr(right),
            op::DIV if constant && right > 0 => Some(left / right),
            op::DIV => Some(left),
            _ => None,
        };
        bound.unwrap_or(u32::MAX)
    }
}
