//! Packets taken from a source ahead of the callbacks they are for.

use crate::packet::RawPacket;

/// Packets that lie ready for a handle's reader, in the memory of their source.
///
/// A loop takes one after the other without entering the layers below. Whatever changes which
/// packets are shown, or how, must put back those that were not handed out yet
/// ([`Handle::put_back`](super::Handle::put_back)).
pub struct Batch {
    first: *const RawPacket,
    next: usize,
    end: usize,
}

impl Batch {
    /// No packets.
    pub const EMPTY: Self = Self { first: std::ptr::null(), next: 0, end: 0 };

    /// Whether all packets were handed out.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.next >= self.end
    }

    /// How many packets of the present filling were handed out.
    pub fn handed_out(&self) -> usize {
        self.next
    }

    /// Hands out the next packet, which may be read until its source is used again. Does not panic.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<*const RawPacket> {
        if self.is_empty() {
            return None;
        }
        let packet = self.first.wrapping_add(self.next);
        self.next += 1;
        Some(packet)
    }

    /// Forgets all packets, those that were handed out, too.
    pub fn clear(&mut self) {
        *self = Self::EMPTY;
    }

    /// Other packets, of which none was handed out. Whether there are any.
    #[inline]
    pub fn fill(&mut self, packets: &[RawPacket]) -> bool {
        *self = Self { first: packets.as_ptr(), next: 0, end: packets.len() };
        !packets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_in_order() {
        let packets = [RawPacket::NONE; 3];
        let mut batch = Batch::EMPTY;
        assert!(batch.pop().is_none() && batch.is_empty());
        assert!(batch.fill(&packets));
        assert_eq!(batch.pop(), Some(&raw const packets[0]));
        assert_eq!(batch.pop(), Some(&raw const packets[1]));
        assert_eq!((batch.handed_out(), batch.is_empty()), (2, false));
        assert_eq!(batch.pop(), Some(&raw const packets[2]));
        assert!(batch.is_empty() && batch.pop().is_none());
        assert_eq!(batch.handed_out(), 3);
        batch.clear();
        assert_eq!(batch.handed_out(), 0);
        assert!(!batch.fill(&[]));
    }
}
