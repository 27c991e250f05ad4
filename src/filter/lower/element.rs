//! Terms that may become elements of a list, and what makes them alike.

use std::net::Ipv6Addr;

use super::ip::{AddrFields, V4};
use super::port::Ports;
use super::wide::{mac_key, v6_key};
use crate::filter::ast::Dir;
use crate::filter::link_layout::LinkLayout;
use crate::linktype::Dlt;

/// What terms must have in common to be looked up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// State of the layout.
    epoch: u32,
    pub(super) field: KeyField,
}

/// The field that a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyField {
    V4 { protocols: &'static [AddrFields], ends: Ends },
    Port { transport: Option<u32>, ends: Ends },
    Mac { ends: Ends },
    V6 { ends: Ends },
    V6Net { ends: Ends },
}

impl KeyField {
    pub(super) fn ends(self) -> Ends {
        match self {
            Self::V4 { ends, .. }
            | Self::Port { ends, .. }
            | Self::Mac { ends }
            | Self::V6 { ends }
            | Self::V6Net { ends } => ends,
        }
    }
}

/// Which ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ends {
    Src,
    Dst,
    Either,
}

impl Ends {
    fn new(dir: Option<Dir>) -> Option<Self> {
        match dir {
            None | Some(Dir::SrcOrDst) => Some(Self::Either),
            Some(Dir::Src) => Some(Self::Src),
            Some(Dir::Dst) => Some(Self::Dst),
            _ => None,
        }
    }

    pub(super) fn dir(self) -> Option<Dir> {
        match self {
            Self::Src => Some(Dir::Src),
            Self::Dst => Some(Dir::Dst),
            Self::Either => None,
        }
    }
}

/// A term that may become an element of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) value: Value,
}

/// An element's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Range(Range),
    Wide(Wide),
}

/// Inclusive.
pub(super) type Range = (u32, u32);

/// Up to four words, compared in this order.
pub(super) type Key = [u32; 4];

/// A key of which the last words need not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wide {
    pub(super) key: Key,
    /// Leading bits that matter, beginning with the first word's.
    pub(super) bits: u8,
}

impl Wide {
    /// All of a key.
    fn whole(key: Key) -> Self {
        Self { key, bits: 128 }
    }

    /// What a word may be if nothing behind it matters, of so many words.
    pub(super) fn range(&self, word: usize, words: usize) -> Option<Range> {
        let behind = 32 * (word + 1);
        let (bits, value) = (usize::from(self.bits), self.key[word]);
        if bits > behind && word + 1 < words {
            return None;
        }
        let free = behind.saturating_sub(bits) as u32;
        Some((value, value | ((1 << free) - 1)))
    }
}

impl Element {
    /// An IPv4 host or network; `None` for what is no interval.
    pub(super) fn v4(
        layout: &LinkLayout,
        V4 { addr, mask }: V4,
        protocols: &'static [AddrFields],
        dir: Option<Dir>,
    ) -> Option<Self> {
        if guards_overlap(layout) {
            return None;
        }
        let contiguous = mask.leading_ones() + mask.trailing_zeros() == 32;
        if !contiguous || mask == 0 || addr & !mask != 0 {
            return None;
        }
        let field = KeyField::V4 { protocols, ends: Ends::new(dir)? };
        let kind = Kind { epoch: layout.epoch, field };
        Some(Self { kind, value: Value::Range((addr, addr | !mask)) })
    }

    /// A port or a range of ports.
    pub(super) fn port(
        layout: &LinkLayout,
        ports: Ports,
        transport: Option<u32>,
        dir: Option<Dir>,
    ) -> Option<Self> {
        if guards_overlap(layout) {
            return None;
        }
        let field = KeyField::Port { transport, ends: Ends::new(dir)? };
        let kind = Kind { epoch: layout.epoch, field };
        let value = Value::Range((ports.low.into(), ports.high.into()));
        Some(Self { kind, value })
    }

    /// An Ethernet address.
    pub(super) fn mac(layout: &LinkLayout, mac: [u8; 6], dir: Option<Dir>) -> Option<Self> {
        if layout.is_80211() {
            return None;
        }
        let field = KeyField::Mac { ends: Ends::new(dir)? };
        let kind = Kind { epoch: layout.epoch, field };
        Some(Self { kind, value: Value::Wide(Wide::whole(mac_key(mac))) })
    }

    /// An IPv6 address or network.
    pub(super) fn v6(
        layout: &LinkLayout,
        addr: Ipv6Addr,
        bits: u8,
        dir: Option<Dir>,
    ) -> Option<Self> {
        let ends = Ends::new(dir)?;
        let field = match bits {
            0 => return None,
            128 => KeyField::V6 { ends },
            _ => KeyField::V6Net { ends },
        };
        let kind = Kind { epoch: layout.epoch, field };
        Some(Self { kind, value: Value::Wide(Wide { key: v6_key(addr), bits }) })
    }
}

/// A packet may pass for IPv4, IPv6 and ARP at once: Juniper's and BACnet's headers have just one
/// magic number for all, and a set would be looked up for the first of them only.
fn guards_overlap(layout: &LinkLayout) -> bool {
    layout.is_juniper() || layout.dlt == Dlt::BACNET_MS_TP
}
