//! Eight packets at once with AVX2.
//!
//! | register  | holds                                              |
//! |-----------|----------------------------------------------------|
//! | rbx, rbp  | where the burst's addresses and lengths are        |
//! | r12d      | packets in the burst, 8 to 64                      |
//! | r13d      | the group's first packet                           |
//! | r14       | bits of the packets accepted                       |
//! | r15       | the caller's stack pointer                         |
//! | [`POINTERS`] | addresses of the group's packets                |
//! | r11       | free                                               |
//!
//! Bursts of fewer than eight packets are left to the code for single packets, and so are groups
//! with a packet that is shorter than the windows, or NULL. The last group may overlap the one
//! before.
//!
//! What comes first in a burst is the check of all packets, then the sieve, if the program has one.
//! Constants are kept in the registers that values do not need, from the last one down.
//!
//! Single loads make up a column: on processors with the mitigation for Gather Data Sampling, the
//! instructions for that take three times as long.
// `dynasm!` converts register numbers.
#![allow(clippy::useless_conversion)]

use super::keep_together;
use super::registers::{Registers, Source};
use crate::bpf::jit::lanes::{Binary, Id, Node, Plan, Staged};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// rax, rcx, rdx, rsi, rdi, r8, r9, r10
const POINTERS: [u8; 8] = [0, 1, 2, 6, 7, 8, 9, 10];

/// On the stack: offsets of a gather, spilled registers; for the sieve, which packets are left,
/// how many there were, how long the shortest is, by lane, and those left, packed.
const SHORTEST: i32 = 32 + 32 * super::registers::SLOTS as i32;
const SURVIVORS: i32 = SHORTEST + 32;
const TOTAL: i32 = SURVIVORS + 8;
const PACKED_PACKETS: i32 = SURVIVORS + 32;
const PACKED_LENS: i32 = PACKED_PACKETS + 8 * sieve::MOST;
const FRAME: i32 = PACKED_LENS + 4 * sieve::MOST;

/// One vector instruction with its last operand in a register or in memory.
macro_rules! vector {
    ($lanes:expr, $name:tt, $to:expr, $a:expr, $b:expr) => {{
        let (ops, to, a) = (&mut *$lanes.ops, $to, $a);
        match $b {
            Source::Register(b) => dynasm!(ops ; .arch x64 ; $name Ry(to), Ry(a), Ry(b)),
            Source::Slot(at) => dynasm!(ops ; .arch x64 ; $name Ry(to), Ry(a), [rsp + at]),
            Source::Pool(label) => dynasm!(ops ; .arch x64 ; $name Ry(to), Ry(a), [=>label]),
            Source::Lens => dynasm!(ops ; .arch x64 ; $name Ry(to), Ry(a), [rbp + r13 * 4]),
        }
    }};
}

mod frame;
mod loads;
mod sieve;
mod values;

use frame::Labels;
use loads::Gather;

/// A register's content: for each lane or byte.
type Constant = [u8; 32];

/// Constants that are kept in registers.
#[derive(Default)]
pub(super) struct Constants {
    sieve: Vec<Constant>,
    whole: Vec<Constant>,
}

/// The constants that there are registers for. `None` when there are too many values at once.
pub(super) fn constants(staged: &Staged) -> Option<Constants> {
    let mut ops = VecAssembler::new(0);
    let scalar = ops.new_dynamic_label();
    emit(&mut ops, staged, &Constants::default(), scalar)
}

/// Emits a function for bursts; `scalar` is one that does it packet by packet. Returns which
/// constants could be kept in registers besides.
pub(super) fn emit(
    ops: &mut VecAssembler<X64Relocation>,
    staged: &Staged,
    constants: &Constants,
    scalar: DynamicLabel,
) -> Option<Constants> {
    let Staged { plan, sieve } = staged;
    let registers = Registers::new(plan, constants.whole.len());
    let labels = Labels::new(ops, scalar);
    let (pool, exits, gathers) = (Vec::new(), Vec::new(), Vec::new());
    let (resident, wanted, is_packed) = (&[][..], Vec::new(), false);
    let mut lanes =
        Lanes { ops, plan, pool, exits, gathers, registers, labels, resident, wanted, is_packed };
    lanes.prologue(sieve.is_some());
    lanes.check(sieve.is_some());
    lanes.wanted.clear();
    let mut spare = Constants::default();
    if let Some(sieve) = sieve {
        spare.sieve = lanes.sieve(sieve, &constants.sieve)?;
    }
    spare.whole = lanes.whole(&constants.whole)?;
    lanes.leave(sieve.is_some());
    lanes.constants();
    Some(spare)
}

