//! A program on many packets at once, without jumps: which lanes reach an instruction is a mask.
//!
//! All ways through the program are gone, and each value is computed for all lanes; so there is
//! nothing to mispredict, and an instruction of the processor does what one of the program says
//! for as many packets as it has lanes. Where a load would leave the packet, the lane is masked
//! out and loads from the packet's start.

mod equality;
mod nodes;
mod sieve;
mod windows;

pub(super) use nodes::{Binary, Id, Node};
pub(super) use sieve::{Sieve, Staged};
pub(super) use windows::Window;

use super::super::analysis::{bytes_needed, size, targets};
use super::super::{Insn, aux, has_backward_jump, op};
use nodes::Nodes;
use std::collections::HashMap;
use windows::{LONG, USUAL, Windows};

/// Longest program: in longer ones a packet takes a small part of the ways.
const MAX_LEN: usize = 160;

/// Most nodes, and most loads at offsets that differ by lane.
const MAX_NODES: usize = 1000;
const MAX_GATHERS: usize = 12;

/// Operations behind an exit that make it worth its test.
const EXIT_PAYS: usize = 6;

/// Bytes of an IPv4 header without options.
const USUAL_HEADER: u32 = 20;

/// No offset from here on is computed, so that sums do not overflow.
const FAR: u32 = 1 << 30;

/// A program for lanes.
#[derive(Debug)]
pub(super) struct Plan {
    /// Operands come before what uses them.
    pub nodes: Vec<Node>,
    /// Which nodes the verdict depends on.
    pub live: Vec<bool>,
    /// The lanes that accept.
    pub accept: Id,
    /// Lanes with IPv4 options, or that end within the fields that one load fetches: if there are
    /// any, nothing of this holds.
    pub odd: Id,
    /// Loaded whole; columns refer to them.
    pub windows: Vec<Window>,
    /// Bytes that all packets must have, at least 4.
    pub min_len: u32,
}

impl Plan {
    /// For a strictly valid program; `None` where running it packet by packet is better, or it has
    /// loops, divisions, or loads that cannot be masked.
    fn new(insns: &[Insn]) -> Option<Self> {
        if insns.len() > MAX_LEN || has_backward_jump(insns) {
            return None;
        }
        Builder::new(insns, Windows::new(usual_fields(insns), USUAL)).run(None)
    }

    /// What is left to do for packets that all come to an instruction with an exit before it, and
    /// are long enough for what ordinary packets have.
    fn behind(insns: &[Insn], exit: usize) -> Option<Self> {
        Builder::new(insns, Windows::new(usual_fields(&insns[exit..]), LONG)).run(Some(exit))
    }

    /// Leaves out what the verdict does not depend on.
    fn prune(mut self) -> Option<Self> {
        let nodes = &self.nodes;
        let mut live = vec![false; nodes.len()];
        (live[self.accept as usize], live[self.odd as usize]) = (true, true);
        let mut work_left = 0;
        for (id, node) in nodes.iter().enumerate().rev() {
            live[id] |= matches!(node, Node::Exit { .. }) && work_left >= EXIT_PAYS;
            if live[id] {
                work_left += if matches!(node, Node::Gather { .. }) { EXIT_PAYS } else { 1 };
                node.operands().into_iter().flatten().for_each(|id| live[id as usize] = true);
            }
        }
        self.windows = Windows::wanted(&self.windows, nodes, &live);
        let count = |wanted: fn(&Node) -> bool| {
            nodes.iter().zip(&live).filter(|(node, is_live)| **is_live && wanted(node)).count()
        };
        let is_fit = count(|_| true) <= MAX_NODES
            && count(|node| matches!(node, Node::Gather { .. })) <= MAX_GATHERS
            && !matches!(nodes[self.accept as usize], Node::Const(_));
        self.live = live;
        is_fit.then_some(self)
    }
}

/// What the registers hold.
#[derive(Clone, Copy)]
struct State {
    a: Id,
    x: Id,
    scratch: [Id; op::MEMWORDS],
}

struct Builder<'a> {
    insns: &'a [Insn],
    nodes: Nodes,
    windows: Windows,
    /// Before each instruction: which lanes come there, and with what.
    entries: Vec<Option<(Id, State)>>,
    accept: Id,
    odd: Id,
    /// Dwords that were loaded, by address: the node, and the lanes that have it.
    gathers: HashMap<Id, (Id, Id)>,
    /// The last exit's lanes.
    exit: Id,
}

/// Where control goes.
enum Flow {
    Next,
    /// Nowhere: rejected.
    Reject,
}

