//! Lists of like terms as membership tests.
//!
//! In `host A or host B or …` (and in `not host A and not host B and …`) the first term is lowered
//! as it stands. When it does not decide, every field that its like look at was found within the
//! packet, so the remaining terms can be looked up in a set, in any order, without a change to
//! the verdict on any packet, however truncated. Terms of other kinds keep their places: before
//! the first term of a kind is evaluated, what is pending of the kinds before it is.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use super::code::{Steps, ld_mem};
use super::dedup::Seen;
use super::error::LowerError;
use super::ip::{AddrFields, V4};
use super::port::Ports;
use super::wide::{key_mac, key_v6, mac_key, v6_key};
use super::{Lists, Lowerer};
use crate::filter::ast::{AddrKind, Dir};
use crate::filter::cond::CondId;
use crate::filter::link_layout::LinkLayout;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Terms of a kind that are lowered one by one, in case there are no more. Up to about this many
/// a set is no shorter than what the optimizer makes of single tests.
const FEW: u32 = 12;
/// The same where the program as written cannot share anything between terms.
const FEW_APART: u32 = 2;
/// The same where a set takes as many tests as the terms.
const FEW_ONE_FIELD: u32 = 16;
/// The same for Ethernet addresses at either end.
const FEW_MACS: u32 = 3;
/// The same for IPv6 addresses at either end, and for IPv6 networks. A set looks at all sources
/// before it looks at a destination, and at short prefixes before longer ones: that shows when a
/// packet ends within the addresses.
const FEW_V6: u32 = 64;
/// Pending terms that make a set; fewer are lowered one by one.
const SET: usize = 3;

/// What terms must have in common to be looked up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// State of the layout.
    epoch: u32,
    field: KeyField,
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
    fn ends(self) -> Ends {
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
    kind: Kind,
    value: Value,
}

/// An element's value.
#[derive(Clone, Copy, Debug)]
enum Value {
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

/// An operand of a group.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Lowered.
    Node(CondId),
    /// Lowered, and also an element of a kind (by its index).
    Both { node: CondId, kind: u32, range: Range },
    /// Not lowered.
    Element { kind: u32, range: Range },
}

/// A kind that occurs in a group.
struct Occurrence {
    kind: Kind,
    /// Where the headers lie for it, with the registers that its first term took.
    layout: LinkLayout,
    count: u32,
    /// A list of up to this many stays as it is.
    few: u32,
    /// The first term, and where in the result it stands once it does.
    first: Option<(Range, usize)>,
    pending: Vec<Range>,
}

/// Operands of an n-ary `and` or `or`. As many are open as the filter is nested deep: what only lists
/// need is apart.
pub(super) struct Group {
    pub(super) is_and: bool,
    items: Vec<Item>,
    lists: Option<Box<ListParts>>,
    pub(super) seen: Seen,
}

/// What a group with terms of lists has.
#[derive(Default)]
struct ListParts {
    kinds: Vec<Occurrence>,
    index: BTreeMap<Kind, u32>,
    wide: Vec<Wide>,
}

impl ListParts {
    /// An element's value as a range: of itself, or of indices into the wide values.
    fn range(&mut self, element: &Element) -> Range {
        match element.value {
            Value::Range(range) => range,
            Value::Wide(key) => {
                let at = self.wide.len() as u32;
                self.wide.push(key);
                (at, at)
            }
        }
    }
}

impl Group {
    pub(super) fn new(is_and: bool) -> Self {
        Self { is_and, items: Vec::with_capacity(2), lists: None, seen: Seen::default() }
    }

    /// The operands that are lowered.
    pub(super) fn operands(&self) -> impl Iterator<Item = CondId> {
        self.items.iter().filter_map(|item| match *item {
            Item::Node(node) | Item::Both { node, .. } => Some(node),
            Item::Element { .. } => None,
        })
    }

    /// Whether there are lists in it.
    pub(super) fn has_lists(&self) -> bool {
        self.lists.is_some()
    }

