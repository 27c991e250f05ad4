//! What a pcapng interface description says of its time stamps.

use super::byte_order::ByteOrder;
use super::error::PcapNgError;
use crate::timestamp::{Precision, Timestamp};

const END_OF_OPTIONS: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

const INTERFACE_DESCRIPTION: u32 = 1;

/// An interface's time stamps: units per second and seconds to add.
#[derive(Debug)]
pub(super) struct Interface {
    units: u64,
    offset: i64,
    /// How to get from its units to those asked for.
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// They are the same.
    None,
    /// Both are powers of ten.
    Multiply(u64),
    Divide(u64),
    /// The interface's is a power of two: multiply by the one, divide by the other.
    Ratio,
}

/// `if_tsresol`: units per second, and whether they are a power of two.
#[derive(Clone, Copy)]
struct Resolution {
    units: u64,
    binary: bool,
}

impl Interface {
    /// Takes what matters from the options.
    pub fn from_options(
        order: ByteOrder,
        mut options: &[u8],
        precision: Precision,
    ) -> Result<Self, PcapNgError> {
        let mut resolution = None;
        let mut offset = None;
        while !options.is_empty() {
            let (code, value, rest) = split_option(order, options)?;
            options = rest;
            let length = value.len() as u16;
            match code {
                END_OF_OPTIONS => {
                    check_option_length("opt_endofopt", length, 0)?;
                    break;
                }
                IF_TSRESOL => {
                    check_option_length("if_tsresol", length, 1)?;
                    set_once(&mut resolution, "if_tsresol", || parse_resolution(value[0]))?;
                }
                IF_TSOFFSET => {
                    check_option_length("if_tsoffset", length, 8)?;
                    set_once(&mut offset, "if_tsoffset", || Ok(order.i64(value, 0)))?;
                }
                _ => {}
            }
        }
        let Resolution { units, binary } =
            resolution.unwrap_or(Resolution { units: 1_000_000, binary: false });
        let scale = Scale::between(units, binary, precision.units_per_second());
        Ok(Self { units, offset: offset.unwrap_or(0), scale })
    }

    /// A time in the interface's units as a time stamp.
    #[inline]
    pub fn timestamp(&self, time: u64, precision: Precision) -> Timestamp {
        let frac = time % self.units;
        let frac = match self.scale {
            Scale::None => frac,
            Scale::Multiply(factor) => frac * factor,
            Scale::Divide(factor) => frac / factor,
            Scale::Ratio => {
                let wide = u128::from(frac) * u128::from(precision.units_per_second());
                (wide / u128::from(self.units)) as u64
            }
        };
        let sec = ((time / self.units) as i64).wrapping_add(self.offset);
        Timestamp { sec, frac: frac as i64 }
    }
}

impl Scale {
    fn between(from: u64, binary: bool, to: u64) -> Self {
        if binary {
            Self::Ratio
        } else if from == to {
            Self::None
        } else if from > to {
            Self::Divide(from / to)
        } else {
            Self::Multiply(to / from)
        }
    }
}

/// First option's code and value, and what follows its padding.
fn split_option(order: ByteOrder, options: &[u8]) -> Result<(u16, &[u8], &[u8]), PcapNgError> {
    let too_short = PcapNgError::BlockContents(INTERFACE_DESCRIPTION);
    let (header, rest) = options.split_at_checked(4).ok_or(too_short.clone())?;
    let length = usize::from(order.u16(header, 2));
    let (value, rest) = rest.split_at_checked(length.next_multiple_of(4)).ok_or(too_short)?;
    Ok((order.u16(header, 0), &value[..length], rest))
}

fn check_option_length(
    option: &'static str,
    length: u16,
    expected: u16,
) -> Result<(), PcapNgError> {
    if length == expected {
        Ok(())
    } else {
        Err(PcapNgError::OptionLength { option, length, expected })
    }
}

fn set_once<T>(
    slot: &mut Option<T>,
    option: &'static str,
    value: impl FnOnce() -> Result<T, PcapNgError>,
) -> Result<(), PcapNgError> {
    if slot.is_some() {
        return Err(PcapNgError::RepeatedOption(option));
    }
    *slot = Some(value()?);
    Ok(())
}

/// Top bit set: a negative power of two, else of ten. Units per second must fit 64 bits.
fn parse_resolution(option: u8) -> Result<Resolution, PcapNgError> {
    let exponent = option & 0x7f;
    let binary = option & 0x80 != 0;
    let (base, units) = if binary {
        (2, 1u64.checked_shl(exponent.into()))
    } else {
        (10, 10u64.checked_pow(exponent.into()))
    };
    let units = units.ok_or(PcapNgError::Resolution { base, exponent })?;
    Ok(Resolution { units, binary })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(options: &[u8], precision: Precision) -> Result<Interface, PcapNgError> {
        Interface::from_options(ByteOrder { swapped: false }, options, precision)
    }

    fn with_resolution(option: u8, precision: Precision) -> Interface {
        interface(&[9, 0, 1, 0, option, 0, 0, 0], precision).expect("a good option")
    }

    #[test]
    fn every_resolution_gives_the_exact_fraction() {
        for option in 0..=u8::MAX {
            let limit = if option & 0x80 != 0 { 0x80 | 63 } else { 19 };
            let options = [9, 0, 1, 0, option, 0, 0, 0];
            if option > limit {
                assert!(interface(&options, Precision::Micro).is_err(), "{option:#x}");
                continue;
            }
            for precision in [Precision::Micro, Precision::Nano] {
                let i = with_resolution(option, precision);
                for time in [0, 1, i.units - 1, i.units, i.units.saturating_mul(3) / 2, u64::MAX] {
                    let exact = u128::from(time % i.units)
                        * u128::from(precision.units_per_second())
                        / u128::from(i.units);
                    let ts = i.timestamp(time, precision);
                    assert_eq!(ts.sec as u64, time / i.units, "{option:#x} {time}");
                    assert_eq!(ts.frac as u128, exact, "{option:#x} {time}");
                }
            }
        }
    }

    #[test]
    fn offset_is_signed_and_wraps() {
        let mut options = vec![14, 0, 8, 0];
        options.extend((-5i64).to_ne_bytes());
        let i = interface(&options, Precision::Micro).expect("a good option");
        assert_eq!(i.timestamp(7_000_001, Precision::Micro), Timestamp { sec: 2, frac: 1 });
        options[4..].copy_from_slice(&i64::MAX.to_ne_bytes());
        let i = interface(&options, Precision::Micro).expect("a good option");
        assert_eq!(i.timestamp(1_000_000, Precision::Micro).sec, i64::MIN);
    }
}
