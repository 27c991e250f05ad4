//! Programs decoded once for a fast interpreter.
//!
//! Every instruction becomes one [`Op`] at the same position, so jumps stay as they are. Common
//! runs of instructions (a load and a conditional jump, two comparisons, a header length with what
//! it is for) become one operation that does all of it and skips the rest of the run, which stays
//! where it was for those who jump to it.

use super::interpreter::{LOOP_FUEL, arithmetic, byte, choose, half, indexed, jump, word};
use super::{Aux, Insn, InvalidProgram, check, op};

/// A decoded program. Made of strictly valid programs only.
#[derive(Debug)]
pub(super) struct Decoded {
    ops: Box<[Op]>,
    /// Whether any scratch word is ever written; if not, all are 0.
    uses_scratch: bool,
}

/// One decoded operation.
#[derive(Clone, Copy, Debug)]
struct Op {
    kind: Kind,
    jt: u8,
    jf: u8,
    /// Of the second jump in a pair, where the first falls through.
    jt2: u8,
    jf2: u8,
    /// Offset of the indirect load in a run of three.
    offset: u16,
    /// The load's offset, or the only operand.
    k: u32,
    /// Second operand of a fused operation: what the last jump compares with.
    c: u32,
}

const _: () = assert!(size_of::<Op>() == 16);

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
    AndKJeqK,
    /// Two comparisons, the first of which falls through to the second.
    JeqKJeqK,
    /// A header's length, a half word behind the header, a comparison.
    LdxMshLdHIndJeqK,
}

impl Decoded {
    /// Decodes a program that [`check`] takes.
    pub(super) fn new(insns: &[Insn]) -> Result<Self, InvalidProgram> {
        check(insns)?;
        let ops = (0..insns.len()).map(|index| decode(&insns[index..])).collect();
        let uses_scratch = insns.iter().any(|insn| [op::ST, op::STX].contains(&insn.code));
        Ok(Self { ops, uses_scratch })
    }

    /// Runs the program: see [`interpret`](super::interpret).
    #[inline]
    pub(super) fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        if self.uses_scratch {
            self.execute::<{ op::MEMWORDS }>(packet, wirelen, aux)
        } else {
            self.execute::<0>(packet, wirelen, aux)
        }
    }

    // One function for each: inlined together they run out of registers.
    #[inline(never)]
    fn execute<const WORDS: usize>(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        self.verdict::<WORDS>(packet, wirelen, aux).unwrap_or(0)
    }

    /// `None` is a reject by fault.
    #[inline(always)]
    fn verdict<const WORDS: usize>(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> Option<u32> {
        let (mut a, mut x) = (0u32, 0u32);
        let mut scratch = [0u32; WORDS];
        let mut fuel = LOOP_FUEL;
        let mut pc = 0usize;
        loop {
            let Op { kind, jt, jf, jt2, jf2, offset, k, c } = *self.ops.get(pc)?;
            pc += 1;
            let branch = |taken: bool| choose(taken, jt, jf);
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
                Kind::LdMem => a = scratch.get(k as usize).copied().unwrap_or(0),
                Kind::LdxImm => x = k,
                Kind::LdxLen => x = wirelen,
                Kind::LdxMem => x = scratch.get(k as usize).copied().unwrap_or(0),
                Kind::LdxMsh => x = (byte(packet, k as usize)? & 0x0f) << 2,
                Kind::St => *scratch.get_mut(k as usize)? = a,
                Kind::Stx => *scratch.get_mut(k as usize)? = x,
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
                Kind::AndKJeqK => {
                    a &= k;
                    pc += fused(a == c);
                }
                Kind::JeqKJeqK => {
                    if a == k {
                        pc += usize::from(jt);
                    } else {
                        pc += 1 + choose(a == c, jt2, jf2);
                    }
                }
                Kind::LdxMshLdHIndJeqK => {
                    x = (byte(packet, k as usize)? & 0x0f) << 2;
                    a = half(packet, x as usize + usize::from(offset))?;
                    pc += 1 + fused(a == c);
                }
            }
        }
    }
}

/// Decodes the first of some instructions together with those it can be fused with.
fn decode(insns: &[Insn]) -> Op {
    let Insn { code, jt, jf, k } = insns[0];
    let kind_at = |index: usize| insns.get(index).map(kind);
    let kind = kind(&insns[0]);
    let plain = Op { kind, jt, jf, jt2: 0, jf2: 0, offset: 0, k, c: code.into() };
    let fuse = |kind, last: &Insn| Op { kind, jt: last.jt, jf: last.jf, c: last.k, ..plain };
    match (kind, kind_at(1), kind_at(2)) {
        (Kind::LdWAbs, Some(Kind::JeqK), _) => fuse(Kind::LdWAbsJeqK, &insns[1]),
        (Kind::LdHAbs, Some(Kind::JeqK), _) => fuse(Kind::LdHAbsJeqK, &insns[1]),
        (Kind::LdBAbs, Some(Kind::JeqK), _) => fuse(Kind::LdBAbsJeqK, &insns[1]),
        (Kind::LdHAbs, Some(Kind::JsetK), _) => fuse(Kind::LdHAbsJsetK, &insns[1]),
        (Kind::LdHInd, Some(Kind::JeqK), _) => fuse(Kind::LdHIndJeqK, &insns[1]),
        (Kind::AndK, Some(Kind::JeqK), _) => fuse(Kind::AndKJeqK, &insns[1]),
        (Kind::JeqK, Some(Kind::JeqK), _) if jf == 0 => {
            let Insn { jt: jt2, jf: jf2, k: c, .. } = insns[1];
            Op { kind: Kind::JeqKJeqK, jt2, jf2, c, ..plain }
        }
        (Kind::LdxMsh, Some(Kind::LdHInd), Some(Kind::JeqK)) => {
            let fused = fuse(Kind::LdxMshLdHIndJeqK, &insns[2]);
            u16::try_from(insns[1].k).map_or(plain, |offset| Op { offset, ..fused })
        }
        _ => plain,
    }
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
