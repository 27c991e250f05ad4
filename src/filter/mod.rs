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
mod options;
pub mod parser;
pub mod resolve;

pub use error::{ErrorKind, FilterError};
pub use options::{LiveTarget, Options};
pub use resolve::Resolver;
