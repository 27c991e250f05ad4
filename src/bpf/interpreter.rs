//! The interpreter for instructions as they are: trusts nothing.
//!
//! It runs in two parts. [`run`] does what filters mostly consist of, and needs so few registers
//! that it has no stack frame; the first instruction that it leaves aside hands over to
//! [`continue_from`], which does everything and goes on to the end.

use super::{Aux, Insn, op};

/// Instructions that backward jumps may repeat in one run before the packet is rejected.
///
/// Loops are legal: `ip6 protochain` walks a header chain with one. The longest chain that fits
/// into 262,144 bytes takes about a million steps.
pub const LOOP_FUEL: u32 = 1 << 21;

/// A place in a program, which need not be within it.
pub trait Cursor<'a>: Copy {
    /// The instruction there; `None` outside of the program.
    fn insn(self) -> Option<&'a Insn>;

    /// The place so many instructions further on.
    fn skip(self, count: usize) -> Self;

    /// The place so many instructions from here; `None` when that is sure to be outside.
    fn jump(self, distance: i32) -> Option<Self>;
}

/// A place in instructions whose number is known.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub insns: &'a [Insn],
    pub pc: usize,
}

impl<'a> Cursor<'a> for Place<'a> {
    #[inline(always)]
    fn insn(self) -> Option<&'a Insn> {
        self.insns.get(self.pc)
    }

    #[inline(always)]
    fn skip(self, count: usize) -> Self {
        Self { pc: self.pc + count, ..self }
    }

    #[inline(always)]
    fn jump(self, distance: i32) -> Option<Self> {
        Some(Self { pc: self.pc.checked_add_signed(distance as isize)?, ..self })
    }
}

/// Runs a program on a packet; returns the accepted length, 0 for a reject.
///
/// `packet` is what was captured, `wirelen` what the packet measured on the wire. Safe on any
/// instructions: an unknown code, a scratch word that does not exist, a jump out of the program,
/// a division by zero, a load beyond the packet and an endless loop (see [`LOOP_FUEL`]) all
/// return 0. Accumulator, index register and scratch memory start as 0.
pub fn interpret(insns: &[Insn], packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
    run(Place { insns, pc: 0 }, packet, wirelen, aux)
}

/// The value, or the end with a reject.
///
/// A macro, and not a function with a `ControlFlow` result: the compiled code is a fifth faster.
macro_rules! or_reject {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return 0,
        }
    };
}
pub(super) use or_reject;

/// [`interpret`] from a place on: the common instructions, up to the first other one.
#[inline(always)]
pub fn run<'a>(mut at: impl Cursor<'a>, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
    let (mut a, mut x) = (0u32, 0u32);
    // A value for the accumulator, and the test that mostly follows, without a jump table.
    macro_rules! loaded {
        ($value:expr) => {{
            a = $value;
            at = at.skip(1);
            equal!();
        }};
    }
    macro_rules! equal {
        () => {
            let next = or_reject!(at.insn());
            if next.code == JEQ_K {
                at = at.skip(1 + choose(a == next.k, next.jt, next.jf));
            }
        };
    }
    macro_rules! packet_or_aux {
        ($load:ident, $k:ident) => {
            match $load(packet, $k as usize) {
                Some(value) => loaded!(value),
                None => break,
            }
        };
    }
    loop {
        // By reference: a copy would be loaded as one word and taken apart, which is slower.
        let insn = or_reject!(at.insn());
        let (code, k) = (insn.code, insn.k);
        let branch = |taken: bool| at.skip(1 + choose(taken, insn.jt, insn.jf));
        match code {
            RET_K => return k,
            LD_W_ABS => packet_or_aux!(word, k),
            LD_H_ABS => packet_or_aux!(half, k),
            LD_B_ABS => packet_or_aux!(byte, k),
            LD_H_IND => loaded!(or_reject!(half(packet, or_reject!(indexed(x, k))))),
            LD_B_IND => loaded!(or_reject!(byte(packet, or_reject!(indexed(x, k))))),
            LD_W_IND => loaded!(or_reject!(word(packet, or_reject!(indexed(x, k))))),
            LDX_MSH => (x, at) = (header_len(or_reject!(byte(packet, k as usize))), at.skip(1)),
            LDX_IMM => (x, at) = (k, at.skip(1)),
            AND_K => loaded!(a & k),
            JEQ_K => {
                at = branch(a == k);
                equal!();
            }
            JGT_K => at = branch(a > k),
            JGE_K => at = branch(a >= k),
            JSET_K => at = branch(a & k != 0),
            _ => break,
        }
    }
    continue_from(at, a, x, packet, wirelen, aux)
}

