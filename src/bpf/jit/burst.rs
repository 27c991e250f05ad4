//! Bursts of packets, and code that runs a program over a whole burst.

use super::super::Insn;
use super::code_buffer::CodeBuffer;
use super::{Form, generate};

/// Packets that lie anywhere: their addresses and lengths, in two arrays of one length.
#[derive(Clone, Copy, Debug)]
pub struct Burst<'a> {
    packets: &'a [*const u8],
    lens: &'a [u32],
}

impl<'a> Burst<'a> {
    /// Packets by address and length.
    ///
    /// # Panics
    /// When the arrays differ in length.
    ///
    /// # Safety
    /// Packet `i` is NULL, which is an empty packet, or has `lens[i]` bytes for `'a`.
    pub unsafe fn new(packets: &'a [*const u8], lens: &'a [u32]) -> Self {
        assert_eq!(packets.len(), lens.len());
        Self { packets, lens }
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.packets.iter().zip(self.lens).map(|(&packet, &len)| {
            if packet.is_null() {
                return &[] as &[u8];
            }
            // SAFETY: as `new` was promised.
            unsafe { std::slice::from_raw_parts(packet, len as usize) }
        })
    }

    /// The packets in bursts of up to 64.
    pub(in crate::bpf) fn chunks(self) -> impl Iterator<Item = Self> {
        let chunks = self.packets.chunks(64).zip(self.lens.chunks(64));
        chunks.map(|(packets, lens)| Self { packets, lens })
    }
}

/// A program as a loop over packets.
#[derive(Debug)]
pub(in crate::bpf) struct BurstCode {
    buffer: CodeBuffer,
}

/// The generated function: addresses, lengths, how many (1 to 64). Bit n of the result means that
/// packet n is accepted.
#[cfg(target_arch = "x86_64")]
type Entry = unsafe extern "sysv64" fn(*const *const u8, *const u32, usize) -> u64;
#[cfg(not(target_arch = "x86_64"))]
type Entry = unsafe extern "C" fn(*const *const u8, *const u32, usize) -> u64;

impl BurstCode {
    /// As [`Code::compile`](super::Code::compile).
    pub(in crate::bpf) fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Burst)? })
    }

    /// Runs the program on the first 64 packets, without ancillary data.
    #[inline]
    pub(in crate::bpf) fn run(&self, burst: Burst<'_>) -> u64 {
        let count = burst.len().min(64);
        if count == 0 {
            return 0;
        }
        // SAFETY: the buffer holds a function of this type, made by `assemble`; it reads `count`
        // addresses and lengths and no more of a packet than its length.
        unsafe {
            let entry: Entry = std::mem::transmute(self.buffer.start());
            entry(burst.packets.as_ptr(), burst.lens.as_ptr(), count)
        }
    }
}
