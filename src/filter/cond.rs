//! The boolean tree of tests: what lowering makes of the AST and the CFG is built from.
//!
//! Lowering turns every primitive into leaves (a comparison or a set membership) joined by n-ary
//! `and`/`or` and `not`. Evaluation order is left to right with short circuit, exactly as written;
//! the CFG builder turns the tree into blocks with explicit targets. Nodes live in an arena, their
//! steps and children in two more, so that a tree costs a handful of allocations whatever its size.
//! In large trees equal nodes are shared where that is cheap to find out: "is it IPv4" is there once
//! for many terms. A node never changes; no algorithm over them may recurse (depth is the user's).

mod prepend;
mod recent;

use crate::bpf::{Insn, op};
use recent::Recent;

/// A node of a [`CondTree`], or its negation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CondId(u32);

/// Negation costs a bit of the id, and no node. Neither do constants: 0 is false.
const NOT: u32 = 1 << 31;

impl CondId {
    /// Its number, which is greater than those of its children; that of constants is 0.
    pub fn index(self) -> usize {
        (self.0 & !NOT) as usize
    }

    /// Always true or always false.
    pub fn constant(value: bool) -> Self {
        Self(if value { NOT } else { 0 })
    }

    /// The value of a constant.
    pub fn as_constant(self) -> Option<bool> {
        (self.index() == 0).then_some(self.is_negation())
    }

    /// The node's negation.
    pub fn negated(self) -> Self {
        Self(self.0 ^ NOT)
    }

    /// Whether the node is negated.
    pub fn is_negation(self) -> bool {
        self.0 & NOT != 0
    }

    /// As one word, which is never `u32::MAX`.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// The id of a word that [`CondId::to_bits`] gave.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Index of a set of intervals in a [`CondTree`] (and in the CFG made of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetId(pub u32);

/// One step inside a basic block, as the lowering writes it; the tree keeps instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Any instruction but jumps and returns.
    Insn(Insn),
    /// A conditional jump to steps of the same block (variable-length link headers, `protochain`).
    /// `jt` and `jf` are indices into the block's steps, both behind this step and at most 255
    /// steps away; the index one past the last step is the block's test.
    Branch {
        /// `JMP|…` code with the source bit.
        code: u16,
        /// Operand when the source is K.
        k: u32,
        /// Step when true.
        jt: u32,
        /// Step when false.
        jf: u32,
    },
    /// An unconditional jump to a step of the same block. Backward only in `protochain`, whose
    /// programs are never optimized.
    Goto(u32),
}

/// A comparison of the accumulator that ends a basic block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compare {
    /// `JMP|JEQ`, `JMP|JGT`, `JMP|JGE` or `JMP|JSET`, with the source bit `K` or `X`.
    pub code: u16,
    /// Operand when the source is K.
    pub k: u32,
}

/// A run of steps in the tree's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StmtRange {
    /// The first.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// A state of a tree to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    nodes: u32,
    stmts: u32,
    children: u32,
    sets: u32,
    uses: Uses,
}

/// A run of children in the tree's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildRange {
    start: u32,
    len: u32,
}

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// Always true or always false.
    Const(bool),
    /// Steps that load the accumulator, then a comparison.
    Test(StmtRange, Compare),
    /// Steps that load the accumulator, then membership in a set.
    Set(StmtRange, SetId),
    /// Steps, then true: what they leave in registers and scratch memory is for later nodes.
    Run(StmtRange),
    /// Negation.
    Not(CondId),
    /// All of them, left to right.
    And(ChildRange),
    /// Any of them, left to right.
    Or(ChildRange),
}

/// A node as it is kept: [`Cond`] without negation and constants, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// All jump codes fit a byte.
    Test {
        code: u8,
        k: u32,
        steps: StmtRange,
    },
    Set(StmtRange, SetId),
    Run(StmtRange),
    And(ChildRange),
    Or(ChildRange),
}

/// What a graph of the tree takes at most: shared nodes count as often as they are used.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    leaves: u32,
    steps: u32,
}

/// Arena of [`Cond`] nodes.
#[derive(Clone, Debug, Default)]
pub struct CondTree {
    nodes: Vec<Node>,
    /// Jumps are relative, as in a program.
    stmts: Vec<Insn>,
    inner_jumps: bool,
    children: Vec<CondId>,
    sets: Vec<Box<[(u32, u32)]>>,
    uses: Uses,
    recent: Option<Box<Recent>>,
}

/// Trees of fewer nodes share none.
const LARGE: usize = 256;

/// Position in an arena; the text's length bounds them far below 2^31.
fn index(len: usize) -> u32 {
    u32::try_from(len).ok().filter(|&len| len < !NOT).expect("fewer than 2^31 entries")
}

