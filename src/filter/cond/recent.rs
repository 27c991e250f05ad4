//! What a large tree was given lately, to be found again: equal tests, steps and small groups.
//!
//! Tables that new entries overwrite, and of which nothing is believed: an entry that is out of date
//! is not equal to what is looked for, or is as good as any.

use super::{ChildRange, CondId, Node, StmtRange};
use crate::bpf::Insn;

/// Entries of a table.
const SLOTS: usize = 256;
/// Groups of more children are not looked for.
pub(super) const GROUP: usize = 4;

/// Places of nodes and of steps, by hash.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    nodes: [u32; SLOTS],
    steps: [u32; SLOTS],
}

impl Default for Recent {
    fn default() -> Self {
        Self { nodes: [0; SLOTS], steps: [0; SLOTS] }
    }
}

impl Recent {
    /// Steps equal to those of a range, before it.
    pub(super) fn steps(&mut self, stmts: &[Insn], range: StmtRange) -> Option<StmtRange> {
        let (before, these) = stmts.split_at(range.start as usize);
        let hash = these.iter().fold(0, |sum, insn| {
            let [a, b] = [insn.jt, insn.jf].map(u64::from);
            mix(sum, u64::from(insn.k) << 32 | a << 24 | b << 16 | u64::from(insn.code))
        });
        let slot = &mut self.steps[slot(hash)];
        let known = *slot as usize..*slot as usize + these.len();
        if before.get(known) == Some(these) {
            return Some(StmtRange { start: *slot, ..range });
        }
        *slot = range.start;
        None
    }

    /// The place of an equal leaf; the next node's is kept if there is none.
    pub(super) fn leaf(&mut self, nodes: &[Node], node: &Node) -> Option<u32> {
        let hash = match *node {
            Node::Test { code, k, steps } => {
                mix(mix(steps.start.into(), steps.len.into()), u64::from(code) << 32 | u64::from(k))
            }
            Node::Run(steps) => mix(steps.start.into(), steps.len.into()),
            _ => return None,
        };
        self.node(nodes, hash, |known| known == node)
    }

    /// The place of an equal group; the next node's is kept if there is none.
    pub(super) fn group(
        &mut self,
        nodes: &[Node],
        children: &[CondId],
        is_and: bool,
        group: &[CondId],
    ) -> Option<u32> {
        let hash = group.iter().fold(is_and.into(), |sum, child| mix(sum, child.to_bits().into()));
        self.node(nodes, hash, |known| {
            let range = match *known {
                Node::And(range) if is_and => range,
                Node::Or(range) if !is_and => range,
                _ => return false,
            };
            let ChildRange { start, len } = range;
            &children[start as usize..][..len as usize] == group
        })
    }

    fn node(&mut self, nodes: &[Node], hash: u64, equal: impl Fn(&Node) -> bool) -> Option<u32> {
        let slot = &mut self.nodes[slot(hash)];
        if nodes.get(*slot as usize).is_some_and(equal) {
            return Some(*slot);
        }
        *slot = nodes.len() as u32;
        None
    }
}

fn mix(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The high bits depend on all.
fn slot(hash: u64) -> usize {
    (hash >> 56) as usize % SLOTS
}
