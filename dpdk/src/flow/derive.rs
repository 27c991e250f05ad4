//! From a classic program to patterns of which every accepted packet matches one.
//!
//! The program is executed with symbols for the packet's bytes: forward, to know what each
//! comparison compares, then backward, to know for each instruction what the packets look like that
//! are accepted from there. What is not understood puts no condition on a packet.

use super::pattern::{Pattern, Place};
use oxpcap_plugin::CbpfInsn;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Longer programs are not looked at.
const MOST_INSNS: usize = 1 << 14;
/// Instructions times what their registers may hold.
const MOST_STATES: usize = 1 << 16;
/// Patterns that are told apart; as many as rules are worth trying.
pub const MOST_PATTERNS: usize = 64;

/// What a register holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Symbol {
    #[default]
    Unknown,
    Const(u32),
    /// `(field & mask) >> shift` of a big-endian field of `size` bytes.
    Field {
        place: Place,
        size: u32,
        mask: u32,
        shift: u32,
    },
    /// `add` more than the length of the IPv4 header at `header`.
    HeaderLength {
        header: u32,
        add: u32,
    },
}

use Symbol::{Const, Field, HeaderLength, Unknown};

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Registers {
    a: Symbol,
    x: Symbol,
    memory: [Symbol; 16],
}

/// Where an edge goes, and what a packet looks like that goes there.
type Edge = (usize, Pattern);

/// An instruction with what its registers hold.
enum State {
    Verdict { accepts: bool },
    Goes(Vec<Edge>),
}

/// Patterns of which every packet that `program` accepts matches at least one; none if it accepts
/// nothing. `None` where nothing can be said.
pub fn patterns(program: &[CbpfInsn]) -> Option<Vec<Pattern>> {
    if program.len() > MOST_INSNS {
        return None;
    }
    let states = explore(program)?;
    let mut accepted: Vec<Rc<Vec<Pattern>>> = vec![Rc::default(); states.len()];
    let mut order: Vec<usize> = (0..states.len()).collect();
    // Jumps go forward: what an instruction leads to is known before it.
    order.sort_by_key(|&state| std::cmp::Reverse(states[state].0));
    for state in order {
        accepted[state] = match &states[state].1 {
            State::Verdict { accepts: true } => Rc::new(vec![Pattern::default()]),
            State::Verdict { accepts: false } => Rc::default(),
            State::Goes(edges) => through(edges, &accepted),
        };
    }
    accepted.first().map(|patterns| patterns.to_vec())
}

/// What is accepted over any of `edges`.
fn through(edges: &[Edge], accepted: &[Rc<Vec<Pattern>>]) -> Rc<Vec<Pattern>> {
    let live: Vec<&Edge> = edges.iter().filter(|(to, _)| !accepted[*to].is_empty()).collect();
    if let [(to, condition)] = live[..]
        && condition.is_any()
    {
        return accepted[*to].clone();
    }
    let mut all: Vec<Pattern> = Vec::new();
    for (to, condition) in live {
        all.extend(accepted[*to].iter().filter_map(|pattern| pattern.and(condition)));
    }
    Rc::new(limited(all))
}

/// Fewer details until there are few enough.
fn limited(mut patterns: Vec<Pattern>) -> Vec<Pattern> {
    let coarser: [fn(Place) -> bool; 3] = [
        |place| matches!(place, Place::Packet(_)),
        // The Ethernet header and one tag.
        |place| place < Place::Packet(18),
        |_| false,
    ];
    let mut next = coarser.iter();
    loop {
        patterns.sort();
        patterns.dedup();
        if patterns.first().is_some_and(Pattern::is_any) {
            patterns.truncate(1);
        }
        if patterns.len() <= MOST_PATTERNS {
            return patterns;
        }
        let Some(keep) = next.next() else { return patterns };
        patterns.iter_mut().for_each(|pattern| *pattern = pattern.only(keep));
    }
}

/// What has been reached so far.
struct Reached {
    states: Vec<(usize, State)>,
    /// By instruction: what its registers may hold, and the state that is.
    at: Vec<BTreeMap<Registers, usize>>,
}

