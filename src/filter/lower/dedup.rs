//! Operands that say the same thing twice.

use super::Lowerer;
use super::group::{Group, lowered};
use crate::bpf::Insn;
use crate::filter::cond::{ChildRange, Compare, Cond, CondId, CondTree};
use crate::filter::key_set::KeySet;

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

    /// Makes room for so many times as much.
    pub(super) fn reserve(&mut self, times: usize) {
        self.known.reserve(self.known.len() * times);
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

/// Operands of a group by hash; empty while there are few. Open addressing, at most half full, up to
/// [`MANY`] operands. From there on new ones take the places of old ones, so that the table stays in
/// the cache, and what it misses is found when the group is joined.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A hash, and an operand by its bits and one, so that 0 is none.
    table: Vec<(u32, u32)>,
    count: usize,
}

/// Operands of a group that are all remembered.
const MANY: usize = 8192;

impl Seen {
    /// Remembers an operand unless it repeats one; whether it does.
    fn add(&mut self, hashes: &mut Hashes, tree: &CondTree, term: CondId) -> bool {
        if 2 * self.count >= self.table.len() && self.count < MANY {
            self.grow();
        }
        let hash = hashes.at(term);
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while let (known, bits @ 1..) = self.table[slot] {
            if known == hash && hashes.same(tree, CondId::from_bits(bits - 1), term) {
                return true;
            }
            if self.count >= MANY {
                break;
            }
            slot = (slot + 1) & mask;
        }
        self.table[slot] = (hash, term.to_bits() + 1);
        self.count += 1;
        false
    }

    fn grow(&mut self) {
        let size = (4 * self.table.len()).max(8 * SMALL);
        let mask = size - 1;
        let old = std::mem::replace(&mut self.table, vec![(0, 0); size]);
        for (hash, bits) in old.into_iter().filter(|&(_, bits)| bits != 0) {
            let mut slot = hash as usize & mask;
            while self.table[slot].1 != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = (hash, bits);
        }
    }

    /// Whether it may have missed an operand that repeats another one.
    fn has_forgotten(&self) -> bool {
        self.count > MANY
    }
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

    /// Drops terms of a group that repeat earlier ones and were not noticed.
    pub(super) fn drop_repeated(&mut self, seen: Option<Box<Seen>>, terms: &mut Vec<CondId>) {
        if !seen.is_some_and(|seen| seen.has_forgotten()) {
            return;
        }
        let (hashes, tree) = (&mut self.hashes, &self.tree);
        hashes.catch_up(tree);
        let all = terms.iter().map(|&term| hashes.at(term));
        let (repeated, _) = KeySet::of_repeated(terms.len(), all.clone());
        let mut order: Vec<u64> = (0u64..)
            .zip(all)
            .filter(|&(_, hash)| repeated.may_hold(hash))
            .map(|(at, hash)| u64::from(hash) << 32 | at)
            .collect();
        order.sort_unstable();
        let term = |entry: u64| terms[entry as u32 as usize];
        let mut repeated = Vec::new();
        for alike in order.chunk_by(|a, b| a >> 32 == b >> 32) {
            for (i, &entry) in alike.iter().enumerate().skip(1) {
                if alike[..i].iter().any(|&other| hashes.same(tree, term(other), term(entry))) {
                    repeated.push(entry as u32);
                }
            }
        }
        repeated.sort_unstable();
        let mut repeated = repeated.into_iter().peekable();
        let mut at = 0..;
        terms.retain(|_| repeated.next_if_eq(&at.next().unwrap_or(u32::MAX)).is_none());
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{NoNames, Options, compile};
    use crate::linktype::Dlt;

    /// More operands than are remembered, the second time in another order.
    #[test]
    fn repetitions_far_apart_go() {
        let term = |i: u32| format!("ether[{}:4] = {i}", i % 1000);
        let once: Vec<_> = (0..20_000).map(term).collect();
        let mut twice = once.clone();
        twice.extend((0..20_000).map(|i| term(i * 7 % 20_000)));
        let options = Options { optimize: false, ..Options::new(Dlt::EN10MB) };
        let program = |terms: &[String], join| {
            compile(terms.join(join).as_bytes(), &options, &NoNames).expect("a filter")
        };
        for join in [" or ", " and "] {
            assert_eq!(program(&once, join).insns(), program(&twice, join).insns());
        }
    }
}
