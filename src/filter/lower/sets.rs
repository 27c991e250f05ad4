//! Lists of like terms as membership tests.
//!
//! In `host A or host B or …` (and in `not host A and not host B and …`) the first term is lowered
//! as it stands. When it does not decide, every field that its like look at was found within the
//! packet, so the remaining terms can be looked up in one set, in any order, without a change to
//! the verdict on any packet, however truncated. Terms of other kinds keep their places: before
//! the first term of a kind is evaluated, what is pending of the kinds before it is.

use std::collections::HashMap;

use super::Lowerer;
use super::code::{Base, Size, Steps};
use super::error::LowerError;
use super::ip::{AddrFields, V4};
use super::port::Ports;
use crate::filter::ast::{AddrKind, Dir};
use crate::filter::cond::{Arm, CondId, SetId};
use crate::filter::link_layout::LinkLayout;

type Lowered = Result<CondId, LowerError>;

/// Terms of a kind that are lowered one by one before sets are worth while.
const FEW: u32 = 4;
/// Terms that make a set; fewer are lowered one by one.
const SET: usize = 3;

/// What terms must have in common to be looked up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// State of the layout.
    epoch: u32,
    field: KeyField,
}

/// The field that a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum KeyField {
    V4 { protocols: &'static [AddrFields], ends: Ends },
    Port { transport: Option<u32>, ends: Ends },
}

/// Which ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ends {
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

    fn dir(self) -> Option<Dir> {
        match self {
            Self::Src => Some(Dir::Src),
            Self::Dst => Some(Dir::Dst),
            Self::Either => None,
        }
    }

    /// Source first, as in single terms.
    fn each(self) -> &'static [Self] {
        match self {
            Self::Src => &[Self::Src],
            Self::Dst => &[Self::Dst],
            Self::Either => &[Self::Src, Self::Dst],
        }
    }
}

/// A term that may become an element of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) kind: Kind,
    low: u32,
    high: u32,
}

impl Element {
    /// An IPv4 host or network; `None` for what is no interval.
    pub(super) fn v4(
        layout: &LinkLayout,
        V4 { addr, mask }: V4,
        protocols: &'static [AddrFields],
        dir: Option<Dir>,
    ) -> Option<Self> {
        let contiguous = mask.leading_ones() + mask.trailing_zeros() == 32;
        if !contiguous || mask == 0 || addr & !mask != 0 {
            return None;
        }
        let field = KeyField::V4 { protocols, ends: Ends::new(dir)? };
        let kind = Kind { epoch: layout.epoch, field };
        Some(Self { kind, low: addr, high: addr | !mask })
    }

    /// A port or a range of ports.
    pub(super) fn port(
        layout: &LinkLayout,
        ports: Ports,
        transport: Option<u32>,
        dir: Option<Dir>,
    ) -> Option<Self> {
        let field = KeyField::Port { transport, ends: Ends::new(dir)? };
        let kind = Kind { epoch: layout.epoch, field };
        Some(Self { kind, low: ports.low.into(), high: ports.high.into() })
    }
}

/// An operand of a group.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Lowered.
    Node(CondId),
    /// Lowered, and also an element of a kind (by its index).
    Both { node: CondId, kind: u32, low: u32, high: u32 },
    /// Not lowered.
    Element { kind: u32, low: u32, high: u32 },
}

/// A kind that occurs in a group.
struct Occurrence {
    kind: Kind,
    /// Where the headers lie for it, with the registers that its first term took.
    layout: LinkLayout,
    count: u32,
    /// Its first term has been put into the result.
    started: bool,
    pending: Vec<(u32, u32)>,
}

/// Operands of an n-ary `and` or `or`.
pub(super) struct Group {
    pub(super) is_and: bool,
    items: Vec<Item>,
    kinds: Vec<Occurrence>,
    index: HashMap<Kind, u32>,
}

impl Group {
    pub(super) fn new(is_and: bool) -> Self {
        Self { is_and, items: Vec::new(), kinds: Vec::new(), index: HashMap::new() }
    }

    /// Adds an operand.
    pub(super) fn push(&mut self, node: CondId) {
        self.items.push(Item::Node(node));
    }

    /// Whether a term of a list (`or` of positive, `and` of negated terms) stays unlowered.
    fn takes(&mut self, element: &Element) -> bool {
        let Some(&kind) = self.index.get(&element.kind) else { return false };
        let occurrence = &mut self.kinds[kind as usize];
        if occurrence.count < FEW {
            return false;
        }
        occurrence.count += 1;
        let Element { low, high, .. } = *element;
        self.items.push(Item::Element { kind, low, high });
        true
    }

    /// Adds an operand that is also an element; `layout` is the one after it was lowered.
    fn push_element(&mut self, node: CondId, element: &Element, layout: LinkLayout) {
        let next = self.kinds.len() as u32;
        let kind = *self.index.entry(element.kind).or_insert(next);
        if kind == next {
            let kind = element.kind;
            let pending = Vec::new();
            self.kinds.push(Occurrence { kind, layout, count: 0, started: false, pending });
        }
        self.kinds[kind as usize].count += 1;
        let Element { low, high, .. } = *element;
        self.items.push(Item::Both { node, kind, low, high });
    }
}

