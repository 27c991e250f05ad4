//! Operands that say the same thing twice.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Lowerer;
use crate::filter::cond::{Cond, CondId, CondTree};

/// Groups up to this size are not looked through.
const SMALL: usize = 8;

/// Hashes of nodes by structure, filled on demand.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// 0 where there is none yet.
    known: Vec<u64>,
}

impl Hashes {
    /// The hash of the tree under a node.
    fn of(&mut self, tree: &CondTree, root: CondId) -> u64 {
        self.known.resize(tree.len(), 0);
        let mut work = vec![root];
        while let Some(&node) = work.last() {
            let before = work.len();
            if self.at(node) == 0 {
                for_each_child(tree, node, |child| {
                    if self.at(child) == 0 {
                        work.push(child);
                    }
                });
            }
            if work.len() == before {
                work.pop();
                if self.at(node) == 0 {
                    let hash = self.shallow(tree, node);
                    self.known[node.0 as usize] = hash;
                }
            }
        }
        self.at(root)
    }

    fn at(&self, node: CondId) -> u64 {
        self.known[node.0 as usize]
    }

    /// The hash of a node whose children have theirs.
    fn shallow(&self, tree: &CondTree, node: CondId) -> u64 {
        let mut hasher = DefaultHasher::new();
        let cond = tree.get(node);
        std::mem::discriminant(&cond).hash(&mut hasher);
        match cond {
            Cond::Const(value) => value.hash(&mut hasher),
            Cond::Test(stmts, compare) => (tree.stmts(stmts), compare).hash(&mut hasher),
            Cond::Set(arms, set) => {
                set.hash(&mut hasher);
                for arm in tree.arms(arms) {
                    arm.guard.map(|guard| self.at(guard)).hash(&mut hasher);
                    tree.stmts(arm.stmts).hash(&mut hasher);
                }
            }
            Cond::Run(stmts) => tree.stmts(stmts).hash(&mut hasher),
            Cond::Not(child) => self.at(child).hash(&mut hasher),
            Cond::And(range) | Cond::Or(range) => {
                for &child in tree.children(range) {
                    self.at(child).hash(&mut hasher);
                }
            }
        }
        hasher.finish().max(1)
    }
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
            // Every set of a list is made once.
            _ => false,
        };
        if !alike {
            return false;
        }
    }
    true
}

/// Operands of a group by hash.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The first few, which may repeat each other.
    first: Vec<CondId>,
    /// All, once there are more.
    map: BTreeMap<u64, CondId>,
}

impl Seen {
    /// The operand with that hash; without one, remembers the new one.
    fn earlier(&mut self, hash: u64, term: CondId) -> Option<CondId> {
        let known = *self.map.entry(hash).or_insert(term);
        (known != term).then_some(known)
    }
}

impl Lowerer<'_> {
    /// Whether an operand repeats an earlier one: when that one did not decide, neither will it.
    pub(super) fn repeats(&mut self, seen: &mut Seen, term: CondId) -> bool {
        // Short groups are left to the optimizer.
        if seen.first.len() < SMALL {
            seen.first.push(term);
            return false;
        }
        if seen.map.is_empty() {
            for at in 0..seen.first.len() {
                let hash = self.hashes.of(&self.tree, seen.first[at]);
                seen.earlier(hash, seen.first[at]);
            }
        }
        let hash = self.hashes.of(&self.tree, term);
        let earlier = seen.earlier(hash, term);
        earlier.is_some_and(|earlier| same(&self.tree, earlier, term))
    }
}
