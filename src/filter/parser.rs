//! Tokens -> AST, without recursion and in one pass.
//!
//! The grammar in short (`and` and `or` bind alike, to the left; `not` binds to what follows):
//!
//! ```text
//! expr  = term { ("and" | "or") (term | id) }
//! term  = "not" term | head id | "(" expr ")" | protocol | arith relop arith | keyword …
//! id    = "not" id | name | address | number | "(" list ")"
//! list  = (name | address | number | "not" id) { ("and" | "or") id }
//! arith = number | "len" | protocol "[" arith [":" number] "]" | arith op arith | "-" arith
//!       | "(" arith ")"
//! ```
//!
//! An `id` that follows `and` or `or` takes the qualifiers of the term before it. What an opening
//! parenthesis opens is known only later, so its [`Frame`] holds the set of what it may still be
//! ([`Opens`]); every token takes from that set what it rules out.

mod arith;
mod primitive;
mod wlan;

use std::ffi::CStr;

use super::ast::{ArithId, Ast, ExprId, Id, Primitive, Proto, Quals, RelOp, Span};
use super::error::{ErrorKind, FilterError};
use super::lexer::{Lexer, Tok};
use arith::PendingOp;

/// Most primitives, and most arithmetic nodes, in one filter.
///
/// Bounds the memory that a hostile text can ask for; a filter of that many terms would have far
/// more instructions than any use of a program takes.
pub const MAX_TERMS: u32 = 1 << 20;

/// Most parentheses and brackets around one token.
pub const MAX_NESTING: usize = 1 << 21;

/// A text that is not a filter.
#[derive(Clone, Debug)]
pub struct ParseError<'t> {
    /// What is wrong.
    pub error: FilterError,
    /// The complete terms before the error, joined into one expression whose value means nothing.
    /// libpcap looks at the meaning of terms while it parses: when lowering this expression
    /// fails, that error is the one to report.
    pub before: Ast<'t>,
}

/// Parses a filter, which ends at its first NUL if it has one. A text of blanks alone is the empty
/// filter, which has no root.
///
/// Takes time linear in the text; nesting costs memory, not stack.
///
/// # Errors
/// The first token that cannot be part of a filter, or a text of more than [`u32::MAX`] bytes.
pub fn parse(text: &[u8]) -> Result<Ast<'_>, Box<ParseError<'_>>> {
    let text = CStr::from_bytes_until_nul(text).map_or(text, CStr::to_bytes);
    if u32::try_from(text.len()).is_err() {
        let error = FilterError::new(ErrorKind::TooLong(u32::MAX), u32::MAX as usize..text.len());
        return Err(Box::new(ParseError { error, before: Ast::default() }));
    }
    let mut parser = Parser::new(text);
    match parser.run() {
        Ok(()) => Ok(parser.ast),
        Err(error) => {
            // Limits are ours: libpcap would have gone on.
            let limit =
                matches!(error.kind, ErrorKind::TooManyTerms(_) | ErrorKind::NestedTooDeeply(_));
            let before = if limit { Ast::default() } else { parser.complete_part() };
            Err(Box::new(ParseError { error: *error, before }))
        }
    }
}

/// Errors are large and rare, results are neither.
type Result<T, E = Box<FilterError>> = std::result::Result<T, E>;

fn error_at<T>(kind: ErrorKind, span: Span) -> Result<T> {
    Err(Box::new(FilterError::new(kind, span.into())))
}

/// What an opening parenthesis may turn out to open, or what may begin at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opens(u8);

impl Opens {
    const NONE: Self = Self(0);
    /// An expression; at a place: a term.
    const EXPR: Self = Self(1);
    /// A list of ids that inherit their qualifiers; at a place: its first member.
    const LIST: Self = Self(2);
    /// A number.
    const NUMBER: Self = Self(4);
    /// Arithmetic that is more than a number.
    const ARITH: Self = Self(8);
    /// At a place: any id.
    const ID: Self = Self(16);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

/// What a frame stands for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The whole filter.
    Root,
    /// A parenthesis and what it may be.
    Paren(Opens),
    /// `proto[`.
    Bracket(Proto),
}

/// A parenthesis, a bracket or the whole filter, as far as it has been read.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Qualifiers of the next id: inherited, or those of the head; `None` after a term that has none.
    quals: Option<Quals>,
    /// A head was just read, which must be followed by an id.
    head: bool,
    /// The expression so far, and whether `and` joins the next operand to it.
    left: Option<(ExprId, bool)>,
    /// A `not` was read before the operand at hand.
    prefixed: bool,
    /// An odd number of them was.
    negated: bool,
    /// The left side of a relation.
    relation: Option<(ArithId, RelOp)>,
    /// Where the arithmetic at hand starts in the text.
    arith_start: u32,
    /// Where this frame's pending operators begin.
    ops_base: u32,
}

impl Frame {
    fn new(kind: Kind, quals: Option<Quals>, ops_base: usize) -> Self {
        Self {
            kind,
            quals,
            head: false,
            left: None,
            prefixed: false,
            negated: false,
            relation: None,
            arith_start: 0,
            ops_base: u32::try_from(ops_base).unwrap_or(u32::MAX),
        }
    }