impl<'a> Builder<'a> {
    fn new(insns: &'a [Insn], windows: Windows) -> Self {
        let mut nodes = Nodes::default();
        let (none, all) = (nodes.constant(0), nodes.constant(u32::MAX));
        let mut entries = vec![None; insns.len()];
        let state = State { a: none, x: none, scratch: [none; op::MEMWORDS] };
        if let Some(first) = entries.first_mut() {
            *first = Some((all, state));
        }
        let (accept, odd, exit, gathers) = (none, none, all, HashMap::new());
        Self { insns, nodes, windows, entries, accept, odd, gathers, exit }
    }

    /// Follows all ways; those of packets that come to `behind`, if there is such a place.
    fn run(mut self, behind: Option<usize>) -> Option<Plan> {
        for (index, insn) in self.insns.iter().enumerate() {
            if let Some((mut reach, state)) = self.entries[index].take() {
                if behind == Some(index) {
                    reach = self.nodes.constant(u32::MAX);
                    self.odd = self.nodes.constant(0);
                }
                self.consider_exit(index, reach);
                self.step(index, insn, reach, state)?;
            }
        }
        self.finish()
    }

    /// Before a load on which all lanes wait that are left, asks whether there are any.
    fn consider_exit(&mut self, index: usize, reach: Id) {
        let insn = &self.insns[index];
        let is_load = bytes_needed(insn).is_some()
            || (op::class(insn.code) == op::LD && op::mode(insn.code) == op::IND);
        let is_alone = self.entries[index..].iter().all(Option::is_none);
        let is_certain = self.nodes.get(self.odd) == Node::Const(0);
        if is_load && is_alone && is_certain && self.exit != reach {
            self.exit = reach;
            let index = index as u32;
            self.nodes.add(Node::Exit { left: reach, accept: self.accept, index });
        }
    }

    fn step(&mut self, index: usize, insn: &Insn, mut reach: Id, mut state: State) -> Option<()> {
        let code = insn.code;
        let flow = match op::class(code) {
            op::LD | op::LDX => self.load(insn, &mut reach, &mut state)?,
            op::ST => {
                *state.scratch.get_mut(insn.k as usize)? = state.a;
                Flow::Next
            }
            op::STX => {
                *state.scratch.get_mut(insn.k as usize)? = state.x;
                Flow::Next
            }
            op::ALU => {
                state.a = self.arithmetic(insn, &state)?;
                Flow::Next
            }
            op::JMP => {
                self.jump(index, insn, reach, state);
                return Some(());
            }
            op::RET => {
                self.ret(insn, reach, &state);
                return Some(());
            }
            _ if code == op::MISC | op::TAX => {
                state.x = state.a;
                Flow::Next
            }
            _ => {
                state.a = state.x;
                Flow::Next
            }
        };
        if let Flow::Next = flow {
            self.enter(index + 1, reach, state);
        }
        Some(())
    }

    /// Lanes of `reach` come to an instruction.
    fn enter(&mut self, index: usize, reach: Id, state: State) {
        if self.insns[index] == Insn::stmt(op::RET | op::K, 0) {
            return;
        }
        let merged = match self.entries[index] {
            None => (reach, state),
            Some((others, mut merged)) => {
                let nodes = &mut self.nodes;
                merged.a = nodes.select(reach, state.a, merged.a);
                merged.x = nodes.select(reach, state.x, merged.x);
                for (merged, word) in merged.scratch.iter_mut().zip(state.scratch) {
                    *merged = nodes.select(reach, word, *merged);
                }
                (nodes.binary(Binary::Or, others, reach), merged)
            }
        };
        self.entries[index] = Some(merged);
    }

    fn load(&mut self, insn: &Insn, reach: &mut Id, state: &mut State) -> Option<Flow> {
        let Insn { code, k, .. } = *insn;
        let is_index = op::class(code) == op::LDX;
        let value = match op::mode(code) {
            op::IMM => self.nodes.constant(k),
            op::LEN => self.nodes.add(Node::Len),
            op::MEM => *state.scratch.get(k as usize)?,
            op::IND => self.load_indexed(insn, state.x, reach)?,
            _ if !is_index && aux::slot(k).is_some() => return Some(Flow::Reject),
            _ => match self.load_at(k, size(code), reach)? {
                Some(value) => value,
                None => return Some(Flow::Reject),
            },
        };
        if !is_index {
            state.a = value;
        } else if op::mode(code) == op::MSH {
            state.x = self.usual_header(value, *reach);
        } else {
            state.x = value;
        }
        Some(Flow::Next)
    }

