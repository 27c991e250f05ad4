//! The list of devices, and questions about one of them.

use super::{Address, Device, Error, Flags, Network, flags};
use crate::raw_text;
use crate::sys::{dbus, ifaddrs, netdev, netlink};
use std::os::fd::{AsFd, BorrowedFd};

/// Description of the device that captures on all interfaces.
const ANY: &str = "Pseudo-device that captures on all interfaces";

/// All devices that can be opened, in libpcap's order: `pcap_findalldevs`.
///
/// # Errors
/// [`Error::List`] or [`Error::Ioctl`], when the system could not be asked at all.
pub fn list() -> Result<Vec<Device>, Error> {
    let socket = netdev::ioctl_socket().map_err(|e| Error::Socket(e.into()))?;
    let mut devices: Vec<Device> = Vec::new();
    for entry in ifaddrs::all().map_err(|e| Error::List(e.into()))? {
        let name = without_alias(&entry.name);
        let device = match devices.iter().position(|d| d.name == name) {
            Some(at) => &mut devices[at],
            None => {
                devices.push(interface(socket.as_fd(), name, entry.flags)?);
                devices.last_mut().expect("just pushed")
            }
        };
        if entry.addr.is_some() {
            device.addresses.push(Address {
                addr: entry.addr,
                netmask: entry.netmask,
                broadaddr: entry.broadaddr,
                dstaddr: entry.dstaddr,
            });
        }
    }
    let running = Flags::UP.with(Flags::RUNNING).with(Flags::NOT_APPLICABLE);
    devices.push(pseudo("any", ANY, running));
    // Always listed, as by libpcap: asking the kernel would load its Bluetooth module.
    let radio = Flags::WIRELESS.with(Flags::NOT_APPLICABLE);
    devices.push(pseudo("bluetooth-monitor", "Bluetooth Linux Monitor", radio));
    devices.extend(netfilter());
    devices.extend(buses());
    // Stable: devices of one rank stay in the system's order.
    devices.sort_by_key(|d| d.flags.rank(&d.name));
    Ok(devices)
}

fn interface(socket: BorrowedFd, name: &[u8], iff: u32) -> Result<Device, Error> {
    let flags = flags::refine(socket, name, Flags::of_interface(iff))
        .map_err(|source| Error::Link { device: raw_text::keep(name), source: source.into() })?;
    Ok(Device { name: name.to_vec(), description: None, addresses: Vec::new(), flags })
}

fn pseudo(name: &str, description: &str, flags: Flags) -> Device {
    Device {
        name: name.into(),
        description: Some(description.into()),
        addresses: Vec::new(),
        flags,
    }
}

/// The netfilter devices, where the kernel has netfilter's netlink family and we may use it.
fn netfilter() -> Vec<Device> {
    if netlink::NetfilterSocket::new().is_err() {
        return Vec::new();
    }
    // Connection status does not apply: these are not network interfaces.
    let flags = Flags::NOT_APPLICABLE;
    vec![
        pseudo("nflog", "Linux netfilter log (NFLOG) interface", flags),
        pseudo("nfqueue", "Linux netfilter queue (NFQUEUE) interface", flags),
    ]
}

/// The D-Bus buses, where there is a library to reach them with.
fn buses() -> Vec<Device> {
    if !dbus::is_available() {
        return Vec::new();
    }
    vec![
        pseudo("dbus-system", "D-Bus system bus", Flags::NOT_APPLICABLE),
        pseudo("dbus-session", "D-Bus session bus", Flags::NOT_APPLICABLE),
    ]
}

/// `eth0:1` is another address of `eth0`, not a device.
fn without_alias(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|&b| b == b':') {
        Some(at) if name[at + 1..].iter().all(u8::is_ascii_digit) => &name[..at],
        _ => name,
    }
}

/// The device `pcap_lookupdev` names: the first of the list, unless that is a loopback device.
///
/// # Errors
/// [`Error::NoDevice`], or as [`list`].
pub fn lookup_default() -> Result<Vec<u8>, Error> {
    match list()?.into_iter().next() {
        Some(first) if !first.flags.contains(Flags::LOOPBACK) => Ok(first.name),
        _ => Err(Error::NoDevice),
    }
}

/// Network number and netmask of an interface: `pcap_lookupnet`. All zero for `None`, "any" and
/// the other devices without a network that libpcap knows here (not the netfilter ones).
///
/// # Errors
/// [`Error::NoAddress`] where the interface has no IPv4 address, [`Error::Ioctl`] where there is
/// no such interface.
pub fn lookupnet(device: Option<&[u8]>) -> Result<Network, Error> {
    let Some(name) = device.filter(|name| !is_pseudo(name)) else {
        return Ok(Network::default());
    };
    let socket = netdev::inet_socket().map_err(|e| Error::Socket(e.into()))?;
    let addr = netdev::inet_addr(socket.as_fd(), name).map_err(|e| match e.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => Error::NoAddress(raw_text::keep(name)),
        _ => ioctl_error(name, "SIOCGIFADDR", e),
    })?;
    let mask = netdev::inet_netmask(socket.as_fd(), name)
        .map_err(|e| ioctl_error(name, "SIOCGIFNETMASK", e))?;
    let (addr, mut mask) = (u32::from(addr), u32::from(mask));
    if mask == 0 {
        mask = classful_mask(addr).ok_or(Error::UnknownClass(addr))?;
    }
    Ok(Network { net: (addr & mask).to_be(), mask: mask.to_be() })
}

fn is_pseudo(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 3] = [b"bluetooth", b"usbmon", b"dpdk"];
    name == b"any" || PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Netmask by the class of an address in host byte order.
fn classful_mask(addr: u32) -> Option<u32> {
    match addr >> 28 {
        0..=7 => Some(0xff00_0000),
        8..=11 => Some(0xffff_0000),
        12..=13 => Some(0xffff_ff00),
        _ => None,
    }
}

fn ioctl_error(name: &[u8], what: &'static str, source: std::io::Error) -> Error {
    Error::Ioctl { device: raw_text::keep(name), what, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        assert_eq!(without_alias(b"eth0:1"), b"eth0");
        assert_eq!(without_alias(b"eth0:vip"), b"eth0:vip");
        assert_eq!(without_alias(b"eth0"), b"eth0");
    }

    #[test]
    fn classes() {
        assert_eq!(classful_mask(0x0a00_0001), Some(0xff00_0000));
        assert_eq!(classful_mask(0xac10_0001), Some(0xffff_0000));
        assert_eq!(classful_mask(0xc0a8_0001), Some(0xffff_ff00));
        assert_eq!(classful_mask(0xe000_0001), None);
    }

    #[test]
    fn loopback_and_any_are_listed() {
        let devices = list().unwrap();
        let lo = devices.iter().find(|d| d.name == b"lo").unwrap();
        assert!(lo.flags.contains(Flags::LOOPBACK.with(Flags::NOT_APPLICABLE)));
        assert!(devices.iter().any(|d| d.name == b"any"));
    }
}
