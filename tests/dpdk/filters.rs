//! Filters: this library's engines and DPDK's.
