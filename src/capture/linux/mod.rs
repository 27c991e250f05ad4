//! Capture on Linux: AF_PACKET sockets, netfilter's log and queue, D-Bus, Bluetooth's monitor.

mod activate;
mod arphrd;
mod bluetooth;
mod can;
mod cooked;
mod dbus;
mod drops;
mod frame;
mod inject;
pub mod kernel_filter;
mod live;
mod messages;
mod netfilter;
mod ring;
mod selection;
mod socket;
mod source;
mod tstamp;
mod vlan;

use super::{Activated, CaptureError, Config};
use crate::sys::os_error::OsError;

pub use activate::{Method, activate_by};
pub use tstamp::tstamp_types;

/// `MAXIMUM_SNAPLEN`, bytes.
const MAXIMUM_SNAPLEN: u32 = 262_144;

/// `PCAP_ERROR` and its kin.
const PCAP_ERROR: i32 = -1;
const PCAP_ERROR_NO_SUCH_DEVICE: i32 = -5;
const PCAP_ERROR_RFMON_NOTSUP: i32 = -6;
const PCAP_ERROR_PERM_DENIED: i32 = -8;
const PCAP_ERROR_IFACE_NOT_UP: i32 = -9;
/// `PCAP_WARNING` and its kin.
const PCAP_WARNING: i32 = 1;
const PCAP_WARNING_PROMISC_NOTSUP: i32 = 2;
const PCAP_WARNING_TSTAMP_TYPE_NOTSUP: i32 = 3;

/// Opens and activates a source, see [`super::open`].
pub fn activate(config: &Config) -> Result<Activated, CaptureError> {
    let device = config.device.as_deref().unwrap_or(b"any");
    if let Some(kind) = netfilter::Kind::of(device) {
        netfilter::activate(config, kind)
    } else if dbus::is_dbus(device) {
        dbus::activate(config)
    } else if device == bluetooth::DEVICE {
        bluetooth::activate(config)
    } else {
        activate_by(config, Method::from_environment()?)
    }
}

/// Whether a device is something else than a network interface or all of them.
fn is_no_interface(device: &[u8]) -> bool {
    netfilter::Kind::of(device).is_some() || dbus::is_dbus(device) || device == bluetooth::DEVICE
}

/// See [`super::can_set_rfmon`]. Monitor mode on demand needs libnl, which libpcap is built
/// without on Debian: no device can.
pub fn can_set_rfmon(_config: &Config) -> Result<bool, CaptureError> {
    Ok(false)
}

/// The snapshot length asked for, as libpcap reads it.
fn snaplen(config: &Config) -> u32 {
    match u32::try_from(config.snaplen) {
        Ok(len) if (1..=MAXIMUM_SNAPLEN).contains(&len) => len,
        _ => MAXIMUM_SNAPLEN,
    }
}

fn failure(message: &str) -> CaptureError {
    CaptureError { status: PCAP_ERROR, message: message.to_owned() }
}

fn failure_with(what: &str, error: std::io::Error) -> CaptureError {
    failure(&format!("{what}: {}", OsError::from(error)))
}

/// A status that says all.
fn status(status: i32) -> CaptureError {
    CaptureError { status, message: String::new() }
}
