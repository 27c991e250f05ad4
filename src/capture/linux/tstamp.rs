//! Time stamp types: which a device offers, and how one is asked for.

use super::activate::Warning;
use super::failure_with;
use crate::capture::CaptureError;
use crate::sys::netdev::{self, HwTstampConfig};
use crate::sys::packet::PacketSocket;
use std::os::fd::AsFd;

/// `PCAP_TSTAMP_HOST`.
pub const HOST: i32 = 0;
/// `PCAP_TSTAMP_ADAPTER`: the adapter's stamp, in step with the host's clock.
pub const ADAPTER: i32 = 3;
/// `PCAP_TSTAMP_ADAPTER_UNSYNCED`: the adapter's stamp on the adapter's clock.
pub const ADAPTER_UNSYNCED: i32 = 4;

const SOF_TIMESTAMPING_SYS_HARDWARE: u32 = 1 << 5;
const SOF_TIMESTAMPING_RAW_HARDWARE: u32 = 1 << 6;
const HWTSTAMP_FILTER_ALL: u32 = 1;

/// See [`crate::capture::tstamp_types`].
pub fn tstamp_types(device: Option<&[u8]>) -> Result<Vec<i32>, CaptureError> {
    let name = match device {
        // Nobody can promise hardware stamps of all interfaces, present and future.
        None | Some(b"any") => return Ok(Vec::new()),
        Some(name) if super::is_no_interface(name) => return Ok(Vec::new()),
        Some(name) => name,
    };
    let socket = netdev::ioctl_socket()
        .map_err(|e| failure_with("socket for SIOCETHTOOL(ETHTOOL_GET_TS_INFO)", e))?;
    match netdev::ts_info(socket.as_fd(), name) {
        Ok(info) => Ok(offered(info.so_timestamping, info.rx_filters)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {
            // The driver cannot tell: let the choice be tried.
            Ok(vec![HOST, ADAPTER, ADAPTER_UNSYNCED])
        }
        // No such device, or not a network interface: activation will say so.
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
        Err(e) => {
            let device = crate::raw_text::keep(name);
            let what = format!("{device}: SIOCETHTOOL(ETHTOOL_GET_TS_INFO) ioctl failed");
            Err(failure_with(&what, e))
        }
    }
}

/// Asks for time stamps of a type; whether they will be of the host's clock. Types that the
/// interface does not have are a warning.
pub(super) fn request(
    socket: &PacketSocket,
    device: &[u8],
    kind: i32,
    warning: &mut Warning,
) -> Result<bool, CaptureError> {
    let source = match kind {
        ADAPTER => SOF_TIMESTAMPING_SYS_HARDWARE,
        ADAPTER_UNSYNCED => SOF_TIMESTAMPING_RAW_HARDWARE,
        _ => return Ok(true),
    };
    const HWTSTAMP_TX_OFF: i32 = 0;
    let mut all = HwTstampConfig {
        flags: 0,
        tx_type: HWTSTAMP_TX_OFF,
        rx_filter: HWTSTAMP_FILTER_ALL as i32,
    };
    match netdev::set_hw_tstamp(socket.as_fd(), device, &mut all) {
        Ok(()) => {}
        Err(e) => match e.raw_os_error() {
            Some(libc::EPERM) => {
                let message = "Attempt to set hardware timestamp failed - \
                               CAP_NET_ADMIN may be required";
                let status = super::PCAP_ERROR_PERM_DENIED;
                return Err(CaptureError { status, message: message.into() });
            }
            Some(libc::EOPNOTSUPP | libc::ERANGE | libc::EINVAL) => {
                warning.set(super::PCAP_WARNING_TSTAMP_TYPE_NOTSUP, "");
                return Ok(true);
            }
            _ => return Err(failure_with("SIOCSHWTSTAMP failed", e)),
        },
    }
    socket
        .set_timestamp_source(source as i32)
        .map_err(|e| failure_with("can't set PACKET_TIMESTAMP", e))?;
    Ok(false)
}

/// What abilities mean in types. Stamping must not be limited to some packets (PTP).
fn offered(so_timestamping: u32, rx_filters: u32) -> Vec<i32> {
    if rx_filters & (1 << HWTSTAMP_FILTER_ALL) == 0 {
        return Vec::new();
    }
    let hardware = [
        (SOF_TIMESTAMPING_SYS_HARDWARE, ADAPTER),
        (SOF_TIMESTAMPING_RAW_HARDWARE, ADAPTER_UNSYNCED),
    ];
    let offered = hardware.into_iter().filter(|(bit, _)| so_timestamping & bit != 0);
    std::iter::once(HOST).chain(offered.map(|(_, kind)| kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_ability() {
        assert!(offered(0x5f, 0b01).is_empty());
        assert_eq!(offered(1 << 6, 0b10), [HOST, ADAPTER_UNSYNCED]);
        assert_eq!(offered(3 << 5, 0b10), [HOST, ADAPTER, ADAPTER_UNSYNCED]);
    }
}
