//! Operands that say the same thing twice.

use super::Lowerer;
use super::group::{Group, lowered};
use crate::bpf::Insn;
use crate::filter::cond::{ChildRange, Compare, Cond, CondId, CondTree};

/// Groups up to this size are not looked through.
const SMALL: usize = 8;

/// Hashes of nodes by structure, as far as they were asked for: a node's children come before it.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    known: Vec<u32>,
    /// Pairs of nodes to compare.
    work: Vec<(CondId, CondId)>,
}

impl Hashes {
    /// Takes the hashes of all nodes that there are.
    fn catch_up(&mut self, tree: &CondTree) {
        for number in self.known.len()..tree.numbers() {
            let hash = self.shallow(tree, tree.numbered(number));
            self.known.push(hash);
        }
    }

    /// Forgets the nodes that are in a tree no more: others will have their places.
    pub(super) fn forget(&mut self, tree: &CondTree) {
        self.known.truncate(tree.numbers());
    }

    fn at(&self, node: CondId) -> u32 {
        let hash = self.known[node.index()];
        if node.is_negation() { !hash } else { hash }
    }

    /// The hash of a node whose children have theirs.
    fn shallow(&self, tree: &CondTree, node: CondId) -> u32 {
        let hash = match tree.get(node) {
            Cond::Const(value) => mix(1, value.into()),
            Cond::Test(stmts, Compare { code, k }) => {
                let seed = mix(2, u64::from(code) << 32 | u64::from(k));
                hash_stmts(seed, tree.stmts(stmts))
            }
            Cond::Set(stmts, set) => {
                hash_stmts(mix(3, tree.intervals(set).len() as u64), tree.stmts(stmts))
            }
            Cond::Run(stmts) => hash_stmts(4, tree.stmts(stmts)),
            Cond::Not(child) => return self.at(child.negated()),
            Cond::And(range) => self.hash_all(6, tree.children(range)),
            Cond::Or(range) => self.hash_all(7, tree.children(range)),
        };
        hash as u32
    }

    fn hash_all(&self, seed: u64, nodes: &[CondId]) -> u64 {
        nodes.iter().fold(seed, |sum, &node| mix(sum, self.at(node).into()))
    }

    /// Whether two trees are the same, node by node.
    fn same(&mut self, tree: &CondTree, a: CondId, b: CondId) -> bool {
        self.work.clear();
        self.work.push((a, b));
        while let Some((a, b)) = self.work.pop() {
            let alike = match (tree.get(a), tree.get(b)) {
                _ if a == b => true,
                (Cond::Const(a), Cond::Const(b)) => a == b,
                (Cond::Test(a, x), Cond::Test(b, y)) => x == y && tree.stmts(a) == tree.stmts(b),
                (Cond::Run(a), Cond::Run(b)) => tree.stmts(a) == tree.stmts(b),
                (Cond::Not(a), Cond::Not(b)) => {
                    self.work.push((a, b));
                    true
                }
                (Cond::And(a), Cond::And(b)) | (Cond::Or(a), Cond::Or(b)) => self.pair(tree, a, b),
                (Cond::Set(a, x), Cond::Set(b, y)) => {
                    tree.stmts(a) == tree.stmts(b) && tree.intervals(x) == tree.intervals(y)
                }
                _ => false,
            };
            if !alike {
                return false;
            }
        }
        true
    }

    /// Whether there are as many children, which become work.
    fn pair(&mut self, tree: &CondTree, a: ChildRange, b: ChildRange) -> bool {
        let (a, b) = (tree.children(a), tree.children(b));
        self.work.extend(a.iter().copied().zip(b.iter().copied()));
        a.len() == b.len()
    }
}

fn hash_stmts(seed: u64, stmts: &[Insn]) -> u64 {
    stmts.iter().fold(seed, |sum, &Insn { code, jt, jf, k }| {
        let jumps = u16::from_be_bytes([jt, jf]);
        mix(sum, u64::from(jumps) << 48 | u64::from(code) << 32 | u64::from(k))
    })
}

/// Every bit of the result depends on every bit of both.
fn mix(sum: u64, value: u64) -> u64 {
    let product = u128::from(sum.rotate_left(23) ^ value ^ 0x8ebc_6af0_9c88_c6e3)
        * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product >> 64) as u64 ^ product as u64
}

/// Operands of a group by hash; empty while there are few. Open addressing, at most half full.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// An operand and one, by its bits, so that 0 is none.
    table: Vec<u32>,
    count: u32,
}

impl Seen {
    /// Remembers an operand unless it repeats one; whether it does.
    fn add(&mut self, hashes: &mut Hashes, tree: &CondTree, term: CondId) -> bool {
        if 2 * self.count as usize >= self.table.len() {
            self.grow(hashes);
        }
        let hash = hashes.at(term);
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(other) = operand(self.table[slot]) {
            if hashes.at(other) == hash && hashes.same(tree, other, term) {
                return true;
            }
            slot = (slot + 1) & mask;
        }
        self.table[slot] = term.to_bits().wrapping_add(1);
        self.count += 1;
        false
    }

    fn grow(&mut self, hashes: &Hashes) {
        let size = (4 * self.table.len()).max(8 * SMALL);
        let mask = size - 1;
        let old = std::mem::replace(&mut self.table, vec![0; size]);
        for term in old {
            let Some(id) = operand(term) else { continue };
            let mut slot = hashes.at(id) as usize & mask;
            while self.table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = term;
        }
    }
}

/// The operand of a slot.
fn operand(slot: u32) -> Option<CondId> {
    slot.checked_sub(1).map(CondId::from_bits)
}

impl Lowerer<'_> {
    /// Whether an operand, which may be a whole list, repeats an earlier one of the group: when that
    /// one did not decide, neither will it.
    pub(super) fn repeats(&mut self, group: &mut Group, term: CondId, is_list: bool) -> bool {
        // Short groups are left to the optimizer, but for lists, into which it does not look.
        let mut operands = lowered(group.items(&self.items));
        let (hashes, tree) = (&mut self.hashes, &self.tree);
        if operands.clone().nth(SMALL - 1).is_none() {
            return is_list && operands.any(|operand| hashes.same(tree, operand, term));
        }
        hashes.catch_up(tree);
        let seen = group.seen.get_or_insert_default();
        if seen.count == 0 {
            for operand in operands {
                seen.add(hashes, tree, operand);
            }
        }
        seen.add(hashes, tree, term)
    }
}
