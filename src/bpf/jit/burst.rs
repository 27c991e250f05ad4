//! Code that runs a program over a whole burst.

use super::super::Insn;
use super::code_buffer::CodeBuffer;
use super::{Form, generate};
use crate::sys::burst::Burst;

/// A program as a loop over packets.
#[derive(Debug)]
pub(in crate::bpf) struct BurstCode {
    buffer: CodeBuffer,
}

/// What a burst's packets come to: in rax and rdx, on x86-64.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(in crate::bpf) struct Accepted {
    /// Bit n means that packet n is accepted.
    pub bits: u64,
    /// How many are.
    pub count: u64,
}

/// The generated function: addresses, lengths, how many (1 to 64).
#[cfg(target_arch = "x86_64")]
type Entry = unsafe extern "sysv64" fn(*const *const u8, *const u32, usize) -> Accepted;
#[cfg(not(target_arch = "x86_64"))]
type Entry = unsafe extern "C" fn(*const *const u8, *const u32, usize) -> Accepted;

impl BurstCode {
    /// As [`Code::compile`](super::Code::compile).
    pub(in crate::bpf) fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Burst)? })
    }

    /// Runs the program on the first 64 packets, without ancillary data.
    #[inline]
    pub(in crate::bpf) fn run(&self, burst: Burst<'_>) -> Accepted {
        let count = burst.len().min(64);
        if count == 0 {
            return Accepted { bits: 0, count: 0 };
        }
        // SAFETY: the buffer holds a function of this type, made by `assemble`; it reads `count`
        // addresses and lengths and no more of a packet than its length.
        unsafe {
            let entry: Entry = std::mem::transmute(self.buffer.start());
            entry(burst.packets().as_ptr(), burst.lens().as_ptr(), count)
        }
    }
}
