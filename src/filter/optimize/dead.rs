//! Removal of instructions whose result nobody reads.

use super::flow::{A, Flow, Regs, can_reject, defines, is_fixed_load, term_uses, uses};
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
        let live = flow.live_out(&block.term) | term_uses(&block.term);
        let may_empty = block.len > 0 && !(flow.exact && cfg.insns_of(id).iter().any(can_reject));
        if may_empty && restores(values, id, live) {
            cfg.blocks[id.index()].len = 0;
            flow.info[id.index()].live_in = live;
            changed = true;
            continue;
        }
        let shaken = shake(cfg, id, live, flow.exact);
        flow.info[id.index()].live_in = shaken.live_in;
        changed |= shaken.lost != 0;
    }
    changed
}

/// What [`shake`] found.
pub(super) struct Shaken {
    /// Registers alive at the block's start.
    pub live_in: Regs,
    /// Registers that instructions which went had written.
    pub lost: Regs,
}

/// Drops the instructions of a block whose results are not in `live` at its end and not read
/// before; with `exact` those that can reject the packet stay.
pub(super) fn shake(cfg: &mut Cfg, id: BlockId, live: Regs, exact: bool) -> Shaken {
    let block = &mut cfg.blocks[id.index()];
    let insns = &mut cfg.insns[block.start as usize..][..block.len as usize];
    if let [load] = &*insns
        && live & A != 0
        && is_fixed_load(load)
    {
        return Shaken { live_in: live & !A, lost: 0 };
    }
    let mut shaken = Shaken { live_in: live, lost: 0 };
    let mut kept = insns.len();
    for from in (0..insns.len()).rev() {
        let insn = insns[from];
        let target = defines(&insn);
        if target & shaken.live_in != 0 || exact && can_reject(&insn) {
            shaken.live_in = shaken.live_in & !target | uses(&insn);
            kept -= 1;
            insns[kept] = insn;
        } else {
            shaken.lost |= target;
        }
    }
    block.start += kept as u32;
    block.len -= kept as u32;
    shaken
}

/// Whether every register of `live` has the same value at the block's start and end.
fn restores(values: &Values, id: BlockId, live: Regs) -> bool {
    (0..Regs::BITS as usize).filter(|reg| live >> reg & 1 != 0).all(|reg| values.keeps(id, reg))
}
