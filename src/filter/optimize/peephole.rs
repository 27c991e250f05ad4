//! Better instructions for a few short sequences.

use super::bounds::index_bound;
use super::flow::{A, Flow, X, defines, is_msh, term_uses, uses};
use super::values::Values;
use crate::bpf::code::{ADD_K, ADD_X, AND_K, JEQ_K, JEQ_X, JSET_K, SUB_K, SUB_X, TAX, TXA};
use crate::bpf::{Insn, op};
use crate::filter::cfg::{BlockId, Cfg, Term, TestOp};
use crate::filter::cond::Compare;

/// What [`shorten_tests`] did.
#[derive(Default)]
pub(super) struct Shortened {
    /// Blocks that lost an instruction.
    pub blocks: Vec<BlockId>,
    /// Some test was replaced by a simpler one, perhaps by none.
    pub simplified: bool,
}

/// Arithmetic just before a test becomes part of the test where nobody else reads its result; notes
/// what it did.
pub(super) fn shorten_tests(cfg: &mut Cfg, flow: &Flow, shortened: &mut Shortened) -> bool {
    let mut changed = false;
    for &id in &flow.post {
        let block = *cfg.block(id);
        let Term::If { test: TestOp::Compare(mut compare), mut jt, mut jf } = block.term else {
            continue;
        };
        let mut absorbed = 0;
        if compare.code == JEQ_K
            && let Some(last) = cfg.insns_of(id).last()
            && op::class(last.code) == op::ALU
            && flow.live_out(&block.term) & A == 0
        {
            absorbed = 1;
            match last.code {
                SUB_X if compare.k == 0 => compare.code = JEQ_X,
                SUB_K => compare.k = compare.k.wrapping_add(last.k),
                ADD_K => compare.k = compare.k.wrapping_sub(last.k),
                AND_K if compare.k == 0 => {
                    compare = Compare { code: JSET_K, k: last.k };
                    (jt, jf) = (jf, jt);
                }
                _ => absorbed = 0,
            }
        }
        if absorbed == 0 && is_simplest(compare) {
            continue;
        }
        let term = simplest_test(compare, jt, jf);
        let absorbing = Term::If { test: TestOp::Compare(compare), jt, jf };
        shortened.simplified |= term != absorbing;
        if absorbed > 0 || term != block.term {
            cfg.blocks[id.index()].len -= absorbed;
            cfg.blocks[id.index()].term = term;
            shortened.blocks.extend((absorbed > 0).then_some(id));
            changed = true;
        }
    }
    changed
}

/// Whether [`simplest_test`] has nothing to do.
pub(super) fn is_simplest(compare: Compare) -> bool {
    compare.code != JSET_K || !matches!(compare.k, 0 | u32::MAX)
}

/// `jset` with no bit or all of them.
pub(super) fn simplest_test(compare: Compare, jt: BlockId, jf: BlockId) -> Term {
    match compare {
        Compare { code: JSET_K, k: 0 } => Term::If { test: TestOp::Compare(compare), jt: jf, jf },
        Compare { code: JSET_K, k: u32::MAX } => {
            let test = TestOp::Compare(Compare { code: JEQ_K, k: 0 });
            Term::If { test, jt: jf, jf: jt }
        }
        _ => Term::If { test: TestOp::Compare(compare), jt, jf },
    }
}

/// Sequences around the index register.
pub(super) fn shorten_insns(cfg: &mut Cfg, flow: &Flow, values: &Values) -> bool {
    let mut changed = false;
    for &id in &flow.post {
        let block = *cfg.block(id);
        let live = flow.live_out(&block.term) | term_uses(&block.term);
        let insns = &mut cfg.insns[block.start as usize..][..block.len as usize];
        for at in 1..insns.len() {
            changed |= shorten_pair(insns, at);
        }
        let merger = OffsetMerger { flow, values, id, x_live: live & X != 0 };
        let mut len = insns.len();
        let mut at = 3;
        while at < len {
            let removed = merger.merge(&mut insns[..len], at);
            changed |= removed > 0;
            len -= removed;
            at += 1;
        }
        cfg.blocks[id.index()].len = len as u32;
    }
    changed
}

/// Replaces the pair that ends at `at`: values go from the accumulator to the index register
/// directly, constants into the index register first.
fn shorten_pair(insns: &mut [Insn], at: usize) -> bool {
    let (first, second) = (insns[at - 1], insns[at]);
    match (first.code, second.code) {
        (op::ST, code) if code == op::LDX | op::MEM && first.k == second.k => {
            insns[at] = Insn::stmt(TAX, 0);
            true
        }
        (code, TAX) if code == op::LD | op::IMM => {
            insns[at - 1] = Insn::stmt(op::LDX | op::IMM, first.k);
            insns[at] = Insn::stmt(TXA, 0);
            true
        }
        _ => false,
    }
}

/// `ld #c … add x; tax; ld [x + k]` is `ld [x + (c + k)]` when the sum is not needed afterwards.
struct OffsetMerger<'a> {
    flow: &'a Flow,
    values: &'a Values,
    id: BlockId,
    /// The index register is read behind the block.
    x_live: bool,
}

impl OffsetMerger<'_> {
    /// Tries the load at `at`; returns how many instructions went.
    fn merge(&self, insns: &mut [Insn], at: usize) -> usize {
        let load = insns[at];
        let indexed = op::class(load.code) == op::LD && op::mode(load.code) == op::IND;
        if !indexed || insns[at - 1].code != TAX || insns[at - 2].code != ADD_X {
            return 0;
        }
        let before = &insns[..at - 2];
        let Some(constant) = before.iter().rposition(|insn| defines(insn) == A) else {
            return 0;
        };
        let next_use = insns[at + 1..].iter().find(|insn| (uses(insn) | defines(insn)) & X != 0);
        let x_needed = next_use.map_or(self.x_live, |insn| uses(insn) & X != 0);
        if before[constant].code != op::LD | op::IMM || x_needed {
            return 0;
        }
        let c = before[constant].k;
        let Some(k) = self.values.add_offsets(load.k, c) else {
            return 0;
        };
        // A sum that wraps is one of a negative constant: behind an IPv4 header's length, as in
        // libpcap, as long as an index with that length can be within a packet.
        let index = before.iter().rfind(|insn| defines(insn) == X);
        let behind_ipv4 = index.is_some_and(is_msh) && k <= i32::MAX as u32;
        let wraps = index_bound(self.values, self.id, before).checked_add(c).is_none();
        if wraps && (!behind_ipv4 || self.flow.exact) {
            return 0;
        }
        insns[at - 2] = Insn::stmt(load.code, k);
        insns.copy_within(at + 1.., at - 1);
        2
    }
}
