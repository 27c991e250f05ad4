//! Packets that take chosen ways through a program.
//!
//! The program is run on a packet. At a conditional jump whose operand comes from the packet a
//! coin decides where to go, and the bytes that it was loaded from are changed so that it goes
//! there, unless an earlier decision rests on them. So a few dozen runs reach what random packets
//! never do: all of a filter's conditions met, or all but one.

use crate::trace::{End, Imagined, View};
use crate::{Insn, Rng, trace};

/// Longest packet that is made.
const MAX_LEN: usize = 512;

/// Steps after which a run ends (`protochain` loops).
const MAX_STEPS: usize = 4096;

/// Where a value was loaded from, and what was done to it since.
#[derive(Clone, Debug, Default)]
struct Origin {
    offset: usize,
    size: usize,
    /// Operations with a constant or a value that happened to be one.
    steps: Vec<(u16, u32)>,
}

#[derive(Clone, Debug, Default)]
struct Value {
    now: u32,
    origin: Option<Origin>,
}

struct Run<'a> {
    rng: &'a mut Rng,
    packet: Vec<u8>,
    /// Bytes that a decision rests on.
    fixed: Vec<bool>,
    /// What `len` is, if not the number of bytes.
    length: Option<u32>,
}

/// A packet like `base` that takes a random way through `program`. Some grow to hold what is
/// loaded.
pub fn steer(program: &[Insn], base: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut run = Run { rng, packet: base.to_vec(), fixed: Vec::new(), length: None };
    run.go(program);
    run.packet
}

/// Adds bytes to a packet that was cut off, so that it takes a random way through `program`; `len`
/// stays.
pub fn extend(program: &[Insn], packet: &[u8], length: u32, rng: &mut Rng) -> Vec<u8> {
    let fixed = vec![true; packet.len()];
    let mut run = Run { rng, packet: packet.to_vec(), fixed, length: Some(length) };
    run.go(program);
    run.packet
}

/// Continuations of a packet that are tried before its bytes are said to decide.
const CONTINUATIONS: u32 = 64;

/// Whether a program that rejects a packet for a byte that is not there (or for a division by zero)
/// accepts all packets that begin like it (whatever the quotient), as far as a good number of them
/// can tell. Continuations on which it reads memory that it never wrote, or follows a chain of protocols
/// for ever, say nothing.
pub fn bytes_decide(program: &[Insn], bytes: &[u8], length: u32, rng: &mut Rng) -> bool {
    let run = |bytes: &[u8], imagined| trace::run(program, View { bytes, length, imagined });
    matches!(run(bytes, None), End::Missing | End::DivisionByZero)
        && (0..CONTINUATIONS).all(|i| {
            let longer = match i % 2 {
                0 => bytes.to_vec(),
                _ => extend(program, bytes, length, rng),
            };
            let imagined = Some(Imagined(rng.bits()));
            matches!(run(&longer, imagined), End::Returns(1..) | End::Unwritten | End::Lost)
        })
}

