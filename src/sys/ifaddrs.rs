//! The system's interfaces with their addresses, by getifaddrs(3).

use std::ffi::CStr;
use std::io;

/// A socket address as the system gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockAddr(Box<[u8]>);

impl SockAddr {
    /// A copy of the bytes of a `struct sockaddr_…`, family first.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= 2).then(|| Self(bytes.into()))
    }

    /// An IPv4 address in the layout of `struct sockaddr_in`, port 0.
    pub fn inet(addr: std::net::Ipv4Addr) -> Self {
        let mut bytes = [0; size_of::<libc::sockaddr_in>()];
        bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        bytes[4..8].copy_from_slice(&addr.octets());
        Self(Box::new(bytes))
    }

    /// The bytes of the `struct sockaddr_…`: never empty, its family's full length.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `sa_family`, one of `AF_*`.
    pub fn family(&self) -> i32 {
        i32::from(u16::from_ne_bytes([self.0[0], self.0[1]]))
    }

    /// The IPv4 address, where it is one.
    pub fn ipv4(&self) -> Option<std::net::Ipv4Addr> {
        let octets: [u8; 4] = self.0.get(4..8)?.try_into().ok()?;
        (self.family() == libc::AF_INET).then(|| octets.into())
    }
}

/// One entry of getifaddrs(3): an interface and at most one of its addresses.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Interface name, perhaps of an alias (`eth0:1`).
    pub name: Vec<u8>,
    /// `IFF_*`.
    pub flags: u32,
    /// The address.
    pub addr: Option<SockAddr>,
    /// Its netmask.
    pub netmask: Option<SockAddr>,
    /// Its broadcast address, where the interface is a broadcast interface.
    pub broadaddr: Option<SockAddr>,
    /// The other end of a point-to-point interface.
    pub dstaddr: Option<SockAddr>,
}

/// All entries, in the system's order.
///
/// # Errors
/// What getifaddrs(3) failed with.
pub fn all() -> io::Result<Vec<Entry>> {
    let mut head = std::ptr::null_mut();
    // SAFETY: `head` is a valid place for the list's address.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut entries = Vec::new();
    let mut at = head;
    while !at.is_null() {
        // SAFETY: `at` is an element of the list, which lives until freeifaddrs below.
        let ifa = unsafe { &*at };
        entries.push(entry(ifa));
        at = ifa.ifa_next;
    }
    // SAFETY: `head` came from getifaddrs and nothing refers to the list any more.
    unsafe { libc::freeifaddrs(head) };
    Ok(entries)
}

fn entry(ifa: &libc::ifaddrs) -> Entry {
    // SAFETY: the name is a NUL-terminated string of the list.
    let name = unsafe { CStr::from_ptr(ifa.ifa_name) }.to_bytes().to_vec();
    let flags = ifa.ifa_flags;
    let other_if = |flag: libc::c_int| {
        if flags & flag as u32 != 0 { copy(ifa.ifa_ifu) } else { None }
    };
    Entry {
        name,
        flags,
        addr: copy(ifa.ifa_addr),
        netmask: copy(ifa.ifa_netmask),
        broadaddr: other_if(libc::IFF_BROADCAST),
        dstaddr: other_if(libc::IFF_POINTOPOINT),
    }
}

/// Copies an address whose family's length is known.
fn copy(addr: *const libc::sockaddr) -> Option<SockAddr> {
    if addr.is_null() {
        return None;
    }
    // SAFETY: not null, so an address of the list, which begins with its family.
    let family = i32::from(unsafe { (*addr).sa_family });
    let len = match family {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        libc::AF_PACKET => size_of::<libc::sockaddr_ll>(),
        _ => size_of::<libc::sockaddr>(),
    };
    // SAFETY: getifaddrs allots at least the length of the family's structure.
    let bytes = unsafe { std::slice::from_raw_parts(addr.cast::<u8>(), len) };
    SockAddr::from_bytes(bytes)
}
