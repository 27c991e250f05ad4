//! Tests for equality, on bytes as they lie in memory: these need not be put in order, and tests
//! of bytes that lie side by side become one.

use super::nodes::{Binary, Id, Node, Nodes};

/// How deep to look into nested conditions.
const DEPTH: u32 = 6;

/// `bytes & mask == value`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Test {
    bytes: Id,
    mask: u32,
    value: u32,
}

impl Test {
    /// Both tests at once, if they look at the same four bytes; `None` in it where they exclude each
    /// other.
    fn and(self, other: Self) -> Option<Option<Self>> {
        let common = self.mask & other.mask;
        let Self { bytes, mask, value } = other;
        let both = Self { bytes, mask: self.mask | mask, value: self.value | value };
        let agree = self.value & common == value & common;
        (self.bytes == bytes).then_some(agree.then_some(both))
    }
}

impl Nodes {
    /// `a == k` without the order of bytes, where `a` is a field or bits of one, or two fields side
    /// by side.
    pub(super) fn equal(&mut self, a: Id, k: u32) -> Option<Id> {
        if let Node::Binary(Binary::Or, high, low) = self.get(a)
            && let Node::ShiftLeft(high, by) = self.get(high)
            && self.max(low) >> by == 0
            && self.max(high) <= u32::MAX >> by
        {
            let (low_k, high_k) = (self.constant(k & !(u32::MAX << by)), self.constant(k >> by));
            let high = self.binary(Binary::Equal, high, high_k);
            let low = self.binary(Binary::Equal, low, low_k);
            return Some(self.binary(Binary::And, high, low));
        }
        let (field, mask) = match self.get(a) {
            Node::Binary(Binary::And, field, mask) => (field, self.as_constant(mask)?),
            _ => (a, u32::MAX),
        };
        let Node::Field { bytes, at, size } = self.get(field) else { return None };
        let whole = u32::MAX >> (32 - 8 * u32::from(size));
        if k & !(mask & whole) != 0 {
            return Some(self.constant(0));
        }
        if mask & whole == 0 {
            return Some(self.constant(u32::MAX));
        }
        let as_it_lies = |k: u32| (k << (32 - 8 * u32::from(size))).swap_bytes() << (8 * at);
        Some(self.test(Test { bytes, mask: as_it_lies(mask & whole), value: as_it_lies(k) }))
    }

    fn test(&mut self, Test { bytes, mask, value }: Test) -> Id {
        let (mask, value) = (self.constant(mask), self.constant(value));
        let masked = self.binary(Binary::And, bytes, mask);
        self.add(Node::Binary(Binary::Equal, masked, value))
    }

    fn as_test(&self, id: Id) -> Option<Test> {
        let Node::Binary(Binary::Equal, a, value) = self.get(id) else { return None };
        let value = self.as_constant(value)?;
        let (bytes, mask) = match self.get(a) {
            Node::Binary(Binary::And, bytes, mask) => match self.as_constant(mask) {
                Some(mask) => (bytes, mask),
                None => (a, u32::MAX),
            },
            _ => (a, u32::MAX),
        };
        (value & !mask == 0).then_some(Test { bytes, mask, value })
    }

    /// `all and b` where `b` is a test and `all` has one of the same bytes.
    pub(super) fn with_test(&mut self, all: Id, b: Id) -> Option<Id> {
        self.as_test(b)?;
        self.with_test_within(all, b, DEPTH)
    }

    fn with_test_within(&mut self, all: Id, b: Id, depth: u32) -> Option<Id> {
        if let (Some(a), Some(b)) = (self.as_test(all), self.as_test(b)) {
            return Some(match a.and(b)? {
                Some(both) => self.test(both),
                None => self.constant(0),
            });
        }
        let Node::Binary(Binary::And, c, d) = self.get(all) else { return None };
        let depth = depth.checked_sub(1)?;
        if let Some(d) = self.with_test_within(d, b, depth) {
            return Some(self.binary(Binary::And, c, d));
        }
        let c = self.with_test_within(c, b, depth)?;
        Some(self.binary(Binary::And, c, d))
    }

    /// Whether one test holds wherever another one does.
    pub(super) fn test_implies(&self, a: Id, b: Id) -> bool {
        match (self.as_test(a), self.as_test(b)) {
            (Some(a), Some(b)) => a.and(b) == Some(Some(a)),
            _ => false,
        }
    }

    /// Whether two tests never hold together.
    pub(super) fn tests_exclude(&self, a: Id, b: Id) -> bool {
        self.as_test(a).zip(self.as_test(b)).is_some_and(|(a, b)| a.and(b) == Some(None))
    }

    /// What `all` says beside `not`, if it does say that this does not hold.
    pub(super) fn beside(&mut self, all: Id, not: Id) -> Option<Id> {
        self.beside_within(all, not, DEPTH)
    }

    fn beside_within(&mut self, all: Id, not: Id, depth: u32) -> Option<Id> {
        match self.get(all) {
            Node::Binary(Binary::AndNot, rest, excluded) if excluded == not => Some(rest),
            Node::Binary(Binary::And, c, d) => {
                let depth = depth.checked_sub(1)?;
                let c = self.beside_within(c, not, depth)?;
                Some(self.binary(Binary::And, c, d))
            }
            _ => None,
        }
    }
}
