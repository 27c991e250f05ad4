//! The control flow graph: basic blocks in an arena, ids for pointers.
//!
//! Built from the [`CondTree`] from its last node to its first, with an explicit stack: every node is
//! given the blocks to go to when it is true and when it is false, so `and`, `or` and `not`
//! leave nothing behind. The graph has no cycles; only the steps inside a block of a `protochain`
//! program jump backward, and such a program is not optimized.

use super::cond::{ChildRange, Compare, Cond, CondId, CondTree, SetId, StmtRange};
use super::stack::Stack;
use crate::bpf::Insn;

/// Index of a [`Block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId(pub u32);

impl BlockId {
    /// As an index into the arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a block asks of the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestOp {
    /// Compare it.
    Compare(Compare),
    /// Look it up in a set.
    In(SetId),
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// Return a constant.
    Ret(u32),
    /// Go on elsewhere.
    Goto(BlockId),
    /// Test and go one of two ways.
    If {
        /// The test.
        test: TestOp,
        /// Where to go when it holds.
        jt: BlockId,
        /// Where to go when it does not.
        jf: BlockId,
    },
}

/// A basic block: a run of the arena's instructions and an end.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// First instruction.
    pub start: u32,
    /// Number of instructions.
    pub len: u32,
    /// How it ends.
    pub term: Term,
}

/// A control flow graph.
#[derive(Clone, Debug)]
pub struct Cfg {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Instructions of all blocks.
    pub insns: Vec<Insn>,
    /// The sets that [`TestOp::In`] names.
    pub sets: Vec<Box<[(u32, u32)]>>,
    /// Where the program starts.
    pub root: BlockId,
    /// Some block's steps hold jumps (always to steps of the same block, relative as in a program).
    pub inner_jumps: bool,
    /// The root reaches all blocks, and they are numbered in the order of a program
    /// ([`Cfg::postorder`], read backward).
    pub in_order: bool,
}

/// Makes the graph of a tree; accepted packets return `snaplen`, others 0.
pub fn build(mut tree: CondTree, root: CondId, snaplen: u32) -> Cfg {
    let (stmts, inner_jumps) = tree.take_stmts();
    let (leaves, steps) = tree.graph_size();
    // Every block has instructions of its own.
    let (insns, shared) = match tree.is_shared() {
        true => (Vec::with_capacity(steps), stmts),
        false => (stmts, Vec::new()),
    };
    let mut blocks = Vec::with_capacity(leaves + 2);
    blocks.extend([snaplen, 0].map(|value| Block { start: 0, len: 0, term: Term::Ret(value) }));
    let (sets, in_order) = (tree.take_sets(), !inner_jumps);
    let cfg = Cfg { blocks, insns, sets, root: ACCEPT, inner_jumps, in_order };
    let mut builder = Builder { cfg, tree, shared };
    builder.cfg.root = builder.run(root);
    builder.into_order()
}

/// The ends of the program while it is built.
const ACCEPT: BlockId = BlockId(0);
const REJECT: BlockId = BlockId(1);

/// A group whose last children are built.
#[derive(Clone, Copy)]
struct Group {
    /// Those that are left.
    children: ChildRange,
    is_and: bool,
    jt: BlockId,
    jf: BlockId,
}

/// Goes through the tree from its end to its start: where a block leads is known when it is made.
struct Builder {
    cfg: Cfg,
    tree: CondTree,
    /// The steps of all nodes, where nodes may share them.
    shared: Vec<Insn>,
}

impl Builder {
    /// Builds a tree; returns where it starts.
    fn run(&mut self, root: CondId) -> BlockId {
        let (mut node, mut jt, mut jf) = (root, ACCEPT, REJECT);
        // The group around the node at hand, and those around that one.
        let mut group = Group { children: ChildRange::default(), is_and: false, jt, jf };
        let mut around = Stack::<Group, 8>::new(group);
        loop {
            let entry = match self.tree.get(node) {
                Cond::Test(steps, compare) => {
                    self.add(steps, Term::If { test: TestOp::Compare(compare), jt, jf })
                }
                Cond::Set(steps, set) => {
                    self.add(steps, Term::If { test: TestOp::In(set), jt, jf })
                }
                Cond::Not(child) => {
                    (node, jt, jf) = (child, jf, jt);
                    continue;
                }
                // What leads only one way may leave blocks that nothing leads to.
                Cond::Run(steps) => {
                    self.cfg.in_order = false;
                    self.add(steps, Term::Goto(jt))
                }
                Cond::Const(value) => {
                    self.cfg.in_order = false;
                    if value { jt } else { jf }
                }
                Cond::And(children) => {
                    around.push(std::mem::replace(
                        &mut group,
                        Group { children, is_and: true, jt, jf },
                    ));
                    jt
                }
                Cond::Or(children) => {
                    around.push(std::mem::replace(
                        &mut group,
                        Group { children, is_and: false, jt, jf },
                    ));
                    jf
                }
            };
            (node, jt, jf) = loop {
                if let Some((last, others)) = self.tree.split_last(group.children) {
                    group.children = others;
                    break match group.is_and {
                        true => (last, entry, group.jf),
                        false => (last, group.jt, entry),
                    };
                }
                let Some(outer) = around.pop() else {
                    return entry;
                };
                group = outer;
            };
        }
    }

