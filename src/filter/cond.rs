//! The boolean tree of tests: what lowering makes of the AST and the CFG is built from.
//!
//! Lowering turns every primitive into leaves (a comparison or a set membership) joined by n-ary
//! `and`/`or` and `not`. Evaluation order is left to right with short circuit, exactly as written;
//! the CFG builder turns the tree into blocks with explicit targets. Nodes live in an arena, their
//! steps and children in two more, so that a tree costs a handful of allocations whatever its size.
//! A node is used exactly once; no algorithm over them may recurse (depth is the user's).

use crate::bpf::{Insn, op};

/// Index of a node in a [`CondTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CondId(pub u32);

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
    arms: u32,
    sets: u32,
}

/// A run of children in the tree's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildRange {
    start: u32,
    len: u32,
}

/// One way to load the value of a membership test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// When this arm applies; `None` is always.
    pub guard: Option<CondId>,
    /// Steps that load the accumulator.
    pub stmts: StmtRange,
}

/// A run of arms in the tree's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmRange {
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
    /// Membership in a set. The first arm whose guard holds loads the value, which is then looked
    /// up; when no guard holds the node is false. The arms share one decision tree: this is how a
    /// list of hosts looks at IPv4 and ARP packets without paying twice.
    Set(ArmRange, SetId),
    /// Steps, then true: what they leave in registers and scratch memory is for later nodes.
    Run(StmtRange),
    /// Negation.
    Not(CondId),
    /// All of them, left to right.
    And(ChildRange),
    /// Any of them, left to right.
    Or(ChildRange),
}

/// Arena of [`Cond`] nodes.
#[derive(Clone, Debug, Default)]
pub struct CondTree {
    nodes: Vec<Cond>,
    /// Jumps are relative, as in a program.
    stmts: Vec<Insn>,
    inner_jumps: bool,
    children: Vec<CondId>,
    arms: Vec<Arm>,
    sets: Vec<Box<[(u32, u32)]>>,
}

