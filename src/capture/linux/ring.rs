//! Walking the rings a packet socket shares with the kernel.
//!
//! A slot (a block of TPACKET_V3, a frame of TPACKET_V2) belongs to whom its status word says.
//! The kernel writes a slot's contents, then sets `TP_STATUS_USER` behind a write barrier
//! (net/packet/af_packet.c: `prb_close_block` and `__packet_set_status`): our load of the word is
//! an acquire. It reads what we did with the slot after it has seen the word we stored when we
//! gave the slot back: that store is a release.

use super::cooked;
use super::frame::{Corrupt, Frame, Frames, HEADROOM};
use super::kernel_filter::Cooked;
use super::vlan::{TAG_LEN, Tag};
use crate::packet::RawPacket;
use crate::sys::packet::RingShape;
use crate::sys::prefetch::prefetch;
use crate::sys::ring_mem::RingMem;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the address of a packet lies behind its header.
const V3_ADDR: usize = libc::TPACKET3_HDRLEN - size_of::<libc::sockaddr_ll>();
const V2_ADDR: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
/// Offset of a block's own header.
const BLOCK_HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);

const _: () = assert!(size_of::<libc::tpacket3_hdr>() == 48 && V3_ADDR == 48);
const _: () = assert!(size_of::<libc::tpacket2_hdr>() == 32 && V2_ADDR == 32);
const _: () = assert!(size_of::<libc::tpacket_block_desc>() == 48 && BLOCK_HEADER == 8);
const _: () = assert!(offset_of!(libc::tpacket_hdr_v1, block_status) == 0);
const _: () = assert!(offset_of!(libc::tpacket2_hdr, tp_status) == 0);

/// The status word at `offset`, which must be aligned and inside `mem`.
fn status(mem: &RingMem, offset: usize) -> &AtomicU32 {
    debug_assert!(offset.is_multiple_of(4) && offset + 4 <= mem.len());
    // SAFETY: inside the mapping, aligned, and only ever accessed as an atomic by us.
    unsafe { AtomicU32::from_ptr(mem.base().add(offset).cast()) }
}

/// What a packet's header says of its place in a slot of `room` bytes: the packet's offset, if
/// all of it lies in the slot behind header and address.
#[inline(always)]
fn place(mac: u16, caplen: u32, behind: usize, room: usize) -> Result<usize, Corrupt> {
    let mac = usize::from(mac);
    let fits = mac >= behind && mac >= HEADROOM && mac + caplen as usize <= room;
    let corrupt = Corrupt { mac: mac as u32, caplen, room: room as u32 };
    if fits { Ok(mac) } else { Err(corrupt) }
}

/// How far ahead of a packet memory is asked for, bytes: what it takes to come from there.
const AHEAD: usize = 3072;
/// How much of a packet ahead is asked for, bytes: what readers look at first.
const HEADERS: usize = 256;

/// Asks for the first `len` bytes at a slot some way ahead; it need not be in the ring.
#[inline(always)]
fn prefetch_slot(slot: *mut u8, len: usize) {
    const LINE: usize = 64;
    for at in (0..len.min(HEADERS)).step_by(LINE) {
        prefetch(slot.wrapping_add(at));
    }
}

/// A TPACKET_V3 ring: blocks of many packets.
pub(super) struct BlockRing {
    mem: RingMem,
    block_size: usize,
    blocks: usize,
    /// The block at hand, or the one that comes next.
    at: usize,
    /// Whether block `at` is ours to walk and not yet given back.
    held: bool,
    /// Packets of it not yet taken.
    left: u32,
    /// Offset of the next one in it.
    next: usize,
    /// Blocks taken so far.
    taken: u64,
}

impl BlockRing {
    /// `mem` must be the mapped ring of the given shape.
    pub fn new(mem: RingMem, shape: &RingShape) -> Self {
        debug_assert_eq!(mem.len(), shape.size());
        let (block_size, blocks) = (shape.block_size as usize, shape.blocks as usize);
        Self { mem, block_size, blocks, at: 0, held: false, left: 0, next: 0, taken: 0 }
    }

    fn status(&self, block: usize) -> &AtomicU32 {
        let word = BLOCK_HEADER + offset_of!(libc::tpacket_hdr_v1, block_status);
        status(&self.mem, block * self.block_size + word)
    }