/// Sorts intervals by their ends.
pub fn sort(intervals: &mut [(u32, u32)]) {
    // As one number each they are compared without a branch.
    intervals.sort_unstable_by_key(|&(low, high)| u64::from(low) << 32 | u64::from(high));
}

impl CondTree {
    /// An empty tree with room for what most filters need.
    pub fn new() -> Self {
        Self {
            nodes: Vec::with_capacity(48),
            stmts: Vec::with_capacity(64),
            children: Vec::with_capacity(48),
            ..Self::default()
        }
    }

    /// A comparison after `stmts`.
    pub fn test(&mut self, stmts: &[Stmt], Compare { code, k }: Compare) -> CondId {
        let steps = self.add_stmts(stmts);
        self.shared(Node::Test { code: code as u8, k, steps })
    }

    /// A comparison after instructions without jumps.
    pub fn plain_test(&mut self, insns: &[Insn], Compare { code, k }: Compare) -> CondId {
        let start = index(self.stmts.len());
        match insns {
            // Most are one load.
            [only] => self.stmts.push(*only),
            _ => self.stmts.extend_from_slice(insns),
        }
        let len = insns.len() as u32;
        self.uses.steps += len;
        self.shared(Node::Test { code: code as u8, k, steps: StmtRange { start, len } })
    }

    /// Steps, then true.
    pub fn run(&mut self, stmts: &[Stmt]) -> CondId {
        let steps = self.add_stmts(stmts);
        self.shared(Node::Run(steps))
    }

    /// A membership test of the value that `stmts` load.
    pub fn set(&mut self, stmts: &[Stmt], set: SetId) -> CondId {
        let steps = self.add_stmts(stmts);
        self.push(Node::Set(steps, set))
    }

    /// Registers a set; sorts and merges the inclusive intervals `(low, high)`, `low <= high`.
    /// Membership tests that are to share a decision tree must share the id.
    pub fn add_set(&mut self, mut intervals: Vec<(u32, u32)>) -> SetId {
        sort(&mut intervals);
        intervals.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1.saturating_add(1);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        let id = SetId(index(self.sets.len()));
        self.sets.push(intervals.into_boxed_slice());
        id
    }

    /// Negation.
    pub fn not(&mut self, child: CondId) -> CondId {
        child.negated()
    }

    /// All of `children`, left to right; true when there are none.
    pub fn and(&mut self, children: &[CondId]) -> CondId {
        match children {
            [only] => *only,
            _ => self.group(children, Node::And),
        }
    }

    /// Any of `children`, left to right; false when there are none.
    pub fn or(&mut self, children: &[CondId]) -> CondId {
        match children {
            [only] => *only,
            _ => self.group(children, Node::Or),
        }
    }

    /// Makes room for so many times as much.
    pub fn reserve(&mut self, times: usize) {
        self.nodes.reserve(self.nodes.len() * times);
        self.stmts.reserve(self.stmts.len() * times);
        self.children.reserve(self.children.len() * times);
    }

    /// The state as it is now.
    pub fn mark(&self) -> Mark {
        Mark {
            nodes: index(self.nodes.len()),
            stmts: index(self.stmts.len()),
            children: index(self.children.len()),
            sets: index(self.sets.len()),
            uses: self.uses,
        }
    }

    /// Forgets the nodes made since a mark: nothing may refer to them.
    pub fn rewind(&mut self, mark: Mark) {
        self.nodes.truncate(mark.nodes as usize);
        self.stmts.truncate(mark.stmts as usize);
        self.children.truncate(mark.children as usize);
        self.sets.truncate(mark.sets as usize);
        self.uses = mark.uses;
    }

    /// The node behind an id.
    pub fn get(&self, id: CondId) -> Cond {
        if let Some(value) = id.as_constant() {
            return Cond::Const(value);
        }
        if id.is_negation() {
            return Cond::Not(id.negated());
        }
        match self.nodes[id.index() - 1] {
            Node::Test { code, k, steps } => Cond::Test(steps, Compare { code: code.into(), k }),
            Node::Set(steps, set) => Cond::Set(steps, set),
            Node::Run(steps) => Cond::Run(steps),
            Node::And(range) => Cond::And(range),
            Node::Or(range) => Cond::Or(range),
        }
    }

    /// How many numbers ([`CondId::index`]) there are.
    pub fn numbers(&self) -> usize {
        self.nodes.len() + 1
    }

    /// The node with a number.
    pub fn numbered(&self, number: usize) -> CondId {
        CondId(index(number))
    }

    /// Most blocks that a graph of the tree takes beside its ends, and most steps.
    pub fn graph_size(&self) -> (usize, usize) {
        (self.uses.leaves as usize, self.uses.steps as usize)
    }

    /// Whether nodes may be used more than once.
    pub fn is_shared(&self) -> bool {
        self.recent.is_some()
    }

