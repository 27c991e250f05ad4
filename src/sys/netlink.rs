//! Netlink sockets of the netfilter family.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A netlink socket for netfilter's log and queue.
#[derive(Debug)]
pub struct NetfilterSocket(OwnedFd);

impl AsFd for NetfilterSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl NetfilterSocket {
    /// A new one.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` where the kernel has no such family, `EPERM` and the like.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Asks for a receive buffer of so many bytes.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn set_receive_buffer(&self, bytes: i32) -> io::Result<()> {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_RCVBUF);
        let value = (&raw const bytes).cast();
        // SAFETY: four readable bytes.
        let status = unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, value, 4) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends messages to the kernel.
    ///
    /// # Errors
    /// What sendto(2) failed with.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        // SAFETY: all zero bytes are a valid sockaddr_nl, which lacks only its family.
        let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        kernel.nl_family = libc::AF_NETLINK as u16;
        let (to, to_len) = ((&raw const kernel).cast(), size_of_val(&kernel) as libc::socklen_t);
        let (fd, len) = (self.0.as_raw_fd(), messages.len());
        loop {
            // SAFETY: `messages` and `kernel` are readable for the lengths given.
            let sent = unsafe { libc::sendto(fd, messages.as_ptr().cast(), len, 0, to, to_len) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Receives one datagram of messages; how many bytes. `wait` or fail with `EAGAIN`.
    ///
    /// # Errors
    /// What recv(2) failed with: `ENOBUFS` when the kernel had more than the buffer holds.
    pub fn receive(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
        let (fd, to, len) = (self.0.as_raw_fd(), room.as_mut_ptr(), room.len());
        // SAFETY: `room` is writable for its length.
        let got = unsafe { libc::recv(fd, to.cast(), len, flags) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }
}
