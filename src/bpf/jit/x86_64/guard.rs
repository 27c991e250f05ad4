//! The comparison of what is executed with the caller's program.
//!
//! Groups of instructions are compared with a copy that lies behind the code, as control comes to them, and
//! the outcome is looked at once, at the end: nothing has to wait for it. What all ways to an
//! instruction have compared already is not compared again. (Comparing short programs as a whole, at the
//! start, was not faster for any of the everyday filters.)
//!
//! With AVX-512VL a group is four instructions, for a load and one operation. Its registers beyond the
//! sixteenth leave nothing behind that slows down the caller's SSE instructions. Other processors
//! compare two at a time.

use super::jumps::Condition;
use super::{Assembler, X64Relocation, is_plain};
use crate::bpf::analysis::targets;
use crate::bpf::jit::ENTRY_OFFSET;
use crate::bpf::jit::guarded::run_changed;
use crate::bpf::{Insn, has_backward_jump};
use dynasmrt::relocations::{Relocation, RelocationKind, RelocationSize};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// What there is to know for comparing.
pub(super) struct Guard {
    /// Says that the program is another one.
    changed: DynamicLabel,
    /// Instructions in a group.
    group: usize,
    /// Copies of the groups, where they are needed.
    copies: Vec<Option<DynamicLabel>>,
    /// Which group is compared when control comes to an instruction.
    groups: Vec<Option<usize>>,
    insns: Vec<Insn>,
}

impl Guard {
    pub(super) fn new(ops: &mut VecAssembler<X64Relocation>, insns: &[Insn]) -> Self {
        let changed = ops.new_dynamic_label();
        let group = if has_wide() && insns.len() >= 4 { 4 } else { insns.len().min(2) };
        let (copies, groups) = (vec![None; insns.len().div_ceil(group)], groups(insns, group));
        Self { changed, group, copies, groups, insns: insns.to_vec() }
    }

    fn is_wide(&self) -> bool {
        self.group == 4
    }

    /// The first instruction of a group: the last group ends where the program does.
    fn start(&self, group: usize) -> usize {
        (group * self.group).min(self.insns.len() - self.group)
    }
}

/// Whether this processor has what compares four instructions at a time.
fn has_wide() -> bool {
    use std::arch::is_x86_feature_detected as has;
    !is_plain() && has!("avx512f") && has!("avx512vl")
}

/// Which groups are to be compared when control comes to each instruction, but for the first, which is
/// compared at the start.
fn groups(insns: &[Insn], group: usize) -> Vec<Option<usize>> {
    // Bit n: the n-th group from an instruction's own on is compared on all ways to there.
    let mut compared = vec![u64::MAX; insns.len()];
    compared[0] = 1;
    let targets = |index: usize| targets(&insns[index], index).into_iter().flatten();
    if has_backward_jump(insns) {
        // Ways that are not known yet may lead to where jumps go.
        let jumps =
            (0..insns.len()).flat_map(|from| targets(from).filter(move |&to| to != from + 1));
        jumps.for_each(|to| compared[to] = 0);
    }
    let mut groups = vec![None; insns.len()];
    for index in 0..insns.len() {
        if compared[index] & 1 == 0 {
            groups[index] = Some(index / group);
            compared[index] |= 1;
        }
        for target in targets(index).filter(|&target| target > index) {
            let distance = u32::try_from(target / group - index / group).unwrap_or(u32::MAX);
            compared[target] &= compared[index].checked_shr(distance).unwrap_or(0);
        }
    }
    groups
}

impl Assembler {
    /// Compares the length and the first group. What runs a changed program stands in front of that,
    /// so that jumps there are short.
    pub(super) fn guard_prologue(&mut self) {
        let (changed, len) = (self.guard.changed, self.guard.insns.len());
        dynasm!(self.ops
            ; .arch x64
            ; =>changed
            ; mov rax, QWORD run_changed as *const () as i64
            ; jmp rax
        );
        self.ops.extend(&[0xcc; ENTRY_OFFSET][self.ops.offset().0..]);
        match i8::try_from(len) {
            // cmp DWORD [rdi], len
            Ok(len) => self.compare_with_byte(&[0x3f], len),
            Err(_) => dynasm!(self.ops ; .arch x64 ; cmp DWORD [rdi], len as i32),
        }
        self.keep_together(self.jump_len());
        self.jump_if(Condition::NotEqual, changed);
        self.compare_group(0);
    }

    /// Compares what is executed from `index` on, unless that is done.
    pub(super) fn guard(&mut self, index: usize) {
        if let Some(group) = self.guard.groups[index] {
            self.compare_group(group);
        }
    }

