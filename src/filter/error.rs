//! What can be wrong with a filter.

use std::ops::Range;

use thiserror::Error;

use super::emit::EmitError;
use super::lower::LowerError;

/// Why a filter was refused, and where.
///
/// `Display` gives libpcap's wording: programs and people know it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}")]
pub struct FilterError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Bytes of the filter text that are to blame; empty at its end.
    pub span: Range<usize>,
}

impl FilterError {
    /// An error about a part of the text.
    pub fn new(kind: ErrorKind, span: Range<usize>) -> Self {
        Self { kind, span }
    }
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A token that the grammar does not allow here, or no token at all.
    #[error("can't parse filter expression: syntax error")]
    Syntax,
    /// An identifier that inherits qualifiers from a term that has none (`tcp and 443`).
    #[error("syntax error in filter expression")]
    NoQualifiers,
    /// A number above 2^32 - 1.
    #[error("number {0} overflows 32 bits")]
    NumberOverflow(String),
    /// A number that starts with 0 and has an 8 or a 9.
    #[error("number {0} contains non-octal digit")]
    NonOctalDigit(String),
    /// Colons and hexadecimal digits that are no Ethernet address.
    #[error("invalid Ethernet address '{0}'")]
    InvalidEthernetAddress(String),
    /// An Ethernet address where the qualifiers in force ask for something else.
    #[error("Ethernet address used in non-ether expression")]
    EthernetAddressOutOfPlace,
    /// Digits, colons and dots that are no IPv6 address.
    #[error("invalid IPv6 address '{0}'")]
    InvalidIpv6Address(String),
    /// A name that is no type of 802.11 frames.
    #[error("unknown 802.11 type name \"{0}\"")]
    WlanType(String),
    /// A name that is no subtype of the type.
    #[error("unknown 802.11 subtype name \"{0}\"")]
    WlanSubtype(String),
    /// A type that has no subtypes.
    #[error("unknown 802.11 type")]
    WlanTypeNumber,
    /// A name that is no subtype of any type.
    #[error("unknown 802.11 type name")]
    WlanSubtypeAlone,
    /// Bits outside of the type.
    #[error("invalid 802.11 type value {0:#04x}")]
    InvalidWlanType(u32),
    /// Bits outside of the subtype.
    #[error("invalid 802.11 subtype value {0:#04x}")]
    InvalidWlanSubtype(u32),
    /// A name that is no direction of 802.11 frames.
    #[error("unknown 802.11 direction")]
    WlanDir,
    /// A longer text than the compiler takes.
    #[error("expression is too long: more than {0} bytes")]
    TooLong(u32),
    /// More terms than the compiler takes; libpcap has no limit but time and memory.
    #[error("expression is too long: more than {0} terms")]
    TooManyTerms(u32),
    /// More parentheses and brackets around one token than the compiler takes.
    #[error("expression is nested too deeply: more than {0} parentheses")]
    NestedTooDeeply(usize),
    /// A primitive that means nothing here.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The program is too long.
    #[error(transparent)]
    Emit(#[from] EmitError),
}
