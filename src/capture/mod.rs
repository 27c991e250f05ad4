//! Live capture: backends behind one trait.

mod backend;
mod breakloop;
pub mod dpdk;
pub mod linux;
mod placement;
mod polled;
mod stats;

pub use backend::*;
pub use placement::{FilterMode, Placement};
use stats::StatsCounter;

/// Opens and activates a live source: `pcap_activate` with the settings of `config`.
///
/// # Errors
/// libpcap's `PCAP_ERROR_*` status and text. Nothing stays open.
pub fn open(config: &Config) -> Result<Activated, CaptureError> {
    if config.device.as_deref().is_some_and(dpdk::is_plugin_device) {
        return dpdk::activate(config);
    }
    linux::activate(config)
}

/// Time stamp types of a device for `pcap_list_tstamp_types`, `PCAP_TSTAMP_*`, the default
/// first; empty where the type cannot be chosen. Called by `pcap_create`.
///
/// # Errors
/// Where `pcap_create` itself must fail.
pub fn tstamp_types(device: Option<&[u8]>) -> Result<Vec<i32>, CaptureError> {
    if device.is_some_and(dpdk::is_plugin_device) {
        return Ok(Vec::new());
    }
    linux::tstamp_types(device)
}

/// Whether the device can be put in monitor mode (`pcap_can_set_rfmon`), before activation.
///
/// # Errors
/// As libpcap, for example `PCAP_ERROR_NO_SUCH_DEVICE` where it looks for the device at all.
pub fn can_set_rfmon(config: &Config) -> Result<bool, CaptureError> {
    if config.device.as_deref().is_some_and(dpdk::is_plugin_device) {
        return Ok(false);
    }
    linux::can_set_rfmon(config)
}