    /// Compares a group; the first one comes first. What differs is gathered in ymm16, or what is equal in
    /// xmm0.
    fn compare_group(&mut self, group: usize) {
        let copy = *self.guard.copies[group].get_or_insert_with(|| self.ops.new_dynamic_label());
        let offset = self.guard.start(group) * size_of::<Insn>();
        if self.guard.is_wide() {
            self.load_wide(offset);
            return self.combine_wide(offset == 0, copy);
        }
        let disp = offset as i32;
        match (self.guard.insns.len(), i8::try_from(disp)) {
            (1, _) => dynasm!(self.ops ; .arch x64 ; movq xmm0, QWORD [rcx]),
            (_, Ok(0)) => dynasm!(self.ops ; .arch x64 ; movups xmm0, [rcx]),
            (_, Ok(disp)) => dynasm!(self.ops ; .arch x64 ; movups xmm1, [BYTE rcx + disp]),
            (_, Err(_)) => dynasm!(self.ops ; .arch x64 ; movups xmm1, [rcx + disp]),
        }
        match disp {
            0 => dynasm!(self.ops ; .arch x64 ; pcmpeqb xmm0, [=>copy]),
            _ => dynasm!(self.ops ; .arch x64 ; pcmpeqb xmm1, [=>copy] ; pand xmm0, xmm1),
        }
    }

    /// `vmovdqu32 ymm16 or ymm17, [rcx + offset]`, which the assembler does not know.
    fn load_wide(&mut self, offset: usize) {
        self.ops.extend(&[0x62, 0xe1, 0x7e, 0x28, 0x6f]);
        match (offset % 32, i8::try_from(offset / 32)) {
            (0, Ok(0)) => self.ops.push(0x01),
            // The displacement counts vectors.
            (0, Ok(vectors)) => self.ops.extend(&[0x49, vectors.cast_unsigned()]),
            _ => {
                self.ops.push(0x89);
                self.ops.push_u32(offset as u32);
            }
        }
    }

    /// `vpxord ymm16, ymm16, [copy]`, or `vpternlogd ymm16, ymm17, [copy], a | (b ^ c)`.
    fn combine_wide(&mut self, is_first: bool, copy: DynamicLabel) {
        const A_OR_B_XOR_C: u8 = 0xf6;
        let behind_disp = match is_first {
            true => {
                self.ops.extend(&[0x62, 0xe1, 0x7d, 0x20, 0xef, 0x05, 0, 0, 0, 0]);
                0
            }
            false => {
                self.ops.extend(&[0x62, 0xe3, 0x75, 0x20, 0x25, 0x05, 0, 0, 0, 0, A_OR_B_XOR_C]);
                1
            }
        };
        let relocation = X64Relocation::from_size(RelocationKind::Relative, RelocationSize::DWord);
        self.ops.dynamic_relocation(copy, 0, 4 + behind_disp, 0, relocation);
    }

    /// Leaves if something was not equal; makes the program the slot's again.
    pub(super) fn check_guard(&mut self) {
        let changed = self.guard.changed;
        if self.guard.is_wide() {
            // vptestmd k0, ymm16, ymm16; kortestw k0, k0
            self.ops.extend(&[0x62, 0xb2, 0x7d, 0x20, 0x27, 0xc0, 0xc5, 0xf8, 0x98, 0xc0]);
            self.keep_together(self.jump_len());
        } else {
            dynasm!(self.ops ; .arch x64 ; pmovmskb r10d, xmm0);
            self.keep_together(7 + self.jump_len());
            dynasm!(self.ops ; .arch x64 ; cmp r10d, DWORD 0xffff);
        }
        self.jump_if(Condition::NotEqual, changed);
        if cfg!(target_os = "linux") {
            dynasm!(self.ops ; .arch x64 ; fs mov [r8], rcx);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov [r8], rcx);
        }
    }

    /// What all ways out lead to, and the copies.
    pub(super) fn guard_epilogue(&mut self) {
        let fail = self.fail;
        dynasm!(self.ops ; .arch x64 ; =>fail);
        self.check_guard();
        dynasm!(self.ops ; .arch x64 ; xor eax, eax ; ret ; .align 32);
        for group in 0..self.guard.copies.len() {
            let Some(copy) = self.guard.copies[group] else { continue };
            let start = self.guard.start(group);
            dynasm!(self.ops ; .arch x64 ; =>copy);
            for index in start..start + self.guard.group.max(2) {
                self.ops.push_u64(self.guard.insns.get(index).map_or(0, |insn| insn.bits()));
            }
        }
    }
}
