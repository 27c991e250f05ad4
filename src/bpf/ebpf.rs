//! Classic programs as eBPF, for kernels and for DPDK.
//!
//! The result means exactly what [`interpret`](super::interpret) does with the classic program,
//! where kernel conversions differ in the corners: `x + k` never wraps round, shifts by 32 and
//! more give 0, unwritten scratch words are 0. Accumulator and index register live in R0 and R7
//! and are always zero-extended, so 64-bit jumps compare them right on machines that have no
//! 32-bit ones.

use super::analysis::{Analysis, bytes_needed, size, targets};
use super::{Insn, InvalidProgram, aux, check, has_backward_jump, op};

/// One eBPF instruction: C's `struct bpf_insn` of linux/bpf.h, `struct ebpf_insn` of DPDK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EbpfInsn {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Jump distance or memory offset.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

const _: () = assert!(size_of::<EbpfInsn>() == 8 && align_of::<EbpfInsn>() == 4);

impl EbpfInsn {
    /// The instruction as it lies in memory.
    pub fn to_bytes(self) -> [u8; 8] {
        let (off, imm) = (self.off.to_ne_bytes(), self.imm.to_ne_bytes());
        [self.code, self.registers, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }
}

/// Which machine the program is for. They share the packet loads (`LD_ABS`, `LD_IND` with the
/// context in R6); they differ in what the context is and in how they want programs to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A socket filter (`BPF_PROG_TYPE_SOCKET_FILTER`): the context is `struct __sk_buff`. Needs
    /// Linux 4.14; a program with a jump over more than 32,767 instructions needs Linux 6.6.
    Kernel,
    /// `rte_bpf_load` with `prog_arg.type = RTE_BPF_ARG_PTR_MBUF`: the context is
    /// `struct rte_mbuf` (DPDK 18.05 and later lay it out alike). One exit, at the end.
    Dpdk,
}

/// Why a program has no eBPF form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Not strictly valid.
    #[error(transparent)]
    Invalid(#[from] InvalidProgram),
    /// Backward jumps: verifiers want to see that a program ends.
    #[error("the program has loops")]
    Loop,
    /// An ancillary load that the machine cannot do.
    #[error("instruction {index}: ancillary data at {offset} is not available")]
    Ancillary {
        /// Which instruction, from 0.
        index: usize,
        /// Offset from [`ANCILLARY_OFFSET`](super::ANCILLARY_OFFSET).
        offset: u32,
    },
    /// A jump too far for the target.
    #[error("the program has {0} instructions as eBPF, too many for its jumps")]
    TooLong(usize),
}

/// Converts a classic program. Unreachable code is dropped.
pub fn to_ebpf(insns: &[Insn], target: Target) -> Result<Vec<EbpfInsn>, ConvertError> {
    check(insns)?;
    if has_backward_jump(insns) {
        return Err(ConvertError::Loop);
    }
    let mut converter = Converter::new(insns, target);
    converter.prologue();
    for (index, insn) in insns.iter().enumerate() {
        converter.starts[index] = converter.out.len();
        if converter.analysis.before(index).reachable {
            converter.convert(index, insn)?;
        }
    }
    converter.finish()
}

/// A kernel program that is nothing but a tail call to the first program of an array.
///
/// `array` is the array's descriptor. When the array is empty, it rejects.
pub fn tail_call(array: i32) -> [EbpfInsn; 6] {
    const PSEUDO_MAP_FD: u8 = 1;
    let insn = |code, registers, imm| EbpfInsn { code, registers, off: 0, imm };
    [
        insn(DW, TMP | PSEUDO_MAP_FD << 4, array),
        insn(0, 0, 0),
        insn(ALU64 | MOV, R3, 0),
        insn(JMP | CALL, 0, HELPER_TAIL_CALL),
        insn(ALU64 | MOV, R0_A, 0),
        insn(JMP | EXIT, 0, 0),
    ]
}

const R0_A: u8 = 0;
const R1: u8 = 1;
/// Free between instructions; packet loads and calls destroy it.
const TMP: u8 = 2;
const R3: u8 = 3;
const R6_CONTEXT: u8 = 6;
const R7_X: u8 = 7;
const R8_SAVED: u8 = 8;
const R10_FRAME: u8 = 10;

// What eBPF has beyond classic BPF, linux/bpf.h.
const ALU64: u8 = 0x07;
const JMP32: u8 = 0x06;
const DW: u8 = 0x18;
const MOV: u8 = 0xb0;
const END: u8 = 0xd0;
const TO_BE: u8 = 0x08;
const JNE: u8 = 0x50;
const JLE: u8 = 0xb0;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

