//! From the graph to a program: layout, decision trees, jumps that are too long.
//!
//! The program is written from its end to its start: every jump goes forward, so its distance is
//! known when it is written. Where a conditional jump cannot reach (more than 255 instructions)
//! an *island* is put behind it, a `ja` to the target; blocks written later (that stand earlier)
//! use the same island as long as they reach it.

use thiserror::Error;

use super::cfg::{BlockId, Cfg, Term, TestOp, Walk};
use super::cond::Compare;
use super::decision_tree::{self, Leaves};
use super::optimize::{A, defines, uses};
use crate::bpf::{Insn, Program, op};

/// Most instructions a program may have: `bf_len` counts them in 32 bits and the machine's
/// program counter must not overflow; memory is the practical limit, this one keeps it bounded.
pub const MAX_INSNS: usize = 1 << 24;

/// Why no program was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EmitError {
    /// More than [`MAX_INSNS`] instructions.
    #[error("filter expression is too complex: its program exceeds {MAX_INSNS} instructions")]
    TooLong,
}

/// Lays the graph out as a program; sets become trees.
pub fn emit(cfg: &Cfg) -> Result<Program, EmitError> {
    write(
        cfg,
        Leaves::new(cfg.blocks.iter().filter_map(|block| match block.term {
            Term::If { test: TestOp::In(set), .. } => Some(&*cfg.sets[set.0 as usize]),
            _ => None,
        })),
    )
}

/// Lays the graph out as a program that is as short as can be, whatever a packet then executes.
pub fn emit_short(cfg: &Cfg) -> Result<Program, EmitError> {
    write(cfg, Leaves::SHORT)
}

/// Writes the blocks that the root reaches, each behind (that is, before) its successors; of two
/// successors the one for "false" comes first, to stand last.
fn write(cfg: &Cfg, leaves: Leaves) -> Result<Program, EmitError> {
    let mut out = Output::new(cfg.blocks.len(), cfg.insns.len() + cfg.blocks.len());
    let mut walk = Walk::start(cfg, |id| out.discover(id));
    while let Some(id) = walk.next(cfg, |id| out.discover(id)) {
        out.block(cfg, id, leaves);
        if out.code.len() > MAX_INSNS {
            return Err(EmitError::TooLong);
        }
    }
    out.code.reverse();
    Ok(Program::from_insns(out.code))
}

/// Where a jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To a block.
    Block(BlockId),
    /// To an instruction already written, by its place counted from the program's end.
    Place(u32),
}

const NOWHERE: u32 = u32::MAX;

/// What is known of a block while the program is written.
#[derive(Clone, Copy)]
struct Written {
    /// Its first instruction; not yet known of a block whose successors are being written.
    start: u32,
    /// Found on the way from the root.
    found: bool,
    /// It, or one behind it, reads what the accumulator holds before it.
    reads: bool,
}

/// A program being written backward. Places count from the end: the last instruction is 0.
pub(super) struct Output {
    code: Vec<Insn>,
    blocks: Vec<Written>,
    /// Latest island of each block; empty until there is one.
    island: Vec<u32>,
}

impl Output {
    fn new(blocks: usize, insns: usize) -> Self {
        let unknown = Written { start: NOWHERE, found: false, reads: false };
        let (code, blocks) = (Vec::with_capacity(insns), vec![unknown; blocks]);
        Self { code, blocks, island: Vec::new() }
    }

    /// Whether a block has not been found before.
    fn discover(&mut self, id: BlockId) -> bool {
        !std::mem::replace(&mut self.blocks[id.index()].found, true)
    }

