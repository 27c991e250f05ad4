//! The C ABI: check arguments, call the safe layer, turn the result into a status and a text.
//!
//! One file for each group of libpcap's manual pages. Names are C's.
#![allow(non_camel_case_types, non_upper_case_globals)]

mod boundary;
mod bpf;
mod compile;
mod config;
mod datalink;
mod devices;
mod dump;
mod filter;
mod handle;
mod init;
mod inquire;
mod kept;
mod memory;
mod names;
mod open;
mod pcapx;
mod read;
mod send;
mod source;
mod text;
mod types;

pub use bpf::*;
pub use compile::*;
pub use config::*;
pub use datalink::*;
pub use devices::*;
pub use dump::*;
pub use filter::*;
pub use handle::pcap_t;
pub use init::*;
pub use inquire::*;
pub use names::*;
pub use open::*;
pub use pcapx::*;
pub use read::*;
pub use send::*;
pub use source::*;
pub use text::*;
pub use types::*;
