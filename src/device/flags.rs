//! Device flags.

use crate::sys::netdev;
use std::os::fd::BorrowedFd;

/// `PCAP_IF_*` flags of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// `PCAP_IF_LOOPBACK`.
    pub const LOOPBACK: Self = Self(0x01);
    /// `PCAP_IF_UP`.
    pub const UP: Self = Self(0x02);
    /// `PCAP_IF_RUNNING`.
    pub const RUNNING: Self = Self(0x04);
    /// `PCAP_IF_WIRELESS`: radio, not necessarily Wi-Fi.
    pub const WIRELESS: Self = Self(0x08);
    /// `PCAP_IF_CONNECTION_STATUS`: the two bits of the connection status; none set is unknown.
    pub const CONNECTION_STATUS: Self = Self(0x30);
    /// `PCAP_IF_CONNECTION_STATUS_CONNECTED`.
    pub const CONNECTED: Self = Self(0x10);
    /// `PCAP_IF_CONNECTION_STATUS_DISCONNECTED`.
    pub const DISCONNECTED: Self = Self(0x20);
    /// `PCAP_IF_CONNECTION_STATUS_NOT_APPLICABLE`.
    pub const NOT_APPLICABLE: Self = Self(0x30);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The two bits of the connection status.
    pub const fn connection_status(self) -> Self {
        Self(self.0 & Self::CONNECTION_STATUS.0)
    }

    /// The part that `IFF_*` flags tell.
    pub(super) fn of_interface(iff: u32) -> Self {
        let pairs = [
            (libc::IFF_LOOPBACK, Self::LOOPBACK),
            (libc::IFF_UP, Self::UP),
            (libc::IFF_RUNNING, Self::RUNNING),
        ];
        let set = |(bit, flag): (libc::c_int, Self)| if iff & bit as u32 != 0 { flag.0 } else { 0 };
        Self(pairs.into_iter().map(set).sum())
    }

    /// Place in the list: usable devices first, "any" after them, then loopback, disconnected
    /// ones, those that are down and those that do not run. Smaller is earlier.
    pub(super) fn rank(self, name: &[u8]) -> u32 {
        let wired = !self.contains(Self::WIRELESS);
        let unplugged = wired && self.connection_status() == Self::DISCONNECTED;
        u32::from(!self.contains(Self::RUNNING)) << 31
            | u32::from(!self.contains(Self::UP)) << 30
            | u32::from(unplugged) << 29
            | u32::from(self.contains(Self::LOOPBACK)) << 28
            | u32::from(name == b"any") << 27
    }
}

/// Hardware types of radio networks (linux/if_arp.h): IrDA, 802.11 plain, with Prism and with
/// radiotap header, 802.15.4 and its monitor, 6LoWPAN.
const RADIO: [u32; 7] = [783, 801, 802, 803, 804, 805, 825];

/// Adds what only the interface itself can tell: whether it is wireless and connected.
///
/// # Errors
/// What asking for the link state failed with, other than "cannot tell" and "no such device".
pub(super) fn refine(fd: BorrowedFd, name: &[u8], flags: Flags) -> std::io::Result<Flags> {
    if flags.contains(Flags::LOOPBACK) {
        return Ok(flags.with(Flags::NOT_APPLICABLE));
    }
    let mut flags = flags;
    if netdev::has_sysfs(name, "wireless") {
        flags = flags.with(Flags::WIRELESS);
    } else {
        let hatype = netdev::read_sysfs(name, "type").and_then(|t| t.parse::<u32>().ok());
        match hatype {
            Some(t) if t == u32::from(libc::ARPHRD_LOOPBACK) => {
                return Ok(flags.with(Flags::NOT_APPLICABLE));
            }
            Some(t) if RADIO.contains(&t) => flags = flags.with(Flags::WIRELESS),
            _ => {}
        }
    }
    match netdev::link_detected(fd, name) {
        Ok(true) => Ok(flags.with(Flags::CONNECTED)),
        Ok(false) => Ok(flags.with(Flags::DISCONNECTED)),
        Err(e) => match e.raw_os_error() {
            // A driver that does not know the question: libpcap says "not applicable" too.
            Some(libc::EOPNOTSUPP | libc::EINVAL) => Ok(flags.with(Flags::NOT_APPLICABLE)),
            Some(libc::ENODEV) => Ok(flags),
            _ => Err(e),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    #[test]
    fn interface_flags() {
        let iff = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_MULTICAST) as u32;
        assert_eq!(Flags::of_interface(iff), Flags(0x03));
    }

    #[test]
    fn ranks() {
        let up = Flags::UP.with(Flags::RUNNING);
        let order = [
            (up.with(Flags::CONNECTED), &b"eth0"[..]),
            (up, b"any"),
            (up.with(Flags::LOOPBACK).with(Flags::NOT_APPLICABLE), b"lo"),
            (up.with(Flags::DISCONNECTED), b"eth1"),
            (Flags::RUNNING, b"eth2"),
            (Flags::UP, b"eth3"),
            (Flags::default(), b"nflog"),
        ];
        assert!(order.is_sorted_by_key(|(flags, name)| flags.rank(name)));
    }
}
