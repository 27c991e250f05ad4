//! The interpreter for instructions as they are: trusts nothing.
//!
//! It runs in two parts. [`run`] does what filters mostly consist of: each instruction is a function
//! that calls the function of the next one as the last thing it does. Optimized builds make these
//! calls jumps, so there is no loop to return to and no stack frame. What else there is is left to
//! [`continue_from`], which does everything and goes on to the end.

use super::code::*;
use super::{Aux, Insn, op};
use std::hint::black_box;

/// Instructions that backward jumps may repeat in one run before the packet is rejected.
///
/// Loops are legal: `ip6 protochain` walks a header chain with one. The longest chain that fits
/// into 262,144 bytes takes about a million steps.
pub const LOOP_FUEL: u32 = 1 << 21;

/// How far into a program [`run`] goes: what bounds its stack in builds where calls are no jumps.
pub(super) const WINDOW: usize = if cfg!(debug_assertions) { 64 } else { 4096 };

/// A place in a program.
pub trait Cursor<'a>: Copy {
    /// The instruction so many further on, and its place; `None` outside of the program.
    fn ahead(self, count: usize) -> Option<(&'a Insn, Self)>;

    /// The place so many instructions further on, or the program's end.
    fn skip(self, count: usize) -> Self;

    /// The place so many instructions from here in the program that starts at `start`; `None` when
    /// that is sure to be outside.
    fn jump(self, start: Self, distance: i32) -> Option<Self>;

    /// Whether it comes before another place in the same program.
    fn is_before(self, other: Self) -> bool;

    /// The place so many instructions further on, or the program's end where that comes first.
    fn window(self, len: usize) -> Self {
        self.skip(len)
    }

    /// As [`ahead`](Self::ahead), and `None` from `end` on, which is a [`window`](Self::window)'s.
    #[inline(always)]
    fn ahead_of(self, end: Self, count: usize) -> Option<(&'a Insn, Self)> {
        self.ahead(count).filter(|(_, place)| place.is_before(end))
    }
}

/// A place in a program whose length is known: all that follows.
impl<'a> Cursor<'a> for &'a [Insn] {
    #[inline(always)]
    fn ahead(self, count: usize) -> Option<(&'a Insn, Self)> {
        let insn = self.get(count)?;
        Some((insn, &self[count..]))
    }

    #[inline(always)]
    fn skip(self, count: usize) -> Self {
        self.get(count..).unwrap_or_default()
    }

    #[inline(always)]
    fn jump(self, start: Self, distance: i32) -> Option<Self> {
        let pc = start.len() - self.len();
        start.get(pc.checked_add_signed(distance as isize)?..)
    }

    #[inline(always)]
    fn is_before(self, other: Self) -> bool {
        self.len() > other.len()
    }
}

/// Runs a program on a packet; returns the accepted length, 0 for a reject.
///
/// `packet` is what was captured, `wirelen` what the packet measured on the wire. Safe on any
/// instructions: an unknown code, a scratch word that does not exist, a jump out of the program,
/// a division by zero, a load beyond the packet and an endless loop (see [`LOOP_FUEL`]) all
/// return 0. Accumulator, index register and scratch memory start as 0.
pub fn interpret(insns: &[Insn], packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
    run(insns, packet, wirelen, aux)
}

/// What is the same for all instructions of a run, and the index register, which few of them use.
struct Run<'r, C> {
    start: C,
    /// The first place that is left to [`continue_from`].
    end: C,
    x: u32,
    wirelen: u32,
    aux: &'r Aux,
}

/// [`interpret`] from the start of a program on.
#[inline(always)]
pub fn run<'a, C: Cursor<'a>>(start: C, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
    let Some((insn, _)) = start.ahead(0) else { return 0 };
    let Some(operation) = Operations::<C>::ALL.get(usize::from(insn.code)) else { return 0 };
    let end = start.window(WINDOW);
    operation(start, 0, packet, &mut Run { start, end, x: 0, wirelen, aux })
}

