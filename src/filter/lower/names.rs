//! Numbers that have names in the filter language itself, and addresses as text.

use super::error::LowerError;
use super::qualifiers;
use super::{Lowerer, iso};
use crate::ethertype::{ethertype, llc_sap};
use crate::filter::ast::Proto;

/// Dotted decimal, one to four parts: the value of the parts, and how many bits they are.
pub(super) fn dotted(text: &str) -> Result<(u32, u32), LowerError> {
    let mut value = 0u32;
    let mut bits = 0;
    for part in text.split('.') {
        match part.parse::<u8>() {
            Ok(byte) if bits < 32 => value = value << 8 | u32::from(byte),
            _ => return Err(LowerError::InvalidIpv4(text.to_owned())),
        }
        bits += 8;
    }
    Ok((value, bits))
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