struct Lanes<'a> {
    ops: &'a mut VecAssembler<X64Relocation>,
    plan: &'a Plan,
    /// Constants in memory, one for each lane or byte.
    pool: Vec<(Constant, DynamicLabel)>,
    /// Ways out before the end, and the register with the verdicts, if any.
    exits: Vec<(DynamicLabel, Option<u8>)>,
    /// Gathers that some packet is too short for.
    gathers: Vec<(DynamicLabel, Gather)>,
    registers: Registers,
    labels: Labels,
    /// The loop's constants in registers, and in memory.
    resident: &'a [Constant],
    wanted: Vec<Constant>,
    /// Whether the lengths of the group's packets are on the stack.
    is_packed: bool,
}

impl<'a> Lanes<'a> {
    /// All groups of the burst.
    fn whole(&mut self, constants: &'a [Constant]) -> Option<Vec<Constant>> {
        let Labels { begin, group, collect, next, slow, .. } = self.labels;
        dynasm!(self.ops
            ; .arch x64
            ; =>begin
            ; xor r13d, r13d
            ; xor r14d, r14d
        );
        self.load_constants(constants);
        self.begin_group(group);
        let accept = self.evaluate()?;
        let plan = self.plan;
        if plan.nodes[plan.odd as usize] != Node::Const(0) {
            self.registers.pin(accept, true);
            let odd = self.register(plan.odd)?;
            keep_together(self.ops, 11);
            dynasm!(self.ops ; .arch x64 ; vptest Ry(odd), Ry(odd) ; jnz =>slow);
        }
        self.signs(accept);
        dynasm!(self.ops ; .arch x64 ; =>collect);
        self.end_group(group, next);
        Some(self.spare_constants())
    }

    /// The plan on a group; in which register the verdicts are.
    fn evaluate(&mut self) -> Option<u8> {
        let plan = self.plan;
        for &window in &plan.windows {
            self.window(window)?;
        }
        for (id, &node) in plan.nodes.iter().enumerate().filter(|(id, _)| plan.live[*id]) {
            self.node(id as Id, node)?;
        }
        self.register(plan.accept)
    }

    fn node(&mut self, id: Id, node: Node) -> Option<()> {
        match node {
            Node::Const(_) | Node::Len | Node::Column(_) => (),
            Node::Field { bytes, at, size } => {
                let from = self.register(bytes)?;
                let order = self.pooled(byte_order(at, size));
                self.registers.used(bytes);
                let to = self.result(id)?;
                vector!(self, vpshufb, to, from, order);
            }
            Node::ShiftLeft(a, by) => {
                let (from, to) = self.unary(id, a)?;
                dynasm!(self.ops ; .arch x64 ; vpslld Ry(to), Ry(from), by as i8);
            }
            Node::ShiftRight(a, by) => {
                let (from, to) = self.unary(id, a)?;
                dynasm!(self.ops ; .arch x64 ; vpsrld Ry(to), Ry(from), by as i8);
            }
            Node::Select { mask, yes, no } => self.select(id, [mask, yes, no])?,
            Node::Gather { address, wanted } => self.gather(id, address, wanted)?,
            Node::Exit { left, accept, .. } => self.exit(left, accept)?,
            Node::Binary(operation, a, b) => self.binary(id, operation, a, b)?,
        }
        Some(())
    }

    /// Registers of an operand and of the result.
    fn unary(&mut self, id: Id, a: Id) -> Option<(u8, u8)> {
        let from = self.register(a)?;
        self.registers.used(a);
        Some((from, self.result(id)?))
    }

