//! Membership tests as decision trees.
//!
//! A sorted set of intervals is cut into leaves of a few comparisons, and these become a balanced
//! binary tree: inner nodes are `jge` with the low end of an interval, so what lies to the right
//! knows that bound. `n` single values take about `n + n/8` instructions, of which a packet
//! executes `log2(n/8) + 8`.
//!
//! Networks are intervals of a power of two. Where nobody needs the accumulator afterwards, a leaf
//! masks it, longest prefix first, and compares once for each network instead of twice; what all of
//! the set may ignore is masked once, at the root.

use super::cfg::BlockId;
use super::cond::Compare;
use super::emit::{Output, Target};
use crate::bpf::{Insn, op};

/// How sets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    /// Sets of up to so many single values are one row: a tree takes more instructions than libpcap
    /// does for a list that short.
    row: usize,
    /// Instructions in a leaf of single values; larger leaves make smaller and slower programs.
    points: usize,
    /// The same where masks are shared: by more networks in larger leaves.
    masked: usize,
}

impl Leaves {
    /// For a program that looks values up in these sets: the more, the lower the trees.
    pub(super) fn new<'a>(sets: impl Iterator<Item = &'a [Interval]>) -> Self {
        const ROW: usize = 32;
        let (mut long, mut values) = (0, 0);
        for set in sets {
            long += usize::from(set.len() > ROW);
            values += set.len();
        }
        let points = if long > 2 { 4 } else { 8 };
        let row = if values > 8 * ROW { points } else { ROW };
        Self { row, points, masked: points + points / 2 }
    }

    /// The shortest: rows even where libpcap makes them only after minutes.
    pub(super) const SHORT: Self = Self { row: 320, points: 8, masked: 12 };
}

/// Inclusive.
type Interval = (u32, u32);

/// Puts in front of the program the tree that goes to `jt` when the accumulator is in the set
/// (intervals inclusive, sorted, disjoint), else to `jf`. With `scratch` it may leave another value in the
/// accumulator.
pub(super) fn write(
    out: &mut Output,
    set: &[Interval],
    [jt, jf]: [BlockId; 2],
    mut leaves: Leaves,
    scratch: bool,
) {
    let ignored = if scratch { ignored_bits(set) } else { 0 };
    if set.len() <= leaves.row && set.iter().all(|&(a, b)| a ^ b == ignored) {
        leaves.points = leaves.row;
    }
    let tree = Tree { jt: Target::Block(jt), jf: Target::Block(jf), leaves, ignored, scratch };
    let leaves = tree.leaves(set);
    match tree.node(out, &leaves, 0, u32::MAX) {
        Target::Block(always) => out.go(always),
        Target::Place(_) if ignored != 0 => out.push(mask(ignored)),
        Target::Place(_) => {}
    }
}

/// Low bits that make no difference to whether a value is in the set.
fn ignored_bits(set: &[Interval]) -> u32 {
    let host_bits = set.iter().map(|&interval| block_bits(interval).unwrap_or(0)).min();
    // One interval: two comparisons, or one, are no more than a mask and a comparison.
    if set.len() < 2 { 0 } else { host_bits.unwrap_or(0) }
}

/// The bits that differ within an interval that is a network; `None` for others.
fn block_bits((a, b): Interval) -> Option<u32> {
    let bits = a ^ b;
    (bits & bits.wrapping_add(1) == 0 && a & bits == 0 && bits != u32::MAX).then_some(bits)
}

/// An instruction that clears bits of the accumulator.
fn mask(bits: u32) -> Insn {
    Insn::stmt(op::ALU | op::AND | op::K, !bits)
}

struct Tree {
    jt: Target,
    jf: Target,
    leaves: Leaves,
    /// Bits that are clear in the accumulator.
    ignored: u32,
    /// Leaves may change the accumulator.
    scratch: bool,
}

