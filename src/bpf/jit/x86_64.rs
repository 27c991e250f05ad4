//! Code generation for x86-64.
//!
//! A leaf function in the System V convention without a stack frame:
//!
//! | register | holds                                        |
//! |----------|----------------------------------------------|
//! | rdi, rsi | packet, bytes present                        |
//! | eax, r8d | accumulator, index register; zero-extended   |
//! | r9d      | bytes on the wire, where the program asks    |
//! | r11      | ancillary data, or the program to compare with |
//! | rcx, rdx, r10 | free                                    |
//!
//! The loop over a burst keeps in rbx and rbp where address and length of the packet are, in r12
//! how many are left, in r13 the packet's bit, in r14 the bits of those accepted.
//!
//! Scratch memory and loop fuel lie in the red zone. A bounds check is left out where every path
//! has already loaded as far.

use super::Form;
use super::byte_order::{Order, orders};
use crate::bpf::analysis::{Analysis, State, bytes_needed, size, targets};
use crate::bpf::{Aux, Insn, LOOP_FUEL, aux, has_backward_jump, op};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// Where the fuel lies, from rsp; scratch words lie above it.
const FUEL: i32 = -72;

/// Longest program whose code is made twice.
const MAX_TWICE: usize = 256;

/// Makes the code for a strictly valid program; `None` if the assembler failed.
pub(super) fn assemble(insns: &[Insn], analysis: &Analysis, form: Form) -> Option<Vec<u8>> {
    let mut assembler = Assembler::new(insns, form);
    assembler.prologue(insns, analysis);
    let usual = if form == Form::Guarded { None } else { usual_length(insns, analysis) };
    if let Some(bytes) = usual {
        let long_enough = assembler.ops.new_dynamic_label();
        dynasm!(assembler.ops ; .arch x64 ; cmp esi, bytes as i32 ; jae =>long_enough);
        assembler.body(insns, analysis, 0);
        dynasm!(assembler.ops ; .arch x64 ; =>long_enough);
        assembler.label_targets(insns);
    }
    assembler.body(insns, analysis, usual.unwrap_or(0));
    assembler.epilogue();
    assembler.ops.finalize().ok()
}

/// The bytes that all loads at constant offsets need together, if it pays to have code without
/// their checks for packets that are as long.
fn usual_length(insns: &[Insn], analysis: &Analysis) -> Option<u32> {
    if insns.len() > MAX_TWICE {
        return None;
    }
    let needs = insns.iter().enumerate().filter_map(|(index, insn)| {
        let state = analysis.before(index);
        bytes_needed(insn).filter(|&bytes| state.reachable && bytes > state.present)
    });
    let (checks, longest) = needs.fold((0, 0), |(n, longest), bytes| (n + 1, bytes.max(longest)));
    (checks > 1 && longest <= 64).then_some(longest)
}

struct Assembler {
    ops: VecAssembler<X64Relocation>,
    /// One for every instruction that a jump leads to.
    labels: Vec<Option<DynamicLabel>>,
    /// Rejects.
    fail: DynamicLabel,
    /// Says that the program is another one.
    stale: DynamicLabel,
    /// Of the loop over a burst: its head, and where a packet is accepted.
    next_packet: DynamicLabel,
    accept: DynamicLabel,
    form: Form,
    /// What the accumulator holds before each instruction.
    orders: Vec<Order>,
}

/// What a conditional jump looks at, x86's names.
#[derive(Clone, Copy)]
enum Condition {
    Equal,
    NotEqual,
    Above,
    AboveOrEqual,
    Below,
    BelowOrEqual,
}

impl Condition {
    fn inverted(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Above => Self::BelowOrEqual,
            Self::AboveOrEqual => Self::Below,
            Self::Below => Self::AboveOrEqual,
            Self::BelowOrEqual => Self::Above,
        }
    }
}

/// An operand: packet at a constant offset, or at an offset in a register.
#[derive(Clone, Copy)]
enum Address {
    /// rdi + constant
    Constant(i32),
    /// rdi + r8 + constant
    Index(i32),
    /// rdi + r10
    Computed,
}

impl Assembler {
    fn new(insns: &[Insn], form: Form) -> Self {
        let mut ops = VecAssembler::new(0);
        let [fail, stale, next_packet, accept] = [(); 4].map(|()| ops.new_dynamic_label());
        let orders = orders(insns);
        let labels = Vec::new();
        let mut assembler = Self { ops, labels, fail, stale, next_packet, accept, form, orders };
        assembler.label_targets(insns);
        assembler
    }