    fn is_ours(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Whether a packet can be taken; moves on to the next block when one is used up.
    pub fn ready(&mut self) -> bool {
        while self.left == 0 {
            self.release();
            if !self.is_ours(self.at) {
                return false;
            }
            // SAFETY: the block is ours and its header lies inside the mapping.
            let header = unsafe {
                let at = self.mem.base().add(self.at * self.block_size + BLOCK_HEADER);
                at.cast::<libc::tpacket_hdr_v1>().read()
            };
            self.held = true;
            self.left = header.num_pkts;
            self.next = header.offset_to_first_pkt as usize;
            self.taken += 1;
        }
        true
    }

    /// Gives the block at hand back, if nothing is left in it.
    pub fn release(&mut self) {
        if self.held && self.left == 0 {
            self.status(self.at).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.at = if self.at + 1 == self.blocks { 0 } else { self.at + 1 };
            self.held = false;
        }
    }

    /// Leaves the rest of a block that makes no sense.
    #[cold]
    fn give_up(&mut self, corrupt: Corrupt) -> Result<Option<Frame>, Corrupt> {
        self.left = 0;
        Err(corrupt)
    }

    /// Full blocks that wait behind the one at hand.
    pub fn backlog(&self) -> u64 {
        let behind = usize::from(self.held);
        let block = |n: usize| (self.at + behind + n) % self.blocks;
        (0..self.blocks - behind).take_while(|&n| self.is_ours(block(n))).count() as u64
    }

    /// Whether the packet taken last is the last of its block: until the block is released the
    /// descriptor stays readable.
    pub fn exhausted(&self) -> bool {
        self.left == 0
    }
}

impl Frames for BlockRing {
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Frame>, Corrupt> {
        if self.left == 0 {
            return Ok(None);
        }
        let rest = self.block_size.saturating_sub(self.next);
        if rest < libc::TPACKET3_HDRLEN
            || !self.next.is_multiple_of(align_of::<libc::tpacket3_hdr>())
        {
            return self.give_up(Corrupt { mac: self.next as u32, caplen: 0, room: rest as u32 });
        }
        // SAFETY: header and address lie inside the block, which is ours, and are aligned.
        let (slot, header, from) = unsafe {
            let slot = self.mem.base().add(self.at * self.block_size + self.next);
            (slot, &*slot.cast::<libc::tpacket3_hdr>(), slot.add(V3_ADDR).cast())
        };
        let mac = match place(header.tp_mac, header.tp_snaplen, libc::TPACKET3_HDRLEN, rest) {
            Ok(mac) => mac,
            Err(corrupt) => return self.give_up(corrupt),
        };
        // As if the packets ahead were as long as this one.
        prefetch_slot(slot.wrapping_add(AHEAD), header.tp_next_offset as usize);
        self.left -= 1;
        self.next = self.next.saturating_add(header.tp_next_offset as usize);
        Ok(Some(Frame {
            // SAFETY: `place` checked that it lies inside the block.
            data: unsafe { slot.add(mac) },
            caplen: header.tp_snaplen,
            len: header.tp_len,
            sec: header.tp_sec.into(),
            nsec: header.tp_nsec,
            vlan: (header.tp_status, header.hv1.tp_vlan_tci as u16, header.hv1.tp_vlan_tpid),
            from,
        }))
    }

    #[inline]
    fn unit(&self) -> u64 {
        self.taken
    }

    #[inline]
    fn mark(&self) -> u64 {
        // Blocks are smaller than 4 GiB; what is further off is refused by `next` anyway.
        (self.next.min(u32::MAX as usize) as u64) << 32 | u64::from(self.left)
    }

