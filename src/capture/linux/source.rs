//! The ways packets come from a packet socket.

use super::frame::{Corrupt, Frame, Frames, HEADROOM};
use super::ring::{BlockRing, FrameRing};
use crate::sys::packet::PacketSocket;
use crate::sys::recv_batch::Batch;
use std::io;
use std::os::fd::AsFd;

/// Bytes of buffers in a [`Queue`], and the most packets it takes at once.
const QUEUE_BYTES: usize = 4 << 20;
const QUEUE_PACKETS: usize = 64;

/// Packets received by recvmmsg(2), where there is no ring.
pub(super) struct Queue {
    batch: Batch,
    /// Packets of the batch: taken, received.
    next: usize,
    end: usize,
    taken: u64,
}

impl Queue {
    /// Takes up to `snaplen` bytes of every packet.
    pub fn new(snaplen: u32) -> Self {
        let capacity = snaplen as usize;
        let count = (QUEUE_BYTES / (capacity + HEADROOM)).clamp(1, QUEUE_PACKETS);
        Self { batch: Batch::new(count, capacity, HEADROOM), next: 0, end: 0, taken: 0 }
    }

    fn ready(&mut self, socket: &PacketSocket) -> io::Result<bool> {
        if self.next == self.end {
            (self.next, self.end) = (0, 0);
            self.end = match self.batch.receive(socket.as_fd()) {
                Ok(count) => count,
                Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => 0,
                Err(e) => return Err(e),
            };
        }
        Ok(self.next < self.end)
    }
}

impl Frames for Queue {
    #[inline]
    fn next(&mut self) -> Result<Option<Frame>, Corrupt> {
        if self.next == self.end {
            return Ok(None);
        }
        let message = self.batch.message(self.next);
        self.next += 1;
        self.taken += 1;
        let vlan = message.aux.map(|a| (a.tp_status, a.tp_vlan_tci, a.tp_vlan_tpid));
        Ok(Some(Frame {
            data: message.data,
            caplen: message.caplen,
            len: message.len,
            sec: message.time.0,
            nsec: message.time.1 as u32,
            vlan: vlan.unwrap_or_default(),
            from: message.from,
        }))
    }

    #[inline]
    fn unit(&self) -> u64 {
        self.taken
    }

    fn mark(&self) -> u64 {
        self.next as u64
    }

    fn go_back(&mut self, mark: u64) {
        self.taken -= self.next as u64 - mark;
        self.next = mark as usize;
    }
}

/// Where packets come from.
pub(super) enum Source {
    /// TPACKET_V3.
    Blocks(BlockRing),
    /// TPACKET_V2.
    Frames(FrameRing),
    /// No ring.
    Queue(Queue),
}

impl Source {
    /// Whether a packet can be taken.
    ///
    /// # Errors
    /// What receiving failed with.
    pub fn ready(&mut self, socket: &PacketSocket) -> io::Result<bool> {
        match self {
            Self::Blocks(ring) => Ok(ring.ready()),
            Self::Frames(ring) => Ok(ring.ready()),
            Self::Queue(queue) => queue.ready(socket),
        }
    }

    /// Gives the kernel back what was used up.
    pub fn release(&mut self) {
        match self {
            Self::Blocks(ring) => ring.release(),
            Self::Frames(ring) => ring.release(),
            Self::Queue(_) => {}
        }
    }

    /// Whether [`Source::release`] would invalidate the packet taken last and should be called
    /// for the descriptor's readiness to be true.
    pub fn last_is_held(&self) -> bool {
        match self {
            Self::Blocks(ring) => ring.exhausted(),
            Self::Frames(_) => true,
            Self::Queue(_) => false,
        }
    }

    /// Number of the last unit that may hold packets from before this call, given that the
    /// kernel lets none in now.
    pub fn last_stale_unit(&self) -> u64 {
        // Packets that passed the old filter may be under way to the ring on any processor.
        const UNDER_WAY: u64 = 64;
        match self {
            // The block that is being filled, and one more should it be full just now.
            Self::Blocks(ring) => ring.unit() + ring.backlog() + 2,
            Self::Frames(ring) => ring.unit() + ring.backlog() + UNDER_WAY,
            Self::Queue(queue) => queue.taken + (queue.end - queue.next) as u64 + UNDER_WAY,
        }
    }
}