const ALU: u8 = op::ALU as u8;
const JMP: u8 = op::JMP as u8;
const X: u8 = op::X as u8;
const LDX_MEM: u8 = (op::LDX | op::MEM) as u8;
const STX_MEM: u8 = (op::STX | op::MEM) as u8;
const ST_MEM: u8 = (op::ST | op::MEM) as u8;

/// Highest offset a packet load may have: both machines take offsets as C's int.
const MAX_OFFSET: u32 = 0x7fff_ffff;

/// A jump whose target is not laid out yet.
struct Fixup {
    at: usize,
    /// Classic index, or `None` for the exit.
    target: Option<usize>,
}

struct Converter {
    target: Target,
    analysis: Analysis,
    out: Vec<EbpfInsn>,
    /// Where each classic instruction begins in `out`.
    starts: Vec<usize>,
    fixups: Vec<Fixup>,
}

impl Converter {
    fn new(insns: &[Insn], target: Target) -> Self {
        Self {
            target,
            analysis: Analysis::new(insns),
            out: Vec::with_capacity(insns.len() * 2 + 8),
            starts: vec![0; insns.len()],
            fixups: Vec::new(),
        }
    }

    fn prologue(&mut self) {
        self.push(ALU64 | MOV | X, R6_CONTEXT, R1, 0, 0);
        self.mov_k(R0_A, 0);
        self.mov_k(R7_X, 0);
        let unset = self.analysis.unset_reads;
        for word in (0..op::MEMWORDS as u32).filter(|word| unset & (1 << word) != 0) {
            self.push(ST_MEM, R10_FRAME, 0, scratch(word), 0);
        }
    }

    fn convert(&mut self, index: usize, insn: &Insn) -> Result<(), ConvertError> {
        let Insn { code, k, .. } = *insn;
        match op::class(code) {
            op::LD => match op::mode(code) {
                op::IMM => self.mov_k(R0_A, k),
                op::LEN => self.load_length(R0_A),
                op::MEM => self.push(LDX_MEM, R0_A, R10_FRAME, scratch(k), 0),
                op::IND => self.load_indirect(index, insn),
                _ if aux::slot(k).is_some() => return self.load_ancillary(index, k),
                _ => self.load_absolute(insn),
            },
            op::LDX => match op::mode(code) {
                op::IMM => self.mov_k(R7_X, k),
                op::LEN => self.load_length(R7_X),
                op::MEM => self.push(LDX_MEM, R7_X, R10_FRAME, scratch(k), 0),
                _ => self.load_header_length(insn),
            },
            op::ST => self.push(STX_MEM, R10_FRAME, R0_A, scratch(k), 0),
            op::STX => self.push(STX_MEM, R10_FRAME, R7_X, scratch(k), 0),
            op::ALU => self.arithmetic(code, k),
            op::JMP => self.jump(index, insn),
            op::RET => self.ret(insn),
            _ if code == op::MISC | op::TAX => self.mov_x(R7_X, R0_A),
            _ => self.mov_x(R0_A, R7_X),
        }
        Ok(())
    }

    fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.out.push(EbpfInsn { code, registers: dst | src << 4, off, imm });
    }

    fn mov_k(&mut self, dst: u8, k: u32) {
        self.push(ALU | MOV, dst, 0, 0, k as i32);
    }

    fn mov_x(&mut self, dst: u8, src: u8) {
        self.push(ALU | MOV | X, dst, src, 0, 0);
    }

    fn load_length(&mut self, dst: u8) {
        let off = match self.target {
            Target::Kernel => SK_BUFF_LEN,
            Target::Dpdk => MBUF_PKT_LEN,
        };
        self.push(LDX_MEM, dst, R6_CONTEXT, off, 0);
    }

    fn load_absolute(&mut self, insn: &Insn) {
        // Higher offsets mean something else to kernels, and no packet is that long.
        if bytes_needed(insn).is_none_or(|bytes| bytes > MAX_OFFSET) {
            return self.reject_always();
        }
        let code = (op::LD | op::ABS | op::size(insn.code)) as u8;
        self.push(code, 0, 0, 0, insn.k as i32);
    }

    fn load_indirect(&mut self, index: usize, insn: &Insn) {
        let Some(highest) = (MAX_OFFSET - size(insn.code)).checked_sub(insn.k) else {
            return self.reject_always();
        };
        if self.analysis.before(index).x_max > highest {
            self.reject_unless(JLE, R7_X, highest);
        }
        self.push(insn.code as u8, 0, R7_X, 0, insn.k as i32);
    }

    fn load_header_length(&mut self, insn: &Insn) {
        self.mov_x(R8_SAVED, R0_A);
        self.load_absolute(insn);
        self.push(ALU | op::AND as u8, R0_A, 0, 0, 0x0f);
        self.push(ALU | op::LSH as u8, R0_A, 0, 0, 2);
        self.mov_x(R7_X, R0_A);
        self.mov_x(R0_A, R8_SAVED);
    }

    fn load_ancillary(&mut self, index: usize, k: u32) -> Result<(), ConvertError> {
        let offset = k - aux::ANCILLARY_OFFSET;
        let known = match self.target {
            Target::Kernel => self.load_from_sk_buff(offset),
            Target::Dpdk => self.load_from_mbuf(offset),
        };
        if known { Ok(()) } else { Err(ConvertError::Ancillary { index, offset }) }
    }

    fn load_from_sk_buff(&mut self, offset: u32) -> bool {
        const CPU: u32 = aux::Ancillary::Cpu as u32;
        if offset == CPU {
            self.push(JMP | CALL, 0, 0, 0, HELPER_SMP_PROCESSOR_ID);
            return true;
        }
        let Some(&(_, field, swap)) = SK_BUFF_FIELDS.iter().find(|f| f.0 as u32 == offset) else {
            return false;
        };
        self.push(LDX_MEM, R0_A, R6_CONTEXT, field, 0);
        if swap {
            self.push(ALU | END | TO_BE, R0_A, 0, 0, 16);
        }
        true
    }

    fn load_from_mbuf(&mut self, offset: u32) -> bool {
        const TAG: u32 = aux::Ancillary::VlanTag as u32;
        const PRESENT: u32 = aux::Ancillary::VlanTagPresent as u32;
        match offset {
            TAG => self.push(LDX_MEM | op::H as u8, R0_A, R6_CONTEXT, MBUF_VLAN_TCI, 0),
            PRESENT => {
                self.push(LDX_MEM | DW, R0_A, R6_CONTEXT, MBUF_OL_FLAGS, 0);
                self.push(ALU64 | op::RSH as u8, R0_A, 0, 0, MBUF_VLAN_STRIPPED_BIT);
                self.push(ALU64 | op::AND as u8, R0_A, 0, 0, 1);
            }
            _ => return false,
        }
        true
    }

    fn arithmetic(&mut self, code: u16, k: u32) {
        let by_x = op::src(code) == op::X;
        match op::operation(code) {
            op::LSH | op::RSH if by_x => {
                // if x > 31 { a = 0 } else { a shift x }
                self.push(JMP | op::JGT as u8, R7_X, 0, 2, 31);
                self.push(code as u8, R0_A, R7_X, 0, 0);
                self.push(JMP | op::JA as u8, 0, 0, 1, 0);
                self.mov_k(R0_A, 0);
            }
            op::LSH | op::RSH if k > 31 => self.mov_k(R0_A, 0),
            op::DIV | op::MOD if by_x => {
                self.reject_unless(JNE, R7_X, 0);
                self.push(code as u8, R0_A, R7_X, 0, 0);
            }
            op::NEG => self.push(ALU | op::NEG as u8, R0_A, 0, 0, 0),
            _ if by_x => self.push(code as u8, R0_A, R7_X, 0, 0),
            _ => self.push(code as u8, R0_A, 0, 0, k as i32),
        }
    }

    fn jump(&mut self, index: usize, insn: &Insn) {
        let [taken, not_taken] = targets(insn, index);
        let (Some(taken), Some(not_taken)) = (taken, not_taken) else {
            return self.goto(index, taken);
        };
        if taken == not_taken {
            return self.goto(index, Some(taken));
        }
        let code = JMP | op::operation(insn.code) as u8;
        if op::src(insn.code) == op::X {
            self.branch(code | X, R0_A, R7_X, 0, taken);
        } else if op::operation(insn.code) == op::JSET || insn.k > i32::MAX as u32 {
            // Immediates are sign-extended to 64 bits, and DPDK cannot test against one.
            self.mov_k(TMP, insn.k);
            self.branch(code | X, R0_A, TMP, 0, taken);
        } else {
            self.branch(code, R0_A, 0, insn.k as i32, taken);
        }
        self.goto(index, Some(not_taken));
    }

    fn branch(&mut self, code: u8, dst: u8, src: u8, imm: i32, target: usize) {
        self.fixups.push(Fixup { at: self.out.len(), target: Some(target) });
        self.push(code, dst, src, 0, imm);
    }

    fn goto(&mut self, index: usize, target: Option<usize>) {
        if target != Some(index + 1) {
            self.fixups.push(Fixup { at: self.out.len(), target });
            self.push(JMP | op::JA as u8, 0, 0, 0, 0);
        }
    }

    fn ret(&mut self, insn: &Insn) {
        if insn.code == op::RET | op::K {
            self.mov_k(R0_A, insn.k);
        }
        self.exit();
    }

    /// For a load that no packet satisfies. What follows may have no other way in, and verifiers
    /// refuse code that control flow does not reach: so the jump looks as if it could be taken.
    fn reject_always(&mut self) {
        self.mov_k(TMP, 0);
        self.reject_unless(JNE, TMP, 0);
    }

    /// Leaves two instructions that `jump` skips.
    fn reject_unless(&mut self, jump: u8, register: u8, k: u32) {
        self.push(JMP | jump, register, 0, 2, k as i32);
        self.mov_k(R0_A, 0);
        self.exit();
    }

    fn exit(&mut self) {
        match self.target {
            Target::Kernel => self.push(JMP | EXIT, 0, 0, 0, 0),
            Target::Dpdk => {
                self.fixups.push(Fixup { at: self.out.len(), target: None });
                self.push(JMP | op::JA as u8, 0, 0, 0, 0);
            }
        }
    }

    /// Sets jump distances, from the last to the first: an exit too far away is reached over the
    /// jump of one that comes later.
    fn finish(mut self) -> Result<Vec<EbpfInsn>, ConvertError> {
        let end = self.out.len();
        if self.target == Target::Dpdk {
            self.push(JMP | EXIT, 0, 0, 0, 0);
        }
        let (mut exit, mut nearest_exit) = (end, end);
        for &Fixup { at, target } in self.fixups.iter().rev() {
            let off = |to: usize| i16::try_from(to - at - 1);
            let Some(target) = target else {
                exit = if off(exit).is_ok() { exit } else { nearest_exit };
                nearest_exit = at;
                self.out[at].off = off(exit).map_err(|_| ConvertError::TooLong(end))?;
                continue;
            };
            let to = self.starts[target];
            let insn = &mut self.out[at];
            match off(to) {
                Ok(off) => insn.off = off,
                Err(_) if self.target == Target::Kernel && insn.code == JMP | op::JA as u8 => {
                    insn.code = JMP32 | op::JA as u8;
                    insn.imm = (to - at - 1) as i32;
                }
                Err(_) => return Err(ConvertError::TooLong(end)),
            }
        }
        Ok(self.out)
    }
}

