//! What every pass asks of the graph: order, edges coming in, and which registers are alive.

use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};

/// A set of registers: bit 0 is the accumulator, bit 1 the index register, bit `2 + i` scratch
/// word `i`.
pub(super) type Regs = u32;

/// Accumulator.
pub(super) const A: Regs = 1;
/// Index register.
pub(super) const X: Regs = 2;

/// Scratch word.
fn scratch(k: u32) -> Regs {
    4 << (k & 15)
}

/// Registers that an instruction (no jump) reads.
pub(super) fn uses(insn: &Insn) -> Regs {
    match op::class(insn.code) {
        op::LD | op::LDX => match op::mode(insn.code) {
            op::IND => X,
            op::MEM => scratch(insn.k),
            _ => 0,
        },
        op::ST => A,
        op::STX => X,
        op::ALU if op::src(insn.code) == op::X && op::operation(insn.code) != op::NEG => A | X,
        op::ALU => A,
        op::MISC if insn.code == op::MISC | op::TXA => X,
        op::MISC => A,
        _ => 0,
    }
}

/// The register that an instruction (no jump) writes.
pub(super) fn defines(insn: &Insn) -> Regs {
    match op::class(insn.code) {
        op::LD | op::ALU => A,
        op::LDX => X,
        op::ST | op::STX => scratch(insn.k),
        op::MISC if insn.code == op::MISC | op::TXA => A,
        op::MISC => X,
        _ => 0,
    }
}

/// Whether an instruction can reject the packet: a load beyond its end, a division by 0.
pub(super) fn can_reject(insn: &Insn) -> bool {
    match op::class(insn.code) {
        op::LD | op::LDX => matches!(op::mode(insn.code), op::ABS | op::IND | op::MSH),
        op::ALU if op::src(insn.code) == op::X => {
            matches!(op::operation(insn.code), op::DIV | op::MOD)
        }
        _ => false,
    }
}

/// Registers that the end of a block reads.
pub(super) fn term_uses(term: &Term) -> Regs {
    match term {
        Term::If { test: TestOp::Compare(compare), .. } if op::src(compare.code) == op::X => A | X,
        Term::If { .. } => A,
        Term::Goto(_) | Term::Ret(_) => 0,
    }
}

/// The successors of a block, "true" first; equal ones are both listed.
pub(super) fn successors(term: &Term) -> impl Iterator<Item = BlockId> + use<> {
    let (first, second) = match *term {
        Term::If { jt, jf, .. } => (Some(jt), Some(jf)),
        Term::Goto(to) => (Some(to), None),
        Term::Ret(_) => (None, None),
    };
    first.into_iter().chain(second)
}

/// Facts about the graph as it was when [`Flow::update`] ran. Vectors are indexed by block.
#[derive(Default)]
pub(super) struct Flow {
    /// Keep every instruction that can reject the packet ([`super::Loads::KeepAll`]).
    pub exact: bool,
    /// Reachable blocks, each behind its successors.
    pub post: Vec<BlockId>,
    /// Edges coming in from reachable blocks.
    pub incoming: Vec<u32>,
    /// Registers whose value before the block matters.
    pub live_in: Vec<Regs>,
    /// Registers whose value before the block the block itself reads.
    pub exposed: Vec<Regs>,
    /// Registers that the block writes.
    pub written: Vec<Regs>,
}

impl Flow {
    /// Looks at the graph anew.
    pub fn update(&mut self, cfg: &Cfg) {
        cfg.postorder_into(&mut self.post);
        let blocks = cfg.blocks.len();
        for vector in [&mut self.incoming, &mut self.live_in, &mut self.exposed, &mut self.written]
        {
            vector.clear();
            vector.resize(blocks, 0);
        }
        for &id in &self.post {
            let block = cfg.block(id);
            let (mut exposed, mut written) = (0, 0);
            for insn in cfg.insns_of(id) {
                exposed |= uses(insn) & !written;
                written |= defines(insn);
            }
            exposed |= term_uses(&block.term) & !written;
            let mut live_out = 0;
            for next in successors(&block.term) {
                live_out |= self.live_in[next.index()];
                self.incoming[next.index()] += 1;
            }
            self.exposed[id.index()] = exposed;
            self.written[id.index()] = written;
            self.live_in[id.index()] = exposed | (live_out & !written);
        }
        self.incoming[cfg.root.index()] += 1;
    }

    /// Registers whose value behind the block's end matters.
    pub fn live_out(&self, term: &Term) -> Regs {
        successors(term).fold(0, |live, next| live | self.live_in[next.index()])
    }
}
