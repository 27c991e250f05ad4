//! Steps in front of a tree, for registers that all of it reads.

use super::{ChildRange, Compare, Cond, CondId, CondTree, Node, Stmt, StmtRange, index};

impl CondTree {
    /// The tree with steps in front of those that are run first, whatever the packet.
    pub fn prepend(&mut self, root: CondId, steps: &[Stmt]) -> CondId {
        let mut path = Vec::new();
        let mut node = root;
        let mut first = loop {
            match self.get(node) {
                Cond::Const(_) => return root,
                Cond::Test(range, Compare { code, k }) => {
                    let steps = self.joined(steps, range);
                    break self.push(Node::Test { code: code as u8, k, steps });
                }
                Cond::Set(range, set) => {
                    let steps = self.joined(steps, range);
                    break self.push(Node::Set(steps, set));
                }
                Cond::Run(range) => {
                    let steps = self.joined(steps, range);
                    break self.push(Node::Run(steps));
                }
                Cond::Not(child) => {
                    path.push(node);
                    node = child;
                }
                Cond::And(range) | Cond::Or(range) => match self.children(range) {
                    [first, ..] => {
                        path.push(node);
                        node = *first;
                    }
                    [] => return root,
                },
            }
        };
        while let Some(parent) = path.pop() {
            first = self.with_first(parent, first);
        }
        first
    }

    /// A node with another first child.
    fn with_first(&mut self, parent: CondId, first: CondId) -> CondId {
        let (range, node): (_, fn(ChildRange) -> Node) = match self.get(parent) {
            Cond::And(range) => (range, Node::And),
            Cond::Or(range) => (range, Node::Or),
            _ => return first.negated(),
        };
        let (from, start) = (range.start as usize, self.children.len());
        self.children.extend_from_within(from..from + range.len as usize);
        self.children[start] = first;
        self.push(node(ChildRange { start: index(start), len: range.len }))
    }

    /// Steps, then those of a range, whose jumps stay relative.
    fn joined(&mut self, steps: &[Stmt], range: StmtRange) -> StmtRange {
        let all = self.add_stmts(steps);
        let (start, len) = (range.start as usize, range.len as usize);
        self.stmts.extend_from_within(start..start + len);
        self.uses.steps += range.len;
        StmtRange { start: all.start, len: all.len + range.len }
    }
}
