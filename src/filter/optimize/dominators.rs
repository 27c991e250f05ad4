//! The dominator tree of blocks *and edges*.
//!
//! Edges are nodes of their own: what is known on an edge (the outcome of its test) holds wherever
//! the edge dominates. The graph has no cycles, so one sweep from the root suffices: a block's
//! parent is the lowest common ancestor of the edges that lead to it, found in logarithmic time by
//! jump pointers (one per node, skew-binary), which are set when a node is added.

use super::flow::{Flow, successors};
use crate::filter::cfg::{BlockId, Cfg, Term};

/// A node: `3 * block`, or `3 * block + 1 + n` for the block's edge `n` (true first).
pub(super) type Node = u32;

/// No node.
pub(super) const NONE: Node = u32::MAX;

/// The node of a block.
pub(super) fn block_node(id: BlockId) -> Node {
    3 * id.0
}

/// Whether a node is a block.
pub(super) fn is_block(node: Node) -> bool {
    node.is_multiple_of(3)
}

/// Whether an edge is taken when the answer is yes, or always.
pub(super) fn is_yes(edge: Node) -> bool {
    edge % 3 == 1
}

/// The way up from a block and its edges.
#[derive(Clone, Copy)]
struct Up {
    parent: Node,
    jump: Node,
    depth: u32,
    /// The edges' jump; their parent is the block.
    edge_jump: Node,
}

/// The ways down from a block and its edges.
#[derive(Clone, Copy)]
struct Down {
    /// Last block in the program whose parent is the block or an edge of it.
    child: [u32; 3],
    /// The block before it with the same parent.
    sibling: u32,
}

/// The dominator tree, by block.
#[derive(Default)]
pub(super) struct Dominators {
    up: Vec<Up>,
    down: Vec<Down>,
}

impl Dominators {
    /// Builds the tree anew. Ends of the program that many edges lead to stand right below the root:
    /// nothing is below them, so nobody asks what dominates them.
    pub fn update(&mut self, cfg: &Cfg, flow: &Flow) {
        const UNKNOWN: Up = Up { parent: NONE, jump: NONE, depth: 0, edge_jump: NONE };
        self.up.clear();
        self.up.resize(cfg.blocks.len(), UNKNOWN);
        let root = block_node(cfg.root);
        for &id in flow.post.iter().rev() {
            let node = block_node(id);
            let parent = self.up[id.index()].parent;
            let up = if node == root {
                Up { parent: root, jump: root, ..UNKNOWN }
            } else {
                let (jump, depth) = (self.jump_below(parent), self.depth(parent) + 1);
                Up { parent, jump, depth, ..UNKNOWN }
            };
            self.up[id.index()] = up;
            self.up[id.index()].edge_jump = self.jump_below(node);
            for (edge, next) in (node + 1..).zip(successors(&cfg.block(id).term)) {
                self.up[next.index()].parent = match self.up[next.index()].parent {
                    NONE => edge,
                    parent if parent == root => root,
                    _ if matches!(cfg.block(next).term, Term::Ret(_)) => root,
                    parent => self.common(parent, edge),
                };
            }
        }
        self.find_ways_down(flow, root);
    }

    fn find_ways_down(&mut self, flow: &Flow, root: Node) {
        const NOWHERE: Down = Down { child: [NONE; 3], sibling: NONE };
        self.down.clear();
        self.down.resize(self.up.len(), NOWHERE);
        for &id in flow.post.iter().rev().filter(|&&id| block_node(id) != root) {
            let parent = self.up[id.index()].parent as usize;
            let last = &mut self.down[parent / 3].child[parent % 3];
            self.down[id.index()].sibling = std::mem::replace(last, id.0);
        }
    }

    /// The node right above; the root's is the root.
    pub fn parent(&self, node: Node) -> Node {
        if is_block(node) { self.up[node as usize / 3].parent } else { node - node % 3 }
    }

    fn jump(&self, node: Node) -> Node {
        let up = &self.up[node as usize / 3];
        if is_block(node) { up.jump } else { up.edge_jump }
    }

    fn depth(&self, node: Node) -> u32 {
        self.up[node as usize / 3].depth + u32::from(!is_block(node))
    }

    /// Where nodes below `parent` jump to.
    fn jump_below(&self, parent: Node) -> Node {
        let over = self.jump(parent);
        let far = self.depth(self.jump(over));
        let even = self.depth(parent) - self.depth(over) == self.depth(over) - far;
        if even { self.jump(over) } else { parent }
    }

    /// Lowest common ancestor.
    fn common(&self, a: Node, b: Node) -> Node {
        let (mut a, mut b) = (a, b);
        while a != b {
            let (depth_a, depth_b) = (self.depth(a), self.depth(b));
            match depth_a.cmp(&depth_b) {
                std::cmp::Ordering::Greater => a = self.climb(a, depth_b),
                std::cmp::Ordering::Less => b = self.climb(b, depth_a),
                std::cmp::Ordering::Equal if self.jump(a) != self.jump(b) => {
                    (a, b) = (self.jump(a), self.jump(b))
                }
                std::cmp::Ordering::Equal => (a, b) = (self.parent(a), self.parent(b)),
            }
        }
        a
    }

    /// One step up, as far as possible but not above `depth`.
    fn climb(&self, node: Node, depth: u32) -> Node {
        let jump = self.jump(node);
        if self.depth(jump) >= depth { jump } else { self.parent(node) }
    }

    /// The last block in the program right below a node.
    pub fn last_child(&self, node: Node) -> Option<BlockId> {
        some(self.down[node as usize / 3].child[node as usize % 3])
    }

    /// The block before one in the program that is right below the same node.
    pub fn previous(&self, id: BlockId) -> Option<BlockId> {
        some(self.down[id.index()].sibling)
    }
}

fn some(id: u32) -> Option<BlockId> {
    (id != NONE).then_some(BlockId(id))
}
