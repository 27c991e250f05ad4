//! Arithmetic.

use super::Assembler;
use crate::bpf::op;
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};

impl Assembler {
    pub(super) fn arithmetic_k(&mut self, code: u16, k: u32) {
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

    pub(super) fn arithmetic_x(&mut self, code: u16) {
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
        dynasm!(self.ops ; .arch x64 ; cmp r8d, 32 ; sbb r10d, r10d ; and eax, r10d);
    }
}
