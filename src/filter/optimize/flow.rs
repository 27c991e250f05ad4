//! What every pass asks of the graph: order, edges coming in, and which registers are alive.

use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};

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

/// Whether an instruction loads the accumulator from a fixed place in the packet, as most do.
pub(super) fn is_fixed_load(insn: &Insn) -> bool {
    op::class(insn.code) == op::LD && op::mode(insn.code) == op::ABS
}

/// Whether an instruction loads the length of an IPv4 header.
pub(super) fn is_msh(insn: &Insn) -> bool {
    insn.code == op::LDX | op::MSH | op::B
}

/// Registers that the end of a block reads.
pub(super) fn term_uses(term: &Term) -> Regs {
    match term {
        Term::If { test: TestOp::Compare(compare), .. } if op::src(compare.code) == op::X => A | X,
        Term::If { .. } => A,
        Term::Goto(_) | Term::Ret(_) => 0,
    }
}

/// Registers that a block reads before it writes them, and those that it writes.
#[inline]
pub(super) fn registers(cfg: &Cfg, id: BlockId) -> (Regs, Regs) {
    let (exposed, written) = match cfg.insns_of(id) {
        [load] if is_fixed_load(load) => (0, A),
        insns => insns.iter().fold((0, 0), |(exposed, written), insn| {
            (exposed | (uses(insn) & !written), written | defines(insn))
        }),
    };
    (exposed | (term_uses(&cfg.block(id).term) & !written), written)
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
}

/// Facts about the graph as it was when [`Flow::update`] ran. The graph is in program order
/// ([`super::compact`]): every edge goes to a block with a higher number, whatever passes do.
#[derive(Default)]
pub(super) struct Flow {
    /// Keep every instruction that can reject the packet ([`super::Loads::KeepAll`]).
    pub exact: bool,
    /// Reachable blocks, each behind its successors: the last one in the program first.
    pub post: Vec<BlockId>,
    /// By block.
    pub info: Vec<Info>,
    /// Every block that tests the accumulator loads all that it needs itself.
    pub self_contained: bool,
    /// Some block ends in an unconditional jump.
    pub has_gotos: bool,
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
        self.self_contained = true;
        self.visit(cfg, |info, id| {
            (info.exposed, info.written) = registers(cfg, id);
            let loads = info.written & A != 0 || matches!(cfg.block(id).term, Term::Ret(_));
            info.exposed == 0 && loads
        });
    }

    /// Looks at the graph's shape anew; the blocks' instructions are as before.
    pub fn update_shape(&mut self, cfg: &Cfg) {
        self.visit(cfg, |_, _| true);
    }

    /// Counts the edges to each block, then goes backward through the reachable ones and finds what is
    /// alive before them. `look` looks at a block and says whether it loads all that it tests itself.
    fn visit(&mut self, cfg: &Cfg, mut look: impl FnMut(&mut Info, BlockId) -> bool) {
        self.count_edges(cfg);
        self.has_gotos = false;
        self.post.clear();
        let root = cfg.root.index();
        for (at, block) in cfg.blocks.iter().enumerate().skip(root).rev() {
            if self.info[at].incoming == 0 {
                continue;
            }
            let id = BlockId(at as u32);
            self.has_gotos |= matches!(block.term, Term::Goto(_));
            let live_out = self.live_out(&block.term);
            let info = &mut self.info[at];
            self.self_contained &= look(info, id);
            info.live_in = info.exposed | (live_out & !info.written);
            self.post.push(id);
        }
    }

    fn count_edges(&mut self, cfg: &Cfg) {
        self.info.resize(cfg.blocks.len(), Info::default());
        for info in &mut self.info {
            info.incoming = 0;
        }
        let root = cfg.root.index();
        self.info[root].incoming = 1;
        for (at, block) in cfg.blocks.iter().enumerate().skip(root) {
            if self.info[at].incoming > 0 {
                successors(&block.term).for_each(|next| self.info[next.index()].incoming += 1);
            }
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
