//! From patterns to rules: headers, one after the other, as a port's parser knows them.

use super::pattern::{Bits, Pattern, Place};

/// Bytes of the longest header.
pub const HEADER: usize = 40;

/// A header; its number is that of `enum ox_flow_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Kind {
    Ethernet,
    Vlan,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    Sctp,
}

/// What a header must look like, `struct ox_flow_item`: its bytes as they are in a packet. A tag
/// begins behind its EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Item {
    pub kind: Kind,
    pub value: [u8; HEADER],
    pub mask: [u8; HEADER],
}

/// Headers from the outermost on: Ethernet, tags, IP, transport.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(pub Vec<Item>);

/// How much of a pattern goes into its rules; ports take less than DPDK can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Any bits of the headers.
    Bits,
    /// Addresses, protocols, VLAN numbers, ports.
    Ports,
    /// The same without ports.
    Addresses,
    /// Ethernet header and VLAN numbers.
    Ethernet,
}

impl Detail {
    /// The most first.
    pub const ALL: [Self; 4] = [Self::Bits, Self::Ports, Self::Addresses, Self::Ethernet];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bits => "header fields",
            Self::Ports => "addresses, protocols and ports",
            Self::Addresses => "addresses and protocols",
            Self::Ethernet => "Ethernet headers",
        }
    }
}

const VLAN_TYPES: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const MOST_TAGS: u32 = 2;
/// Destination and source address of an Ethernet header.
const ADDRESSES: std::ops::Range<usize> = 0..12;

impl Item {
    fn new(kind: Kind) -> Self {
        Self { kind, value: [0; HEADER], mask: [0; HEADER] }
    }

    /// Bytes of the header.
    pub fn length(kind: Kind) -> usize {
        match kind {
            Kind::Ethernet => 14,
            Kind::Vlan => 4,
            Kind::Ipv4 | Kind::Tcp => 20,
            Kind::Ipv6 => 40,
            Kind::Udp => 8,
            Kind::Sctp => 12,
        }
    }

    fn set(&mut self, at: usize, bits: Bits) {
        self.value[at] |= bits.value;
        self.mask[at] |= bits.mask;
    }

    /// Takes over what `pattern` knows of the header's bytes in `range`.
    fn take(&mut self, pattern: &Pattern, start: Place, range: impl IntoIterator<Item = usize>) {
        for at in range {
            self.set(at, pattern.bits(start.plus(at as u32)));
        }
    }

    /// Whether it only says that there is such a header.
    pub fn is_bare(&self) -> bool {
        self.mask.iter().all(|&mask| mask == 0)
    }

    /// Of the EtherType that the header ends with.
    fn type_mask(&self) -> &[u8] {
        let end = Self::length(self.kind);
        &self.mask[end - 2..end]
    }

    /// Whether every header that `other` matches is matched.
    fn covers(&self, other: &Self) -> bool {
        let pairs = self.mask.iter().zip(&self.value).zip(other.mask.iter().zip(&other.value));
        self.kind == other.kind
            && pairs.into_iter().all(|((mask, value), (other_mask, other_value))| {
                mask & !other_mask == 0 && value == &(other_value & mask)
            })
    }
}

impl Rule {
    /// Whether every packet matches.
    pub fn is_any(&self) -> bool {
        matches!(&self.0[..], [only] if only.is_bare())
    }

    fn covers(&self, other: &Self) -> bool {
        // A tag of no said type is of the common one.
        let same_tag = |at: usize| {
            self.0.get(at + 1).is_none_or(|next| next.kind != Kind::Vlan)
                || self.0[at].type_mask() == other.0[at].type_mask()
        };
        let pairs = self.0.iter().zip(&other.0).enumerate();
        self.0.len() <= other.0.len()
            && pairs.into_iter().all(|(at, (a, b))| a.covers(b) && same_tag(at))
    }
}

/// Rules of which every packet that matches one of `patterns` matches at least one; none needless.
pub fn rules(patterns: &[Pattern], detail: Detail) -> Vec<Rule> {
    let mut all: Vec<Rule> = patterns.iter().flat_map(|p| of_pattern(p, detail)).collect();
    all.sort();
    all.dedup();
    let needed = |rule: &&Rule| !all.iter().any(|other| other != *rule && other.covers(rule));
    all.iter().filter(needed).cloned().collect()
}

fn of_pattern(pattern: &Pattern, detail: Detail) -> Vec<Rule> {
    let mut ethernet = Item::new(Kind::Ethernet);
    ethernet.take(pattern, Place::Packet(0), ADDRESSES);
    let mut rule = Rule(vec![ethernet]);
    let mut at = 12;
    let mut tags = 0;
    loop {
        let Some(kind) = pattern.word(Place::Packet(at)) else { return vec![rule] };
        match kind {
            kind if VLAN_TYPES.contains(&kind) && tags < MOST_TAGS => {
                // The common kind of tag is what the next item says by itself.
                if kind != VLAN_TYPES[0] {
                    set_type(&mut rule, kind);
                }
                rule.0.push(tag(pattern, at + 2, detail));
                at += 4;
                tags += 1;
            }
            0x0800 if detail < Detail::Ethernet => return over_ipv4(pattern, rule, at + 2, detail),
            0x86dd if detail < Detail::Ethernet => return over_ipv6(pattern, rule, at + 2, detail),
            kind => {
                set_type(&mut rule, kind);
                return vec![rule];
            }
        }
    }
}

