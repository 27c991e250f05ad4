//! Numbers in the byte order of the host that wrote the file.

/// Byte order of a file (pcap) or section (pcapng).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteOrder {
    /// The other one than this host's.
    pub swapped: bool,
}

impl ByteOrder {
    /// The 16-bit number at `at`.
    #[inline]
    pub fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let n = u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        if self.swapped { n.swap_bytes() } else { n }
    }

    /// The 32-bit number at `at`.
    #[inline]
    pub fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let mut raw = [0; 4];
        raw.copy_from_slice(&bytes[at..at + 4]);
        let n = u32::from_ne_bytes(raw);
        if self.swapped { n.swap_bytes() } else { n }
    }

    /// As many 32-bit numbers as asked for, from the start.
    #[inline]
    pub fn words<const N: usize>(self, bytes: &[u8]) -> [u32; N] {
        // One length check for all.
        let bytes = &bytes[..4 * N];
        let words: [u32; N] = std::array::from_fn(|i| {
            u32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        });
        if self.swapped { words.map(u32::swap_bytes) } else { words }
    }

    /// The signed 64-bit number at `at`.
    pub fn i64(self, bytes: &[u8], at: usize) -> i64 {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        let n = i64::from_ne_bytes(raw);
        if self.swapped { n.swap_bytes() } else { n }
    }
}
