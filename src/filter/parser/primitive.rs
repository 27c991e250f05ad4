//! Terms that are read in one go: heads, keywords and their arguments.

use super::arith::PendingOp;
use super::{Frame, Kind, Opens, Parser, Result, Value, wlan};
use crate::filter::ast::{
    AddrKind, Arith, ArithOp, ByteOp, Dir, Id, NameOrNum, Primitive, Proto, Quals, RelOp, ValueTest,
};
use crate::filter::error::{ErrorKind, FilterError};
use crate::filter::lexer::Tok;
use crate::raw_text;

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
                if self.tok == Tok::LBracket {
                    self.frame_is_arith();
                    return self.open_bracket(proto, start).map(|()| None);
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

    fn open_bracket(&mut self, proto: Proto, start: usize) -> Result<()> {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let inner = Frame::new(Kind::Bracket(proto, start), None, self.ops.len());
        self.open(inner)
    }

    /// What follows a protocol, or may stand without one.
    fn qualified(&mut self, proto: Option<Proto>, start: usize) -> Result<Option<Value>> {
        if self.frame.first() {
            self.frame.narrow(Opens::EXPR);
        }
        let primitive = match self.tok {
            Tok::Src | Tok::Dst | Tok::Dir(_) => {
                let dir = self.direction()?;
                let addr = self.kind()?;
                self.frame.head = Some(Quals { proto, dir: Some(dir), addr });
                return Ok(None);
            }
            Tok::Kind(kind) | Tok::KindNoDir(kind) => {
                self.advance();
                self.frame.head = Some(Quals { proto, dir: None, addr: Some(kind) });
                return Ok(None);
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
                let span = self.span.clone();
                let known = wlan::lone_subtype(&self.name()?);
                let (ty, subtype) = known.map_err(|kind| FilterError::new(kind, span))?;
                Primitive::WlanType { ty, subtype: Some(subtype) }
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
        let expr = self.primitive(primitive, start..self.prev_end)?;
        Ok(Some(Value::Bool(expr, None)))
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
            Tok::Name(name) => Id::Name(raw_text::keep(name)),
            Tok::Ether(mac, text) => Id::Ether(mac, raw_text::keep(text)),
            Tok::Arcnet(address, text) => Id::Arcnet(address, raw_text::keep(text)),
            Tok::V4(address) => match self.tok {
                Tok::Arith(ArithOp::Div) => {
                    self.advance();
                    Id::V4Prefix(raw_text::keep(address), self.number()?)
                }
                Tok::Mask => {
                    self.advance();
                    let Tok::V4(mask) = self.tok else { return self.error() };
                    self.advance();
                    Id::V4Mask(raw_text::keep(address), raw_text::keep(mask))
                }
                _ => Id::V4(raw_text::keep(address)),
            },
            Tok::V6(address) => match self.tok {
                Tok::Arith(ArithOp::Div) => {
                    self.advance();
                    Id::V6Prefix(raw_text::keep(address), self.number()?)
                }
                _ => Id::V6(raw_text::keep(address)),
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
            Tok::PfReason => Primitive::PfReason(self.name_or_num()?),
            Tok::PfAction => Primitive::PfAction(NameOrNum::Name(self.name()?)),
            Tok::Llc => self.llc()?,
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
        while self.tok == Tok::LParen {
            self.advance();
            depth += 1;
        }
        if depth == 0 && !matches!(self.tok, Tok::Num(_)) {
            return Ok(None);
        }
        let n = self.number()?;
        for _ in 0..depth {
            if self.tok != Tok::RParen {
                return self.error();
            }
            self.advance();
        }
        Ok(Some(n))
    }

    fn name(&mut self) -> Result<String> {
        let Tok::Name(name) = self.tok else { return self.error() };
        self.advance();
        Ok(raw_text::keep(name))
    }

    fn name_or_num(&mut self) -> Result<NameOrNum> {
        match self.tok {
            Tok::Num(_) => self.number().map(NameOrNum::Num),
            _ => self.name().map(NameOrNum::Name),
        }
    }

    fn wlan_type(&mut self) -> Result<Primitive> {
        self.advance();
        let ty = self.wlan_word(wlan::frame_type)?;
        let subtype = if self.tok == Tok::Subtype {
            self.advance();
            Some(self.wlan_word(|word| wlan::subtype(ty, word))?)
        } else {
            None
        };
        Ok(Primitive::WlanType { ty, subtype })
    }

    fn wlan_word(
        &mut self,
        value: impl Fn(&NameOrNum) -> std::result::Result<u32, ErrorKind>,
    ) -> Result<u32> {
        let span = self.span.clone();
        let word = self.name_or_num()?;
        value(&word).map_err(|kind| FilterError::new(kind, span))
    }

    fn llc(&mut self) -> Result<Primitive> {
        Ok(Primitive::Llc(match self.tok {
            Tok::Name(_) => Some(self.name()?),
            // A word of PFLOG filters too.
            Tok::PfRnr => {
                self.advance();
                Some("rnr".to_owned())
            }
            _ => None,
        }))
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
    fn value_tests(&mut self, field: impl Fn(Vec<ValueTest>) -> Primitive) -> Result<Primitive> {
        let start = self.span.start;
        let mut tests = Vec::new();
        match self.more_tests(&mut tests) {
            Ok(()) => Ok(field(tests)),
            Err(error) => {
                if !tests.is_empty() {
                    self.partial = Some(self.primitive(field(tests), start..self.prev_end)?);
                }
                Err(error)
            }
        }
    }

    fn more_tests(&mut self, tests: &mut Vec<ValueTest>) -> Result<()> {
        let equals = |value| ValueTest { op: RelOp::Eq, value };
        match self.tok {
            Tok::Rel(op) => {
                self.advance();
                tests.push(ValueTest { op, value: self.number()? });
            }
            Tok::LParen => {
                self.advance();
                tests.push(equals(self.number()?));
                while self.tok == Tok::Or {
                    self.advance();
                    self.count_term()?;
                    tests.push(equals(self.number()?));
                }
                if self.tok != Tok::RParen {
                    return self.error();
                }
                self.advance();
            }
            _ => tests.push(equals(self.number()?)),
        }
        Ok(())
    }
}

/// Whether a token may be the keyword that a term starts with.
fn starts_term(tok: Tok<'_>) -> bool {
    !matches!(
        tok,
        Tok::End
            | Tok::Bad(_)
            | Tok::Name(_)
            | Tok::V4(_)
            | Tok::V6(_)
            | Tok::Ether(..)
            | Tok::Arcnet(..)
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
