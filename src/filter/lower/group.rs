//! Operands of n-ary `and`s and `or`s: which of them become lists, and how a group is joined.

use std::collections::BTreeMap;

use super::dedup::Seen;
use super::element::{Element, Ends, KeyField, Kind, Range, Value, Wide};
use super::error::LowerError;
use super::ip::V4;
use super::port::Ports;
use super::wide::{key_mac, key_v6};
use super::{Lists, Lowerer};
use crate::filter::ast::AddrKind;
use crate::filter::cond::CondId;
use crate::filter::link_layout::LinkLayout;

type Lowered = Result<CondId, LowerError>;

/// Terms of a kind that are lowered one by one, in case there are no more. Up to about this many
/// a set is no shorter than what the optimizer makes of single tests.
const FEW: usize = 12;
/// The same where the program as written cannot share anything between terms.
const FEW_APART: usize = 2;
/// The same where a set takes as many tests as the terms.
const FEW_ONE_FIELD: usize = 16;
/// The same for Ethernet addresses at either end.
const FEW_MACS: usize = 3;
/// The same for IPv6 addresses at either end, and for IPv6 networks. A set looks at all sources
/// before it looks at a destination, and at short prefixes before longer ones: that shows when a
/// packet ends within the addresses.
const FEW_V6: usize = 64;
/// Pending terms that make a set; fewer are lowered one by one.
const SET: usize = 3;

/// An operand of a group, or several.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// Lowered.
    Node(CondId),
    /// Lowered, and also the next element of a kind (by its index).
    Both { node: CondId, kind: u32 },
    /// The next elements of a kind, not lowered.
    Elements { kind: u32, count: u32 },
}

/// Values of one kind in the order of the text.
pub(super) enum Values {
    Ranges(Vec<Range>),
    Keys(Vec<Wide>),
}

impl Values {
    fn new(value: Value) -> Self {
        match value {
            Value::Range(_) => Self::Ranges(Vec::new()),
            Value::Wide(_) => Self::Keys(Vec::new()),
        }
    }

    /// Adds one, which is like the others.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Ranges(ranges), Value::Range(range)) => ranges.push(range),
            (Self::Keys(keys), Value::Wide(key)) => keys.push(key),
            _ => {}
        }
    }

    fn len(&self) -> usize {
        self.ranges().len() + self.keys().len()
    }

    /// The values, if they are ranges.
    pub(super) fn ranges(&self) -> &[Range] {
        if let Self::Ranges(ranges) = self { ranges } else { &[] }
    }

    /// The values, if they are keys.
    pub(super) fn keys(&self) -> &[Wide] {
        if let Self::Keys(keys) = self { keys } else { &[] }
    }
}

/// A kind that occurs in a group.
struct Occurrence {
    kind: Kind,
    /// Where the headers lie for it, with the registers that its first term took.
    layout: LinkLayout,
    /// A list of up to this many stays as it is.
    few: usize,
    values: Values,
    /// While joining: values gone by, and those of them that are not pending.
    next: usize,
    done: usize,
    /// Where in the result the first term stands once it does.
    first: Option<usize>,
}

/// Operands of an n-ary `and` or `or`: the items from `start` on, while the group is the one on top.
/// As many are open as the filter is nested deep: what only some need is apart.
pub(super) struct Group {
    pub(super) is_and: bool,
    start: u32,
    lists: Option<Box<ListParts>>,
    pub(super) seen: Option<Box<Seen>>,
}

/// What a group with terms of lists has.
#[derive(Default)]
struct ListParts {
    kinds: Vec<Occurrence>,
    /// Empty while there are few kinds.
    index: BTreeMap<Kind, u32>,
    /// The kind asked for last.
    last: usize,
}

/// So many kinds are looked for one by one.
const INDEXED: usize = 8;