impl Reached {
    /// The state at instruction `index`; `None` past the end, or where there are too many.
    fn enter(&mut self, index: usize, registers: Registers) -> Option<usize> {
        let state = *self.at.get_mut(index)?.entry(registers).or_insert(self.states.len());
        if state == self.states.len() {
            self.states.push((index, State::Goes(Vec::new())));
        }
        (self.states.len() <= MOST_STATES).then_some(state)
    }
}

/// All states that can be reached, each with its instruction; the first is the program's start.
fn explore(program: &[CbpfInsn]) -> Option<Vec<(usize, State)>> {
    let mut reached = Reached { states: Vec::new(), at: vec![BTreeMap::new(); program.len()] };
    reached.enter(0, Registers::default())?;
    for (index, insn) in program.iter().enumerate() {
        for (mut registers, state) in std::mem::take(&mut reached.at[index]) {
            reached.states[state].1 = match step(insn, &mut registers)? {
                Step::Verdict(accepts) => State::Verdict { accepts },
                Step::Next => {
                    let next = reached.enter(index + 1, registers)?;
                    State::Goes(vec![(next, Pattern::default())])
                }
                Step::Jump(ways) => {
                    let mut edges = Vec::new();
                    for (distance, condition) in ways {
                        let target = (index + 1).checked_add(distance as usize)?;
                        edges.push((reached.enter(target, registers)?, condition));
                    }
                    State::Goes(edges)
                }
            };
        }
    }
    Some(reached.states)
}

enum Step {
    Verdict(bool),
    Next,
    Jump(Vec<(u32, Pattern)>),
}

/// `None` for an instruction that is not classic BPF's, or jumps backward.
fn step(insn: &CbpfInsn, registers: &mut Registers) -> Option<Step> {
    let Registers { a, x, .. } = *registers;
    let operand = if insn.code & 0x08 != 0 { x } else { Const(insn.k) };
    match insn.code & 0x07 {
        // ld, ldx
        0x00 => registers.a = load(insn, registers),
        0x01 => registers.x = load_index(insn, registers),
        // st, stx
        0x02 => *registers.memory.get_mut(insn.k as usize)? = a,
        0x03 => *registers.memory.get_mut(insn.k as usize)? = x,
        0x04 => registers.a = arithmetic(insn.code & 0xf0, a, operand),
        0x05 => return jump(insn, a, operand).map(Step::Jump),
        // ret k, ret a
        0x06 if insn.code & 0x18 == 0 => return Some(Step::Verdict(insn.k != 0)),
        0x06 => return Some(Step::Verdict(a != Const(0))),
        // tax, txa
        _ if insn.code & 0xf8 == 0 => registers.x = a,
        _ => registers.a = x,
    }
    Some(Step::Next)
}

fn size_of_load(code: u16) -> u32 {
    match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        _ => 1,
    }
}

fn load(insn: &CbpfInsn, registers: &Registers) -> Symbol {
    let size = size_of_load(insn.code);
    let place = match (insn.code & 0xe0, registers.x) {
        (0x00, _) => return Const(insn.k),
        (0x60, _) => return registers.memory.get(insn.k as usize).copied().unwrap_or_default(),
        (0x20, _) => (insn.k < OFFSETS_FROM).then_some(Place::Packet(insn.k)),
        (0x40, Const(x)) => {
            x.checked_add(insn.k).filter(|&at| at < OFFSETS_FROM).map(Place::Packet)
        }
        (0x40, HeaderLength { header, add }) => add
            .checked_add(insn.k)
            .and_then(|at| at.checked_sub(header))
            .filter(|&offset| offset < OFFSETS_FROM)
            .map(|offset| Place::AfterIpv4 { header, offset }),
        _ => None,
    };
    let mask = u32::MAX >> (32 - 8 * size);
    place.map_or(Unknown, |place| Field { place, size, mask, shift: 0 })
}

/// Offsets from here on are not in a packet (Linux' extensions are).
const OFFSETS_FROM: u32 = 1 << 20;

fn load_index(insn: &CbpfInsn, registers: &Registers) -> Symbol {
    match insn.code & 0xe0 {
        0x00 => Const(insn.k),
        0x60 => registers.memory.get(insn.k as usize).copied().unwrap_or_default(),
        0xa0 if insn.k < OFFSETS_FROM => HeaderLength { header: insn.k, add: 0 },
        _ => Unknown,
    }
}