    /// The steps of a range.
    pub fn stmts(&self, range: StmtRange) -> &[Insn] {
        &self.stmts[range.start as usize..][..range.len as usize]
    }

    /// The children of a range.
    pub fn children(&self, range: ChildRange) -> &[CondId] {
        &self.children[range.start as usize..][..range.len as usize]
    }

    /// The last child of a range and the others.
    pub fn split_last(&self, range: ChildRange) -> Option<(CondId, ChildRange)> {
        let ChildRange { start, len } = range;
        let len = len.checked_sub(1)?;
        Some((self.children[(start + len) as usize], ChildRange { start, len }))
    }

    /// The intervals of a set: inclusive, sorted, disjoint, not touching.
    pub fn intervals(&self, set: SetId) -> &[(u32, u32)] {
        &self.sets[set.0 as usize]
    }

    /// Whether a value is in a set.
    pub fn contains(&self, set: SetId, value: u32) -> bool {
        let set = self.intervals(set);
        let above = set.partition_point(|&(low, _)| low <= value);
        set[..above].last().is_some_and(|&(_, high)| value <= high)
    }

    /// All sets, indexed by [`SetId`].
    pub fn take_sets(&mut self) -> Vec<Box<[(u32, u32)]>> {
        std::mem::take(&mut self.sets)
    }

    /// The steps of all nodes, to which [`StmtRange`]s refer, and whether some of them are jumps.
    pub fn take_stmts(&mut self) -> (Vec<Insn>, bool) {
        (std::mem::take(&mut self.stmts), self.inner_jumps)
    }

    fn push(&mut self, node: Node) -> CondId {
        self.nodes.push(node);
        self.uses.leaves += 1;
        CondId(index(self.nodes.len()))
    }

    /// A leaf whose steps are the last of all: one made before, if it is known.
    #[inline]
    fn shared(&mut self, node: Node) -> CondId {
        if self.nodes.len() < LARGE { self.push(node) } else { self.push_shared(node) }
    }

    fn push_shared(&mut self, mut node: Node) -> CondId {
        let recent = self.recent.get_or_insert_default();
        if let Node::Test { steps, .. } | Node::Run(steps) = &mut node
            && let Some(known) = recent.steps(&self.stmts, *steps)
        {
            self.stmts.truncate(steps.start as usize);
            *steps = known;
        }
        match recent.leaf(&self.nodes, &node) {
            Some(known) => {
                self.uses.leaves += 1;
                CondId(known + 1)
            }
            None => self.push(node),
        }
    }

    fn group(&mut self, children: &[CondId], node: fn(ChildRange) -> Node) -> CondId {
        if self.nodes.len() >= LARGE && children.len() <= recent::GROUP {
            let is_and = matches!(node(ChildRange::default()), Node::And(_));
            let recent = self.recent.get_or_insert_default();
            if let Some(known) = recent.group(&self.nodes, &self.children, is_and, children) {
                return CondId(known + 1);
            }
        }
        let range = self.add_children(children);
        self.nodes.push(node(range));
        CondId(index(self.nodes.len()))
    }

    fn add_stmts(&mut self, stmts: &[Stmt]) -> StmtRange {
        let start = index(self.stmts.len());
        for (at, stmt) in (0i64..).zip(stmts) {
            let relative = |step: u32| i64::from(step) - at - 1;
            let near = |step| u8::try_from(relative(step)).expect("steps of a block are near");
            let insn = match *stmt {
                Stmt::Insn(insn) => insn,
                Stmt::Branch { code, k, jt, jf } => Insn::jump(code, k, near(jt), near(jf)),
                // The machine adds modulo 2^32: a backward jump is a large k.
                Stmt::Goto(step) => Insn::stmt(op::JMP | op::JA, relative(step) as u32),
            };
            self.inner_jumps |= op::class(insn.code) == op::JMP;
            self.stmts.push(insn);
        }
        self.uses.steps += index(stmts.len());
        StmtRange { start, len: index(stmts.len()) }
    }

    fn add_children(&mut self, children: &[CondId]) -> ChildRange {
        let start = index(self.children.len());
        self.children.extend_from_slice(children);
        ChildRange { start, len: index(children.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sorted_and_merged() {
        let mut tree = CondTree::default();
        let set = tree.add_set(vec![(5, 7), (1, 1), (2, 3), (8, 8), (u32::MAX, u32::MAX), (6, 6)]);
        assert_eq!(tree.intervals(set), [(1, 3), (5, 8), (u32::MAX, u32::MAX)]);
        let set = tree.add_set(vec![(0, u32::MAX), (u32::MAX, u32::MAX), (3, 4)]);
        assert_eq!(tree.intervals(set), [(0, u32::MAX)]);
    }
}
