//! A packet as the kernel handed it over, whichever way it came.

use super::vlan::Tag;

/// Bytes that may be written in front of a frame: a cooked header v2, or a cooked header v1 and
/// a VLAN tag.
pub(super) const HEADROOM: usize = 20;

/// One packet in memory that it may be completed in. Small, and read no further than needed: one
/// is made for every packet.
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
    /// Status bits, and VLAN tag and protocol identifier that kernel or adapter took off.
    pub vlan: (u32, u16, u16),
    /// Where it came from; valid and aligned as long as the packet, see [`super::ring::from`].
    pub from: *const libc::sockaddr_ll,
}

impl Frame {
    /// The VLAN tag that was taken off.
    #[inline]
    pub fn tag(&self) -> Option<Tag> {
        let (status, tci, tpid) = self.vlan;
        Tag::from_kernel(status, tci, tpid)
    }
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

/// What gives frames.
pub(super) trait Frames {
    /// Called before frames are taken anew: those taken before are no longer needed.
    fn begin(&mut self) {}
    /// The next one; `None` when frames must be begun anew, or the source asked if it is ready.
    fn next(&mut self) -> Result<Option<Frame>, Corrupt>;
    /// Number of the unit the frame taken last came in: a block of many packets, or a packet.
    fn unit(&self) -> u64;
    /// Where the next frame is, for [`Frames::go_back`].
    fn mark(&self) -> u64;
    /// Goes back to a mark made since [`Frames::begin`].
    fn go_back(&mut self, mark: u64);
}
