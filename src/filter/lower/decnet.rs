//! DECnet phase IV addresses.

use super::Lowerer;
use super::code::{Base, Size};
use super::error::LowerError;
use super::numbers::ethertype;
use super::qualifiers::direction;
use crate::filter::ast::Dir;
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// Routing header forms: where the flags lie, under which mask and value, and where the address
/// is in that form.
#[derive(Clone, Copy)]
struct Form {
    flags: (u32, Size, u32, u32),
    dst: u32,
    src: u32,
}

/// Long and short data packets, each also with a padding byte in front.
const FORMS: [Form; 4] = [
    Form { flags: (2, Size::B, 0x07, 0x02), dst: 3, src: 5 },
    Form { flags: (2, Size::H, 0xff07, 0x8102), dst: 4, src: 6 },
    Form { flags: (2, Size::B, 0x07, 0x06), dst: 9, src: 17 },
    Form { flags: (2, Size::H, 0xff07, 0x8106), dst: 10, src: 18 },
];

impl Lowerer<'_> {
    /// DECnet packets from or to a node.
    pub(super) fn decnet_host(&mut self, addr: u32, dir: Option<Dir>) -> Lowered {
        let carried = self.link_type(ethertype::DN)?;
        let node = match dir {
            Some(Dir::Src) => self.decnet_field(addr, |form| form.src)?,
            Some(Dir::Dst) => self.decnet_field(addr, |form| form.dst)?,
            None | Some(Dir::SrcOrDst | Dir::SrcAndDst) => {
                let src = self.decnet_field(addr, |form| form.src)?;
                let dst = self.decnet_field(addr, |form| form.dst)?;
                let both = dir == Some(Dir::SrcAndDst);
                if both { self.and(src, dst) } else { self.or(src, dst) }
            }
            Some(other) => return Err(LowerError::WlanOnly(direction(other))),
        };
        Ok(self.and(carried, node))
    }

    fn decnet_field(&mut self, addr: u32, field: impl Fn(Form) -> u32) -> Lowered {
        let wire = u32::from((addr as u16).swap_bytes());
        let mut terms = Vec::with_capacity(FORMS.len());
        for form in FORMS {
            let (offset, size, mask, value) = form.flags;
            let flags = self.eq_masked(Base::Net, offset, size, mask, value)?;
            let address = self.eq(Base::Net, field(form), Size::H, wire)?;
            terms.push(self.and(flags, address));
        }
        Ok(self.any(&terms))
    }
}
