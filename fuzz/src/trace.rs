//! How a run of a program ends, and how it would have ended had the packet been longer.

use crate::Insn;

/// Steps after which a run is given up (`protochain` loops).
const MAX_STEPS: usize = 100_000;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A verdict.
    Returns(u32),
    /// A load beyond the end of the packet: a reject.
    Missing,
    /// A division by zero: a reject.
    DivisionByZero,
    /// A memory word was read that was never written. It holds zero in some interpreters,
    /// whatever was there in others, and kernels refuse the program: the verdict means nothing.
    Unwritten,
    /// No end was reached, or an instruction was no good.
    Lost,
}

/// Bytes to imagine behind the end of a packet, and results of divisions by zero: anything, but
/// the same whenever asked for.
#[derive(Clone, Copy, Debug)]
pub struct Imagined(pub u64);

impl Imagined {
    fn number(self, about: u64) -> u32 {
        let mut rng = crate::Rng::new(self.0 ^ about.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.u32()
    }

    fn byte(self, at: u64) -> u32 {
        self.number(at) >> 24
    }
}

/// A packet as a program sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The bytes that are there.
    pub bytes: &'a [u8],
    /// What `len` is.
    pub length: u32,
    /// What is behind the bytes; nothing, as a rule.
    pub imagined: Option<Imagined>,
}

impl View<'_> {
    /// Negative offsets from an index are beyond the end; behind it, one can imagine that they
    /// were not.
    fn address(self, index: u32, offset: u32) -> u64 {
        match self.imagined {
            Some(_) => index.wrapping_add(offset).into(),
            None => u64::from(index) + u64::from(offset),
        }
    }

    fn load(self, at: u64, size: u64) -> Option<u32> {
        (at..at + size).try_fold(0, |value, at| {
            let byte = usize::try_from(at).ok().and_then(|at| self.bytes.get(at));
            let byte = match (byte, self.imagined) {
                (Some(&byte), _) => u32::from(byte),
                (None, imagined) => imagined?.byte(at),
            };
            Some(value << 8 | byte)
        })
    }
}

/// Runs a program.
pub fn run(program: &[Insn], packet: View<'_>) -> End {
    let (mut a, mut x, mut memory, mut written) = (0u32, 0u32, [0u32; 16], 0u16);
    let mut pc = 0;
    for _ in 0..MAX_STEPS {
        let Some(&Insn { code, jt, jf, k }) = program.get(pc) else { return End::Lost };
        pc += 1;
        let slot = k as usize & 15;
        let operand = if code & 0x08 == 0 { k } else { x };
        match code {
            0x60 | 0x61 => {
                if written >> slot & 1 == 0 {
                    return End::Unwritten;
                }
                if code == 0x60 { a = memory[slot] } else { x = memory[slot] }
            }
            0x02 | 0x03 => {
                memory[slot] = if code == 0x02 { a } else { x };
                written |= 1 << slot;
            }
            0x00 => a = k,
            0x01 => x = k,
            0x80 => a = packet.length,
            0x81 => x = packet.length,
            0x07 => x = a,
            0x87 => a = x,
            0x06 => return End::Returns(k),
            0x16 => return End::Returns(a),
            0xb1 => match packet.load(u64::from(k), 1) {
                Some(byte) => x = (byte & 0xf) << 2,
                None => return End::Missing,
            },
            _ if code & 0x07 == 0 => {
                let size = [4, 2, 1, 4][usize::from(code >> 3 & 3)];
                let from = if code & 0xe0 == 0x40 { x } else { 0 };
                match packet.load(packet.address(from, k), size) {
                    Some(value) => a = value,
                    None => return End::Missing,
                }
            }
            _ if code & 0x07 == 0x04 => {
                // As libpcap's optimizer has it, zero divided by anything is zero.
                let imagined =
                    packet.imagined.map(|i| if a == 0 { 0 } else { i.number(!(pc as u64)) });
                match alu(code, a, operand).or(imagined) {
                    Some(value) => a = value,
                    None => return End::DivisionByZero,
                }
            }
            0x05 => pc = pc.wrapping_add(k as i32 as isize as usize),
            _ if code & 0x07 == 0x05 => {
                let taken = match code & 0xf0 {
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    _ => a & operand != 0,
                };
                pc += usize::from(if taken { jt } else { jf });
            }
            _ => return End::Lost,
        }
    }
    End::Lost
}

pub(crate) fn alu(code: u16, value: u32, operand: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => value.wrapping_add(operand),
        0x10 => value.wrapping_sub(operand),
        0x20 => value.wrapping_mul(operand),
        0x30 => value.checked_div(operand)?,
        0x40 => value | operand,
        0x50 => value & operand,
        0x60 => value.checked_shl(operand).unwrap_or(0),
        0x70 => value.checked_shr(operand).unwrap_or(0),
        0x80 => value.wrapping_neg(),
        0x90 => value.checked_rem(operand)?,
        _ => value ^ operand,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(program: &[Insn], bytes: &[u8], imagined: Option<u64>) -> End {
        let imagined = imagined.map(Imagined);
        run(program, View { bytes, length: bytes.len() as u32, imagined })
    }

    #[test]
    fn written_before_read() {
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        // ldb [0]; jeq #1, 0, 1; st M[3]; ld M[3]; ret a
        let program = [
            insn(0x30, 0, 0, 0),
            insn(0x15, 0, 1, 1),
            insn(0x02, 0, 0, 3),
            insn(0x60, 0, 0, 3),
            insn(0x16, 0, 0, 0),
        ];
        assert_eq!(end(&program, &[1], None), End::Returns(1));
        assert_eq!(end(&program, &[2], None), End::Unwritten);
        assert_eq!(end(&program, &[], None), End::Missing);
    }

    #[test]
    fn imagined_bytes() {
        // ldb [0]; tax; ldb [9]; div x; ret a
        let codes = [(0x30, 0), (0x07, 0), (0x30, 9), (0x3c, 0), (0x16, 0)];
        let program = codes.map(|(code, k)| Insn { code, jt: 0, jf: 0, k });
        assert_eq!(end(&program, &[3], None), End::Missing);
        assert_eq!(end(&program, &[0; 10], None), End::DivisionByZero);
        let verdict = end(&program, &[1], Some(7));
        assert!(matches!(verdict, End::Returns(_)));
        assert_eq!(end(&program, &[1], Some(7)), verdict);
        let others = (0..99).filter(|&n| end(&program, &[0; 10], Some(n)) != verdict);
        assert!(others.count() > 90);
    }
}
