//! Where the filter of a handle runs.

use std::fmt;

/// Where a handle's filter runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum FilterMode {
    /// No filter is set: every packet is accepted.
    #[default]
    None = 0,
    /// In the kernel, as a classic program.
    KernelClassic = 1,
    /// In the kernel, as eBPF.
    KernelEbpf = 2,
    /// In this process; the source accepts everything.
    Userland = 3,
    /// In a DPDK source, by `rte_bpf`.
    Dpdk = 4,
}

/// Where a handle's filter runs, and why there.
///
/// `Display` gives a sentence for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Where.
    pub mode: FilterMode,
    /// Why there, where a faster place was tried first; empty otherwise.
    pub reason: String,
}

impl Placement {
    /// In this process, because of `reason`.
    pub fn userland(reason: impl Into<String>) -> Self {
        Self { mode: FilterMode::Userland, reason: reason.into() }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            FilterMode::None => "no filter",
            FilterMode::KernelClassic => "in the kernel, as a classic program",
            FilterMode::KernelEbpf => "in the kernel, as eBPF",
            FilterMode::Userland => "in userland",
            FilterMode::Dpdk => "in DPDK, by rte_bpf",
        })?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}
