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
mod lexer;
pub mod link_layout;
pub mod lower;
pub mod optimize;
mod options;
pub mod parser;
pub mod resolve;

pub use error::{ErrorKind, FilterError};
pub use options::{LiveTarget, Options, Savefile};
use resolve::Remembering;
pub use resolve::{NoNames, Resolver};

use crate::bpf::{Program, op};
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
    let (size, single) = lowered.tree.list_size();
    let mut program = assemble(lowered, options).map_err(|error| whole(error.into()))?;
    if options.optimize && size > 0 && size <= if single { FEW_VALUES } else { FEW_VALUES / 4 } {
        let terms = lower::lower(&ast, options, resolver, Lists::Terms)?;
        let other = assemble(terms, options).map_err(|error| whole(error.into()))?;
        if other.insns().len() <= program.insns().len() {
            program = other;
        }
    }
    // libpcap's optimizer is what notices; it does not run on all programs.
    if options.optimize && optimizable && rejects_all(&program) {
        return Err(whole(LowerError::RejectsAll.into()));
    }
    Ok(program)
}

/// Up to so many values in lists, a program that tests them one by one may be the shorter one: a
/// decision tree has inner nodes, a row of more than 255 tests needs long jumps.
const FEW_VALUES: usize = 320;

/// Makes a program of a tree.
fn assemble(lowered: Lowered, options: &Options) -> Result<Program, emit::EmitError> {
    let Lowered { tree, root, optimizable } = lowered;
    let mut cfg = cfg::build(tree, root, options.snaplen);
    if options.optimize {
        let loads = if optimizable { Loads::DropUnused } else { Loads::KeepAll };
        optimize::run(&mut cfg, loads);
    }
    emit::emit(&cfg)
}

/// Whether a program is nothing but `ret #0`.
fn rejects_all(program: &Program) -> bool {
    matches!(program.insns(), [only] if only.code == op::RET | op::K && only.k == 0)
}
