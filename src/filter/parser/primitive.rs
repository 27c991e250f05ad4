//! Terms that are read in one go: heads, keywords and their arguments.

use super::arith::PendingOp;
use super::wlan::{self, Word};
use super::{Frame, Kind, Opens, Parser, Result, Value, error_at};
use crate::filter::ast::{
    AddrKind, Arith, ArithOp, ByteOp, Dir, Id, Primitive, Proto, Quals, RelOp, Span, TestList,
    ValueTest,
};
use crate::filter::error::ErrorKind;
use crate::filter::lexer::Tok;

impl Parser<'_> {
    /// Reads a term that starts with neither an id, a number, a parenthesis nor `not`; `None`
    /// when an operand is still due.
    pub(super) fn term(&mut self, may: Opens) -> Result<Option<Value>> {
        match self.tok {
            Tok::Arith(ArithOp::Sub) => {
                self.frame_is_arith();
                self.push_op(PendingOp::Neg).map(|()| None)
            }
            Tok::Len => {
                self.frame_is_arith();
                let len = self.push_arith(Arith::Len)?;
                self.advance();
                Ok(Some(Value::Arith(len)))
            }
            Tok::Proto(proto) => {
                let start = self.span.start;
                self.advance();
                if matches!(self.tok, Tok::LBracket) {
                    self.frame_is_arith();
                    let inner = Frame::new(Kind::Bracket(proto), None, self.ops.len());
                    return self.open(inner).map(|()| None);
                }
                if !may.has(Opens::EXPR) {
                    return self.error();
                }
                self.qualified(Some(proto), start)
            }
            _ if may.has(Opens::EXPR) => {
                let start = self.span.start;
                self.qualified(None, start)
            }
            _ => self.error(),
        }
    }

    /// What follows a protocol, or may stand without one.
    fn qualified(&mut self, proto: Option<Proto>, start: u32) -> Result<Option<Value>> {
        if self.frame.first() {
            self.frame.narrow(Opens::EXPR);
        }
        let primitive = match self.tok {
            Tok::Src | Tok::Dst | Tok::Dir(_) => {
                let dir = self.direction()?;
                let addr = self.kind()?;
                return Ok(self.head(Quals { proto, dir: Some(dir), addr }));
            }
            Tok::Kind(kind) | Tok::KindNoDir(kind) => {
                self.advance();
                return Ok(self.head(Quals { proto, dir: None, addr: Some(kind) }));
            }
            Tok::Broadcast => {
                self.advance();
                Primitive::Broadcast(proto)
            }
            Tok::Multicast => {
                self.advance();
                Primitive::Multicast(proto)
            }
            Tok::Type => self.wlan_type()?,
            Tok::Subtype => {
                self.advance();
                let span = self.name()?;
                match wlan::lone_subtype(&self.ast.name(span)) {
                    Ok((ty, subtype)) => Primitive::WlanType { ty, subtype: Some(subtype) },
                    Err(kind) => return error_at(kind, span),
                }
            }
            Tok::Direction => {
                self.advance();
                Primitive::WlanDir(self.wlan_word(wlan::direction)?)
            }
            _ => match proto {
                // What else follows a protocol qualifies an id.
                Some(proto) => match self.tok {
                    Tok::And | Tok::Or | Tok::RParen | Tok::End => Primitive::Proto(proto),
                    _ => return self.error(),
                },
                None => self.keyword()?,
            },
        };
        let expr = self.primitive(primitive, self.span_from(start))?;
        Ok(Some(Value::Bool(expr, None)))
    }

    /// Qualifiers were read; their id is due.
    fn head(&mut self, quals: Quals) -> Option<Value> {
        self.frame.head = true;
        self.frame.quals = Some(quals);
        None
    }

    /// `src`, `dst`, both with `or` or `and` between them, or an 802.11 address.
    fn direction(&mut self) -> Result<Dir> {
        let (dir, other) = match self.tok {
            Tok::Src => (Dir::Src, Tok::Dst),
            Tok::Dst => (Dir::Dst, Tok::Src),
            Tok::Dir(dir) => {
                self.advance();
                return Ok(dir);
            }
            _ => return self.error(),
        };
        self.advance();
        let both = match self.tok {
            Tok::Or => Dir::SrcOrDst,
            Tok::And => Dir::SrcAndDst,
            _ => return Ok(dir),
        };
        self.advance();
        if self.tok != other {
            return self.error();
        }
        self.advance();
        Ok(both)
    }

    /// A kind of identifier that may follow a direction, if there is one.
    fn kind(&mut self) -> Result<Option<AddrKind>> {
        let Tok::Kind(kind) = self.tok else { return Ok(None) };
        self.advance();
        Ok(Some(kind))
    }

    /// An address or name.
    pub(super) fn address(&mut self) -> Result<Id> {
        let tok = self.tok;
        self.advance();
        Ok(match tok {
            Tok::Name => Id::Name,
            Tok::Ether(mac) => Id::Ether(mac),
            Tok::Arcnet(address) => Id::Arcnet(address),
            Tok::V4 => match self.tok {
                Tok::Arith(ArithOp::Div) => {
                    self.advance();
                    Id::V4Prefix(self.number()?)
                }
                Tok::Mask => {
                    self.advance();
                    let mask = self.span.start;
                    if !matches!(self.tok, Tok::V4) {
                        return self.error();
                    }
                    self.advance();
                    Id::V4Mask { mask }
                }
                _ => Id::V4,
            },
            Tok::V6 => match self.tok {
                Tok::Arith(ArithOp::Div) => {
                    self.advance();
                    Id::V6Prefix(self.number()?)
                }
                _ => Id::V6,
            },
            _ => return self.error(),
        })
    }

    fn keyword(&mut self) -> Result<Primitive> {
        let tok = self.tok;
        if !starts_term(tok) {
            return self.error();
        }
        self.advance();
        Ok(match tok {
            Tok::Less => Primitive::Less(self.number()?),
            Tok::Greater => Primitive::Greater(self.number()?),
            Tok::Byte => self.byte()?,
            Tok::Inbound => Primitive::Inbound,
            Tok::Outbound => Primitive::Outbound,
            Tok::IfIndex => Primitive::IfIndex(self.number()?),
            Tok::Vlan => Primitive::Vlan(self.optional_number()?),
            Tok::Mpls => Primitive::Mpls(self.optional_number()?),
            Tok::Pppoed => Primitive::Pppoed,
            Tok::Pppoes => Primitive::Pppoes(self.optional_number()?),
            Tok::Geneve => Primitive::Geneve(self.optional_number()?),
            Tok::Vxlan => Primitive::Vxlan(self.optional_number()?),
            Tok::PfIfname => Primitive::PfIfname(self.name()?),
            Tok::PfRuleset => Primitive::PfRuleset(self.name()?),
            Tok::PfRnr => Primitive::PfRnr(self.number()?),
            Tok::PfSrnr => Primitive::PfSrnr(self.number()?),
            Tok::PfReason => match self.tok {
                Tok::Num(_) => Primitive::PfReasonCode(self.number()?),
                _ => Primitive::PfReason(self.name()?),
            },
            Tok::PfAction => Primitive::PfAction(self.name()?),
            Tok::Llc => self.llc(),
            Tok::Atm(kind) => Primitive::AtmType(kind),
            Tok::AtmField(field) => self.value_tests(|tests| Primitive::AtmField(field, tests))?,
            Tok::Mtp2(kind) => Primitive::Mtp2Type(kind),
            Tok::Mtp3(field) => self.value_tests(|tests| Primitive::Mtp3Field(field, tests))?,
            _ => return self.error(),
        })
    }

    fn number(&mut self) -> Result<u32> {
        let Tok::Num(n) = self.tok else { return self.error() };
        self.advance();
        Ok(n)
    }

    /// A number, perhaps in parentheses, if there is one.
    fn optional_number(&mut self) -> Result<Option<u32>> {
        let mut depth = 0usize;
        while matches!(self.tok, Tok::LParen) {
            self.advance();
            depth += 1;
        }
        if depth == 0 && !matches!(self.tok, Tok::Num(_)) {
            return Ok(None);
        }
        let n = self.number()?;
        for _ in 0..depth {
            if !matches!(self.tok, Tok::RParen) {
                return self.error();
            }
            self.advance();
        }
        Ok(Some(n))
    }

    /// Where a name stands.
    fn name(&mut self) -> Result<Span> {
        if !matches!(self.tok, Tok::Name) {
            return self.error();
        }
        let span = self.span;
        self.advance();
        Ok(span)
    }

    fn wlan_type(&mut self) -> Result<Primitive> {
        self.advance();
        let ty = self.wlan_word(wlan::frame_type)?;
        let subtype = if matches!(self.tok, Tok::Subtype) {
            self.advance();
            Some(self.wlan_word(|word| wlan::subtype(ty, word))?)
        } else {
            None
        };
        Ok(Primitive::WlanType { ty, subtype })
    }

    fn wlan_word<T>(
        &mut self,
        value: impl Fn(&Word<'_>) -> std::result::Result<T, ErrorKind>,
    ) -> Result<T> {
        let span = self.span;
        let word = match self.tok {
            Tok::Num(_) => Word::Num(self.number()?),
            _ => Word::Name(self.name().map(|span| self.ast.name(span))?),
        };
        value(&word).or_else(|kind| error_at(kind, span))
    }

    fn llc(&mut self) -> Primitive {
        let primitive = match self.tok {
            Tok::Name => Primitive::LlcType(self.span),
            Tok::PfRnr => Primitive::LlcRnr,
            _ => return Primitive::Llc,
        };
        self.advance();
        primitive
    }

    fn byte(&mut self) -> Result<Primitive> {
        let index = self.number()?;
        let op = match self.tok {
            Tok::Arith(ArithOp::And) => ByteOp::And,
            Tok::Arith(ArithOp::Or) => ByteOp::Or,
            Tok::Rel(RelOp::Lt) => ByteOp::Lt,
            Tok::Rel(RelOp::Gt) => ByteOp::Gt,
            Tok::Rel(RelOp::Eq) => ByteOp::Eq,
            _ => return self.error(),
        };
        self.advance();
        Ok(Primitive::Byte { index, op, value: self.number()? })
    }

    /// `N`, `op N` or `(N or N …)`.
    fn value_tests(&mut self, field: impl Fn(TestList) -> Primitive) -> Result<Primitive> {
        let at = self.span.start;
        let start = self.test_count();
        let complete = self.more_tests();
        let list = TestList { start, end: self.test_count() };
        match complete {
            Ok(()) => Ok(field(list)),
            Err(error) => {
                if list.end > list.start {
                    self.partial = Some(self.primitive(field(list), self.span_from(at))?);
                }
                Err(error)
            }
        }
    }

    /// Comparisons so far; each is a term, so a limit holds.
    fn test_count(&self) -> u32 {
        self.ast.tests.len() as u32
    }

    fn more_tests(&mut self) -> Result<()> {
        let equals = |value| ValueTest { op: RelOp::Eq, value };
        match self.tok {
            Tok::Rel(op) => {
                self.advance();
                let value = self.number()?;
                self.ast.tests.push(ValueTest { op, value });
            }
            Tok::LParen => {
                self.advance();
                let first = equals(self.number()?);
                self.ast.tests.push(first);
                while matches!(self.tok, Tok::Or) {
                    self.advance();
                    self.count_term()?;
                    let next = equals(self.number()?);
                    self.ast.tests.push(next);
                }
                if !matches!(self.tok, Tok::RParen) {
                    return self.error();
                }
                self.advance();
            }
            _ => {
                let only = equals(self.number()?);
                self.ast.tests.push(only);
            }
        }
        Ok(())
    }
}

/// Whether a token may be the keyword that a term starts with.
fn starts_term(tok: Tok) -> bool {
    !matches!(
        tok,
        Tok::End
            | Tok::Bad(_)
            | Tok::Name
            | Tok::V4
            | Tok::V6
            | Tok::Ether(_)
            | Tok::Arcnet(_)
            | Tok::RParen
            | Tok::LBracket
            | Tok::RBracket
            | Tok::Colon
            | Tok::And
            | Tok::Or
            | Tok::Mask
            | Tok::Arith(_)
            | Tok::Rel(_)
    )
}