impl ListParts {
    fn find(&mut self, kind: Kind) -> Option<usize> {
        if self.kinds.get(self.last).is_none_or(|last| last.kind != kind) {
            self.last = match self.index.is_empty() {
                true => self.kinds.iter().position(|known| known.kind == kind)?,
                false => *self.index.get(&kind)? as usize,
            };
        }
        Some(self.last)
    }

    fn find_or_add(&mut self, element: &Element, layout: LinkLayout, few: usize) -> usize {
        let kind = element.kind;
        if let Some(known) = self.find(kind) {
            return known;
        }
        let next = self.kinds.len();
        if next == INDEXED {
            self.index.extend((0..).zip(&self.kinds).map(|(at, known)| (known.kind, at)));
        }
        if next >= INDEXED {
            self.index.insert(kind, next as u32);
        }
        let values = Values::new(element.value);
        let (done, first) = (0, None);
        self.kinds.push(Occurrence { kind, layout, few, values, next: 0, done, first });
        next
    }
}

impl Group {
    /// A group without operands on top of some items.
    pub(super) fn new(is_and: bool, items: &[Item]) -> Self {
        Self { is_and, start: items.len() as u32, lists: None, seen: None }
    }

    /// Its items, of all.
    pub(super) fn items<'a>(&self, items: &'a [Item]) -> &'a [Item] {
        &items[self.start as usize..]
    }

    /// Whether there are lists in it.
    pub(super) fn has_lists(&self) -> bool {
        self.lists.is_some()
    }

    /// Whether a term of a list (`or` of positive, `and` of negated terms) stays unlowered.
    fn takes(&mut self, element: &Element, items: &mut Vec<Item>) -> bool {
        let Some(lists) = &mut self.lists else { return false };
        let Some(kind) = lists.find(element.kind) else { return false };
        let occurrence = &mut lists.kinds[kind];
        if occurrence.values.len() < occurrence.few {
            return false;
        }
        occurrence.values.push(element.value);
        let kind = kind as u32;
        match items.last_mut() {
            // It is of this group, in which the first of a kind is lowered.
            Some(Item::Elements { kind: last, count }) if *last == kind => *count += 1,
            _ => items.push(Item::Elements { kind, count: 1 }),
        }
        true
    }
}

