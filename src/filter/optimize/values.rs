//! Value numbering: equal numbers are equal values in every run of the program.
//!
//! A number stands for a constant, for an expression over other numbers (packet loads are
//! functions of the packet), or for whatever a register held on entry to one particular block. The
//! last kind is what a register gets where edges with different values meet; a block is entered
//! at most once in a run, so such a number is one value, too.

mod expressions;

use super::flow::{A, Flow, Regs, X, is_fixed_load};
use crate::bpf::op;
use crate::filter::cfg::{BlockId, Cfg, Term};

pub(super) use expressions::hash;

/// A value number; 0 is none.
pub(super) type Value = u32;

/// Register index of the accumulator.
pub(super) const ACC: usize = 0;
/// Register index of the index register.
pub(super) const IDX: usize = 1;

/// What a value number stands for.
#[derive(Clone, Copy)]
struct Def {
    code: u16,
    a: u32,
    b: u32,
    /// Greatest value it can have.
    max: u32,
    /// The first of the few expressions over this number that no table is needed for.
    first: Value,
    /// The next of those over the same number, or of loads from the same offset; or that the number is in
    /// the table.
    next: Value,
}

impl Def {
    const fn new(code: u16, a: u32, b: u32, max: u32) -> Self {
        Self { code, a, b, max, first: 0, next: 0 }
    }
}

/// The numbers of the scratch words.
type Words = [Value; op::MEMWORDS];

const CONST: u16 = op::LD | op::IMM;
/// A code that no instruction has: the value of a register on entry to a block.
const ENTRY: u16 = 0xffff;

/// The numbers of every register at the start and the end of every block.
#[derive(Default)]
pub(super) struct Values {
    /// Loads must fail where they failed before.
    exact: bool,
    defs: Vec<Def>,
    /// Open addressing; 0 is free. Empty until it is needed, then of so many slots.
    table: Vec<Value>,
    slots: usize,
    /// How many numbers it has.
    filled: usize,
    /// The first number of a load from each offset below `near`. Places near each other are mostly looked
    /// for one after the other.
    loads: Vec<Value>,
    near: u32,
    /// The graph is [`LARGE`].
    large: bool,
    /// What scratch words hold is followed from block to block.
    follows_scratch: bool,
    /// Expressions are simplified.
    folds: bool,
    /// Accumulator and index register at the current point.
    state: [Value; 2],
    /// Scratch words at the current point.
    words: Words,
    /// Accumulator and index register by block, at its start: nothing where no block looks at them.
    entries: Vec<[Value; 2]>,
    /// The same at its end.
    exits: Vec<[Value; 2]>,
    /// By block, where scratch words are followed and the graph is not large.
    scratch_ends: Vec<Ends>,
    /// In a large graph where scratch words are followed, by block: those that are alive before it.
    live: Vec<Live>,
    /// Their numbers.
    scratch: Vec<Value>,
}

/// Scratch words at the start and the end of a block.
#[derive(Clone, Copy, Default)]
struct Ends {
    entry: Words,
    exit: Words,
}

/// Scratch words alive before a block.
#[derive(Clone, Copy, Default)]
struct Live {
    /// Where their numbers are.
    first: u32,
    /// Which words, as bits.
    words: u16,
}

/// Graphs of more blocks are large: a number for every scratch word and block would take more memory than
/// all the rest. What is in a word that nobody is going to read stays unknown there.
const LARGE: usize = 1 << 12;

impl Values {
    /// Nothing numbered yet; `exact` as in [`Flow::exact`].
    pub fn new(exact: bool, cfg: &Cfg) -> Self {
        let (room, _) = expected_values(cfg);
        Self {
            exact,
            defs: Vec::with_capacity(room),
            exits: Vec::with_capacity(cfg.blocks.len()),
            ..Self::default()
        }
    }

    /// Numbers the whole graph as it is.
    pub fn number(&mut self, cfg: &Cfg, flow: &Flow) {
        self.reset(cfg);
        self.begin(cfg, flow, false);
        for &id in flow.post.iter().rev() {
            self.enter(id, flow.of(id).exposed);
            for insn in cfg.insns_of(id) {
                self.execute(insn);
            }
            self.leave(id, &cfg.block(id).term);
        }
    }

    /// Numbers the values that blocks test, where every block loads all that it tests: these values do
    /// not depend on where the block stands.
    pub fn number_tests(&mut self, cfg: &Cfg, flow: &Flow) {
        self.folds = false;
        self.reset(cfg);
        self.forget_exits(cfg);
        for &id in &flow.post {
            self.number_test(cfg, id);
        }
    }

