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
//! A group with a packet that is shorter than the windows, or NULL, is left to the code for single
//! packets; so are bursts of fewer than eight. The last group may overlap the one before.
//!
//! Single loads make up a column: on processors with the mitigation for Gather Data Sampling, the
//! instructions for that take three times as long.
// `dynasm!` converts register numbers.
#![allow(clippy::useless_conversion)]

use super::keep_together;
use super::registers::{Registers, Source};
use crate::bpf::jit::lanes::{Binary, Id, Node, Plan, Window};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// rax, rcx, rdx, rsi, rdi, r8, r9, r10
const POINTERS: [u8; 8] = [0, 1, 2, 6, 7, 8, 9, 10];

/// Room on the stack: offsets of a gather, then spilled registers.
const FRAME: i32 = 32 + 32 * super::registers::SLOTS as i32;

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

/// Emits a function for bursts; `scalar` is one that does it packet by packet. `None` when there
/// are too many values at once.
pub(super) fn emit(
    ops: &mut VecAssembler<X64Relocation>,
    plan: &Plan,
    scalar: DynamicLabel,
) -> Option<()> {
    let registers = Registers::new(plan);
    let (pool, exits, gathers) = (Vec::new(), Vec::new(), Vec::new());
    let mut lanes = Lanes { ops, plan, pool, exits, gathers, registers };
    let [group, collect, slow] = [(); 3].map(|()| lanes.ops.new_dynamic_label());
    lanes.prologue(group, scalar);
    lanes.begin_group(slow)?;
    for &window in &plan.windows {
        lanes.window(window)?;
    }
    for (id, &node) in plan.nodes.iter().enumerate() {
        if plan.live[id] {
            lanes.node(id as Id, node)?;
        }
    }
    let accept = lanes.register(plan.accept)?;
    if plan.nodes[plan.odd as usize] != Node::Const(0) {
        lanes.registers.pin(accept, true);
        let odd = lanes.register(plan.odd)?;
        keep_together(lanes.ops, 11);
        dynasm!(lanes.ops ; .arch x64 ; vptest Ry(odd), Ry(odd) ; jnz =>slow);
    }
    lanes.signs(accept);
    lanes.epilogue(group, collect, slow, scalar);
    lanes.constants();
    Some(())
}

/// Registers of a load that differs by lane.
#[derive(Clone, Copy)]
struct Gather {
    offsets: u8,
    to: u8,
    high: u8,
    /// Where it goes on.
    done: DynamicLabel,
}

struct Lanes<'a> {
    ops: &'a mut VecAssembler<X64Relocation>,
    plan: &'a Plan,
    /// Constants in memory, one for each lane or byte.
    pool: Vec<([u8; 32], DynamicLabel)>,
    /// Ways out before the end, and the register with the verdicts, if any.
    exits: Vec<(DynamicLabel, Option<u8>)>,
    /// Gathers that some packet is too short for.
    gathers: Vec<(DynamicLabel, Gather)>,
    registers: Registers,
}

