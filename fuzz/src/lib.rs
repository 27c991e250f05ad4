//! Filters and packets to test the filter compiler with, made from a seed.
//!
//! - [`filters`] writes filters by the grammar of pcap-filter(7), most of them meaningful;
//! - [`packets`] builds packets of the protocols that filters speak of;
//! - [`guided`] changes a packet so that it takes another way through a BPF program;
//! - [`trace`] says how a run ends, and how it would had the packet been longer;
//! - [`listing`] reads programs as `bpf_dump` prints them.
//!
//! Depends on neither oxpcap nor libpcap, so that it favours none.

pub mod dlt;
pub mod filters;
pub mod guided;
pub mod listing;
pub mod packets;
mod rng;
pub mod trace;

pub use rng::Rng;

/// A classic BPF instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Skip when true.
    pub jt: u8,
    /// Skip when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Most instructions that one packet can execute. The program is to end in returns and to have no
/// jumps backward.
///
/// # Panics
/// If that is not so.
pub fn longest_path(program: &[Insn]) -> usize {
    const CLASS: u16 = 0x07;
    const RET: u16 = 0x06;
    const JMP: u16 = 0x05;
    const OPERATION: u16 = 0xf0;
    const JA: u16 = 0x00;
    let mut steps = vec![0usize; program.len()];
    for (at, insn) in program.iter().enumerate().rev() {
        let after = |skip: u32| steps[at + 1 + skip as usize];
        steps[at] = 1 + match insn.code & CLASS {
            RET => 0,
            JMP if insn.code & OPERATION == JA => after(insn.k),
            JMP => after(insn.jt.into()).max(after(insn.jf.into())),
            _ => after(0),
        };
    }
    steps[0]
}