impl Lowerer<'_> {
    /// Adds a term to a list, lowering it only while there are few of its kind.
    pub(super) fn add_element(
        &mut self,
        group: &mut Group,
        element: &Element,
        lower: impl FnOnce(&mut Self) -> Lowered,
    ) -> Result<(), LowerError> {
        if group.takes(element) {
            return Ok(());
        }
        let node = lower(self)?;
        let node = if group.is_and { self.not(node) } else { node };
        group.push_element(node, element, self.layout);
        Ok(())
    }

    /// Joins the operands of a group.
    pub(super) fn join(&mut self, group: Group) -> Lowered {
        let Group { is_and, items, mut kinds, .. } = group;
        let mut terms = Vec::with_capacity(items.len().min(1 << 12));
        // Kinds with something pending, in the order it came.
        let mut waiting = Vec::new();
        for item in items {
            let (node, kind, low, high) = match item {
                Item::Node(node) => {
                    self.flush(is_and, &mut kinds, &mut waiting, &mut terms)?;
                    terms.push(node);
                    continue;
                }
                Item::Both { node, kind, low, high } => (Some(node), kind, low, high),
                Item::Element { kind, low, high } => (None, kind, low, high),
            };
            let occurrence = &mut kinds[kind as usize];
            match node {
                Some(node) if !occurrence.started || occurrence.count <= FEW => {
                    occurrence.started = true;
                    self.flush(is_and, &mut kinds, &mut waiting, &mut terms)?;
                    terms.push(node);
                }
                _ => {
                    if occurrence.pending.is_empty() {
                        waiting.push(kind);
                    }
                    occurrence.pending.push((low, high));
                }
            }
        }
        self.flush(is_and, &mut kinds, &mut waiting, &mut terms)?;
        self.dedup(&mut terms);
        Ok(if is_and { self.all(&terms) } else { self.any(&terms) })
    }

    /// Lowers what is pending.
    fn flush(
        &mut self,
        negated: bool,
        kinds: &mut [Occurrence],
        waiting: &mut Vec<u32>,
        terms: &mut Vec<CondId>,
    ) -> Result<(), LowerError> {
        for kind in waiting.drain(..) {
            let occurrence = &mut kinds[kind as usize];
            let pending = std::mem::take(&mut occurrence.pending);
            let current = std::mem::replace(&mut self.layout, occurrence.layout);
            let from = terms.len();
            if pending.len() < SET {
                for (low, high) in pending {
                    terms.push(self.single(occurrence.kind.field, low, high)?);
                }
            } else {
                let set = self.tree.add_set(pending);
                self.membership(occurrence.kind.field, set, terms)?;
            }
            self.layout = current;
            if negated {
                for term in &mut terms[from..] {
                    *term = self.not(*term);
                }
            }
        }
        Ok(())
    }

    /// One element as a term of its own.
    fn single(&mut self, field: KeyField, low: u32, high: u32) -> Lowered {
        match field {
            KeyField::V4 { protocols, ends } => {
                let addr = V4 { addr: low, mask: !(low ^ high) };
                self.v4_hosts(&[addr], protocols, ends.dir())
            }
            KeyField::Port { transport, ends } => {
                let ports = Ports { low: low as u16, high: high as u16 };
                self.ports(ports, transport, ends.dir(), AddrKind::Port)
            }
        }
    }

    /// Looks a field up in a set, at each end that matters.
    fn membership(
        &mut self,
        field: KeyField,
        set: SetId,
        terms: &mut Vec<CondId>,
    ) -> Result<(), LowerError> {
        let ends = match field {
            KeyField::V4 { ends, .. } | KeyField::Port { ends, .. } => ends,
        };
        for &end in ends.each() {
            let arms = match field {
                KeyField::V4 { protocols, .. } => self.v4_arms(protocols, end)?,
                KeyField::Port { transport, .. } => self.port_arms(transport, end)?,
            };
            terms.push(self.tree.select(&arms, set));
        }
        Ok(())
    }

    /// How to load an IPv4 address of each protocol; protocols that have it at the same place
    /// share an arm.
    fn v4_arms(&mut self, protocols: &[AddrFields], end: Ends) -> Result<Vec<Arm>, LowerError> {
        let mut arms: Vec<(u32, Vec<CondId>)> = Vec::new();
        for fields in protocols {
            let offset = if end == Ends::Dst { fields.dst } else { fields.src };
            let carried = self.link_type(fields.ethertype)?;
            match arms.iter_mut().find(|(known, _)| *known == offset) {
                Some((_, guards)) => guards.push(carried),
                None => arms.push((offset, vec![carried])),
            }
        }
        let mut out = Vec::with_capacity(arms.len());
        for (offset, guards) in arms {
            let guard = self.any(&guards);
            let steps = self.load(Base::Net, offset, Size::W)?;
            self.push_arm(&mut out, guard, &steps);
        }
        Ok(out)
    }

    /// How to load a port over IPv6 and over IPv4.
    fn port_arms(&mut self, transport: Option<u32>, end: Ends) -> Result<Vec<Arm>, LowerError> {
        let offset = if end == Ends::Dst { 2 } else { 0 };
        let mut out = Vec::with_capacity(2);
        let guard = self.v6_port_guard(transport)?;
        let steps: Steps = self.load(Base::Transport6, offset, Size::H)?;
        self.push_arm(&mut out, guard, &steps);
        let guard = self.v4_port_guard(transport)?;
        let steps = self.load(Base::Transport4, offset, Size::H)?;
        self.push_arm(&mut out, guard, &steps);
        Ok(out)
    }

    fn push_arm(
        &mut self,
        arms: &mut Vec<Arm>,
        guard: CondId,
        steps: &[crate::filter::cond::Stmt],
    ) {
        let guard = match self.const_value(guard) {
            Some(false) => return,
            Some(true) => None,
            None => Some(guard),
        };
        let arm = self.tree.arm(guard, steps);
        arms.push(arm);
    }
}
