//! Packets' bytes.

use super::{Lanes, POINTERS, Source, keep_together};
use crate::bpf::jit::lanes::{Binary, Id, Node, Window};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};

/// Registers of a load that differs by lane.
#[derive(Clone, Copy)]
pub(super) struct Gather {
    offsets: u8,
    to: u8,
    high: u8,
    /// Where it goes on.
    pub done: DynamicLabel,
}

impl Lanes<'_> {
    /// Loads sixteen bytes of each packet and makes columns of them: a transposition.
    pub(super) fn window(&mut self, Window { start, columns }: Window) -> Option<()> {
        let short = i8::try_from(start).ok()?;
        let mut rows = [0; 4];
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = self.temporary()?;
            let (low, high) = (POINTERS[lane], POINTERS[lane + 4]);
            dynasm!(self.ops
                ; .arch x64
                ; vmovdqu Rx(*row), [BYTE Rq(low) + short]
                ; vinserti128 Ry(*row), Ry(*row), [BYTE Rq(high) + short], 1
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
                let offset = start + 8 * half + 4 * part;
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

    /// Loads four bytes of each packet; zeros where nobody wants any.
    pub(super) fn gather(&mut self, id: Id, address: Id, wanted: Id) -> Option<()> {
        if let Node::Const(offset) = self.plan.nodes[address as usize] {
            return self.load_at(id, offset, wanted);
        }
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

    /// Four bytes at an offset that all packets have.
    fn load_at(&mut self, id: Id, offset: u32, wanted: Id) -> Option<()> {
        let to = self.result(id)?;
        self.registers.pin(to, true);
        let high = self.temporary()?;
        let done = self.ops.new_dynamic_label();
        self.load_lanes(Gather { offsets: to, to, high, done }, Some(offset as i32));
        self.registers.free(high);
        self.registers.pin(to, false);
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
    pub(super) fn load_lanes(&mut self, gather: Gather, offset: Option<i32>) {
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
}
