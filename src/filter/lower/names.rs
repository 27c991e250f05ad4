//! Numbers that have names in the filter language itself, and addresses as text.

use super::error::LowerError;
use super::qualifiers;
use super::{Lowerer, iso};
use crate::ethertype::{ethertype, llc_sap};
use crate::filter::ast::Proto;
use crate::raw_text;

/// Dotted decimal, one to four parts: the value of the parts, and how many bits they are.
pub(super) fn dotted(text: &[u8]) -> Result<(u32, u32), LowerError> {
    parts(text).ok_or_else(|| LowerError::InvalidIpv4(raw_text::keep(text)))
}

fn parts(text: &[u8]) -> Option<(u32, u32)> {
    let mut value = 0;
    let mut bits = 0;
    let mut part = None;
    for &byte in text {
        if byte == b'.' {
            value = value << 8 | part?;
            bits += 8;
            part = None;
        } else {
            let digit = char::from(byte).to_digit(10)?;
            part = Some(part.unwrap_or(0) * 10 + digit).filter(|&part| part <= 0xff);
            part?;
        }
    }
    if bits < 32 { Some((value << 8 | part?, bits + 8)) } else { None }
}

/// Shifts the value of fewer than four parts to the top.
pub(super) const fn left_justified(value: u32, bits: u32) -> u32 {
    if bits == 0 { 0 } else { value << (32 - bits) }
}

/// `area.node` of DECnet phase IV, as 16 bits.
pub(super) fn decnet(text: &str) -> Result<u32, LowerError> {
    let parse = |text: &str, max| text.parse::<u32>().ok().filter(|&n| n <= max);
    let (area, node) = text.split_once('.').unwrap_or_default();
    match (parse(area, 0x3f), parse(node, 0x3ff)) {
        (Some(area), Some(node)) => Ok(area << 10 | node),
        _ => Err(LowerError::InvalidDecnet(text.to_owned())),
    }
}

/// Ethertypes and LLC SAPs by name, for `ether proto`.
fn link_proto(name: &str) -> Option<u32> {
    let name = name.as_bytes();
    ethertype(name).map(u32::from).or_else(|| llc_sap(name).map(u32::from))
}

impl Lowerer<'_> {
    /// The number of a protocol name over a protocol.
    pub(super) fn proto_number(
        &self,
        name: &str,
        over: Option<Proto>,
        kind: &'static str,
    ) -> Result<u32, LowerError> {
        let number = match over {
            None | Some(Proto::Ip | Proto::Ipv6) => self.resolver.ip_proto(name).map(u32::from),
            Some(Proto::Iso) => iso::proto_number(name),
            Some(Proto::Link) => link_proto(name),
            Some(_) => None,
        };
        number.ok_or_else(|| LowerError::UnknownValue {
            what: match over {
                Some(over) => format!("{} {kind}", qualifiers::protocol(over)),
                None => kind.to_owned(),
            },
            name: name.to_owned(),
        })
    }
}