/// The operands of items that are lowered.
pub(super) fn lowered(items: &[Item]) -> impl Iterator<Item = CondId> + Clone {
    items.iter().filter_map(|item| match *item {
        Item::Node(node) | Item::Both { node, .. } => Some(node),
        Item::Elements { .. } => None,
    })
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
        self.items.push(Item::Node(node));
        Added::New
    }

    /// Adds a term to a list, lowering it only while there are few of its kind.
    pub(super) fn add_element(
        &mut self,
        group: &mut Group,
        element: &Element,
        lower: impl FnOnce(&mut Self) -> Lowered,
    ) -> Result<Added, LowerError> {
        if group.takes(element, &mut self.items) {
            return Ok(Added::New);
        }
        let node = lower(self)?;
        let node = if group.is_and { self.not(node) } else { node };
        if self.repeats(group, node, false) {
            return Ok(Added::Repeats);
        }
        let few = self.few(element);
        let lists = group.lists.get_or_insert_default();
        // The layout is the one after the term was lowered.
        let kind = lists.find_or_add(element, self.layout, few);
        lists.kinds[kind].values.push(element.value);
        self.items.push(Item::Both { node, kind: kind as u32 });
        Ok(Added::New)
    }

    /// Up to how many terms like this one stay as they are.
    fn few(&self, element: &Element) -> usize {
        if self.lists == Lists::Terms {
            return usize::MAX;
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

    /// Joins the operands of the group on top, which is no more.
    pub(super) fn join(&mut self, group: Group) -> Lowered {
        let Group { is_and, start, lists, seen } = group;
        let start = start as usize;
        if let [Item::Node(only) | Item::Both { node: only, .. }] = self.items[start..] {
            self.items.truncate(start);
            return Ok(only);
        }
        let kinds = lists.map_or_else(Vec::new, |lists| lists.kinds);
        let mut terms = std::mem::take(&mut self.terms);
        terms.clear();
        let mut joining = Joining { negated: is_and, kinds, waiting: Vec::new(), terms, start: 0 };
        for at in start..self.items.len() {
            match self.items[at] {
                Item::Node(node) => {
                    self.flush(&mut joining)?;
                    joining.start = joining.terms.len();
                    joining.terms.push(node);
                }
                Item::Both { node, kind } => self.join_element(&mut joining, node, kind)?,
                Item::Elements { kind, count } => joining.wait(kind, count as usize),
            }
        }
        self.flush(&mut joining)?;
        self.items.truncate(start);
        let mut terms = joining.terms;
        self.drop_repeated(seen, &mut terms);
        let joined = if is_and { self.all(&terms) } else { self.any(&terms) };
        self.terms = terms;
        Ok(joined)
    }

    /// An element that is lowered stays so as the first, and if there are few.
    fn join_element(
        &mut self,
        joining: &mut Joining,
        node: CondId,
        kind: u32,
    ) -> Result<(), LowerError> {
        let occurrence = &mut joining.kinds[kind as usize];
        if occurrence.first.is_none() {
            self.flush(joining)?;
            joining.start = joining.terms.len();
            let occurrence = &mut joining.kinds[kind as usize];
            (occurrence.next, occurrence.done) = (1, 1);
            occurrence.first = Some(joining.start);
            joining.terms.push(node);
        } else if occurrence.values.len() <= occurrence.few {
            joining.terms.push(node);
        } else {
            joining.wait(kind, 1);
        }
        Ok(())
    }

    /// Lowers what is pending.
    fn flush(&mut self, joining: &mut Joining) -> Result<(), LowerError> {
        for kind in joining.waiting.drain(..) {
            let occurrence = &mut joining.kinds[kind as usize];
            let pending = std::mem::replace(&mut occurrence.done, occurrence.next)..occurrence.next;
            let (field, values) = (occurrence.kind.field, &occurrence.values);
            let current = std::mem::replace(&mut self.layout, occurrence.layout);
            let from = joining.terms.len();
            match occurrence.first {
                // Only terms came between that can wait: one piece with the first term.
                Some(at) if at == joining.start => {
                    let list = self.list(field, Some(0), values, pending)?;
                    let list = if joining.negated { self.not(list) } else { list };
                    joining.terms[at] = list;
                }
                _ if pending.len() < SET => {
                    for at in pending {
                        joining.terms.push(self.single(field, values, at)?);
                    }
                }
                _ => {
                    let list = self.list(field, None, values, pending)?;
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

    /// One value of a kind as a term of its own.
    fn single(&mut self, field: KeyField, values: &Values, at: usize) -> Lowered {
        match field {
            KeyField::V4 { protocols, ends } => {
                let (low, high) = values.ranges()[at];
                let addr = V4 { addr: low, mask: !(low ^ high) };
                self.v4_hosts(&[addr], protocols, ends.dir())
            }
            KeyField::Port { transport, ends } => {
                let (low, high) = values.ranges()[at];
                let ports = Ports { low: low as u16, high: high as u16 };
                self.ports(ports, transport, ends.dir(), AddrKind::Port)
            }
            KeyField::Mac { ends } => {
                let mac = key_mac(values.keys()[at].key);
                self.mac_host(mac, ends.dir(), "link host XX:XX:XX:XX:XX:XX")
            }
            KeyField::V6 { ends } | KeyField::V6Net { ends } => {
                let Wide { key, bits } = values.keys()[at];
                self.v6_net(key_v6(key), bits, ends.dir())
            }
        }
    }
}

impl Joining {
    /// Some more values of a kind are pending.
    fn wait(&mut self, kind: u32, count: usize) {
        let occurrence = &mut self.kinds[kind as usize];
        if occurrence.next == occurrence.done {
            self.waiting.push(kind);
        }
        occurrence.next += count;
    }
}
