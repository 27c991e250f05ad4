//! Savefiles against the system's libpcap.

mod linktypes;
mod mutants;
mod read;
mod support;
mod write;
