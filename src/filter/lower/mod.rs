//! AST -> boolean tree of tests.
//!
//! [`lower`] walks the AST in the order of the text, because a primitive such as `vlan` moves the
//! headers for everything behind it. On the way it pushes negations down to the primitives and
//! flattens nested `and`s and `or`s into n-ary groups.

mod arith;
mod atm;
mod code;
mod decnet;
mod direction;
mod encap;
mod error;
mod ether;
mod id;
mod ip;
mod iso;
mod linktype;
mod llc;
mod names;
mod numbers;
mod pflog;
mod port;
mod primitive;
mod prologue;
mod protochain;
mod qualifiers;
mod registers;
mod ss7;
mod wlan;

pub use error::LowerError;

use super::ast::{Ast, Expr, ExprId};
use super::cond::{CondId, CondTree};
use super::error::{ErrorKind, FilterError};
use super::link_layout::LinkLayout;
use super::{Options, Resolver};
use prologue::Prologue;
use registers::Registers;

/// What lowering makes of an AST.
#[derive(Debug)]
pub struct Lowered {
    /// The tree.
    pub tree: CondTree,
    /// Its root.
    pub root: CondId,
    /// The program may be optimized (it has no loop).
    pub optimizable: bool,
}

/// Lowers a filter.
///
/// # Errors
/// The first primitive that means nothing for the link-layer type or the resolver.
pub fn lower(
    ast: &Ast,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Lowered, FilterError> {
    let mut lowerer = Lowerer {
        ast,
        options,
        resolver,
        tree: CondTree::default(),
        regs: Registers::default(),
        layout: LinkLayout::new(options.linktype),
        prologue: Prologue::default(),
        optimizable: true,
    };
    let root = match ast.root {
        Some(root) => {
            let root = lowerer.walk(root)?;
            lowerer.finish(root).map_err(|error| FilterError::new(error.into(), 0..0))?
        }
        None => lowerer.constant(true),
    };
    Ok(Lowered { tree: lowerer.tree, root, optimizable: lowerer.optimizable })
}

/// Lowering in progress.
struct Lowerer<'a> {
    ast: &'a Ast,
    options: &'a Options,
    resolver: &'a dyn Resolver,
    tree: CondTree,
    regs: Registers,
    /// Where the headers lie for the next primitive.
    layout: LinkLayout,
    prologue: Prologue,
    optimizable: bool,
}

/// What is left to do, last first.
enum Task {
    /// Lower an expression into the group on top, negated or not.
    Visit { expr: ExprId, negated: bool },
    /// Join the group on top and add it to the one below.
    Close,
}

/// Operands of an n-ary `and` or `or`.
struct Group {
    is_and: bool,
    terms: Vec<CondId>,
}

impl Lowerer<'_> {
    fn walk(&mut self, root: ExprId) -> Result<CondId, FilterError> {
        let mut groups = vec![Group { is_and: true, terms: Vec::new() }];
        let mut tasks = vec![Task::Visit { expr: root, negated: false }];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Visit { expr, negated } => {
                    self.visit(expr, negated, &mut groups, &mut tasks)?;
                }
                Task::Close => {
                    if let Some(group) = groups.pop() {
                        let joined = self.join(&group);
                        add(&mut groups, joined);
                    }
                }
            }
        }
        let root = groups.pop().map(|group| self.join(&group));
        Ok(root.unwrap_or_else(|| self.constant(true)))
    }

    fn visit(
        &mut self,
        expr: ExprId,
        negated: bool,
        groups: &mut Vec<Group>,
        tasks: &mut Vec<Task>,
    ) -> Result<(), FilterError> {
        let (a, b, is_and) = match self.ast.expr(expr) {
            Expr::Not(inner) => {
                tasks.push(Task::Visit { expr: *inner, negated: !negated });
                return Ok(());
            }
            Expr::Prim(primitive, span) => {
                let lowered = self
                    .primitive(primitive)
                    .map_err(|error| FilterError::new(ErrorKind::Lower(error), span.clone()))?;
                let lowered = if negated { self.not(lowered) } else { lowered };
                add(groups, lowered);
                return Ok(());
            }
            Expr::And(a, b) => (*a, *b, !negated),
            Expr::Or(a, b) => (*a, *b, negated),
        };
        if groups.last().is_none_or(|top| top.is_and != is_and) {
            groups.push(Group { is_and, terms: Vec::new() });
            tasks.push(Task::Close);
        }
        tasks.push(Task::Visit { expr: b, negated });
        tasks.push(Task::Visit { expr: a, negated });
        Ok(())
    }

    fn join(&mut self, group: &Group) -> CondId {
        if group.is_and { self.all(&group.terms) } else { self.any(&group.terms) }
    }
}

fn add(groups: &mut [Group], term: CondId) {
    if let Some(top) = groups.last_mut() {
        top.terms.push(term);
    }
}
