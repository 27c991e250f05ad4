//! The vocabulary of the lowering: loads relative to a header, comparisons, and boolean joins
//! that fold constants.

use super::Lowerer;
use super::error::LowerError;
use crate::bpf::{Insn, op};
use crate::filter::cond::{Compare, CondId, Stmt};
use crate::filter::link_layout::Offset;

/// What an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Start of the packet, whatever the headers.
    Packet,
    /// Link-layer header.
    Link,
    /// Link-layer header around the current one.
    PrevLink,
    /// Type field.
    LinkType,
    /// Link-layer payload: the LLC header, where there is one.
    Llc,
    /// Network-layer header.
    Net,
    /// Network-layer header where LLC is not followed by SNAP.
    NetNoSnap,
    /// MPLS label before the network layer.
    PrevMpls,
    /// Transport header after IPv4 and its options.
    Transport4,
    /// Transport header right after IPv6's fixed header.
    Transport6,
}

/// Width of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    B,
    H,
    W,
}

impl Size {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::B => op::B,
            Self::H => op::H,
            Self::W => op::W,
        }
    }
}

/// How to compare, with both senses of the ordered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cmp {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Any bit of the operand set.
    Set,
    /// No bit of the operand set.
    Clear,
}

impl Cmp {
    /// The machine's comparison, and whether its answer must be negated.
    pub(super) fn code(self) -> (u16, bool) {
        match self {
            Self::Eq => (op::JEQ, false),
            Self::Ne => (op::JEQ, true),
            Self::Gt => (op::JGT, false),
            Self::Le => (op::JGT, true),
            Self::Ge => (op::JGE, false),
            Self::Lt => (op::JGE, true),
            Self::Set => (op::JSET, false),
            Self::Clear => (op::JSET, true),
        }
    }
}

/// Steps under construction.
pub(super) type Steps = Vec<Stmt>;

/// An instruction as a step.
pub(super) const fn insn(code: u16, k: u32) -> Stmt {
    Stmt::Insn(Insn::stmt(code, k))
}

/// `ldx M[reg]`.
pub(super) const fn ldx_mem(reg: u8) -> Stmt {
    insn(op::LDX | op::MEM, reg as u32)
}

/// `ld M[reg]`.
pub(super) const fn ld_mem(reg: u8) -> Stmt {
    insn(op::LD | op::MEM, reg as u32)
}

/// `st M[reg]`.
pub(super) const fn st(reg: u8) -> Stmt {
    insn(op::ST, reg as u32)
}

/// `stx M[reg]`.
pub(super) const fn stx(reg: u8) -> Stmt {
    insn(op::STX, reg as u32)
}

/// `ld #k`.
pub(super) const fn ld_imm(k: u32) -> Stmt {
    insn(op::LD | op::IMM, k)
}

/// `add #k` and the like.
pub(super) const fn alu(operation: u16, k: u32) -> Stmt {
    insn(op::ALU | operation | op::K, k)
}

/// `add x` and the like.
pub(super) const fn alu_x(operation: u16) -> Stmt {
    insn(op::ALU | operation | op::X, 0)
}

/// `tax`.
pub(super) const TAX: Stmt = insn(op::MISC | op::TAX, 0);
/// `txa`.
pub(super) const TXA: Stmt = insn(op::MISC | op::TXA, 0);

/// Picks one of the offsets of a layout that may need a register.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Link,
    PrevLink,
    LinkType,
    Payload,
}

