//! The comparison of what is executed with the caller's program.
//!
//! Instructions are compared two at a time with a copy that lies behind the code; the result is
//! gathered in xmm0 and looked at once, at the end. That costs a load and two operations for two
//! instructions, none of which the rest has to wait for. What all ways to an instruction have
//! compared already is not compared again.

// Of registers whose number is computed.
#![allow(clippy::useless_conversion)]

use super::{Assembler, X64Relocation};
use crate::bpf::analysis::targets;
use crate::bpf::jit::guarded::run_changed;
use crate::bpf::{Insn, has_backward_jump, op};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// Where rdx is kept, from rsp: below scratch words and fuel.
const WIRELEN: i32 = -80;

/// What there is to know for comparing.
pub(super) struct Guard {
    /// Says that the program is another one, and that it has another length.
    changed: DynamicLabel,
    other_length: DynamicLabel,
    /// Copies of instruction n and the next, where they are needed.
    copies: Vec<Option<DynamicLabel>>,
    /// Which two are compared when control comes to an instruction.
    windows: Vec<Option<usize>>,
    /// The register that holds the program: rcx, or r11 where rcx counts shifts.
    program: u8,
    /// Whether divisions take rdx away.
    divides: bool,
    insns: Vec<Insn>,
}

impl Guard {
    pub(super) fn new(ops: &mut VecAssembler<X64Relocation>, insns: &[Insn]) -> Self {
        let [changed, other_length] = [(); 2].map(|()| ops.new_dynamic_label());
        let (copies, windows) = (vec![None; insns.len()], windows(insns));
        let has = |wanted: fn(u16) -> bool| {
            insns
                .iter()
                .any(|insn| op::class(insn.code) == op::ALU && wanted(op::operation(insn.code)))
        };
        let program = if has(|operation| matches!(operation, op::LSH | op::RSH)) { 11 } else { 1 };
        let divides = has(|operation| matches!(operation, op::DIV | op::MOD));
        let insns = insns.to_vec();
        Self { changed, other_length, copies, windows, program, divides, insns }
    }
}

/// Which instruction and its next are to be compared when control comes to each instruction. The
/// first two have been compared at the very start.
fn windows(insns: &[Insn]) -> Vec<Option<usize>> {
    // Bit n: instruction n from here on is compared on all ways to here.
    let mut compared = vec![u64::MAX; insns.len()];
    compared[0] = 0b11;
    let targets = |index: usize| targets(&insns[index], index).into_iter().flatten();
    if has_backward_jump(insns) {
        // Ways that are not known yet may lead to where jumps go.
        let jumps =
            (0..insns.len()).flat_map(|from| targets(from).filter(move |&to| to != from + 1));
        jumps.for_each(|to| compared[to] = 0);
    }
    let mut windows = vec![None; insns.len()];
    for index in 0..insns.len() {
        if compared[index] & 1 == 0 {
            let window = index.min(insns.len().saturating_sub(2));
            windows[index] = Some(window);
            compared[index] |= 0b11 >> (index - window);
        }
        for target in targets(index).filter(|&target| target > index) {
            let distance = u32::try_from(target - index).unwrap_or(u32::MAX);
            compared[target] &= compared[index].checked_shr(distance).unwrap_or(0);
        }
    }
    windows
}

impl Assembler {
    /// xmm0 is all ones where the program is as it was.
    pub(super) fn guard_prologue(&mut self) {
        let (other_length, len) = (self.guard.other_length, self.guard.insns.len() as i32);
        if self.guard.divides {
            dynasm!(self.ops ; .arch x64 ; mov [rsp + WIRELEN], rdx);
        }
        if self.guard.program != 1 {
            dynasm!(self.ops ; .arch x64 ; mov Rq(self.guard.program), rcx);
        }
        self.keep_together(13);
        dynasm!(self.ops ; .arch x64 ; cmp r8d, len ; jne =>other_length);
        self.compare(0, 0);
    }

    /// Puts the address of the length on the wire into rdx, if it is not there.
    pub(super) fn find_wirelen(&mut self) {
        if self.guard.divides {
            dynasm!(self.ops ; .arch x64 ; mov rdx, [rsp + WIRELEN]);
        }
    }

    /// Compares what is executed from `index` on, unless that is done.
    pub(super) fn guard(&mut self, index: usize) {
        if let Some(window) = self.guard.windows[index] {
            self.compare(window, 1);
            dynasm!(self.ops ; .arch x64 ; pand xmm0, xmm1);
        }
    }

    /// Compares two instructions, or the only one.
    fn compare(&mut self, at: usize, result: u8) {
        let copy = *self.guard.copies[at].get_or_insert_with(|| self.ops.new_dynamic_label());
        let (program, offset) = (self.guard.program, (at * size_of::<Insn>()) as i32);
        match self.guard.insns.len() {
            1 => dynasm!(self.ops ; .arch x64 ; movq Rx(result), QWORD [Rq(program)]),
            _ => dynasm!(self.ops ; .arch x64 ; movups Rx(result), [Rq(program) + offset]),
        }
        dynasm!(self.ops ; .arch x64 ; pcmpeqb Rx(result), [=>copy]);
    }

    /// Leaves if something was not equal; makes the program the slot's again.
    pub(super) fn check_guard(&mut self) {
        let (changed, program) = (self.guard.changed, self.guard.program);
        dynasm!(self.ops ; .arch x64 ; pmovmskb r10d, xmm0);
        self.keep_together(13);
        dynasm!(self.ops
            ; .arch x64
            ; cmp r10d, 0xffff
            ; jne =>changed
            ; mov [r9], Rq(program)
        );
    }

    /// What all ways out lead to, and the copies.
    pub(super) fn guard_epilogue(&mut self) {
        let fail = self.fail;
        dynasm!(self.ops ; .arch x64 ; =>fail);
        self.check_guard();
        let (changed, other_length) = (self.guard.changed, self.guard.other_length);
        let len = self.guard.insns.len() as i32;
        dynasm!(self.ops
            ; .arch x64
            ; xor eax, eax
            ; ret
            ; =>changed
            ; mov r8d, len
            ; mov rcx, Rq(self.guard.program)
        );
        self.find_wirelen();
        dynasm!(self.ops
            ; .arch x64
            ; =>other_length
            ; mov rax, QWORD run_changed as *const () as i64
            ; jmp rax
            ; .align 16
        );
        for at in 0..self.guard.copies.len() {
            let Some(copy) = self.guard.copies[at] else { continue };
            dynasm!(self.ops ; .arch x64 ; =>copy);
            for index in at..at + 2 {
                let bits = self.guard.insns.get(index).map_or(0, |insn| insn.bits());
                self.ops.push_u64(bits);
            }
        }
    }
}
