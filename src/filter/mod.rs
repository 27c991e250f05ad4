//! The filter compiler: text -> tokens -> AST -> boolean tree of tests -> CFG -> optimized CFG -> program.
//!
//! Pure: whatever it must ask the system (hosts, ports, networks, Ethernet addresses) it asks its
//! [`Resolver`].

pub mod ast;
pub mod cfg;
pub mod cond;
mod decision_tree;
pub mod emit;
pub mod error;
mod key_set;
mod lexer;
pub mod link_layout;
pub mod lower;
pub mod optimize;
mod options;
pub mod parser;
pub mod resolve;
mod stack;

pub use error::{ErrorKind, FilterError};
pub use options::{LiveTarget, Options, Savefile};
use resolve::Remembering;
pub use resolve::{NoNames, Resolver};

use crate::bpf::{Program, op};
use cfg::Cfg;
use emit::EmitError;
use lower::{Lists, LowerError, Lowered};
use optimize::Loads;

/// Compiles a filter.
///
/// # Errors
/// A text that is no filter, a primitive that means nothing for the link-layer type or the
/// resolver, or, when optimizing, a filter that accepts nothing.
pub fn compile(
    text: &[u8],
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Program, FilterError> {
    let resolver = &Remembering::new(resolver);
    let ast = parser::parse(text).map_err(|error| {
        // libpcap looks at the meaning of terms while it parses: the first error in the text wins.
        match lower::lower(&error.before, options, resolver, Lists::Sets) {
            Err(earlier) => earlier,
            Ok(_) => error.error,
        }
    })?;
    let whole = |kind| FilterError::new(kind, 0..text.len());
    let lowered = lower::lower(&ast, options, resolver, Lists::Sets)?;
    let optimizable = lowered.optimizable;
    let program = shortest(lowered, ast, options, resolver)?;
    let program = program.map_err(|error| whole(error.into()))?;
    // libpcap's optimizer is what notices; it does not run on all programs.
    if options.optimize && optimizable && rejects_all(&program) {
        return Err(whole(LowerError::RejectsAll.into()));
    }
    Ok(program)
}

/// Up to so many values in lists, rows of tests may be needed to be as short as libpcap's program:
/// decision trees have inner nodes.
const ROWS: usize = 1280;
/// Up to so many values a program that tests them term by term may be the shortest, or libpcap's: of
/// one list, and of several, for which rows are shorter sooner. It takes most of the time there.
const TERMS: usize = 104;
const TERMS_OF_SEVERAL: usize = 96;
/// Up to so many values protocols are also looked at apart, and other programs tried at all.
const APART: usize = 4096;

/// The shortest program of those that lists can be lowered to.
fn shortest(
    lowered: Lowered,
    ast: ast::Ast<'_>,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Result<Program, EmitError>, FilterError> {
    let values = lowered.list_values;
    let (several, joined) = (lowered.list_count > 1, lowered.joined);
    let has_ports = lowered.has_ports;
    // The syntax tree of a large filter is not kept while its graph is optimized.
    let ast = (options.optimize && (1..=APART).contains(&values)).then_some(ast);
    let graph = graph(lowered, options);
    let mut best = emit::emit(&graph);
    let Some(ast) = ast else { return Ok(best) };
    let lower = |lists| lower::lower(&ast, options, resolver, lists);
    let few = values <= ROWS && (several || !joined);
    let mut consider = |other: Result<Program, EmitError>, preferred: bool| {
        let len = |program: &Result<Program, EmitError>| {
            program.as_ref().map_or(usize::MAX, |program| program.insns().len())
        };
        if len(&other) < len(&best) + usize::from(preferred) {
            best = other;
        }
    };
    if few {
        consider(emit::emit_short(&graph), false);
    }
    if several && joined && has_ports {
        let apart = self::graph(lower(Lists::Apart)?, options);
        consider(if few { emit::emit_short(&apart) } else { emit::emit(&apart) }, false);
    }
    if values <= if several { TERMS_OF_SEVERAL } else { TERMS } {
        let terms = self::graph(lower(Lists::Terms)?, options);
        consider(emit::emit(&terms), true);
    }
    Ok(best)
}

/// Makes a graph of a tree.
fn graph(lowered: Lowered, options: &Options) -> Cfg {
    let Lowered { tree, root, optimizable, .. } = lowered;
    let mut cfg = cfg::build(tree, root, options.snaplen);
    if options.optimize {
        let loads = if optimizable { Loads::DropUnused } else { Loads::KeepAll };
        optimize::run(&mut cfg, loads);
    }
    cfg
}

/// Whether a program is nothing but `ret #0`.
fn rejects_all(program: &Program) -> bool {
    matches!(program.insns(), [only] if only.code == op::RET | op::K && only.k == 0)
}
