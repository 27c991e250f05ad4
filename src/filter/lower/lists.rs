//! Lists of hosts and of ports: guards tested once, addresses looked up in sets.

use super::code::{Base, Field, Size, Steps, TAX, alu_x, insn, ld_imm, ldx_mem};
use super::element::{Ends, Range};
use super::error::LowerError;
use super::ip::AddrFields;
use super::sets::with;
use super::{Lists, Lowerer};
use crate::bpf::op;
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// How to get at the addresses in packets of some protocols: guard, source, destination.
type Arm = (CondId, Steps, Steps);

impl Lowerer<'_> {
    /// A list of IPv4 addresses and networks.
    pub(super) fn v4_list(
        &mut self,
        protocols: &[AddrFields],
        ends: Ends,
        first: Option<Range>,
        rest: Vec<Range>,
    ) -> Lowered {
        let arms = self.v4_arms(protocols)?;
        if let [(guard, src, dst)] = arms.as_slice() {
            let list = self.either_end([src, dst], ends, first, rest)?;
            return Ok(self.and(*guard, list));
        }
        self.joined = true;
        if self.lists == Lists::Apart {
            let mut each = Vec::with_capacity(arms.len());
            for (guard, src, dst) in arms {
                let list = self.either_end([&src, &dst], ends, first, rest.clone())?;
                each.push(self.and(guard, list));
            }
            return Ok(self.any(&each));
        }
        if ends != Ends::Either {
            return self.one_end(arms, ends, first, rest);
        }
        // The first element needs no destination.
        let mut terms = Vec::with_capacity(2);
        if let Some(first) = first {
            let mut each = Vec::with_capacity(arms.len());
            for (guard, src, _) in self.v4_arms(protocols)? {
                let hit = self.in_ranges(&src, vec![first]);
                each.push(self.and(guard, hit));
            }
            terms.push(self.any(&each));
        }
        let (fetched, [src, dst]) = self.fetched(&arms)?;
        let all = with(first, &rest);
        let tests = [self.in_ranges(&src, rest), self.in_ranges(&dst, all)];
        let tests = self.any(&tests);
        terms.push(self.and(fetched, tests));
        Ok(self.any(&terms))
    }

    /// One field, wherever the protocol has it.
    fn one_end(
        &mut self,
        arms: Vec<Arm>,
        ends: Ends,
        first: Option<Range>,
        rest: Vec<Range>,
    ) -> Lowered {
        let mut terms = Vec::with_capacity(arms.len());
        for (guard, src, dst) in arms {
            let fetch = self.tree.run(if ends == Ends::Src { &src } else { &dst });
            terms.push(self.and(guard, fetch));
        }
        let fetched = self.any(&terms);
        let list = self.in_ranges(&Steps::new(), with(first, &rest));
        Ok(self.and(fetched, list))
    }

    /// Protocols that have the addresses at the same places share an arm, unless they are to be
    /// looked at apart.
    fn v4_arms(&mut self, protocols: &[AddrFields]) -> Result<Vec<Arm>, LowerError> {
        let mut places: Vec<((u32, u32), Vec<CondId>)> = Vec::new();
        for fields in protocols {
            let carried = self.link_type(fields.ethertype)?;
            if self.const_value(carried) == Some(false) {
                continue;
            }
            let place = (fields.src, fields.dst);
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, guards)) if self.lists != Lists::Apart => guards.push(carried),
                _ => places.push((place, vec![carried])),
            }
        }
        let mut arms = Vec::with_capacity(places.len());
        for ((src, dst), guards) in places {
            let guard = self.any(&guards);
            let src = self.load(Base::Net, src, Size::W)?;
            let dst = self.load(Base::Net, dst, Size::W)?;
            arms.push((guard, src, dst));
        }
        Ok(arms)
    }

    /// A list of ports. X is the length of the IP header, of either version, plus the variable
    /// part of its offset: from there on both are the same.
    pub(super) fn port_list(
        &mut self,
        transport: Option<u32>,
        ends: Ends,
        first: Option<Range>,
        rest: Vec<Range>,
    ) -> Lowered {
        self.joined |= transport.is_none();
        let v6 = self.v6_port_guard(transport)?;
        let header = match self.offset_reg(Field::Payload)? {
            None => vec![insn(op::LDX | op::IMM, 40)],
            Some(reg) => vec![ldx_mem(reg), ld_imm(40), alu_x(op::ADD), TAX],
        };
        let header = self.tree.run(&header);
        let v6 = self.and(v6, header);
        let v4 = self.v4_port_guard(transport)?;
        let header = self.ipv4_header_length()?;
        let header = self.tree.run(&header);
        let v4 = self.and(v4, header);
        let guard = self.or(v6, v4);
        let base = self.layout.payload.constant.wrapping_add(self.layout.network);
        let port = |offset| vec![insn(op::LD | op::IND | op::H, base.wrapping_add(offset))];
        let list = self.either_end([&port(0), &port(2)], ends, first, rest)?;
        Ok(self.and(guard, list))
    }
}
