//! AST -> boolean tree of tests.
//!
//! [`lower`] walks the AST in the order of the text, because a primitive such as `vlan` moves the
//! headers for everything behind it. On the way it pushes negations down to the primitives and
//! flattens nested `and`s and `or`s into n-ary groups.

mod arith;
mod atm;
mod code;
mod decnet;
mod dedup;
mod direction;
mod element;
mod encap;
mod error;
mod ether;
mod group;
mod id;
mod ip;
mod iso;
mod linktype;
mod lists;
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
mod sets;
mod ss7;
mod wide;
mod wlan;

pub use error::LowerError;

use crate::linktype::Dlt;

use super::ast::{Ast, Expr, ExprId, Primitive, Span, Term};
use super::cond::{CondId, CondTree};
use super::error::{ErrorKind, FilterError};
use super::link_layout::LinkLayout;
use super::{Options, Resolver};
use arith::Arithmetic;
use dedup::Hashes;
use group::{Added, Group, Item};
use id::Named;
use prologue::Prologue;
use registers::Registers;

/// What lowering makes of an AST.
#[derive(Debug)]
pub struct Lowered {
    /// The tree.
    pub tree: CondTree,
    /// Its root.
    pub root: CondId,
    /// Libpcap optimizes such a program. It does not where link headers of variable length or a
    /// loop need jumps inside blocks; verdicts on truncated packets must stay then.
    pub optimizable: bool,
    /// Number of lists.
    pub list_count: usize,
    /// Number of values in them, at either end of a packet counted twice.
    pub list_values: usize,
    /// Whether some list is looked up once for several protocols, which term by term would each have
    /// tests of their own.
    pub joined: bool,
    /// Whether there are lists of ports: what is known about the protocol by then helps them.
    pub has_ports: bool,
}

/// How lists of like terms are lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// As membership tests, one for all protocols that have the field.
    Sets,
    /// As membership tests, one for each protocol that has the field: shorter where other terms leave
    /// just one protocol.
    Apart,
    /// Term by term.
    Terms,
}

/// Lowers a filter.
///
/// # Errors
/// The first primitive that means nothing for the link-layer type or the resolver.
pub fn lower(
    ast: &Ast<'_>,
    options: &Options,
    resolver: &dyn Resolver,
    lists: Lists,
) -> Result<Lowered, FilterError> {
    let layout = LinkLayout::new(options.linktype);
    let lasting = layout.payload.variable || options.live.is_some_and(|live| live.vlan_aux);
    let mut lowerer = Lowerer {
        ast,
        options,
        resolver,
        tree: CondTree::new(),
        regs: Registers::new(lasting),
        layout,
        prologue: Prologue::default(),
        arithmetic: Arithmetic::default(),
        primitives: 0,
        items: Vec::new(),
        terms: Vec::new(),
        hashes: Hashes::default(),
        // As libpcap has it: never for the one, for others only with what they need.
        optimizable: options.linktype != Dlt::PRISM_HEADER,
        lists,
        list_count: 0,
        list_values: 0,
        joined: false,
        has_ports: false,
    };
    let root = match ast.root {
        Some(root) => {
            let root = lowerer.walk(root)?;
            lowerer.finish(root).map_err(anywhere)?
        }
        None => lowerer.constant(true),
    };
    let Lowerer { tree, optimizable, list_count, list_values, joined, has_ports, .. } = lowerer;
    Ok(Lowered { tree, root, optimizable, list_count, list_values, joined, has_ports })
}

/// Lowering in progress.
struct Lowerer<'a> {
    ast: &'a Ast<'a>,
    options: &'a Options,
    resolver: &'a dyn Resolver,
    tree: CondTree,
    regs: Registers,
    /// Where the headers lie for the next primitive.
    layout: LinkLayout,
    prologue: Prologue,
    arithmetic: Arithmetic,
    /// Primitives gone by.
    primitives: usize,
    /// Operands of all open groups.
    items: Vec<Item>,
    /// Of use while a group is joined.
    terms: Vec<CondId>,
    hashes: Hashes,
    optimizable: bool,
    lists: Lists,
    list_count: usize,
    list_values: usize,
    joined: bool,
    has_ports: bool,
}

/// What is left to do, last first.
enum Task {
    /// Lower an expression into the group on top, negated or not.
    Visit { expr: ExprId, negated: bool },
    /// Join the group on top and add it to the one below.
    Close,
}

