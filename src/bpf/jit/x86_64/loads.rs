//! Loads from the packet and of ancillary data.

use super::Assembler;
use super::jumps::Condition;
use crate::bpf::analysis::{State, bytes_needed, size};
use crate::bpf::jit::byte_order::Order;
use crate::bpf::jit::{Form, OwnedHeader};
use crate::bpf::{Aux, Insn, aux, op};
use dynasmrt::{DynamicLabel, DynasmApi, dynasm};
use std::mem::offset_of;

/// Where in the packet's header its lengths are.
const PRESENT: i8 = offset_of!(OwnedHeader, present) as i8;
const WIRELEN: i8 = offset_of!(OwnedHeader, wirelen) as i8;

/// A place in the packet: at a constant offset, or at an offset in a register. Short offsets make short
/// instructions.
#[derive(Clone, Copy)]
enum Address {
    Near(i8),
    Constant(i32),
    /// r9 + constant
    NearIndex(i8),
    Index(i32),
    /// r10
    Computed,
}

/// A load from the packet, whose address is in rdi; where code compares itself, in rdx.
macro_rules! load {
    ($self:ident, $address:expr, $op:tt $to:tt, $size:tt) => {
        match (&mut $self.ops, $self.form == Form::Guarded, $address) {
            (ops, false, Address::Near(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [BYTE rdi + k]),
            (ops, true, Address::Near(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [BYTE rdx + k]),
            (ops, false, Address::Constant(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdi + k]),
            (ops, true, Address::Constant(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdx + k]),
            (ops, false, Address::NearIndex(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [BYTE rdi + r9 + k]),
            (ops, true, Address::NearIndex(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [BYTE rdx + r9 + k]),
            (ops, false, Address::Index(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdi + r9 + k]),
            (ops, true, Address::Index(k)) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdx + r9 + k]),
            (ops, false, Address::Computed) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdi + r10]),
            (ops, true, Address::Computed) => dynasm!(ops ; .arch x64 ; $op $to, $size [rdx + r10]),
        }
    };
}

impl Assembler {
    /// Makes sure that the packet has the bytes a load at a constant offset needs.
    fn constant_address(&mut self, insn: &Insn, state: &State) -> Address {
        match bytes_needed(insn) {
            None => self.jump_to(self.fail),
            Some(bytes) if bytes <= state.present => (),
            Some(bytes) => self.jump_if_shorter(bytes, self.fail),
        }
        match (i8::try_from(insn.k), i32::try_from(insn.k)) {
            (Ok(offset), _) => Address::Near(offset),
            (_, Ok(offset)) => Address::Constant(offset),
            _ => {
                dynasm!(self.ops ; .arch x64 ; mov r10d, insn.k as i32);
                Address::Computed
            }
        }
    }

    /// Goes somewhere if fewer bytes are present.
    pub(super) fn jump_if_shorter(&mut self, bytes: u32, label: DynamicLabel) {
        let short = i8::try_from(bytes);
        if self.form == Form::Guarded {
            // Not one operation with the jump.
            match short {
                // cmp DWORD [rsi + PRESENT], bytes
                Ok(bytes) => self.compare_with_byte(&[0x7e, PRESENT as u8], bytes),
                Err(_) => {
                    dynasm!(self.ops ; .arch x64 ; cmp DWORD [BYTE rsi + PRESENT], bytes as i32);
                }
            }
            self.keep_together(self.jump_len());
            return self.jump_if(Condition::Below, label);
        }
        self.keep_together(if short.is_ok() { 3 } else { 6 } + self.jump_len());
        match short {
            // cmp esi, bytes
            Ok(bytes) => self.compare_with_byte(&[0xfe], bytes),
            Err(_) => dynasm!(self.ops ; .arch x64 ; cmp esi, bytes as i32),
        }
        self.jump_if(Condition::Below, label);
    }

    pub(super) fn load_absolute(&mut self, index: usize, insn: &Insn, state: &State) {
        let address = self.constant_address(insn, state);
        self.load(index, insn.code, address);
    }

