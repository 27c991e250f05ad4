//! Text -> tokens.
//!
//! Among the tokens that could start at a byte the longest wins; among equally long ones a
//! keyword wins over an address, an address over a name. So `25-53` is one name, `10.1` one
//! address, and `00112233aabb` an Ethernet address rather than a name.

mod addresses;
mod bytes;
mod keywords;

use super::ast::{
    AddrKind, ArithOp, AtmField, AtmType, Dir, Mtp2Type, Mtp3Field, Proto, RelOp, Span,
};
use super::error::ErrorKind;
use crate::raw_text;
use bytes::{BLANK, DIGIT, HEX_LETTER, LETTERS, Name};

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
    /// What has not been cut yet.
    rest: &'a [u8],
    /// Length of the whole text.
    len: u32,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`, which is at most [`u32::MAX`] bytes long.
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text, len: text.len() as u32 }
    }

    /// The next token and where it stands; [`Tok::End`] again and again at the end.
    pub fn next(&mut self) -> (Tok, Span) {
        let mut rest = self.rest;
        while let [first, tail @ ..] = rest
            && bytes::class(*first) == BLANK
        {
            rest = tail;
        }
        let (tok, len) = match rest.first() {
            None => (Tok::End, 0),
            Some(first) if bytes::class(*first) & (LETTERS | DIGIT) == 0 => no_word(rest),
            Some(_) => word(rest),
        };
        let start = self.len - rest.len() as u32;
        self.rest = &rest[len..];
        (tok, Span { start, end: start + len as u32 })
    }
}

/// A token and its length.
type Found = (Tok, usize);

/// Tokens that start with a letter or a digit.
fn word(rest: &[u8]) -> Found {
    let name = bytes::name(rest);
    // An address with colons is longer than any name that starts at the same byte.
    if colon_follows(rest, name)
        && let Some(found) = with_colons(rest, name.len)
    {
        return found;
    }
    let text = &rest[..name.len];
    let tok = if name.within(DIGIT) && name.len != addresses::PLAIN_MAC_LEN {
        number_token(text)
    } else if !rest[0].is_ascii_digit()
        && let Some(tok) = keywords::lookup(rest, name.len)
    {
        tok
    } else {
        address_or_name(text)
    };
    (tok, name.len)
}

/// What of the form of a name is no keyword nor a plain number.
#[inline(never)]
fn address_or_name(text: &[u8]) -> Tok {
    if let Some(mac) = addresses::mac(text) {
        Tok::Ether(mac)
    } else if addresses::number_len(text) == text.len() {
        number_token(text)
    } else if addresses::v4_len(text) == text.len() {
        Tok::V4
    } else {
        Tok::Name
    }
}

/// Whether the name may be the start of an address with colons: in any of them the first one comes
/// after at most four hexadecimal digits.
fn colon_follows(rest: &[u8], name: Name) -> bool {
    rest.get(name.len) == Some(&b':') && name.len <= 4 && name.within(DIGIT | HEX_LETTER)
}

/// The longest address with colons, if it is longer than the name.
#[inline(never)]
fn with_colons(rest: &[u8], name_len: usize) -> Option<Found> {
    let (mac, mac_len) = addresses::colon_mac(rest).unwrap_or_default();
    let v6_len = addresses::v6_len(rest).unwrap_or(0);
    let bogus_len = addresses::bogus_mac_len(rest).unwrap_or(0);
    let len = mac_len.max(v6_len).max(bogus_len);
    if len <= name_len {
        return None;
    }
    let tok = if len == mac_len {
        Tok::Ether(mac)
    } else if len == v6_len {
        v6(&rest[..len])
    } else {
        Tok::Bad(Bad::EthernetAddress)
    };
    Some((tok, len))
}

/// Groups, colons and dots. All that may be wrong with them is an IPv4 address at the end.
fn v6(text: &[u8]) -> Tok {
    let valid = !text.contains(&b'.')
        || std::str::from_utf8(text).is_ok_and(|s| s.parse::<std::net::Ipv6Addr>().is_ok());
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
    match text {
        [] => Number::None,
        [b'0', b'x' | b'X', hex @ ..] => digits::<16>(hex),
        [b'0', octal @ ..] => digits::<8>(octal),
        decimal => digits::<10>(decimal),
    }
}

fn digits<const RADIX: u32>(text: &[u8]) -> Number {
    let mut value: u32 = 0;
    for &b in text {
        let Some(digit) = char::from(b).to_digit(RADIX) else {
            return if RADIX == 8 { Number::NotOctal } else { Number::None };
        };
        match value.checked_mul(RADIX).and_then(|v| v.checked_add(digit)) {
            Some(v) => value = v,
            None => return Number::Overflows,
        }
    }
    Number::Is(value)
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

/// Tokens that start with neither a letter nor a digit.
#[inline(never)]
fn no_word(rest: &[u8]) -> Found {
    let one = |tok| (tok, 1);
    // A sign that may go on with another.
    let two = |next: u8, both: Tok, alone: Tok| {
        if rest.get(1) == Some(&next) { (both, 2) } else { (alone, 1) }
    };
    match rest[0] {
        b'(' => one(Tok::LParen),
        b')' => one(Tok::RParen),
        b'[' => one(Tok::LBracket),
        b']' => one(Tok::RBracket),
        b':' => match addresses::v6_len(rest) {
            Some(len) => (v6(&rest[..len]), len),
            None => one(Tok::Colon),
        },
        b'=' => two(b'=', Tok::Rel(RelOp::Eq), Tok::Rel(RelOp::Eq)),
        b'!' => two(b'=', Tok::Rel(RelOp::Ne), Tok::Not),
        b'<' if rest.get(1) == Some(&b'<') => (Tok::Arith(ArithOp::Lsh), 2),
        b'<' => two(b'=', Tok::Rel(RelOp::Le), Tok::Rel(RelOp::Lt)),
        b'>' if rest.get(1) == Some(&b'>') => (Tok::Arith(ArithOp::Rsh), 2),
        b'>' => two(b'=', Tok::Rel(RelOp::Ge), Tok::Rel(RelOp::Gt)),
        b'&' => two(b'&', Tok::And, Tok::Arith(ArithOp::And)),
        b'|' => two(b'|', Tok::Or, Tok::Arith(ArithOp::Or)),
        b'+' => one(Tok::Arith(ArithOp::Add)),
        b'-' => one(Tok::Arith(ArithOp::Sub)),
        b'*' => one(Tok::Arith(ArithOp::Mul)),
        b'/' => one(Tok::Arith(ArithOp::Div)),
        b'%' => one(Tok::Arith(ArithOp::Mod)),
        b'^' => one(Tok::Arith(ArithOp::Xor)),
        b'$' => arcnet(rest),
        b'\\' => escaped(rest),
        _ => one(Tok::Bad(Bad::Byte)),
    }
}

#[cfg(test)]
mod tests;
