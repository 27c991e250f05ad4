//! What is computed for every lane, as a graph without control flow.

use std::collections::HashMap;

/// A node, by its position.
pub(in crate::bpf::jit) type Id = u32;

/// A value of 32 bits in every lane. Conditions are all ones or all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::bpf::jit) enum Node {
    /// The same number in all lanes.
    Const(u32),
    /// The packet's length.
    Len,
    /// Four bytes at a constant offset, in the order of memory; every packet has them.
    Column(u32),
    /// Four bytes at an offset of each lane's own, in the order of memory. Every packet has them,
    /// and what they are matters only in lanes of `wanted`.
    Gather { address: Id, wanted: Id },
    /// The number in `size` bytes of four, from byte `at` on, in network order.
    Field { bytes: Id, at: u8, size: u8 },
    /// Two operands.
    Binary(Binary, Id, Id),
    /// Shifted by a constant below 32.
    ShiftLeft(Id, u8),
    /// Likewise.
    ShiftRight(Id, u8),
    /// `yes` in lanes of `mask`, `no` in others.
    Select { mask: Id, yes: Id, no: Id },
    /// Before instruction `index`: where no lane is left, `accept` is the result.
    Exit { left: Id, accept: Id, index: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::bpf::jit) enum Binary {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    /// Shifts; 0 from 32 on.
    Shl,
    Shr,
    /// The first where the second is not.
    AndNot,
    Equal,
    /// As signed numbers.
    Greater,
    /// As unsigned numbers.
    AtLeast,
}

impl Binary {
    pub(in crate::bpf::jit) fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul | Self::And | Self::Or | Self::Xor | Self::Equal)
    }
}

impl Node {
    /// What it is computed from.
    pub(in crate::bpf::jit) fn operands(self) -> [Option<Id>; 3] {
        match self {
            Self::Const(_) | Self::Len | Self::Column(_) => [None; 3],
            Self::Field { bytes: a, .. } | Self::ShiftLeft(a, _) | Self::ShiftRight(a, _) => {
                [Some(a), None, None]
            }
            Self::Gather { address: a, wanted: b } | Self::Binary(_, a, b) => {
                [Some(a), Some(b), None]
            }
            Self::Select { mask, yes, no } => [Some(mask), Some(yes), Some(no)],
            Self::Exit { left, accept, .. } => [Some(left), Some(accept), None],
        }
    }
}

/// Nodes, each once, operands before what uses them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    /// Most a node can be, as an unsigned number.
    max: Vec<u32>,
    known: HashMap<Node, Id>,
}

impl Nodes {
    pub(super) fn get(&self, id: Id) -> Node {
        self.nodes[id as usize]
    }

    pub(super) fn into_vec(self) -> Vec<Node> {
        self.nodes
    }

    pub(super) fn max(&self, id: Id) -> u32 {
        self.max[id as usize]
    }

    pub(super) fn add(&mut self, node: Node) -> Id {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = self.nodes.len() as Id;
        self.max.push(self.bound(node));
        self.nodes.push(node);
        self.known.insert(node, id);
        id
    }

    fn bound(&self, node: Node) -> u32 {
        let bound = match node {
            Node::Const(k) => Some(k),
            Node::Len => Some(i32::MAX as u32),
            Node::Field { size, .. } => Some(u32::MAX >> (32 - 8 * u32::from(size))),
            Node::Binary(Binary::Add, a, b) => self.max(a).checked_add(self.max(b)),
            Node::Binary(Binary::Mul, a, b) => self.max(a).checked_mul(self.max(b)),
            Node::Binary(Binary::And, a, b) => Some(self.max(a).min(self.max(b))),
            Node::Binary(Binary::AndNot | Binary::Shr, a, _) => Some(self.max(a)),
            Node::ShiftLeft(a, by) => self.max(a).checked_mul(1 << by),
            Node::ShiftRight(a, by) => Some(self.max(a) >> by),
            Node::Select { yes, no, .. } => Some(self.max(yes).max(self.max(no))),
            _ => None,
        };
        bound.unwrap_or(u32::MAX)
    }

    pub(super) fn constant(&mut self, k: u32) -> Id {
        self.add(Node::Const(k))
    }

    pub(super) fn as_constant(&self, id: Id) -> Option<u32> {
        if let Node::Const(k) = self.get(id) { Some(k) } else { None }
    }

    pub(super) fn binary(&mut self, operation: Binary, a: Id, b: Id) -> Id {
        match (self.as_constant(a), self.as_constant(b)) {
            (Some(a), Some(b)) => self.constant(fold(operation, a, b)),
            (Some(_), None) if operation.commutes() => self.simplify(operation, b, a),
            _ => self.simplify(operation, a, b),
        }
    }