    /// Takes the length of an IPv4 header for that of one without options, so that what is behind
    /// it has a constant offset.
    fn usual_header(&mut self, first_byte: Id, reach: Id) -> Id {
        let nodes = &mut self.nodes;
        let (mask, words) = (nodes.constant(0x0f), nodes.constant(USUAL_HEADER / 4));
        let length = nodes.binary(Binary::And, first_byte, mask);
        let is_usual = nodes.binary(Binary::Equal, length, words);
        let odd = nodes.binary(Binary::AndNot, reach, is_usual);
        self.odd = nodes.binary(Binary::Or, odd, self.odd);
        nodes.constant(USUAL_HEADER)
    }

    /// The number at a constant offset; `Some(None)` where no packet is so long.
    fn load_at(&mut self, offset: u32, size: u32, reach: &mut Id) -> Option<Option<Id>> {
        let Some(end) = offset.checked_add(size) else { return Some(None) };
        if end > FAR {
            return None;
        }
        if let Some((column, at)) = self.windows.find(offset, size) {
            return Some(Some(self.field(column, at, size as u8)));
        }
        let zero = self.nodes.constant(0);
        Some(self.gather(zero, op::ABS, (offset, size), reach))
    }

    /// A field that begins in a column.
    fn field(&mut self, column: u32, at: u8, size: u8) -> Id {
        let nodes = &mut self.nodes;
        let bytes = nodes.add(Node::Column(column));
        let here = size.min(4 - at);
        let first = nodes.add(Node::Field { bytes, at, size: here });
        if here == size {
            return first;
        }
        let (bytes, size) = (nodes.add(Node::Column(column + 4)), size - here);
        let last = nodes.add(Node::Field { bytes, at: 0, size });
        let first = nodes.shift_left(first, 8 * u32::from(size));
        nodes.binary(Binary::Or, first, last)
    }

    fn load_indexed(&mut self, insn: &Insn, x: Id, reach: &mut Id) -> Option<Id> {
        let size = size(insn.code);
        if let Node::Const(x) = self.nodes.get(x) {
            return self.load_at(x.checked_add(insn.k)?, size, reach)?;
        }
        let end = insn.k.checked_add(size)?;
        if self.nodes.max(x).checked_add(end)? > FAR {
            return None;
        }
        self.gather(x, op::IND, (insn.k, size), reach)
    }

    /// A load, at `x` and an offset, that only some packets are long enough for. It loads four
    /// bytes, with the next fields where they are among them.
    fn gather(&mut self, x: Id, mode: u16, (k, size): (u32, u32), reach: &mut Id) -> Option<Id> {
        let end = self.common_end(mode, k, k + size);
        let start = match mode {
            op::ABS => end.saturating_sub(4),
            _ => end.checked_sub(4)?,
        };
        let is_inside = self.is_longer(x, k + size - 1);
        *reach = self.nodes.binary(Binary::And, *reach, is_inside);
        let has_all = self.is_longer(x, end - 1);
        let odd = self.nodes.binary(Binary::AndNot, *reach, has_all);
        if has_all != is_inside {
            self.odd = self.nodes.binary(Binary::Or, odd, self.odd);
        }
        let start_of_all = self.nodes.constant(start);
        let address = self.nodes.binary(Binary::Add, x, start_of_all);
        let address = self.nodes.binary(Binary::And, address, has_all);
        let bytes = match self.gathers.get(&address) {
            Some(&(bytes, lanes)) if self.nodes.implies(*reach, lanes) => bytes,
            _ => {
                let bytes = self.nodes.add(Node::Gather { address, wanted: *reach });
                self.gathers.insert(address, (bytes, *reach));
                bytes
            }
        };
        Some(self.nodes.add(Node::Field { bytes, at: (k - start) as u8, size: size as u8 }))
    }

    /// Where the last field ends that begins at `k` or behind and lies within four bytes.
    fn common_end(&self, mode: u16, k: u32, end: u32) -> u32 {
        let ends = self.insns.iter().filter_map(|insn| {
            let (offset, size) = match mode {
                op::ABS => usual_field(insn)?,
                _ if op::mode(insn.code) == op::IND => (insn.k, size(insn.code)),
                _ => return None,
            };
            let end = offset.checked_add(size)?;
            (offset >= k && end <= k + 4).then_some(end)
        });
        ends.max().unwrap_or(end).max(end)
    }

    /// The packets that have the byte at `x + k`.
    fn is_longer(&mut self, x: Id, k: u32) -> Id {
        if self.nodes.get(x) == Node::Const(0) && k < self.windows.min_len {
            return self.nodes.constant(u32::MAX);
        }
        let (len, k) = (self.nodes.add(Node::Len), self.nodes.constant(k));
        let last = self.nodes.binary(Binary::Add, x, k);
        self.nodes.binary(Binary::Greater, len, last)
    }

