//! Arithmetic by operator precedence.

use super::{Kind, Opens, Parser, Result, Value};
use crate::filter::ast::{Arith, ArithId, ArithOp, Id, Primitive, Span};
use crate::filter::lexer::Tok;

/// An operator whose right operand is being read.
#[derive(Clone, Copy, Debug)]
pub(super) enum PendingOp {
    /// Unary minus.
    Neg,
    /// An operator and its left operand.
    Binary(ArithOp, ArithId),
}

impl PendingOp {
    /// The left operand.
    pub(super) fn left(self) -> Option<ArithId> {
        match self {
            Self::Neg => None,
            Self::Binary(_, left) => Some(left),
        }
    }

    /// Whether this operator takes its operand before `next` can have it. All associate to the
    /// left, except that libpcap gives `%` and `^` no precedence: they never make way for an
    /// operator to their left nor for one to their right, so `a % b + c` is `a % (b + c)`.
    fn binds_before(self, next: ArithOp) -> bool {
        let own = match self {
            Self::Neg => Some(6),
            Self::Binary(op, _) => precedence(op),
        };
        matches!((own, precedence(next)), (Some(own), Some(next)) if own >= next)
    }
}

fn precedence(op: ArithOp) -> Option<u8> {
    match op {
        ArithOp::Or => Some(1),
        ArithOp::And => Some(2),
        ArithOp::Lsh | ArithOp::Rsh => Some(3),
        ArithOp::Add | ArithOp::Sub => Some(4),
        ArithOp::Mul | ArithOp::Div => Some(5),
        ArithOp::Mod | ArithOp::Xor => None,
    }
}

impl Parser<'_> {
    /// Reads what follows a number or arithmetic: `None` when an operand is due next, else the
    /// value that it turned out to be.
    pub(super) fn after_arith(&mut self, value: Value) -> Result<Option<Value>> {
        let in_arith = self.in_arith();
        let may = self.frame.may_begin(in_arith);
        let arith_fits = may.has(Opens::EXPR.or(Opens::ARITH));
        match self.tok {
            Tok::Arith(op) if arith_fits => {
                self.frame_is_arith();
                let right = self.operand_id(value)?;
                let left = self.reduce(right, |pending| pending.binds_before(op))?;
                self.push_op(PendingOp::Binary(op, left))?;
                return Ok(None);
            }
            Tok::Rel(op) if may.has(Opens::EXPR) || self.may_relate() => {
                if self.frame.first() {
                    self.frame.narrow(Opens::EXPR);
                }
                let right = self.operand_id(value)?;
                let left = self.reduce(right, |_| true)?;
                self.frame.relation = Some((left, op));
                self.advance();
                return Ok(None);
            }
            _ => {}
        }
        if let Kind::Bracket(..) = self.frame.kind {
            return self.close_bracket(value).map(Some);
        }
        if let Some((left, op)) = self.frame.relation {
            let right = self.operand_id(value)?;
            let right = self.reduce(right, |_| true)?;
            self.frame.relation = None;
            self.loose = None;
            let span = self.span_from(self.frame.arith_start);
            let expr = self.primitive(Primitive::Relation(op, left, right), span)?;
            return Ok(Some(Value::Bool(expr, None)));
        }
        match value {
            Value::Num(n, span) if !in_arith => self.lone_number(n, span, may).map(Some),
            _ => self.close_arith(value).map(Some),
        }
    }

    /// A relation may begin although arithmetic is all that may begin: in the middle of its left
    /// side.
    fn may_relate(&self) -> bool {
        self.frame.relation.is_none()
            && !self.frame.head
            && match self.frame.kind {
                Kind::Root => true,
                Kind::Paren(set) => set.has(Opens::EXPR),
                Kind::Bracket(..) => false,
            }
    }

    /// The operand at hand is arithmetic: its parenthesis holds just that, or an expression that
    /// starts with it.
    pub(super) fn frame_is_arith(&mut self) {
        if self.frame.alone() {
            self.frame.narrow(Opens::EXPR.or(Opens::ARITH));
        } else if self.frame.first() {
            self.frame.narrow(Opens::EXPR);
        }
    }

    /// Notes an operator whose right operand comes next.
    pub(super) fn push_op(&mut self, op: PendingOp) -> Result<()> {
        self.count_term()?;
        self.ops.push(op);
        self.advance();
        Ok(())
    }

    /// A number that is no part of arithmetic: an id, or all that its parenthesis holds.
    fn lone_number(&mut self, n: u32, span: Span, may: Opens) -> Result<Value> {
        if let (Tok::RParen, Kind::Paren(set)) = (self.tok, self.frame.kind)
            && self.frame.alone()
        {
            if !set.has(Opens::NUMBER) {
                return self.error();
            }
            self.close()?;
            return Ok(Value::Num(n, span));
        }
        if !may.has(Opens::ID.or(Opens::LIST)) {
            return self.error();
        }
        // Where it might have been arithmetic as well, what follows decides. In a list's first
        // place another member must.
        let joined = matches!(self.tok, Tok::And | Tok::Or);
        let ends = matches!(self.tok, Tok::RParen | Tok::End);
        let arith_too = may.has(Opens::EXPR.or(Opens::ARITH));
        if arith_too && !joined && (self.frame.alone() || !ends) {
            return self.error();
        }
        self.id_term(Id::Num(n), span)
    }

    /// Arithmetic that is all its parenthesis holds.
    fn close_arith(&mut self, value: Value) -> Result<Value> {
        let right = self.operand_id(value)?;
        let whole = self.reduce(right, |_| true)?;
        self.loose = Some(whole);
        match (self.tok, self.frame.kind) {
            (Tok::RParen, Kind::Paren(set)) if self.frame.alone() && set.has(Opens::ARITH) => {
                self.close()?;
                Ok(Value::Arith(whole))
            }
            _ => self.error(),
        }
    }

    /// `]` or `:size]`.
    fn close_bracket(&mut self, value: Value) -> Result<Value> {
        let right = self.operand_id(value)?;
        let index = self.reduce(right, |_| true)?;
        self.loose = Some(index);
        let Kind::Bracket(proto) = self.frame.kind else { return self.error() };
        let mut size = 1;
        if matches!(self.tok, Tok::Colon) {
            self.advance();
            let Tok::Num(n) = self.tok else { return self.error() };
            size = n;
            self.advance();
        }
        if !matches!(self.tok, Tok::RBracket) {
            return self.error();
        }
        let load = self.push_arith(Arith::Load { proto, index, size })?;
        self.loose = Some(load);
        self.close()?;
        Ok(Value::Arith(load))
    }

    /// Applies the pending operators of the frame to `right` for as long as `first` says so.
    fn reduce(&mut self, right: ArithId, first: impl Fn(PendingOp) -> bool) -> Result<ArithId> {
        let mut right = right;
        while self.ops.len() > self.frame.ops_base as usize {
            let op = match self.ops.last() {
                Some(&op) if first(op) => op,
                _ => break,
            };
            self.ops.pop();
            right = self.push_arith(match op {
                PendingOp::Neg => Arith::Neg(right),
                PendingOp::Binary(op, left) => Arith::Binary(op, left, right),
            })?;
        }
        Ok(right)
    }

    fn operand_id(&mut self, value: Value) -> Result<ArithId> {
        match value {
            Value::Num(n, _) => self.push_arith(Arith::Num(n)),
            Value::Arith(id) => Ok(id),
            Value::Bool(..) => self.error(),
        }
    }

    pub(super) fn push_arith(&mut self, arith: Arith) -> Result<ArithId> {
        self.count_term()?;
        Ok(self.ast.add_arith(arith))
    }
}
