//! Arithmetic, header bytes and relations.

use super::Lowerer;
use super::code::{
    Base, Cmp, Field, Size, Steps, TAX, alu, alu_x, insn, ld_imm, ld_mem, ldx_mem, st,
};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, ipproto};
use super::qualifiers;
use crate::bpf::{Insn, op};
use crate::filter::ast::{Arith, ArithId, ArithOp, ByteOp, Proto, RelOp};
use crate::filter::cond::{Compare, CondId, Stmt};

type Lowered = Result<CondId, LowerError>;

/// The value of an arithmetic expression, and what must hold for it to have a meaning.
#[derive(Clone, Copy)]
struct Value {
    at: Place,
    guard: Option<CondId>,
    /// Its register: also a number takes one, as in libpcap, which has no more than these.
    reg: u8,
}

/// Where a value is.
#[derive(Clone, Copy)]
enum Place {
    /// Known, and nowhere.
    Num(u32),
    /// In its register.
    Reg,
}

impl Value {
    /// Whether the last steps load the value from the packet and store it.
    fn is_loaded(self, steps: &[Stmt]) -> bool {
        let is_load = |insn: &Insn| op::class(insn.code) == op::LD;
        matches!(steps, [.., Stmt::Insn(load), last] if is_load(load) && *last == st(self.reg))
    }
}

/// What is left to do for an expression, last first.
enum Task {
    Visit(ArithId),
    Negate,
    Binary(ArithOp, ArithId),
    Load { proto: Proto, size: u32 },
}

/// Vectors that are empty between relations.
#[derive(Default)]
pub(super) struct Arithmetic {
    steps: Steps,
    tasks: Vec<Task>,
    values: Vec<Value>,
}

