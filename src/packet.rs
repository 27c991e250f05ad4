//! What a captured packet is.

use crate::timestamp::Timestamp;

/// The header that goes with a packet, libpcap's `struct pcap_pkthdr` in Rust's types.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketHeader {
    /// When the packet was captured.
    pub ts: Timestamp,
    /// Bytes present in the capture.
    pub caplen: u32,
    /// Bytes the packet had on the wire.
    pub len: u32,
}

/// A packet whose bytes are borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Header for the packet.
    pub header: PacketHeader,
    /// `header.caplen` bytes.
    pub data: &'a [u8],
}

impl From<Packet<'_>> for RawPacket {
    fn from(packet: Packet<'_>) -> Self {
        Self { header: packet.header, data: packet.data.as_ptr() }
    }
}

/// A packet in memory that someone else owns.
///
/// A raw pointer, not a slice: it crosses user callbacks, which may close the handle or
/// `longjmp` away, so no borrow may be alive there. It is valid until the next read on the
/// handle it came from.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RawPacket {
    /// Header for the packet.
    pub header: PacketHeader,
    /// First of `header.caplen` bytes.
    pub data: *const u8,
}

impl RawPacket {
    /// No packet.
    pub const NONE: Self = Self {
        header: PacketHeader { ts: Timestamp { sec: 0, frac: 0 }, caplen: 0, len: 0 },
        data: std::ptr::null(),
    };
}
