//! Common tails: blocks that do the same become one.

use super::flow::{A, Flow, registers, successors};
use super::values::{ACC, Values, hash};
use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};
use crate::filter::cond::{Compare, SetId};
use crate::filter::key_set::KeySet;

/// Sends every edge to the first of all equal blocks ([`Known::first_equal`]). Blocks are
/// compared successors first, so one sweep finds every equality.
pub(super) fn intern_blocks(cfg: &mut Cfg, flow: &Flow, known: &mut Known) -> bool {
    known.reset(cfg.blocks.len());
    let mut changed = false;
    for &id in &flow.post {
        let term = &mut cfg.blocks[id.index()].term;
        redirect(term, |to| known.first_equal(to));
        if let Some(other) = known.find_or_add(cfg, flow, id) {
            known.links[id.index()].first_equal = other.0;
            changed = true;
        }
    }
    cfg.root = known.first_equal(cfg.root);
    changed
}

/// What is known of a block.
#[derive(Clone, Copy)]
struct Links {
    /// The first block that equals it; `NONE` while it is the only one.
    first_equal: u32,
    /// The first of the few blocks of which it is the latest successor. Equal blocks have equal
    /// successors, and what leads to a block that was visited a moment ago is in the cache.
    before: u32,
    /// The next block with the same latest successor.
    next: u32,
}

/// Blocks found so far.
pub(super) struct Known {
    /// By block, and last for ends of the program.
    links: Vec<Links>,
    /// All others by hash; empty while there are none. Open addressing.
    table: Vec<u32>,
}

const NONE: u32 = u32::MAX;
/// So many blocks are found from their latest successor.
const NEAR: usize = 4;

impl Known {
    /// For a graph of so many blocks.
    pub fn new(blocks: usize) -> Self {
        Self { links: Vec::with_capacity(blocks + 1), table: Vec::new() }
    }

    fn reset(&mut self, blocks: usize) {
        self.links.clear();
        self.links.resize(blocks + 1, Links { first_equal: NONE, before: NONE, next: NONE });
        self.table.clear();
    }

    /// The first of all blocks that equal a block.
    fn first_equal(&self, id: BlockId) -> BlockId {
        match self.links[id.index()].first_equal {
            NONE => id,
            first => BlockId(first),
        }
    }

    /// The block known that equals a block; without one, that block is known from now on.
    fn find_or_add(&mut self, cfg: &Cfg, flow: &Flow, id: BlockId) -> Option<BlockId> {
        let latest = successors(&cfg.block(id).term).map(BlockId::index).min();
        let latest = latest.unwrap_or(self.links.len() - 1);
        let mut link = &mut self.links[latest].before;
        for _ in 0..NEAR {
            if *link == NONE {
                *link = id.0;
                return None;
            }
            let other = BlockId(*link);
            if equal(cfg, other, id) {
                return Some(other);
            }
            link = &mut self.links[other.index()].next;
        }
        self.find_in_table(cfg, flow, id)
    }

    fn find_in_table(&mut self, cfg: &Cfg, flow: &Flow, id: BlockId) -> Option<BlockId> {
        if self.table.is_empty() {
            self.table.resize((flow.post.len() * 2).next_power_of_two(), NONE);
        }
        let mask = self.table.len() - 1;
        let mut slot = hash_block(cfg, id) as usize & mask;
        while self.table[slot] != NONE {
            let other = BlockId(self.table[slot]);
            if equal(cfg, other, id) {
                return Some(other);
            }
            slot = (slot + 1) & mask;
        }
        self.table[slot] = id.0;
        None
    }
}