    /// Puts a block in front, all of whose successors are written.
    fn block(&mut self, cfg: &Cfg, id: BlockId, leaves: Leaves) {
        // Only sets ask for it.
        if !cfg.sets.is_empty() {
            self.blocks[id.index()].reads = cfg.inner_jumps || self.reads_accumulator(cfg, id);
        }
        let block = cfg.block(id);
        match block.term {
            Term::Ret(value) => self.push(Insn::stmt(op::RET | op::K, value)),
            Term::Goto(to) if block.len == 0 => {
                self.blocks[id.index()].start = self.start(to);
                return;
            }
            Term::Goto(to) => self.go(to),
            Term::If { test: TestOp::Compare(compare), jt, jf } => {
                self.branch(compare, Target::Block(jt), Target::Block(jf));
            }
            Term::If { test: TestOp::In(set), jt, jf } => {
                let scratch = !self.blocks[jt.index()].reads && !self.blocks[jf.index()].reads;
                let set = &cfg.sets[set.0 as usize];
                decision_tree::write(self, set, [jt, jf], leaves, scratch);
            }
        }
        for &insn in cfg.insns_of(id).iter().rev() {
            self.push(insn);
        }
        self.blocks[id.index()].start = self.front();
    }

    /// Whether a block, or one behind it, reads the accumulator before it writes it.
    fn reads_accumulator(&self, cfg: &Cfg, id: BlockId) -> bool {
        for insn in cfg.insns_of(id) {
            if uses(insn) & A != 0 {
                return true;
            }
            if defines(insn) & A != 0 {
                return false;
            }
        }
        match cfg.block(id).term {
            Term::Ret(_) => false,
            Term::Goto(to) => self.blocks[to.index()].reads,
            Term::If { .. } => true,
        }
    }

    /// Place of a block's first instruction.
    fn start(&self, id: BlockId) -> u32 {
        self.blocks[id.index()].start
    }

    /// Puts an instruction in front.
    pub(super) fn push(&mut self, insn: Insn) {
        self.code.push(insn);
    }

    /// Place of the instruction in front.
    pub(super) fn front(&self) -> u32 {
        self.code.len() as u32 - 1
    }

    /// Goes on at a block: nothing when it is in front, else a jump or a copy of its `ret`.
    pub(super) fn go(&mut self, to: BlockId) {
        let place = self.start(to);
        let there = self.code[place as usize];
        match op::class(there.code) {
            _ if place == self.front() => {}
            op::RET => self.push(there),
            _ => self.push_jump(place),
        }
    }

    /// Puts a conditional jump in front, and islands where it does not reach.
    pub(super) fn branch(&mut self, compare: Compare, jt: Target, jf: Target) {
        let mut islands = [NOWHERE; 2];
        loop {
            match (self.reach(jt, islands[0]), self.reach(jf, islands[1])) {
                (Some(near_jt), Some(near_jf)) => {
                    self.push(Insn::jump(compare.code, compare.k, near_jt, near_jf));
                    return;
                }
                (None, _) => islands[0] = self.add_island(jt),
                (_, None) => islands[1] = self.add_island(jf),
            }
        }
    }

    /// Instructions to skip from the next one written to the target or to an island of it.
    fn reach(&self, target: Target, island: u32) -> Option<u8> {
        let next = self.code.len() as u32;
        let distance = |place: u32| match place {
            NOWHERE => None,
            _ => u8::try_from(next - place - 1).ok(),
        };
        let shared = || match target {
            Target::Place(_) => NOWHERE,
            Target::Block(id) => self.island.get(id.index()).map_or(NOWHERE, |at| *at),
        };
        let place = match target {
            Target::Place(place) => place,
            Target::Block(id) => self.start(id),
        };
        distance(place).or_else(|| distance(shared())).or_else(|| distance(island))
    }

    /// Puts an island in front; returns its place.
    fn add_island(&mut self, target: Target) -> u32 {
        match target {
            Target::Place(place) => self.push_jump(place),
            Target::Block(id) => {
                self.push_jump(self.start(id));
                if self.island.is_empty() {
                    self.island = vec![NOWHERE; self.blocks.len()];
                }
                self.island[id.index()] = self.front();
            }
        }
        self.front()
    }

    /// A jump to a place.
    fn push_jump(&mut self, place: u32) {
        let skip = self.code.len() as u32 - place - 1;
        self.push(Insn::stmt(op::JMP | op::JA, skip));
    }
}
