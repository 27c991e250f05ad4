//! The boolean tree of tests: what lowering makes of the AST and the CFG is built from.
//!
//! Lowering turns every primitive into leaves ([`Test`], [`SetTest`]) joined by n-ary `and`/`or`
//! and `not`. Evaluation order is left to right with short circuit, exactly as written; the CFG
//! builder turns the tree into blocks with explicit targets. Nodes live in an arena and are used
//! exactly once; no algorithm over them may recurse (depth is the user's).

use crate::bpf::Insn;

/// Index of a node in a [`CondTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CondId(pub u32);

/// One step inside a basic block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Any instruction but jumps and returns.
    Insn(Insn),
    /// A conditional jump to steps of the same block (variable-length link headers, `protochain`).
    /// `jt` and `jf` are indices into the block's steps; the index one past the last step is the
    /// block's test. Backward only in `protochain`, whose programs are never optimized.
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
    /// An unconditional jump to a step of the same block.
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

/// Steps that load the accumulator, then a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// Steps before the comparison.
    pub stmts: Vec<Stmt>,
    /// The comparison.
    pub compare: Compare,
}

/// Membership of the accumulator in a set of intervals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetTest {
    /// Steps that load the accumulator.
    pub stmts: Vec<Stmt>,
    /// Inclusive intervals, sorted, disjoint, not touching.
    pub intervals: Vec<(u32, u32)>,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cond {
    /// Always true or always false.
    Const(bool),
    /// One comparison.
    Test(Test),
    /// Set membership, expanded to a decision tree by the CFG builder.
    Set(SetTest),
    /// Negation.
    Not(CondId),
    /// All of them, left to right.
    And(Vec<CondId>),
    /// Any of them, left to right.
    Or(Vec<CondId>),
}

/// Arena of [`Cond`] nodes.
#[derive(Clone, Debug, Default)]
pub struct CondTree {
    nodes: Vec<Cond>,
}

impl CondTree {
    /// Adds a node.
    pub fn push(&mut self, node: Cond) -> CondId {
        let id = CondId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    /// The node behind an id.
    pub fn get(&self, id: CondId) -> &Cond {
        &self.nodes[id.0 as usize]
    }

    /// The node behind an id, to change it.
    pub fn get_mut(&mut self, id: CondId) -> &mut Cond {
        &mut self.nodes[id.0 as usize]
    }
}
