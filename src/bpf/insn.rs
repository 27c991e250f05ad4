//! One classic BPF instruction, in the layout of C's `struct bpf_insn`.

/// A classic BPF instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Insn {
    /// Operation: class, size, mode, source (see [`op`]).
    pub code: u16,
    /// Conditional jumps: instructions to skip when true.
    pub jt: u8,
    /// Conditional jumps: instructions to skip when false.
    pub jf: u8,
    /// Generic operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Insn>() == 8 && align_of::<Insn>() == 4);

impl Insn {
    /// An instruction that is not a conditional jump.
    pub const fn stmt(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// The instruction as it lies in memory.
    pub fn bits(self) -> u64 {
        let (code, k) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        u64::from_ne_bytes([code[0], code[1], self.jt, self.jf, k[0], k[1], k[2], k[3]])
    }

    /// A conditional jump.
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}

/// Instruction encodings, named as in `pcap/bpf.h` without the `BPF_` prefix.
#[allow(missing_docs)]
pub mod op {
    // classes
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;
    // sizes
    pub const W: u16 = 0x00;
    pub const H: u16 = 0x08;
    pub const B: u16 = 0x10;
    // modes
    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
    pub const MSH: u16 = 0xa0;
    // ALU and jump operations
    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const MOD: u16 = 0x90;
    pub const XOR: u16 = 0xa0;
    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;
    // sources
    pub const K: u16 = 0x00;
    pub const X: u16 = 0x08;
    /// Return value source: the accumulator (`ret a`).
    pub const A: u16 = 0x10;
    // miscellaneous
    pub const TAX: u16 = 0x00;
    pub const TXA: u16 = 0x80;
    /// Number of scratch memory words.
    pub const MEMWORDS: usize = 16;

    /// Mask of the class bits.
    pub const fn class(code: u16) -> u16 {
        code & 0x07
    }
    /// Mask of the size bits.
    pub const fn size(code: u16) -> u16 {
        code & 0x18
    }
    /// Mask of the mode bits.
    pub const fn mode(code: u16) -> u16 {
        code & 0xe0
    }
    /// Mask of the operation bits of ALU and JMP.
    pub const fn operation(code: u16) -> u16 {
        code & 0xf0
    }
    /// Mask of the source bit.
    pub const fn src(code: u16) -> u16 {
        code & 0x08
    }
}

/// Whole codes of instructions that are told apart by more than their class.
pub(crate) mod code {
    use super::op;

    pub(crate) const RET_K: u16 = op::RET | op::K;
    pub(crate) const RET_A: u16 = op::RET | op::A;
    pub(crate) const LD_W_ABS: u16 = op::LD | op::W | op::ABS;
    pub(crate) const LD_H_ABS: u16 = op::LD | op::H | op::ABS;
    pub(crate) const LD_B_ABS: u16 = op::LD | op::B | op::ABS;
    pub(crate) const LD_W_IND: u16 = op::LD | op::W | op::IND;
    pub(crate) const LD_H_IND: u16 = op::LD | op::H | op::IND;
    pub(crate) const LD_B_IND: u16 = op::LD | op::B | op::IND;
    pub(crate) const LD_IMM: u16 = op::LD | op::IMM;
    pub(crate) const LD_LEN: u16 = op::LD | op::LEN;
    pub(crate) const LD_MEM: u16 = op::LD | op::MEM;
    pub(crate) const LDX_IMM: u16 = op::LDX | op::IMM;
    pub(crate) const LDX_LEN: u16 = op::LDX | op::LEN;
    pub(crate) const LDX_MEM: u16 = op::LDX | op::MEM;
    pub(crate) const LDX_MSH: u16 = op::LDX | op::B | op::MSH;
    pub(crate) const TAX: u16 = op::MISC | op::TAX;
    pub(crate) const TXA: u16 = op::MISC | op::TXA;
    pub(crate) const AND_K: u16 = op::ALU | op::AND | op::K;
    pub(crate) const ADD_K: u16 = op::ALU | op::ADD | op::K;
    pub(crate) const ADD_X: u16 = op::ALU | op::ADD | op::X;
    pub(crate) const SUB_K: u16 = op::ALU | op::SUB | op::K;
    pub(crate) const SUB_X: u16 = op::ALU | op::SUB | op::X;
    pub(crate) const JA: u16 = op::JMP | op::JA;
    pub(crate) const JEQ_K: u16 = op::JMP | op::JEQ | op::K;
    pub(crate) const JGT_K: u16 = op::JMP | op::JGT | op::K;
    pub(crate) const JGE_K: u16 = op::JMP | op::JGE | op::K;
    pub(crate) const JSET_K: u16 = op::JMP | op::JSET | op::K;
    pub(crate) const JEQ_X: u16 = op::JMP | op::JEQ | op::X;
    pub(crate) const JGT_X: u16 = op::JMP | op::JGT | op::X;
    pub(crate) const JGE_X: u16 = op::JMP | op::JGE | op::X;
    pub(crate) const JSET_X: u16 = op::JMP | op::JSET | op::X;
}
