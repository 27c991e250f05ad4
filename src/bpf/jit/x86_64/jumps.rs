//! Jumps.

use super::{Assembler, FUEL};
use crate::bpf::analysis::targets;
use crate::bpf::jit::byte_order::Order;
use crate::bpf::{Insn, op};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};

/// What a conditional jump looks at, x86's names.
#[derive(Clone, Copy)]
pub(super) enum Condition {
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

/// A jump to a label, whose distance has one byte or four.
macro_rules! jump {
    ($self:ident, $short:ident, $op:tt, $label:ident) => {
        match $short {
            true => dynasm!($self.ops ; .arch x64 ; $op BYTE =>$label),
            false => dynasm!($self.ops ; .arch x64 ; $op =>$label),
        }
    };
}

impl Assembler {
    /// How long the next jump is, if it depends on a condition.
    pub(super) fn jump_len(&self) -> usize {
        if self.is_short() { 2 } else { 6 }
    }

    fn is_short(&self) -> bool {
        self.short.get(self.jumps.len()).copied().unwrap_or(false)
    }

    pub(super) fn jump_if(&mut self, condition: Condition, label: DynamicLabel) {
        let short = self.is_short();
        match condition {
            Condition::Equal => jump!(self, short, je, label),
            Condition::NotEqual => jump!(self, short, jne, label),
            Condition::Above => jump!(self, short, ja, label),
            Condition::AboveOrEqual => jump!(self, short, jae, label),
            Condition::Below => jump!(self, short, jb, label),
            Condition::BelowOrEqual => jump!(self, short, jbe, label),
        }
        self.jumps.push((self.ops.offset().0, label));
    }

    pub(super) fn jump_to(&mut self, label: DynamicLabel) {
        let short = self.is_short();
        self.keep_together(if short { 2 } else { 5 });
        jump!(self, short, jmp, label);
        self.jumps.push((self.ops.offset().0, label));
    }

    /// Which jumps, in their order, need only one byte for their distance. Where the others get shorter,
    /// distances do; only what keeps jumps away from boundaries may get longer.
    pub(super) fn short_jumps(&self) -> Vec<bool> {
        const REACH: isize = i8::MAX as isize - 16;
        let distance = |&(end, label): &(usize, DynamicLabel)| {
            let target = self.ops.labels().resolve_dynamic(label).ok()?.0;
            Some(target.cast_signed() - end.cast_signed())
        };
        let reaches = |jump| distance(jump).is_some_and(|by| (-REACH..=REACH).contains(&by));
        self.jumps.iter().map(reaches).collect()
    }

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
        self.compare(insn, imm);
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
            dynasm!(self.ops
                ; .arch x64
                ; sub DWORD [rsp + FUEL], distance.unsigned_abs() as i32
            );
            self.jump_if(Condition::Below, self.fail);
        }
        self.go(index, target);
    }

    fn go(&mut self, index: usize, target: usize) {
        if let Some(label) = self.labels[target].filter(|_| target != index + 1) {
            self.jump_to(label);
        }
    }

    fn branch(&mut self, condition: Condition, target: usize) {
        if let Some(label) = self.labels[target] {
            self.jump_if(condition, label);
        }
    }

    /// A comparison with one byte, which the assembler does not choose; `operand` is the other one.
    pub(super) fn compare_with_byte(&mut self, operand: &[u8], byte: i8) {
        self.ops.push(0x83);
        self.ops.extend(operand);
        self.ops.push_i8(byte);
    }

    /// Sets the flags for a conditional jump, which comes next.
    fn compare(&mut self, insn: &Insn, imm: i32) {
        let is_test = op::operation(insn.code) == op::JSET;
        if op::src(insn.code) == op::X {
            self.keep_together(3 + self.jump_len());
            return match is_test {
                true => dynasm!(self.ops ; .arch x64 ; test eax, r9d),
                false => dynasm!(self.ops ; .arch x64 ; cmp eax, r9d),
            };
        }
        match (is_test, i8::try_from(imm), u8::try_from(imm)) {
            (false, Ok(imm), _) => {
                self.keep_together(3 + self.jump_len());
                // cmp eax, imm
                self.compare_with_byte(&[0xf8], imm);
            }
            (true, _, Ok(imm)) => {
                self.keep_together(2 + self.jump_len());
                dynasm!(self.ops ; .arch x64 ; test al, BYTE imm.cast_signed());
            }
            _ => {
                self.keep_together(5 + self.jump_len());
                match is_test {
                    true => dynasm!(self.ops ; .arch x64 ; test eax, imm),
                    false => dynasm!(self.ops ; .arch x64 ; cmp eax, imm),
                }
            }
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
