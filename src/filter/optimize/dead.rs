//! Removal of instructions whose result nobody reads.

use super::flow::{Flow, Regs, can_reject, defines, term_uses, uses};
use super::values::Values;
use crate::filter::cfg::{BlockId, Cfg};

/// Goes backward through every block and drops what it computes in vain. Also empties blocks that,
/// in whatever way, only restore the values that registers had before.
pub(super) fn remove_dead(cfg: &mut Cfg, flow: &mut Flow, values: &Values) -> bool {
    let mut changed = false;
    // Successors come first, so what is alive behind a block is up to date.
    for at in 0..flow.post.len() {
        let id = flow.post[at];
        let block = cfg.blocks[id.index()];
        let mut live = flow.live_out(&block.term) | term_uses(&block.term);
        let may_empty = block.len > 0 && !(flow.exact && cfg.insns_of(id).iter().any(can_reject));
        if may_empty && restores(values, id, live) {
            cfg.blocks[id.index()].len = 0;
            flow.live_in[id.index()] = live;
            changed = true;
            continue;
        }
        let insns = &mut cfg.insns[block.start as usize..][..block.len as usize];
        let mut kept = insns.len();
        for from in (0..insns.len()).rev() {
            let insn = insns[from];
            let target = defines(&insn);
            if target & live != 0 || flow.exact && can_reject(&insn) {
                live = live & !target | uses(&insn);
                kept -= 1;
                insns[kept] = insn;
            }
        }
        flow.live_in[id.index()] = live;
        if kept > 0 {
            let block = &mut cfg.blocks[id.index()];
            block.start += kept as u32;
            block.len -= kept as u32;
            changed = true;
        }
    }
    changed
}

/// Whether every register of `live` has the same value at the block's start and end.
fn restores(values: &Values, id: BlockId, live: Regs) -> bool {
    (0..Regs::BITS as usize)
        .filter(|reg| live >> reg & 1 != 0)
        .all(|reg| values.at_entry(id, reg) == values.at_exit(id, reg))
}
