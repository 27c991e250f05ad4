//! Code generation for x86-64.
//!
//! A leaf function in the System V convention without a stack frame:
//!
//! | register | holds                                        |
//! |----------|----------------------------------------------|
//! | rdi, rsi | packet, bytes present                        |
//! | eax, r9d | accumulator, index register; zero-extended   |
//! | r8d      | bytes on the wire, where the program asks    |
//! | r11      | ancillary data                               |
//! | rcx, rdx, r10 | free                                    |
//!
//! Where code compares itself with a program (`guard.rs`), arguments stay where they came in: rdi the
//! program, rsi the packet's header, rdx the packet, rcx the instructions, r8 the slot; r11 is free.
//!
//! The loop over a burst keeps in rbx and rbp where address and length of the packet are, in r12
//! how many are left, in r13 the packet's bit, in r14 the bits of those accepted, in r15 their number.
//!
//! Scratch memory and loop fuel lie in the red zone. A bounds check is left out where every path
//! has already loaded as far.

mod arithmetic;
mod guard;
mod jumps;
mod lanes;
mod loads;
mod registers;

use super::byte_order::{Order, orders};
use super::lanes::Staged;
use super::{Form, Setting};
use crate::bpf::analysis::{A, Analysis, State, X, bytes_needed, targets};
use crate::bpf::{Insn, LOOP_FUEL, aux, has_backward_jump, op};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

use guard::Guard;

/// Where the fuel lies, from rsp; scratch words lie above it.
const FUEL: i32 = -72;

/// Longest program whose code is made twice.
const MAX_TWICE: usize = 256;

/// Makes the code for a strictly valid program; `None` if the assembler failed.
pub(super) fn assemble(insns: &[Insn], analysis: &Analysis, form: Form) -> Option<Vec<u8>> {
    let plan = if form == Form::Burst && has_lanes() { Staged::new(insns) } else { None };
    if let Some(mut code) = plan.and_then(|plan| Assembler::new(insns, form).lanes(&plan)) {
        code.write(insns, analysis);
        return code.ops.finalize().ok();
    }
    let mut long = Assembler::new(insns, form);
    long.write(insns, analysis);
    // Single packets of mixed traffic take up to a fifth longer where jumps lie closer together.
    if form != Form::Guarded {
        return long.ops.finalize().ok();
    }
    // Once more, now that it is known how far jumps go.
    let mut short = Assembler { short: long.short_jumps(), ..Assembler::new(insns, form) };
    short.write(insns, analysis);
    short.ops.finalize().or_else(|_| long.ops.finalize()).ok()
}

/// Whether code is to be such that any x86-64 processor runs it.
fn is_plain() -> bool {
    super::setting() == Setting::Plain
}

/// Whether this processor runs what `lanes` makes.
fn has_lanes() -> bool {
    use std::arch::is_x86_feature_detected as has;
    !is_plain() && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("popcnt")
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
    /// Of [`Form::Guarded`].
    guard: Guard,
    /// Where each jump ends and where it goes; which are short, as far as that is known.
    jumps: Vec<(usize, DynamicLabel)>,
    short: Vec<bool>,
    /// Of the loop over a burst: its head, and where a packet is accepted.
    next_packet: DynamicLabel,
    accept: DynamicLabel,
    form: Form,
    /// What the accumulator holds before each instruction.
    orders: Vec<Order>,
}

impl Assembler {
    /// Puts code for lanes before that for single packets.
    fn lanes(mut self, plan: &Staged) -> Option<Self> {
        let scalar = self.ops.new_dynamic_label();
        let constants = lanes::constants(plan)?;
        lanes::emit(&mut self.ops, plan, &constants, scalar)?;
        dynasm!(self.ops ; .arch x64 ; =>scalar);
        Some(self)
    }

    fn write(&mut self, insns: &[Insn], analysis: &Analysis) {
        self.prologue(insns, analysis);
        let usual = usual_length(insns, analysis);
        let short = self.ops.new_dynamic_label();
        if let Some(bytes) = usual {
            self.jump_if_shorter(bytes, short);
        }
        self.body(insns, analysis, usual.unwrap_or(0));
        if usual.is_some() {
            dynasm!(self.ops ; .arch x64 ; =>short);
            self.label_targets(insns);
            self.body(insns, analysis, 0);
        }
        self.epilogue();
    }

    fn new(insns: &[Insn], form: Form) -> Self {
        let mut ops = VecAssembler::new(0);
        let [fail, next_packet, accept] = [(); 3].map(|()| ops.new_dynamic_label());
        let guard = Guard::new(&mut ops, insns);
        let orders = orders(insns);
        let (labels, jumps, short) = (Vec::new(), Vec::new(), Vec::new());
        let mut assembler =
            Self { ops, labels, fail, guard, jumps, short, next_packet, accept, form, orders };
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
                if self.form == Form::Guarded {
                    self.guard(index);
                }
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
        match self.form {
            Form::Single => (),
            Form::Guarded => self.guard_prologue(),
            Form::Burst => self.begin_burst(),
        }
        let ops = &mut self.ops;
        if analysis.unset_reads & A != 0 {
            dynasm!(ops ; .arch x64 ; xor eax, eax);
        }
        if analysis.unset_reads & X != 0 {
            dynasm!(ops ; .arch x64 ; xor r9d, r9d);
        }
        let asks = |wanted: fn(&Insn) -> bool| insns.iter().any(wanted);
        if asks(|insn| matches!(insn.code & !0x01, c if c == op::LD | op::LEN)) {
            match self.form {
                Form::Burst => dynasm!(ops ; .arch x64 ; mov r8d, [rbp]),
                Form::Single => dynasm!(ops ; .arch x64 ; mov r8d, edx),
                Form::Guarded => (),
            }
        }
        if self.form == Form::Single && asks(is_ancillary) {
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
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14 ; push r15
            ; mov rbx, rdi
            ; mov rbp, rsi
            ; mov r12, rdx
            ; mov r13d, 1
            ; xor r14d, r14d
            ; xor r15d, r15d
            ; =>next_packet
            ; mov rdi, [rbx]
            ; mov esi, [rbp]
            ; test rdi, rdi
            ; cmovz esi, edi
        );
    }

