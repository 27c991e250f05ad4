//! The DPDK plug-in of oxpcap, `libpcap-dpdk.so`.
//!
//! Exports one symbol, [`pcapx_plugin`], the table of `include/pcap/oxpcap-plugin.h`. What DPDK
//! has as `static inline` functions is called by the C shim in `shim/`; decisions are made here.

#[cfg(test)]
mod agreement;
mod arguments;
mod eal;
mod error;
mod ffi;
mod flow;
#[cfg(test)]
mod leaks;
mod name;
mod native;
mod pdump;
mod port;
mod table;
mod verifier;

pub use table::pcapx_plugin;
