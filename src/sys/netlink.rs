//! Netlink sockets of the netfilter family.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A netlink socket for netfilter's log and queue.
///
/// # Errors
/// `EPROTONOSUPPORT` where the kernel has no such family, `EPERM` and the like.
pub fn netfilter_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_NETFILTER) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
