//! What holds before each instruction of a program, on every path to it.
//!
//! One forward pass: jumps go forward, so all ways into an instruction are known when it is
//! reached. Programs with backward jumps get the facts that hold of anything.

use super::{Insn, aux, has_backward_jump, op};

/// Facts that hold whenever control reaches an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// Whether any path leads here.
    pub reachable: bool,
    /// Most the accumulator can be.
    pub a_max: u32,
    /// Most the index register can be.
    pub x_max: u32,
    /// Scratch words and registers written on every path: bit n for M[n], [`A`], [`X`].
    pub written: u32,
    /// Bytes the packet has at least, since a load up to there went well on every path.
    pub present: u32,
}

/// Bits beside those of scratch words: the accumulator, the index register.
pub(super) const A: u32 = 1 << op::MEMWORDS;
pub(super) const X: u32 = A << 1;

impl State {
    const ENTRY: Self = Self { reachable: true, a_max: 0, x_max: 0, written: 0, present: 0 };
    const UNREACHED: Self = Self { reachable: false, ..Self::ENTRY };
    const ANYTHING: Self = Self { a_max: u32::MAX, x_max: u32::MAX, ..Self::ENTRY };

    fn merge(&mut self, other: &Self) {
        if !self.reachable {
            *self = *other;
            return;
        }
        self.a_max = self.a_max.max(other.a_max);
        self.x_max = self.x_max.max(other.x_max);
        self.written &= other.written;
        self.present = self.present.min(other.present);
    }
}

/// The facts about a whole program.
#[derive(Debug)]
pub(super) struct Analysis {
    states: Vec<State>,
    /// Scratch words and registers that some path may read before it writes them.
    pub unset_reads: u32,
}

impl Analysis {
    /// Analyses a strictly valid program.
    pub(super) fn new(insns: &[Insn]) -> Self {
        if has_backward_jump(insns) {
            let states = vec![State::ANYTHING; insns.len()];
            return Self { states, unset_reads: u32::MAX };
        }
        let mut analysis = Self { states: vec![State::UNREACHED; insns.len()], unset_reads: 0 };
        let mut scratch_max = [0u32; op::MEMWORDS];
        analysis.states[0] = State::ENTRY;
        for (index, insn) in insns.iter().enumerate() {
            let state = analysis.states[index];
            if state.reachable {
                analysis.unset_reads |= reads(insn) & !state.written;
                let after = step(insn, state, &mut scratch_max);
                for target in targets(insn, index).into_iter().flatten() {
                    analysis.states[target].merge(&after);
                }
            }
        }
        analysis
    }

    /// Facts before instruction `index`.
    pub(super) fn before(&self, index: usize) -> &State {
        &self.states[index]
    }
}

/// Where control goes after an instruction that is not the last of its path.
pub(super) fn targets(insn: &Insn, index: usize) -> [Option<usize>; 2] {
    let next = index + 1;
    match op::class(insn.code) {
        op::RET => [None, None],
        op::JMP if op::operation(insn.code) == op::JA => {
            [next.checked_add_signed(insn.k as i32 as isize), None]
        }
        op::JMP => [Some(next + usize::from(insn.jt)), Some(next + usize::from(insn.jf))],
        _ => [Some(next), None],
    }
}

fn reads(insn: &Insn) -> u32 {
    let Insn { code, k, .. } = *insn;
    let source = if op::src(code) == op::X { X } else { 0 };
    match (op::class(code), op::mode(code)) {
        (op::LD | op::LDX, op::MEM) => 1 << k,
        (op::LD, op::IND) | (op::STX, _) => X,
        (op::JMP, _) if op::operation(code) == op::JA => 0,
        (op::ST, _) => A,
        (op::ALU | op::JMP, _) => A | source,
        (op::RET, _) if code == op::RET | op::A => A,
        (op::MISC, _) => {
            if code == op::MISC | op::TAX {
                A
            } else {
                X
            }
        }
        _ => 0,
    }
}

/// Bytes an absolute load needs, `None` where no packet has so many or none are needed.
pub(super) fn bytes_needed(insn: &Insn) -> Option<u32> {
    match (op::class(insn.code), op::mode(insn.code)) {
        (op::LD, op::ABS) if aux::slot(insn.k).is_some() => None,
        (op::LD, op::ABS) | (op::LDX, op::MSH) => insn.k.checked_add(size(insn.code)),
        _ => None,
    }
}

