//! Jumps.

use super::{Assembler, FUEL};
use crate::bpf::analysis::targets;
use crate::bpf::jit::byte_order::Order;
use crate::bpf::{Insn, op};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};

/// What a conditional jump looks at, x86's names.
#[derive(Clone, Copy)]
enum Condition {
    Equal,
    NotEqual,
    Above,
    AboveOrEqual,
    Below,
    BelowOrEqual,
}

impl Condition {
    fn inverted(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Above => Self::BelowOrEqual,
            Self::AboveOrEqual => Self::Below,
            Self::Below => Self::AboveOrEqual,
            Self::BelowOrEqual => Self::Above,
        }
    }
}

impl Assembler {
    pub(super) fn jump(&mut self, index: usize, insn: &Insn) {
        let [taken, not_taken] = targets(insn, index);
        let (Some(taken), Some(not_taken)) = (taken, not_taken) else {
            return self.jump_always(index, insn);
        };
        if taken == not_taken {
            return self.go(index, taken);
        }
        let Some(imm) = swapped(insn, self.orders[index]) else {
            return self.go(index, not_taken);
        };
        self.keep_together(11);
        let ops = &mut self.ops;
        match (op::operation(insn.code) == op::JSET, op::src(insn.code) == op::X) {
            (false, false) => dynasm!(ops ; .arch x64 ; cmp eax, imm),
            (false, true) => dynasm!(ops ; .arch x64 ; cmp eax, r8d),
            (true, false) => dynasm!(ops ; .arch x64 ; test eax, imm),
            (true, true) => dynasm!(ops ; .arch x64 ; test eax, r8d),
        }
        let condition = match op::operation(insn.code) {
            op::JEQ => Condition::Equal,
            op::JGT => Condition::Above,
            op::JGE => Condition::AboveOrEqual,
            _ => Condition::NotEqual,
        };
        if taken == index + 1 {
            self.branch(condition.inverted(), not_taken);
        } else {
            self.branch(condition, taken);
            self.go(index, not_taken);
        }
    }

    fn jump_always(&mut self, index: usize, insn: &Insn) {
        let distance = insn.k as i32;
        let Some(target) = targets(insn, index)[0] else { return };
        if distance < 0 {
            let fail = self.fail;
            dynasm!(self.ops
                ; .arch x64
                ; sub DWORD [rsp + FUEL], distance.unsigned_abs() as i32
                ; jb =>fail
            );
        }
        self.go(index, target);
    }

    fn go(&mut self, index: usize, target: usize) {
        if let Some(label) = self.labels[target].filter(|_| target != index + 1) {
            self.keep_together(5);
            dynasm!(self.ops ; .arch x64 ; jmp =>label);
        }
    }

    fn branch(&mut self, condition: Condition, target: usize) {
        let ops = &mut self.ops;
        let Some(label) = self.labels[target] else { return };
        match condition {
            Condition::Equal => dynasm!(ops ; .arch x64 ; je =>label),
            Condition::NotEqual => dynasm!(ops ; .arch x64 ; jne =>label),
            Condition::Above => dynasm!(ops ; .arch x64 ; ja =>label),
            Condition::AboveOrEqual => dynasm!(ops ; .arch x64 ; jae =>label),
            Condition::Below => dynasm!(ops ; .arch x64 ; jb =>label),
            Condition::BelowOrEqual => dynasm!(ops ; .arch x64 ; jbe =>label),
        }
    }
}

/// The constant to compare the accumulator with; `None` when it cannot be equal.
fn swapped(insn: &Insn, order: Order) -> Option<i32> {
    match order {
        Order::Host => Some(insn.k as i32),
        Order::Word => Some(insn.k.swap_bytes() as i32),
        Order::Half if op::operation(insn.code) == op::JSET => {
            Some((insn.k as u16).swap_bytes().into())
        }
        Order::Half => u16::try_from(insn.k).ok().map(|k| k.swap_bytes().into()),
    }
}
