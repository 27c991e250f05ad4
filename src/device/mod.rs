//! Capture devices: what `pcap_findalldevs`, `pcap_lookupdev` and `pcap_lookupnet` tell.

mod flags;
mod list;

pub use crate::sys::ifaddrs::SockAddr;
pub use flags::Flags;
pub use list::{list, lookup_default, lookupnet};

/// A device that can be opened: libpcap's `pcap_if_t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name for `pcap_create`; no NUL inside.
    pub name: Vec<u8>,
    /// What it is, for people; no NUL inside.
    pub description: Option<Vec<u8>>,
    /// Addresses, in the system's order.
    pub addresses: Vec<Address>,
    /// `PCAP_IF_*`.
    pub flags: Flags,
}

/// An address of a device: libpcap's `pcap_addr_t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address; `AF_INET`, `AF_INET6` or `AF_PACKET`.
    pub addr: Option<SockAddr>,
    /// Its netmask.
    pub netmask: Option<SockAddr>,
    /// Its broadcast address.
    pub broadaddr: Option<SockAddr>,
    /// Address of the other end of a point-to-point link.
    pub dstaddr: Option<SockAddr>,
}

/// IPv4 network of a device, for `pcap_lookupnet`. Both in network byte order, as in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Network number.
    pub net: u32,
    /// Netmask.
    pub mask: u32,
}

/// Why devices could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// getifaddrs(3) failed.
    #[error("getifaddrs: {0}")]
    List(OsError),
    /// No socket for questions to interfaces.
    #[error("socket: {0}")]
    Socket(OsError),
    /// The link state of an interface could not be asked for.
    #[error("{device}: SIOCETHTOOL(ETHTOOL_GLINK) ioctl failed: {source}")]
    Link {
        /// Interface name.
        device: String,
        /// How the request failed.
        source: OsError,
    },
    /// An interface could not be asked for its address; most often there is none of that name.
    #[error("{what}: {device}: {source}")]
    Ioctl {
        /// The request.
        what: &'static str,
        /// Interface name.
        device: String,
        /// How the request failed.
        source: OsError,
    },
    /// The device has no IPv4 address.
    #[error("{0}: no IPv4 address assigned")]
    NoAddress(String),
    /// The netmask of an address that is of no class is unknown; the address in host byte order.
    #[error("inet class for 0x{0:x} unknown")]
    UnknownClass(u32),
    /// `pcap_lookupdev` found nothing.
    #[error("no suitable device found")]
    NoDevice,
}

use crate::sys::os_error::OsError;