    fn arithmetic(&mut self, insn: &Insn, state: &State) -> Option<Id> {
        let Insn { code, k, .. } = *insn;
        let (a, by_x) = (state.a, op::src(code) == op::X);
        let nodes = &mut self.nodes;
        let operation = match op::operation(code) {
            op::NEG => {
                let zero = nodes.constant(0);
                return Some(nodes.binary(Binary::Sub, zero, a));
            }
            op::LSH if !by_x => return Some(nodes.shift_left(a, k)),
            op::RSH if !by_x => return Some(nodes.shift_right(a, k)),
            op::DIV if !by_x && k.is_power_of_two() => {
                return Some(nodes.shift_right(a, k.trailing_zeros()));
            }
            op::MOD if !by_x && k.is_power_of_two() => {
                let mask = nodes.constant(k - 1);
                return Some(nodes.binary(Binary::And, a, mask));
            }
            op::DIV | op::MOD => return None,
            op::ADD => Binary::Add,
            op::SUB => Binary::Sub,
            op::MUL => Binary::Mul,
            op::AND => Binary::And,
            op::OR => Binary::Or,
            op::XOR => Binary::Xor,
            op::LSH => Binary::Shl,
            _ => Binary::Shr,
        };
        let b = if by_x { state.x } else { nodes.constant(k) };
        Some(nodes.binary(operation, a, b))
    }

    fn jump(&mut self, index: usize, insn: &Insn, reach: Id, state: State) {
        match targets(insn, index) {
            [Some(taken), Some(not_taken)] if taken != not_taken => {
                let (condition, holds) = self.condition(insn, &state);
                let edges = if holds { [taken, not_taken] } else { [not_taken, taken] };
                for (operation, target) in [Binary::And, Binary::AndNot].into_iter().zip(edges) {
                    let lanes = self.nodes.binary(operation, reach, condition);
                    self.enter(target, lanes, state);
                }
            }
            [Some(target), _] => self.enter(target, reach, state),
            _ => (),
        }
    }

    /// The lanes in which a jump's condition holds, or with `false`, does not hold.
    fn condition(&mut self, insn: &Insn, state: &State) -> (Id, bool) {
        let by_x = op::src(insn.code) == op::X;
        let (a, nodes) = (state.a, &mut self.nodes);
        let b = if by_x { state.x } else { nodes.constant(insn.k) };
        let are_small = nodes.max(a).max(nodes.max(b)) <= i32::MAX as u32;
        match op::operation(insn.code) {
            op::JEQ => (nodes.binary(Binary::Equal, a, b), true),
            op::JGT if are_small => (nodes.binary(Binary::Greater, a, b), true),
            op::JGT => (nodes.binary(Binary::AtLeast, b, a), false),
            op::JGE if are_small => (nodes.binary(Binary::Greater, b, a), false),
            op::JGE => (nodes.binary(Binary::AtLeast, a, b), true),
            _ => {
                let (common, zero) = (nodes.binary(Binary::And, a, b), nodes.constant(0));
                (nodes.binary(Binary::Equal, common, zero), false)
            }
        }
    }

    fn ret(&mut self, insn: &Insn, reach: Id, state: &State) {
        let nodes = &mut self.nodes;
        let accepted = if insn.code == op::RET | op::A {
            let zero = nodes.constant(0);
            let rejected = nodes.binary(Binary::Equal, state.a, zero);
            nodes.binary(Binary::AndNot, reach, rejected)
        } else if insn.k != 0 {
            reach
        } else {
            return;
        };
        self.accept = nodes.binary(Binary::Or, self.accept, accepted);
    }

    fn finish(self) -> Option<Plan> {
        let Self { nodes, windows: Windows { windows, min_len }, accept, odd, .. } = self;
        let nodes = nodes.into_vec();
        let live = vec![true; nodes.len()];
        Plan { nodes, live, accept, odd, windows, min_len }.prune()
    }
}

fn usual_fields(insns: &[Insn]) -> Vec<(u32, u32)> {
    insns.iter().filter_map(usual_field).collect()
}

/// Offset and size of what an instruction loads, behind an IPv4 header without options.
fn usual_field(insn: &Insn) -> Option<(u32, u32)> {
    let is_indexed = op::class(insn.code) == op::LD && op::mode(insn.code) == op::IND;
    let offset = match is_indexed {
        true => insn.k.checked_add(USUAL_HEADER)?,
        false => bytes_needed(insn).map(|_| insn.k)?,
    };
    Some((offset, size(insn.code)))
}
