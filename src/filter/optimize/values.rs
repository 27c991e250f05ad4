//! Value numbering: equal numbers are equal values in every run of the program.
//!
//! A number stands for a constant, for an expression over other numbers (packet loads are
//! functions of the packet), or for whatever a register held on entry to one particular block. The
//! last kind is what a register gets where edges with different values meet; a block is entered
//! at most once in a run, so such a number is one value, too.

use super::flow::{Flow, Regs};
use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term};

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
    /// The next of those over the same number; [`IN_TABLE`] in the table.
    next: Value,
}

impl Def {
    fn new(code: u16, a: u32, b: u32, max: u32) -> Self {
        Self { code, a, b, max, first: 0, next: 0 }
    }
}

/// So many expressions over a number are found from it: it has just been made, mostly, and is in the
/// cache. Where there are more, the table has the others.
const NEAR: usize = 3;
const IN_TABLE: Value = u32::MAX;

/// Registers that there are.
const REGS: usize = 2 + op::MEMWORDS;

const CONST: u16 = op::LD | op::IMM;
/// A code that no instruction has: the value of a register on entry to a block.
const ENTRY: u16 = 0xffff;

/// The numbers of every register at the start and the end of every block.
#[derive(Default)]
pub(super) struct Values {
    /// Loads must fail where they failed before.
    exact: bool,
    defs: Vec<Def>,
    /// Open addressing; 0 is free.
    table: Vec<Value>,
    /// How many numbers it has.
    filled: usize,
    /// Registers in use: accumulator, index register and scratch words up to the last one used.
    used: usize,
    /// The graph is [`LARGE`].
    large: bool,
    /// Those whose numbers are kept for every block: all that are in use, or, in a large graph, the
    /// accumulator and the index register.
    regs: usize,
    /// Expressions are simplified.
    folds: bool,
    /// Registers at the current point.
    state: [Value; REGS],
    entry: Vec<Value>,
    exit: Vec<Value>,
    /// In a large graph, by block: the scratch words that are alive before it.
    live: Vec<Live>,
    /// Their numbers.
    scratch: Vec<Value>,
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
    pub fn new(exact: bool) -> Self {
        Self { exact, ..Self::default() }
    }

    /// Numbers the whole graph as it is.
    pub fn number(&mut self, cfg: &Cfg, flow: &Flow) {
        self.begin(cfg, flow, false);
        for &id in flow.post.iter().rev() {
            self.enter(id, flow.of(id).exposed);
            for insn in cfg.insns_of(id) {
                self.execute(insn);
            }
            self.leave(id, &cfg.block(id).term);
        }
    }

    /// Begins anew at the root. Expressions are simplified when `folds`; else they are taken at
    /// face value, as libpcap does while it moves branches.
    pub fn begin(&mut self, cfg: &Cfg, flow: &Flow, folds: bool) {
        self.folds = folds;
        self.reset(cfg);
        self.live.clear();
        self.scratch.clear();
        if self.large && self.used > 2 {
            self.live.resize(cfg.blocks.len(), Live::default());
            let mut first = 0;
            for &id in &flow.post {
                let words = (flow.of(id).live_in >> 2) as u16;
                self.live[id.index()] = Live { first, words };
                first += words.count_ones();
            }
            self.scratch.resize(first as usize, 0);
        }
        let span = self.span(cfg.root);
        self.entry[span].fill(MERGED);
        let span = self.scratch_span(cfg.root);
        self.scratch[span].fill(MERGED);
    }

    /// Goes to the start of a block, all of whose predecessors have been left; `exposed` is what
    /// the block itself reads of what was in registers before.
    pub fn enter(&mut self, id: BlockId, exposed: Regs) {
        let first = id.index() * self.regs;
        for reg in 0..self.regs {
            let entry = self.entry[first + reg];
            if entry == MERGED || entry == UNREAD {
                let unread = reg == ACC && self.large && exposed & 1 == 0;
                self.entry[first + reg] = if unread { UNREAD } else { self.unknown() };
            }
            self.state[reg] = self.entry[first + reg];
        }
        self.state[self.regs..self.used].fill(0);
        for (word, at) in self.scratch_words(id) {
            if self.scratch[at] == MERGED {
                self.scratch[at] = self.unknown();
            }
            self.state[2 + word] = self.scratch[at];
        }
    }

    /// Leaves a block: its registers go to its successors.
    pub fn leave(&mut self, id: BlockId, term: &Term) {
        let span = self.span(id);
        for_each_register(&mut self.exit[span], &self.state, |exit, value| *exit = value);
        match *term {
            Term::Ret(_) => {}
            Term::Goto(to) => self.arrive(to),
            Term::If { jt, jf, .. } => {
                self.arrive(jt);
                self.arrive(jf);
            }
        }
    }

