//! Arithmetic, header bytes and relations.

use super::Lowerer;
use super::code::{
    Base, Cmp, Field, Size, Steps, TAX, alu, alu_x, insn, ld_imm, ld_mem, ldx_mem, st,
};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, ipproto};
use super::qualifiers;
use crate::bpf::op;
use crate::filter::ast::{Arith, ArithId, ArithOp, ByteOp, Proto, RelOp};
use crate::filter::cond::{Compare, CondId};

type Lowered = Result<CondId, LowerError>;

/// An arithmetic expression: steps that leave its value in a register, and what must hold for the
/// value to have a meaning.
struct Value {
    steps: Steps,
    reg: u8,
    guard: Option<CondId>,
}

/// What is left to do for an expression, last first.
enum Task {
    Visit(ArithId),
    Negate,
    Binary(ArithOp, ArithId),
    Load { proto: Proto, size: u32 },
}

impl Lowerer<'_> {
    /// `left relop right`.
    pub(super) fn relation(&mut self, rel: RelOp, left: ArithId, right: ArithId) -> Lowered {
        let left = self.value(left)?;
        let right = self.value(right)?;
        let mut steps = left.steps;
        steps.extend(right.steps);
        steps.push(ldx_mem(right.reg));
        steps.push(ld_mem(left.reg));
        let cmp = match rel {
            RelOp::Gt => Cmp::Gt,
            RelOp::Ge => Cmp::Ge,
            RelOp::Eq => Cmp::Eq,
            RelOp::Le => Cmp::Le,
            RelOp::Lt => Cmp::Lt,
            RelOp::Ne => Cmp::Ne,
        };
        let (code, negate) = cmp.code();
        let test = self.tree.test(&steps, Compare { code: op::JMP | code | op::X, k: 0 });
        let test = if negate { self.not(test) } else { test };
        self.regs.free(left.reg);
        self.regs.free(right.reg);
        let guard = self.join_guards(left.guard, right.guard);
        Ok(self.guarded(guard, test))
    }

    fn join_guards(&mut self, a: Option<CondId>, b: Option<CondId>) -> Option<CondId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.and(a, b)),
            (one, None) | (None, one) => one,
        }
    }

    /// Evaluates an expression, operands left to right.
    fn value(&mut self, root: ArithId) -> Result<Value, LowerError> {
        let mut tasks = vec![Task::Visit(root)];
        let mut values: Vec<Value> = Vec::new();
        while let Some(task) = tasks.pop() {
            let value = match task {
                Task::Visit(id) => match *self.ast.arith(id) {
                    Arith::Num(n) => self.stored(vec![ld_imm(n)])?,
                    Arith::Len => self.stored(vec![insn(op::LD | op::LEN, 0)])?,
                    Arith::Neg(inner) => {
                        tasks.extend([Task::Negate, Task::Visit(inner)]);
                        continue;
                    }
                    Arith::Binary(operator, a, b) => {
                        let operation = Task::Binary(operator, b);
                        tasks.extend([operation, Task::Visit(b), Task::Visit(a)]);
                        continue;
                    }
                    Arith::Load { proto, index, size } => {
                        tasks.extend([Task::Load { proto, size }, Task::Visit(index)]);
                        continue;
                    }
                },
                Task::Negate => negated(pop(&mut values)),
                Task::Binary(operator, right) => {
                    self.check_operand(operator, right)?;
                    let (b, a) = (pop(&mut values), pop(&mut values));
                    self.binary(operator, a, b)?
                }
                Task::Load { proto, size } => {
                    let index = pop(&mut values);
                    self.header_load(proto, index, size)?
                }
            };
            values.push(value);
        }
        Ok(pop(&mut values))
    }

    /// A value whose `steps` leave it in the accumulator, put into a register.
    fn stored(&mut self, mut steps: Steps) -> Result<Value, LowerError> {
        let reg = self.regs.alloc()?;
        steps.push(st(reg));
        Ok(Value { steps, reg, guard: None })
    }

    /// Constant operands that the machine refuses or that mean nothing.
    fn check_operand(&self, operator: ArithOp, right: ArithId) -> Result<(), LowerError> {
        let Arith::Num(n) = *self.ast.arith(right) else { return Ok(()) };
        match operator {
            ArithOp::Div if n == 0 => Err(LowerError::DivisionByZero),
            ArithOp::Mod if n == 0 => Err(LowerError::ModulusByZero),
            ArithOp::Lsh | ArithOp::Rsh if n > 31 => Err(LowerError::ShiftTooFar),
            _ => Ok(()),
        }
    }

    fn binary(&mut self, operator: ArithOp, a: Value, b: Value) -> Result<Value, LowerError> {
        let operation = match operator {
            ArithOp::Add => op::ADD,
            ArithOp::Sub => op::SUB,
            ArithOp::Mul => op::MUL,
            ArithOp::Div => op::DIV,
            ArithOp::Mod => op::MOD,
            ArithOp::And => op::AND,
            ArithOp::Or => op::OR,
            ArithOp::Xor => op::XOR,
            ArithOp::Lsh => op::LSH,
            ArithOp::Rsh => op::RSH,
        };
        let mut steps = a.steps;
        steps.extend(b.steps);
        steps.extend([ldx_mem(b.reg), ld_mem(a.reg), alu_x(operation)]);
        self.regs.free(a.reg);
        self.regs.free(b.reg);
        // As in libpcap, only the left operand's protocol must be present.
        Ok(Value { guard: a.guard, ..self.stored(steps)? })
    }

    /// `proto[index:size]`, with the tests that the protocol is there.
    fn header_load(&mut self, proto: Proto, index: Value, size: u32) -> Result<Value, LowerError> {
        let width = match size {
            1 => Size::B,
            2 => Size::H,
            4 => Size::W,
            _ => return Err(LowerError::DataSize),
        };
        let reg = self.regs.alloc()?;
        self.regs.free(index.reg);
        let (load, guard) = self.header_bytes(proto, &index, width)?;
        let mut steps = index.steps;
        steps.extend(load);
        steps.push(st(reg));
        let guard = match (index.guard, guard) {
            // What lies behind IPv4 is known to do so before the index is looked at, as in libpcap.
            (Some(a), Some(b)) if needs_ipv4(proto) => {
                let carried = self.link_type(ethertype::IP)?;
                Some(self.all(&[carried, a, b]))
            }
            (Some(a), Some(b)) => Some(self.and(a, b)),
            (one, None) | (None, one) => one,
        };
        Ok(Value { steps, reg, guard })
    }

    fn header_bytes(
        &mut self,
        proto: Proto,
        index: &Value,
        width: Size,
    ) -> Result<(Steps, Option<CondId>), LowerError> {
        let ether = match proto {
            Proto::Radio => {
                if !self.layout.has_radio() {
                    return Err(LowerError::NoRadio);
                }
                return Ok((indexed(None, index, 0, width), None));
            }
            Proto::Link => {
                let reg = self.offset_reg(Field::Link)?;
                let k = self.layout.link_header.constant;
                return Ok((indexed(reg, index, k, width), None));
            }
            Proto::Ip => ethertype::IP,
            Proto::Arp => ethertype::ARP,
            Proto::Rarp => ethertype::REVARP,
            Proto::Atalk => ethertype::ATALK,
            Proto::Decnet => ethertype::DN,
            Proto::Lat => ethertype::LAT,
            Proto::Sca => ethertype::SCA,
            Proto::Moprc => ethertype::MOPRC,
            Proto::Mopdl => ethertype::MOPDL,
            Proto::Ipv6 => ethertype::IPV6,
            Proto::Icmpv6 => return self.icmp6_bytes(index, width),
            _ => return self.transport_bytes(proto, index, width),
        };
        let reg = self.offset_reg(Field::Payload)?;
        let guard = self.link_type(ether)?;
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        Ok((indexed(reg, index, k, width), Some(guard)))
    }

    fn icmp6_bytes(
        &mut self,
        index: &Value,
        width: Size,
    ) -> Result<(Steps, Option<CondId>), LowerError> {
        let carried = self.link_type(ethertype::IPV6)?;
        let next = self.eq(Base::Net, 6, Size::B, ipproto::ICMPV6)?;
        let guard = self.and(carried, next);
        let reg = self.offset_reg(Field::Payload)?;
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        Ok((indexed(reg, index, k.wrapping_add(40), width), Some(guard)))
    }

    /// Bytes after an IPv4 header with its options.
    fn transport_bytes(
        &mut self,
        proto: Proto,
        index: &Value,
        width: Size,
    ) -> Result<(Steps, Option<CondId>), LowerError> {
        let number = match proto {
            Proto::Sctp => ipproto::SCTP,
            Proto::Tcp => ipproto::TCP,
            Proto::Udp => ipproto::UDP,
            Proto::Icmp => ipproto::ICMP,
            Proto::Igmp => ipproto::IGMP,
            Proto::Igrp => ipproto::IGRP,
            Proto::Pim => ipproto::PIM,
            Proto::Vrrp | Proto::Carp => ipproto::VRRP,
            other => return Err(LowerError::NoIndex(qualifiers::protocol(other))),
        };
        let mut steps = self.ipv4_header_length()?;
        let carried = self.ip_proto(number)?;
        let first = self.first_fragment()?;
        let guard = self.and(carried, first);
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        steps.extend([ld_mem(index.reg), alu_x(op::ADD), TAX]);
        steps.push(insn(op::LD | op::IND | width.code(), k));
        Ok((steps, Some(guard)))
    }

    /// `byte index op value`.
    pub(super) fn byte(&mut self, index: u32, operator: ByteOp, value: u32) -> Lowered {
        at_most("byte argument", value, 0xff)?;
        let (operation, cmp) = match operator {
            ByteOp::Eq => return self.cmp(Base::Link, index, Size::B, Cmp::Eq, value),
            ByteOp::Lt => return self.cmp(Base::Link, index, Size::B, Cmp::Lt, value),
            ByteOp::Gt => return self.cmp(Base::Link, index, Size::B, Cmp::Gt, value),
            ByteOp::And => (op::AND, Cmp::Ne),
            ByteOp::Or => (op::OR, Cmp::Ne),
        };
        let mut steps = self.load(Base::Link, index, Size::B)?;
        steps.push(alu(operation, value));
        Ok(self.compare(&steps, cmp, 0))
    }

    /// `less` and `greater`.
    pub(super) fn length(&mut self, cmp: Cmp, n: u32) -> CondId {
        self.compare(&[insn(op::LD | op::LEN, 0)], cmp, n)
    }
}

/// Whether a protocol that can be indexed is looked for behind IPv4.
fn needs_ipv4(proto: Proto) -> bool {
    matches!(
        proto,
        Proto::Sctp
            | Proto::Tcp
            | Proto::Udp
            | Proto::Icmp
            | Proto::Igmp
            | Proto::Igrp
            | Proto::Pim
            | Proto::Vrrp
            | Proto::Carp
    )
}

/// Steps that load from an index plus an offset plus a constant.
fn indexed(offset: Option<u8>, index: &Value, k: u32, width: Size) -> Steps {
    let mut steps = match offset {
        Some(reg) => vec![ldx_mem(reg), ld_mem(index.reg), alu_x(op::ADD), TAX],
        None => vec![ldx_mem(index.reg)],
    };
    steps.push(insn(op::LD | op::IND | width.code(), k));
    steps
}

fn negated(mut value: Value) -> Value {
    value.steps.extend([ld_mem(value.reg), insn(op::ALU | op::NEG, 0), st(value.reg)]);
    value
}

/// The operands are there: every task that takes some follows tasks that leave them.
fn pop(values: &mut Vec<Value>) -> Value {
    values.pop().expect("operands are pushed before their operator runs")
}
