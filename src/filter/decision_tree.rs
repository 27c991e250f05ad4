//! Membership tests as decision trees.
//!
//! A sorted set of intervals becomes a balanced binary tree: inner nodes are `jge` with the low
//! end of an interval, so what lies to the right knows that bound; a leaf tests a few intervals in
//! a row. `n` single values take about `n + n/4` instructions, of which a packet executes
//! `log2(n/4) + 5`.

use super::cfg::BlockId;
use super::cond::Compare;
use super::emit::{Output, Target};
use crate::bpf::op;

/// Comparisons in a leaf; larger leaves make smaller and slower programs.
const LEAF: usize = 8;
/// Sets of up to so many intervals are one row: a tree takes more instructions than libpcap does
/// for a list that short.
const ROW: usize = 32;

/// Puts in front of the program the tree that goes to `jt` when the accumulator is in the set
/// (intervals inclusive, sorted, disjoint), else to `jf`.
pub(super) fn write(out: &mut Output, set: &[(u32, u32)], jt: BlockId, jf: BlockId) {
    let leaf = if set.len() > ROW { LEAF } else { 2 * ROW };
    let tree = Tree { jt: Target::Block(jt), jf: Target::Block(jf), leaf };
    if let Target::Block(always) = tree.node(out, set, 0, u32::MAX) {
        out.go(always);
    }
}

struct Tree {
    jt: Target,
    jf: Target,
    leaf: usize,
}

impl Tree {
    /// Writes the tree for values known to be within `low..=high`. Recursion is as deep as the
    /// binary logarithm of the set's size.
    fn node(&self, out: &mut Output, set: &[(u32, u32)], low: u32, high: u32) -> Target {
        if self.comparisons(set, low) <= self.leaf {
            return self.row(out, set, low, high);
        }
        let (left, right) = set.split_at(self.middle(set.len()));
        let bound = right[0].0;
        let above = self.node(out, right, bound, high);
        let below = self.node(out, left, low, bound - 1);
        out.branch(Compare { code: op::JMP | op::JGE, k: bound }, above, below);
        Target::Place(out.front())
    }

    /// Where to split so that the leaves are full.
    fn middle(&self, len: usize) -> usize {
        if len <= self.leaf { len / 2 } else { len.div_ceil(self.leaf) / 2 * self.leaf }
    }

    /// Comparisons that a row of these intervals takes; an interval of its own is always a leaf.
    fn comparisons(&self, set: &[(u32, u32)], low: u32) -> usize {
        if set.len() <= 1 {
            return 0;
        }
        if set.len() > self.leaf {
            return set.len();
        }
        set.iter().map(|&(a, b)| if a == b || a <= low { 1 } else { 2 }).sum()
    }

    /// Tests intervals one after the other, lowest first.
    fn row(&self, out: &mut Output, set: &[(u32, u32)], low: u32, high: u32) -> Target {
        let mut next = self.jf;
        for (i, &(a, b)) in set.iter().enumerate().rev() {
            let reaches_low = i == 0 && a <= low;
            let mut place = |code, k, jt, jf| {
                out.branch(Compare { code: op::JMP | code, k }, jt, jf);
                Target::Place(out.front())
            };
            next = match (reaches_low, b >= high) {
                (true, true) => self.jt,
                (false, true) => place(op::JGE, a, self.jt, next),
                (true, false) if a != b => place(op::JGT, b, next, self.jt),
                _ if a == b => place(op::JEQ, a, self.jt, next),
                _ => {
                    let within = place(op::JGT, b, next, self.jt);
                    // Below this interval means below all that follow.
                    place(op::JGE, a, within, self.jf)
                }
            };
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use crate::bpf::{Aux, Insn, check, interpret, op};
    use crate::filter::cfg;
    use crate::filter::cond::{CondTree, Stmt};
    use crate::filter::emit::emit;
    use proptest::prelude::*;

    fn lookup(set: Vec<(u32, u32)>, negate: bool) -> Vec<Insn> {
        let mut tree = CondTree::default();
        let set = tree.add_set(set);
        let mut root = tree.set(&[Stmt::Insn(Insn::stmt(op::LD | op::W | op::ABS, 0))], set);
        if negate {
            root = tree.not(root);
        }
        let program = emit(&cfg::build(tree, root, 7)).unwrap();
        check(program.insns()).unwrap();
        program.insns().to_vec()
    }

    /// Probes the ends of every interval and their neighbours.
    fn verify(set: &[(u32, u32)], negate: bool) {
        let program = lookup(set.to_vec(), negate);
        let mut tree = CondTree::default();
        let id = tree.add_set(set.to_vec());
        let sorted = tree.intervals(id);
        let probes = set
            .iter()
            .flat_map(|&(a, b)| [a.wrapping_sub(1), a, a + (b - a) / 2, b, b.wrapping_add(1)]);
        for value in probes.chain([0, u32::MAX]) {
            let at = sorted.partition_point(|&(low, _)| low <= value);
            let expected = sorted[..at].last().is_some_and(|&(_, high)| value <= high) != negate;
            let got = interpret(&program, &value.to_be_bytes(), 4, &Aux::default());
            assert_eq!(got, if expected { 7 } else { 0 }, "value {value}");
        }
    }

    fn interval() -> impl Strategy<Value = (u32, u32)> {
        let near_ends = prop_oneof![0..60u32, u32::MAX - 60..=u32::MAX, any::<u32>()];
        (near_ends, 0..4u32, any::<bool>()).prop_map(|(low, width, single)| {
            (low, if single { low } else { low.saturating_add(width) })
        })
    }

    proptest! {
        #[test]
        fn tree_is_membership(set in prop::collection::vec(interval(), 0..40), negate: bool) {
            verify(&set, negate);
        }
    }

    #[test]
    fn long_jumps_share_islands() {
        let values: Vec<_> = (0..20_000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let singles: Vec<_> = values.iter().map(|&v| (v, v)).collect();
        verify(&singles, false);
        verify(&singles[..1000], true);
        let wide: Vec<_> = values[..3000].iter().map(|&v| (v, v | 0xff)).collect();
        verify(&wide, false);
        assert!(lookup(singles, false).len() < 23_500);
        assert!(lookup(values[..1000].iter().map(|&v| (v, v)).collect(), false).len() < 1_300);
    }
}
