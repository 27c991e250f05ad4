//! Expressions over value numbers: what instructions load and compute.

use super::{ACC, CONST, Def, IDX, Value, Values, is_fixed_load};
use crate::bpf::{Insn, op};

/// So many expressions over a number are found from it: it has just been made, mostly, and is in the
/// cache. Where there are more, the table has the others.
const NEAR: usize = 3;
const IN_TABLE: Value = u32::MAX;

/// `SKF_LL_OFF` of `linux/filter.h`: from here on offsets are relative to a header, and from
/// `SKF_AD_OFF` (0xfffff000) on they name auxiliary data.
const SPECIAL_OFFSETS: u32 = 0xffe0_0000;

impl Values {
    /// The constant a value is.
    pub fn constant(&self, value: Value) -> Option<u32> {
        let def = self.defs[value as usize];
        (def.code == CONST).then_some(def.a)
    }

    /// The number of a constant.
    pub fn of_constant(&mut self, k: u32) -> Value {
        self.find(CONST, k, 0, k)
    }

    /// The number that `insn` loads or computes, 0 for stores.
    pub fn of_insn(&mut self, insn: &Insn) -> Value {
        let (a, x) = (self.state[ACC], self.state[IDX]);
        match op::class(insn.code) {
            op::LD | op::LDX => match op::mode(insn.code) {
                op::IMM => self.of_constant(insn.k),
                op::MEM => self.word_now(insn.k),
                op::IND => self.indexed(insn, x),
                op::MSH => self.find(insn.code, insn.k, 0, 60),
                _ if is_fixed_load(insn) => self.of_fixed_load(insn),
                _ => self.find(insn.code, insn.k, 0, u32::MAX),
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

    /// The number that a load from a fixed place in the packet loads.
    pub fn of_fixed_load(&mut self, load: &Insn) -> Value {
        self.fixed(load.code, load.k)
    }

    /// The number of what a load finds at an offset.
    #[inline]
    fn fixed(&mut self, code: u16, offset: u32) -> Value {
        if offset < self.near {
            return self.find_near(code, offset);
        }
        self.find(code, offset, 0, size_max(code))
    }

    /// The same without the table.
    fn find_near(&mut self, code: u16, offset: u32) -> Value {
        let place = offset as usize;
        if place >= self.loads.len() {
            self.loads.resize(2 * place + 32, 0);
        }
        let (mut at, mut last) = (self.loads[place], 0);
        while at != 0 {
            let def = &self.defs[at as usize];
            if def.code == code {
                return at;
            }
            (last, at) = (at, def.next);
        }
        let value = self.push(Def::new(code, offset, 0, size_max(code)));
        match last {
            0 => self.loads[place] = value,
            _ => self.defs[last as usize].next = value,
        }
        value
    }

    /// Runs an instruction on the registers.
    pub fn execute(&mut self, insn: &Insn) {
        let value = self.of_insn(insn);
        self.set(insn, value);
    }

    /// Runs an instruction of which it is known what it loads or computes.
    pub fn set(&mut self, insn: &Insn, value: Value) {
        let state = &mut self.state;
        let word = insn.k as usize % op::MEMWORDS;
        match op::class(insn.code) {
            op::LD | op::ALU => state[ACC] = value,
            op::LDX => state[IDX] = value,
            op::ST => self.words[word] = state[ACC],
            op::STX => self.words[word] = state[IDX],
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
            return self.fixed(absolute, offset);
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
        // Over the newer one, which few expressions are over; there are many over a mask.
        let (a, b) = if commutes && a < b { (b, a) } else { (a, b) };
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

    pub(super) fn push(&mut self, def: Def) -> Value {
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
            let def = &mut self.defs[at as usize];
            if (def.code, def.b) == (code, b) {
                if max < def.max {
                    def.max = max;
                }
                return at;
            }
            (last, at) = (at, def.next);
        }
        self.find(code, a, b, max)
    }

    /// The number of an expression in the table, a new one if need be.
    fn find(&mut self, code: u16, a: u32, b: u32, max: u32) -> Value {
        if self.table.is_empty() {
            self.table.resize(self.slots, 0);
        }
        let mask = self.table.len() - 1;
        let mut slot = hash(code, a, b) as usize & mask;
        loop {
            match self.table[slot] {
                0 => break,
                value => {
                    let def = &mut self.defs[value as usize];
                    if (def.code, def.a, def.b) == (code, a, b) {
                        if max < def.max {
                            def.max = max;
                        }
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
            let mut slot = hash(def.code, def.a, def.b) as usize & (size - 1);
            while self.table[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = value;
        }
    }
}

/// Mixes an expression into a table index: every bit depends on every bit of the expression.
pub(in crate::filter::optimize) fn hash(code: u16, a: u32, b: u32) -> u32 {
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
fn evaluate(operation: u16, a: u32, b: u32) -> Option<u32> {
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