    /// Makes labels for a new body.
    fn label_targets(&mut self, insns: &[Insn]) {
        let mut labels = vec![None; insns.len()];
        for (index, insn) in insns.iter().enumerate() {
            if op::class(insn.code) == op::JMP {
                for target in targets(insn, index).into_iter().flatten() {
                    labels[target].get_or_insert_with(|| self.ops.new_dynamic_label());
                }
            }
        }
        self.labels = labels;
    }

    /// All instructions, for packets that have at least `present` bytes.
    fn body(&mut self, insns: &[Insn], analysis: &Analysis, present: u32) {
        for (index, insn) in insns.iter().enumerate() {
            let mut state = *analysis.before(index);
            if state.reachable {
                state.present = state.present.max(present);
                self.define(index);
                self.check_unchanged(index, insn);
                self.emit(index, insn, &state);
            }
        }
    }

    fn define(&mut self, index: usize) {
        if let Some(label) = self.labels[index] {
            dynasm!(self.ops ; .arch x64 ; =>label);
        }
    }

    fn prologue(&mut self, insns: &[Insn], analysis: &Analysis) {
        if self.form == Form::Burst {
            self.begin_burst();
        }
        let ops = &mut self.ops;
        dynasm!(ops ; .arch x64 ; xor eax, eax ; xor r8d, r8d);
        let asks = |wanted: fn(&Insn) -> bool| insns.iter().any(wanted);
        if asks(|insn| matches!(insn.code & !0x01, c if c == op::LD | op::LEN)) {
            match self.form {
                Form::Burst => dynasm!(ops ; .arch x64 ; mov r9d, [rbp]),
                _ => dynasm!(ops ; .arch x64 ; mov r9d, edx),
            }
        }
        if self.form == Form::Guarded || (self.form == Form::Single && asks(is_ancillary)) {
            dynasm!(ops ; .arch x64 ; mov r11, rcx);
        }
        if has_backward_jump(insns) {
            dynasm!(ops ; .arch x64 ; mov DWORD [rsp + FUEL], LOOP_FUEL as i32);
        }
        for word in (0..op::MEMWORDS as u32).filter(|w| analysis.unset_reads & (1 << w) != 0) {
            dynasm!(ops ; .arch x64 ; mov DWORD [rsp + scratch(word)], 0);
        }
    }

    /// Saves the loop's registers; from `next_packet` on, everything is done for each packet.
    fn begin_burst(&mut self) {
        let next_packet = self.next_packet;
        dynasm!(self.ops
            ; .arch x64
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14
            ; mov rbx, rdi
            ; mov rbp, rsi
            ; mov r12, rdx
            ; mov r13d, 1
            ; xor r14d, r14d
            ; =>next_packet
            ; mov rdi, [rbx]
            ; mov esi, [rbp]
            ; test rdi, rdi
            ; cmovz esi, edi
        );
    }

    /// What all ways out lead to.
    fn epilogue(&mut self) {
        let (ops, fail, stale) = (&mut self.ops, self.fail, self.stale);
        let (next_packet, accept) = (self.next_packet, self.accept);
        match self.form {
            Form::Single => dynasm!(ops ; .arch x64 ; =>fail ; xor eax, eax ; ret),
            Form::Guarded => dynasm!(ops
                ; .arch x64
                ; =>fail ; xor eax, eax ; ret
                ; =>stale ; mov eax, 1 ; shl rax, 32 ; ret
            ),
            Form::Burst => dynasm!(ops
                ; .arch x64
                ; =>accept
                ; or r14, r13
                ; =>fail
                ; add rbx, 8
                ; add rbp, 4
                ; add r13, r13
                ; dec r12
                ; jnz =>next_packet
                ; mov rax, r14
                ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
                ; ret
            ),
        }
    }

    fn ret(&mut self, insn: &Insn) {
        let (ops, fail, accept) = (&mut self.ops, self.fail, self.accept);
        match (self.form, insn.code == op::RET | op::K) {
            (Form::Burst, true) if insn.k == 0 => dynasm!(ops ; .arch x64 ; jmp =>fail),
            (Form::Burst, true) => dynasm!(ops ; .arch x64 ; jmp =>accept),
            (Form::Burst, false) => {
                dynasm!(ops ; .arch x64 ; test eax, eax ; jz =>fail ; jmp =>accept);
            }
            (_, true) => {
                self.set_accumulator(insn.k);
                dynasm!(self.ops ; .arch x64 ; ret);
            }
            (_, false) => dynasm!(ops ; .arch x64 ; ret),
        }
    }

