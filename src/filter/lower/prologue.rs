//! Steps before everything else: lengths of variable-length headers, into registers.

use super::Lowerer;
use super::code::{Steps, TAX, TXA, alu, alu_x, insn, ld_imm, ld_mem, st};
use super::error::LowerError;
use crate::bpf::op;
use crate::filter::cond::{CondId, Stmt};
use crate::linktype::Dlt;

/// Registers that the prologue must fill because something reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prologue {
    /// Length of what is in front of the link-layer header.
    pub(super) link: Option<u8>,
    /// The same plus the length of the link-layer header.
    pub(super) payload: Option<u8>,
    /// What a VLAN tag in the packet adds to payload and type field offsets.
    pub(super) vlan_shifts: Option<(u8, u8)>,
}

/// Per-Packet Information's DLT field, as a word, of 802.11.
const PPI_IEEE802_11: u32 = 105u32.swap_bytes();
/// Mark of an AVS header, under this mask, where a Prism header may be.
const AVS_COOKIE: u32 = 0x8021_1000;
const AVS_COOKIE_MASK: u32 = 0xffff_f000;
/// Length of a Prism header.
const PRISM_HEADER: u32 = 144;

/// `ld [k]` and `ldb [k]`.
const fn word(k: u32) -> Stmt {
    insn(op::LD | op::ABS | op::W, k)
}
const fn byte(k: u32) -> Stmt {
    insn(op::LD | op::ABS | op::B, k)
}

/// A branch on bits of the accumulator.
const fn if_set(k: u32, jt: u32, jf: u32) -> Stmt {
    Stmt::Branch { code: op::JMP | op::JSET | op::K, k, jt, jf }
}

impl Lowerer<'_> {
    /// Puts the prologue in front of a finished filter.
    pub(super) fn finish(&mut self, mut root: CondId) -> Result<CondId, LowerError> {
        let steps = self.prologue_steps()?;
        if !steps.is_empty() {
            root = self.tree.prepend(root, &steps);
        }
        if self.layout.outermost_dlt != Dlt::PPI {
            return Ok(root);
        }
        // Only PPI packets that hold an 802.11 frame can be looked into.
        let is_80211 = self.compare(&[word(4)], super::code::Cmp::Eq, PPI_IEEE802_11);
        Ok(self.and(is_80211, root))
    }

    fn prologue_steps(&mut self) -> Result<Steps, LowerError> {
        let dlt = self.layout.outermost_dlt;
        let Prologue { link, payload, vlan_shifts } = self.prologue;
        if let Some((payload, link_type)) = vlan_shifts {
            return Ok(vec![ld_imm(0), st(payload), st(link_type)]);
        }
        if link.is_none() && payload.is_none() {
            return Ok(Vec::new());
        }
        if dlt == Dlt::PFLOG {
            let mut steps = vec![byte(0), alu(op::ADD, 3), alu(op::AND, 0xffff_fffc)];
            steps.extend(payload.map(st));
            return Ok(steps);
        }
        let mut steps = Steps::new();
        if dlt != Dlt::IEEE802_11 {
            let link = match link {
                Some(reg) => reg,
                None => self.regs.alloc_lasting()?,
            };
            link_prefix(dlt, link, &mut steps);
        }
        if let Some(payload) = payload {
            if steps.is_empty() {
                steps.push(insn(op::LDX | op::IMM, 0));
            }
            wlan_header(dlt, payload, &mut steps);
            self.optimizable = false;
        }
        Ok(steps)
    }
}

/// The length of what is in front of the 802.11 header, into a register and X.
fn link_prefix(dlt: Dlt, reg: u8, steps: &mut Steps) {
    match dlt {
        Dlt::PRISM_HEADER => steps.extend([
            word(0),
            alu(op::AND, AVS_COOKIE_MASK),
            Stmt::Branch { code: op::JMP | op::JEQ | op::K, k: AVS_COOKIE, jt: 3, jf: 5 },
            word(4),
            Stmt::Goto(6),
            ld_imm(PRISM_HEADER),
        ]),
        Dlt::IEEE802_11_RADIO_AVS => steps.push(word(4)),
        // Radiotap and PPI: 16 bits, little-endian.
        _ => steps.extend([byte(3), alu(op::LSH, 8), TAX, byte(2), alu_x(op::OR)]),
    }
    steps.extend([st(reg), TAX]);
}

/// Adds the length of the 802.11 header that starts at X: 24 bytes, 2 more in QoS data frames,
/// padded to a multiple of 4 when the radiotap header says so.
fn wlan_header(dlt: Dlt, reg: u8, steps: &mut Steps) {
    steps.extend([TXA, alu(op::ADD, 24), st(reg), insn(op::LD | op::IND | op::B, 0)]);
    let here = steps.len() as u32;
    let radiotap = dlt == Dlt::IEEE802_11_RADIO;
    let plain = here + 6;
    let end = if radiotap { here + 18 } else { plain };
    // Data, not control or extension, with the QoS bit.
    steps.extend([
        if_set(0x08, here + 1, end),
        if_set(0x04, end, here + 2),
        if_set(0x80, here + 3, plain),
        ld_mem(reg),
        alu(op::ADD, 2),
        st(reg),
    ]);
    if !radiotap {
        return;
    }
    // Flags are present, no second presence word, and the flags say padded; the flags come after
    // the time stamp if that is present.
    steps.extend([
        word(4),
        if_set(0x0200_0000, plain + 2, end),
        if_set(0x0000_0080, end, plain + 3),
        if_set(0x0100_0000, plain + 4, plain + 6),
        byte(16),
        if_set(0x20, plain + 8, end),
        byte(8),
        if_set(0x20, plain + 8, end),
        ld_mem(reg),
        alu(op::ADD, 3),
        alu(op::AND, 0xffff_fffc),
        st(reg),
    ]);
}
