//! Waiting for a descriptor, and for someone to end the wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

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
    /// The event was raised; it still is.
    Event,
    /// A signal handler ran.
    Signal,
    /// It failed, with this errno value.
    Failed(i32),
}

/// A wait still to be done. Plain data, so that whoever waits need not have the source borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until the descriptor is ready, the event is raised or the time is over.
    Ready {
        /// Descriptor to be readable or in error.
        fd: RawFd,
        /// Descriptor of an [`Event`].
        event: RawFd,
        /// Milliseconds; negative for ever.
        timeout_ms: i32,
    },
    /// For a while, shorter if there is a descriptor and it becomes readable.
    Nap(Duration, Option<RawFd>),
}

unsafe extern "C-unwind" {
    // Cancellation points: a cancelled thread leaves them by unwinding, which the declarations
    // of the libc crate rule out.
    fn poll(fds: *mut libc::pollfd, count: libc::nfds_t, timeout_ms: libc::c_int) -> libc::c_int;
    fn ppoll(
        fds: *mut libc::pollfd,
        count: libc::nfds_t,
        timeout: *const libc::timespec,
        mask: *const libc::sigset_t,
    ) -> libc::c_int;
}

impl Wait {
    /// Waits for `fd` or `event`, at most `timeout_ms` (negative: for ever).
    pub fn ready(fd: BorrowedFd, event: &Event, timeout_ms: i32) -> Self {
        Self::Ready { fd: fd.as_raw_fd(), event: event.0.as_raw_fd(), timeout_ms }
    }

    /// Does it. The thread may be cancelled here (pthread_cancel(3)), which unwinds the stack: no
    /// caller may hold a value with a destructor or catch what passes.
    pub fn block(self) -> Woken {
        match self {
            Self::Ready { fd, event, timeout_ms } => {
                let mut fds = [readable(fd), readable(event)];
                // SAFETY: two pollfds.
                let count = unsafe { poll(fds.as_mut_ptr(), 2, timeout_ms) };
                match count {
                    1.. if fds[1].revents != 0 => Woken::Event,
                    _ => outcome(count, fds[0].revents),
                }
            }
            Self::Nap(pause, fd) => {
                let mut fd = readable(fd.unwrap_or(-1));
                let secs = pause.as_secs().min(3600) as libc::time_t;
                let pause = libc::timespec { tv_sec: secs, tv_nsec: pause.subsec_nanos().into() };
                // SAFETY: one pollfd (a negative descriptor is passed over), a readable timespec,
                // no signal mask.
                let count = unsafe { ppoll(&mut fd, 1, &pause, std::ptr::null()) };
                outcome(count, fd.revents)
            }
        }
    }
}

fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

fn outcome(count: libc::c_int, revents: i16) -> Woken {
    match count {
        0 => Woken::Timeout,
        1.. => Woken::Descriptor(revents),
        _ => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => Woken::Signal,
            errno => Woken::Failed(errno.unwrap_or(0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn event_ends_a_wait_until_it_is_cleared() {
        let (idle, event) = (Event::new().unwrap(), Event::new().unwrap());
        let wait = |timeout_ms| Wait::ready(idle.0.as_fd(), &event, timeout_ms).block();
        event.raise();
        event.raise();
        assert_eq!(wait(-1), Woken::Event);
        event.clear();
        assert_eq!(wait(0), Woken::Timeout);
        idle.raise();
        assert_eq!(wait(-1), Woken::Descriptor(libc::POLLIN));
    }

    #[test]
    fn nap_ends_early_for_a_descriptor() {
        let event = Event::new().unwrap();
        let nap = |fd| Wait::Nap(Duration::from_millis(1), fd).block();
        assert_eq!(nap(None), Woken::Timeout);
        event.raise();
        assert_eq!(nap(Some(event.0.as_raw_fd())), Woken::Descriptor(libc::POLLIN));
    }
}
