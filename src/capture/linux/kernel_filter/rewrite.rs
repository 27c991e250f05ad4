//! What a program for users' packets must look like for the kernel's.

use crate::bpf::{ANCILLARY_OFFSET, Ancillary, Insn, op};

/// The header that users see in front of a packet and the kernel's filter does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooked {
    /// None: `SOCK_RAW`.
    No,
    /// `DLT_LINUX_SLL`: `SOCK_DGRAM`, 16 bytes.
    V1,
    /// `DLT_LINUX_SLL2`: `SOCK_DGRAM`, 20 bytes.
    V2,
}

/// A field of a cooked header: offset, size bits, what the kernel has in its place.
type Field = (u32, u16, Ancillary);

impl Cooked {
    fn header_len(self) -> u32 {
        match self {
            Self::No => 0,
            Self::V1 => 16,
            Self::V2 => 20,
        }
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Self::No => &[],
            Self::V1 => &[(0, op::H, Ancillary::PktType), (14, op::H, Ancillary::Protocol)],
            Self::V2 => &[
                (0, op::H, Ancillary::Protocol),
                (4, op::W, Ancillary::IfIndex),
                (8, op::H, Ancillary::HaType),
                (10, op::B, Ancillary::PktType),
            ],
        }
    }
}

/// The program for the kernel, or why there is none. `insns` are strictly valid; accepting, they
/// shall return `snaplen`.
pub(super) fn for_kernel(
    insns: &[Insn],
    cooked: Cooked,
    snaplen: u32,
) -> Result<Vec<Insn>, String> {
    insns.iter().map(|insn| rewrite(*insn, cooked, snaplen)).collect()
}

fn rewrite(mut insn: Insn, cooked: Cooked, snaplen: u32) -> Result<Insn, String> {
    let (class, mode) = (op::class(insn.code), op::mode(insn.code));
    if insn.code == op::RET | op::K && insn.k != 0 {
        insn.k = snaplen;
    }
    if cooked == Cooked::No || !matches!(class, op::LD | op::LDX) {
        return Ok(insn);
    }
    match mode {
        op::LEN => Err("the kernel does not count the cooked header as length".to_owned()),
        op::ABS | op::IND | op::MSH => {
            insn.k = kernel_offset(&insn, cooked).ok_or_else(|| {
                format!("the kernel does not have byte {} of the cooked header", insn.k)
            })?;
            Ok(insn)
        }
        _ => Ok(insn),
    }
}

fn kernel_offset(insn: &Insn, cooked: Cooked) -> Option<u32> {
    let absolute = op::mode(insn.code) == op::ABS && op::class(insn.code) == op::LD;
    if absolute && insn.k >= ANCILLARY_OFFSET {
        return Some(insn.k);
    }
    if insn.k >= cooked.header_len() {
        return Some(insn.k - cooked.header_len());
    }
    let is_field = |field: &&Field| (field.0, field.1) == (insn.k, op::size(insn.code));
    let (_, _, what) = cooked.fields().iter().find(is_field).filter(|_| absolute)?;
    Some(ANCILLARY_OFFSET + *what as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPT: u32 = 1500;

    fn rewritten(insn: Insn, cooked: Cooked) -> Option<Insn> {
        for_kernel(&[insn], cooked, ACCEPT).ok().map(|insns| insns[0])
    }

    #[test]
    fn accepted_length_becomes_the_snapshot_length() {
        for (k, expected) in [(0, 0), (1, ACCEPT), (65535, ACCEPT)] {
            let ret = Insn::stmt(0x06, k);
            assert_eq!(rewritten(ret, Cooked::No), Some(Insn::stmt(0x06, expected)));
        }
        assert_eq!(rewritten(Insn::stmt(0x16, 0), Cooked::V1), Some(Insn::stmt(0x16, 0)));
    }

    #[test]
    fn cooked_offsets() {
        let cases = [
            (Cooked::V1, 0x28, 14, Some(0xffff_f000)),
            (Cooked::V1, 0x28, 0, Some(0xffff_f004)),
            (Cooked::V1, 0x20, 14, None),
            (Cooked::V1, 0x28, 15, None),
            (Cooked::V1, 0x28, 2, None),
            (Cooked::V1, 0x30, 25, Some(9)),
            (Cooked::V1, 0xb1, 16, Some(0)),
            (Cooked::V1, 0x48, 14, None),
            (Cooked::V1, 0x48, 18, Some(2)),
            (Cooked::V2, 0x28, 0, Some(0xffff_f000)),
            (Cooked::V2, 0x20, 4, Some(0xffff_f008)),
            (Cooked::V2, 0x28, 8, Some(0xffff_f01c)),
            (Cooked::V2, 0x30, 10, Some(0xffff_f004)),
            (Cooked::V2, 0x28, 10, None),
            (Cooked::V2, 0x30, 29, Some(9)),
            (Cooked::V2, 0x30, 0xffff_f030, Some(0xffff_f030)),
        ];
        for (cooked, code, k, expected) in cases {
            let got = rewritten(Insn::stmt(code, k), cooked).map(|insn| insn.k);
            assert_eq!(got, expected, "{cooked:?} {code:x} {k}");
        }
        assert_eq!(rewritten(Insn::stmt(0x80, 0), Cooked::V1), None);
        assert!(rewritten(Insn::stmt(0x80, 0), Cooked::No).is_some());
    }
}
