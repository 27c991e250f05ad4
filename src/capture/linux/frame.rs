//! A packet as the kernel handed it over, whichever way it came.

use super::vlan::Tag;

/// Bytes that may be written in front of a frame: a cooked header v2, or a cooked header v1 and
/// a VLAN tag.
pub(super) const HEADROOM: usize = 20;

/// One packet in memory that it may be completed in.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// First byte; [`HEADROOM`] bytes before it may be written.
    pub data: *mut u8,
    /// Bytes stored.
    pub caplen: u32,
    /// Bytes on the wire.
    pub len: u32,
    /// Seconds since the epoch.
    pub sec: i64,
    /// Nanoseconds.
    pub nsec: u32,
    /// The VLAN tag that kernel or adapter took off.
    pub tag: Option<Tag>,
    /// Where it came from.
    pub from: libc::sockaddr_ll,
}

/// A ring slot whose lengths do not fit in it: the kernel's memory is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt {
    /// Offset of the packet in its slot.
    pub mac: u32,
    /// Bytes said to be stored.
    pub caplen: u32,
    /// Bytes the slot has.
    pub room: u32,
}