    fn binary(&mut self, id: Id, operation: Binary, a: Id, b: Id) -> Option<()> {
        // The operand that must be in a register, and the other one.
        let (a, b) = match operation {
            Binary::AndNot => (b, a),
            _ if operation.commutes() && self.registers.prefers(b, a) => (b, a),
            _ => (a, b),
        };
        let first = self.register(a)?;
        self.registers.pin(first, true);
        let second = self.source(b);
        if operation == Binary::AtLeast {
            // The result must not lie where an operand is.
            let to = self.result(id)?;
            vector!(self, vpmaxud, to, first, second);
            vector!(self, vpcmpeqd, to, to, Source::Register(first));
            self.registers.pin(first, false);
            self.registers.used(a);
            self.registers.used(b);
            return Some(());
        }
        self.registers.pin(first, false);
        self.registers.used(a);
        // A place on the stack stays taken until it has been read.
        let is_early = matches!(second, Source::Register(_));
        if is_early {
            self.registers.used(b);
        }
        let to = self.result(id)?;
        if !is_early {
            self.registers.used(b);
        }
        match operation {
            Binary::Add => vector!(self, vpaddd, to, first, second),
            Binary::Sub => vector!(self, vpsubd, to, first, second),
            Binary::Mul => vector!(self, vpmulld, to, first, second),
            Binary::And => vector!(self, vpand, to, first, second),
            Binary::Or => vector!(self, vpor, to, first, second),
            Binary::Xor => vector!(self, vpxor, to, first, second),
            Binary::Shl => vector!(self, vpsllvd, to, first, second),
            Binary::Shr => vector!(self, vpsrlvd, to, first, second),
            Binary::AndNot => vector!(self, vpandn, to, first, second),
            Binary::Equal => vector!(self, vpcmpeqd, to, first, second),
            Binary::Greater => vector!(self, vpcmpgtd, to, first, second),
            Binary::AtLeast => (),
        }
        Some(())
    }

    fn select(&mut self, id: Id, [mask, yes, no]: [Id; 3]) -> Option<()> {
        let choice = self.register(mask)?;
        self.registers.pin(choice, true);
        let otherwise = self.register(no)?;
        self.registers.pin(otherwise, true);
        let chosen = self.register(yes)?;
        for register in [choice, otherwise] {
            self.registers.pin(register, false);
        }
        for operand in [mask, yes, no] {
            self.registers.used(operand);
        }
        let to = self.result(id)?;
        dynasm!(self.ops
            ; .arch x64
            ; vpblendvb Ry(to), Ry(otherwise), Ry(chosen), Ry(choice)
        );
        Some(())
    }

    fn exit(&mut self, left: Id, accept: Id) -> Option<()> {
        let lanes = self.register(left)?;
        self.registers.pin(lanes, true);
        let verdicts = match self.plan.nodes[accept as usize] {
            Node::Const(0) => None,
            _ => Some(self.register(accept)?),
        };
        self.registers.pin(lanes, false);
        let exit = self.ops.new_dynamic_label();
        keep_together(self.ops, 11);
        dynasm!(self.ops ; .arch x64 ; vptest Ry(lanes), Ry(lanes) ; jz =>exit);
        self.exits.push((exit, verdicts));
        self.registers.used(left);
        self.registers.used(accept);
        Some(())
    }

    /// `vmovmskps r11d, ymm`, which the assembler has not in this form.
    fn signs(&mut self, from: u8) {
        let extension = if from < 8 { 0x20 } else { 0 };
        let bytes = [0xc4, 0x41 | extension, 0x7c, 0x50, 0xd8 | (from & 7)];
        dynasm!(self.ops ; .arch x64 ; .bytes &bytes);
    }
}

/// `vpshufb`'s control for a number in network order.
fn byte_order(at: u8, size: u8) -> [u8; 32] {
    std::array::from_fn(|byte| {
        let (lane, place) = (byte as u8 % 16 / 4 * 4, byte as u8 % 4);
        if place < size { lane + at + size - 1 - place } else { 0x80 }
    })
}