    /// The guard of [`GuardedCode`](super::GuardedCode).
    fn check_unchanged(&mut self, index: usize, insn: &Insn) {
        if self.form == Form::Guarded {
            let (offset, stale) = ((index * size_of::<Insn>()) as i32, self.stale);
            dynasm!(self.ops
                ; .arch x64
                ; mov r10, QWORD insn.bits() as i64
                ; cmp [r11 + offset], r10
                ; jne =>stale
            );
        }
    }

    fn emit(&mut self, index: usize, insn: &Insn, state: &State) {
        let Insn { code, k, .. } = *insn;
        let ops = &mut self.ops;
        match op::class(code) {
            op::LD => match op::mode(code) {
                op::IMM => self.set_accumulator(k),
                op::LEN => dynasm!(ops ; .arch x64 ; mov eax, r9d),
                op::MEM => dynasm!(ops ; .arch x64 ; mov eax, [rsp + scratch(k)]),
                op::IND => self.load_indirect(index, insn, state),
                _ if is_ancillary(insn) => self.load_ancillary(k),
                _ => self.load_absolute(index, insn, state),
            },
            op::LDX => match op::mode(code) {
                op::IMM => dynasm!(ops ; .arch x64 ; mov r8d, k as i32),
                op::LEN => dynasm!(ops ; .arch x64 ; mov r8d, r9d),
                op::MEM => dynasm!(ops ; .arch x64 ; mov r8d, [rsp + scratch(k)]),
                _ => self.load_header_length(insn, state),
            },
            op::ST => dynasm!(ops ; .arch x64 ; mov [rsp + scratch(k)], eax),
            op::STX => dynasm!(ops ; .arch x64 ; mov [rsp + scratch(k)], r8d),
            op::ALU if op::src(code) == op::X => self.arithmetic_x(code),
            op::ALU => self.arithmetic_k(code, k),
            op::JMP => self.jump(index, insn),
            op::RET => self.ret(insn),
            _ if code == op::MISC | op::TAX => dynasm!(ops ; .arch x64 ; mov r8d, eax),
            _ => dynasm!(ops ; .arch x64 ; mov eax, r8d),
        }
    }

    fn set_accumulator(&mut self, k: u32) {
        match k {
            0 => dynasm!(self.ops ; .arch x64 ; xor eax, eax),
            _ => dynasm!(self.ops ; .arch x64 ; mov eax, k as i32),
        }
    }

    /// Makes sure that the packet has the bytes a load at a constant offset needs.
    fn constant_address(&mut self, insn: &Insn, state: &State) -> Address {
        let fail = self.fail;
        match bytes_needed(insn) {
            None => dynasm!(self.ops ; .arch x64 ; jmp =>fail),
            Some(bytes) if bytes <= state.present => (),
            Some(bytes) => dynasm!(self.ops ; .arch x64 ; cmp esi, bytes as i32 ; jb =>fail),
        }
        match i32::try_from(insn.k) {
            Ok(offset) => Address::Constant(offset),
            Err(_) => {
                dynasm!(self.ops ; .arch x64 ; mov r10d, insn.k as i32);
                Address::Computed
            }
        }
    }

    fn load_absolute(&mut self, index: usize, insn: &Insn, state: &State) {
        let address = self.constant_address(insn, state);
        self.load(index, insn.code, address);
    }

    fn load_indirect(&mut self, index: usize, insn: &Insn, state: &State) {
        let (k, size, fail) = (insn.k, size(insn.code), self.fail);
        let highest = u64::from(state.x_max) + u64::from(k) + u64::from(size);
        if highest <= i32::MAX as u64 {
            let end = (k + size) as i32;
            dynasm!(self.ops ; .arch x64 ; lea edx, [r8 + end] ; cmp edx, esi ; ja =>fail);
            return self.load(index, insn.code, Address::Index(k as i32));
        }
        // 64-bit sums: what wraps round at 2^32 is beyond any packet.
        dynasm!(self.ops
            ; .arch x64
            ; mov r10d, k as i32
            ; add r10, r8
            ; lea rdx, [r10 + size as i32]
            ; cmp rdx, rsi
            ; ja =>fail
        );
        self.load(index, insn.code, Address::Computed);
    }