/// The EtherType that the last item ends with.
fn set_type(rule: &mut Rule, kind: u16) {
    if let Some(item) = rule.0.last_mut() {
        let end = Item::length(item.kind);
        item.value[end - 2..end].copy_from_slice(&kind.to_be_bytes());
        item.mask[end - 2..end].fill(0xff);
    }
}

fn tag(pattern: &Pattern, at: u32, detail: Detail) -> Item {
    let mut tag = Item::new(Kind::Vlan);
    tag.take(pattern, Place::Packet(at), 0..2);
    let number = [0x0f, 0xff];
    if detail > Detail::Bits {
        for (at, bits) in number.into_iter().enumerate() {
            // Some bits of the number are none at all for most ports.
            let whole = tag.mask[0] & 0x0f == 0x0f && tag.mask[1] == 0xff;
            let bits = if whole { bits } else { 0 };
            tag.mask[at] &= bits;
            tag.value[at] &= bits;
        }
    }
    tag
}

fn transport(protocol: u8) -> Option<Kind> {
    match protocol {
        6 => Some(Kind::Tcp),
        17 => Some(Kind::Udp),
        132 => Some(Kind::Sctp),
        _ => None,
    }
}

/// The transport header, if anything is known of it.
fn transport_item(pattern: &Pattern, kind: Kind, start: Place, detail: Detail) -> Option<Item> {
    let mut item = Item::new(kind);
    let length = match detail {
        Detail::Bits => Item::length(kind),
        // Source and destination port.
        Detail::Ports => 4,
        _ => 0,
    };
    item.take(pattern, start, 0..length);
    (!item.is_bare()).then_some(item)
}

const IPV4_FRAGMENT: usize = 6;
const IPV4_PROTOCOL: usize = 9;
/// "More fragments", in the byte `IPV4_FRAGMENT`.
const MORE: u8 = 0x20;

fn over_ipv4(pattern: &Pattern, rule: Rule, at: u32, detail: Detail) -> Vec<Rule> {
    let start = Place::Packet(at);
    let protocol = pattern.byte(start.plus(IPV4_PROTOCOL as u32));
    let mut ip = Item::new(Kind::Ipv4);
    match detail {
        Detail::Bits => ip.take(pattern, start, 0..20),
        // Protocol and addresses.
        _ => ip.take(pattern, start, std::iter::once(IPV4_PROTOCOL).chain(12..20)),
    }
    let behind = Place::AfterIpv4 { header: at, offset: 0 };
    let next =
        protocol.and_then(transport).and_then(|kind| transport_item(pattern, kind, behind, detail));
    let Some(next) = next else {
        return vec![extended(rule, &[ip])];
    };
    // Ports do not look into fragments, a filter looks into the first one.
    let mut fragment = ip;
    let known = [pattern.bits(start.plus(6)), pattern.bits(start.plus(7))];
    let mut rules = Vec::new();
    if known[0].mask & MORE == 0 || known[0].value & MORE != 0 {
        if known[0].mask & 0x1f == 0x1f && known[1].mask == 0xff {
            fragment.set(IPV4_FRAGMENT, Bits { mask: 0x1f, value: known[0].value & 0x1f });
            fragment.set(IPV4_FRAGMENT + 1, known[1]);
        }
        fragment.set(IPV4_FRAGMENT, Bits { mask: MORE, value: MORE });
        rules.push(extended(rule.clone(), &[fragment]));
    }
    implied(&mut ip, IPV4_PROTOCOL);
    if detail > Detail::Bits || known == OFFSET_ZERO {
        // A transport header is found where there is one only.
        implied(&mut ip, IPV4_FRAGMENT);
        implied(&mut ip, IPV4_FRAGMENT + 1);
    }
    rules.push(extended(rule, &[ip, next]));
    rules
}

/// What is known of the fragment's bytes when it is only that their offset is 0.
const OFFSET_ZERO: [Bits; 2] = [Bits { mask: 0x1f, value: 0 }, Bits { mask: 0xff, value: 0 }];

fn over_ipv6(pattern: &Pattern, rule: Rule, at: u32, detail: Detail) -> Vec<Rule> {
    const NEXT_HEADER: usize = 6;
    let start = Place::Packet(at);
    let protocol = pattern.byte(start.plus(NEXT_HEADER as u32));
    let mut ip = Item::new(Kind::Ipv6);
    match detail {
        Detail::Bits => ip.take(pattern, start, 0..40),
        // Protocol and addresses.
        _ => ip.take(pattern, start, std::iter::once(NEXT_HEADER).chain(8..40)),
    }
    let next = protocol
        .and_then(transport)
        .and_then(|kind| transport_item(pattern, kind, start.plus(40), detail));
    match next {
        Some(next) => {
            implied(&mut ip, NEXT_HEADER);
            vec![extended(rule, &[ip, next])]
        }
        None => vec![extended(rule, &[ip])],
    }
}

/// A byte that the next item says by itself.
fn implied(item: &mut Item, at: usize) {
    item.mask[at] = 0;
    item.value[at] = 0;
}

fn extended(mut rule: Rule, items: &[Item]) -> Rule {
    rule.0.extend(items);
    rule
}
