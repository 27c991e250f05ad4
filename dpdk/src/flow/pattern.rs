//! Conjunctions over the bits of a packet.

/// Where a byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Bytes from the packet's start.
    Packet(u32),
    /// Bytes from the end of the IPv4 header, whatever its length, that begins at `header`.
    AfterIpv4 { header: u32, offset: u32 },
}

impl Place {
    /// The place `bytes` further on.
    pub fn plus(self, bytes: u32) -> Self {
        match self {
            Self::Packet(at) => Self::Packet(at + bytes),
            Self::AfterIpv4 { header, offset } => {
                Self::AfterIpv4 { header, offset: offset + bytes }
            }
        }
    }
}

/// What some bits of a byte are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits {
    /// The bits that are known.
    pub mask: u8,
    /// Their values; 0 outside of `mask`.
    pub value: u8,
}

/// What some bytes of a packet look like; each place once, in order. The empty pattern matches
/// every packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Vec<(Place, Bits)>);

impl Pattern {
    /// A big-endian field of up to four bytes, whose bits in `mask` have the values of `value`.
    pub fn field(place: Place, size: u32, mask: u32, value: u32) -> Self {
        let bytes = (0..size).map(|i| {
            let shift = 8 * (size - 1 - i);
            let mask = (mask >> shift) as u8;
            (place.plus(i), Bits { mask, value: (value >> shift) as u8 & mask })
        });
        Self(bytes.filter(|(_, bits)| bits.mask != 0).collect())
    }

    /// Both; `None` where they contradict each other.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut both = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(at, bits)), Some(&&(other_at, other_bits))) = (a.peek(), b.peek()) {
            if at == other_at {
                if (bits.value ^ other_bits.value) & bits.mask & other_bits.mask != 0 {
                    return None;
                }
                let mask = bits.mask | other_bits.mask;
                both.push((at, Bits { mask, value: bits.value | other_bits.value }));
                a.next();
                b.next();
            } else if at < other_at {
                both.extend(a.next());
            } else {
                both.extend(b.next());
            }
        }
        both.extend(a.chain(b));
        Some(Self(both))
    }

    /// What is known of the places for which `keep` holds.
    pub fn only(&self, keep: impl Fn(Place) -> bool) -> Self {
        Self(self.0.iter().copied().filter(|(place, _)| keep(*place)).collect())
    }

    /// Whether it matches every packet.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of a byte.
    pub fn bits(&self, place: Place) -> Bits {
        let found = self.0.binary_search_by_key(&place, |(at, _)| *at);
        found.map_or(Bits::default(), |index| self.0[index].1)
    }

    /// A 16-bit field of which all bits are known.
    pub fn word(&self, place: Place) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte(place)?, self.byte(place.plus(1))?]))
    }

    /// A byte of which all bits are known.
    pub fn byte(&self, place: Place) -> Option<u8> {
        let bits = self.bits(place);
        (bits.mask == 0xff).then_some(bits.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conjunctions() {
        let a = Pattern::field(Place::Packet(12), 2, 0xffff, 0x0800);
        let b = Pattern::field(Place::Packet(14), 1, 0xf0, 0x40);
        let both = a.and(&b).unwrap();
        assert_eq!(both, b.and(&a).unwrap());
        assert_eq!(both.word(Place::Packet(12)), Some(0x0800));
        assert_eq!(both.bits(Place::Packet(14)), Bits { mask: 0xf0, value: 0x40 });
        assert_eq!(both.byte(Place::Packet(14)), None);
        let c = Pattern::field(Place::Packet(12), 2, 0xffff, 0x0806);
        assert_eq!(both.and(&c), None);
        let d = Pattern::field(Place::Packet(14), 1, 0x1f, 0x15);
        assert_eq!(both.and(&d), None);
        let d = Pattern::field(Place::Packet(14), 1, 0x4f, 0x45);
        assert_eq!(both.and(&d).unwrap().byte(Place::Packet(14)), Some(0x45));
        assert_eq!(both.only(|place| place < Place::Packet(14)), a);
        assert!(Pattern::default().is_any());
    }
}
