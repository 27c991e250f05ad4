//! Native code for programs.
//!
//! [`Code`] is the seam: what makes the bytes (one file per architecture) knows nothing of the
//! memory they run in, and the other way round.

mod burst;
#[cfg(target_arch = "x86_64")]
mod byte_order;
mod code_buffer;
mod guarded;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod thread_table;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(super) use burst::BurstCode;
pub use guarded::{Call, OwnedHeader, OwnedProgram, Run, run_known};
pub(super) use guarded::{compile, count, is_native, run_slices};

/// What a caller must know that looks into the thread's table itself.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub mod front {
    pub use super::thread_table::{ENTRY, INTERPRETED, KEY, OTHERS, PAIRS_MASK, SLOT};
}

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

/// What function is generated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For one packet: [`Code`].
    Single,
    /// For one packet, as long as the program has not changed: `guarded::GuardedCode`.
    Guarded,
    /// For many packets: [`BurstCode`].
    Burst,
}

fn generate(insns: &[Insn], form: Form) -> Option<CodeBuffer> {
    if setting() == Setting::Off {
        return None;
    }
    let bytes = assemble(insns, &Analysis::new(insns), form)?;
    CodeBuffer::new(&bytes).ok()
}

/// How far from the start of [`Form::Guarded`] its entry is.
const ENTRY_OFFSET: usize = 32;

#[cfg(target_arch = "x86_64")]
fn assemble(insns: &[Insn], analysis: &Analysis, form: Form) -> Option<Vec<u8>> {
    x86_64::assemble(insns, analysis, form)
}

#[cfg(not(target_arch = "x86_64"))]
fn assemble(_: &[Insn], _: &Analysis, _: Form) -> Option<Vec<u8>> {
    None
}

/// What `PCAPX_JIT` in the environment says of generated code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// For this processor.
    On,
    /// `plain`: without what only some processors of the architecture have.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Plain,
    /// `off`: none.
    Off,
}

/// It is looked at once.
fn setting() -> Setting {
    static SETTING: OnceLock<Setting> = OnceLock::new();
    *SETTING.get_or_init(|| match std::env::var_os("PCAPX_JIT") {
        Some(value) if value == "off" => Setting::Off,
        Some(value) if value == "plain" => Setting::Plain,
        _ => Setting::On,
    })
}