/// Drops blocks that test a value which is in the accumulator already, where another block, which
/// loads that value, asks the same and goes on to the same blocks: it is there anyway, so going
/// there makes the program shorter. Whoever comes that way has loaded the value before, so no
/// packet is too short for it. Libpcap does so where the value is masked, since it never removes
/// loads of masked values.
///
/// `values` are as before equal blocks became one (`known`), where the same test of several
/// values may have become one block.
pub(super) fn share_tests(cfg: &mut Cfg, flow: &Flow, values: &Values, known: &Known) -> bool {
    if !some_tests_agree(cfg, flow) {
        return false;
    }
    let mut one_value = vec![true; cfg.blocks.len()];
    for &id in &flow.post {
        let first = known.first_equal(id);
        one_value[first.index()] &= first == id;
    }
    let inherits = |id: BlockId| {
        let (read, written) = registers(cfg, id);
        one_value[id.index()] && read & A != 0 && written & !A == 0
    };
    let is_test = |id: &BlockId| {
        known.first_equal(*id) == *id && matches!(cfg.block(*id).term, Term::If { .. })
    };
    let tests = || flow.post.iter().copied().filter(is_test);
    let key = |id: BlockId| hash_term(cfg, id) ^ hash(5, values.at_exit(id, ACC), 0);
    let heirs: Vec<BlockId> = tests().filter(|&id| inherits(id)).collect();
    if heirs.is_empty() {
        return false;
    }
    // Most agree with none of the others: these are neither sorted nor looked for.
    let sought = KeySet::new(heirs.len(), heirs.iter().map(|&id| key(id)));
    let keys = tests().map(|id| (key(id), id)).filter(|&(key, _)| sought.may_hold(key));
    let mut heads: Vec<(u32, BlockId)> =
        keys.filter(|&(_, id)| !inherits(id) && registers(cfg, id) == (0, A)).collect();
    let offered = KeySet::new(heads.len(), heads.iter().map(|&(key, _)| key));
    heads.sort_by_key(|&(key, _)| key);
    let head_of = |id: BlockId| {
        let from = heads.partition_point(|&(other, _)| other < key(id));
        let alike = heads[from..].iter().take_while(|(other, _)| *other == key(id));
        alike.map(|&(_, other)| other).find(|&other| {
            cfg.block(other).term == cfg.block(id).term
                && values.at_exit(other, ACC) == values.at_exit(id, ACC)
        })
    };
    let mut target: Vec<BlockId> = Vec::new();
    for id in heirs.into_iter().filter(|&id| offered.may_hold(key(id))) {
        if let Some(head) = head_of(id) {
            if target.is_empty() {
                target.extend((0..cfg.blocks.len() as u32).map(BlockId));
            }
            target[id.index()] = head;
        }
    }
    if target.is_empty() {
        return false;
    }
    for &id in &flow.post {
        redirect(&mut cfg.blocks[id.index()].term, |to| target[to.index()]);
    }
    true
}

/// A quick look, for most filters have nothing to share: whether some block that begins with a load
/// (probably) ends as one that does not.
fn some_tests_agree(cfg: &Cfg, flow: &Flow) -> bool {
    const FEW: usize = 16;
    let end = |id: BlockId| match cfg.block(id).term {
        Term::If { test: TestOp::Compare(Compare { k, .. }) | TestOp::In(SetId(k)), jt, jf } => {
            Some(k ^ jt.0 << 8 ^ jf.0 << 20)
        }
        _ => None,
    };
    let loads =
        |id: BlockId| cfg.insns_of(id).first().is_some_and(|insn| op::class(insn.code) == op::LD);
    let (mut ends, mut count) = ([0; FEW], 0);
    for &id in flow.post.iter().filter(|&&id| !loads(id)) {
        let Some(end) = end(id) else { continue };
        if count == FEW {
            return true;
        }
        ends[count] = end;
        count += 1;
    }
    let agrees =
        |&id: &BlockId| loads(id) && end(id).is_some_and(|end| ends[..count].contains(&end));
    count > 0 && flow.post.iter().any(agrees)
}

/// Maps the successors of a block.
pub(super) fn redirect(term: &mut Term, to: impl Fn(BlockId) -> BlockId) {
    match term {
        Term::Ret(_) => {}
        Term::Goto(next) => *next = to(*next),
        Term::If { jt, jf, .. } => {
            *jt = to(*jt);
            *jf = to(*jf);
        }
    }
}

fn equal(cfg: &Cfg, a: BlockId, b: BlockId) -> bool {
    cfg.block(a).term == cfg.block(b).term && cfg.insns_of(a) == cfg.insns_of(b)
}

fn hash_block(cfg: &Cfg, id: BlockId) -> u32 {
    let seed = hash_term(cfg, id);
    cfg.insns_of(id).iter().fold(seed, |sum, Insn { code, k, .. }| hash(*code, *k, sum))
}

fn hash_term(cfg: &Cfg, id: BlockId) -> u32 {
    match cfg.block(id).term {
        Term::Ret(k) => hash(1, k, 0),
        Term::Goto(to) => hash(2, to.0, 0),
        Term::If { test, jt, jf } => match test {
            TestOp::Compare(compare) => hash(compare.code, compare.k, hash(3, jt.0, jf.0)),
            TestOp::In(set) => hash(4, set.0, hash(3, jt.0, jf.0)),
        },
    }
}
