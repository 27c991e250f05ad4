//! Which programs are valid: libpcap's verdict, and a stricter one.

use super::{Insn, op};

/// `bpf_validate`'s verdict, bit for bit.
///
/// It lets through what its own interpreter then aborts on (unknown addressing sizes, the upper
/// byte of the code, `ret x`) and backward `ja`; [`interpret`](super::interpret) is safe on all
/// of these, and [`check`] rejects the unknown codes.
pub fn validate(insns: &[Insn]) -> bool {
    let Ok(len) = u32::try_from(insns.len()) else { return false };
    let each = |(index, insn): (usize, &Insn)| is_valid(insn, index as u32 + 1, len);
    insns.last().is_some_and(|last| op::class(last.code) == op::RET)
        && insns.iter().enumerate().all(each)
}

/// `next` is the index of the instruction after `insn`, `len` the program's length.
fn is_valid(insn: &Insn, next: u32, len: u32) -> bool {
    let in_scratch = (insn.k as usize) < op::MEMWORDS;
    match op::class(insn.code) {
        op::LD | op::LDX => match op::mode(insn.code) {
            op::IMM | op::ABS | op::IND | op::LEN | op::MSH => true,
            op::MEM => in_scratch,
            _ => false,
        },
        op::ST | op::STX => in_scratch,
        op::ALU => match op::operation(insn.code) {
            op::DIV | op::MOD => op::src(insn.code) == op::X || insn.k != 0,
            operation => operation <= op::XOR,
        },
        op::JMP => match op::operation(insn.code) {
            op::JA => next.wrapping_add(insn.k) < len,
            op::JEQ | op::JGT | op::JGE | op::JSET => {
                let farthest = insn.jt.max(insn.jf);
                next.checked_add(farthest.into()).is_some_and(|target| target < len)
            }
            _ => false,
        },
        _ => true,
    }
}

/// Why [`check`] refused a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProgram {
    /// No instructions.
    #[error("the program is empty")]
    Empty,
    /// More instructions than 2^31 - 1, so that jumps could not be told apart.
    #[error("the program has too many instructions")]
    TooLong,
    /// A code that no BPF machine knows.
    #[error("instruction {index}: unknown code 0x{code:x}")]
    UnknownCode {
        /// Which instruction, from 0.
        index: usize,
        /// Its code.
        code: u16,
    },
    /// A scratch memory word beyond the last.
    #[error("instruction {index}: M[{k}] does not exist")]
    ScratchIndex {
        /// Which instruction, from 0.
        index: usize,
        /// The word asked for.
        k: u32,
    },
    /// A constant divisor of zero.
    #[error("instruction {index}: division by zero")]
    DivisionByZero {
        /// Which instruction, from 0.
        index: usize,
    },
    /// A jump to before the first or behind the last instruction.
    #[error("instruction {index}: jump out of the program")]
    JumpOutOfRange {
        /// Which instruction, from 0.
        index: usize,
    },
    /// The last instruction is not a return.
    #[error("the program does not end with a return")]
    NoReturn,
}

/// The strict verdict: every code is known, every constant in range, every path ends in `ret`.
///
/// What passes is also [`validate`]d. Backward `ja` (which `protochain` needs) is allowed: see
/// [`has_backward_jump`].
pub fn check(insns: &[Insn]) -> Result<(), InvalidProgram> {
    let last = insns.last().ok_or(InvalidProgram::Empty)?;
    if insns.len() > i32::MAX as usize {
        return Err(InvalidProgram::TooLong);
    }
    for (index, insn) in insns.iter().enumerate() {
        check_one(index, insn, insns.len())?;
    }
    if op::class(last.code) == op::RET { Ok(()) } else { Err(InvalidProgram::NoReturn) }
}