/// Runs a program on from a place that is reached with scratch memory unwritten.
#[cold]
#[inline(never)]
pub(super) fn continue_from<'a>(
    at: impl Cursor<'a>,
    a: u32,
    x: u32,
    packet: &[u8],
    wirelen: u32,
    aux: &Aux,
) -> u32 {
    execute(at, (a, x), packet, wirelen, aux).unwrap_or(0)
}

/// `None` is a reject by fault.
#[inline(always)]
fn execute<'a>(
    mut at: impl Cursor<'a>,
    (mut a, mut x): (u32, u32),
    packet: &[u8],
    wirelen: u32,
    aux: &Aux,
) -> Option<u32> {
    let mut scratch = [0u32; op::MEMWORDS];
    let mut fuel = LOOP_FUEL;
    loop {
        let insn = at.insn()?;
        let (code, k) = (insn.code, insn.k);
        at = at.skip(1);
        let branch = |taken: bool| at.skip(choose(taken, insn.jt, insn.jf));
        match code {
            RET_K => return Some(k),
            RET_A => return Some(a),
            LD_W_ABS => a = absolute(packet, k, word, aux)?,
            LD_H_ABS => a = absolute(packet, k, half, aux)?,
            LD_B_ABS => a = absolute(packet, k, byte, aux)?,
            LD_W_IND => a = word(packet, indexed(x, k)?)?,
            LD_H_IND => a = half(packet, indexed(x, k)?)?,
            LD_B_IND => a = byte(packet, indexed(x, k)?)?,
            LD_IMM => a = k,
            LD_LEN => a = wirelen,
            LD_MEM => a = *scratch.get(k as usize)?,
            LDX_IMM => x = k,
            LDX_LEN => x = wirelen,
            LDX_MEM => x = *scratch.get(k as usize)?,
            LDX_MSH => x = header_len(byte(packet, k as usize)?),
            op::ST => *scratch.get_mut(k as usize)? = a,
            op::STX => *scratch.get_mut(k as usize)? = x,
            TAX => x = a,
            TXA => a = x,
            JA => {
                fuel = fuel.checked_sub(way_back(k))?;
                at = at.jump(k as i32)?;
            }
            JEQ_K => at = branch(a == k),
            JGT_K => at = branch(a > k),
            JGE_K => at = branch(a >= k),
            JSET_K => at = branch(a & k != 0),
            JEQ_X => at = branch(a == x),
            JGT_X => at = branch(a > x),
            JGE_X => at = branch(a >= x),
            JSET_X => at = branch(a & x != 0),
            // The commonest ones without a second jump table.
            AND_K => a &= k,
            ADD_K => a = a.wrapping_add(k),
            ADD_X => a = a.wrapping_add(x),
            SUB_X => a = a.wrapping_sub(x),
            _ if op::class(code) == op::ALU => a = arithmetic(code, a, x, k)?,
            _ => return None,
        }
    }
}

/// The accumulator after an ALU instruction; `None` for an unknown one or a division by zero.
///
/// Shifts by 32 and more give 0.
fn arithmetic(code: u16, a: u32, x: u32, k: u32) -> Option<u32> {
    if code > 0xff {
        return None;
    }
    let b = if op::src(code) == op::X { x } else { k };
    Some(match op::operation(code) {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV => a.checked_div(b)?,
        op::MOD => a.checked_rem(b)?,
        op::AND => a & b,
        op::OR => a | b,
        op::XOR => a ^ b,
        op::LSH => a.checked_shl(b).unwrap_or(0),
        op::RSH => a.checked_shr(b).unwrap_or(0),
        op::NEG if op::src(code) == op::K => a.wrapping_neg(),
        _ => return None,
    })
}

/// Instructions to skip.
///
/// A real branch, not a conditional move: so the processor predicts where the program goes and
/// need not wait for the packet's bytes (a third of the time of a run).
#[inline(always)]
fn choose(taken: bool, jt: u8, jf: u8) -> usize {
    if taken {
        jt.into()
    } else {
        std::hint::black_box(());
        jf.into()
    }
}

/// How far `ja k` goes back. A run is charged with the way that it will have to come again, so that
/// it never takes more steps than its length plus [`LOOP_FUEL`].
fn way_back(k: u32) -> u32 {
    let distance = k as i32;
    if distance < 0 { distance.unsigned_abs() } else { 0 }
}

/// `ldxb 4*([k]&0xf)`: the length of the IPv4 header that starts with `byte`.
pub(super) fn header_len(byte: u32) -> u32 {
    (byte & 0x0f) << 2
}

#[inline(always)]
fn absolute(
    packet: &[u8],
    k: u32,
    load: fn(&[u8], usize) -> Option<u32>,
    aux: &Aux,
) -> Option<u32> {
    match load(packet, k as usize) {
        Some(value) => Some(value),
        None => aux.load(k),
    }
}