/// Where scratch word `k` lies on the stack.
fn scratch(k: u32) -> i16 {
    -4 * (k as i16 + 1)
}

// struct __sk_buff, linux/bpf.h.
const SK_BUFF_LEN: i16 = 0;
/// Ancillary data, offset of its field, whether the field is in network byte order.
const SK_BUFF_FIELDS: [(aux::Ancillary, i16, bool); 9] = [
    (aux::Ancillary::PktType, 4, false),
    (aux::Ancillary::Mark, 8, false),
    (aux::Ancillary::Queue, 12, false),
    (aux::Ancillary::Protocol, 16, true),
    (aux::Ancillary::VlanTagPresent, 20, false),
    (aux::Ancillary::VlanTag, 24, false),
    (aux::Ancillary::VlanTpid, 28, true),
    (aux::Ancillary::IfIndex, 40, false),
    (aux::Ancillary::RxHash, 68, false),
];
/// `BPF_FUNC_get_smp_processor_id`.
const HELPER_SMP_PROCESSOR_ID: i32 = 8;

/// `BPF_FUNC_tail_call`.
const HELPER_TAIL_CALL: i32 = 12;

// struct rte_mbuf, rte_mbuf_core.h.
const MBUF_OL_FLAGS: i16 = 24;
const MBUF_PKT_LEN: i16 = 36;
const MBUF_VLAN_TCI: i16 = 42;
/// `RTE_MBUF_F_RX_VLAN_STRIPPED` is bit 6.
const MBUF_VLAN_STRIPPED_BIT: i32 = 6;