fn check_one(index: usize, insn: &Insn, len: usize) -> Result<(), InvalidProgram> {
    if !is_known(insn.code) {
        return Err(InvalidProgram::UnknownCode { index, code: insn.code });
    }
    if uses_scratch(insn.code) && insn.k as usize >= op::MEMWORDS {
        return Err(InvalidProgram::ScratchIndex { index, k: insn.k });
    }
    let divides = [op::ALU | op::DIV | op::K, op::ALU | op::MOD | op::K].contains(&insn.code);
    if divides && insn.k == 0 {
        return Err(InvalidProgram::DivisionByZero { index });
    }
    let in_range = match insn.code {
        code if op::class(code) != op::JMP => true,
        code if op::operation(code) == op::JA => {
            let target = index as i64 + 1 + i64::from(insn.k as i32);
            (0..len as i64).contains(&target)
        }
        _ => index + 1 + usize::from(insn.jt.max(insn.jf)) < len,
    };
    if in_range { Ok(()) } else { Err(InvalidProgram::JumpOutOfRange { index }) }
}

fn uses_scratch(code: u16) -> bool {
    matches!(op::class(code), op::ST | op::STX)
        || (matches!(op::class(code), op::LD | op::LDX) && op::mode(code) == op::MEM)
}

/// Whether the machine has an instruction with exactly this code.
pub fn is_known(code: u16) -> bool {
    if code > 0xff {
        return false;
    }
    match op::class(code) {
        op::LD => match op::mode(code) {
            op::IMM | op::MEM | op::LEN => op::size(code) == op::W,
            op::ABS | op::IND => op::size(code) <= op::B,
            _ => false,
        },
        op::LDX => match op::mode(code) {
            op::IMM | op::MEM | op::LEN => op::size(code) == op::W,
            op::MSH => op::size(code) == op::B,
            _ => false,
        },
        op::ST | op::STX => code & !0x07 == 0,
        op::ALU => match op::operation(code) {
            op::NEG => op::src(code) == op::K,
            operation => operation <= op::XOR,
        },
        op::JMP => match op::operation(code) {
            op::JA => op::src(code) == op::K,
            operation => operation <= op::JSET,
        },
        op::RET => [op::RET | op::K, op::RET | op::A].contains(&code),
        _ => [op::MISC | op::TAX, op::MISC | op::TXA].contains(&code),
    }
}

/// Whether any `ja` goes back, so that the program may loop.
pub fn has_backward_jump(insns: &[Insn]) -> bool {
    insns.iter().any(|insn| insn.code == op::JMP | op::JA && (insn.k as i32) < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RET: Insn = Insn::stmt(op::RET | op::K, 1);

    #[test]
    fn empty_and_unterminated() {
        assert!(!validate(&[]));
        assert_eq!(check(&[]), Err(InvalidProgram::Empty));
        let open = [Insn::stmt(op::LD | op::IMM, 0)];
        assert!(!validate(&open));
        assert_eq!(check(&open), Err(InvalidProgram::NoReturn));
    }

    #[test]
    fn backward_ja_inside_the_program_only() {
        let back = |k: i32| [RET, Insn::stmt(op::JMP | op::JA, k as u32), RET];
        for (k, valid) in [(-2, true), (-1, true), (-3, false), (0, true), (1, false)] {
            assert_eq!(validate(&back(k)), valid, "{k}");
            assert_eq!(check(&back(k)).is_ok(), valid, "{k}");
            assert_eq!(has_backward_jump(&back(k)), k < 0);
        }
    }

    #[test]
    fn strict_refuses_what_the_lax_one_lets_through() {
        for code in [0x08, 0x0e, 0x100, 0x0a, 0x8c, 0x0d, 0x0f, 0x38, 0x21] {
            let program = [Insn::stmt(code, 0), RET];
            assert!(validate(&program), "{code:x}");
            assert_eq!(check(&program), Err(InvalidProgram::UnknownCode { index: 0, code }));
        }
    }

    /// Whatever the strict one takes, the lax one takes.
    #[test]
    fn strict_implies_lax() {
        for code in 0..=u16::MAX {
            for k in [0, 1, 15, 16, u32::MAX] {
                let program = [Insn::stmt(code, k), RET];
                assert!(check(&program).is_err() || validate(&program), "{code:x} {k}");
            }
        }
    }

    #[test]
    fn there_are_49_known_codes() {
        assert_eq!((0..=u16::MAX).filter(|&code| is_known(code)).count(), 49);
    }
}