    /// [`Values::number_tests`] for a block whose instructions have changed since.
    #[inline]
    pub fn number_test(&mut self, cfg: &Cfg, id: BlockId) {
        self.state = [0; 2];
        match cfg.insns_of(id) {
            [load] if is_fixed_load(load) => self.state[ACC] = self.of_fixed_load(load),
            insns => insns.iter().for_each(|insn| self.execute(insn)),
        }
        self.exits[id.index()] = self.state;
    }

    /// Begins at the root, with the numbers that there are. Expressions are simplified when `folds`; else they are taken at
    /// face value, as libpcap does while it moves branches.
    pub fn begin(&mut self, cfg: &Cfg, flow: &Flow, folds: bool) {
        self.folds = folds;
        self.forget_exits(cfg);
        self.entries.clear();
        self.entries.resize(cfg.blocks.len(), [0; 2]);
        self.follows_scratch = shares_scratch(flow);
        if self.follows_scratch && self.large {
            self.live.clear();
            self.live.resize(cfg.blocks.len(), Live::default());
            let mut first = 0;
            for &id in &flow.post {
                let words = (flow.of(id).live_in >> 2) as u16;
                self.live[id.index()] = Live { first, words };
                first += words.count_ones();
            }
            self.scratch.clear();
            self.scratch.resize(first as usize, 0);
            let span = self.scratch_span(cfg.root);
            self.scratch[span].fill(MERGED);
        } else if self.follows_scratch {
            self.scratch_ends.clear();
            self.scratch_ends.resize(cfg.blocks.len(), Ends::default());
            self.scratch_ends[cfg.root.index()].entry = [MERGED; op::MEMWORDS];
        }
        self.entries[cfg.root.index()] = [MERGED; 2];
    }

    /// Goes to the start of a block, all of whose predecessors have been left; `exposed` is what
    /// the block itself reads of what was in registers before.
    pub fn enter(&mut self, id: BlockId, exposed: Regs) {
        self.state = self.entries[id.index()];
        if self.large && matches!(self.state[ACC], MERGED | UNREAD) {
            self.state[ACC] = if exposed & A == 0 { UNREAD } else { MERGED };
        }
        name_merged(&mut self.defs, &mut self.state);
        self.entries[id.index()] = self.state;
        self.words = Words::default();
        if !self.follows_scratch {
            return;
        }
        if let Some(ends) = self.scratch_ends.get_mut(id.index()) {
            name_merged(&mut self.defs, &mut ends.entry);
            self.words = ends.entry;
            return;
        }
        for (word, at) in self.scratch_words(id) {
            name_merged(&mut self.defs, &mut self.scratch[at..=at]);
            self.words[word] = self.scratch[at];
        }
    }

    /// Leaves a block: its registers go to its successors.
    pub fn leave(&mut self, id: BlockId, term: &Term) {
        self.exits[id.index()] = self.state;
        if let Some(ends) = self.scratch_ends.get_mut(id.index()) {
            ends.exit = self.words;
        }
        match *term {
            Term::Ret(_) => {}
            Term::Goto(to) => self.arrive(to),
            Term::If { jt, jf, .. } => {
                self.arrive(jt);
                self.arrive(jf);
            }
        }
    }

    /// The same for a block that has not been entered and leaves these values.
    pub fn leave_with(&mut self, id: BlockId, state: [Value; 2], next: [BlockId; 2]) {
        self.exits[id.index()] = state;
        for to in next {
            meet(&mut self.entries[to.index()], &state);
        }
    }

    /// Takes the registers along to a block.
    fn arrive(&mut self, next: BlockId) {
        meet(&mut self.entries[next.index()], &self.state);
        if !self.follows_scratch {
            return;
        }
        if let Some(ends) = self.scratch_ends.get_mut(next.index()) {
            meet(&mut ends.entry, &self.words);
            return;
        }
        for (word, at) in self.scratch_words(next) {
            meet(&mut self.scratch[at..=at], &self.words[word..=word]);
        }
    }

    /// Where the numbers of a block's scratch words are.
    fn scratch_span(&self, id: BlockId) -> std::ops::Range<usize> {
        let Live { first, words } = self.live.get(id.index()).copied().unwrap_or_default();
        first as usize..(first + words.count_ones()) as usize
    }