    /// Whether a term of a list (`or` of positive, `and` of negated terms) stays unlowered.
    fn takes(&mut self, element: &Element) -> bool {
        let Some(lists) = &mut self.lists else { return false };
        let Some(&kind) = lists.index.get(&element.kind) else { return false };
        let occurrence = &mut lists.kinds[kind as usize];
        if occurrence.count < occurrence.few {
            return false;
        }
        occurrence.count += 1;
        let range = lists.range(element);
        self.items.push(Item::Element { kind, range });
        true
    }

    /// Adds an operand that is also an element; `layout` is the one after it was lowered.
    fn push_element(&mut self, node: CondId, element: &Element, layout: LinkLayout, few: u32) {
        let lists = self.lists.get_or_insert_default();
        let next = lists.kinds.len() as u32;
        let kind = *lists.index.entry(element.kind).or_insert(next);
        if kind == next {
            let kind = element.kind;
            let pending = Vec::new();
            lists.kinds.push(Occurrence { kind, layout, count: 0, few, first: None, pending });
        }
        lists.kinds[kind as usize].count += 1;
        let range = lists.range(element);
        self.items.push(Item::Both { node, kind, range });
    }
}

/// What became of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in the group.
    New,
    /// It says what another one says, and is not.
    Repeats,
}

/// What [`Lowerer::join`] has so far.
struct Joining {
    negated: bool,
    kinds: Vec<Occurrence>,
    wide: Vec<Wide>,
    /// Kinds with something pending, in the order it came.
    waiting: Vec<u32>,
    terms: Vec<CondId>,
    /// Where the last term stands that no term of its kind precedes: those behind it may trade
    /// places with it and with each other.
    start: usize,
}

