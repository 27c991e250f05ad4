//! What can be asked and the values that go over the pipe.

use crate::wire::{In, Out};

/// Operations; the number is the first byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Request {
    /// `pcap_lib_version`.
    Version,
    /// `pcap_compile` on a dead handle.
    Compile,
    /// `bpf_filter` over packets.
    Filter,
    /// `bpf_validate`.
    Validate,
    /// `bpf_image`.
    Image,
    /// Time `pcap_compile`.
    BenchCompile,
    /// Time `pcap_offline_filter`.
    BenchFilter,
    /// Read a savefile to its end.
    ReadFile,
    /// Time reading a savefile.
    BenchRead,
    /// Time writing a savefile.
    BenchWrite,
    /// Names and descriptions of a DLT.
    Datalink,
    /// Write a savefile.
    WriteFile,
}

impl Request {
    const ALL: [Self; 12] = [
        Self::Version,
        Self::Compile,
        Self::Filter,
        Self::Validate,
        Self::Image,
        Self::BenchCompile,
        Self::BenchFilter,
        Self::ReadFile,
        Self::BenchRead,
        Self::BenchWrite,
        Self::Datalink,
        Self::WriteFile,
    ];

    /// The operation with a number.
    pub fn from_byte(b: u8) -> Option<Self> {
        Self::ALL.get(usize::from(b)).copied()
    }
}

/// A classic BPF instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Skip when true.
    pub jt: u8,
    /// Skip when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Arguments of `pcap_compile`.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// `DLT_` value.
    pub dlt: i32,
    /// Snapshot length of the dead handle.
    pub snaplen: i32,
    /// Netmask as the function takes it (network order); `0xffffffff` is unknown.
    pub netmask: u32,
    /// Run libpcap's optimizer.
    pub optimize: bool,
}

impl CompileOptions {
    /// Ethernet, 262,144 bytes, netmask unknown, optimized.
    pub fn ethernet() -> Self {
        Self { dlt: 1, snaplen: 262_144, netmask: u32::MAX, optimize: true }
    }

    pub(crate) fn put(&self, out: &mut Out) {
        out.i32(self.dlt).i32(self.snaplen).u32(self.netmask).u8(self.optimize.into());
    }

    /// Reads what the other side put.
    pub fn get(m: &mut In) -> Self {
        Self { dlt: m.i32(), snaplen: m.i32(), netmask: m.u32(), optimize: m.u8() != 0 }
    }
}

/// Appends a program to a message.
pub fn put_program(out: &mut Out, program: &[Insn]) {
    out.u32(program.len() as u32);
    for i in program {
        out.u32(u32::from(i.code)).u8(i.jt).u8(i.jf).u32(i.k);
    }
}

/// Reads a program from a message.
pub fn get_program(m: &mut In) -> Vec<Insn> {
    (0..m.u32())
        .map(|_| Insn { code: m.u32() as u16, jt: m.u8(), jf: m.u8(), k: m.u32() })
        .collect()
}

/// One packet of a savefile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePacket {
    /// Seconds.
    pub sec: i64,
    /// Microseconds or nanoseconds.
    pub frac: i64,
    /// Bytes captured.
    pub caplen: u32,
    /// Bytes on the wire.
    pub len: u32,
    /// The captured bytes.
    pub data: Vec<u8>,
}

/// How a savefile is to be written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// `DLT_` value.
    pub dlt: i32,
    /// Snapshot length.
    pub snaplen: i32,
    /// Nanoseconds instead of microseconds.
    pub nano: bool,
    /// Append to the file.
    pub append: bool,
}

/// A savefile as libpcap reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileContents {
    /// `pcap_datalink`.
    pub dlt: i32,
    /// `pcap_datalink_ext`.
    pub dlt_ext: i32,
    /// `pcap_snapshot`.
    pub snaplen: i32,
    /// `pcap_is_swapped`.
    pub swapped: bool,
    /// `pcap_major_version` and `pcap_minor_version`.
    pub version: (i32, i32),
    /// Packets up to the end or the error.
    pub packets: Vec<FilePacket>,
    /// Error text that ended reading, empty at a proper end.
    pub error: String,
}