/// What a leaf takes, in instructions, while intervals are added to it.
#[derive(Default)]
struct Cost {
    /// Networks, and the masks that they need, as sets of bits by size.
    sizes: u64,
    networks: usize,
    /// All intervals, compared with their ends.
    ends: usize,
    /// Those that are no networks.
    others: usize,
}

impl Cost {
    /// Adds an interval; `first` when values are known to be no less than it.
    fn add(&mut self, tree: &Tree, interval: Interval, first: bool) {
        let ends = if first || interval.0 ^ interval.1 == tree.ignored { 1 } else { 2 };
        self.ends += ends;
        match block_bits(interval) {
            Some(bits) if tree.scratch => {
                self.networks += 1;
                self.sizes |= u64::from(bits ^ tree.ignored != 0) << bits.count_ones();
            }
            _ => self.others += 2,
        }
    }

    /// Instructions with masks.
    fn masked(&self) -> usize {
        self.others + self.networks + self.sizes.count_ones() as usize
    }
}

impl Tree {
    /// Cuts the set into leaves.
    fn leaves<'a>(&self, mut set: &'a [Interval]) -> Vec<&'a [Interval]> {
        let mut leaves = Vec::with_capacity(set.len() / 4 + 1);
        while !set.is_empty() {
            let mut cost = Cost::default();
            let fits = |&(at, &interval): &(usize, &Interval)| {
                cost.add(self, interval, at == 0 && !leaves.is_empty());
                at == 0
                    || cost.ends <= self.leaves.points
                    || cost.masked() <= self.leaves.masked.min(cost.ends - 1)
            };
            let len = set.iter().enumerate().take_while(fits).count();
            let (leaf, rest) = set.split_at(len);
            leaves.push(leaf);
            set = rest;
        }
        leaves
    }

    /// Writes the tree for values known to be within `low..=high`. Recursion is as deep as the
    /// binary logarithm of the set's size.
    fn node(&self, out: &mut Output, leaves: &[&[Interval]], low: u32, high: u32) -> Target {
        let (left, right) = match leaves {
            [] => return self.jf,
            [leaf] => return self.leaf(out, leaf, low, high),
            _ => leaves.split_at(leaves.len() / 2),
        };
        let bound = right[0][0].0;
        let above = self.node(out, right, bound, high);
        let below = self.node(out, left, low, bound - 1);
        out.branch(Compare { code: op::JMP | op::JGE, k: bound }, above, below);
        Target::Place(out.front())
    }

    fn leaf(&self, out: &mut Output, set: &[Interval], low: u32, high: u32) -> Target {
        let mut cost = Cost::default();
        for &interval in set {
            cost.add(self, interval, interval.0 <= low);
        }
        if self.scratch && cost.masked() < cost.ends {
            return self.masked_row(out, set, low, high);
        }
        self.row(out, set.iter().copied(), self.jf, low, high)
    }

    /// Intervals that are no networks first, then networks of one size after the other.
    fn masked_row(&self, out: &mut Output, set: &[Interval], low: u32, high: u32) -> Target {
        let mut next = self.jf;
        let sizes = set.iter().filter_map(|&interval| block_bits(interval));
        let mut done = u32::MAX;
        while let Some(bits) = sizes.clone().filter(|&bits| bits < done).max() {
            for &(low, _) in set.iter().filter(|&&interval| block_bits(interval) == Some(bits)) {
                out.branch(Compare { code: op::JMP | op::JEQ, k: low }, self.jt, next);
                next = Target::Place(out.front());
            }
            if bits != self.ignored {
                out.push(mask(bits));
                next = Target::Place(out.front());
            }
            done = bits;
        }
        let others = set.iter().copied().filter(|&interval| block_bits(interval).is_none());
        self.row(out, others, next, low, high)
    }

    /// Tests intervals one after the other, lowest first; goes to `miss` behind the last.
    fn row(
        &self,
        out: &mut Output,
        set: impl DoubleEndedIterator<Item = Interval>,
        miss: Target,
        low: u32,
        high: u32,
    ) -> Target {
        let mut next = miss;
        for (a, b) in set.rev() {
            let mut place = |code, k, jt, jf| {
                out.branch(Compare { code: op::JMP | code, k }, jt, jf);
                Target::Place(out.front())
            };
            next = match (a <= low, b >= high) {
                (true, true) => self.jt,
                (false, true) => place(op::JGE, a, self.jt, next),
                _ if a ^ b == self.ignored => place(op::JEQ, a, self.jt, next),
                (true, false) => place(op::JGT, b, next, self.jt),
                _ => {
                    let within = place(op::JGT, b, next, self.jt);
                    // Below this interval means below all that follow.
                    place(op::JGE, a, within, miss)
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
    use crate::filter::cond::{Compare, CondTree, Stmt};
    use crate::filter::emit::emit;
    use proptest::prelude::*;

    /// With `after`, the accumulator is read behind the look-up.
    fn lookup(set: Vec<(u32, u32)>, negate: bool, after: bool) -> Vec<Insn> {
        let mut tree = CondTree::default();
        let set = tree.add_set(set);
        let mut root = tree.set(&[Stmt::Insn(Insn::stmt(op::LD | op::W | op::ABS, 0))], set);
        if after {
            let zero = Compare { code: op::JMP | op::JEQ, k: 0 };
            let (low, same) = (tree.test(&[], zero), tree.test(&[], zero));
            let other = tree.not(same);
            let always = tree.or(&[low, other]);
            root = tree.and(&[root, always]);
        }
        if negate {
            root = tree.not(root);
        }
        let program = emit(&cfg::build(tree, root, 7)).unwrap();
        check(program.insns()).unwrap();
        program.insns().to_vec()
    }

    /// Probes the ends of every interval and their neighbours.
    fn verify(set: &[(u32, u32)], negate: bool, after: bool) {
        let program = lookup(set.to_vec(), negate, after);
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

    fn network() -> impl Strategy<Value = (u32, u32)> {
        let bits = prop_oneof![0..33u32, 20..28u32];
        (any::<u32>(), bits, any::<bool>()).prop_map(|(addr, bits, near)| {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let addr = if near { addr % 4096 } else { addr };
            (addr & !host, addr | host)
        })
    }

    proptest! {
        #[test]
        fn tree_is_membership(
            intervals in prop::collection::vec(interval(), 0..40),
            networks in prop::collection::vec(network(), 0..60),
            which in 0..3,
            negate: bool,
            after: bool,
        ) {
            let all = [&intervals[..], &networks[..]].concat();
            verify([&intervals, &networks, &all][which as usize], negate, after);
        }
    }

    #[test]
    fn networks_share_masks() {
        let networks = |n: u32, sizes: u32| {
            let network = |i: u32| {
                let host = u32::MAX >> (24 - i % sizes);
                let addr = i.wrapping_mul(2_654_435_761) & !host;
                (addr, addr | host)
            };
            (0..n).map(network).collect::<Vec<_>>()
        };
        assert!(lookup(networks(1000, 1), false, false).len() < 1_150);
        assert!(lookup(networks(1000, 8), false, false).len() < 1_700);
        assert!(lookup(networks(1000, 8), false, true).len() < 2_100);
    }

    #[test]
    fn long_jumps_share_islands() {
        let values: Vec<_> = (0..20_000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let singles: Vec<_> = values.iter().map(|&v| (v, v)).collect();
        verify(&singles, false, false);
        verify(&singles[..1000], true, false);
        let wide: Vec<_> = values[..3000].iter().map(|&v| (v, v | 0xff)).collect();
        verify(&wide, false, false);
        assert!(lookup(singles, false, false).len() < 23_500);
        assert!(
            lookup(values[..1000].iter().map(|&v| (v, v)).collect(), false, false).len() < 1_300
        );
    }
}
