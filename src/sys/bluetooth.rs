//! Bluetooth's monitor channel: what passes between the host and its adapters.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `AF_BLUETOOTH`, `BTPROTO_HCI`, `HCI_DEV_NONE` and `HCI_CHANNEL_MONITOR` of the kernel's
/// net/bluetooth headers.
const AF_BLUETOOTH: libc::c_int = libc::AF_BLUETOOTH;
const BTPROTO_HCI: libc::c_int = 1;
const HCI_DEV_NONE: u16 = 0xffff;
const HCI_CHANNEL_MONITOR: u16 = 2;
/// Room for a time stamp.
const CONTROL: usize = 64;

/// `struct sockaddr_hci`.
#[repr(C)]
struct SockaddrHci {
    family: u16,
    dev: u16,
    channel: u16,
}

/// A socket whose datagrams are messages of the monitor channel.
#[derive(Debug)]
pub struct MonitorSocket(OwnedFd);

impl AsFd for MonitorSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl MonitorSocket {
    /// A new one, not attached.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the kernel has no Bluetooth.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(AF_BLUETOOTH, libc::SOCK_RAW, BTPROTO_HCI) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Attaches it to the monitor channel.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn attach(&self) -> io::Result<()> {
        let addr = SockaddrHci {
            family: AF_BLUETOOTH as u16,
            dev: HCI_DEV_NONE,
            channel: HCI_CHANNEL_MONITOR,
        };
        let len = size_of_val(&addr) as libc::socklen_t;
        // SAFETY: `addr` outlives the call and its size is given.
        check(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const addr).cast(), len) })
    }

    /// Asks for the kernel's time stamp with every message.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn set_timestamps(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        let value = (&raw const on).cast();
        // SAFETY: four readable bytes.
        check(unsafe {
            let fd = self.0.as_raw_fd();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, 4)
        })
    }

    /// Takes a message without waiting: its bytes go to `head` and then to `rest`. Its length,
    /// which may exceed both, and when it came, nanoseconds since the epoch.
    ///
    /// # Errors
    /// What recvmsg(2) failed with, `EAGAIN` when there is none.
    pub fn receive(&self, head: &mut [u8], rest: &mut [u8]) -> io::Result<(usize, Option<i64>)> {
        let part = |bytes: &mut [u8]| libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let mut parts = [part(head), part(rest)];
        let mut control = [0u64; CONTROL / 8];
        // SAFETY: all zero bytes are a valid msghdr.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = parts.as_mut_ptr();
        header.msg_iovlen = parts.len();
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the header points to live buffers with their true sizes.
        let got = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut header, flags) };
        let len = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        Ok((len, stamp(&header)))
    }
}

/// The time stamp among the control messages.
fn stamp(header: &libc::msghdr) -> Option<i64> {
    // SAFETY: a header that recvmsg filled.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give headers that lie in the buffer.
        let control = unsafe { *at };
        if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) {
            // SAFETY: the kernel stored a timespec behind the header.
            let ts = unsafe { libc::CMSG_DATA(at).cast::<libc::timespec>().read_unaligned() };
            return Some(ts.tv_sec * 1_000_000_000 + ts.tv_nsec);
        }
        // SAFETY: `at` lies in the control buffer of this header.
        at = unsafe { libc::CMSG_NXTHDR(header, at) };
    }
    None
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A pair of sockets, one in the place of the kernel.
#[cfg(test)]
pub fn pair() -> (std::os::unix::net::UnixDatagram, MonitorSocket) {
    let (kernel, ours) = std::os::unix::net::UnixDatagram::pair().expect("a pair of sockets");
    (kernel, MonitorSocket(ours.into()))
}