fn arithmetic(operation: u16, a: Symbol, operand: Symbol) -> Symbol {
    match (operation, a, operand) {
        (0x00, Const(a), Const(b)) => Const(a.wrapping_add(b)),
        (0x00, HeaderLength { header, add }, Const(k))
        | (0x00, Const(k), HeaderLength { header, add }) => {
            add.checked_add(k).map_or(Unknown, |add| HeaderLength { header, add })
        }
        (0x50, Const(a), Const(b)) => Const(a & b),
        (0x50, Field { place, size, mask, shift }, Const(k)) => {
            Field { place, size, mask: mask & ((u64::from(k) << shift) as u32), shift }
        }
        (0x60, Const(a), Const(b)) => Const(a.checked_shl(b).unwrap_or(0)),
        // 4 * (ip[0] & 15), written out.
        (0x60, Field { place: Place::Packet(header), size: 1, mask: 0x0f, shift: 0 }, Const(2)) => {
            HeaderLength { header, add: 0 }
        }
        (0x70, Const(a), Const(b)) => Const(a.checked_shr(b).unwrap_or(0)),
        (0x70, Field { place, size, mask, shift }, Const(k)) if shift + k.min(32) < 32 => {
            let shift = shift + k;
            Field { place, size, mask: mask >> shift << shift, shift }
        }
        _ => Unknown,
    }
}

/// The ways a jump may go, those that no packet can go left out.
fn jump(insn: &CbpfInsn, a: Symbol, operand: Symbol) -> Option<Vec<(u32, Pattern)>> {
    let operation = insn.code & 0xf0;
    let distances = [u32::from(insn.jt), u32::from(insn.jf)];
    if operation == 0 {
        // An unsigned distance; beyond the end is backward.
        return Some(vec![(insn.k, Pattern::default())]);
    }
    let [yes, no] = match (a, operand) {
        (Const(a), Const(b)) => {
            let holds = match operation {
                0x10 => a == b,
                0x20 => a > b,
                0x30 => a >= b,
                0x40 => a & b != 0,
                _ => return None,
            };
            [holds.then(Pattern::default), (!holds).then(Pattern::default)]
        }
        (Field { place, size, mask, shift }, Const(k)) => {
            let condition = |mask, value| Pattern::field(place, size, mask, value);
            compare(operation, mask, shift, k)?
                .map(|way| way.map(|(mask, value)| condition(mask, value)))
        }
        _ => [Some(Pattern::default()), Some(Pattern::default())],
    };
    let ways = distances.into_iter().zip([yes, no]);
    Some(ways.filter_map(|(distance, way)| Some((distance, way?))).collect())
}

/// Mask and value of the field when `(field & mask) >> shift` compares with `k` as it is to, and
/// when not; no way where it never does.
fn compare(operation: u16, mask: u32, shift: u32, k: u32) -> Option<[Option<(u32, u32)>; 2]> {
    let anything = Some((0, 0));
    // The value in the field's own place, if it fits there.
    let placed = u32::try_from(u64::from(k) << shift).ok().filter(|value| value & !mask == 0);
    let one_bit = mask.is_power_of_two();
    Some(match operation {
        0x10 => match placed {
            None => [None, anything],
            Some(value) if mask == 0 => [Some((0, value)), None],
            Some(value) if one_bit => [Some((mask, value)), Some((mask, mask ^ value))],
            Some(value) => [Some((mask, value)), anything],
        },
        0x20 => [(mask >> shift > k).then_some((0, 0)), at_most(mask, shift, k)],
        0x30 if k == 0 => [anything, None],
        0x30 => [(mask >> shift >= k).then_some((0, 0)), at_most(mask, shift, k - 1)],
        0x40 => {
            let tested = (u64::from(k) << shift) as u32 & mask;
            match tested {
                0 => [None, anything],
                bit if bit.is_power_of_two() => [Some((bit, bit)), Some((bit, 0))],
                bits => [anything, Some((bits, 0))],
            }
        }
        _ => return None,
    })
}

/// Bits above the highest of `limit` are 0.
fn at_most(mask: u32, shift: u32, limit: u32) -> Option<(u32, u32)> {
    let above = u64::MAX.checked_shl(32 - limit.leading_zeros() + shift).unwrap_or(0) as u32;
    Some((mask & above, 0))
}
