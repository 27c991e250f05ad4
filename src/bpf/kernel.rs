//! Whether a Linux kernel runs a classic program as this machine does.

use super::analysis::{Analysis, size};
use super::{Insn, aux, op};

/// Why a classic program could give other verdicts in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inexact {
    /// Indirect offsets wrap round at 2^32 there, and from 2^31 on they are relative to headers.
    #[error("instruction {0}: the kernel takes a negative offset from the headers")]
    Offset(usize),
    /// Shift counts are taken modulo 32 there.
    #[error("instruction {0}: the kernel takes shift counts modulo 32")]
    Shift(usize),
}

/// Finds the first instruction of a strictly valid program that a kernel might run differently.
///
/// What filter expressions commonly compile to has none: their indices are header lengths.
pub fn check_kernel(insns: &[Insn]) -> Result<(), Inexact> {
    let analysis = Analysis::new(insns);
    for (index, insn) in insns.iter().enumerate() {
        // Unreachable ones too: kernels refuse unknown ancillary loads wherever they stand.
        check_one(index, insn, analysis.before(index).x_max)?;
    }
    Ok(())
}

fn check_one(index: usize, insn: &Insn, x_max: u32) -> Result<(), Inexact> {
    let Insn { code, k, .. } = *insn;
    let is_ancillary = aux::is_absolute_load(code) && aux::slot(k).is_some();
    let highest = match (op::class(code), op::mode(code)) {
        (op::LD, op::IND) => u64::from(k) + u64::from(x_max),
        (op::LD, op::ABS) | (op::LDX, op::MSH) if !is_ancillary => u64::from(k),
        _ => 0,
    };
    if highest + u64::from(size(code)) > i32::MAX as u64 {
        return Err(Inexact::Offset(index));
    }
    let shifts = [op::ALU | op::LSH, op::ALU | op::RSH].contains(&(code & !op::X));
    let count = if op::src(code) == op::X { x_max } else { k };
    if shifts && count > 31 { Err(Inexact::Shift(index)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::ANCILLARY_OFFSET;

    fn verdict(insns: &[Insn]) -> Result<(), Inexact> {
        let mut program = insns.to_vec();
        program.push(Insn::stmt(0x06, 1));
        check_kernel(&program)
    }

    #[test]
    fn header_lengths_are_fine() {
        assert_eq!(verdict(&[Insn::stmt(0xb1, 14), Insn::stmt(0x48, 16)]), Ok(()));
        assert_eq!(verdict(&[Insn::stmt(0x30, ANCILLARY_OFFSET + 4)]), Ok(()));
    }

    #[test]
    fn offsets_and_shifts_out_of_hand() {
        let any_x = Insn::stmt(0x20, 0);
        let tax = Insn::stmt(0x07, 0);
        assert_eq!(verdict(&[any_x, tax, Insn::stmt(0x48, 0)]), Err(Inexact::Offset(2)));
        assert_eq!(verdict(&[any_x, tax, Insn::stmt(0x6c, 0)]), Err(Inexact::Shift(2)));
        assert_eq!(verdict(&[Insn::stmt(0x64, 32)]), Err(Inexact::Shift(0)));
        assert_eq!(verdict(&[Insn::stmt(0x20, 0x7fff_fffc)]), Err(Inexact::Offset(0)));
        assert_eq!(verdict(&[Insn::stmt(0x20, 0xffff_0000)]), Err(Inexact::Offset(0)));
    }
}