impl Lowerer<'_> {
    /// Adds an operand, which may be a whole list.
    pub(super) fn add(&mut self, group: &mut Group, node: CondId, is_list: bool) -> Added {
        if self.repeats(group, node, is_list) {
            return Added::Repeats;
        }
        group.items.push(Item::Node(node));
        Added::New
    }

    /// Adds a term to a list, lowering it only while there are few of its kind.
    pub(super) fn add_element(
        &mut self,
        group: &mut Group,
        element: &Element,
        lower: impl FnOnce(&mut Self) -> Lowered,
    ) -> Result<Added, LowerError> {
        if group.takes(element) {
            return Ok(Added::New);
        }
        let node = lower(self)?;
        let node = if group.is_and { self.not(node) } else { node };
        if self.repeats(group, node, false) {
            return Ok(Added::Repeats);
        }
        let few = self.few(element);
        group.push_element(node, element, self.layout, few);
        Ok(Added::New)
    }

    /// Up to how many terms like this one stay as they are.
    fn few(&self, element: &Element) -> u32 {
        if self.lists == Lists::Terms {
            return u32::MAX;
        }
        let is_range = matches!(element.value, Value::Range((low, high)) if low != high);
        match element.kind.field {
            // Networks: every one masks the address anew.
            KeyField::V4 { .. } if is_range => FEW_APART,
            KeyField::Port { ends: Ends::Either, .. } | KeyField::Port { transport: None, .. } => 1,
            KeyField::Port { .. } if is_range => 1,
            KeyField::V6 { ends: Ends::Either } | KeyField::V6Net { .. } => FEW_V6,
            KeyField::Mac { ends: Ends::Either } => FEW_MACS,
            KeyField::V4 { protocols, ends: Ends::Either } if protocols.len() > 1 => FEW,
            _ => FEW_ONE_FIELD,
        }
    }

    /// Joins the operands of a group.
    pub(super) fn join(&mut self, group: Group) -> Lowered {
        let Group { is_and, items, lists, .. } = group;
        if let [Item::Node(only) | Item::Both { node: only, .. }] = items[..] {
            return Ok(only);
        }
        let ListParts { kinds, wide, .. } = lists.map_or_else(ListParts::default, |lists| *lists);
        let terms = Vec::with_capacity(items.len().min(1 << 12));
        let mut joining =
            Joining { negated: is_and, kinds, wide, waiting: Vec::new(), terms, start: 0 };
        for item in items {
            let (node, kind, range) = match item {
                Item::Node(node) => {
                    self.flush(&mut joining)?;
                    joining.start = joining.terms.len();
                    joining.terms.push(node);
                    continue;
                }
                Item::Both { node, kind, range } => (Some(node), kind, range),
                Item::Element { kind, range } => (None, kind, range),
            };
            let occurrence = &mut joining.kinds[kind as usize];
            match node {
                Some(node) if occurrence.first.is_none() => {
                    self.flush(&mut joining)?;
                    joining.start = joining.terms.len();
                    joining.kinds[kind as usize].first = Some((range, joining.start));
                    joining.terms.push(node);
                }
                Some(node) if occurrence.count <= occurrence.few => joining.terms.push(node),
                _ => {
                    if occurrence.pending.is_empty() {
                        joining.waiting.push(kind);
                    }
                    occurrence.pending.push(range);
                }
            }
        }
        self.flush(&mut joining)?;
        let terms = joining.terms;
        Ok(if is_and { self.all(&terms) } else { self.any(&terms) })
    }

    /// Lowers what is pending.
    fn flush(&mut self, joining: &mut Joining) -> Result<(), LowerError> {
        for kind in joining.waiting.drain(..) {
            let occurrence = &mut joining.kinds[kind as usize];
            let pending = std::mem::take(&mut occurrence.pending);
            let field = occurrence.kind.field;
            let current = std::mem::replace(&mut self.layout, occurrence.layout);
            let from = joining.terms.len();
            match occurrence.first {
                // Only terms came between that can wait: one piece with the first term.
                Some((first, at)) if at == joining.start => {
                    let list = self.list(field, Some(first), pending, &joining.wide)?;
                    let list = if joining.negated { self.not(list) } else { list };
                    joining.terms[at] = list;
                }
                _ if pending.len() < SET => {
                    for range in pending {
                        joining.terms.push(self.single(field, range, &joining.wide)?);
                    }
                }
                _ => {
                    let list = self.list(field, None, pending, &joining.wide)?;
                    joining.terms.push(list);
                }
            }
            self.layout = current;
            if joining.negated {
                for term in &mut joining.terms[from..] {
                    *term = self.not(*term);
                }
            }
        }
        Ok(())
    }

    /// One element as a term of its own.
    fn single(&mut self, field: KeyField, (low, high): Range, wide: &[Wide]) -> Lowered {
        match field {
            KeyField::V4 { protocols, ends } => {
                let addr = V4 { addr: low, mask: !(low ^ high) };
                self.v4_hosts(&[addr], protocols, ends.dir())
            }
            KeyField::Port { transport, ends } => {
                let ports = Ports { low: low as u16, high: high as u16 };
                self.ports(ports, transport, ends.dir(), AddrKind::Port)
            }
            KeyField::Mac { ends } => {
                let mac = key_mac(wide[low as usize].key);
                self.mac_host(mac, ends.dir(), "link host XX:XX:XX:XX:XX:XX")
            }
            KeyField::V6 { ends } | KeyField::V6Net { ends } => {
                let Wide { key, bits } = wide[low as usize];
                self.v6_net(key_v6(key), bits, ends.dir())
            }
        }
    }

    /// A list as one term; `first` is the first element unless it was lowered before.
    fn list(
        &mut self,
        field: KeyField,
        first: Option<Range>,
        rest: Vec<Range>,
        wide: &[Wide],
    ) -> Lowered {
        self.list_count += 1;
        self.joined |= matches!(field, KeyField::Mac { .. } | KeyField::V6 { .. });
        self.has_ports |= matches!(field, KeyField::Port { .. });
        self.list_values += (1 + rest.len()) * if field.ends() == Ends::Either { 2 } else { 1 };
        let key = |(at, _): Range| wide[at as usize];
        let keys = |ranges: &[Range]| ranges.iter().copied().map(key).collect::<Vec<_>>();
        match field {
            KeyField::Mac { ends } => self.mac_list(ends, first.map(key), keys(&rest)),
            KeyField::V6 { ends } | KeyField::V6Net { ends } => {
                let mut all = keys(&rest);
                all.extend(first.map(key));
                self.v6_list(ends, all)
            }
            KeyField::V4 { protocols, ends } => self.v4_list(protocols, ends, first, rest),
            KeyField::Port { transport, ends } => self.port_list(transport, ends, first, rest),
        }
    }

    /// Whether either end of a packet is in a list, in the order that keeps verdicts on truncated
    /// packets: the first element may match the source without a destination being there; nothing
    /// else may. `loads` are the steps for source and destination.
    pub(super) fn either_end(
        &mut self,
        loads: [&Steps; 2],
        ends: Ends,
        first: Option<Range>,
        rest: Vec<Range>,
    ) -> Lowered {
        let [src, dst] = loads;
        let mut all = rest.clone();
        all.extend(first);
        Ok(match (ends, first) {
            (Ends::Src, _) => self.in_ranges(src, all),
            (Ends::Dst, _) => self.in_ranges(dst, all),
            (Ends::Either, None) => {
                let terms = [self.in_ranges(src, rest), self.in_ranges(dst, all)];
                self.any(&terms)
            }
            (Ends::Either, Some(first)) => {
                let fetched = match all.iter().any(|(low, high)| low != high) {
                    true => Some(self.fetch_before(dst)?),
                    false => None,
                };
                let first = self.in_ranges(src, vec![first]);
                let list = match fetched {
                    // The optimizer trades tests of the same value for shorter programs, as
                    // libpcap's does; libpcap's cannot where the terms mask what they load.
                    Some((fetch, dst)) => {
                        let tests = [self.in_ranges(src, rest), self.in_ranges(&dst, all)];
                        let tests = self.any(&tests);
                        self.and(fetch, tests)
                    }
                    None => {
                        let tests = [self.in_ranges(dst, all), self.in_ranges(src, rest)];
                        self.any(&tests)
                    }
                };
                self.or(first, list)
            }
        })
    }

    /// A value loaded now for later: into a scratch register, and the steps that load it from
    /// there.
    fn fetch_before(&mut self, load: &Steps) -> Result<(CondId, Steps), LowerError> {
        let reg = self.regs.alloc()?;
        self.regs.free(reg);
        let mut steps = load.clone();
        steps.push(super::code::st(reg));
        Ok((self.tree.run(&steps), vec![ld_mem(reg)]))
    }

    /// Whether what the steps load is in some ranges.
    pub(super) fn in_ranges(&mut self, load: &Steps, ranges: Vec<Range>) -> CondId {
        let set = self.tree.add_set(ranges);
        self.tree.set(load, set)
    }

    /// Leaves the source in the accumulator and the destination in a scratch register, whichever of
    /// the protocols a packet has; also the steps that load them from there.
    pub(super) fn fetched(
        &mut self,
        arms: &[(CondId, Steps, Steps)],
    ) -> Result<(CondId, [Steps; 2]), LowerError> {
        let dst = self.regs.alloc()?;
        self.regs.free(dst);
        let mut terms = Vec::with_capacity(arms.len());
        for (guard, src_load, dst_load) in arms {
            let mut steps = dst_load.clone();
            steps.push(super::code::st(dst));
            steps.extend_from_slice(src_load);
            let fetch = self.tree.run(&steps);
            terms.push(self.and(*guard, fetch));
        }
        let fetched = self.any(&terms);
        Ok((fetched, [Steps::new(), vec![ld_mem(dst)]]))
    }
}