    /// What may begin where an operand is due.
    fn may_begin(&self, in_arith: bool) -> Opens {
        if self.head {
            return Opens::ID;
        }
        if in_arith {
            return Opens::ARITH;
        }
        let term_and_id = Opens::EXPR.or(Opens::ID);
        match self.kind {
            Kind::Root if self.left.is_some() => term_and_id,
            Kind::Root => Opens::EXPR,
            Kind::Bracket(..) => Opens::ARITH,
            Kind::Paren(set) if self.left.is_some() => {
                if set.has(Opens::EXPR) {
                    term_and_id
                } else {
                    Opens::ID
                }
            }
            // `not` may be followed by any id, even in a list's first place.
            Kind::Paren(set) if self.prefixed => {
                let id = if set.has(Opens::LIST) { Opens::ID } else { Opens::NONE };
                set.and(Opens::EXPR).or(id)
            }
            Kind::Paren(set) => set,
        }
    }

    /// Rules out for this frame all but `kept`.
    fn narrow(&mut self, kept: Opens) {
        if let Kind::Paren(set) = &mut self.kind {
            *set = set.and(kept);
        }
    }

    /// The operand at hand is the first of its parenthesis, which it decides on.
    fn first(&self) -> bool {
        self.left.is_none() && !self.head
    }

    /// The operand at hand may be all that its parenthesis holds.
    fn alone(&self) -> bool {
        self.first() && !self.prefixed
    }
}

