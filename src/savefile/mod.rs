//! Savefiles: pcap and pcapng, reading and writing.
//!
//! [`Reader`] reads both formats; [`dump`] writes pcap. Files opened by path are read in blocks
//! and packets are handed out in place; programs' streams are read through stdio.

mod block_reader;
mod byte_order;
pub mod dump;
mod error;
mod interface;
mod pcap;
mod pcapng;
mod pseudo_header;
mod reader;
mod source;

pub use error::{AppendError, AppendReason, DumpError, PcapError, PcapNgError, ReadError};
pub use reader::{FileInfo, Next, Reader};
