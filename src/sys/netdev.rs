//! Questions to network interfaces: ioctls by name, and sysfs.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const ETHTOOL_GLINK: u32 = 0x0a;
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GUFO: u32 = 0x21;
const ETHTOOL_GGSO: u32 = 0x23;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GET_TS_INFO: u32 = 0x41;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// `struct ethtool_ts_info` of linux/ethtool.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TsInfo {
    cmd: u32,
    /// `SOF_TIMESTAMPING_*` bits.
    pub so_timestamping: u32,
    /// Number of the PTP clock, -1 for none.
    pub phc_index: i32,
    /// `HWTSTAMP_TX_*` bits by number.
    pub tx_types: u32,
    tx_reserved: [u32; 3],
    /// `HWTSTAMP_FILTER_*` bits by number.
    pub rx_filters: u32,
    rx_reserved: [u32; 3],
}

const _: () = assert!(size_of::<TsInfo>() == 44 && size_of::<EthtoolValue>() == 8);

/// `struct hwtstamp_config` of linux/net_tstamp.h.
#[repr(C)]
pub struct HwTstampConfig {
    /// Must be 0.
    pub flags: i32,
    /// `HWTSTAMP_TX_*`.
    pub tx_type: i32,
    /// `HWTSTAMP_FILTER_*`.
    pub rx_filter: i32,
}

/// A socket for ioctls on interfaces, of a family that every kernel and container has.
///
/// # Errors
/// What socket(2) failed with.
pub fn ioctl_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A request for interface `name`; names too long for the kernel are cut, as libpcap does.
fn request(name: &[u8]) -> libc::ifreq {
    // SAFETY: all zero bytes are a valid ifreq.
    let mut req: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, &from) in req.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name) {
        *to = from as libc::c_char;
    }
    req
}

