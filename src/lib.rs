//! libpcap's C ABI written anew in Rust.
//!
//! The modules are layers; each uses only what stands below it in this list
//! (see docs/ARCHITECTURE.md):
//!
//! `capi` > `handle` > `capture`, `savefile`, `device` > `filter` > `bpf` > base > `sys`.

pub mod bpf;
pub mod capi;
pub mod capture;
pub mod device;
pub mod error;
pub mod ethertype;
pub mod filter;
pub mod handle;
pub mod linktype;
pub mod packet;
pub mod raw_text;
pub mod savefile;
pub mod sys;
pub mod timestamp;
