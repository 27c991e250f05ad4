//! Live capture: backends behind one trait.

mod backend;

pub use backend::*;