fn ioctl(fd: BorrowedFd, what: libc::c_ulong, req: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: every `what` used in this module takes a `struct ifreq`; where that holds a
    // pointer, the caller keeps what it points to alive across the call.
    if unsafe { libc::ioctl(fd.as_raw_fd(), what as _, &raw mut *req) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Interface index (`SIOCGIFINDEX`).
///
/// # Errors
/// `ENODEV` where there is no such interface.
pub fn index(fd: BorrowedFd, name: &[u8]) -> io::Result<i32> {
    let mut req = request(name);
    ioctl(fd, libc::SIOCGIFINDEX as _, &mut req)?;
    // SAFETY: SIOCGIFINDEX filled this member.
    Ok(unsafe { req.ifr_ifru.ifru_ifindex })
}

/// Hardware type, `ARPHRD_*` (`SIOCGIFHWADDR`).
///
/// # Errors
/// `ENODEV` where there is no such interface.
pub fn hardware_type(fd: BorrowedFd, name: &[u8]) -> io::Result<u16> {
    let mut req = request(name);
    ioctl(fd, libc::SIOCGIFHWADDR as _, &mut req)?;
    // SAFETY: SIOCGIFHWADDR filled this member.
    Ok(unsafe { req.ifr_ifru.ifru_hwaddr.sa_family })
}

/// Interface flags, `IFF_*` (`SIOCGIFFLAGS`).
///
/// # Errors
/// `ENODEV` where there is no such interface.
pub fn flags(fd: BorrowedFd, name: &[u8]) -> io::Result<u32> {
    let mut req = request(name);
    ioctl(fd, libc::SIOCGIFFLAGS as _, &mut req)?;
    // SAFETY: SIOCGIFFLAGS filled this member.
    Ok(unsafe { req.ifr_ifru.ifru_flags } as u16 as u32)
}

/// Flags, `IFF_*`, of the interface with an index, whatever its name is now.
///
/// # Errors
/// `ENODEV` or `ENXIO` where there is no such interface any more.
pub fn flags_by_index(fd: BorrowedFd, index: i32) -> io::Result<u32> {
    let mut req = request(b"");
    req.ifr_ifru.ifru_ifindex = index;
    ioctl(fd, libc::SIOCGIFNAME as _, &mut req)?;
    ioctl(fd, libc::SIOCGIFFLAGS as _, &mut req)?;
    // SAFETY: SIOCGIFFLAGS filled this member.
    Ok(unsafe { req.ifr_ifru.ifru_flags } as u16 as u32)
}

/// MTU in bytes (`SIOCGIFMTU`).
///
/// # Errors
/// `ENODEV` where there is no such interface.
pub fn mtu(fd: BorrowedFd, name: &[u8]) -> io::Result<i32> {
    let mut req = request(name);
    ioctl(fd, libc::SIOCGIFMTU as _, &mut req)?;
    // SAFETY: SIOCGIFMTU filled this member.
    Ok(unsafe { req.ifr_ifru.ifru_mtu })
}

/// IPv4 address or netmask (`SIOCGIFADDR`, `SIOCGIFNETMASK`).
fn inet(fd: BorrowedFd, name: &[u8], what: libc::c_ulong) -> io::Result<std::net::Ipv4Addr> {
    let mut req = request(name);
    req.ifr_ifru.ifru_addr.sa_family = libc::AF_INET as libc::sa_family_t;
    ioctl(fd, what, &mut req)?;
    // SAFETY: the ioctl filled this member with a `struct sockaddr_in`.
    let data = unsafe { req.ifr_ifru.ifru_addr.sa_data };
    let octet = |i: usize| data[2 + i] as u8;
    Ok([octet(0), octet(1), octet(2), octet(3)].into())
}

/// IPv4 address (`SIOCGIFADDR`); `fd` must be an `AF_INET` socket.
///
/// # Errors
/// `EADDRNOTAVAIL` where the interface has none, `ENODEV` where there is no such interface.
pub fn inet_addr(fd: BorrowedFd, name: &[u8]) -> io::Result<std::net::Ipv4Addr> {
    inet(fd, name, libc::SIOCGIFADDR as _)
}

/// IPv4 netmask (`SIOCGIFNETMASK`); `fd` must be an `AF_INET` socket.
///
/// # Errors
/// As [`inet_addr`].
pub fn inet_netmask(fd: BorrowedFd, name: &[u8]) -> io::Result<std::net::Ipv4Addr> {
    inet(fd, name, libc::SIOCGIFNETMASK as _)
}

/// An `AF_INET` datagram socket, for [`inet_addr`].
///
/// # Errors
/// What socket(2) failed with.
pub fn inet_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ethtool_value(fd: BorrowedFd, name: &[u8], cmd: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { cmd, data: 0 };
    let mut req = request(name);
    req.ifr_ifru.ifru_data = (&raw mut value).cast();
    ioctl(fd, libc::SIOCETHTOOL as _, &mut req)?;
    Ok(value.data)
}

/// Whether the interface has a link (`ETHTOOL_GLINK`).
///
/// # Errors
/// `EOPNOTSUPP` where the driver cannot tell.
pub fn link_detected(fd: BorrowedFd, name: &[u8]) -> io::Result<bool> {
    ethtool_value(fd, name, ETHTOOL_GLINK).map(|data| data != 0)
}

/// Whether segmentation or reassembly in the interface can make packets longer than its MTU.
///
/// # Errors
/// The command that failed, and how; a driver that does not know a command has no such feature.
pub fn offloads(fd: BorrowedFd, name: &[u8]) -> Result<bool, (&'static str, io::Error)> {
    let commands = [
        ("ETHTOOL_GTSO", ETHTOOL_GTSO, u32::MAX),
        ("ETHTOOL_GGSO", ETHTOOL_GGSO, u32::MAX),
        ("ETHTOOL_GFLAGS", ETHTOOL_GFLAGS, ETH_FLAG_LRO),
        ("ETHTOOL_GGRO", ETHTOOL_GGRO, u32::MAX),
        ("ETHTOOL_GUFO", ETHTOOL_GUFO, u32::MAX),
    ];
    for (what, cmd, mask) in commands {
        match ethtool_value(fd, name, cmd) {
            Ok(data) if data & mask != 0 => return Ok(true),
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {}
            Err(e) => return Err((what, e)),
        }
    }
    Ok(false)
}

/// Time stamping abilities (`ETHTOOL_GET_TS_INFO`).
///
/// # Errors
/// `EOPNOTSUPP` or `EINVAL` where the kernel cannot tell, `ENODEV`.
pub fn ts_info(fd: BorrowedFd, name: &[u8]) -> io::Result<TsInfo> {
    let mut info = TsInfo { cmd: ETHTOOL_GET_TS_INFO, ..TsInfo::default() };
    let mut req = request(name);
    req.ifr_ifru.ifru_data = (&raw mut info).cast();
    ioctl(fd, libc::SIOCETHTOOL as _, &mut req)?;
    Ok(info)
}

/// Asks the interface for hardware time stamps (`SIOCSHWTSTAMP`).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`, `EOPNOTSUPP` or `ERANGE` where the driver cannot.
pub fn set_hw_tstamp(fd: BorrowedFd, name: &[u8], config: &mut HwTstampConfig) -> io::Result<()> {
    let mut req = request(name);
    req.ifr_ifru.ifru_data = (&raw mut *config).cast();
    ioctl(fd, libc::SIOCSHWTSTAMP as _, &mut req)
}

/// Path of a file of an interface in sysfs.
fn sysfs(name: &[u8], file: &str) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let mut path = std::path::PathBuf::from("/sys/class/net");
    path.push(std::ffi::OsStr::from_bytes(name));
    path.push(file);
    path
}

/// Whether sysfs has `file` for the interface.
pub fn has_sysfs(name: &[u8], file: &str) -> bool {
    is_plain_name(name) && sysfs(name, file).exists()
}

/// Text of a sysfs file of the interface, without the line end.
pub fn read_sysfs(name: &[u8], file: &str) -> Option<String> {
    if !is_plain_name(name) {
        return None;
    }
    let text = std::fs::read_to_string(sysfs(name, file)).ok()?;
    Some(text.trim_end().to_owned())
}

/// Opens a sysfs file of the interface for reading.
///
/// # Errors
/// `ENOENT` where there is no such file.
pub fn open_sysfs(name: &[u8], file: &str) -> io::Result<std::fs::File> {
    if !is_plain_name(name) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    std::fs::File::open(sysfs(name, file))
}

/// No path trick: what is not one file name is no interface's name.
fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}
