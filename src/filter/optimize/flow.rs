//! What every pass asks of the graph: order, edges coming in, and which registers are alive.

use super::values::Value;
use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp, Walk};

/// A set of registers: bit 0 is the accumulator, bit 1 the index register, bit `2 + i` scratch
/// word `i`.
pub(in crate::filter) type Regs = u32;

/// Accumulator.
pub(in crate::filter) const A: Regs = 1;
/// Index register.
pub(super) const X: Regs = 2;

/// Scratch word.
fn scratch(k: u32) -> Regs {
    4 << (k & 15)
}

/// Registers that an instruction (no jump) reads.
pub(in crate::filter) fn uses(insn: &Insn) -> Regs {
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
pub(in crate::filter) fn defines(insn: &Insn) -> Regs {
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

/// What is known of a block.
#[derive(Clone, Copy, Default)]
pub(super) struct Info {
    /// Edges coming in from reachable blocks.
    pub incoming: u32,
    /// Registers whose value before the block matters.
    pub live_in: Regs,
    /// Registers whose value before the block the block itself reads.
    pub exposed: Regs,
    /// Registers that the block writes.
    pub written: Regs,
    /// Place in the postorder.
    pub place: u32,
    /// Value of the accumulator on arrival, and whether the block is in a chain already, by exit:
    /// for regrouping.
    pub arriving: Value,
    pub in_chain: [bool; 2],
    /// The last walk that came here.
    seen: u32,
}

/// Facts about the graph as it was when [`Flow::update`] ran.
#[derive(Default)]
pub(super) struct Flow {
    /// Keep every instruction that can reject the packet ([`super::Loads::KeepAll`]).
    pub exact: bool,
    /// Reachable blocks, each behind its successors.
    pub post: Vec<BlockId>,
    /// By block.
    pub info: Vec<Info>,
    /// Every block that tests the accumulator loads all that it needs itself.
    pub self_contained: bool,
    /// Some block ends in an unconditional jump.
    pub has_gotos: bool,
    /// Number of the current walk.
    number: u32,
    walk: Walk,
}

impl Flow {
    /// Nothing looked at yet; `exact` as in the field.
    pub fn new(exact: bool, blocks: usize) -> Self {
        Self {
            exact,
            post: Vec::with_capacity(blocks),
            info: Vec::with_capacity(blocks),
            ..Self::default()
        }
    }

    /// Looks at the graph anew: its shape and its instructions.
    pub fn update(&mut self, cfg: &Cfg) {
        self.info.resize(cfg.blocks.len(), Info::default());
        self.self_contained = true;
        self.visit(cfg, |info, id| {
            let term = &cfg.block(id).term;
            let (mut exposed, mut written) = (0, 0);
            for insn in cfg.insns_of(id) {
                exposed |= uses(insn) & !written;
                written |= defines(insn);
            }
            exposed |= term_uses(term) & !written;
            (info.exposed, info.written) = (exposed, written);
            exposed == 0 && (written & A != 0 || matches!(term, Term::Ret(_)))
        });
    }

    /// Looks at the graph's shape anew; the blocks' instructions are as before.
    pub fn update_shape(&mut self, cfg: &Cfg) {
        self.visit(cfg, |_, _| true);
    }

    /// Goes through the reachable blocks in postorder, counts their edges and finds what is alive
    /// before them; successors come first. `look` looks at a block and says whether it loads all that
    /// it tests itself.
    fn visit(&mut self, cfg: &Cfg, mut look: impl FnMut(&mut Info, BlockId) -> bool) {
        self.number += 1;
        self.has_gotos = false;
        self.post.clear();
        let Self { number, walk, post, .. } = self;
        let (number, info) = (*number, &mut self.info[..]);
        // Every edge comes here once.
        let discover = |info: &mut [Info], id: BlockId| {
            let info = &mut info[id.index()];
            let new = std::mem::replace(&mut info.seen, number) != number;
            info.incoming = if new { 1 } else { info.incoming + 1 };
            new
        };
        walk.start(cfg, |id| discover(info, id));
        while let Some(id) = walk.next(cfg, |id| discover(info, id)) {
            let live_out = match cfg.block(id).term {
                Term::Ret(_) => 0,
                Term::Goto(to) => {
                    self.has_gotos = true;
                    info[to.index()].live_in
                }
                Term::If { jt, jf, .. } => info[jt.index()].live_in | info[jf.index()].live_in,
            };
            let info = &mut info[id.index()];
            self.self_contained &= look(info, id);
            info.live_in = info.exposed | (live_out & !info.written);
            info.place = post.len() as u32;
            post.push(id);
        }
    }

    /// What is known of a block.
    pub fn of(&self, id: BlockId) -> &Info {
        &self.info[id.index()]
    }

    /// Registers whose value behind the block's end matters.
    pub fn live_out(&self, term: &Term) -> Regs {
        match *term {
            Term::Ret(_) => 0,
            Term::Goto(to) => self.of(to).live_in,
            Term::If { jt, jf, .. } => self.of(jt).live_in | self.of(jf).live_in,
        }
    }
}
