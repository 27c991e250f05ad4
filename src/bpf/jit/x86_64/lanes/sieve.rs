//! Bursts of which a cheap part of the program rejects most packets.
//!
//! That part runs on all of them, the whole program on what is left, packed together. Where the
//! first packets say that much is left, the whole program runs on all of them at once.

use super::{Constant, Constants, Lanes, PACKED_LENS, PACKED_PACKETS, POINTERS, Plan};
use super::{SURVIVORS, TOTAL, keep_together};
use crate::bpf::jit::lanes::Node;
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
        Constants { sieve: constants, whole }: &'a Constants,
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
        let spare = self.spare_constants();
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
        self.pack(give_up, whole);
        dynasm!(self.ops ; .arch x64 ; jmp =>begin ; =>give_up ; mov r12d, eax);
        Some(spare)
    }

    /// Packs the packets of r14's bits, rcx of them, together, and the last one again until groups
    /// are full: how many there are is hard to predict, how many groups is not.
    fn pack(&mut self, give_up: DynamicLabel, constants: &'a [Constant]) {
        let out = self.labels.out;
        let [again, more] = [(); 2].map(|()| self.ops.new_dynamic_label());
        dynasm!(self.ops ; .arch x64 ; cmp ecx, MOST);
        keep_together(self.ops, 6);
        dynasm!(self.ops ; .arch x64 ; ja =>give_up ; mov rax, r14);
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; test rax, rax
            ; je =>out
            ; mov [rsp + SURVIVORS], r14
            ; cmp ecx, POINTERS.len() as i32
        );
        keep_together(self.ops, 6);
        dynasm!(self.ops ; .arch x64 ; ja =>more);
        self.pack_one_group(constants);
        dynasm!(self.ops
            ; .arch x64
            ; =>more
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

    /// Packs up to eight packets and goes on with them in registers. What the others may ask for
    /// is stored in pieces that can be forwarded to its loads.
    fn pack_one_group(&mut self, constants: &'a [Constant]) {
        let (plan, fetched) = (self.plan, self.labels.fetched);
        let may_be_odd = plan.nodes[plan.odd as usize] != Node::Const(0);
        let mut live = plan.nodes.iter().zip(&plan.live).filter(|(_, is_live)| **is_live);
        let needs_lens = may_be_odd || live.any(|(node, _)| *node == Node::Len);
        let (low, high) = (0, 1);
        let ops = &mut *self.ops;
        dynasm!(ops ; .arch x64 ; bsr r10, r14);
        for (lane, pointer) in POINTERS.into_iter().enumerate() {
            let (part, place) = (if lane < 4 { low } else { high }, lane as i8 % 4);
            dynasm!(ops
                ; .arch x64
                ; tzcnt r11, r14
                ; cmovc r11, r10
                ; blsr r14, r14
                ; mov Rq(pointer), [rbx + r11 * 8]
            );
            if may_be_odd {
                let at = PACKED_PACKETS + 8 * lane as i32;
                dynasm!(ops ; .arch x64 ; mov [rsp + at], Rq(pointer));
            }
            match place {
                _ if !needs_lens => (),
                0 => dynasm!(ops ; .arch x64 ; vmovd Rx(part), [rbp + r11 * 4]),
                n => dynasm!(ops ; .arch x64 ; vpinsrd Rx(part), Rx(part), [rbp + r11 * 4], n),
            }
        }
        if needs_lens {
            dynasm!(ops
                ; .arch x64
                ; vinserti128 Ry(low), Ry(low), Rx(high), 1
                ; vmovdqa [rsp + PACKED_LENS], Ry(low)
            );
        }
        dynasm!(ops
            ; .arch x64
            ; lea rbx, [rsp + PACKED_PACKETS]
            ; lea rbp, [rsp + PACKED_LENS]
            ; mov r12d, POINTERS.len() as i32
            ; xor r13d, r13d
            ; xor r14d, r14d
        );
        self.load_constants(constants);
        dynasm!(self.ops ; .arch x64 ; jmp =>fetched);
    }
}
