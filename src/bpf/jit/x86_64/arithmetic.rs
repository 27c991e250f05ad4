//! Arithmetic.

use super::Assembler;
use super::jumps::Condition;
use crate::bpf::jit::Form;
use crate::bpf::op;
use dynasmrt::{DynasmApi, dynasm};

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
                dynasm!(ops ; .arch x64 ; mov r10d, imm);
                self.divide(operation);
            }
        }
    }

    /// Divides by r10d. The quotient or the remainder becomes the accumulator.
    fn divide(&mut self, operation: u16) {
        let is_guarded = self.form == Form::Guarded;
        if is_guarded {
            dynasm!(self.ops ; .arch x64 ; mov r11, rdx);
        }
        dynasm!(self.ops ; .arch x64 ; xor edx, edx ; div r10d);
        if operation == op::MOD {
            dynasm!(self.ops ; .arch x64 ; mov eax, edx);
        }
        if is_guarded {
            dynasm!(self.ops ; .arch x64 ; mov rdx, r11);
        }
    }

    pub(super) fn arithmetic_x(&mut self, code: u16) {
        let (ops, fail) = (&mut self.ops, self.fail);
        match op::operation(code) {
            op::ADD => dynasm!(ops ; .arch x64 ; add eax, r9d),
            op::SUB => dynasm!(ops ; .arch x64 ; sub eax, r9d),
            op::MUL => dynasm!(ops ; .arch x64 ; imul eax, r9d),
            op::AND => dynasm!(ops ; .arch x64 ; and eax, r9d),
            op::OR => dynasm!(ops ; .arch x64 ; or eax, r9d),
            op::XOR => dynasm!(ops ; .arch x64 ; xor eax, r9d),
            operation @ (op::LSH | op::RSH) => self.shift(operation),
            operation => {
                dynasm!(ops ; .arch x64 ; test r9d, r9d);
                self.jump_if(Condition::Equal, fail);
                dynasm!(self.ops ; .arch x64 ; mov r10d, r9d);
                self.divide(operation);
            }
        }
    }

    fn shift(&mut self, operation: u16) {
        let is_guarded = self.form == Form::Guarded;
        if is_guarded {
            dynasm!(self.ops ; .arch x64 ; mov r11, rcx);
        }
        match operation {
            op::LSH => dynasm!(self.ops ; .arch x64 ; mov ecx, r9d ; shl eax, cl),
            _ => dynasm!(self.ops ; .arch x64 ; mov ecx, r9d ; shr eax, cl),
        }
        if is_guarded {
            dynasm!(self.ops ; .arch x64 ; mov rcx, r11);
        }
        self.clear_unless_x_below_32();
    }

    /// The processor takes shift counts modulo 32.
    fn clear_unless_x_below_32(&mut self) {
        dynasm!(self.ops ; .arch x64 ; cmp r9d, 32 ; sbb r10d, r10d ; and eax, r10d);
    }
}