impl Run<'_> {
    fn go(&mut self, program: &[Insn]) {
        let mut a = Value::default();
        let mut x = Value::default();
        let mut memory = vec![Value::default(); 16];
        let mut pc = 0;
        for _ in 0..MAX_STEPS {
            let Some(&insn) = program.get(pc) else { return };
            pc += 1;
            match insn.code & 0x07 {
                0x00 => match self.load(insn, &x, &memory) {
                    Some(value) => a = value,
                    None => return,
                },
                0x01 => match self.load(insn, &x, &memory) {
                    Some(value) => x = value,
                    None => return,
                },
                0x02 => memory[insn.k as usize & 15] = a.clone(),
                0x03 => memory[insn.k as usize & 15] = x.clone(),
                0x04 => match alu(insn, &a, &x) {
                    Some(value) => a = value,
                    None => return,
                },
                0x05 if insn.code & 0xf0 == 0 => {
                    pc = pc.wrapping_add(insn.k as i32 as isize as usize);
                }
                0x05 => {
                    let taken = self.decide(insn, &mut a, &x);
                    pc += usize::from(if taken { insn.jt } else { insn.jf });
                }
                0x07 if insn.code & 0xf8 == 0x80 => a = x.clone(),
                0x07 => x = a.clone(),
                _ => return,
            }
        }
    }

    fn load(&mut self, insn: Insn, x: &Value, memory: &[Value]) -> Option<Value> {
        let size = match insn.code & 0x18 {
            0x08 => 2,
            0x10 => 1,
            _ => 4,
        };
        let offset = match insn.code & 0xe0 {
            0x20 => insn.k as usize,
            0x40 => x.now.checked_add(insn.k)? as usize,
            0x60 => return Some(memory[insn.k as usize & 15].clone()),
            0x80 => {
                let now = self.length.unwrap_or(self.packet.len() as u32);
                return Some(Value { now, origin: None });
            }
            0xa0 => {
                let byte = self.bytes(insn.k as usize, 1)?;
                let steps = vec![(0x50, 0x0f), (0x60, 2)];
                let origin = Origin { offset: insn.k as usize, size: 1, steps };
                return Some(Value { now: (byte & 0x0f) << 2, origin: Some(origin) });
            }
            _ => return Some(Value { now: insn.k, origin: None }),
        };
        let now = self.bytes(offset, size)?;
        Some(Value { now, origin: Some(Origin { offset, size, steps: Vec::new() }) })
    }

    /// Loads from the packet, which most often grows to have the bytes.
    fn bytes(&mut self, offset: usize, size: usize) -> Option<u32> {
        let end = offset.checked_add(size)?;
        if end > self.packet.len() {
            if end > MAX_LEN || self.rng.percent(4) {
                return None;
            }
            let grown = end + self.rng.below(8) as usize;
            while self.packet.len() < grown {
                let byte = if self.rng.percent(50) { 0 } else { self.rng.u8() };
                self.packet.push(byte);
            }
        }
        Some(self.packet[offset..end].iter().fold(0, |v, &b| v << 8 | u32::from(b)))
    }

    /// Takes a conditional jump.
    fn decide(&mut self, insn: Insn, a: &mut Value, x: &Value) -> bool {
        let k = if insn.code & 0x08 == 0 { insn.k } else { x.now };
        let operation = insn.code & 0xf0;
        if let Some(origin) = &a.origin
            && self.rng.percent(85)
        {
            let range = origin.offset..origin.offset + origin.size;
            self.fixed.resize(self.fixed.len().max(self.packet.len()), false);
            if !self.fixed[range.clone()].contains(&true) {
                let target = self.target(operation, k);
                let old = a.now;
                if let Some(raw) = invert(origin, target, self.raw(origin)) {
                    let bytes = raw.to_be_bytes();
                    self.packet[range].copy_from_slice(&bytes[4 - origin.size..]);
                    a.now = forward(origin, self.raw(origin)).unwrap_or(old);
                }
            }
            for fixed in &mut self.fixed[origin.offset..origin.offset + origin.size] {
                *fixed = true;
            }
        }
        match operation {
            0x10 => a.now == k,
            0x20 => a.now > k,
            0x30 => a.now >= k,
            _ => a.now & k != 0,
        }
    }

    fn raw(&self, origin: &Origin) -> u32 {
        self.packet[origin.offset..origin.offset + origin.size]
            .iter()
            .fold(0, |v, &b| v << 8 | u32::from(b))
    }

    /// An accumulator that makes the comparison true or, as often, false.
    fn target(&mut self, operation: u16, k: u32) -> u32 {
        let near = [k, k, k.wrapping_add(1), k.wrapping_sub(1), 0, self.rng.u32()];
        match operation {
            0x10 if self.rng.percent(60) => k,
            0x40 => {
                let random = self.rng.u32();
                let bit = 1 << self.rng.below(32);
                self.rng.pick(&[k, k & random, k & bit, !k & random, 0, !k])
            }
            _ => self.rng.pick(&near),
        }
    }
}

