//! Whether a program uses memory that it never wrote.

use crate::Insn;

/// Runs a program on a whole packet and says whether it read a memory word before writing it.
///
/// Such a word holds zero in some interpreters, whatever was there in others, and kernels refuse
/// the program: its verdict means nothing.
pub fn reads_unwritten(program: &[Insn], packet: &[u8]) -> bool {
    let (mut a, mut x, mut memory, mut written) = (0u32, 0u32, [0u32; 16], 0u16);
    let mut pc = 0;
    for _ in 0..100_000 {
        let Some(&Insn { code, jt, jf, k }) = program.get(pc) else { return false };
        pc += 1;
        let slot = k as usize & 15;
        let operand = if code & 0x08 == 0 { k } else { x };
        match code {
            0x60 | 0x61 => {
                if written >> slot & 1 == 0 {
                    return true;
                }
                if code == 0x60 { a = memory[slot] } else { x = memory[slot] }
            }
            0x02 | 0x03 => {
                memory[slot] = if code == 0x02 { a } else { x };
                written |= 1 << slot;
            }
            0x00 => a = k,
            0x01 => x = k,
            0x80 => a = packet.len() as u32,
            0x81 => x = packet.len() as u32,
            0x07 => x = a,
            0x87 => a = x,
            0xb1 => match load(packet, k, 1) {
                Some(byte) => x = (byte & 0xf) << 2,
                None => return false,
            },
            _ if code & 0x07 == 0 => {
                let size = [4, 2, 1, 4][usize::from(code >> 3 & 3)];
                let at = if code & 0xe0 == 0x40 { x.checked_add(k) } else { Some(k) };
                match at.and_then(|at| load(packet, at, size)) {
                    Some(value) => a = value,
                    None => return false,
                }
            }
            _ if code & 0x07 == 0x04 => match alu(code, a, operand) {
                Some(value) => a = value,
                None => return false,
            },
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
            _ => return false,
        }
    }
    false
}

fn load(packet: &[u8], at: u32, size: usize) -> Option<u32> {
    let at = at as usize;
    let bytes = packet.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().fold(0, |v, &b| v << 8 | u32::from(b)))
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
        assert!(!reads_unwritten(&program, &[1]));
        assert!(reads_unwritten(&program, &[2]));
        assert!(!reads_unwritten(&program, &[]));
    }
}
