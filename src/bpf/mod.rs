//! The classic BPF machine. Knows nothing of the filter language.

mod insn;
mod program;

pub use insn::{Insn, op};
pub use program::Program;
