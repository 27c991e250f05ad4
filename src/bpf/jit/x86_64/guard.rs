//! The comparison of what is executed with the caller's program.
//!
//! Where control comes to a run of instructions, they are compared, two at a time, with a copy that
//! lies behind the code; the result is gathered in xmm0 and looked at once, at the end. That costs a
//! load and two operations for two instructions, none of which the rest has to wait for.

use super::{Assembler, X64Relocation};
use crate::bpf::jit::guarded::{busy_flag, run_changed};
use crate::bpf::{Insn, op};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// What there is to know for comparing.
pub(super) struct Guard {
    /// Says that the program is another one.
    changed: DynamicLabel,
    /// Copies of instruction n and the next, where they are needed.
    copies: Vec<Option<DynamicLabel>>,
    /// Instructions before this one are compared when control comes to the present one.
    compared: usize,
    insns: Vec<Insn>,
}

impl Guard {
    pub(super) fn new(ops: &mut VecAssembler<X64Relocation>, insns: &[Insn]) -> Self {
        let changed = ops.new_dynamic_label();
        Self { changed, copies: vec![None; insns.len()], compared: 0, insns: insns.to_vec() }
    }
}

impl Assembler {
    /// r11 is the program, r9d the length on the wire, xmm0 is all ones.
    pub(super) fn guard_prologue(&mut self) {
        dynasm!(self.ops
            ; .arch x64
            ; mov r11, rcx
            ; mov r9d, edx
            ; pcmpeqd xmm0, xmm0
        );
    }

    /// Compares the run that begins at `index`, unless that is done.
    pub(super) fn guard(&mut self, index: usize) {
        if index == 0 {
            self.guard.compared = 0;
        }
        if index < self.guard.compared && self.labels[index].is_none() {
            return;
        }
        let is_jump = |insn: &Insn| matches!(op::class(insn.code), op::JMP | op::RET);
        let ends = |at: usize| is_jump(&self.guard.insns[at - 1]) || self.labels[at].is_some();
        let len = self.guard.insns.len();
        let end = (index + 1..len).find(|&at| ends(at)).unwrap_or(len);
        for at in (index..end).step_by(2) {
            self.compare(at.min(len.saturating_sub(2)));
        }
        self.guard.compared = end;
    }

    /// Compares two instructions, or the only one.
    fn compare(&mut self, at: usize) {
        let copy = *self.guard.copies[at].get_or_insert_with(|| self.ops.new_dynamic_label());
        let offset = (at * size_of::<Insn>()) as i32;
        match self.guard.insns.len() {
            1 => dynasm!(self.ops ; .arch x64 ; movq xmm1, QWORD [r11]),
            _ => dynasm!(self.ops ; .arch x64 ; movups xmm1, [r11 + offset]),
        }
        dynasm!(self.ops ; .arch x64 ; pcmpeqb xmm1, [=>copy] ; pand xmm0, xmm1);
    }

    /// Leaves if something was not equal; lets go of the thread's table.
    pub(super) fn check_guard(&mut self) {
        let changed = self.guard.changed;
        dynasm!(self.ops
            ; .arch x64
            ; pmovmskb ecx, xmm0
        );
        self.keep_together(12);
        dynasm!(self.ops
            ; .arch x64
            ; cmp ecx, 0xffff
            ; jne =>changed
            ; mov r10, QWORD busy_flag() as i64
            ; mov BYTE [r10], 0
        );
    }

    /// What all ways out lead to, and the copies.
    pub(super) fn guard_epilogue(&mut self) {
        let fail = self.fail;
        dynasm!(self.ops ; .arch x64 ; =>fail);
        self.check_guard();
        let (changed, len) = (self.guard.changed, self.guard.insns.len() as i32);
        dynasm!(self.ops
            ; .arch x64
            ; xor eax, eax
            ; ret
            ; =>changed
            ; mov edx, r9d
            ; mov rcx, r11
            ; mov r8d, len
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
