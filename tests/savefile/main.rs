//! Savefiles against the system's libpcap.

mod clients;
mod generated;
mod linktypes;
mod mutants;
mod read;
mod streams;
mod support;
mod write;