    /// What all ways out lead to.
    fn epilogue(&mut self) {
        let (ops, fail) = (&mut self.ops, self.fail);
        let (next_packet, accept) = (self.next_packet, self.accept);
        match self.form {
            Form::Single => dynasm!(ops ; .arch x64 ; =>fail ; xor eax, eax ; ret),
            Form::Guarded => self.guard_epilogue(),
            Form::Burst => dynasm!(ops
                ; .arch x64
                ; =>accept
                ; or r14, r13
                ; inc r15d
                ; =>fail
                ; add rbx, 8
                ; add rbp, 4
                ; add r13, r13
                ; dec r12
                ; jnz =>next_packet
                ; mov rax, r14
                ; mov rdx, r15
                ; pop r15 ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
                ; ret
            ),
        }
    }

    fn ret(&mut self, insn: &Insn) {
        if self.form == Form::Guarded {
            self.check_guard();
        }
        let (ops, fail, accept) = (&mut self.ops, self.fail, self.accept);
        match (self.form, insn.code == op::RET | op::K) {
            (Form::Burst, true) if insn.k == 0 => dynasm!(ops ; .arch x64 ; jmp =>fail),
            (Form::Burst, true) => dynasm!(ops ; .arch x64 ; jmp =>accept),
            (Form::Burst, false) => {
                dynasm!(ops ; .arch x64 ; test eax, eax ; jz =>fail ; jmp =>accept);
            }
            (_, true) => {
                self.set_accumulator(insn.k);
                self.keep_together(1);
                dynasm!(self.ops ; .arch x64 ; ret);
            }
            (_, false) => dynasm!(ops ; .arch x64 ; ret),
        }
    }

    fn emit(&mut self, index: usize, insn: &Insn, state: &State) {
        let Insn { code, k, .. } = *insn;
        let ops = &mut self.ops;
        match op::class(code) {
            op::LD => match op::mode(code) {
                op::IMM => self.set_accumulator(k),
                op::LEN => self.load_wirelen(op::LD),
                op::MEM => dynasm!(ops ; .arch x64 ; mov eax, [rsp + scratch(k)]),
                op::IND => self.load_indirect(index, insn, state),
                _ if is_ancillary(insn) => self.load_ancillary(k),
                _ => self.load_absolute(index, insn, state),
            },
            op::LDX => match op::mode(code) {
                op::IMM => dynasm!(ops ; .arch x64 ; mov r9d, k as i32),
                op::LEN => self.load_wirelen(op::LDX),
                op::MEM => dynasm!(ops ; .arch x64 ; mov r9d, [rsp + scratch(k)]),
                _ => self.load_header_length(insn, state),
            },
            op::ST => dynasm!(ops ; .arch x64 ; mov [rsp + scratch(k)], eax),
            op::STX => dynasm!(ops ; .arch x64 ; mov [rsp + scratch(k)], r9d),
            op::ALU if op::src(code) == op::X => self.arithmetic_x(code),
            op::ALU => self.arithmetic_k(code, k),
            op::JMP => self.jump(index, insn),
            op::RET => self.ret(insn),
            _ if code == op::MISC | op::TAX => dynasm!(ops ; .arch x64 ; mov r9d, eax),
            _ => dynasm!(ops ; .arch x64 ; mov eax, r9d),
        }
    }

    /// Pads with no-ops so that the next `len` bytes, or fewer, which end with a jump, neither cross a
    /// 32-byte boundary nor end at one: many Intel processors would have to decode such a jump anew
    /// each time (erratum "Jump Conditional Code").
    fn keep_together(&mut self, len: usize) {
        keep_together(&mut self.ops, len);
    }

    fn set_accumulator(&mut self, k: u32) {
        match k {
            0 => dynasm!(self.ops ; .arch x64 ; xor eax, eax),
            _ => dynasm!(self.ops ; .arch x64 ; mov eax, k as i32),
        }
    }
}

fn keep_together(ops: &mut VecAssembler<X64Relocation>, len: usize) {
    const NOPS: [&[u8]; 10] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0],
        &[0x0f, 0x1f, 0x40, 0],
        &[0x0f, 0x1f, 0x44, 0, 0],
        &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
        &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
        &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    ];
    let at = ops.offset().0 % 32;
    let mut left = if at + len > 31 { 32 - at } else { 0 };
    while let Some(nop) = NOPS.iter().rev().find(|nop| nop.len() <= left) {
        ops.extend(nop.iter());
        left -= nop.len();
    }
}

/// Where scratch word `k` lies, from rsp.
fn scratch(k: u32) -> i32 {
    -4 * (k as i32 + 1)
}

fn is_ancillary(insn: &Insn) -> bool {
    aux::is_absolute_load(insn.code) && aux::slot(insn.k).is_some()
}