    pub(super) fn load_indirect(&mut self, index: usize, insn: &Insn, state: &State) {
        let (k, size, is_guarded) = (insn.k, size(insn.code), self.form == Form::Guarded);
        let highest = u64::from(state.x_max) + u64::from(k) + u64::from(size);
        if highest <= i32::MAX as u64 {
            let end = (k + size) as i32;
            match i8::try_from(end) {
                Ok(end) => dynasm!(self.ops ; .arch x64 ; lea eax, [BYTE r9 + end]),
                Err(_) => dynasm!(self.ops ; .arch x64 ; lea eax, [r9 + end]),
            }
            self.keep_together(3 + self.jump_len());
            match is_guarded {
                true => dynasm!(self.ops ; .arch x64 ; cmp eax, [BYTE rsi + PRESENT]),
                false => dynasm!(self.ops ; .arch x64 ; cmp eax, esi),
            }
            self.jump_if(Condition::Above, self.fail);
            let address = i8::try_from(k).map_or(Address::Index(k as i32), Address::NearIndex);
            return self.load(index, insn.code, address);
        }
        // 64-bit sums: what wraps round at 2^32 is beyond any packet.
        dynasm!(self.ops
            ; .arch x64
            ; mov r10d, k as i32
            ; add r10, r9
            ; lea rax, [r10 + size as i32]
        );
        match is_guarded {
            true => dynasm!(self.ops ; .arch x64 ; mov r11d, [BYTE rsi + PRESENT] ; cmp rax, r11),
            false => dynasm!(self.ops ; .arch x64 ; cmp rax, rsi),
        }
        self.jump_if(Condition::Above, self.fail);
        self.load(index, insn.code, Address::Computed);
    }

    fn load(&mut self, index: usize, code: u16, address: Address) {
        let in_host_order = self.orders[index + 1] == Order::Host;
        match op::size(code) {
            op::W => load!(self, address, mov eax, DWORD),
            op::H => load!(self, address, movzx eax, WORD),
            _ => load!(self, address, movzx eax, BYTE),
        }
        match op::size(code) {
            op::W if in_host_order => dynasm!(self.ops ; .arch x64 ; bswap eax),
            op::H if in_host_order => dynasm!(self.ops ; .arch x64 ; rol ax, 8),
            _ => (),
        }
    }

    pub(super) fn load_header_length(&mut self, insn: &Insn, state: &State) {
        let address = self.constant_address(insn, state);
        load!(self, address, movzx r9d, BYTE);
        dynasm!(self.ops ; .arch x64 ; and r9d, 0x0f ; shl r9d, 2);
    }

    /// The packet's length on the wire, into the accumulator or the index register.
    pub(super) fn load_wirelen(&mut self, class: u16) {
        match (self.form == Form::Guarded, class) {
            (true, op::LD) => dynasm!(self.ops ; .arch x64 ; mov eax, [BYTE rsi + WIRELEN]),
            (true, _) => dynasm!(self.ops ; .arch x64 ; mov r9d, [BYTE rsi + WIRELEN]),
            (false, op::LD) => dynasm!(self.ops ; .arch x64 ; mov eax, r8d),
            (false, _) => dynasm!(self.ops ; .arch x64 ; mov r9d, r8d),
        }
    }

    pub(super) fn load_ancillary(&mut self, k: u32) {
        let Some(slot) = aux::slot(k).filter(|_| self.form == Form::Single) else {
            return self.jump_to(self.fail);
        };
        let (known, value) = (Aux::KNOWN_OFFSET as i32, (Aux::VALUES_OFFSET + 4 * slot) as i32);
        dynasm!(self.ops ; .arch x64 ; test DWORD [r11 + known], 1 << slot);
        self.jump_if(Condition::Equal, self.fail);
        dynasm!(self.ops ; .arch x64 ; mov eax, [r11 + value]);
    }
}