fn alu(insn: Insn, a: &Value, x: &Value) -> Option<Value> {
    let operand = if insn.code & 0x08 == 0 { insn.k } else { x.now };
    let now = trace::alu(insn.code, a.now, operand)?;
    let mut origin = a.origin.clone();
    if let Some(origin) = &mut origin {
        origin.steps.push((insn.code & 0xf0, operand));
    }
    Some(Value { now, origin })
}

fn forward(origin: &Origin, raw: u32) -> Option<u32> {
    origin.steps.iter().try_fold(raw, |value, &(code, operand)| trace::alu(code, value, operand))
}

/// Bytes that give `target` after all steps, or nearly; those in the packet are `raw`.
fn invert(origin: &Origin, target: u32, raw: u32) -> Option<u32> {
    // Values before each step, as they are now.
    let mut before = Vec::with_capacity(origin.steps.len());
    let mut value = raw;
    for &(code, operand) in &origin.steps {
        before.push(value);
        value = trace::alu(code, value, operand)?;
    }
    let mut wanted = target;
    for (&(code, operand), now) in origin.steps.iter().zip(before).rev() {
        wanted = match code {
            0x00 => wanted.wrapping_sub(operand),
            0x10 => wanted.wrapping_add(operand),
            0x20 => wanted.checked_div(operand)?,
            0x30 => wanted.wrapping_mul(operand),
            0x50 => (now & !operand) | (wanted & operand),
            0x60 => wanted.checked_shr(operand).unwrap_or(0),
            0x70 => {
                let low = 1u32.checked_shl(operand).unwrap_or(0).wrapping_sub(1);
                wanted.checked_shl(operand).unwrap_or(0) | (now & low)
            }
            0x80 => wanted.wrapping_neg(),
            0x90 => (now - now.checked_rem(operand)?).wrapping_add(wanted),
            0xa0 => wanted ^ operand,
            _ => wanted,
        };
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decided_packets() {
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        // ldb [9]; jeq #5, 0, 1; ret 1; and `ret 1` or `ret 0`
        let program = |other| {
            let load = insn(0x30, 0, 0, 9);
            [load, insn(0x15, 0, 1, 5), insn(0x06, 0, 0, 1), insn(0x06, 0, 0, other)]
        };
        let mut rng = Rng::new(2);
        assert!(bytes_decide(&program(1), &[0; 9], 9, &mut rng));
        assert!(!bytes_decide(&program(0), &[0; 9], 9, &mut rng));
        assert!(!bytes_decide(&program(1), &[0; 10], 10, &mut rng), "it is no reject");
    }

    #[test]
    fn meets_conditions() {
        // ldh [12]; jeq #0x800, 0, 5; ldb [23]; and #0x7f; sub #1; jeq #16, 0, 1; ret 1; ret 0
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        let program = [
            insn(0x28, 0, 0, 12),
            insn(0x15, 0, 5, 0x800),
            insn(0x30, 0, 0, 23),
            insn(0x54, 0, 0, 0x7f),
            insn(0x14, 0, 0, 1),
            insn(0x15, 0, 1, 16),
            insn(0x06, 0, 0, 1),
            insn(0x06, 0, 0, 0),
        ];
        let mut rng = Rng::new(1);
        let met = (0..200)
            .map(|_| steer(&program, &[], &mut rng))
            .filter(|p| p.len() > 23 && p[12..14] == [8, 0] && p[23] & 0x7f == 17)
            .count();
        assert!(met > 20, "{met} of 200");
        // What is there stays.
        let start = [0x55; 13];
        for _ in 0..100 {
            let longer = extend(&program, &start, 13, &mut rng);
            assert_eq!(longer[..13], start);
        }
    }
}
