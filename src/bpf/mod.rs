//! The classic BPF machine. Knows nothing of the filter language.
//!
//! One program, several ways to run it, and the same verdict from all:
//!
//! - [`interpret`] takes instructions as they are and is safe on any;
//! - [`Filter`] is a program prepared for many packets;
//! - [`run_cached`] does so for programs that their owner may change at any time;
//! - [`validate`] is `bpf_validate`, [`check`] is what generated code and kernels ask for;
//! - [`to_ebpf`] makes eBPF of it, for kernels and DPDK;
//! - [`image`] and [`dump`] print.

mod analysis;
mod aux;
mod cache;
mod decoded;
mod ebpf;
mod filter;
mod image;
mod insn;
mod interpreter;
mod jit;
mod kernel;
mod program;
mod validate;

pub use crate::sys::burst::Burst;
pub use aux::{ANCILLARY_OFFSET, Ancillary, Aux};
pub use cache::{is_cached_native, run_anywhere, run_cached, sample};
pub use ebpf::{ConvertError, EbpfInsn, Target, tail_call, to_ebpf};
pub use filter::{Filter, Preference};
pub use image::{DumpStyle, Image, dump, image};
pub(crate) use insn::code;
pub use insn::{Insn, op};
pub use interpreter::{Cursor, LOOP_FUEL, interpret, run as interpret_from};
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub(crate) use jit::front;
pub use jit::{Call, OwnedHeader, OwnedProgram, Run, run_known};
pub use kernel::{Inexact, check_kernel};
pub use program::Program;
pub use validate::{InvalidProgram, check, has_backward_jump, is_known, validate};
