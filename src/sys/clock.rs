//! Clocks.

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
