//! The control flow graph: basic blocks in an arena, ids for pointers.
//!
//! Built from the [`CondTree`] with an explicit work list: every node is given the block it starts
//! at and the blocks to go to when it is true and when it is false, so `and`, `or` and `not`
//! leave nothing behind. The graph has no cycles; only the steps inside a block of a `protochain`
//! program jump backward, and such a program is not optimized.

use super::cond::{ChildRange, Compare, Cond, CondId, CondTree, SetId, StmtRange};
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
    let mut cfg = Cfg {
        blocks: Vec::with_capacity(leaves + 3),
        insns,
        sets: tree.take_sets(),
        root: BlockId(2),
        inner_jumps,
    };
    let accept = cfg.add_block(Term::Ret(snaplen));
    let reject = cfg.add_block(Term::Ret(0));
    let entry = cfg.reserve();
    let mut builder = Builder { cfg, tree, shared, work: Vec::with_capacity(16) };
    builder.work.push(Job { part: Part::Node(root), entry, jt: accept, jf: reject });
    builder.run();
    builder.cfg
}

/// What is to be built.
enum Part {
    Node(CondId),
    /// The children of an `and` that are left.
    All(ChildRange),
    /// The children of an `or` that are left.
    Any(ChildRange),
}

/// A part to build: its first block is `entry`.
struct Job {
    part: Part,
    entry: BlockId,
    jt: BlockId,
    jf: BlockId,
}

struct Builder {
    cfg: Cfg,
    tree: CondTree,
    /// The steps of all nodes, where nodes may share them.
    shared: Vec<Insn>,
    work: Vec<Job>,
}

impl Builder {
    fn run(&mut self) {
        while let Some(Job { part, entry, jt, jf }) = self.work.pop() {
            let node = match part {
                Part::Node(node) => node,
                Part::All(range) => {
                    self.chain(range, entry, jt, |next| (next, jf), Part::All);
                    continue;
                }
                Part::Any(range) => {
                    self.chain(range, entry, jf, |next| (jt, next), Part::Any);
                    continue;
                }
            };
            match self.tree.get(node) {
                Cond::Const(value) => {
                    let term = Term::Goto(if value { jt } else { jf });
                    self.cfg.blocks[entry.index()].term = term;
                }
                Cond::Test(stmts, compare) => {
                    let term = Term::If { test: TestOp::Compare(compare), jt, jf };
                    self.fill(entry, stmts, term);
                }
                Cond::Set(stmts, set) => {
                    let term = Term::If { test: TestOp::In(set), jt, jf };
                    self.fill(entry, stmts, term);
                }
                Cond::Run(stmts) => {
                    self.fill(entry, stmts, Term::Goto(jt));
                }
                Cond::Not(child) => {
                    self.work.push(Job { part: Part::Node(child), entry, jt: jf, jf: jt });
                }
                Cond::And(range) => self.work.push(Job { part: Part::All(range), entry, jt, jf }),
                Cond::Or(range) => self.work.push(Job { part: Part::Any(range), entry, jt, jf }),
            }
        }
    }

    /// Links the first child so that it leads to the next by the exit that `exits` gives it, and
    /// leaves the `rest` for later: blocks that belong together lie together. The last leads to `end`.
    fn chain(
        &mut self,
        range: ChildRange,
        entry: BlockId,
        end: BlockId,
        exits: impl Fn(BlockId) -> (BlockId, BlockId),
        rest: impl Fn(ChildRange) -> Part,
    ) {
        let Some((first, others)) = self.tree.split_first(range) else {
            self.cfg.blocks[entry.index()].term = Term::Goto(end);
            return;
        };
        let mut next = end;
        if !self.tree.children(others).is_empty() {
            next = self.cfg.reserve();
            let (jt, jf) = exits(end);
            self.work.push(Job { part: rest(others), entry: next, jt, jf });
        }
        let (jt, jf) = exits(next);
        self.work.push(Job { part: Part::Node(first), entry, jt, jf });
    }

    /// Gives a block its steps and its end.
    fn fill(&mut self, id: BlockId, StmtRange { mut start, len }: StmtRange, term: Term) {
        if !self.shared.is_empty() {
            let steps = &self.shared[start as usize..][..len as usize];
            start = self.cfg.insns.len() as u32;
            self.cfg.insns.extend_from_slice(steps);
        }
        self.cfg.blocks[id.index()] = Block { start, len, term };
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

    /// Appends a block that is filled later.
    fn reserve(&mut self) -> BlockId {
        self.add_block(Term::Ret(0))
    }

    /// Blocks that the root reaches, every block behind all of its successors; of two successors
    /// the one for "false" comes first. Read backward it is the order of the blocks in a program.
    pub fn postorder(&self) -> Vec<BlockId> {
        let mut order = Vec::with_capacity(self.blocks.len());
        let mut seen = vec![false; self.blocks.len()];
        let mut walk = Walk::default();
        walk.start(self, |id| !std::mem::replace(&mut seen[id.index()], true));
        while let Some(id) = walk.next(self, |id| !std::mem::replace(&mut seen[id.index()], true)) {
            order.push(id);
        }
        order
    }
}

/// A walk through the graph in postorder ([`Cfg::postorder`]). Who walks keeps account of the blocks:
/// `discover` says whether a block has not been seen so far, and takes note of it.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Blocks whose successors are being visited, with the successor that is left, or itself.
    stack: Vec<(BlockId, BlockId)>,
}

impl Walk {
    /// Begins at the root.
    pub fn start(&mut self, cfg: &Cfg, discover: impl FnMut(BlockId) -> bool) {
        self.stack.clear();
        self.stack.reserve(32);
        self.descend(cfg, cfg.root, discover);
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
