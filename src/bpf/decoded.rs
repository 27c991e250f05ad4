//! Programs decoded once for a fast interpreter.
//!
//! Every instruction becomes one [`Op`] at the same position, so jumps stay as they are. A load
//! with a conditional jump behind it becomes one operation that does both and skips the jump,
//! which stays where it was for those who jump to it.

use super::interpreter::{LOOP_FUEL, arithmetic, byte, half, indexed, jump, word};
use super::{Aux, Insn, InvalidProgram, check, op};

/// A decoded program. Made of strictly valid programs only.
#[derive(Debug)]
pub(super) struct Decoded {
    ops: Box<[Op]>,
}

/// One decoded operation.
#[derive(Clone, Copy, Debug)]
struct Op {
    kind: Kind,
    jt: u8,
    jf: u8,
    /// The load's offset, or the only operand.
    k: u32,
    /// Second operand of a fused operation: what the jump compares with.
    c: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LdWAbs,
    LdHAbs,
    LdBAbs,
    /// Absolute load that no packet satisfies: of ancillary data.
    LdAux,
    LdWInd,
    LdHInd,
    LdBInd,
    LdImm,
    LdLen,
    LdMem,
    LdxImm,
    LdxLen,
    LdxMem,
    LdxMsh,
    St,
    Stx,
    Tax,
    Txa,
    AndK,
    AddK,
    /// Other ALU operations; the code is in `c`.
    Alu,
    Ja,
    JeqK,
    JgtK,
    JgeK,
    JsetK,
    JeqX,
    JgtX,
    JgeX,
    JsetX,
    RetK,
    RetA,
    LdWAbsJeqK,
    LdHAbsJeqK,
    LdBAbsJeqK,
    LdHAbsJsetK,
    LdHIndJeqK,
}

impl Decoded {
    /// Decodes a program that [`check`] takes.
    pub(super) fn new(insns: &[Insn]) -> Result<Self, InvalidProgram> {
        check(insns)?;
        let next = insns.iter().skip(1).map(Some).chain([None]);
        let ops = insns.iter().zip(next).map(|(insn, next)| decode(insn, next)).collect();
        Ok(Self { ops })
    }

    /// Runs the program: see [`interpret`](super::interpret).
    pub(super) fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        self.execute(packet, wirelen, aux).unwrap_or(0)
    }

    #[inline(always)]
    fn execute(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> Option<u32> {
        let (mut a, mut x) = (0u32, 0u32);
        let mut scratch = [0u32; op::MEMWORDS];
        let mut fuel = LOOP_FUEL;
        let mut pc = 0usize;
        loop {
            let Op { kind, jt, jf, k, c } = *self.ops.get(pc)?;
            pc += 1;
            let branch = |taken: bool| usize::from(if taken { jt } else { jf });
            let fused = |taken: bool| 1 + branch(taken);
            match kind {
                Kind::LdWAbs => a = word(packet, k as usize)?,
                Kind::LdHAbs => a = half(packet, k as usize)?,
                Kind::LdBAbs => a = byte(packet, k as usize)?,
                Kind::LdAux => a = aux.load(k)?,
                Kind::LdWInd => a = word(packet, indexed(x, k)?)?,
                Kind::LdHInd => a = half(packet, indexed(x, k)?)?,
                Kind::LdBInd => a = byte(packet, indexed(x, k)?)?,
                Kind::LdImm => a = k,
                Kind::LdLen => a = wirelen,
                Kind::LdMem => a = scratch[k as usize % op::MEMWORDS],
                Kind::LdxImm => x = k,
                Kind::LdxLen => x = wirelen,
                Kind::LdxMem => x = scratch[k as usize % op::MEMWORDS],
                Kind::LdxMsh => x = (byte(packet, k as usize)? & 0x0f) << 2,
                Kind::St => scratch[k as usize % op::MEMWORDS] = a,
                Kind::Stx => scratch[k as usize % op::MEMWORDS] = x,
                Kind::Tax => x = a,
                Kind::Txa => a = x,
                Kind::AndK => a &= k,
                Kind::AddK => a = a.wrapping_add(k),
                Kind::Alu => a = arithmetic(c as u16, a, x, k)?,
                Kind::Ja => pc = jump(pc, k, &mut fuel)?,
                Kind::JeqK => pc += branch(a == k),
                Kind::JgtK => pc += branch(a > k),
                Kind::JgeK => pc += branch(a >= k),
                Kind::JsetK => pc += branch(a & k != 0),
                Kind::JeqX => pc += branch(a == x),
                Kind::JgtX => pc += branch(a > x),
                Kind::JgeX => pc += branch(a >= x),
                Kind::JsetX => pc += branch(a & x != 0),
                Kind::RetK => return Some(k),
                Kind::RetA => return Some(a),
                Kind::LdWAbsJeqK => {
                    a = word(packet, k as usize)?;
                    pc += fused(a == c);
                }
                Kind::LdHAbsJeqK => {
                    a = half(packet, k as usize)?;
                    pc += fused(a == c);
                }
                Kind::LdBAbsJeqK => {
                    a = byte(packet, k as usize)?;
                    pc += fused(a == c);
                }
                Kind::LdHAbsJsetK => {
                    a = half(packet, k as usize)?;
                    pc += fused(a & c != 0);
                }
                Kind::LdHIndJeqK => {
                    a = half(packet, indexed(x, k)?)?;
                    pc += fused(a == c);
                }
            }
        }
    }
}

