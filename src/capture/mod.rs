//! Live capture: backends behind one trait.

mod backend;
pub mod dpdk;
mod polled;

pub use backend::*;
