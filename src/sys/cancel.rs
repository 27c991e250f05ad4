//! Thread cancellation (pthread_cancel(3)) kept away from our frames.
//!
//! A cancelled thread is unwound from the next cancellation point, and read(2) and write(2) are
//! such points. Unwinding must not run into `catch_unwind`, which would end the process.

use std::ffi::c_int;

const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// Restores the state also when `f` panics.
struct Restore(c_int);

impl Drop for Restore {
    fn drop(&mut self) {
        let mut disabled = 0;
        // SAFETY: a state that this function gave, and room for the present one.
        unsafe { pthread_setcancelstate(self.0, &mut disabled) };
    }
}

/// Runs `f`; a cancellation of the thread waits for the next cancellation point after it.
pub fn deferred<T>(f: impl FnOnce() -> T) -> T {
    let mut before = 0;
    // SAFETY: a valid state and room for the old one; it does not fail.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
    let _restore = Restore(before);
    f()
}