/// The offset `x + k`, which never wraps.
pub(super) fn indexed(x: u32, k: u32) -> Option<usize> {
    x.checked_add(k).map(|offset| offset as usize)
}

pub(super) fn word(packet: &[u8], offset: usize) -> Option<u32> {
    let bytes = packet.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn half(packet: &[u8], offset: usize) -> Option<u32> {
    let bytes = packet.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?).into())
}

pub(super) fn byte(packet: &[u8], offset: usize) -> Option<u32> {
    packet.get(offset).map(|&byte| byte.into())
}

const RET_K: u16 = op::RET | op::K;
const RET_A: u16 = op::RET | op::A;
const LD_W_ABS: u16 = op::LD | op::W | op::ABS;
const LD_H_ABS: u16 = op::LD | op::H | op::ABS;
const LD_B_ABS: u16 = op::LD | op::B | op::ABS;
const LD_W_IND: u16 = op::LD | op::W | op::IND;
const LD_H_IND: u16 = op::LD | op::H | op::IND;
const LD_B_IND: u16 = op::LD | op::B | op::IND;
const LD_IMM: u16 = op::LD | op::IMM;
const LD_LEN: u16 = op::LD | op::LEN;
const LD_MEM: u16 = op::LD | op::MEM;
const LDX_IMM: u16 = op::LDX | op::IMM;
const LDX_LEN: u16 = op::LDX | op::LEN;
const LDX_MEM: u16 = op::LDX | op::MEM;
const LDX_MSH: u16 = op::LDX | op::B | op::MSH;
const TAX: u16 = op::MISC | op::TAX;
const TXA: u16 = op::MISC | op::TXA;
const AND_K: u16 = op::ALU | op::AND | op::K;
const ADD_K: u16 = op::ALU | op::ADD | op::K;
const ADD_X: u16 = op::ALU | op::ADD | op::X;
const SUB_X: u16 = op::ALU | op::SUB | op::X;
const JA: u16 = op::JMP | op::JA;
const JEQ_K: u16 = op::JMP | op::JEQ | op::K;
const JGT_K: u16 = op::JMP | op::JGT | op::K;
const JGE_K: u16 = op::JMP | op::JGE | op::K;
const JSET_K: u16 = op::JMP | op::JSET | op::K;
const JEQ_X: u16 = op::JMP | op::JEQ | op::X;
const JGT_X: u16 = op::JMP | op::JGT | op::X;
const JGE_X: u16 = op::JMP | op::JGE | op::X;
const JSET_X: u16 = op::JMP | op::JSET | op::X;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Ancillary;

    fn run(insns: &[Insn], packet: &[u8]) -> u32 {
        interpret(insns, packet, packet.len() as u32, &Aux::NONE)
    }

    const ACCEPT: Insn = Insn::stmt(op::RET, 7);

    #[test]
    fn hostile_programs_reject() {
        let programs: &[&[Insn]] = &[
            &[],
            &[Insn::stmt(0xffff, 0), ACCEPT],
            &[Insn::stmt(op::ST, 16), ACCEPT],
            &[Insn::stmt(LD_MEM, u32::MAX), ACCEPT],
            &[Insn::stmt(JA, u32::MAX), ACCEPT],
            &[Insn::stmt(JA, 0x8000_0000), ACCEPT],
            &[Insn::stmt(JA, 0x7fff_ffff), ACCEPT],
            &[Insn::stmt(LD_IMM, 1)],
            &[Insn::jump(JEQ_K, 0, 255, 255), ACCEPT],
            &[Insn::stmt(op::ALU | op::DIV | op::X, 0), ACCEPT],
            &[Insn::stmt(op::ALU | op::MOD | op::K, 0), ACCEPT],
            &[Insn::stmt(LDX_IMM, u32::MAX), Insn::stmt(LD_W_IND, 1), ACCEPT],
        ];
        for program in programs {
            assert_eq!(run(program, &[0; 64]), 0, "{program:?}");
        }
    }

    #[test]
    fn loops_run_while_they_have_fuel() {
        let count_to = |n| {
            [
                Insn::stmt(op::ALU | op::ADD, 1),
                Insn::jump(JGE_K, n, 1, 0),
                Insn::stmt(JA, -3i32 as u32),
                Insn::stmt(RET_A, 0),
            ]
        };
        assert_eq!(run(&count_to(1000), &[]), 1000);
        assert_eq!(run(&count_to(u32::MAX), &[]), 0);
    }

    #[test]
    fn ancillary_loads_want_a_value() {
        let program = [Insn::stmt(LD_B_ABS, 0xffff_f008), Insn::stmt(RET_A, 0)];
        assert_eq!(run(&program, &[1; 64]), 0);
        let aux = Aux::NONE.with(Ancillary::IfIndex, 0x1_0003);
        assert_eq!(interpret(&program, &[], 0, &aux), 0x1_0003);
    }
}
