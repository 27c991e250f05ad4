//! Text -> tokens.
//!
//! Among the tokens that could start at a byte the longest wins; among equally long ones a
//! keyword wins over an address, an address over a name. So `25-53` is one name, `10.1` one
//! address, and `00112233aabb` an Ethernet address rather than a name.

mod addresses;
mod keywords;

use super::ast::{
    AddrKind, ArithOp, AtmField, AtmType, Dir, Mtp2Type, Mtp3Field, Proto, RelOp, Span,
};
use super::error::ErrorKind;
use crate::raw_text;

/// A token, whose text is what its span has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tok {
    /// The end of the text.
    End,
    /// What the grammar allows nowhere.
    Bad(Bad),
    /// A number or a named constant.
    Num(u32),
    /// A name, perhaps an escaped one.
    Name,
    /// Two to four numbers with dots between them.
    V4,
    /// An IPv6 address.
    V6,
    /// An Ethernet address.
    Ether([u8; 6]),
    /// An ARCnet address.
    Arcnet(u8),
    /// A protocol.
    Proto(Proto),
    /// `src`.
    Src,
    /// `dst`.
    Dst,
    /// A direction that stands alone (802.11).
    Dir(Dir),
    /// `host`, `net`, `port`, `portrange`.
    Kind(AddrKind),
    /// A kind that takes no direction: `proto`, `protochain`, `gateway`.
    KindNoDir(AddrKind),
    /// `mask`.
    Mask,
    And,
    Or,
    Not,
    LParen,
    RParen,
    LBracket,
    RBracket,
    Colon,
    Arith(ArithOp),
    Rel(RelOp),
    Len,
    Broadcast,
    Multicast,
    Less,
    Greater,
    Byte,
    Inbound,
    Outbound,
    IfIndex,
    Vlan,
    Mpls,
    Pppoed,
    Pppoes,
    Geneve,
    Vxlan,
    Type,
    Subtype,
    Direction,
    Llc,
    PfIfname,
    PfRuleset,
    PfRnr,
    PfSrnr,
    PfReason,
    PfAction,
    Atm(AtmType),
    AtmField(AtmField),
    Mtp2(Mtp2Type),
    Mtp3(Mtp3Field),
}

/// Why a piece of text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// A byte that starts none.
    Byte,
    /// A number above 2^32 - 1.
    NumberOverflow,
    /// A number that starts with 0 and has an 8 or a 9.
    NonOctalDigit,
    /// Octets and colons that are no Ethernet address.
    EthernetAddress,
    /// Groups, colons and dots that are no IPv6 address.
    Ipv6Address,
}