    fn load(&mut self, index: usize, code: u16, address: Address) {
        let in_host_order = self.orders[index + 1] == Order::Host;
        let ops = &mut self.ops;
        match (op::size(code), address) {
            (op::W, Address::Constant(k)) => dynasm!(ops ; .arch x64 ; mov eax, [rdi + k]),
            (op::W, Address::Index(k)) => dynasm!(ops ; .arch x64 ; mov eax, [rdi + r8 + k]),
            (op::W, Address::Computed) => dynasm!(ops ; .arch x64 ; mov eax, [rdi + r10]),
            (op::H, Address::Constant(k)) => {
                dynasm!(ops ; .arch x64 ; movzx eax, WORD [rdi + k]);
            }
            (op::H, Address::Index(k)) => {
                dynasm!(ops ; .arch x64 ; movzx eax, WORD [rdi + r8 + k]);
            }
            (op::H, Address::Computed) => {
                dynasm!(ops ; .arch x64 ; movzx eax, WORD [rdi + r10]);
            }
            (_, Address::Constant(k)) => dynasm!(ops ; .arch x64 ; movzx eax, BYTE [rdi + k]),
            (_, Address::Index(k)) => {
                dynasm!(ops ; .arch x64 ; movzx eax, BYTE [rdi + r8 + k]);
            }
            (_, Address::Computed) => dynasm!(ops ; .arch x64 ; movzx eax, BYTE [rdi + r10]),
        }
        match op::size(code) {
            op::W if in_host_order => dynasm!(ops ; .arch x64 ; bswap eax),
            op::H if in_host_order => dynasm!(ops ; .arch x64 ; rol ax, 8),
            _ => (),
        }
    }

    fn load_header_length(&mut self, insn: &Insn, state: &State) {
        match self.constant_address(insn, state) {
            Address::Constant(k) => {
                dynasm!(self.ops ; .arch x64 ; movzx r8d, BYTE [rdi + k]);
            }
            _ => dynasm!(self.ops ; .arch x64 ; movzx r8d, BYTE [rdi + r10]),
        }
        dynasm!(self.ops ; .arch x64 ; and r8d, 0x0f ; shl r8d, 2);
    }

    fn load_ancillary(&mut self, k: u32) {
        let fail = self.fail;
        let Some(slot) = aux::slot(k).filter(|_| self.form == Form::Single) else {
            return dynasm!(self.ops ; .arch x64 ; jmp =>fail);
        };
        let (known, value) = (Aux::KNOWN_OFFSET as i32, (Aux::VALUES_OFFSET + 4 * slot) as i32);
        dynasm!(self.ops
            ; .arch x64
            ; test DWORD [r11 + known], 1 << slot
            ; jz =>fail
            ; mov eax, [r11 + value]
        );
    }

    fn arithmetic_k(&mut self, code: u16, k: u32) {
        let ops = &mut self.ops;
        let imm = k as i32;
        match op::operation(code) {
            op::ADD => dynasm!(ops ; .arch x64 ; add eax, imm),
            op::SUB => dynasm!(ops ; .arch x64 ; sub eax, imm),
            op::MUL => dynasm!(ops ; .arch x64 ; imul eax, eax, imm),
            op::AND => dynasm!(ops ; .arch x64 ; and eax, imm),
            op::OR => dynasm!(ops ; .arch x64 ; or eax, imm),
            op::XOR => dynasm!(ops ; .arch x64 ; xor eax, imm),
            op::NEG => dynasm!(ops ; .arch x64 ; neg eax),
            op::LSH | op::RSH if k > 31 => dynasm!(ops ; .arch x64 ; xor eax, eax),
            op::LSH => dynasm!(ops ; .arch x64 ; shl eax, k as i8),
            op::RSH => dynasm!(ops ; .arch x64 ; shr eax, k as i8),
            op::DIV if k.is_power_of_two() => {
                dynasm!(ops ; .arch x64 ; shr eax, k.trailing_zeros() as i8);
            }
            op::MOD if k.is_power_of_two() => {
                dynasm!(ops ; .arch x64 ; and eax, (k - 1) as i32);
            }
            operation => {
                dynasm!(ops ; .arch x64 ; mov r10d, imm ; xor edx, edx ; div r10d);
                if operation == op::MOD {
                    dynasm!(ops ; .arch x64 ; mov eax, edx);
                }
            }
        }
    }