/// Bytes that a packet load reads.
pub(super) fn size(code: u16) -> u32 {
    match op::size(code) {
        op::W => 4,
        op::H => 2,
        _ => 1,
    }
}

/// `scratch_max` bounds each word over the whole program read so far: coarser than per path, and
/// never wrong, since the pass sees every write that can come before a read.
fn step(insn: &Insn, mut state: State, scratch_max: &mut [u32; op::MEMWORDS]) -> State {
    let Insn { code, k, .. } = *insn;
    if let Some(bytes) = bytes_needed(insn) {
        state.present = state.present.max(bytes);
    }
    let word = k as usize % op::MEMWORDS;
    match op::class(code) {
        op::LD => {
            state.written |= A;
            state.a_max = match op::mode(code) {
                op::IMM => k,
                op::MEM => scratch_max[word],
                op::LEN => u32::MAX,
                _ if aux::slot(k).is_some() && op::mode(code) == op::ABS => u32::MAX,
                _ => u32::MAX >> (32 - 8 * size(code)),
            }
        }
        op::LDX => {
            state.written |= X;
            state.x_max = match op::mode(code) {
                op::IMM => k,
                op::MEM => scratch_max[word],
                op::LEN => u32::MAX,
                _ => 60,
            }
        }
        class @ (op::ST | op::STX) => {
            let value = if class == op::ST { state.a_max } else { state.x_max };
            scratch_max[word] = scratch_max[word].max(value);
            state.written |= 1 << word;
        }
        op::ALU => state.a_max = arithmetic_max(code, k, &state),
        op::MISC if code == op::MISC | op::TAX => {
            state.written |= X;
            state.x_max = state.a_max;
        }
        op::MISC => {
            state.written |= A;
            state.a_max = state.x_max;
        }
        _ => (),
    }
    state
}

fn arithmetic_max(code: u16, k: u32, state: &State) -> u32 {
    let (a, by_x) = (state.a_max, op::src(code) == op::X);
    let b = if by_x { state.x_max } else { k };
    let bound = match op::operation(code) {
        op::ADD => a.checked_add(b),
        op::MUL => a.checked_mul(b),
        op::AND => Some(a.min(b)),
        op::DIV if !by_x => a.checked_div(b),
        op::MOD if !by_x => Some(a.min(b.saturating_sub(1))),
        op::DIV | op::MOD => Some(a),
        op::RSH if !by_x => Some(a.checked_shr(b).unwrap_or(0)),
        op::RSH => Some(a),
        op::LSH if !by_x && b < 32 && a.leading_zeros() >= b => Some(a << b),
        _ => None,
    };
    bound.unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(insns: &[Insn], index: usize) -> State {
        *Analysis::new(insns).before(index)
    }

    #[test]
    fn lengths_merge_to_the_least() {
        let program = [
            Insn::stmt(0x28, 12),
            Insn::jump(0x15, 0x800, 0, 1),
            Insn::stmt(0x30, 23),
            Insn::stmt(0x30, 40),
            Insn::stmt(0x16, 0),
        ];
        assert_eq!(before(&program, 3).present, 14);
        assert_eq!(before(&program, 4).present, 41);
    }

    #[test]
    fn index_bounds() {
        let program = [
            Insn::stmt(0xb1, 14),
            Insn::stmt(0x50, 26),
            Insn::stmt(0x54, 0xf0),
            Insn::stmt(0x74, 2),
            Insn::stmt(0x0c, 0),
            Insn::stmt(0x02, 3),
            Insn::stmt(0x61, 3),
            Insn::stmt(0x40, 14),
            Insn::stmt(0x16, 0),
        ];
        assert_eq!(before(&program, 1).x_max, 60);
        assert_eq!(before(&program, 7).x_max, 120);
    }

    #[test]
    fn unset_scratch_words_are_found_on_any_path() {
        let program = [
            Insn::jump(0x15, 1, 0, 1),
            Insn::stmt(0x02, 3),
            Insn::stmt(0x60, 3),
            Insn::stmt(0x16, 0),
        ];
        assert_eq!(Analysis::new(&program).unset_reads, A | 1 << 3);
        let unreachable = [Insn::stmt(0x05, 1), Insn::stmt(0x60, 5), Insn::stmt(0x06, 0)];
        assert_eq!(Analysis::new(&unreachable).unset_reads, 0);
        assert!(!before(&unreachable, 1).reachable);
    }
}
