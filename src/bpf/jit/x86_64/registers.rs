//! Which vector register holds which value, in code without jumps.

use crate::bpf::jit::lanes::{Id, Node, Plan};

/// Room for registers in memory.
pub(super) const SLOTS: usize = 48;

const REGISTERS: usize = 16;

/// Where an operand is.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Register(u8),
    /// On the stack.
    Slot(i32),
    /// Among the constants.
    Pool(dynasmrt::DynamicLabel),
    /// The array of lengths.
    Lens,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Free,
    /// Something without a name.
    Temporary,
    Value(Id),
    /// A constant, for good.
    Constant,
}

/// The registers while code is emitted. When there are too few, the value goes that is needed
/// last.
pub(super) struct Registers {
    contents: [Content; REGISTERS],
    pinned: [bool; REGISTERS],
    /// Values in memory, by slot.
    slots: [Option<Id>; SLOTS],
    /// Where each value is used, last first.
    uses: Vec<Vec<Id>>,
    /// How many registers from the first were taken at once.
    most: usize,
}

impl Registers {
    /// The last `constants` registers are not for values.
    pub(super) fn new(plan: &Plan, constants: usize) -> Self {
        let mut uses = vec![Vec::new(); plan.nodes.len()];
        for end in [plan.accept, plan.odd] {
            uses[end as usize].push(Id::MAX);
        }
        for (id, node) in plan.nodes.iter().enumerate().rev().filter(|(id, _)| plan.live[*id]) {
            for operand in node.operands().into_iter().flatten() {
                uses[operand as usize].push(id as Id);
            }
        }
        let (mut contents, pinned) = ([Content::Free; REGISTERS], [false; REGISTERS]);
        contents[REGISTERS - constants..].fill(Content::Constant);
        Self { contents, pinned, slots: [None; SLOTS], uses, most: 0 }
    }

    /// The register of the n-th constant.
    pub(super) fn of_constant(n: usize) -> u8 {
        (REGISTERS - 1 - n) as u8
    }

    /// How many registers were never taken.
    pub(super) fn spare(&self) -> usize {
        REGISTERS - self.most
    }

    /// The register a value is in.
    pub(super) fn of(&self, id: Id) -> Option<u8> {
        let at = self.contents.iter().position(|&content| content == Content::Value(id))?;
        Some(at as u8)
    }

    /// Where a value that is in no register is, from the stack pointer.
    pub(super) fn slot(&self, id: Id) -> i32 {
        let slot = self.slots.iter().position(|&held| held == Some(id));
        32 + 32 * slot.expect("a value is somewhere") as i32
    }

    /// Whether `a` rather than `b` should be the operand that must be in a register.
    pub(super) fn prefers(&self, a: Id, b: Id) -> bool {
        self.of(a).is_some() && self.of(b).is_none()
    }

    pub(super) fn hold(&mut self, register: u8, id: Id) {
        self.contents[usize::from(register)] = Content::Value(id);
    }

    pub(super) fn free(&mut self, register: u8) {
        self.contents[usize::from(register)] = Content::Free;
    }

    /// While pinned, a register keeps what it holds.
    pub(super) fn pin(&mut self, register: u8, pinned: bool) {
        self.pinned[usize::from(register)] = pinned;
    }

    /// One use of a value is over; after the last one its place is free.
    pub(super) fn used(&mut self, id: Id) {
        self.uses[id as usize].pop();
        if self.uses[id as usize].is_empty() {
            if let Some(register) = self.of(id) {
                self.free(register);
            }
            self.slots.iter_mut().filter(|held| **held == Some(id)).for_each(|held| *held = None);
        }
    }

    /// A register for the taking, and where on the stack it must be stored first.
    pub(super) fn take(&mut self, nodes: &[Node]) -> Option<(u8, Option<i32>)> {
        let free = self.contents.iter().position(|&content| content == Content::Free);
        let (register, spill) = match free {
            Some(register) => (register, None),
            None => self.evict(nodes)?,
        };
        self.contents[register] = Content::Temporary;
        self.most = self.most.max(register + 1);
        Some((register as u8, spill))
    }

    fn evict(&mut self, nodes: &[Node]) -> Option<(usize, Option<i32>)> {
        let values = self.contents.iter().enumerate().filter_map(|(register, content)| {
            match (content, self.pinned[register]) {
                (Content::Value(id), false) => Some((register, *id)),
                _ => None,
            }
        });
        let next_use = |id: Id| self.uses[id as usize].last().copied().unwrap_or(Id::MAX);
        let (register, id) = values.max_by_key(|&(_, id)| next_use(id))?;
        let is_in_memory = matches!(nodes[id as usize], Node::Const(_) | Node::Len)
            || self.slots.contains(&Some(id));
        if is_in_memory {
            return Some((register, None));
        }
        *self.slots.iter_mut().find(|held| held.is_none())? = Some(id);
        Some((register, Some(self.slot(id))))
    }
}