    /// A constant that commutes is the second operand.
    fn simplify(&mut self, operation: Binary, a: Id, b: Id) -> Id {
        let neutral = match (operation, self.as_constant(b)) {
            (Binary::And, Some(u32::MAX)) | (Binary::Add | Binary::Or, Some(0)) => Some(a),
            (Binary::AndNot, Some(0)) => Some(a),
            (Binary::And, Some(0)) | (Binary::AndNot, Some(u32::MAX)) => Some(b),
            _ => None,
        };
        match neutral {
            Some(id) if operation == Binary::AndNot && id == b => self.constant(0),
            Some(id) => id,
            None if operation == Binary::AndNot && self.as_constant(a) == Some(0) => a,
            None if a == b && matches!(operation, Binary::And | Binary::Or) => a,
            None => match operation {
                Binary::And => self.both(a, b),
                Binary::Or => self.either(a, b),
                Binary::AndNot => self.except(a, b),
                Binary::Equal => self.is_equal(a, b),
                _ => self.add(Node::Binary(operation, a, b)),
            },
        }
    }

    fn is_equal(&mut self, a: Id, b: Id) -> Id {
        let simple = self.as_constant(b).and_then(|k| self.equal(a, k));
        simple.unwrap_or_else(|| self.add(Node::Binary(Binary::Equal, a, b)))
    }

    /// What is tested after `x == 1` failed need not say so when it is `x == 2`.
    fn both(&mut self, a: Id, b: Id) -> Id {
        if let Some(all) = self.with_test(a, b) {
            return all;
        }
        match self.get(a) {
            Node::Binary(Binary::AndNot, within, not) if self.exclude(not, b) => {
                self.binary(Binary::And, within, b)
            }
            _ => self.add(Node::Binary(Binary::And, a, b)),
        }
    }

    /// Chains of alternatives: `(r and c) or (r and not c and d)` is `r and (c or d)`.
    fn either(&mut self, a: Id, b: Id) -> Id {
        use Binary::{And, AndNot, Or};
        if let (Node::Binary(And, r, c), Node::Binary(And, s, d)) = (self.get(a), self.get(b))
            && (r == s || self.get(s) == Node::Binary(AndNot, r, c))
        {
            let any = self.binary(Or, c, d);
            return self.binary(And, r, any);
        }
        if let Some(other) = self.beside(b, a) {
            return self.binary(Or, a, other);
        }
        // `(r and not c) or (r and c and not d)` is `r and not (c and d)`.
        if let (Node::Binary(AndNot, r, c), Node::Binary(AndNot, s, d)) = (self.get(a), self.get(b))
            && self.binary(And, r, c) == s
        {
            let all = self.binary(And, c, d);
            return self.binary(AndNot, r, all);
        }
        self.add(Node::Binary(Or, a, b))
    }

    fn except(&mut self, a: Id, b: Id) -> Id {
        if let Node::Binary(Binary::AndNot, within, not) = self.get(a) {
            let nots = self.binary(Binary::Or, not, b);
            return self.binary(Binary::AndNot, within, nots);
        }
        self.add(Node::Binary(Binary::AndNot, a, b))
    }

    /// Whether two conditions never hold together, as far as that is seen at once.
    fn exclude(&self, a: Id, b: Id) -> bool {
        match self.get(a) {
            Node::Binary(Binary::Or, c, d) => self.exclude(c, b) && self.exclude(d, b),
            _ => self.tests_exclude(a, b),
        }
    }

    /// Whether all lanes of `a` are lanes of `b`, as far as that is seen at once.
    pub(super) fn implies(&self, a: Id, b: Id) -> bool {
        a == b
            || self.test_implies(a, b)
            || match self.get(a) {
                Node::Binary(Binary::AndNot, within, _) => self.implies(within, b),
                Node::Binary(Binary::And, c, d) => self.implies(c, b) || self.implies(d, b),
                _ => false,
            }
    }

    pub(super) fn select(&mut self, mask: Id, yes: Id, no: Id) -> Id {
        if yes == no { yes } else { self.add(Node::Select { mask, yes, no }) }
    }

    pub(super) fn shift_left(&mut self, a: Id, by: u32) -> Id {
        match (self.as_constant(a), by) {
            (_, 0) => a,
            (_, 32..) => self.constant(0),
            (Some(k), _) => self.constant(k << by),
            _ => self.add(Node::ShiftLeft(a, by as u8)),
        }
    }

    pub(super) fn shift_right(&mut self, a: Id, by: u32) -> Id {
        match (self.as_constant(a), by) {
            (_, 0) => a,
            (_, 32..) => self.constant(0),
            (Some(k), _) => self.constant(k >> by),
            _ => self.add(Node::ShiftRight(a, by as u8)),
        }
    }
}

fn fold(operation: Binary, a: u32, b: u32) -> u32 {
    let condition = |holds: bool| if holds { u32::MAX } else { 0 };
    match operation {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Shl => a.checked_shl(b).unwrap_or(0),
        Binary::Shr => a.checked_shr(b).unwrap_or(0),
        Binary::AndNot => a & !b,
        Binary::Equal => condition(a == b),
        Binary::Greater => condition(a as i32 > b as i32),
        Binary::AtLeast => condition(a >= b),
    }
}