/// Position in an arena; the text's length bounds them far below 2^32.
fn index(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 entries")
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

    /// A constant.
    pub fn constant(&mut self, value: bool) -> CondId {
        self.push(Cond::Const(value))
    }

    /// A comparison after `stmts`.
    pub fn test(&mut self, stmts: &[Stmt], compare: Compare) -> CondId {
        let stmts = self.add_stmts(stmts);
        self.push(Cond::Test(stmts, compare))
    }

    /// Steps, then true.
    pub fn run(&mut self, stmts: &[Stmt]) -> CondId {
        let stmts = self.add_stmts(stmts);
        self.push(Cond::Run(stmts))
    }

    /// A membership test of the value that `stmts` load.
    pub fn set(&mut self, stmts: &[Stmt], set: SetId) -> CondId {
        let arm = self.arm(None, stmts);
        self.select(&[arm], set)
    }

    /// A membership test with several ways to load the value (see [`Cond::Set`]).
    pub fn select(&mut self, arms: &[Arm], set: SetId) -> CondId {
        let start = index(self.arms.len());
        self.arms.extend_from_slice(arms);
        self.push(Cond::Set(ArmRange { start, len: index(arms.len()) }, set))
    }

    /// An arm for [`CondTree::select`].
    pub fn arm(&mut self, guard: Option<CondId>, stmts: &[Stmt]) -> Arm {
        Arm { guard, stmts: self.add_stmts(stmts) }
    }

    /// Registers a set; sorts and merges the inclusive intervals `(low, high)`, `low <= high`.
    /// Membership tests that are to share a decision tree must share the id.
    pub fn add_set(&mut self, mut intervals: Vec<(u32, u32)>) -> SetId {
        intervals.sort_unstable();
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
        self.push(Cond::Not(child))
    }

    /// All of `children`, left to right; true when there are none.
    pub fn and(&mut self, children: &[CondId]) -> CondId {
        match children {
            [only] => *only,
            _ => {
                let range = self.add_children(children);
                self.push(Cond::And(range))
            }
        }
    }

    /// Any of `children`, left to right; false when there are none.
    pub fn or(&mut self, children: &[CondId]) -> CondId {
        match children {
            [only] => *only,
            _ => {
                let range = self.add_children(children);
                self.push(Cond::Or(range))
            }
        }
    }

    /// Puts steps in front of those that are run first, whatever the packet.
    pub fn prepend(&mut self, root: CondId, steps: &[Stmt]) {
        let mut node = root;
        loop {
            let first_arm = match self.get(node) {
                Cond::Const(_) => return,
                Cond::Test(range, compare) => {
                    let range = self.joined(steps, range);
                    self.nodes[node.0 as usize] = Cond::Test(range, compare);
                    return;
                }
                Cond::Run(range) => {
                    let range = self.joined(steps, range);
                    self.nodes[node.0 as usize] = Cond::Run(range);
                    return;
                }
                Cond::Not(child) => {
                    node = child;
                    continue;
                }
                Cond::And(range) | Cond::Or(range) => match self.children(range) {
                    [first, ..] => {
                        node = *first;
                        continue;
                    }
                    [] => return,
                },
                Cond::Set(arms, _) => arms.start as usize,
            };
            match self.arms[first_arm] {
                Arm { guard: Some(guard), .. } => node = guard,
                Arm { guard: None, stmts } => {
                    self.arms[first_arm].stmts = self.joined(steps, stmts);
                    return;
                }
            }
        }
    }

    /// Steps, then those of a range, whose jumps stay relative.
    fn joined(&mut self, steps: &[Stmt], range: StmtRange) -> StmtRange {
        let all = self.add_stmts(steps);
        let (start, len) = (range.start as usize, range.len as usize);
        self.stmts.extend_from_within(start..start + len);
        StmtRange { start: all.start, len: all.len + range.len }
    }

    /// The state as it is now.
    pub fn mark(&self) -> Mark {
        Mark {
            nodes: index(self.nodes.len()),
            stmts: index(self.stmts.len()),
            children: index(self.children.len()),
            arms: index(self.arms.len()),
            sets: index(self.sets.len()),
        }
    }

    /// Forgets the nodes made since a mark: nothing may refer to them.
    pub fn rewind(&mut self, mark: Mark) {
        self.nodes.truncate(mark.nodes as usize);
        self.stmts.truncate(mark.stmts as usize);
        self.children.truncate(mark.children as usize);
        self.arms.truncate(mark.arms as usize);
        self.sets.truncate(mark.sets as usize);
    }

    /// The node behind an id.
    pub fn get(&self, id: CondId) -> Cond {
        self.nodes[id.0 as usize]
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Most blocks that a graph of the tree takes beside its ends.
    pub fn block_count(&self) -> usize {
        let inner = |node: &&Cond| matches!(node, Cond::Not(_) | Cond::And(_) | Cond::Or(_));
        self.nodes.len() - self.nodes.iter().filter(inner).count() + 2 * self.arms.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The steps of a range.
    pub fn stmts(&self, range: StmtRange) -> &[Insn] {
        &self.stmts[range.start as usize..][..range.len as usize]
    }

    /// The children of a range.
    pub fn children(&self, range: ChildRange) -> &[CondId] {
        &self.children[range.start as usize..][..range.len as usize]
    }

    /// The first child of a range and the others.
    pub fn split_first(&self, range: ChildRange) -> Option<(CondId, ChildRange)> {
        let ChildRange { start, len } = range;
        let first = *self.children(range).first()?;
        Some((first, ChildRange { start: start + 1, len: len - 1 }))
    }

    /// The arms of a range.
    pub fn arms(&self, range: ArmRange) -> &[Arm] {
        &self.arms[range.start as usize..][..range.len as usize]
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

    fn push(&mut self, node: Cond) -> CondId {
        let id = CondId(index(self.nodes.len()));
        self.nodes.push(node);
        id
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