impl Lanes<'_> {
    fn prologue(&mut self, group: DynamicLabel, scalar: DynamicLabel) {
        dynasm!(self.ops
            ; .arch x64
            ; cmp edx, 8
            ; jb =>scalar
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14 ; push r15
            ; mov r15, rsp
            ; sub rsp, FRAME
            ; and rsp, -32
            ; mov rbx, rdi
            ; mov rbp, rsi
            ; mov r12d, edx
            ; xor r13d, r13d
            ; xor r14d, r14d
            ; =>group
        );
    }

    /// Fetches addresses and lengths, and leaves groups to `slow` that have a packet with neither.
    fn begin_group(&mut self, slow: DynamicLabel) -> Option<()> {
        for (lane, pointer) in POINTERS.into_iter().enumerate() {
            let at = 8 * lane as i32;
            dynasm!(self.ops ; .arch x64 ; mov Rq(pointer), [rbx + r13 * 8 + at]);
        }
        let shortest = self.constant(Node::Const(self.plan.min_len - 1));
        let (lens, null) = (self.temporary()?, self.temporary()?);
        dynasm!(self.ops ; .arch x64 ; vmovdqu Ry(lens), [rbp + r13 * 4]);
        vector!(self, vpcmpgtd, lens, lens, shortest);
        self.signs(lens);
        dynasm!(self.ops
            ; .arch x64
            ; vpxor Rx(null), Rx(null), Rx(null)
            ; vpcmpeqq Ry(lens), Ry(null), [rbx + r13 * 8]
            ; vpcmpeqq Ry(null), Ry(null), [rbx + r13 * 8 + 32]
            ; vpor Ry(null), Ry(null), Ry(lens)
        );
        keep_together(self.ops, 24);
        dynasm!(self.ops
            ; .arch x64
            ; cmp r11d, 0xff
            ; jne =>slow
            ; vptest Ry(null), Ry(null)
            ; jnz =>slow
        );
        self.registers.free(lens);
        self.registers.free(null);
        Some(())
    }

    fn epilogue(
        &mut self,
        group: DynamicLabel,
        collect: DynamicLabel,
        slow: DynamicLabel,
        scalar: DynamicLabel,
    ) {
        let [done, next] = [(); 2].map(|()| self.ops.new_dynamic_label());
        dynasm!(self.ops
            ; .arch x64
            ; =>collect
            ; mov ecx, r13d
            ; shl r11, cl
            ; or r14, r11
            ; =>next
            ; add r13d, 8
            ; lea r11d, [r13 + 8]
        );
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; cmp r11d, r12d
            ; jbe =>group
            ; cmp r13d, r12d
            ; jae =>done
            ; lea r13d, [r12 - 8]
            ; jmp =>group
            ; =>slow
            ; lea rdi, [rbx + r13 * 8]
            ; lea rsi, [rbp + r13 * 4]
            ; mov edx, 8
            ; call =>scalar
            ; mov r11, rax
            ; jmp =>collect
            ; =>done
            ; mov rax, r14
            ; mov rsp, r15
            ; pop r15 ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
            ; vzeroupper
            ; ret
        );
        for (apart, gather) in std::mem::take(&mut self.gathers) {
            dynasm!(self.ops ; .arch x64 ; =>apart);
            self.load_lanes(gather, None);
            let done = gather.done;
            dynasm!(self.ops ; .arch x64 ; jmp =>done);
        }
        for (exit, verdicts) in std::mem::take(&mut self.exits) {
            dynasm!(self.ops ; .arch x64 ; =>exit);
            match verdicts {
                Some(register) => {
                    self.signs(register);
                    dynasm!(self.ops ; .arch x64 ; jmp =>collect);
                }
                None => dynasm!(self.ops ; .arch x64 ; jmp =>next),
            }
        }
    }

    /// Loads sixteen bytes of each packet and makes columns of them: a transposition.
    fn window(&mut self, Window { start, columns }: Window) -> Option<()> {
        let start = start as i32;
        let mut rows = [0; 4];
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = self.temporary()?;
            let (low, high) = (POINTERS[lane], POINTERS[lane + 4]);
            dynasm!(self.ops
                ; .arch x64
                ; vmovdqu Rx(*row), [Rq(low) + start]
                ; vinserti128 Ry(*row), Ry(*row), [Rq(high) + start], 1
            );
        }
        for half in 0..2 {
            let wanted = columns >> (2 * half) & 3;
            if wanted == 0 {
                continue;
            }
            let (a, b) = (self.temporary()?, self.temporary()?);
            for (to, [even, odd]) in [(a, [rows[0], rows[1]]), (b, [rows[2], rows[3]])] {
                match half {
                    0 => vector!(self, vpunpckldq, to, even, Source::Register(odd)),
                    _ => vector!(self, vpunpckhdq, to, even, Source::Register(odd)),
                }
            }
            for part in (0..2).filter(|part| wanted >> part & 1 == 1) {
                let offset = start as u32 + 8 * half + 4 * part;
                let id = self.plan.nodes.iter().position(|&node| node == Node::Column(offset))?;
                let to = self.result(id as Id)?;
                match part {
                    0 => vector!(self, vpunpcklqdq, to, a, Source::Register(b)),
                    _ => vector!(self, vpunpckhqdq, to, a, Source::Register(b)),
                }
            }
            self.registers.free(a);
            self.registers.free(b);
        }
        for row in rows {
            self.registers.free(row);
        }
        Some(())
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
            Node::Exit { left, accept } => self.exit(left, accept)?,
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

    /// Loads four bytes of each packet; zeros where nobody wants any.
    fn gather(&mut self, id: Id, address: Id, wanted: Id) -> Option<()> {
        let offsets = self.register(address)?;
        self.registers.pin(offsets, true);
        let lanes = self.register(wanted)?;
        self.registers.pin(lanes, true);
        let to = self.result(id)?;
        self.registers.pin(to, true);
        let high = self.temporary()?;
        let done = self.ops.new_dynamic_label();
        keep_together(self.ops, 16);
        dynasm!(self.ops
            ; .arch x64
            ; vpxor Rx(to), Rx(to), Rx(to)
            ; vptest Ry(lanes), Ry(lanes)
            ; jz =>done
        );
        let gather = Gather { offsets, to, high, done };
        match self.common_offset(address) {
            Some(offset) => {
                let apart = self.ops.new_dynamic_label();
                let same = self.constant(Node::Const(offset));
                vector!(self, vpcmpeqd, high, offsets, same);
                self.signs(high);
                keep_together(self.ops, 13);
                dynasm!(self.ops ; .arch x64 ; cmp r11d, 0xff ; jne =>apart);
                self.load_lanes(gather, Some(offset as i32));
                self.gathers.push((apart, gather));
            }
            None => self.load_lanes(gather, None),
        }
        dynasm!(self.ops ; .arch x64 ; =>done);
        self.registers.free(high);
        for register in [offsets, lanes, to] {
            self.registers.pin(register, false);
        }
        self.registers.used(address);
        self.registers.used(wanted);
        Some(())
    }

    /// The offset of all lanes that are long enough, where that is a constant.
    fn common_offset(&self, address: Id) -> Option<u32> {
        let nodes = &self.plan.nodes;
        let Node::Binary(Binary::And, _, offset) = nodes[address as usize] else { return None };
        if let Node::Const(offset) = nodes[offset as usize] { Some(offset) } else { None }
    }

    /// Loads from an offset, or from each lane's own.
    fn load_lanes(&mut self, gather: Gather, offset: Option<i32>) {
        let Gather { offsets, to, high, .. } = gather;
        if offset.is_none() {
            dynasm!(self.ops ; .arch x64 ; vmovdqa [rsp], Ry(offsets));
        }
        for (lane, pointer) in POINTERS.into_iter().enumerate() {
            let (part, at) = (if lane < 4 { to } else { high }, 4 * lane as i32);
            let place = lane as i8 % 4;
            let ops = &mut *self.ops;
            if offset.is_none() {
                dynasm!(ops ; .arch x64 ; mov r11d, [rsp + at]);
            }
            match (place, offset) {
                (0, Some(k)) => dynasm!(ops ; .arch x64 ; vmovd Rx(part), [Rq(pointer) + k]),
                (0, None) => dynasm!(ops ; .arch x64 ; vmovd Rx(part), [Rq(pointer) + r11]),
                (n, Some(k)) => dynasm!(ops
                    ; .arch x64
                    ; vpinsrd Rx(part), Rx(part), [Rq(pointer) + k], n
                ),
                (n, None) => dynasm!(ops
                    ; .arch x64
                    ; vpinsrd Rx(part), Rx(part), [Rq(pointer) + r11], n
                ),
            }
        }
        dynasm!(self.ops ; .arch x64 ; vinserti128 Ry(to), Ry(to), Rx(high), 1);
    }

    /// `vmovmskps r11d, ymm`, which the assembler has not in this form.
    fn signs(&mut self, from: u8) {
        let extension = if from < 8 { 0x20 } else { 0 };
        let bytes = [0xc4, 0x41 | extension, 0x7c, 0x50, 0xd8 | (from & 7)];
        dynasm!(self.ops ; .arch x64 ; .bytes &bytes);
    }

    /// The register that a value is in from now on.
    fn register(&mut self, id: Id) -> Option<u8> {
        if let Some(register) = self.registers.of(id) {
            return Some(register);
        }
        let source = self.source(id);
        let to = self.result(id)?;
        let ops = &mut *self.ops;
        match source {
            Source::Register(from) => dynasm!(ops ; .arch x64 ; vmovdqa Ry(to), Ry(from)),
            Source::Slot(at) => dynasm!(ops ; .arch x64 ; vmovdqa Ry(to), [rsp + at]),
            Source::Pool(label) => dynasm!(ops ; .arch x64 ; vmovdqa Ry(to), [=>label]),
            Source::Lens => dynasm!(ops ; .arch x64 ; vmovdqu Ry(to), [rbp + r13 * 4]),
        }
        Some(to)
    }

    /// Where a value is.
    fn source(&mut self, id: Id) -> Source {
        match self.plan.nodes[id as usize] {
            _ if let Some(register) = self.registers.of(id) => Source::Register(register),
            Node::Len => Source::Lens,
            node @ Node::Const(_) => self.constant(node),
            _ => Source::Slot(self.registers.slot(id)),
        }
    }

    /// A register for a value that is to be computed.
    fn result(&mut self, id: Id) -> Option<u8> {
        let register = self.temporary()?;
        self.registers.hold(register, id);
        Some(register)
    }

    /// A register for anything, emptied into memory where need be.
    fn temporary(&mut self) -> Option<u8> {
        let (register, spill) = self.registers.take(&self.plan.nodes)?;
        if let Some(at) = spill {
            dynasm!(self.ops ; .arch x64 ; vmovdqa [rsp + at], Ry(register));
        }
        Some(register)
    }

    fn constant(&mut self, node: Node) -> Source {
        let Node::Const(k) = node else { return Source::Lens };
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(4).for_each(|lane| lane.copy_from_slice(&k.to_le_bytes()));
        self.pooled(bytes)
    }

    fn pooled(&mut self, bytes: [u8; 32]) -> Source {
        if let Some((_, label)) = self.pool.iter().find(|(known, _)| *known == bytes) {
            return Source::Pool(*label);
        }
        let label = self.ops.new_dynamic_label();
        self.pool.push((bytes, label));
        Source::Pool(label)
    }

    fn constants(&mut self) {
        dynasm!(self.ops ; .arch x64 ; .align 32);
        for (bytes, label) in &self.pool {
            let label = *label;
            dynasm!(self.ops ; .arch x64 ; =>label ; .bytes bytes);
        }
    }
}

/// `vpshufb`'s control for a number in network order.
fn byte_order(at: u8, size: u8) -> [u8; 32] {
    std::array::from_fn(|byte| {
        let (lane, place) = (byte as u8 % 16 / 4 * 4, byte as u8 % 4);
        if place < size { lane + at + size - 1 - place } else { 0x80 }
    })
}
