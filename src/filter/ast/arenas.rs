//! What is in the arenas of a tree, by index.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::{Arith, Ast, Expr, Primitive, Span, Term, TestList, ValueTest};
use crate::filter::parser;
use crate::raw_text;

/// An [`Expr`] of an [`Ast`]: which one, and whether it is negated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExprId(u32);

impl ExprId {
    const NEGATED: u32 = 1 << 31;
    /// What the index is of: terms, or joins of either kind.
    const KIND: u32 = 3 << 29;
    const AND: u32 = 1 << 29;
    const OR: u32 = 2 << 29;
    const INDEX: u32 = (1 << 29) - 1;

    /// Its negation: nothing is left of two.
    pub fn negated(self) -> Self {
        Self(self.0 ^ Self::NEGATED)
    }
}

impl fmt::Debug for ExprId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.0 & Self::NEGATED == 0 { "" } else { "not " };
        let arena = if self.0 & Self::KIND == 0 { "terms" } else { "joins" };
        write!(f, "{not}{arena}[{}]", self.0 & Self::INDEX)
    }
}

/// An [`Arith`] of an [`Ast`]. Numbers, but for large ones, take no node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ArithId(u32);

impl ArithId {
    /// The rest is the number itself.
    const NUMBER: u32 = 1 << 31;
}

impl fmt::Debug for ArithId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 & !Self::NUMBER {
            index if index == self.0 => write!(f, "ariths[{index}]"),
            number => write!(f, "{number}"),
        }
    }
}

impl<'t> Ast<'t> {
    /// The boolean expression behind an id.
    pub fn expr(&self, id: ExprId) -> Expr {
        if id.0 & ExprId::NEGATED != 0 {
            return Expr::Not(id.negated());
        }
        let index = (id.0 & ExprId::INDEX) as usize;
        match id.0 & ExprId::KIND {
            0 => Expr::Term(self.terms[index]),
            kind => {
                let [a, b] = self.joins[index];
                if kind == ExprId::AND { Expr::And(a, b) } else { Expr::Or(a, b) }
            }
        }
    }

    /// Adds a primitive.
    pub(in crate::filter) fn add_term(&mut self, primitive: Primitive, span: Span) -> ExprId {
        ExprId(push(&mut self.terms, self.text, Term { primitive, span }))
    }

    /// Adds `a and b`, or `a or b`.
    pub(in crate::filter) fn add_join(&mut self, is_and: bool, a: ExprId, b: ExprId) -> ExprId {
        let index = push(&mut self.joins, self.text, [a, b]);
        ExprId(index | if is_and { ExprId::AND } else { ExprId::OR })
    }

    /// The arithmetic expression behind an id.
    pub fn arith(&self, id: ArithId) -> Arith {
        match self.ariths.get(id.0 as usize) {
            Some(&arith) => arith,
            None => Arith::Num(id.0 & !ArithId::NUMBER),
        }
    }

    /// Adds arithmetic.
    pub(in crate::filter) fn add_arith(&mut self, arith: Arith) -> ArithId {
        match arith {
            Arith::Num(n) if n < ArithId::NUMBER => ArithId(n | ArithId::NUMBER),
            _ => ArithId(push(&mut self.ariths, self.text, arith)),
        }
    }

    /// The comparisons of a list.
    pub fn tests(&self, list: TestList) -> &[ValueTest] {
        &self.tests[list.start as usize..list.end as usize]
    }

    /// The bytes of a span.
    pub fn bytes(&self, span: Span) -> &'t [u8] {
        &self.text[Range::from(span)]
    }

    /// The name in a span, without the backslash of an escaped one.
    pub fn name(&self, span: Span) -> Cow<'t, str> {
        let bytes = self.bytes(span);
        raw_text::text(bytes.strip_prefix(b"\\").unwrap_or(bytes))
    }

    /// The address that an identifier's span begins with: what is before a prefix length or mask.
    pub fn address(&self, span: Span) -> &'t [u8] {
        let bytes = self.bytes(span);
        let end = bytes.iter().position(|b| b"/ \r\n\t".contains(b));
        &bytes[..end.unwrap_or(bytes.len())]
    }
}

/// Adds to an arena and tells the index.
///
/// Room is made once, for as many as a text of that length rarely exceeds: pages never written to
/// cost nothing, and what was written is never moved.
fn push<T>(arena: &mut Vec<T>, text: &[u8], item: T) -> u32 {
    if arena.capacity() == 0 {
        arena.reserve_exact((text.len() / 4).min(parser::MAX_TERMS as usize) + 1);
    }
    let index = u32::try_from(arena.len()).ok().filter(|&index| index <= ExprId::INDEX);
    arena.push(item);
    index.expect("the parser limits terms")
}

/// Has the text as text.
impl fmt::Debug for Ast<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ast")
            .field("text", &String::from_utf8_lossy(self.text))
            .field("terms", &self.terms)
            .field("joins", &self.joins)
            .field("ariths", &self.ariths)
            .field("tests", &self.tests)
            .field("root", &self.root)
            .finish()
    }
}
