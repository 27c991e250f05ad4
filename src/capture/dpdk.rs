//! Devices of plug-ins: `dpdk:…`, `dpdk-pdump:…`, and `SCHEME:…` for any `libpcap-SCHEME.so`.
//!
//! The core has no DPDK in it; a device with such a name loads the plug-in.

use super::polled::Polled;
use super::{Activated, CaptureError, Config};
pub use crate::sys::plugin::Listed;
use crate::sys::plugin::{self, CallError, LoadError, Plugin};
use crate::timestamp::Precision;

/// `PCAP_ERROR`.
const PCAP_ERROR: i32 = -1;
/// `PCAP_ERROR_RFMON_NOTSUP`.
const PCAP_ERROR_RFMON_NOTSUP: i32 = -6;
/// `PCAP_ERROR_NO_SUCH_DEVICE`.
const PCAP_ERROR_NO_SUCH_DEVICE: i32 = -5;

/// The plug-in a device name belongs to, if any: known schemes always, others only where their
/// plug-in lies beside this library or in `PCAP_PLUGIN_DIR` (`eth0:1` is an interface alias).
pub fn plugin_of(device: &[u8]) -> Option<&'static str> {
    let scheme = scheme_of(device)?;
    match scheme {
        "dpdk" | "dpdk-pdump" => Some("dpdk"),
        // Leaked once a scheme: a plug-in is never unloaded either.
        other if plugin::present(other) => Some(intern(other)),
        _ => None,
    }
}

fn scheme_of(device: &[u8]) -> Option<&str> {
    let end = device.iter().position(|&b| b == b':')?;
    let scheme = std::str::from_utf8(&device[..end]).ok()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (!scheme.is_empty() && scheme.len() <= 32 && scheme.bytes().all(plain)).then_some(scheme)
}

fn intern(name: &str) -> &'static str {
    static NAMES: std::sync::Mutex<Vec<&'static str>> = std::sync::Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(known) = names.iter().find(|known| **known == name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.push(name);
    name
}

/// Whether `device` can be opened by a plug-in (installed or not).
pub fn is_plugin_device(device: &[u8]) -> bool {
    plugin_of(device).is_some()
}

/// Activates a device for which [`is_plugin_device`] holds.
pub fn activate(config: &Config) -> Result<Activated, CaptureError> {
    let device = config.device.as_deref().unwrap_or_default();
    let name = plugin_of(device).ok_or_else(|| CaptureError {
        status: PCAP_ERROR_NO_SUCH_DEVICE,
        message: "no plug-in for this device".into(),
    })?;
    if config.rfmon {
        return Err(CaptureError { status: PCAP_ERROR_RFMON_NOTSUP, message: String::new() });
    }
    let plugin = Plugin::load(name).map_err(|error| load_failure(name, &error))?;
    let source = plugin.open(device, &plugin_config(config)).map_err(call_failure)?;
    let (warning, message) = (source.warning, source.message.clone());
    let backend = Box::new(Polled::new(source, config)?);
    Ok(Activated { backend, warning, message })
}

/// Devices a plug-in knows, for sources such as `dpdk://`; may start what it drives.
pub fn list(scheme: &str) -> Result<Vec<Listed>, CaptureError> {
    let name = plugin_of(format!("{scheme}:").as_bytes()).ok_or_else(|| CaptureError {
        status: PCAP_ERROR,
        message: format!("there is no plug-in for \"{scheme}\""),
    })?;
    let plugin = Plugin::load(name).map_err(|error| load_failure(name, &error))?;
    plugin.list(scheme).map_err(call_failure)
}

fn plugin_config(config: &Config) -> oxpcap_plugin::Config {
    oxpcap_plugin::Config {
        size: size_of::<oxpcap_plugin::Config>() as u32,
        snaplen: super::polled::snaplen(config),
        promisc: i32::from(config.promisc),
        tstamp_type: config.tstamp_type,
        buffer_size: config.buffer_size,
        precision: match config.precision {
            Precision::Micro => oxpcap_plugin::MICROSECONDS,
            Precision::Nano => oxpcap_plugin::NANOSECONDS,
        },
    }
}

/// What is missing, and the package that has it.
fn load_failure(name: &str, error: &LoadError) -> CaptureError {
    let hint = match (name, error) {
        ("dpdk", LoadError::Missing { .. }) => {
            "; install DPDK (Debian: package dpdk) and this library's plug-in for it (\"make\" \
             builds it where package libdpdk-dev is installed)"
        }
        ("dpdk", LoadError::Refused(_)) => {
            "; install the DPDK release the plug-in was built for (Debian: package dpdk) or \
             build the plug-in again (\"make\", with package libdpdk-dev)"
        }
        ("dpdk", LoadError::Incompatible { .. }) => {
            "; install the plug-in that came with this library"
        }
        _ => "",
    };
    CaptureError { status: PCAP_ERROR, message: format!("{name} is not available: {error}{hint}") }
}

pub(super) fn call_failure(error: CallError) -> CaptureError {
    CaptureError { status: error.status, message: error.text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        assert_eq!(plugin_of(b"dpdk:0"), Some("dpdk"));
        assert_eq!(plugin_of(b"dpdk-pdump:rte/0"), Some("dpdk"));
        assert_eq!(plugin_of(b"eth0"), None);
        assert_eq!(plugin_of(b"eth0:1"), None);
        assert_eq!(plugin_of(b":0"), None);
        assert_eq!(plugin_of(b"../x:0"), None);
        assert_eq!(plugin_of(b"\xff:0"), None);
    }

    #[test]
    fn missing_plugin_names_the_package() {
        let missing = LoadError::Missing { file: "libpcap-dpdk.so".into(), searched: "/x".into() };
        let text = load_failure("dpdk", &missing).message;
        assert!(text.contains("libpcap-dpdk.so was not found in /x"), "{text}");
        assert!(text.contains("package dpdk"), "{text}");
    }
}
