//! Many packets at once.

/// Packets that lie anywhere: their addresses and lengths, in two arrays of one length.
#[derive(Clone, Copy, Debug)]
pub struct Burst<'a> {
    packets: &'a [*const u8],
    lens: &'a [u32],
}

impl<'a> Burst<'a> {
    /// No packets.
    pub const NONE: Self = Self { packets: &[], lens: &[] };

    /// Packets by address and length.
    ///
    /// # Panics
    /// When the arrays differ in length.
    ///
    /// # Safety
    /// Packet `i` is NULL, which is an empty packet, or has `lens[i]` bytes for `'a`.
    #[inline]
    pub unsafe fn new(packets: &'a [*const u8], lens: &'a [u32]) -> Self {
        assert_eq!(packets.len(), lens.len());
        Self { packets, lens }
    }

    /// Where the packets are.
    #[inline]
    pub fn packets(&self) -> &'a [*const u8] {
        self.packets
    }

    /// Their lengths, in bytes.
    #[inline]
    pub fn lens(&self) -> &'a [u32] {
        self.lens
    }

    /// Number of packets.
    #[inline]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.packets.iter().zip(self.lens).map(|(&packet, &len)| {
            if packet.is_null() {
                return &[] as &[u8];
            }
            // SAFETY: as `new` was promised.
            unsafe { std::slice::from_raw_parts(packet, len as usize) }
        })
    }

    /// The packets in bursts of up to 64.
    pub fn chunks(self) -> impl Iterator<Item = Self> {
        let chunks = self.packets.chunks(64).zip(self.lens.chunks(64));
        chunks.map(|(packets, lens)| Self { packets, lens })
    }
}
