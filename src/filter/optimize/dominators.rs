//! The dominator tree of blocks *and edges*.
//!
//! Edges are nodes of their own: what is known on an edge (the outcome of its test) holds wherever
//! the edge dominates. The graph has no cycles, so one sweep from the root suffices: a block's
//! parent is the lowest common ancestor of the edges that lead to it, found in logarithmic time by
//! jump pointers (one per node, skew-binary), which are set when a node is added.

use super::flow::{Flow, successors};
use crate::filter::cfg::{BlockId, Cfg};

/// A node: `3 * block`, or `3 * block + 1 + n` for the block's edge `n` (true first).
pub(super) type Node = u32;

/// No node.
pub(super) const NONE: Node = u32::MAX;

/// The node of a block.
pub(super) fn block_node(id: BlockId) -> Node {
    3 * id.0
}

#[derive(Clone, Copy)]
struct Links {
    parent: Node,
    jump: Node,
    depth: u32,
    /// First block whose parent this node is, in the order of a program.
    child: u32,
    /// For a block: the next block with the same parent.
    sibling: u32,
}

/// The dominator tree.
#[derive(Default)]
pub(super) struct Dominators {
    nodes: Vec<Links>,
}

impl Dominators {
    /// Builds the tree anew.
    pub fn update(&mut self, cfg: &Cfg, flow: &Flow) {
        let empty = Links { parent: NONE, jump: NONE, depth: 0, child: NONE, sibling: NONE };
        self.nodes.clear();
        self.nodes.resize(3 * cfg.blocks.len(), empty);
        let root = block_node(cfg.root);
        for &id in flow.post.iter().rev() {
            let node = block_node(id);
            if node == root {
                self.nodes[node as usize] = Links { parent: root, jump: root, ..empty };
            } else {
                let parent = self.nodes[node as usize].parent;
                self.attach(node, parent);
            }
            for (edge, next) in (node + 1..).zip(successors(&cfg.block(id).term)) {
                self.attach(edge, node);
                let next = block_node(next) as usize;
                self.nodes[next].parent = match self.nodes[next].parent {
                    NONE => edge,
                    parent => self.common(parent, edge),
                };
            }
        }
        // Last in the program first, so that children end up in program order.
        for &id in flow.post.iter().filter(|&&id| block_node(id) != root) {
            let node = block_node(id) as usize;
            let parent = self.nodes[node].parent as usize;
            self.nodes[node].sibling = self.nodes[parent].child;
            self.nodes[parent].child = id.0;
        }
    }

    fn attach(&mut self, node: Node, parent: Node) {
        let up = self.nodes[parent as usize];
        let over = self.nodes[up.jump as usize];
        let far = self.nodes[over.jump as usize].depth;
        let even = up.depth - over.depth == over.depth - far;
        let links = &mut self.nodes[node as usize];
        links.parent = parent;
        links.depth = up.depth + 1;
        links.jump = if even { over.jump } else { parent };
    }

    /// Lowest common ancestor.
    fn common(&self, a: Node, b: Node) -> Node {
        let (mut a, mut b) = (a, b);
        while a != b {
            let (at_a, at_b) = (self.nodes[a as usize], self.nodes[b as usize]);
            match at_a.depth.cmp(&at_b.depth) {
                std::cmp::Ordering::Greater => a = self.climb(a, at_b.depth),
                std::cmp::Ordering::Less => b = self.climb(b, at_a.depth),
                std::cmp::Ordering::Equal if at_a.jump != at_b.jump => {
                    (a, b) = (at_a.jump, at_b.jump)
                }
                std::cmp::Ordering::Equal => (a, b) = (at_a.parent, at_b.parent),
            }
        }
        a
    }

    /// One step up, as far as possible but not above `depth`.
    fn climb(&self, node: Node, depth: u32) -> Node {
        let links = self.nodes[node as usize];
        if self.nodes[links.jump as usize].depth >= depth { links.jump } else { links.parent }
    }

    /// Blocks right below a node, in program order.
    pub fn children(&self, node: Node) -> impl Iterator<Item = BlockId> {
        let next = |id: u32| (id != NONE).then_some(id);
        std::iter::successors(next(self.nodes[node as usize].child), move |&id| {
            next(self.nodes[3 * id as usize].sibling)
        })
        .map(BlockId)
    }
}