    /// Scratch words alive before a block, and where their numbers are; none in a small graph.
    fn scratch_words(&self, id: BlockId) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Live { first, mut words } = self.live.get(id.index()).copied().unwrap_or_default();
        let next = move || {
            let word = words.trailing_zeros() as usize;
            words &= words.wrapping_sub(1);
            (word < 16).then_some(word)
        };
        std::iter::from_fn(next).zip(first as usize..)
    }

    /// Forgets what registers hold.
    pub fn forget(&mut self, regs: Regs) {
        let mut left = regs;
        while left != 0 {
            let reg = left.trailing_zeros() as usize;
            left &= left - 1;
            let value = unknown(&mut self.defs);
            match reg {
                ACC | IDX => self.state[reg] = value,
                _ => self.words[reg - 2] = value,
            }
        }
    }

    /// What the accumulator or the index register holds at this point.
    pub fn now(&self, reg: usize) -> Value {
        self.state[reg]
    }

    /// What a scratch word holds at this point.
    pub fn word_now(&self, k: u32) -> Value {
        self.words[k as usize % op::MEMWORDS]
    }

    /// Forgets all numbers.
    pub fn reset(&mut self, cfg: &Cfg) {
        self.large = cfg.blocks.len() > LARGE;
        let (room, slots) = expected_values(cfg);
        self.defs.clear();
        self.defs.reserve(room);
        self.defs.extend([UNKNOWN; UNREAD as usize + 1]);
        self.filled = 0;
        self.near = near_offsets(cfg);
        self.loads.clear();
        self.table.clear();
        self.slots = slots;
    }

    /// Forgets what registers hold where.
    fn forget_exits(&mut self, cfg: &Cfg) {
        self.live.clear();
        self.scratch_ends.clear();
        self.exits.clear();
        self.exits.resize(cfg.blocks.len(), [0; 2]);
    }

    /// Value of a register at the start of a block; 0 where nobody is going to read it.
    pub fn at_entry(&self, id: BlockId, reg: usize) -> Value {
        if let ACC | IDX = reg {
            return self.entries[id.index()][reg];
        }
        if let Some(ends) = self.scratch_ends.get(id.index()) {
            return ends.entry[reg - 2];
        }
        let known = self.scratch_words(id).find(|&(word, _)| 2 + word == reg);
        known.map_or(0, |(_, at)| self.scratch[at])
    }

    /// Whether a register is known to have the same value at the start and the end of a block.
    pub fn keeps(&self, id: BlockId, reg: usize) -> bool {
        match reg {
            ACC | IDX => self.entries[id.index()][reg] == self.exits[id.index()][reg],
            _ => self
                .scratch_ends
                .get(id.index())
                .is_some_and(|ends| ends.entry[reg - 2] == ends.exit[reg - 2]),
        }
    }

    /// Value of the accumulator or the index register where a block tests it.
    pub fn at_exit(&self, id: BlockId, reg: usize) -> Value {
        self.exits[id.index()][reg]
    }

    /// Number of value numbers.
    pub fn len(&self) -> usize {
        self.defs.len()
    }
}

/// In a large graph: what the accumulator holds where blocks lead together that left different values in
/// it, until a block reads it.
const UNREAD: Value = 1;

/// Stands in `entry` for "several values" until the block is visited.
const MERGED: Value = u32::MAX;

/// Room for values and slots of their table. Most instructions and tests make one new number, of which
/// few need the table; of many, most are equal to others. A table that fits into the caches is worth
/// growing one now and then.
fn expected_values(cfg: &Cfg) -> (usize, usize) {
    let values = cfg.insns.len() + cfg.blocks.len() + 8;
    let (room, slots) = match values < LARGE {
        true => (values, values.max(32)),
        false => (values / 2, values / 8),
    };
    (room, slots.next_power_of_two())
}

/// Loads from offsets below this are found without the table. Its memory is bounded by the graph's. The
/// headers of most packets end before 64.
fn near_offsets(cfg: &Cfg) -> u32 {
    (2 * cfg.blocks.len() as u32).max(64)
}

/// Of a value that nothing is known about.
const UNKNOWN: Def = Def::new(ENTRY, 0, 0, u32::MAX);

/// A number like no other.
fn unknown(defs: &mut Vec<Def>) -> Value {
    defs.push(UNKNOWN);
    defs.len() as Value - 1
}

/// Whether what one block leaves in a scratch word may matter to another: one that reads it, or one
/// that stores to the same word, perhaps the same value.
fn shares_scratch(flow: &Flow) -> bool {
    let (mut written, mut shared) = (0, 0);
    for &id in &flow.post {
        let info = flow.of(id);
        shared |= info.live_in | (info.written & written);
        written |= info.written;
    }
    shared & !(A | X) != 0
}

/// Gives a number to registers that may hold one of several values.
#[inline]
fn name_merged(defs: &mut Vec<Def>, values: &mut [Value]) {
    for value in values.iter_mut().filter(|value| **value == MERGED) {
        *value = unknown(defs);
    }
}

/// Adds what registers hold on one more way to a block.
fn meet(seen: &mut [Value], values: &[Value]) {
    for (seen, &value) in seen.iter_mut().zip(values) {
        *seen = if *seen == 0 || *seen == value { value } else { MERGED };
    }
}
