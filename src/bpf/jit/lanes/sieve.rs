//! The part of a plan that may reject most packets at little cost.

use super::{Id, Insn, Node, Plan, Windows};

/// Most operations of a sieve.
const MAX_WORK: usize = 28;

/// What must be left of the plan behind the sieve, in operations.
const PAYS: usize = 12;

/// What a window costs, in operations: its loads.
const WINDOW_WORK: usize = 6;

/// A plan, and perhaps a way to reject most packets before.
#[derive(Debug)]
pub(in crate::bpf::jit) struct Staged {
    pub plan: Plan,
    pub sieve: Option<Sieve>,
}

/// A plan in two steps.
#[derive(Debug)]
pub(in crate::bpf::jit) struct Sieve {
    /// Accepts what the whole plan accepts, and more.
    pub plan: Plan,
    /// The verdict on packets that this has accepted.
    pub rest: Plan,
}

impl Staged {
    /// As [`Plan::new`].
    pub(in crate::bpf::jit) fn new(insns: &[Insn]) -> Option<Self> {
        let mut plan = Plan::new(insns)?;
        let sieve = plan.sieve(insns);
        if sieve.is_some() {
            plan.without_exits();
        }
        Some(Self { plan, sieve })
    }
}

impl Plan {
    /// What is computed before the first exit that has enough behind it, where that takes one
    /// window only. `None` where there is no such part.
    fn sieve(&self, insns: &[Insn]) -> Option<Sieve> {
        let whole = self.work();
        let mut parts = self.nodes.iter().enumerate().filter_map(|(id, node)| match *node {
            Node::Exit { left, accept, index } if self.is_zero(accept) => {
                Some((self.part(id, left)?, index))
            }
            _ => None,
        });
        let (plan, exit) = parts.find(|(part, _)| {
            let work = part.work();
            work <= MAX_WORK && work + PAYS <= whole
        })?;
        let mut rest = Self::behind(insns, exit as usize)?;
        rest.without_exits();
        Some(Sieve { plan, rest })
    }

    fn is_zero(&self, id: Id) -> bool {
        self.nodes[id as usize] == Node::Const(0)
    }

    /// What is left behind a sieve seldom leaves early, and jumps are mispredicted.
    fn without_exits(&mut self) {
        for (node, is_live) in self.nodes.iter().zip(&mut self.live) {
            *is_live &= !matches!(node, Node::Exit { .. });
        }
    }

    /// What one node depends on, if that comes out of one window.
    fn part(&self, exit: usize, result: Id) -> Option<Self> {
        let mut live = vec![false; self.nodes.len()];
        live[result as usize] = true;
        for (id, node) in self.nodes.iter().enumerate().take(exit).rev() {
            if !live[id] {
                continue;
            }
            if matches!(node, Node::Len | Node::Gather { .. }) {
                return None;
            }
            node.operands().into_iter().flatten().for_each(|id| live[id as usize] = true);
        }
        let windows = match Windows::wanted(&self.windows, &self.nodes, &live)[..] {
            [window] => vec![window.aligned(self.min_len)],
            _ => return None,
        };
        let odd = self.nodes.iter().position(|node| *node == Node::Const(0))? as Id;
        let (nodes, min_len) = (self.nodes.clone(), self.min_len);
        Some(Self { nodes, live, accept: result, odd, windows, min_len })
    }

    fn work(&self) -> usize {
        let nodes = self.nodes.iter().zip(&self.live).filter(|(_, is_live)| **is_live);
        let work = nodes.map(|(node, _)| match node {
            Node::Const(_) | Node::Len | Node::Column(_) | Node::Exit { .. } => 0,
            Node::Gather { .. } => super::EXIT_PAYS,
            _ => 1,
        });
        work.sum::<usize>() + WINDOW_WORK * self.windows.len()
    }
}
