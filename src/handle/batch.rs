//! Packets taken from a source ahead of the callbacks they are for.

use crate::packet::RawPacket;

/// Packets that lie ready for a handle's reader, the next one at `next`.
///
/// A loop takes one after the other without entering the layers below. Whatever changes which
/// packets are shown, or how, must put back those that were not handed out yet
/// ([`Handle::put_back`](super::Handle::put_back)).
pub struct Batch {
    packets: [RawPacket; Self::CAPACITY],
    next: usize,
    end: usize,
}

impl Batch {
    /// Most packets at once: few enough to be at hand in the first-level cache.
    pub const CAPACITY: usize = 64;

    /// No packets.
    pub const EMPTY: Self = Self { packets: [RawPacket::NONE; Self::CAPACITY], next: 0, end: 0 };

    /// Whether all packets were handed out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.next >= self.end
    }

    /// How many packets of the present filling were handed out.
    pub fn handed_out(&self) -> usize {
        self.next
    }

    /// Hands out the next packet. Does not panic.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<&RawPacket> {
        let packet = self.packets[..].get(self.next).filter(|_| self.next < self.end)?;
        self.next += 1;
        Some(packet)
    }

    /// Forgets all packets, those that were handed out, too.
    pub fn clear(&mut self) {
        (self.next, self.end) = (0, 0);
    }

    /// Fills it anew: `fill` writes packets from the first place on, and says how many.
    pub fn fill<E>(
        &mut self,
        fill: impl FnOnce(&mut [RawPacket]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        (self.next, self.end) = (0, 0);
        self.end = fill(&mut self.packets)?.min(Self::CAPACITY);
        Ok(self.end > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_in_order() {
        let mut batch = Batch::EMPTY;
        assert!(batch.pop().is_none() && batch.is_empty());
        let three = |out: &mut [RawPacket]| {
            (0..3).for_each(|n| out[n].header.len = n as u32);
            Ok::<_, ()>(3)
        };
        assert_eq!(batch.fill(three), Ok(true));
        assert_eq!(batch.pop().unwrap().header.len, 0);
        assert_eq!(batch.pop().unwrap().header.len, 1);
        assert_eq!((batch.handed_out(), batch.is_empty()), (2, false));
        batch.clear();
        assert!(batch.is_empty() && batch.pop().is_none());
        assert_eq!(batch.handed_out(), 0);
        assert_eq!(batch.fill(|_| Err(())), Err(()));
        assert!(batch.is_empty());
        assert_eq!(batch.fill(|out| Ok::<_, ()>(out.len() + 1)), Ok(true));
        assert_eq!(std::iter::from_fn(|| batch.pop().map(|_| ())).count(), Batch::CAPACITY);
    }
}
