//! Savefiles against the system's libpcap.

mod clients;
mod linktypes;
mod mutants;
mod read;
mod streams;
mod support;
mod write;