impl Lowerer<'_> {
    fn offset_mut(&mut self, field: Field) -> &mut Offset {
        match field {
            Field::Link => &mut self.layout.link_header,
            Field::PrevLink => &mut self.layout.prev_link_header,
            Field::LinkType => &mut self.layout.link_type,
            Field::Payload => &mut self.layout.payload,
        }
    }

    /// The register of an offset, taken when first asked for; `None` for a constant offset.
    pub(super) fn offset_reg(&mut self, field: Field) -> Result<Option<u8>, LowerError> {
        let offset = *self.offset_mut(field);
        if !offset.variable || offset.reg.is_some() {
            return Ok(offset.reg);
        }
        self.new_offset_reg(field)
    }

    fn new_offset_reg(&mut self, field: Field) -> Result<Option<u8>, LowerError> {
        let reg = self.regs.alloc_lasting()?;
        self.offset_mut(field).reg = Some(reg);
        match field {
            Field::Link => self.prologue.link = Some(reg),
            Field::Payload => self.prologue.payload = Some(reg),
            Field::PrevLink | Field::LinkType => {}
        }
        Ok(Some(reg))
    }

    /// Steps that load from `offset` bytes after the start of a header.
    pub(super) fn load(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
    ) -> Result<Steps, LowerError> {
        if base == Base::Transport4 {
            return self.load_transport4(offset, size);
        }
        let (reg, load) = self.last_step(base, offset, size)?;
        Ok(match reg {
            Some(reg) => vec![ldx_mem(reg), Stmt::Insn(load)],
            None => vec![Stmt::Insn(load)],
        })
    }

    /// The load itself, and the register that must be in X for it.
    #[inline]
    fn last_step(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
    ) -> Result<(Option<u8>, Insn), LowerError> {
        let layout = &self.layout;
        let (field, extra) = match base {
            Base::Packet => return Ok((None, Insn::stmt(op::LD | op::ABS | size.code(), offset))),
            Base::Link => (Field::Link, 0),
            Base::PrevLink => (Field::PrevLink, 0),
            Base::LinkType => (Field::LinkType, 0),
            Base::Llc => (Field::Payload, 0),
            Base::Net | Base::Transport4 => (Field::Payload, layout.network),
            Base::NetNoSnap => (Field::Payload, layout.network_no_snap),
            Base::PrevMpls => (Field::Payload, layout.network.wrapping_sub(4)),
            Base::Transport6 => (Field::Payload, layout.network.wrapping_add(40)),
        };
        let reg = self.offset_reg(field)?;
        let k = self.offset_mut(field).constant.wrapping_add(extra).wrapping_add(offset);
        let mode = if reg.is_some() { op::IND } else { op::ABS };
        Ok((reg, Insn::stmt(op::LD | mode | size.code(), k)))
    }

    fn load_transport4(&mut self, offset: u32, size: Size) -> Result<Steps, LowerError> {
        let mut steps = Vec::with_capacity(8);
        self.push_ipv4_header_length(&mut steps)?;
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        steps.push(insn(op::LD | op::IND | size.code(), k.wrapping_add(offset)));
        Ok(steps)
    }

    /// Steps that put the IPv4 header's length, plus the variable part of its offset, into X.
    pub(super) fn ipv4_header_length(&mut self) -> Result<Steps, LowerError> {
        let mut steps = Vec::with_capacity(8);
        self.push_ipv4_header_length(&mut steps)?;
        Ok(steps)
    }

    /// The same after other steps.
    pub(super) fn push_ipv4_header_length(&mut self, steps: &mut Steps) -> Result<(), LowerError> {
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        match self.offset_reg(Field::Payload)? {
            None => steps.push(insn(op::LDX | op::MSH | op::B, k)),
            Some(reg) => steps.extend_from_slice(&[
                ldx_mem(reg),
                insn(op::LD | op::IND | op::B, k),
                alu(op::AND, 0xf),
                alu(op::LSH, 2),
                alu_x(op::ADD),
                TAX,
            ]),
        }
        Ok(())
    }

    /// A comparison of what `steps` load.
    pub(super) fn compare(&mut self, steps: &[Stmt], cmp: Cmp, k: u32) -> CondId {
        let (code, negate) = cmp.code();
        let id = self.tree.test(steps, Compare { code: op::JMP | code | op::K, k });
        if negate { self.not(id) } else { id }
    }

    /// The same where the steps are instructions.
    fn compare_plain(&mut self, insns: &[Insn], cmp: Cmp, k: u32) -> CondId {
        let (code, negate) = cmp.code();
        let id = self.tree.plain_test(insns, Compare { code: op::JMP | code | op::K, k });
        if negate { self.not(id) } else { id }
    }

    /// Compares a field.
    pub(super) fn cmp(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
        cmp: Cmp,
        k: u32,
    ) -> Result<CondId, LowerError> {
        self.cmp_masked(base, offset, size, u32::MAX, cmp, k)
    }

    /// Whether a field has a value.
    pub(super) fn eq(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
        k: u32,
    ) -> Result<CondId, LowerError> {
        self.cmp(base, offset, size, Cmp::Eq, k)
    }

    /// Compares some bits of a field.
    pub(super) fn cmp_masked(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
        mask: u32,
        cmp: Cmp,
        k: u32,
    ) -> Result<CondId, LowerError> {
        let and = Insn::stmt(op::ALU | op::AND | op::K, mask);
        let masks = usize::from(mask != u32::MAX);
        if base == Base::Transport4 && self.layout.payload.variable {
            let mut steps = self.load_transport4(offset, size)?;
            steps.extend((masks > 0).then_some(Stmt::Insn(and)));
            return Ok(self.compare(&steps, cmp, k));
        }
        // All other loads take one step, or two: no vector for these.
        if base == Base::Transport4 {
            let net = self.layout.payload.constant.wrapping_add(self.layout.network);
            let header = Insn::stmt(op::LDX | op::MSH | op::B, net);
            let load = Insn::stmt(op::LD | op::IND | size.code(), net.wrapping_add(offset));
            return Ok(self.compare_plain(&[header, load, and][..2 + masks], cmp, k));
        }
        Ok(match self.last_step(base, offset, size)? {
            (None, load) => self.compare_plain(&[load, and][..1 + masks], cmp, k),
            (Some(reg), load) => {
                let offset = Insn::stmt(op::LDX | op::MEM, reg.into());
                self.compare_plain(&[offset, load, and][..2 + masks], cmp, k)
            }
        })
    }

    /// Whether some bits of a field have a value.
    pub(super) fn eq_masked(
        &mut self,
        base: Base,
        offset: u32,
        size: Size,
        mask: u32,
        k: u32,
    ) -> Result<CondId, LowerError> {
        self.cmp_masked(base, offset, size, mask, Cmp::Eq, k)
    }

    /// Compares bytes, last word first, as libpcap does.
    pub(super) fn eq_bytes(
        &mut self,
        base: Base,
        offset: u32,
        bytes: &[u8],
    ) -> Result<CondId, LowerError> {
        let mut terms = Vec::with_capacity(4);
        let mut rest = bytes;
        while let Some((head, word)) = rest.split_last_chunk::<4>() {
            let at = offset.wrapping_add(head.len() as u32);
            terms.push(self.eq(base, at, Size::W, u32::from_be_bytes(*word))?);
            rest = head;
        }
        while let Some((head, half)) = rest.split_last_chunk::<2>() {
            let at = offset.wrapping_add(head.len() as u32);
            terms.push(self.eq(base, at, Size::H, u16::from_be_bytes(*half).into())?);
            rest = head;
        }
        if let [byte] = rest {
            terms.push(self.eq(base, offset, Size::B, (*byte).into())?);
        }
        Ok(self.all(&terms))
    }

    /// A constant.
    pub(super) fn constant(&self, value: bool) -> CondId {
        CondId::constant(value)
    }

    /// The value of a constant.
    pub(super) fn const_value(&self, id: CondId) -> Option<bool> {
        id.as_constant()
    }

    /// Negation.
    pub(super) fn not(&self, id: CondId) -> CondId {
        id.negated()
    }

    /// `a and b`, in this order.
    pub(super) fn and(&mut self, a: CondId, b: CondId) -> CondId {
        self.all(&[a, b])
    }

    /// `a or b`, in this order.
    pub(super) fn or(&mut self, a: CondId, b: CondId) -> CondId {
        self.any(&[a, b])
    }

    /// All of them, in this order.
    pub(super) fn all(&mut self, terms: &[CondId]) -> CondId {
        if terms.iter().all(|&term| self.const_value(term).is_none()) && !terms.is_empty() {
            return self.tree.and(terms);
        }
        if terms.iter().any(|&term| self.const_value(term) == Some(false)) {
            return self.constant(false);
        }
        let rest: Vec<_> =
            terms.iter().copied().filter(|&term| self.const_value(term).is_none()).collect();
        if rest.is_empty() { self.constant(true) } else { self.tree.and(&rest) }
    }

    /// Any of them, in this order.
    pub(super) fn any(&mut self, terms: &[CondId]) -> CondId {
        if terms.iter().all(|&term| self.const_value(term).is_none()) && !terms.is_empty() {
            return self.tree.or(terms);
        }
        if terms.iter().any(|&term| self.const_value(term) == Some(true)) {
            return self.constant(true);
        }
        let rest: Vec<_> =
            terms.iter().copied().filter(|&term| self.const_value(term).is_none()).collect();
        if rest.is_empty() { self.constant(false) } else { self.tree.or(&rest) }
    }
}