/// Does the instruction at a place with this accumulator, and all that come after it.
type Operation<C> = fn(C, u32, &[u8], &mut Run<'_, C>) -> u32;

/// The operations by code.
struct Operations<C>(C);

impl<'a, C: Cursor<'a>> Operations<C> {
    const ALL: [Operation<C>; 256] = {
        let mut all: [Operation<C>; 256] = [other; 256];
        all[RET_K as usize] = ret_k;
        all[LD_W_ABS as usize] = ld_w_abs;
        all[LD_H_ABS as usize] = ld_h_abs;
        all[LD_B_ABS as usize] = ld_b_abs;
        all[LD_W_IND as usize] = ld_w_ind;
        all[LD_H_IND as usize] = ld_h_ind;
        all[LD_B_IND as usize] = ld_b_ind;
        all[LDX_MSH as usize] = ldx_msh;
        all[LDX_IMM as usize] = ldx_imm;
        all[AND_K as usize] = and_k;
        all[JEQ_K as usize] = jeq_k;
        all[JGT_K as usize] = jgt_k;
        all[JGE_K as usize] = jge_k;
        all[JSET_K as usize] = jset_k;
        all
    };
}

/// Goes on with the instruction so many further on.
///
/// `COPY` is another one for each place that a function has for this: each gets a jump of its own,
/// which the processor predicts by itself, and no function has to jump to its jump.
#[inline(always)]
fn go_on<'a, const COPY: u8, C: Cursor<'a>>(
    at: C,
    count: usize,
    a: u32,
    packet: &[u8],
    run: &mut Run<'_, C>,
) -> u32 {
    let Some((insn, at)) = at.ahead_of(run.end, count) else {
        return other(at.skip(count), a, packet, run);
    };
    let Some(operation) = Operations::<C>::ALL.get(usize::from(insn.code)) else {
        return other(at, a, packet, run);
    };
    keep_apart::<COPY>();
    operation(at, a, packet, run)
}

/// Nothing, but another nothing for each number, so that the compiler does not merge what follows.
#[inline(always)]
pub(super) fn keep_apart<const COPY: u8>() {
    if COPY > 0 {
        black_box(());
    }
    if COPY > 1 {
        black_box(());
    }
    if COPY > 2 {
        black_box(());
    }
}

/// Goes on behind a conditional jump.
///
/// With real branches, not conditional moves, for the test as well as for jumps by nothing: so the
/// processor predicts where the program goes. It need not wait for the packet's bytes, and for the
/// distance only where it is not 0 (a third of the time of a run).
#[inline(always)]
fn branch<'a, C: Cursor<'a>>(
    taken: bool,
    insn: &Insn,
    at: C,
    a: u32,
    packet: &[u8],
    run: &mut Run<'_, C>,
) -> u32 {
    match (taken, insn.jt, insn.jf) {
        (true, 0, _) => go_on::<0, C>(at, 1, a, packet, run),
        (true, jt, _) => go_on::<3, C>(at, 1 + usize::from(jt), a, packet, run),
        (false, _, 0) => go_on::<1, C>(at, 1, a, packet, run),
        (false, _, jf) => go_on::<2, C>(at, 1 + usize::from(jf), a, packet, run),
    }
}

/// Goes on behind an instruction that has set the accumulator, mostly with a test for equality.
#[inline(always)]
fn loaded<'a, C: Cursor<'a>>(at: C, a: u32, packet: &[u8], run: &mut Run<'_, C>) -> u32 {
    match at.ahead(1) {
        Some((insn, next)) if insn.code == JEQ_K => equal(next, a, packet, run),
        _ => go_on::<1, C>(at, 1, a, packet, run),
    }
}

/// Does tests for equality that follow on each other.
#[inline(always)]
fn equal<'a, C: Cursor<'a>>(mut at: C, a: u32, packet: &[u8], run: &mut Run<'_, C>) -> u32 {
    loop {
        let Some((insn, _)) = at.ahead(0) else { return other(at, a, packet, run) };
        if a == insn.k || insn.jf != 0 {
            return branch(a == insn.k, insn, at, a, packet, run);
        }
        let Some((next, place)) = at.ahead(1) else { return other(at, a, packet, run) };
        at = place;
        if next.code != JEQ_K {
            return go_on::<1, C>(at, 0, a, packet, run);
        }
    }
}

/// Functions that do one instruction and go on.
macro_rules! operations {
    ($($name:ident($insn:ident, $at:ident, $a:ident, $packet:ident, $run:ident) $body:expr)*) => {
        $(fn $name<'a, C: Cursor<'a>>(
            $at: C,
            $a: u32,
            $packet: &[u8],
            $run: &mut Run<'_, C>,
        ) -> u32 {
            let Some(($insn, _)) = $at.ahead(0) else { return other($at, $a, $packet, $run) };
            $body
        })*
    };
}

/// The value, or the end with what the slow part makes of it.
macro_rules! or_other {
    ($value:expr, $at:ident, $a:ident, $packet:ident, $run:ident) => {
        match $value {
            Some(value) => value,
            None => return other($at, $a, $packet, $run),
        }
    };
}

operations! {
    ret_k(insn, _at, _a, _packet, _run) insn.k
    ld_w_abs(insn, at, a, packet, run) {
        loaded(at, or_other!(word(packet, insn.k as usize), at, a, packet, run), packet, run)
    }
    ld_h_abs(insn, at, a, packet, run) {
        loaded(at, or_other!(half(packet, insn.k as usize), at, a, packet, run), packet, run)
    }
    ld_b_abs(insn, at, a, packet, run) {
        loaded(at, or_other!(byte(packet, insn.k as usize), at, a, packet, run), packet, run)
    }
    ld_w_ind(insn, at, a, packet, run) {
        let offset = or_other!(indexed(run.x, insn.k), at, a, packet, run);
        loaded(at, or_other!(word(packet, offset), at, a, packet, run), packet, run)
    }
    ld_h_ind(insn, at, a, packet, run) {
        let offset = or_other!(indexed(run.x, insn.k), at, a, packet, run);
        loaded(at, or_other!(half(packet, offset), at, a, packet, run), packet, run)
    }
    ld_b_ind(insn, at, a, packet, run) {
        let offset = or_other!(indexed(run.x, insn.k), at, a, packet, run);
        loaded(at, or_other!(byte(packet, offset), at, a, packet, run), packet, run)
    }
    ldx_msh(insn, at, a, packet, run) {
        run.x = header_len(or_other!(byte(packet, insn.k as usize), at, a, packet, run));
        go_on::<0, C>(at, 1, a, packet, run)
    }
    ldx_imm(insn, at, a, packet, run) {
        run.x = insn.k;
        go_on::<0, C>(at, 1, a, packet, run)
    }
    and_k(insn, at, a, packet, run) loaded(at, a & insn.k, packet, run)
    jeq_k(_insn, at, a, packet, run) equal(at, a, packet, run)
    jgt_k(insn, at, a, packet, run) branch(a > insn.k, insn, at, a, packet, run)
    jge_k(insn, at, a, packet, run) branch(a >= insn.k, insn, at, a, packet, run)
    jset_k(insn, at, a, packet, run) branch(a & insn.k != 0, insn, at, a, packet, run)
}

/// Does an instruction that has no function of its own, or whose function cannot.
#[cold]
#[inline(never)]
fn other<'a, C: Cursor<'a>>(at: C, a: u32, packet: &[u8], run: &mut Run<'_, C>) -> u32 {
    continue_from(run.start, at, (a, run.x), packet, run.wirelen, run.aux)
}

/// Runs the program at `start` on from a place that is reached with scratch memory unwritten.
#[cold]
#[inline(never)]
pub(super) fn continue_from<'a, C: Cursor<'a>>(
    start: C,
    at: C,
    registers: (u32, u32),
    packet: &[u8],
    wirelen: u32,
    aux: &Aux,
) -> u32 {
    execute(start, at, registers, packet, wirelen, aux).unwrap_or(0)
}

/// `None` is a reject by fault.
#[inline(always)]
fn execute<'a, C: Cursor<'a>>(
    start: C,
    mut at: C,
    (mut a, mut x): (u32, u32),
    packet: &[u8],
    wirelen: u32,
    aux: &Aux,
) -> Option<u32> {
    let mut scratch = [0u32; op::MEMWORDS];
    let mut fuel = LOOP_FUEL;
    loop {
        let insn = at.ahead(0)?.0;
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
                at = at.jump(start, k as i32)?;
            }
            JEQ_K => {
                at = branch(a == k);
                while let Some((Insn { code: JEQ_K, jt, jf, k }, _)) = at.ahead(0) {
                    at = at.skip(1 + choose(a == *k, *jt, *jf));
                }
            }
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

/// Instructions to skip: with a real branch, as in [`branch`].
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
