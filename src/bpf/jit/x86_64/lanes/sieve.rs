//! Bursts of which a cheap part of the program rejects most packets.
//!
//! That part runs on all of them, the whole program on what is left, packed together. Where the
//! first packets say that much is left, the whole program runs on all of them at once.

use super::{Constant, Lanes, PACKED_LENS, PACKED_PACKETS, POINTERS, Plan, SHORTEST};
use super::{SURVIVORS, Source, TOTAL, keep_together};
use crate::bpf::jit::lanes::{Node, Sieve};
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
        sieve: &'a Sieve,
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
            std::mem::replace(&mut self.registers, Registers::new(&sieve.plan, constants.len()));
        let plan = std::mem::replace(&mut self.plan, &sieve.plan);
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
        self.judge(&sieve.rest, give_up)?;
        dynasm!(self.ops ; .arch x64 ; =>give_up ; mov r12d, [rsp + TOTAL]);
        Some(spare)
    }

    /// What is done with the packets of r14's bits, rcx of them.
    fn judge(&mut self, rest: &'a Plan, give_up: DynamicLabel) -> Option<()> {
        let (out, short) = (self.labels.out, self.ops.new_dynamic_label());
        let has_short = rest.min_len > self.plan.min_len;
        dynasm!(self.ops ; .arch x64 ; cmp ecx, MOST);
        keep_together(self.ops, 6);
        dynasm!(self.ops ; .arch x64 ; ja =>give_up ; xor eax, eax);
        keep_together(self.ops, 9);
        dynasm!(self.ops ; .arch x64 ; test r14, r14 ; je =>out);
        if has_short {
            let Source::Pool(least) = self.constant(Node::Const(rest.min_len)) else { return None };
            dynasm!(self.ops
                ; .arch x64
                ; vmovdqa ymm0, [=>least]
                ; vpcmpgtd ymm0, ymm0, [rsp + SHORTEST]
            );
            keep_together(self.ops, 11);
            dynasm!(self.ops ; .arch x64 ; vptest ymm0, ymm0 ; jnz =>short);
        }
        self.rounds(rest)?;
        if has_short {
            dynasm!(self.ops ; .arch x64 ; =>short);
            self.pack();
        }
        Some(())
    }

    /// Eight packets of r14's bits at a time, with what is left of the program.
    ///
    /// r12 has the bits of which the lowest are these, r13 the verdicts.
    fn rounds(&mut self, rest: &'a Plan) -> Option<()> {
        let [again, collect, slow] = [(); 3].map(|()| self.ops.new_dynamic_label());
        let out = self.labels.out;
        dynasm!(self.ops ; .arch x64 ; xor r13d, r13d ; =>again ; mov r12, r14);
        let plan = std::mem::replace(&mut self.plan, rest);
        let registers = std::mem::replace(&mut self.registers, Registers::new(rest, 0));
        self.is_packed = true;
        self.fetch_left();
        let accept = self.evaluate()?;
        if rest.nodes[rest.odd as usize] != Node::Const(0) {
            self.registers.pin(accept, true);
            let odd = self.register(rest.odd)?;
            keep_together(self.ops, 11);
            dynasm!(self.ops ; .arch x64 ; vptest Ry(odd), Ry(odd) ; jnz =>slow);
        }
        self.signs(accept);
        // Lanes beyond the last bit are left out.
        dynasm!(self.ops
            ; .arch x64
            ; =>collect
            ; pdep r11, r11, r12
            ; or r13, r11
        );
        keep_together(self.ops, 9);
        dynasm!(self.ops ; .arch x64 ; test r14, r14 ; jnz =>again ; mov rax, r13 ; jmp =>out);
        self.one_by_one(slow, collect);
        (self.registers, self.plan, self.is_packed) = (registers, plan, false);
        Some(())
    }

    /// Fetches the addresses, and the lengths if they are asked for, of r14's next eight packets;
    /// the last one again where there are fewer: how many there are is hard to predict.
    fn fetch_left(&mut self) {
        let mut live = self.plan.nodes.iter().zip(&self.plan.live).filter(|(_, is_live)| **is_live);
        let needs_lens = live.any(|(node, _)| *node == Node::Len);
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
    }

    /// The round's packets through the code for single packets.
    fn one_by_one(&mut self, slow: DynamicLabel, collect: DynamicLabel) {
        let (scalar, again) = (self.labels.scalar, self.ops.new_dynamic_label());
        dynasm!(self.ops ; .arch x64 ; =>slow);
        for (lane, pointer) in POINTERS.into_iter().enumerate() {
            let at = PACKED_PACKETS + 8 * lane as i32;
            dynasm!(self.ops ; .arch x64 ; mov [rsp + at], Rq(pointer));
        }
        dynasm!(self.ops
            ; .arch x64
            ; mov rax, r12
            ; bsr rcx, r12
            ; xor edi, edi
            ; =>again
            ; tzcnt rdx, rax
            ; cmovc rdx, rcx
            ; mov esi, [rbp + rdx * 4]
            ; mov [rsp + rdi * 4 + PACKED_LENS], esi
            ; blsr rax, rax
            ; inc edi
            ; cmp edi, POINTERS.len() as i32
            ; jb =>again
            ; lea rdi, [rsp + PACKED_PACKETS]
            ; lea rsi, [rsp + PACKED_LENS]
            ; mov edx, POINTERS.len() as i32
            ; call =>scalar
            ; mov r11, rax
            ; jmp =>collect
        );
    }

    /// Packs the packets of r14's bits, rcx of them, together, and the last one again until groups
    /// are full, for the whole program: some are shorter than what is left of it asks for.
    fn pack(&mut self) {
        let again = self.ops.new_dynamic_label();
        dynasm!(self.ops
            ; .arch x64
            ; mov rax, r14
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
        let begin = self.labels.begin;
        dynasm!(self.ops
            ; .arch x64
            ; cmp edi, r12d
            ; jb =>again
            ; lea rbx, [rsp + PACKED_PACKETS]
            ; lea rbp, [rsp + PACKED_LENS]
            ; jmp =>begin
        );
    }
}
