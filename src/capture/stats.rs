//! Counters over the life of a source, from a kernel that counts since it was last asked.

use super::Stats;

/// Sums of what the kernel told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatsCounter {
    received: u32,
    dropped: u32,
}

impl StatsCounter {
    /// Adds counts since the last call. Sums wrap: `struct pcap_stat` has 32 bits.
    pub fn add(&mut self, received: u32, dropped: u32) {
        self.received = self.received.wrapping_add(received);
        self.dropped = self.dropped.wrapping_add(dropped);
    }

    /// The sums so far.
    pub fn stats(&self, if_dropped: u64) -> Stats {
        Stats { received: self.received, dropped: self.dropped, if_dropped: if_dropped as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap() {
        let mut counter = StatsCounter::default();
        counter.add(u32::MAX, 1);
        counter.add(2, 1);
        let expected = Stats { received: 1, dropped: 2, if_dropped: 7 };
        assert_eq!(counter.stats(7), expected);
    }
}
