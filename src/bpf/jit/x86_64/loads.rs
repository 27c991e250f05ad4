//! Loads from the packet and of ancillary data.

use super::Assembler;
use crate::bpf::analysis::{State, bytes_needed, size};
use crate::bpf::jit::Form;
use crate::bpf::jit::byte_order::Order;
use crate::bpf::{Aux, Insn, aux, op};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};

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
    /// Makes sure that the packet has the bytes a load at a constant offset needs.
    fn constant_address(&mut self, insn: &Insn, state: &State) -> Address {
        let fail = self.fail;
        match bytes_needed(insn) {
            None => dynasm!(self.ops ; .arch x64 ; jmp =>fail),
            Some(bytes) if bytes <= state.present => (),
            Some(bytes) => {
                self.keep_together(12);
                dynasm!(self.ops ; .arch x64 ; cmp esi, bytes as i32 ; jb =>fail);
            }
        }
        match i32::try_from(insn.k) {
            Ok(offset) => Address::Constant(offset),
            Err(_) => {
                dynasm!(self.ops ; .arch x64 ; mov r10d, insn.k as i32);
                Address::Computed
            }
        }
    }

    pub(super) fn load_absolute(&mut self, index: usize, insn: &Insn, state: &State) {
        let address = self.constant_address(insn, state);
        self.load(index, insn.code, address);
    }

    pub(super) fn load_indirect(&mut self, index: usize, insn: &Insn, state: &State) {
        let (k, size, fail) = (insn.k, size(insn.code), self.fail);
        let highest = u64::from(state.x_max) + u64::from(k) + u64::from(size);
        if highest <= i32::MAX as u64 {
            let end = (k + size) as i32;
            dynasm!(self.ops ; .arch x64 ; lea eax, [r8 + end]);
            self.keep_together(8);
            dynasm!(self.ops ; .arch x64 ; cmp eax, esi ; ja =>fail);
            return self.load(index, insn.code, Address::Index(k as i32));
        }
        // 64-bit sums: what wraps round at 2^32 is beyond any packet.
        dynasm!(self.ops
            ; .arch x64
            ; mov r10d, k as i32
            ; add r10, r8
            ; lea rax, [r10 + size as i32]
            ; cmp rax, rsi
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

    pub(super) fn load_header_length(&mut self, insn: &Insn, state: &State) {
        match self.constant_address(insn, state) {
            Address::Constant(k) => {
                dynasm!(self.ops ; .arch x64 ; movzx r8d, BYTE [rdi + k]);
            }
            _ => dynasm!(self.ops ; .arch x64 ; movzx r8d, BYTE [rdi + r10]),
        }
        dynasm!(self.ops ; .arch x64 ; and r8d, 0x0f ; shl r8d, 2);
    }

    pub(super) fn load_ancillary(&mut self, k: u32) {
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
}
