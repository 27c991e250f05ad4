//! Clocks and short sleeps.

use std::time::Duration;

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; these clocks always exist on Linux.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now
}

/// Nanoseconds since the Unix epoch.
pub fn realtime_ns() -> i64 {
    let now = read(libc::CLOCK_REALTIME);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Time since an arbitrary start that never goes back.
pub fn monotonic() -> Duration {
    let now = read(libc::CLOCK_MONOTONIC);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Sleeps for `pause` (less than an hour); whether a signal handler ended it early.
pub fn nap(pause: Duration) -> bool {
    let pause = timespec(pause);
    // SAFETY: `pause` is readable; the remainder is not asked for.
    unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) == -1 }
}

/// Waits for `fd` to be readable, not longer than `pause`; whether a signal handler ended it.
pub fn wait_readable(fd: std::os::fd::RawFd, pause: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let pause = timespec(pause);
    // SAFETY: one pollfd, a readable timespec, no signal mask.
    unsafe { libc::ppoll(&mut poll, 1, &pause, std::ptr::null()) == -1 }
}

fn timespec(pause: Duration) -> libc::timespec {
    let secs = pause.as_secs().min(3600);
    libc::timespec { tv_sec: secs as libc::time_t, tv_nsec: pause.subsec_nanos().into() }
}