    /// Takes the registers along to a block.
    fn arrive(&mut self, next: BlockId) {
        let meet = |seen: &mut Value, value| {
            *seen = match *seen {
                0 => value,
                same if same == value => same,
                _ => MERGED,
            };
        };
        let span = self.span(next);
        for_each_register(&mut self.entry[span], &self.state, meet);
        for (word, at) in self.scratch_words(next) {
            meet(&mut self.scratch[at], self.state[2 + word]);
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
        for reg in 0..self.used {
            if regs >> reg & 1 != 0 {
                self.state[reg] = self.unknown();
            }
        }
    }

    /// What a register holds at this point.
    pub fn now(&self, reg: usize) -> Value {
        self.state[reg]
    }

    /// A number like no other.
    fn unknown(&mut self) -> Value {
        self.push(Def::new(ENTRY, 0, 0, u32::MAX))
    }

    fn reset(&mut self, cfg: &Cfg) {
        let scratch = |insn: &Insn| match (op::class(insn.code), op::mode(insn.code)) {
            (op::ST | op::STX, _) | (op::LD | op::LDX, op::MEM) => insn.k as usize + 1,
            _ => 0,
        };
        self.used = 2 + cfg.insns.iter().map(scratch).max().unwrap_or(0).min(op::MEMWORDS);
        self.large = cfg.blocks.len() > LARGE;
        self.regs = if self.large { 2 } else { self.used };
        // Most instructions and tests make one new number, of which few need the table; of many, most
        // are equal to others. A table that fits into the caches is worth growing one now and then.
        let values = cfg.insns.len() + cfg.blocks.len() + 8;
        let (room, slots) = match values < LARGE {
            true => (values, values.max(32)),
            false => (values / 2, values / 8),
        };
        self.defs.clear();
        self.defs.reserve(room);
        self.defs.extend([Def::new(ENTRY, 0, 0, u32::MAX); UNREAD as usize + 1]);
        self.filled = 0;
        self.table.clear();
        self.table.resize(slots.next_power_of_two(), 0);
        for vector in [&mut self.entry, &mut self.exit] {
            vector.clear();
            vector.resize(self.regs * cfg.blocks.len(), 0);
        }
    }

    fn span(&self, id: BlockId) -> std::ops::Range<usize> {
        id.index() * self.regs..(id.index() + 1) * self.regs
    }

    /// Value of a register at the start of a block; 0 where nobody is going to read it.
    pub fn at_entry(&self, id: BlockId, reg: usize) -> Value {
        if reg < self.regs {
            return self.entry[id.index() * self.regs + reg];
        }
        let known = self.scratch_words(id).find(|&(word, _)| 2 + word == reg);
        known.map_or(0, |(_, at)| self.scratch[at])
    }

    /// Whether a register is known to have the same value at the start and the end of a block.
    pub fn keeps(&self, id: BlockId, reg: usize) -> bool {
        reg < self.regs && self.at_entry(id, reg) == self.at_exit(id, reg)
    }

    /// Value of the accumulator or the index register where a block tests it.
    pub fn at_exit(&self, id: BlockId, reg: usize) -> Value {
        self.exit[id.index() * self.regs + reg]
    }

    /// Number of value numbers.
    pub fn len(&self) -> usize {
        self.defs.len()
    }

    /// The constant a value is.
    pub fn constant(&self, value: Value) -> Option<u32> {
        let def = self.defs[value as usize];
        (def.code == CONST).then_some(def.a)
    }

    /// The number of a constant.
    pub fn of_constant(&mut self, k: u32) -> Value {
        self.find(CONST, k, 0, k)
    }

    /// The number of a question about two values.
    pub fn of_question(&mut self, code: u16, value: Value, operand: u32) -> Value {
        self.find_over(value, code, operand, 1)
    }

    /// The number that `insn` loads or computes, 0 for stores.
    pub fn of_insn(&mut self, insn: &Insn) -> Value {
        let (a, x) = (self.state[ACC], self.state[IDX]);
        match op::class(insn.code) {
            op::LD | op::LDX => match op::mode(insn.code) {
                op::IMM => self.of_constant(insn.k),
                op::MEM => self.state[2 + (insn.k as usize & 15)],
                op::IND => self.indexed(insn, x),
                op::MSH => self.find(insn.code, insn.k, 0, 60),
                _ => self.find(insn.code, insn.k, 0, size_max(insn.code)),
            },
            op::ALU if op::operation(insn.code) == op::NEG => self.negated(a),
            op::ALU => {
                let operand =
                    if op::src(insn.code) == op::X { x } else { self.of_constant(insn.k) };
                self.arithmetic(op::operation(insn.code), a, operand)
            }
            op::MISC if insn.code == op::MISC | op::TXA => x,
            op::MISC => a,
            _ => 0,
        }
    }

    /// Runs an instruction on the registers.
    pub fn execute(&mut self, insn: &Insn) {
        let value = self.of_insn(insn);
        self.set(insn, value);
    }

    /// Runs an instruction of which it is known what it loads or computes.
    pub fn set(&mut self, insn: &Insn, value: Value) {
        let state = &mut self.state;
        match op::class(insn.code) {
            op::LD | op::ALU => state[ACC] = value,
            op::LDX => state[IDX] = value,
            op::ST => state[2 + (insn.k as usize & 15)] = state[ACC],
            op::STX => state[2 + (insn.k as usize & 15)] = state[IDX],
            op::MISC if insn.code == op::MISC | op::TXA => state[ACC] = value,
            _ => state[IDX] = value,
        }
    }

    /// A load relative to the index register: the constant part of the index joins the offset.
    fn indexed(&mut self, insn: &Insn, index: Value) -> Value {
        let max = size_max(insn.code);
        let absolute = op::LD | op::size(insn.code) | op::ABS;
        if self.folds
            && let Some(base) = self.constant(index)
            && let Some(offset) = self.add_offsets(base, insn.k)
        {
            return self.find(absolute, offset, 0, max);
        }
        self.find_over(index, insn.code, insn.k, max)
    }

    fn negated(&mut self, a: Value) -> Value {
        match self.constant(a) {
            Some(k) if self.folds => self.of_constant(k.wrapping_neg()),
            _ => self.find_over(a, op::ALU | op::NEG, 0, u32::MAX),
        }
    }

    fn arithmetic(&mut self, operation: u16, a: Value, b: Value) -> Value {
        if !self.folds {
            return self.find_over(a, op::ALU | operation, b, u32::MAX);
        }
        if let (Some(left), Some(right)) = (self.constant(a), self.constant(b))
            && let Some(result) = evaluate(operation, left, right)
        {
            return self.of_constant(result);
        }
        let (left, right) = (self.constant(a), self.constant(b));
        match (operation, left, right) {
            (op::ADD | op::SUB | op::LSH | op::RSH | op::OR | op::XOR, _, Some(0))
            | (op::MUL | op::DIV, _, Some(1)) => return a,
            (op::ADD | op::OR | op::XOR, Some(0), _) | (op::MUL, Some(1), _) => return b,
            (op::MUL | op::AND, _, Some(0))
            | (op::MUL | op::AND | op::LSH | op::RSH, Some(0), _) => return self.of_constant(0),
            // Rejecting a division by 0 counts as a load does, unless it is known to be one.
            (op::DIV | op::MOD, Some(0), divisor) if !self.exact && divisor != Some(0) => {
                return self.of_constant(0);
            }
            _ => {}
        }
        let commutes = matches!(operation, op::ADD | op::MUL | op::OR | op::AND | op::XOR);
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        let max = self.max_of(operation, a, b);
        self.find_over(a, op::ALU | operation, b, max)
    }

    fn max_of(&self, operation: u16, a: Value, b: Value) -> u32 {
        let (left, right) = (self.defs[a as usize].max, self.defs[b as usize].max);
        let bound = match operation {
            op::ADD => left.checked_add(right),
            op::MUL => left.checked_mul(right),
            op::AND => Some(left.min(right)),
            op::LSH => {
                self.constant(b).and_then(|n| u32::try_from(u64::from(left) << n.min(32)).ok())
            }
            op::RSH => self.constant(b).map(|n| left.checked_shr(n).unwrap_or(0)),
            op::DIV => Some(left),
            op::OR | op::XOR => {
                Some(u32::MAX.checked_shr((left | right).leading_zeros()).unwrap_or(0))
            }
            _ => None,
        };
        bound.unwrap_or(u32::MAX)
    }

    /// The offset of a load whose index is known. None for a sum that the kernel would take for
    /// something else than an offset. A sum that wraps becomes valid where it was
    /// none (`ld [x + 0xfffffffe]` with an index of 23), which is libpcap's way.
    pub fn add_offsets(&self, base: u32, k: u32) -> Option<u32> {
        let sum = if self.exact { base.checked_add(k)? } else { base.wrapping_add(k) };
        (sum < SPECIAL_OFFSETS || base.max(k) >= SPECIAL_OFFSETS).then_some(sum)
    }

    /// Greatest value that a number can stand for.
    pub fn max(&self, value: Value) -> u32 {
        self.defs[value as usize].max
    }

    fn push(&mut self, def: Def) -> Value {
        self.defs.push(def);
        self.defs.len() as Value - 1
    }

    /// The number of an expression over a number, a new one if need be.
    fn find_over(&mut self, a: Value, code: u16, b: u32, max: u32) -> Value {
        let (mut at, mut last) = (self.defs[a as usize].first, 0);
        for _ in 0..NEAR {
            if at == 0 {
                let value = self.push(Def::new(code, a, b, max));
                match last {
                    0 => self.defs[a as usize].first = value,
                    _ => self.defs[last as usize].next = value,
                }
                return value;
            }
            let def = &self.defs[at as usize];
            if (def.code, def.b) == (code, b) {
                return at;
            }
            (last, at) = (at, def.next);
        }
        self.find(code, a, b, max)
    }

    /// The number of an expression in the table, a new one if need be.
    fn find(&mut self, code: u16, a: u32, b: u32, max: u32) -> Value {
        let mask = self.table.len() - 1;
        let mut slot = first_slot(code, a, b) & mask;
        loop {
            match self.table[slot] {
                0 => break,
                value => {
                    let def = &self.defs[value as usize];
                    if (def.code, def.a, def.b) == (code, a, b) {
                        return value;
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        let value = self.push(Def { next: IN_TABLE, ..Def::new(code, a, b, max) });
        self.table[slot] = value;
        self.filled += 1;
        if self.filled * 2 > self.table.len() {
            self.grow();
        }
        value
    }

    /// Makes room in the table.
    #[cold]
    fn grow(&mut self) {
        let size = 4 * self.table.len();
        self.table.clear();
        self.table.resize(size, 0);
        for (value, def) in (0..).zip(&self.defs).filter(|(_, def)| def.next == IN_TABLE) {
            let mut slot = first_slot(def.code, def.a, def.b) & (size - 1);
            while self.table[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = value;
        }
    }
}

/// `SKF_LL_OFF` of `linux/filter.h`: from here on offsets are relative to a header, and from
/// `SKF_AD_OFF` (0xfffff000) on they name auxiliary data.
const SPECIAL_OFFSETS: u32 = 0xffe0_0000;

/// In a large graph: what the accumulator holds where blocks lead together that left different values in
/// it, until a block reads it.
const UNREAD: Value = 1;

/// Stands in `entry` for "several values" until the block is visited.
const MERGED: Value = u32::MAX;

/// Pairs a block's registers with the current ones. Most programs have only the first two, for which
/// a loop is slow.
#[inline(always)]
fn for_each_register(
    of_block: &mut [Value],
    state: &[Value; REGS],
    mut act: impl FnMut(&mut Value, Value),
) {
    if let Some((first, scratch)) = of_block.split_first_chunk_mut::<2>() {
        act(&mut first[0], state[0]);
        act(&mut first[1], state[1]);
        for (word, &value) in scratch.iter_mut().zip(&state[2..]) {
            act(word, value);
        }
    }
}

/// Where the table is searched first. Loads from places near each other are mostly looked for one after
/// the other: they share cache lines.
fn first_slot(code: u16, a: u32, b: u32) -> usize {
    const NEAR: u32 = 31;
    let is_load = op::class(code) == op::LD && op::mode(code) == op::ABS;
    (if is_load { hash(code, a & !NEAR, b) & !NEAR | a & NEAR } else { hash(code, a, b) }) as usize
}

/// Mixes an expression into a table index: every bit depends on every bit of the expression.
pub(super) fn hash(code: u16, a: u32, b: u32) -> u32 {
    let whole = u64::from(a) << 32 | u64::from(b);
    let coded = whole.wrapping_add(u64::from(code).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mixed = coded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u32
}

/// Greatest result of a packet load.
fn size_max(code: u16) -> u32 {
    match (op::mode(code), op::size(code)) {
        (op::ABS | op::IND, op::B) => 0xff,
        (op::ABS | op::IND, op::H) => 0xffff,
        _ => u32::MAX,
    }
}

/// Constant arithmetic as the machine does it; `None` where it rejects the packet.
pub(super) fn evaluate(operation: u16, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV => a.checked_div(b)?,
        op::MOD => a.checked_rem(b)?,
        op::OR => a | b,
        op::AND => a & b,
        op::XOR => a ^ b,
        op::LSH => a.checked_shl(b).unwrap_or(0),
        op::RSH => a.checked_shr(b).unwrap_or(0),
        _ => return None,
    })
}