impl Lowerer<'_> {
    fn walk(&mut self, root: ExprId) -> Result<CondId, FilterError> {
        if let Expr::Term(Term { primitive, span }) = self.ast.expr(root) {
            let lowered = self.primitive(&primitive, span);
            return lowered.map_err(|error| FilterError::new(error.into(), span.into()));
        }
        self.items.reserve(8);
        let mut groups = Vec::with_capacity(4);
        let mut tasks = Vec::with_capacity(16);
        groups.push(Group::new(true, &self.items));
        tasks.push(Task::Visit { expr: root, negated: false });
        while let Some(task) = tasks.pop() {
            match task {
                Task::Visit { expr, negated } => {
                    self.visit(expr, negated, &mut groups, &mut tasks)?;
                }
                Task::Close => {
                    if let Some(group) = groups.pop() {
                        let lists = (self.list_count, self.list_values);
                        let is_list = group.has_lists();
                        let joined = self.join(group).map_err(anywhere)?;
                        if self.add(top(&mut groups), joined, is_list) == Added::Repeats {
                            (self.list_count, self.list_values) = lists;
                        }
                    }
                }
            }
        }
        let root = groups.pop().map(|group| self.join(group));
        root.unwrap_or_else(|| Ok(self.constant(true))).map_err(anywhere)
    }

    /// Goes down to the first primitive; what is behind it is left for later.
    fn visit(
        &mut self,
        mut expr: ExprId,
        mut negated: bool,
        groups: &mut Vec<Group>,
        tasks: &mut Vec<Task>,
    ) -> Result<(), FilterError> {
        loop {
            let (a, b, is_and) = match self.ast.expr(expr) {
                Expr::Not(inner) => {
                    (expr, negated) = (inner, !negated);
                    continue;
                }
                Expr::Term(Term { primitive, span }) => {
                    return self
                        .operand(&primitive, span, negated, top(groups))
                        .map_err(|error| FilterError::new(ErrorKind::Lower(error), span.into()));
                }
                Expr::And(a, b) => (a, b, !negated),
                Expr::Or(a, b) => (a, b, negated),
            };
            if groups.last().is_none_or(|top| top.is_and != is_and) {
                groups.push(Group::new(is_and, &self.items));
                tasks.push(Task::Close);
            }
            tasks.push(Task::Visit { expr: b, negated });
            expr = a;
        }
    }

    /// Makes room for what is left of the filter if that is like what was: what grows by doubling is
    /// copied, and memory that was left behind costs as much as memory in use.
    fn make_room(&mut self) {
        let operands = self.ast.terms.len();
        let times = (operands + operands / 8) / SAMPLE;
        self.tree.reserve(times);
        self.hashes.reserve(times);
        self.items.reserve(self.items.len() * times);
    }

    /// Adds a primitive to a group: to a list, if it may be part of one.
    fn operand(
        &mut self,
        primitive: &Primitive,
        span: Span,
        negated: bool,
        group: &mut Group,
    ) -> Result<(), LowerError> {
        self.primitives += 1;
        if self.primitives == SAMPLE {
            self.make_room();
        }
        let before = self.tree.mark();
        let named = match primitive {
            Primitive::Id(quals, id) => self.resolve(*quals, *id, span)?,
            other => Named::Lowered(self.primitive(other, span)?),
        };
        let added = if negated == group.is_and
            && let Some(element) = named.element(&self.layout)
        {
            self.add_element(group, &element, |this| this.lower_named(named))?
        } else {
            let lowered = self.lower_named(named)?;
            let lowered = if negated { self.not(lowered) } else { lowered };
            self.add(group, lowered, false)
        };
        if added == Added::Repeats {
            self.tree.rewind(before);
            self.hashes.forget(&self.tree);
        }
        Ok(())
    }
}

/// After so many primitives it shows what the others will take.
const SAMPLE: usize = 1024;

/// The group on top: the first is never closed before the walk ends.
fn top(groups: &mut [Group]) -> &mut Group {
    groups.last_mut().expect("a group is open")
}

/// An error that no one primitive is to blame for.
fn anywhere(error: LowerError) -> FilterError {
    FilterError::new(ErrorKind::Lower(error), 0..0)
}
