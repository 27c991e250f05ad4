//! `protochain`: follows extension headers to a protocol, with a loop.

use super::Lowerer;
use super::code::{Cmp, Steps, TAX, TXA, alu, alu_x, insn, ld_mem, st};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, ipproto};
use super::qualifiers::not_a_qualifier;
use crate::bpf::op;
use crate::filter::ast::Proto;
use crate::filter::cond::{CondId, Stmt};

type Lowered = Result<CondId, LowerError>;

/// A branch on the accumulator to steps of the block.
const fn if_is(k: u32, jt: u32, jf: u32) -> Stmt {
    Stmt::Branch { code: op::JMP | op::JEQ | op::K, k, jt, jf }
}

impl Lowerer<'_> {
    /// `protochain N`.
    pub(super) fn proto_chain(&mut self, number: u32, over: Option<Proto>) -> Lowered {
        let scratch = self.regs.alloc()?;
        let chain = match over {
            None => {
                let v4 = self.proto_chain(number, Some(Proto::Ip))?;
                let v6 = self.proto_chain(number, Some(Proto::Ipv6))?;
                Ok(self.or(v4, v6))
            }
            Some(proto @ (Proto::Ip | Proto::Ipv6)) => {
                at_most("protocol number", number, 0xff)?;
                // The loop counts from a fixed place.
                if self.layout.payload.variable {
                    return Err(LowerError::ProtoChainVariable);
                }
                self.optimizable = false;
                if proto == Proto::Ip {
                    self.chain_v4(number, scratch)
                } else {
                    self.chain_v6(number, scratch)
                }
            }
            Some(other) => Err(not_a_qualifier(other, "protochain")),
        };
        self.regs.free(scratch);
        chain
    }

    /// Offset of the network header.
    fn chain_base(&self) -> u32 {
        self.layout.payload.constant.wrapping_add(self.layout.network)
    }

    /// Only AH headers are followed.
    fn chain_v4(&mut self, number: u32, scratch: u8) -> Lowered {
        let carried = self.link_type(ethertype::IP)?;
        let base = self.chain_base();
        let mut steps = vec![
            insn(op::LD | op::ABS | op::B, base.wrapping_add(9)),
            insn(op::LDX | op::MSH | op::B, base),
        ];
        let again = 2;
        let end = 16;
        steps.extend([
            if_is(number, end, 3),
            if_is(ipproto::NONE, end, 4),
            if_is(ipproto::AH, 5, end),
        ]);
        ah_header(base, scratch, &mut steps);
        steps.push(Stmt::Goto(again));
        debug_assert_eq!(steps.len() as u32, end);
        // The test needs the accumulator alone.
        let chain = self.compare(&steps, Cmp::Eq, number);
        Ok(self.and(carried, chain))
    }

    fn chain_v6(&mut self, number: u32, scratch: u8) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let base = self.chain_base();
        let mut steps =
            vec![insn(op::LD | op::ABS | op::B, base.wrapping_add(6)), insn(op::LDX | op::IMM, 40)];
        let again = 2;
        let options = 8;
        let (ah, end) = (options + 9, options + 21);
        steps.extend([
            if_is(number, end, 3),
            if_is(ipproto::NONE, end, 4),
            if_is(ipproto::HOPOPTS, options, 5),
            if_is(ipproto::DSTOPTS, options, 6),
            if_is(ipproto::ROUTING, options, 7),
            if_is(ipproto::FRAGMENT, options, ah),
        ]);
        // Next header into A, X past this one, whose length is in units of 8 bytes.
        steps.extend([
            insn(op::LD | op::IND | op::B, base),
            st(scratch),
            insn(op::LD | op::IND | op::B, base.wrapping_add(1)),
            alu(op::ADD, 1),
            alu(op::MUL, 8),
            alu_x(op::ADD),
            TAX,
            ld_mem(scratch),
            Stmt::Goto(again),
        ]);
        steps.push(if_is(ipproto::AH, ah + 1, end));
        ah_header(base, scratch, &mut steps);
        steps.push(Stmt::Goto(again));
        debug_assert_eq!(steps.len() as u32, end);
        let chain = self.compare(&steps, Cmp::Eq, number);
        Ok(self.and(carried, chain))
    }
}

/// Ten steps that load the next header of an AH header at X and set X to that header's length, as
/// libpcap does.
fn ah_header(base: u32, scratch: u8, steps: &mut Steps) {
    steps.extend([
        insn(op::LD | op::IND | op::B, base),
        st(scratch),
        TXA,
        alu(op::ADD, 1),
        TAX,
        insn(op::LD | op::IND | op::B, base),
        alu(op::ADD, 2),
        alu(op::MUL, 4),
        TAX,
        ld_mem(scratch),
    ]);
}
