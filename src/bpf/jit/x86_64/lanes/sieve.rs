//! Bursts of which a cheap part of the program rejects most packets.
//!
//! That part runs on all of them, the whole program on what is left, packed together. Where the
//! first packets say that much is left, the whole program runs on all of them at once.

use super::{Constant, Lanes, PACKED_LENS, PACKED_PACKETS, Plan, SURVIVORS, TOTAL, keep_together};
use crate::bpf::jit::x86_64::registers::Registers;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};

/// Packets worth the way through the sieve.
const WORTH: i32 = 32;

/// How many tell the others' future, and how many of them may be left.
const PROBE: i32 = 16;
const FEW: i32 = 8;

/// Most packets that are packed: all that there is room for.
pub(super) const MOST: i32 = 32;

impl<'a> Lanes<'a> {
    /// Emits the sieve, which goes to `begin` with the packets that remain, or all.
    pub(super) fn sieve(
        &mut self,
        sieve: &'a Plan,
        constants: &'a [Constant],
    ) -> Option<Vec<Constant>> {
        let [group, next, few, give_up] = [(); 4].map(|()| self.ops.new_dynamic_label());
        let begin = self.labels.begin;
        dynasm!(self.ops
            ; .arch x64
            ; cmp r12d, WORTH
            ; jb =>begin
            ; mov [rsp + TOTAL], r12d
            ; mov r12d, PROBE
            ; xor r13d, r13d
            ; xor r14d, r14d
        );
        self.load_constants(constants);
        self.begin_group(group);
        let registers =
            std::mem::replace(&mut self.registers, Registers::new(sieve, constants.len()));
        let plan = std::mem::replace(&mut self.plan, sieve);
        let left = self.evaluate()?;
        self.signs(left);
        let constants = self.spare_constants();
        (self.registers, self.plan) = (registers, plan);
        self.end_group(group, next);
        dynasm!(self.ops
            ; .arch x64
            ; popcnt rcx, r14
            ; mov eax, [rsp + TOTAL]
        );
        keep_together(self.ops, 9);
        dynasm!(self.ops ; .arch x64 ; cmp eax, r12d ; je =>few ; cmp ecx, FEW);
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; ja =>give_up
            ; mov r12d, eax
            ; jmp =>group
            ; =>few
        );
        self.pack(give_up);
        dynasm!(self.ops ; .arch x64 ; jmp =>begin ; =>give_up ; mov r12d, eax);
        Some(constants)
    }

    /// Packs the packets of r14's bits, rcx of them, together, and the last one again until groups
    /// are full: how many there are is hard to predict, how many groups is not.
    fn pack(&mut self, give_up: DynamicLabel) {
        let out = self.labels.out;
        let again = self.ops.new_dynamic_label();
        dynasm!(self.ops ; .arch x64 ; cmp ecx, MOST);
        keep_together(self.ops, 6);
        dynasm!(self.ops ; .arch x64 ; ja =>give_up ; mov rax, r14);
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; test rax, rax
            ; je =>out
            ; mov [rsp + SURVIVORS], r14
            ; lea r12d, [rcx + 7]
            ; and r12d, -8
            ; xor edi, edi
            ; =>again
            ; tzcnt rcx, rax
            ; mov rdx, [rbx + rcx * 8]
            ; mov [rsp + rdi * 8 + PACKED_PACKETS], rdx
            ; mov esi, [rbp + rcx * 4]
            ; mov [rsp + rdi * 4 + PACKED_LENS], esi
            ; inc edi
            ; blsr rcx, rax
            ; cmovne rax, rcx
        );
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; cmp edi, r12d
            ; jb =>again
            ; lea rbx, [rsp + PACKED_PACKETS]
            ; lea rbp, [rsp + PACKED_LENS]
        );
    }
}
