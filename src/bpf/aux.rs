//! Values for the Linux ancillary loads.

use super::op;

/// `SKF_AD_OFF` of linux/filter.h: absolute loads from here up read ancillary data.
pub const ANCILLARY_OFFSET: u32 = 0xffff_f000;

/// Ancillary data a capture can supply, by its offset from [`ANCILLARY_OFFSET`]
/// (`SKF_AD_*` of linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Ancillary {
    /// Ethernet protocol of the packet, host byte order.
    Protocol = 0,
    /// Packet type, `PACKET_*` of linux/if_packet.h.
    PktType = 4,
    /// Interface index.
    IfIndex = 8,
    /// Firewall mark.
    Mark = 20,
    /// Receive queue.
    Queue = 24,
    /// Hardware type, `ARPHRD_*`.
    HaType = 28,
    /// Receive hash.
    RxHash = 32,
    /// Processor that handles the packet.
    Cpu = 36,
    /// VLAN tag control information, taken off the packet by kernel or NIC.
    VlanTag = 44,
    /// 1 when [`Ancillary::VlanTag`] holds a tag, else 0.
    VlanTagPresent = 48,
    /// VLAN protocol identifier that goes with the tag.
    VlanTpid = 60,
}

impl Ancillary {
    /// The offset of an absolute load that reads it.
    pub const fn offset(self) -> u32 {
        ANCILLARY_OFFSET.wrapping_add(self as u32)
    }
}

/// Words at and above [`ANCILLARY_OFFSET`] that have a meaning to Linux (`SKF_AD_MAX` / 4).
const SLOTS: usize = 16;

/// Ancillary data of one packet.
///
/// A load of a value that was not supplied rejects the packet, as libpcap's interpreter does
/// when it is given none. Netlink attributes, payload offset, random numbers and the `xor x`
/// operation (offsets 12, 16, 40, 52, 56) cannot be supplied: only a kernel runs these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Aux {
    /// Bit `n` set: `values[n]` was supplied.
    known: u32,
    values: [u32; SLOTS],
}

impl Aux {
    /// Nothing supplied.
    pub const NONE: Self = Self { known: 0, values: [0; SLOTS] };

    /// Supplies one value.
    #[must_use]
    pub const fn with(mut self, what: Ancillary, value: u32) -> Self {
        self.set(what, value);
        self
    }

    /// Supplies one value in place.
    pub const fn set(&mut self, what: Ancillary, value: u32) {
        let slot = what as usize / 4;
        self.known |= 1 << slot;
        self.values[slot] = value;
    }

    /// Supplies what libpcap's own interpreter knows: the VLAN tag, or that there is none.
    pub const fn set_vlan(&mut self, tag: Option<u16>) {
        let (tci, present) = match tag {
            Some(tci) => (tci as u32, 1),
            None => (0, 0),
        };
        self.set(Ancillary::VlanTag, tci);
        self.set(Ancillary::VlanTagPresent, present);
    }

    /// The value an absolute load at `k` reads, if it was supplied.
    pub fn load(&self, k: u32) -> Option<u32> {
        let slot = slot(k)?;
        (self.known & (1 << slot) != 0).then(|| self.values[slot])
    }

    /// Byte offset of the supplied-values mask, for generated code.
    pub(super) const KNOWN_OFFSET: usize = std::mem::offset_of!(Aux, known);
    /// Byte offset of the first value, for generated code.
    pub(super) const VALUES_OFFSET: usize = std::mem::offset_of!(Aux, values);
}

impl Default for Aux {
    fn default() -> Self {
        Self::NONE
    }
}

/// Index of the ancillary word that an absolute load at `k` names.
pub(super) fn slot(k: u32) -> Option<usize> {
    let offset = k.checked_sub(ANCILLARY_OFFSET)? as usize;
    (offset.is_multiple_of(4) && offset / 4 < SLOTS).then_some(offset / 4)
}

/// Whether `code` is a load that reads ancillary data for high offsets: `ld`, `ldh` or `ldb`
/// of an absolute offset. Linux and libpcap ignore the size.
pub(super) fn is_absolute_load(code: u16) -> bool {
    matches!(code & !op::size(0xff), c if c == op::LD | op::ABS) && op::size(code) != 0x18
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_supplied_values_load() {
        let aux = Aux::NONE.with(Ancillary::IfIndex, 7);
        assert_eq!(aux.load(ANCILLARY_OFFSET + 8), Some(7));
        assert_eq!(aux.load(ANCILLARY_OFFSET), None);
        assert_eq!(aux.load(ANCILLARY_OFFSET + 9), None);
        assert_eq!(aux.load(ANCILLARY_OFFSET + 64), None);
        assert_eq!(aux.load(8), None);
    }

    #[test]
    fn a_missing_vlan_tag_is_known_to_be_missing() {
        let mut aux = Aux::NONE;
        aux.set_vlan(None);
        assert_eq!(aux.load(0xffff_f030), Some(0));
        aux.set_vlan(Some(0x2064));
        assert_eq!((aux.load(0xffff_f030), aux.load(0xffff_f02c)), (Some(1), Some(0x2064)));
    }

    #[test]
    fn absolute_loads() {
        for code in [0x20, 0x28, 0x30] {
            assert!(is_absolute_load(code));
        }
        for code in [0x38, 0x40, 0x21, 0x120, 0x00] {
            assert!(!is_absolute_load(code));
        }
    }
}