impl Lowerer<'_> {
    /// `left relop right`.
    pub(super) fn relation(&mut self, rel: RelOp, left: ArithId, right: ArithId) -> Lowered {
        let mut work = std::mem::take(&mut self.arithmetic);
        work.steps.clear();
        let left = self.value(left, &mut work)?;
        let right = self.value(right, &mut work)?;
        let cmp = match rel {
            RelOp::Gt => Cmp::Gt,
            RelOp::Ge => Cmp::Ge,
            RelOp::Eq => Cmp::Eq,
            RelOp::Le => Cmp::Le,
            RelOp::Lt => Cmp::Lt,
            RelOp::Ne => Cmp::Ne,
        };
        let (code, negate) = cmp.code();
        let (source, k) = operand(right, &mut work.steps);
        // What is computed is tested as a value first: the optimizer moves branches before it makes
        // arithmetic part of a test, as libpcap's does.
        if source == op::K && left.is_loaded(&work.steps) {
            work.steps.pop();
        } else {
            work.steps.push(load(left));
        }
        let test = self.tree.test(&work.steps, Compare { code: op::JMP | code | source, k });
        let test = if negate { self.not(test) } else { test };
        self.arithmetic = work;
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
    fn value(&mut self, root: ArithId, work: &mut Arithmetic) -> Result<Value, LowerError> {
        let Arithmetic { steps, tasks, values } = work;
        tasks.clear();
        values.clear();
        let mut next = Some(Task::Visit(root));
        while let Some(task) = next.take().or_else(|| tasks.pop()) {
            let value = match task {
                Task::Visit(id) => match self.ast.arith(id) {
                    Arith::Num(n) => self.number_value(n)?,
                    Arith::Len => {
                        steps.push(insn(op::LD | op::LEN, 0));
                        self.stored(steps)?
                    }
                    Arith::Neg(inner) => {
                        tasks.push(Task::Negate);
                        next = Some(Task::Visit(inner));
                        continue;
                    }
                    Arith::Binary(operator, a, b) => {
                        tasks.extend([Task::Binary(operator, b), Task::Visit(b)]);
                        next = Some(Task::Visit(a));
                        continue;
                    }
                    Arith::Load { proto, index, size } => {
                        tasks.push(Task::Load { proto, size });
                        next = Some(Task::Visit(index));
                        continue;
                    }
                },
                Task::Negate => negated(pop(values), steps),
                Task::Binary(operator, right) => {
                    self.check_operand(operator, right)?;
                    let (b, a) = (pop(values), pop(values));
                    self.binary(operator, a, b, steps)?
                }
                Task::Load { proto, size } => {
                    let index = pop(values);
                    self.header_load(proto, index, size, steps)?
                }
            };
            values.push(value);
        }
        Ok(pop(values))
    }

    fn number_value(&mut self, n: u32) -> Result<Value, LowerError> {
        Ok(Value { at: Place::Num(n), guard: None, reg: self.regs.alloc()? })
    }

    /// A value whose `steps` leave it in the accumulator, put into a register.
    fn stored(&mut self, steps: &mut Steps) -> Result<Value, LowerError> {
        let reg = self.regs.alloc()?;
        steps.push(st(reg));
        Ok(Value { at: Place::Reg, guard: None, reg })
    }

    /// Constant operands that the machine refuses or that mean nothing.
    fn check_operand(&self, operator: ArithOp, right: ArithId) -> Result<(), LowerError> {
        let Arith::Num(n) = self.ast.arith(right) else { return Ok(()) };
        match operator {
            ArithOp::Div if n == 0 => Err(LowerError::DivisionByZero),
            ArithOp::Mod if n == 0 => Err(LowerError::ModulusByZero),
            ArithOp::Lsh | ArithOp::Rsh if n > 31 => Err(LowerError::ShiftTooFar),
            _ => Ok(()),
        }
    }

    fn binary(
        &mut self,
        operator: ArithOp,
        a: Value,
        b: Value,
        steps: &mut Steps,
    ) -> Result<Value, LowerError> {
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
        self.regs.free(a.reg);
        self.regs.free(b.reg);
        // As in libpcap, only the left operand's protocol must be present.
        let guard = a.guard;
        if let (Place::Num(a), Place::Num(b)) = (a.at, b.at)
            && let Some(n) = folded(operator, a, b)
        {
            return Ok(Value { guard, ..self.number_value(n)? });
        }
        let (source, k) = match b.at {
            // The machine refuses such a constant.
            Place::Num(n) if folded(operator, 0, n).is_none() => {
                steps.push(load_x(b));
                (op::X, 0)
            }
            _ => operand(b, steps),
        };
        reload(a, steps);
        steps.push(insn(op::ALU | operation | source, k));
        Ok(Value { guard, ..self.stored(steps)? })
    }

    /// `proto[index:size]`, with the tests that the protocol is there.
    fn header_load(
        &mut self,
        proto: Proto,
        index: Value,
        size: u32,
        steps: &mut Steps,
    ) -> Result<Value, LowerError> {
        let width = match size {
            1 => Size::B,
            2 => Size::H,
            4 => Size::W,
            _ => return Err(LowerError::DataSize),
        };
        let reg = self.regs.alloc()?;
        self.regs.free(index.reg);
        let guard = self.header_bytes(proto, index, width, steps)?;
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
        Ok(Value { at: Place::Reg, reg, guard })
    }

    /// Loads into the accumulator; returns what must hold.
    fn header_bytes(
        &mut self,
        proto: Proto,
        index: Value,
        width: Size,
        steps: &mut Steps,
    ) -> Result<Option<CondId>, LowerError> {
        let ether = match proto {
            Proto::Radio => {
                if !self.layout.has_radio() {
                    return Err(LowerError::NoRadio);
                }
                indexed(None, index, 0, width, steps);
                return Ok(None);
            }
            Proto::Link => {
                let reg = self.offset_reg(Field::Link)?;
                indexed(reg, index, self.layout.link_header.constant, width, steps);
                return Ok(None);
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
            Proto::Icmpv6 => return self.icmp6_bytes(index, width, steps).map(Some),
            _ => return self.transport_bytes(proto, index, width, steps).map(Some),
        };
        let reg = self.offset_reg(Field::Payload)?;
        let guard = self.link_type(ether)?;
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        indexed(reg, index, k, width, steps);
        Ok(Some(guard))
    }

    fn icmp6_bytes(&mut self, index: Value, width: Size, steps: &mut Steps) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let next = self.eq(Base::Net, 6, Size::B, ipproto::ICMPV6)?;
        let guard = self.and(carried, next);
        let reg = self.offset_reg(Field::Payload)?;
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        indexed(reg, index, k.wrapping_add(40), width, steps);
        Ok(guard)
    }

    /// Bytes after an IPv4 header with its options.
    fn transport_bytes(
        &mut self,
        proto: Proto,
        index: Value,
        width: Size,
        steps: &mut Steps,
    ) -> Lowered {
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
        self.push_ipv4_header_length(steps)?;
        let carried = self.ip_proto(number)?;
        let first = self.first_fragment()?;
        let guard = self.and(carried, first);
        let k = self.layout.payload.constant.wrapping_add(self.layout.network);
        steps.extend([load(index), alu_x(op::ADD), TAX, insn(op::LD | op::IND | width.code(), k)]);
        Ok(guard)
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

/// Steps that load from an index plus an offset plus a constant. Also a known index is an index: libpcap's
/// optimizer moves branches before it makes one number of both, so that a byte is not taken for what
/// another primitive looks at, whose tests would bring others forward, with all that they load.
fn indexed(offset: Option<u8>, index: Value, k: u32, width: Size, steps: &mut Steps) {
    match offset {
        Some(reg) => steps.extend([ldx_mem(reg), load(index), alu_x(op::ADD), TAX]),
        None => steps.push(load_x(index)),
    }
    steps.push(insn(op::LD | op::IND | width.code(), k));
}

/// The step that loads a value.
fn load(value: Value) -> Stmt {
    match value.at {
        Place::Num(n) => ld_imm(n),
        Place::Reg => ld_mem(value.reg),
    }
}

/// The step that loads a value into the index register.
fn load_x(value: Value) -> Stmt {
    match value.at {
        Place::Num(n) => insn(op::LDX | op::IMM, n),
        Place::Reg => ldx_mem(value.reg),
    }
}

/// A value as the operand that the source bit and the number tell, loaded if it must be.
fn operand(value: Value, steps: &mut Steps) -> (u16, u32) {
    match value.at {
        Place::Num(n) => (op::K, n),
        Place::Reg => {
            steps.push(load_x(value));
            (op::X, 0)
        }
    }
}

/// Loads a value into the accumulator, if it was not just stored from there.
fn reload(value: Value, steps: &mut Steps) {
    match value.at {
        Place::Reg if steps.last() == Some(&st(value.reg)) => {
            steps.pop();
        }
        _ => steps.push(load(value)),
    }
}

/// What the machine would compute, unless that depends on it.
fn folded(operator: ArithOp, a: u32, b: u32) -> Option<u32> {
    match operator {
        ArithOp::Add => Some(a.wrapping_add(b)),
        ArithOp::Sub => Some(a.wrapping_sub(b)),
        ArithOp::Mul => Some(a.wrapping_mul(b)),
        ArithOp::Div => a.checked_div(b),
        ArithOp::Mod => a.checked_rem(b),
        ArithOp::And => Some(a & b),
        ArithOp::Or => Some(a | b),
        ArithOp::Xor => Some(a ^ b),
        ArithOp::Lsh => a.checked_shl(b),
        ArithOp::Rsh => a.checked_shr(b),
    }
}

fn negated(value: Value, steps: &mut Steps) -> Value {
    match value.at {
        Place::Num(n) => Value { at: Place::Num(n.wrapping_neg()), ..value },
        Place::Reg => {
            reload(value, steps);
            steps.extend([insn(op::ALU | op::NEG, 0), st(value.reg)]);
            value
        }
    }
}

/// The operands are there: every task that takes some follows tasks that leave them.
fn pop(values: &mut Vec<Value>) -> Value {
    values.pop().expect("operands are pushed before their operator runs")
}