    /// Appends a block.
    fn add(&mut self, StmtRange { mut start, len }: StmtRange, term: Term) -> BlockId {
        if !self.shared.is_empty() {
            let steps = &self.shared[start as usize..][..len as usize];
            start = self.cfg.insns.len() as u32;
            self.cfg.insns.extend_from_slice(steps);
        }
        let id = BlockId(self.cfg.blocks.len() as u32);
        self.cfg.blocks.push(Block { start, len, term });
        id
    }

    /// The graph with its blocks from the first to the last. Each test leads, in one way or another, to
    /// all that comes after it in the same group; so this is the order of [`Cfg::postorder`] read
    /// backward, if the end that is reached by "false" alone comes last.
    fn into_order(self) -> Cfg {
        let mut cfg = self.cfg;
        let mut end = cfg.root;
        while let Term::If { jf: next, .. } | Term::Goto(next) = cfg.block(end).term {
            end = next;
        }
        let swaps = u32::from(end == REJECT);
        cfg.blocks.swap(0, swaps as usize);
        let last = cfg.blocks.len() as u32 - 1;
        let place = |BlockId(at): BlockId| BlockId(last - if at < 2 { at ^ swaps } else { at });
        cfg.blocks.reverse();
        for block in &mut cfg.blocks {
            match &mut block.term {
                Term::Ret(_) => {}
                Term::Goto(next) => *next = place(*next),
                Term::If { jt, jf, .. } => (*jt, *jf) = (place(*jt), place(*jf)),
            }
        }
        cfg.root = place(cfg.root);
        cfg
    }
}

impl Cfg {
    /// The block behind an id.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.index()]
    }

    /// Where a block's instructions stand.
    pub fn range(&self, id: BlockId) -> std::ops::Range<usize> {
        let block = self.block(id);
        block.start as usize..(block.start + block.len) as usize
    }

    /// The instructions of a block.
    pub fn insns_of(&self, id: BlockId) -> &[Insn] {
        &self.insns[self.range(id)]
    }

    /// Appends a block without instructions.
    pub fn add_block(&mut self, term: Term) -> BlockId {
        let id = BlockId(u32::try_from(self.blocks.len()).expect("fewer than 2^32 blocks"));
        self.blocks.push(Block { start: 0, len: 0, term });
        id
    }

    /// Blocks that the root reaches, every block behind all of its successors; of two successors
    /// the one for "false" comes first. Read backward it is the order of the blocks in a program.
    pub fn postorder(&self) -> Vec<BlockId> {
        let mut order = Vec::with_capacity(self.blocks.len());
        let mut seen = vec![false; self.blocks.len()];
        let mut walk = Walk::start(self, |id| !std::mem::replace(&mut seen[id.index()], true));
        while let Some(id) = walk.next(self, |id| !std::mem::replace(&mut seen[id.index()], true)) {
            order.push(id);
        }
        order
    }
}

/// A walk through the graph in postorder ([`Cfg::postorder`]). Who walks keeps account of the blocks:
/// `discover` says whether a block has not been seen so far, and takes note of it.
#[derive(Debug)]
pub(super) struct Walk {
    /// Blocks whose successors are being visited, with the successor that is left, or itself.
    stack: Stack<(BlockId, BlockId), 32>,
}

impl Walk {
    /// Begins at the root.
    pub fn start(cfg: &Cfg, discover: impl FnMut(BlockId) -> bool) -> Self {
        let mut walk = Self { stack: Stack::new((cfg.root, cfg.root)) };
        walk.descend(cfg, cfg.root, discover);
        walk
    }

    /// The next block.
    pub fn next(
        &mut self,
        cfg: &Cfg,
        mut discover: impl FnMut(BlockId) -> bool,
    ) -> Option<BlockId> {
        loop {
            let (id, left) = self.stack.last_mut()?;
            let (this, next) = (*id, std::mem::replace(left, *id));
            if next == this {
                self.stack.pop();
                return Some(this);
            }
            self.descend(cfg, next, &mut discover);
        }
    }

    /// Goes to a block and on to first successors as long as they are new.
    fn descend(&mut self, cfg: &Cfg, from: BlockId, mut discover: impl FnMut(BlockId) -> bool) {
        let mut id = from;
        while discover(id) {
            let (first, second) = match cfg.block(id).term {
                Term::If { jt, jf, .. } => (jf, jt),
                Term::Goto(to) => (to, id),
                Term::Ret(_) => (id, id),
            };
            self.stack.push((id, second));
            id = first;
        }
    }
}