    fn arithmetic_x(&mut self, code: u16) {
        let (ops, fail) = (&mut self.ops, self.fail);
        match op::operation(code) {
            op::ADD => dynasm!(ops ; .arch x64 ; add eax, r8d),
            op::SUB => dynasm!(ops ; .arch x64 ; sub eax, r8d),
            op::MUL => dynasm!(ops ; .arch x64 ; imul eax, r8d),
            op::AND => dynasm!(ops ; .arch x64 ; and eax, r8d),
            op::OR => dynasm!(ops ; .arch x64 ; or eax, r8d),
            op::XOR => dynasm!(ops ; .arch x64 ; xor eax, r8d),
            op::LSH => {
                dynasm!(ops ; .arch x64 ; mov ecx, r8d ; shl eax, cl);
                self.clear_unless_x_below_32();
            }
            op::RSH => {
                dynasm!(ops ; .arch x64 ; mov ecx, r8d ; shr eax, cl);
                self.clear_unless_x_below_32();
            }
            operation => {
                dynasm!(ops
                    ; .arch x64
                    ; test r8d, r8d
                    ; jz =>fail
                    ; xor edx, edx
                    ; div r8d
                );
                if operation == op::MOD {
                    dynasm!(ops ; .arch x64 ; mov eax, edx);
                }
            }
        }
    }

    /// The processor takes shift counts modulo 32.
    fn clear_unless_x_below_32(&mut self) {
        dynasm!(self.ops ; .arch x64 ; cmp r8d, 32 ; sbb edx, edx ; and eax, edx);
    }

    fn jump(&mut self, index: usize, insn: &Insn) {
        let [taken, not_taken] = targets(insn, index);
        let (Some(taken), Some(not_taken)) = (taken, not_taken) else {
            return self.jump_always(index, insn);
        };
        if taken == not_taken {
            return self.go(index, taken);
        }
        let Some(imm) = swapped(insn, self.orders[index]) else {
            return self.go(index, not_taken);
        };
        let ops = &mut self.ops;
        match (op::operation(insn.code) == op::JSET, op::src(insn.code) == op::X) {
            (false, false) => dynasm!(ops ; .arch x64 ; cmp eax, imm),
            (false, true) => dynasm!(ops ; .arch x64 ; cmp eax, r8d),
            (true, false) => dynasm!(ops ; .arch x64 ; test eax, imm),
            (true, true) => dynasm!(ops ; .arch x64 ; test eax, r8d),
        }
        let condition = match op::operation(insn.code) {
            op::JEQ => Condition::Equal,
            op::JGT => Condition::Above,
            op::JGE => Condition::AboveOrEqual,
            _ => Condition::NotEqual,
        };
        if taken == index + 1 {
            self.branch(condition.inverted(), not_taken);
        } else {
            self.branch(condition, taken);
            self.go(index, not_taken);
        }
    }

    fn jump_always(&mut self, index: usize, insn: &Insn) {
        let distance = insn.k as i32;
        let Some(target) = targets(insn, index)[0] else { return };
        if distance < 0 {
            let fail = self.fail;
            dynasm!(self.ops
                ; .arch x64
                ; sub DWORD [rsp + FUEL], distance.unsigned_abs() as i32
                ; jb =>fail
            );
        }
        self.go(index, target);
    }

    fn go(&mut self, index: usize, target: usize) {
        if let Some(label) = self.labels[target].filter(|_| target != index + 1) {
            dynasm!(self.ops ; .arch x64 ; jmp =>label);
        }
    }

    fn branch(&mut self, condition: Condition, target: usize) {
        let ops = &mut self.ops;
        let Some(label) = self.labels[target] else { return };
        match condition {
            Condition::Equal => dynasm!(ops ; .arch x64 ; je =>label),
            Condition::NotEqual => dynasm!(ops ; .arch x64 ; jne =>label),
            Condition::Above => dynasm!(ops ; .arch x64 ; ja =>label),
            Condition::AboveOrEqual => dynasm!(ops ; .arch x64 ; jae =>label),
            Condition::Below => dynasm!(ops ; .arch x64 ; jb =>label),
            Condition::BelowOrEqual => dynasm!(ops ; .arch x64 ; jbe =>label),
        }
    }
}

/// The constant to compare the accumulator with; `None` when it cannot be equal.
fn swapped(insn: &Insn, order: Order) -> Option<i32> {
    match order {
        Order::Host => Some(insn.k as i32),
        Order::Word => Some(insn.k.swap_bytes() as i32),
        Order::Half if op::operation(insn.code) == op::JSET => {
            Some((insn.k as u16).swap_bytes().into())
        }
        Order::Half => u16::try_from(insn.k).ok().map(|k| k.swap_bytes().into()),
    }
}

/// Where scratch word `k` lies, from rsp.
fn scratch(k: u32) -> i32 {
    -4 * (k as i32 + 1)
}

fn is_ancillary(insn: &Insn) -> bool {
    aux::is_absolute_load(insn.code) && aux::slot(insn.k).is_some()
}
