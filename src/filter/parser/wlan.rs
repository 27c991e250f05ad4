//! Names of IEEE 802.11 frame types, subtypes and directions.

use std::borrow::Cow;

use crate::filter::error::ErrorKind;

/// A name, or the number that it stands for.
#[derive(Debug)]
pub(super) enum Word<'t> {
    Name(Cow<'t, str>),
    Num(u32),
}

/// Where type and subtype are in the first byte of the frame control field.
const TYPE_MASK: u8 = 0x0c;
const SUBTYPE_MASK: u8 = 0xf0;
/// Types, in place.
const MANAGEMENT: u8 = 0x00;
const CONTROL: u8 = 0x04;
const DATA: u8 = 0x08;
/// Bits of its second byte.
const TO_DS: u32 = 0x01;
const FROM_DS: u32 = 0x02;

/// The bits of a type.
pub(super) fn frame_type(ty: &Word<'_>) -> Result<u8, ErrorKind> {
    Ok(match ty {
        Word::Num(n) => within(*n, TYPE_MASK).ok_or(ErrorKind::InvalidWlanType(*n))?,
        Word::Name(name) => match name.to_ascii_lowercase().as_str() {
            "mgt" | "management" => MANAGEMENT,
            "ctl" | "control" => CONTROL,
            "data" => DATA,
            _ => return Err(ErrorKind::WlanType(name.to_string())),
        },
    })
}

/// The bits of a subtype of a type.
pub(super) fn subtype(ty: u8, subtype: &Word<'_>) -> Result<u8, ErrorKind> {
    match subtype {
        Word::Num(n) => within(*n, SUBTYPE_MASK).ok_or(ErrorKind::InvalidWlanSubtype(*n)),
        Word::Name(name) => {
            let (_, names) =
                SUBTYPES.iter().find(|(known, _)| *known == ty).ok_or(ErrorKind::WlanTypeNumber)?;
            lookup(names, name).ok_or_else(|| ErrorKind::WlanSubtype(name.to_string()))
        }
    }
}

/// The type and the subtype that a name of the latter tells.
pub(super) fn lone_subtype(name: &str) -> Result<(u8, u8), ErrorKind> {
    SUBTYPES
        .iter()
        .find_map(|&(ty, names)| lookup(names, name).map(|subtype| (ty, subtype)))
        .ok_or(ErrorKind::WlanSubtypeAlone)
}

/// The bits of a direction.
pub(super) fn direction(dir: &Word<'_>) -> Result<u32, ErrorKind> {
    Ok(match dir {
        Word::Num(n) => *n,
        Word::Name(name) => match name.to_ascii_lowercase().as_str() {
            "nods" => 0,
            "tods" => TO_DS,
            "fromds" => FROM_DS,
            "dstods" => TO_DS | FROM_DS,
            _ => return Err(ErrorKind::WlanDir),
        },
    })
}

/// A number without bits outside of a mask.
fn within(number: u32, mask: u8) -> Option<u8> {
    u8::try_from(number).ok().filter(|n| n & !mask == 0)
}

fn lookup(names: Names, name: &str) -> Option<u8> {
    names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
}

/// Subtypes of a type.
type Names = &'static [(&'static str, u8)];

/// Subtypes by type.
#[rustfmt::skip]
const SUBTYPES: [(u8, Names); 3] = [
    (MANAGEMENT, &[
        ("assocreq", 0x00), ("assoc-req", 0x00), ("assocresp", 0x10), ("assoc-resp", 0x10),
        ("reassocreq", 0x20), ("reassoc-req", 0x20), ("reassocresp", 0x30),
        ("reassoc-resp", 0x30), ("probereq", 0x40), ("probe-req", 0x40), ("proberesp", 0x50),
        ("probe-resp", 0x50), ("beacon", 0x80), ("atim", 0x90), ("disassoc", 0xa0),
        ("disassociation", 0xa0), ("auth", 0xb0), ("authentication", 0xb0), ("deauth", 0xc0),
        ("deauthentication", 0xc0),
    ]),
    (CONTROL, &[
        ("ps-poll", 0xa0), ("bar", 0x80), ("ba", 0x90), ("rts", 0xb0), ("cts", 0xc0),
        ("ack", 0xd0), ("cf-end", 0xe0), ("cf-end-ack", 0xf0),
    ]),
    (DATA, &[
        ("data", 0x00), ("data-cf-ack", 0x10), ("data-cf-poll", 0x20),
        ("data-cf-ack-poll", 0x30), ("null", 0x40), ("cf-ack", 0x50), ("cf-poll", 0x60),
        ("cf-ack-poll", 0x70), ("qos-data", 0x80), ("qos-data-cf-ack", 0x90),
        ("qos-data-cf-poll", 0xa0), ("qos-data-cf-ack-poll", 0xb0), ("qos", 0xc0),
        ("qos-cf-poll", 0xe0), ("qos-cf-ack-poll", 0xf0),
    ]),
];
