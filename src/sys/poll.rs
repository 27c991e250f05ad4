//! Waiting for a descriptor, and for someone to end the wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An eventfd(2): a descriptor that becomes readable when [`Event::raise`]d.
#[derive(Debug)]
pub struct Event(OwnedFd);

impl Event {
    /// A new one, not raised.
    ///
    /// # Errors
    /// What eventfd(2) failed with.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes it readable. Async-signal-safe: one write(2); `errno` is kept.
    pub fn raise(&self) {
        let one = 1u64;
        // SAFETY: errno's address is the calling thread's own.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; eight readable bytes are written. A full counter is raised already.
        unsafe {
            let before = *errno;
            libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8);
            *errno = before;
        }
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes; the descriptor does not block.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The time is over.
    Timeout,
    /// The descriptor has these `POLL*` bits.
    Descriptor(i16),
    /// The event was raised; it is cleared now.
    Event,
    /// A signal handler ran.
    Signal,
}

/// Waits until `fd` is readable or has an error, `event` is raised, or `timeout_ms` is over
/// (negative: never).
///
/// # Errors
/// What poll(2) failed with, other than `EINTR`.
pub fn wait(fd: BorrowedFd, event: &Event, timeout_ms: i32) -> io::Result<Woken> {
    let on = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut fds = [on(fd.as_raw_fd()), on(event.0.as_raw_fd())];
    // SAFETY: two pollfds.
    let count = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout_ms) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EINTR) => Ok(Woken::Signal),
            _ => Err(error),
        };
    }
    if fds[1].revents != 0 {
        event.clear();
        return Ok(Woken::Event);
    }
    Ok(if count == 0 { Woken::Timeout } else { Woken::Descriptor(fds[0].revents) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn event_ends_a_wait_once() {
        let (idle, event) = (Event::new().unwrap(), Event::new().unwrap());
        event.raise();
        event.raise();
        assert_eq!(wait(idle.0.as_fd(), &event, -1).unwrap(), Woken::Event);
        assert_eq!(wait(idle.0.as_fd(), &event, 0).unwrap(), Woken::Timeout);
        idle.raise();
        assert_eq!(wait(idle.0.as_fd(), &event, -1).unwrap(), Woken::Descriptor(libc::POLLIN));
    }
}