    fn go_back(&mut self, mark: u64) {
        (self.next, self.left) = ((mark >> 32) as usize, mark as u32);
    }
}

/// Most frames of a TPACKET_V2 ring to take before they are given back. Also no more than a
/// sixteenth of the ring, so that slow callbacks leave the rest to the kernel.
const MOST_FRAMES: usize = 8;

/// A TPACKET_V2 ring: a frame for each packet.
pub(super) struct FrameRing {
    mem: RingMem,
    block_size: usize,
    frame_size: usize,
    per_block: usize,
    frames: usize,
    /// The frame that comes next, and where it lies.
    at: usize,
    offset: usize,
    /// Frames before it that are not given back yet, and how many these may be.
    held: usize,
    most: usize,
    /// Offset, from a frame, of the one to ask for.
    ahead: usize,
    taken: u64,
}

impl FrameRing {
    /// `mem` must be the mapped ring of the given shape.
    pub fn new(mem: RingMem, shape: &RingShape) -> Self {
        debug_assert_eq!(mem.len(), shape.size());
        Self {
            mem,
            block_size: shape.block_size as usize,
            frame_size: shape.frame_size as usize,
            per_block: (shape.frames / shape.blocks) as usize,
            frames: shape.frames as usize,
            at: 0,
            offset: 0,
            held: 0,
            ahead: AHEAD.next_multiple_of(shape.frame_size as usize),
            most: (shape.frames as usize / 16).clamp(1, MOST_FRAMES),
            taken: 0,
        }
    }

    fn offset_of(&self, frame: usize) -> usize {
        // Blocks may have a gap behind their last frame.
        frame / self.per_block * self.block_size + frame % self.per_block * self.frame_size
    }

    /// The frame behind one, and where it lies.
    #[inline]
    fn behind(&self, at: usize, offset: usize) -> (usize, usize) {
        let at = if at + 1 == self.frames { 0 } else { at + 1 };
        // Blocks are a power of two; divisions only where one ends.
        let in_block = (offset & (self.block_size - 1)) + self.frame_size;
        match at {
            0 => (0, 0),
            _ if in_block + self.frame_size <= self.block_size => (at, offset + self.frame_size),
            _ => (at, self.offset_of(at)),
        }
    }

    /// The frame `count` places before the next one.
    fn before(&self, count: usize) -> usize {
        (self.at + self.frames - count) % self.frames
    }

    #[inline]
    fn is_ours(&self, offset: usize) -> bool {
        status(&self.mem, offset).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Whether a packet can be taken.
    pub fn ready(&mut self) -> bool {
        self.release();
        self.is_ours(self.offset)
    }

    /// Gives the frames taken back.
    pub fn release(&mut self) {
        if self.held == 0 {
            return;
        }
        let first = self.before(self.held);
        let (mut at, mut offset) = (first, self.offset_of(first));
        for _ in 0..self.held {
            status(&self.mem, offset).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            (at, offset) = self.behind(at, offset);
        }
        self.held = 0;
    }

    /// Packets that wait, those taken and not yet given back aside.
    pub fn backlog(&self) -> u64 {
        let frame = |n: usize| (self.at + n) % self.frames;
        // All of them, not only those without a gap: processors finish frames in any order.
        let waiting = 0..self.frames - self.held;
        let last = waiting.into_iter().rposition(|n| self.is_ours(self.offset_of(frame(n))));
        last.map_or(0, |n| n as u64 + 1)
    }
}

impl Frames for FrameRing {
    fn begin(&mut self) {
        self.release();
    }

    #[inline(always)]
    fn next(&mut self) -> Result<Option<Frame>, Corrupt> {
        if self.held == self.most || !self.is_ours(self.offset) {
            return Ok(None);
        }
        // SAFETY: the frame is ours; header and address lie inside every frame, aligned.
        let (slot, header, from) = unsafe {
            let slot = self.mem.base().add(self.offset);
            (slot, &*slot.cast::<libc::tpacket2_hdr>(), slot.add(V2_ADDR).cast())
        };
        prefetch_slot(slot.wrapping_add(self.ahead), self.frame_size);
        (self.at, self.offset) = self.behind(self.at, self.offset);
        self.held += 1;
        self.taken += 1;
        let mac = place(header.tp_mac, header.tp_snaplen, libc::TPACKET2_HDRLEN, self.frame_size)?;
        Ok(Some(Frame {
            // SAFETY: `place` checked that it lies inside the frame.
            data: unsafe { slot.add(mac) },
            caplen: header.tp_snaplen,
            len: header.tp_len,
            sec: header.tp_sec.into(),
            nsec: header.tp_nsec,
            vlan: (header.tp_status, header.tp_vlan_tci, header.tp_vlan_tpid),
            from,
        }))
    }