/// The operand just read.
#[derive(Debug)]
enum Value {
    /// A number, which may turn out to be an id or an operand of arithmetic.
    Num(u32, Span),
    /// Arithmetic that is more than a number.
    Arith(ArithId),
    /// A complete term or id, and the qualifiers that it hands on.
    Bool(ExprId, Option<Quals>),
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token at hand.
    tok: Tok,
    span: Span,
    /// Where the token before it ends.
    prev_end: u32,
    ast: Ast<'a>,
    /// Frames around the one at hand, outermost first.
    outer: Vec<Frame>,
    frame: Frame,
    /// Pending arithmetic operators of all frames.
    ops: Vec<PendingOp>,
    terms: u32,
    /// The last load from a packet or arithmetic in parentheses, for [`Parser::complete_part`].
    loose: Option<ArithId>,
    /// The values of a list that was not closed, likewise.
    partial: Option<ExprId>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            lexer: Lexer::new(text),
            tok: Tok::End,
            span: Span::default(),
            prev_end: 0,
            ast: Ast { text, ..Ast::default() },
            outer: Vec::new(),
            frame: Frame::new(Kind::Root, None, 0),
            ops: Vec::new(),
            terms: 0,
            loose: None,
            partial: None,
        }
    }

    fn run(&mut self) -> Result<()> {
        self.advance();
        if matches!(self.tok, Tok::End) {
            return Ok(());
        }
        loop {
            if let Some(value) = self.operand()?
                && self.after(value)?
            {
                return Ok(());
            }
        }
    }

    fn advance(&mut self) {
        self.prev_end = self.span.end;
        (self.tok, self.span) = self.lexer.next();
    }

    /// The token at hand is not allowed here, or nowhere: that is said of it then.
    fn error<T>(&self) -> Result<T> {
        let kind = match self.tok {
            Tok::Bad(bad) => bad.error(self.ast.bytes(self.span)),
            _ => ErrorKind::Syntax,
        };
        error_at(kind, self.span)
    }

    /// From `start` to the end of the last token.
    fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.prev_end }
    }

    fn in_arith(&self) -> bool {
        self.ops.len() > self.frame.ops_base as usize || self.frame.relation.is_some()
    }

    /// Reads up to the end of an operand; `None` when a parenthesis or bracket opened, or another
    /// prefix was read, and an operand is still due.
    fn operand(&mut self) -> Result<Option<Value>> {
        let in_arith = self.in_arith();
        let may = self.frame.may_begin(in_arith);
        if !in_arith {
            self.frame.arith_start = self.span.start;
        }
        match self.tok {
            Tok::Num(n) => {
                let span = self.span;
                self.advance();
                Ok(Some(Value::Num(n, span)))
            }
            Tok::LParen => self.open_paren(may).map(|()| None),
            Tok::Not if may.has(Opens::EXPR.or(Opens::LIST).or(Opens::ID)) => {
                self.frame.narrow(Opens::EXPR.or(Opens::LIST));
                self.frame.prefixed = true;
                self.frame.negated = !self.frame.negated;
                self.advance();
                Ok(None)
            }
            Tok::Name | Tok::V4 | Tok::V6 | Tok::Ether(_) | Tok::Arcnet(_)
                if may.has(Opens::LIST.or(Opens::ID)) =>
            {
                let start = self.span.start;
                let id = self.address()?;
                self.id_term(id, self.span_from(start)).map(Some)
            }
            _ if may.has(Opens::EXPR.or(Opens::ARITH)) => self.term(may),
            _ => self.error(),
        }
    }

    fn open_paren(&mut self, may: Opens) -> Result<()> {
        let mut set = Opens::NONE;
        if may.has(Opens::EXPR) {
            set = set.or(Opens::EXPR).or(Opens::ARITH).or(Opens::NUMBER);
        }
        if may.has(Opens::ID) {
            set = set.or(Opens::LIST).or(Opens::NUMBER);
        }
        if may.has(Opens::ARITH) {
            set = set.or(Opens::ARITH);
        }
        // A list's first member may be a number in parentheses, but no list.
        set = set.or(Opens::NUMBER);
        self.open(Frame::new(Kind::Paren(set), self.frame.quals, self.ops.len()))
    }

    /// Enters a frame past the token that opens it.
    fn open(&mut self, inner: Frame) -> Result<()> {
        if self.outer.len() >= MAX_NESTING {
            return error_at(ErrorKind::NestedTooDeeply(MAX_NESTING), self.span);
        }
        self.outer.push(std::mem::replace(&mut self.frame, inner));
        self.advance();
        Ok(())
    }

    /// Reads what follows an operand; true at the end of the filter.
    fn after(&mut self, value: Value) -> Result<bool> {
        let mut value = value;
        loop {
            value = match value {
                Value::Num(..) | Value::Arith(_) => match self.after_arith(value)? {
                    Some(value) => value,
                    None => return Ok(false),
                },
                Value::Bool(expr, quals) => match self.after_bool(expr, quals)? {
                    BoolEnd::Joined => return Ok(false),
                    BoolEnd::Closed(value) => value,
                    BoolEnd::Filter => return Ok(true),
                },
            };
        }
    }

    /// Joins a complete operand to the expression of its frame and reads on.
    fn after_bool(&mut self, expr: ExprId, quals: Option<Quals>) -> Result<BoolEnd> {
        let expr = if self.frame.negated { expr.negated() } else { expr };
        let joined = match self.frame.left {
            None => expr,
            Some((left, is_and)) => self.ast.add_join(is_and, left, expr),
        };
        self.frame.left = Some((joined, true));
        self.frame.quals = quals;
        self.frame.head = false;
        self.frame.prefixed = false;
        self.frame.negated = false;
        match (self.tok, self.frame.kind) {
            (Tok::And | Tok::Or, _) => {
                self.frame.left = Some((joined, matches!(self.tok, Tok::And)));
                self.advance();
                Ok(BoolEnd::Joined)
            }
            (Tok::RParen, Kind::Paren(set)) => {
                self.close()?;
                if self.frame.first() {
                    self.frame.narrow(set);
                }
                // In force again is what was before.
                Ok(BoolEnd::Closed(Value::Bool(joined, self.frame.quals)))
            }
            (Tok::End, Kind::Root) => {
                self.ast.root = Some(joined);
                Ok(BoolEnd::Filter)
            }
            _ => self.error(),
        }
    }

    /// Takes the frame at hand away with the token that closes it.
    fn close(&mut self) -> Result<()> {
        match self.outer.pop() {
            Some(frame) => self.frame = frame,
            None => return self.error(),
        }
        self.advance();
        Ok(())
    }

    fn count_term(&mut self) -> Result<()> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return error_at(ErrorKind::TooManyTerms(MAX_TERMS), self.span);
        }
        Ok(())
    }

    fn primitive(&mut self, primitive: Primitive, span: Span) -> Result<ExprId> {
        self.count_term()?;
        Ok(self.ast.add_term(primitive, span))
    }

    /// Makes an id a term of the qualifiers in force.
    fn id_term(&mut self, id: Id, span: Span) -> Result<Value> {
        if self.frame.first() {
            self.frame.narrow(Opens::LIST);
        }
        let Some(quals) = self.frame.quals else {
            let kind = match id {
                Id::Ether(_) => ErrorKind::EthernetAddressOutOfPlace,
                _ => ErrorKind::NoQualifiers,
            };
            return error_at(kind, span);
        };
        let expr = self.primitive(Primitive::Id(quals, id), span)?;
        Ok(Value::Bool(expr, Some(quals)))
    }

    /// Joins the complete terms of all frames, in the order of the text.
    fn complete_part(mut self) -> Ast<'a> {
        self.outer.push(self.frame);
        let mut parts = Vec::new();
        let mut loose = Vec::new();
        for frame in &self.outer {
            parts.extend(frame.left.map(|(expr, _)| expr));
            loose.extend(frame.relation.map(|(arith, _)| arith));
        }
        parts.extend(self.partial);
        loose.extend(self.ops.iter().filter_map(|op| op.left()));
        loose.extend(self.loose);
        let mut ast = self.ast;
        for arith in loose {
            parts.push(ast.add_term(Primitive::Relation(RelOp::Eq, arith, arith), self.span));
        }
        ast.root = parts.into_iter().reduce(|left, right| ast.add_join(true, left, right));
        ast
    }
}

/// How an expression goes on after an operand.
enum BoolEnd {
    /// With `and` or `or`.
    Joined,
    /// Its parenthesis closed.
    Closed(Value),
    /// The text ended.
    Filter,
}

#[cfg(test)]
mod tests;
