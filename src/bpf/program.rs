//! A sequence of instructions.

use super::{Insn, InvalidProgram};

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

    /// The instructions, as a mutable slice: for rewrites before they go to a kernel.
    pub fn insns_mut(&mut self) -> &mut [Insn] {
        &mut self.insns
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether there are no instructions; such a program rejects everything.
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// `bpf_validate`'s verdict: see [`validate`](super::validate).
    pub fn is_valid(&self) -> bool {
        super::validate(&self.insns)
    }

    /// The strict verdict: see [`check`](super::check).
    pub fn check(&self) -> Result<(), InvalidProgram> {
        super::check(&self.insns)
    }
}