fn decode(insn: &Insn, next: Option<&Insn>) -> Op {
    let Insn { code, jt, jf, k } = *insn;
    let kind = kind(insn);
    let plain = Op { kind, jt, jf, k, c: code.into() };
    let Some(next) = next else { return plain };
    let fused = match (kind, self::kind(next)) {
        (Kind::LdWAbs, Kind::JeqK) => Kind::LdWAbsJeqK,
        (Kind::LdHAbs, Kind::JeqK) => Kind::LdHAbsJeqK,
        (Kind::LdBAbs, Kind::JeqK) => Kind::LdBAbsJeqK,
        (Kind::LdHAbs, Kind::JsetK) => Kind::LdHAbsJsetK,
        (Kind::LdHInd, Kind::JeqK) => Kind::LdHIndJeqK,
        _ => return plain,
    };
    Op { kind: fused, jt: next.jt, jf: next.jf, k, c: next.k }
}

/// `insn` has a known code.
fn kind(insn: &Insn) -> Kind {
    let pick = |w, h, b| match op::size(insn.code) {
        op::W => w,
        op::H => h,
        _ => b,
    };
    let code = insn.code;
    match op::class(code) {
        op::LD => match op::mode(code) {
            op::IMM => Kind::LdImm,
            op::MEM => Kind::LdMem,
            op::LEN => Kind::LdLen,
            op::IND => pick(Kind::LdWInd, Kind::LdHInd, Kind::LdBInd),
            _ if super::aux::slot(insn.k).is_some() => Kind::LdAux,
            _ => pick(Kind::LdWAbs, Kind::LdHAbs, Kind::LdBAbs),
        },
        op::LDX => match op::mode(code) {
            op::IMM => Kind::LdxImm,
            op::MEM => Kind::LdxMem,
            op::LEN => Kind::LdxLen,
            _ => Kind::LdxMsh,
        },
        op::ST => Kind::St,
        op::STX => Kind::Stx,
        op::ALU if code == op::ALU | op::AND => Kind::AndK,
        op::ALU if code == op::ALU | op::ADD => Kind::AddK,
        op::ALU => Kind::Alu,
        op::JMP => {
            let with_x = op::src(code) == op::X;
            match op::operation(code) {
                op::JA => Kind::Ja,
                op::JEQ => [Kind::JeqK, Kind::JeqX][usize::from(with_x)],
                op::JGT => [Kind::JgtK, Kind::JgtX][usize::from(with_x)],
                op::JGE => [Kind::JgeK, Kind::JgeX][usize::from(with_x)],
                _ => [Kind::JsetK, Kind::JsetX][usize::from(with_x)],
            }
        }
        op::RET => [Kind::RetK, Kind::RetA][usize::from(code == op::RET | op::A)],
        _ if code == op::MISC | op::TAX => Kind::Tax,
        _ => Kind::Txa,
    }
}
