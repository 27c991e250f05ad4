//! Where values are while code is emitted.

use super::{Constant, Lanes, PACKED_LENS, Registers, Source};
use crate::bpf::jit::lanes::{Id, Node};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};

impl<'a> Lanes<'a> {
    /// The register that a value is in from now on.
    pub(super) fn register(&mut self, id: Id) -> Option<u8> {
        if let Some(register) = self.registers.of(id) {
            return Some(register);
        }
        let source = self.source(id);
        if let Source::Register(constant) = source {
            return Some(constant);
        }
        let to = self.result(id)?;
        let ops = &mut *self.ops;
        match source {
            Source::Register(_) => (),
            Source::Slot(at) => dynasm!(ops ; .arch x64 ; vmovdqa Ry(to), [rsp + at]),
            Source::Pool(label) => dynasm!(ops ; .arch x64 ; vmovdqa Ry(to), [=>label]),
            Source::Lens => dynasm!(ops ; .arch x64 ; vmovdqu Ry(to), [rbp + r13 * 4]),
        }
        Some(to)
    }

    /// Where a value is.
    pub(super) fn source(&mut self, id: Id) -> Source {
        if let Some(register) = self.registers.of(id) {
            return Source::Register(register);
        }
        match self.plan.nodes[id as usize] {
            Node::Len if self.is_packed => Source::Slot(PACKED_LENS),
            Node::Len => Source::Lens,
            node @ Node::Const(_) => self.constant(node),
            _ => Source::Slot(self.registers.slot(id)),
        }
    }

    /// A register for a value that is to be computed.
    pub(super) fn result(&mut self, id: Id) -> Option<u8> {
        let register = self.temporary()?;
        self.registers.hold(register, id);
        Some(register)
    }

    /// A register for anything, emptied into memory where need be.
    pub(super) fn temporary(&mut self) -> Option<u8> {
        let (register, spill) = self.registers.take(&self.plan.nodes)?;
        if let Some(at) = spill {
            dynasm!(self.ops ; .arch x64 ; vmovdqa [rsp + at], Ry(register));
        }
        Some(register)
    }

    pub(super) fn constant(&mut self, node: Node) -> Source {
        let Node::Const(k) = node else { return Source::Lens };
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(4).for_each(|lane| lane.copy_from_slice(&k.to_le_bytes()));
        self.pooled(bytes)
    }

    pub(super) fn pooled(&mut self, bytes: [u8; 32]) -> Source {
        if let Some(n) = self.resident.iter().position(|known| *known == bytes) {
            return Source::Register(Registers::of_constant(n));
        }
        if !self.wanted.contains(&bytes) {
            self.wanted.push(bytes);
        }
        Source::Pool(self.in_memory(bytes))
    }

    fn in_memory(&mut self, bytes: [u8; 32]) -> DynamicLabel {
        if let Some((_, label)) = self.pool.iter().find(|(known, _)| *known == bytes) {
            return *label;
        }
        let label = self.ops.new_dynamic_label();
        self.pool.push((bytes, label));
        label
    }

    /// Starts a loop with constants in registers.
    pub(super) fn load_constants(&mut self, constants: &'a [Constant]) {
        self.resident = constants;
        for (n, &bytes) in constants.iter().enumerate() {
            let (label, to) = (self.in_memory(bytes), Registers::of_constant(n));
            dynasm!(self.ops ; .arch x64 ; vmovdqa Ry(to), [=>label]);
        }
    }

    /// The constants of the loop that ends here, first used first, as many as registers are free.
    pub(super) fn spare_constants(&mut self) -> Vec<Constant> {
        self.resident = &[];
        let mut constants = std::mem::take(&mut self.wanted);
        constants.truncate(self.registers.spare());
        constants
    }

    pub(super) fn constants(&mut self) {
        dynasm!(self.ops ; .arch x64 ; .align 32);
        for (bytes, label) in &self.pool {
            let label = *label;
            dynasm!(self.ops ; .arch x64 ; =>label ; .bytes bytes);
        }
    }
}
