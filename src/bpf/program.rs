//! A sequence of instructions.

use super::Insn;

/// A classic BPF program as a compiler made it or a caller handed it in.
///
/// Not necessarily valid: [`Program::from_insns`] takes anything; what must only see valid
/// programs (JIT, kernel) validates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Program {
    insns: Box<[Insn]>,
}

impl Program {
    /// Takes instructions as they are.
    pub fn from_insns(insns: impl Into<Box<[Insn]>>) -> Self {
        Self { insns: insns.into() }
    }

    /// The instructions.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }
}