    #[inline]
    fn unit(&self) -> u64 {
        self.taken
    }

    #[inline]
    fn mark(&self) -> u64 {
        self.held as u64
    }

    fn go_back(&mut self, mark: u64) {
        let count = self.held - mark as usize;
        self.at = self.before(count);
        self.offset = self.offset_of(self.at);
        self.held -= count;
        self.taken -= count as u64;
    }
}

/// Where a frame came from.
#[inline(always)]
pub(super) fn from(frame: &Frame) -> &libc::sockaddr_ll {
    // SAFETY: valid and aligned as long as the packet, says whoever made the frame; nothing
    // writes to it.
    unsafe { &*frame.from }
}

/// The `len` bytes at `data`: a packet taken from a [`Source`](super::source::Source) and not
/// yet given back, perhaps with a header put in front.
pub(super) fn bytes<'a>(data: *const u8, len: u32) -> &'a [u8] {
    // SAFETY: the source checked that the packet lies in its memory, which the kernel does not
    // write to before the packet is given back; callers drop the slice before that.
    unsafe { std::slice::from_raw_parts(data, len as usize) }
}

/// The bytes of a frame just taken, to be changed: of its memory, not of the value `frame`.
#[allow(clippy::mut_from_ref)]
pub(super) fn bytes_mut(frame: &Frame) -> &mut [u8] {
    // SAFETY: as in `bytes`; no other reference to the packet is alive while it is completed.
    unsafe { std::slice::from_raw_parts_mut(frame.data, frame.caplen as usize) }
}

/// Puts a cooked header in front of a packet; where it now begins.
#[inline]
pub(super) fn prepend_cooked(frame: &Frame, cooked: Cooked) -> *mut u8 {
    let len = cooked::header_len(cooked);
    debug_assert!(len <= HEADROOM);
    // SAFETY: HEADROOM bytes in front of every frame may be written.
    unsafe {
        let to = frame.data.sub(len);
        match cooked {
            Cooked::No => {}
            Cooked::V1 => to.cast::<[u8; cooked::V1_LEN]>().write(cooked::v1(from(frame))),
            Cooked::V2 => {
                let (place, kind, address) = cooked::v2(from(frame));
                to.cast::<[u8; 8]>().write(place);
                to.add(8).cast::<[u8; 4]>().write(kind);
                to.add(12).cast::<[u8; 8]>().write(address);
            }
        }
        to
    }
}

/// Puts a VLAN tag back at byte `at` of a packet that has as many, moving what is before it
/// towards the front; where the packet now begins.
pub(super) fn insert_tag(data: *mut u8, at: usize, tag: Tag) -> *mut u8 {
    let len = tag.bytes().len();
    // SAFETY: a cooked header of up to 16 bytes or none stands in front of the frame, so that at
    // least 4 of its HEADROOM bytes are left; `at` bytes of the packet exist.
    unsafe {
        let to = data.sub(len);
        std::ptr::copy(data, to, at);
        to.add(at).cast::<[u8; 4]>().write(tag.bytes());
        to
    }
}

/// Undoes [`insert_tag`] on a frame that got a header of `header` bytes and then a tag.
pub(super) fn remove_tag(frame: &Frame, header: usize, at: usize) {
    debug_assert!(header + TAG_LEN as usize <= HEADROOM);
    // SAFETY: as in `insert_tag`, which has moved these bytes.
    unsafe {
        let data = frame.data.sub(header);
        std::ptr::copy(data.sub(TAG_LEN as usize), data, at);
    }
}

/// Copies a packet to `room`, cut to what there is; where it is now.
pub(super) fn copy_out(packet: &RawPacket, room: &mut [u8]) -> *const u8 {
    let len = room.len().min(packet.header.caplen as usize);
    room[..len].copy_from_slice(bytes(packet.data, len as u32));
    room.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        assert_eq!(place(82, 100, 68, 182), Ok(82));
        assert!(place(82, 101, 68, 182).is_err());
        assert!(place(10, 4, 68, 182).is_err());
        assert!(place(u16::MAX, u32::MAX, 68, 182).is_err());
    }
}
