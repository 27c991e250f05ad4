//! Operands that say the same thing twice.

use std::num::NonZero;

use super::Lowerer;
use super::sets::Group;
use crate::bpf::Insn;
use crate::filter::cond::{Arm, Compare, Cond, CondId, CondTree};

/// Groups up to this size are not looked through.
const SMALL: usize = 8;

/// Hashes of nodes by structure, filled on demand.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// 0 where there is none yet.
    known: Vec<u32>,
    /// Nodes whose children are being looked at.
    work: Vec<CondId>,
}

impl Hashes {
    /// The hash of the tree under a node.
    fn of(&mut self, tree: &CondTree, root: CondId) -> u32 {
        self.known.resize(tree.len(), 0);
        self.work.push(root);
        while let Some(&node) = self.work.last() {
            let before = self.work.len();
            if self.at(node) == 0 {
                for_each_child(tree, node, |child| {
                    if self.at(child) == 0 {
                        self.work.push(child);
                    }
                });
            }
            if self.work.len() == before {
                self.work.pop();
                if self.at(node) == 0 {
                    let hash = self.shallow(tree, node);
                    self.known[node.0 as usize] = hash;
                }
            }
        }
        self.at(root)
    }

    /// Forgets the nodes from index `len` on: others will have their places.
    pub(super) fn forget_from(&mut self, len: usize) {
        self.known.truncate(len);
    }

    fn at(&self, node: CondId) -> u32 {
        self.known[node.0 as usize]
    }

    /// The hash of a node whose children have theirs.
    fn shallow(&self, tree: &CondTree, node: CondId) -> u32 {
        let hash = match tree.get(node) {
            Cond::Const(value) => mix(1, value.into()),
            Cond::Test(stmts, Compare { code, k }) => {
                let seed = mix(2, u64::from(code) << 32 | u64::from(k));
                hash_stmts(seed, tree.stmts(stmts))
            }
            Cond::Set(arms, set) => {
                let seed = mix(3, tree.intervals(set).len() as u64);
                tree.arms(arms).iter().fold(seed, |sum, arm| {
                    let guard = arm.guard.map_or(0, |guard| self.at(guard));
                    hash_stmts(mix(sum, guard.into()), tree.stmts(arm.stmts))
                })
            }
            Cond::Run(stmts) => hash_stmts(4, tree.stmts(stmts)),
            Cond::Not(child) => mix(5, self.at(child).into()),
            Cond::And(range) => self.hash_all(6, tree.children(range)),
            Cond::Or(range) => self.hash_all(7, tree.children(range)),
        };
        (hash as u32).max(1)
    }

    fn hash_all(&self, seed: u64, nodes: &[CondId]) -> u64 {
        nodes.iter().fold(seed, |sum, &node| mix(sum, self.at(node).into()))
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

fn for_each_child(tree: &CondTree, node: CondId, mut visit: impl FnMut(CondId)) {
    match tree.get(node) {
        Cond::Const(_) | Cond::Test(..) | Cond::Run(_) => {}
        Cond::Not(child) => visit(child),
        Cond::And(range) | Cond::Or(range) => {
            tree.children(range).iter().copied().for_each(&mut visit);
        }
        Cond::Set(arms, _) => {
            tree.arms(arms).iter().filter_map(|arm| arm.guard).for_each(&mut visit);
        }
    }
}

/// Whether two trees are the same, node by node.
fn same(tree: &CondTree, a: CondId, b: CondId) -> bool {
    let mut work = vec![(a, b)];
    while let Some((a, b)) = work.pop() {
        if a == b {
            continue;
        }
        let alike = match (tree.get(a), tree.get(b)) {
            (Cond::Const(a), Cond::Const(b)) => a == b,
            (Cond::Test(a, x), Cond::Test(b, y)) => x == y && tree.stmts(a) == tree.stmts(b),
            (Cond::Run(a), Cond::Run(b)) => tree.stmts(a) == tree.stmts(b),
            (Cond::Not(a), Cond::Not(b)) => {
                work.push((a, b));
                true
            }
            (Cond::And(a), Cond::And(b)) | (Cond::Or(a), Cond::Or(b)) => {
                let (a, b) = (tree.children(a), tree.children(b));
                work.extend(a.iter().copied().zip(b.iter().copied()));
                a.len() == b.len()
            }
            (Cond::Set(arms, set), Cond::Set(other_arms, other_set)) => {
                let (arms, other_arms) = (tree.arms(arms), tree.arms(other_arms));
                let mut pairs = arms.iter().zip(other_arms);
                arms.len() == other_arms.len()
                    && tree.intervals(set) == tree.intervals(other_set)
                    && pairs.all(|(a, b)| same_arms(tree, a, b, &mut work))
            }
            _ => false,
        };
        if !alike {
            return false;
        }
    }
    true
}

/// Whether two arms are the same if their guards are, which become work.
fn same_arms(tree: &CondTree, a: &Arm, b: &Arm, work: &mut Vec<(CondId, CondId)>) -> bool {
    work.extend(a.guard.zip(b.guard));
    a.guard.is_some() == b.guard.is_some() && tree.stmts(a.stmts) == tree.stmts(b.stmts)
}

/// Operands of a group by hash; empty while there are few. Open addressing, at most half full.
#[derive(Debug, Default)]
pub(super) struct Seen {
    table: Vec<Option<NonZero<u32>>>,
    count: u32,
}

impl Seen {
    /// Remembers an operand unless it repeats one; whether it does.
    fn add(&mut self, hashes: &mut Hashes, tree: &CondTree, term: CondId) -> bool {
        if 2 * self.count as usize >= self.table.len() {
            self.grow(hashes);
        }
        let hash = hashes.of(tree, term);
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(other) = self.table[slot] {
            let other = CondId(other.get() - 1);
            if hashes.at(other) == hash && same(tree, other, term) {
                return true;
            }
            slot = (slot + 1) & mask;
        }
        self.table[slot] = NonZero::new(term.0 + 1);
        self.count += 1;
        false
    }

    fn grow(&mut self, hashes: &Hashes) {
        let size = (4 * self.table.len()).max(8 * SMALL);
        let mask = size - 1;
        let old = std::mem::replace(&mut self.table, vec![None; size]);
        for term in old.into_iter().flatten() {
            let mut slot = hashes.at(CondId(term.get() - 1)) as usize & mask;
            while self.table[slot].is_some() {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = Some(term);
        }
    }
}

impl Lowerer<'_> {
    /// Whether an operand, which may be a whole list, repeats an earlier one of the group: when that
    /// one did not decide, neither will it.
    pub(super) fn repeats(&mut self, group: &mut Group, term: CondId, is_list: bool) -> bool {
        // Short groups are left to the optimizer, but for lists, into which it does not look.
        if group.operands().nth(SMALL - 1).is_none() {
            return is_list && group.operands().any(|operand| same(&self.tree, operand, term));
        }
        let mut seen = std::mem::take(&mut group.seen);
        if seen.count == 0 {
            for operand in group.operands() {
                seen.add(&mut self.hashes, &self.tree, operand);
            }
        }
        let repeats = seen.add(&mut self.hashes, &self.tree, term);
        group.seen = seen;
        repeats
    }
}
