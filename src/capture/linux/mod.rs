//! Capture on Linux: AF_PACKET sockets, and netfilter's log and queue.

pub mod kernel_filter;
mod tstamp;

use super::{Activated, CaptureError, Config};

pub use tstamp::tstamp_types;

/// `PCAP_ERROR`.
const PCAP_ERROR: i32 = -1;

/// Opens and activates a source, see [`super::open`].
pub fn activate(_config: &Config) -> Result<Activated, CaptureError> {
    Err(CaptureError { status: PCAP_ERROR, message: "live capture is not built in yet".into() })
}

/// See [`super::can_set_rfmon`].
pub fn can_set_rfmon(_config: &Config) -> Result<bool, CaptureError> {
    // 1.10 without libnl: no monitor mode on demand.
    Ok(false)
}