impl Bad {
    /// The error, given the piece of text.
    pub(super) fn error(self, text: &[u8]) -> ErrorKind {
        match self {
            Self::Byte => ErrorKind::Syntax,
            Self::NumberOverflow => ErrorKind::NumberOverflow(raw_text::keep(text)),
            Self::NonOctalDigit => ErrorKind::NonOctalDigit(raw_text::keep(text)),
            Self::EthernetAddress => ErrorKind::InvalidEthernetAddress(raw_text::keep(text)),
            Self::Ipv6Address => ErrorKind::InvalidIpv6Address(raw_text::keep(text)),
        }
    }
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`, which is at most [`u32::MAX`] bytes long.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0 }
    }

    /// The next token and where it stands; [`Tok::End`] again and again at the end.
    pub fn next(&mut self) -> (Tok, Span) {
        let rest = &self.text[self.pos..];
        self.pos += rest.iter().take_while(|b| b" \r\n\t".contains(b)).count();
        let start = self.pos;
        let rest = &self.text[start..];
        let Some(&first) = rest.first() else { return (Tok::End, self.span_from(start)) };
        let (tok, len) = match first {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => word(rest),
            b':' => match addresses::v6_len(rest) {
                Some(len) => (v6(&rest[..len]), len),
                None => (Tok::Colon, 1),
            },
            b'$' => arcnet(rest),
            b'\\' => escaped(rest),
            _ => punctuation(rest),
        };
        self.pos += len;
        (tok, self.span_from(start))
    }

    /// From `start` to where the lexer is.
    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.pos as u32 }
    }
}

/// A token and its length.
type Found = (Tok, usize);

/// Tokens that start with a letter or a digit.
fn word(rest: &[u8]) -> Found {
    let name_len = addresses::name_len(rest);
    // An address with colons is longer than any name that starts at the same byte.
    if let Some(found) = with_colons(rest, name_len) {
        return found;
    }
    let text = &rest[..name_len];
    if let Some(tok) = keywords::lookup(text) {
        return (tok, name_len);
    }
    if let Some(mac) = addresses::mac(text) {
        return (Tok::Ether(mac), name_len);
    }
    let number_len = addresses::number_len(text);
    if number_len == name_len {
        return (number_token(text), name_len);
    }
    if addresses::v4_len(text) == name_len {
        return (Tok::V4, name_len);
    }
    (Tok::Name, name_len)
}

/// The longest address with colons, if it is longer than the name.
fn with_colons(rest: &[u8], name_len: usize) -> Option<Found> {
    // Within any of them the first colon comes after at most four hexadecimal digits.
    if !rest.iter().take(5).any(|&b| b == b':') {
        return None;
    }
    let mac_len = addresses::colon_mac_len(rest).unwrap_or(0);
    let v6_len = addresses::v6_len(rest).unwrap_or(0);
    let bogus_len = addresses::bogus_mac_len(rest).unwrap_or(0);
    let len = mac_len.max(v6_len).max(bogus_len);
    if len <= name_len {
        return None;
    }
    let text = &rest[..len];
    let found = if len == mac_len {
        Tok::Ether(addresses::mac(text)?)
    } else if len == v6_len {
        v6(text)
    } else {
        Tok::Bad(Bad::EthernetAddress)
    };
    Some((found, len))
}

fn v6(text: &[u8]) -> Tok {
    let valid = std::str::from_utf8(text).is_ok_and(|s| s.parse::<std::net::Ipv6Addr>().is_ok());
    if valid { Tok::V6 } else { Tok::Bad(Bad::Ipv6Address) }
}

/// What a text that should be a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// This one.
    Is(u32),
    /// One above 2^32 - 1.
    Overflows,
    /// A 0, and then something that is no octal digit.
    NotOctal,
    /// None.
    None,
}

/// Reads a number: decimal, octal after `0`, or hexadecimal after `0x`.
pub(super) fn number(text: &[u8]) -> Number {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', hex @ ..] => (16, hex),
        [b'0', octal @ ..] => (8, octal),
        decimal => (10, decimal),
    };
    let mut value: u32 = 0;
    for &b in digits {
        let Some(digit) = char::from(b).to_digit(radix) else {
            return if radix == 8 { Number::NotOctal } else { Number::None };
        };
        match value.checked_mul(radix).and_then(|v| v.checked_add(digit)) {
            Some(v) => value = v,
            None => return Number::Overflows,
        }
    }
    if text.is_empty() { Number::None } else { Number::Is(value) }
}

fn number_token(text: &[u8]) -> Tok {
    match number(text) {
        Number::Is(value) => Tok::Num(value),
        Number::Overflows => Tok::Bad(Bad::NumberOverflow),
        Number::NotOctal | Number::None => Tok::Bad(Bad::NonOctalDigit),
    }
}

fn arcnet(rest: &[u8]) -> Found {
    let digits = rest[1..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
    let value =
        rest[1..=digits].iter().fold(0, |v, &b| v * 16 + char::from(b).to_digit(16).unwrap_or(0));
    match u8::try_from(value) {
        Ok(value) if digits > 0 => (Tok::Arcnet(value), digits + 1),
        _ => (Tok::Bad(Bad::Byte), 1),
    }
}

/// `\name`: a name that is not a keyword, up to a blank, a parenthesis or an exclamation mark.
fn escaped(rest: &[u8]) -> Found {
    let len = rest.iter().take_while(|b| !b" !()\n\t".contains(b)).count();
    if len > 1 { (Tok::Name, len) } else { (Tok::Bad(Bad::Byte), 1) }
}

fn punctuation(rest: &[u8]) -> Found {
    let two = match rest {
        [b'&', b'&', ..] => Some(Tok::And),
        [b'|', b'|', ..] => Some(Tok::Or),
        [b'>', b'=', ..] => Some(Tok::Rel(RelOp::Ge)),
        [b'<', b'=', ..] => Some(Tok::Rel(RelOp::Le)),
        [b'!', b'=', ..] => Some(Tok::Rel(RelOp::Ne)),
        [b'=', b'=', ..] => Some(Tok::Rel(RelOp::Eq)),
        [b'<', b'<', ..] => Some(Tok::Arith(ArithOp::Lsh)),
        [b'>', b'>', ..] => Some(Tok::Arith(ArithOp::Rsh)),
        _ => None,
    };
    if let Some(tok) = two {
        return (tok, 2);
    }
    let one = match rest[0] {
        b'(' => Tok::LParen,
        b')' => Tok::RParen,
        b'[' => Tok::LBracket,
        b']' => Tok::RBracket,
        b'!' => Tok::Not,
        b'=' => Tok::Rel(RelOp::Eq),
        b'<' => Tok::Rel(RelOp::Lt),
        b'>' => Tok::Rel(RelOp::Gt),
        b'+' => Tok::Arith(ArithOp::Add),
        b'-' => Tok::Arith(ArithOp::Sub),
        b'*' => Tok::Arith(ArithOp::Mul),
        b'/' => Tok::Arith(ArithOp::Div),
        b'%' => Tok::Arith(ArithOp::Mod),
        b'&' => Tok::Arith(ArithOp::And),
        b'|' => Tok::Arith(ArithOp::Or),
        b'^' => Tok::Arith(ArithOp::Xor),
        _ => Tok::Bad(Bad::Byte),
    };
    (one, 1)
}

#[cfg(test)]
mod tests;
