//! The C ABI: check arguments, call the safe layer, turn the result into a status and a text.
//!
//! One file for each group of libpcap's manual pages. Names are C's.
#![allow(non_camel_case_types, non_upper_case_globals)]

mod boundary;
mod config;
mod handle;
mod memory;
mod open;
mod read;
mod text;
mod types;

pub use config::*;
pub use handle::pcap_t;
pub use open::*;
pub use read::*;
pub use text::*;
pub use types::*;
