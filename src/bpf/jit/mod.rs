//! Native code for programs.
//!
//! [`Code`] is the seam: what makes the bytes (one file per architecture) knows nothing of the
//! memory they run in, and the other way round.

mod burst;
#[cfg(target_arch = "x86_64")]
mod byte_order;
mod code_buffer;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use burst::Burst;
pub(super) use burst::BurstCode;

use super::analysis::Analysis;
use super::{Aux, Insn};
use code_buffer::CodeBuffer;
use std::sync::OnceLock;

/// A program as native code.
#[derive(Debug)]
pub(super) struct Code {
    buffer: CodeBuffer,
}

/// The generated function: packet, bytes present (below 2^32), bytes on the wire, ancillary data.
#[cfg(target_arch = "x86_64")]
type Entry = unsafe extern "sysv64" fn(*const u8, usize, u32, *const Aux) -> u32;
#[cfg(not(target_arch = "x86_64"))]
type Entry = unsafe extern "C" fn(*const u8, usize, u32, *const Aux) -> u32;

impl Code {
    /// Compiles a strictly valid program; `None` where this machine has no code generator, the
    /// system refuses executable memory, or the user switched it off.
    pub(super) fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Single)? })
    }

    /// Runs the program: see [`interpret`](super::interpret).
    #[inline]
    pub(super) fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        let present = packet.len().min(u32::MAX as usize);
        // SAFETY: the buffer holds a function of this type, made by `assemble`; it is leaf code
        // that reads `present` bytes of the packet and `aux`, and writes to its red zone only.
        unsafe {
            let entry: Entry = std::mem::transmute(self.buffer.start());
            entry(packet.as_ptr(), present, wirelen, aux)
        }
    }
}

/// A program as native code that runs only as long as the program stays what it was.
///
/// It compares each instruction with the caller's before it does what the instruction said: just
/// those on the path that it takes, so that long programs cost no more than what they execute.
#[derive(Debug)]
pub(super) struct GuardedCode {
    buffer: CodeBuffer,
    len: usize,
}

/// The generated function; the last argument is the program as it is now. Bit 32 of the result
/// means that it has changed.
#[cfg(target_arch = "x86_64")]
type GuardedEntry = unsafe extern "sysv64" fn(*const u8, usize, u32, *const Insn) -> u64;
#[cfg(not(target_arch = "x86_64"))]
type GuardedEntry = unsafe extern "C" fn(*const u8, usize, u32, *const Insn) -> u64;

impl GuardedCode {
    /// As [`Code::compile`].
    pub(super) fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Guarded)?, len: insns.len() })
    }

    /// Runs the program that `insns` are now, without ancillary data, on a packet; `None` when it
    /// is not the one that was compiled.
    #[inline]
    pub(super) fn run(&self, insns: &[Insn], packet: &[u8], wirelen: u32) -> Option<u32> {
        if insns.len() != self.len {
            return None;
        }
        let present = packet.len().min(u32::MAX as usize);
        // SAFETY: as in `Code::run`; it reads no more than `len` instructions.
        let result = unsafe {
            let entry: GuardedEntry = std::mem::transmute(self.buffer.start());
            entry(packet.as_ptr(), present, wirelen, insns.as_ptr())
        };
        u32::try_from(result).ok()
    }
}

/// What function is generated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For one packet: [`Code`].
    Single,
    /// For one packet, as long as the program has not changed: [`GuardedCode`].
    Guarded,
    /// For many packets: [`BurstCode`].
    Burst,
}

fn generate(insns: &[Insn], form: Form) -> Option<CodeBuffer> {
    if !enabled() {
        return None;
    }
    let bytes = assemble(insns, &Analysis::new(insns), form)?;
    CodeBuffer::new(&bytes).ok()
}

#[cfg(target_arch = "x86_64")]
fn assemble(insns: &[Insn], analysis: &Analysis, form: Form) -> Option<Vec<u8>> {
    x86_64::assemble(insns, analysis, form)
}

#[cfg(not(target_arch = "x86_64"))]
fn assemble(_: &[Insn], _: &Analysis, _: Form) -> Option<Vec<u8>> {
    None
}

/// Whether code may be generated: `PCAPX_JIT=off` in the environment, looked at once, forbids it.
fn enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| std::env::var_os("PCAPX_JIT").is_none_or(|value| value != "off"))
}
