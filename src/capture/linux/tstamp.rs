//! Time stamp types: which a device offers, and how one is asked for.

use crate::capture::CaptureError;
use crate::sys::netdev;
use crate::sys::os_error::OsError;
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
        Some(name) => name,
    };
    let socket = netdev::ioctl_socket().map_err(|e| CaptureError {
        status: super::PCAP_ERROR,
        message: format!("socket for SIOCETHTOOL(ETHTOOL_GET_TS_INFO): {}", OsError::from(e)),
    })?;
    match netdev::ts_info(socket.as_fd(), name) {
        Ok(info) => Ok(offered(info.so_timestamping, info.rx_filters)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {
            // The driver cannot tell: let the choice be tried.
            Ok(vec![HOST, ADAPTER, ADAPTER_UNSYNCED])
        }
        // No such device, or not a network interface: activation will say so.
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
        Err(e) => Err(CaptureError {
            status: super::PCAP_ERROR,
            message: format!(
                "{}: SIOCETHTOOL(ETHTOOL_GET_TS_INFO) ioctl failed: {}",
                String::from_utf8_lossy(name),
                OsError::from(e)
            ),
        }),
    }
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
