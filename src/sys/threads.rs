//! Whether the process has other threads.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// The C library's flag, glibc 2.32 and later: not 0 while the process surely has one thread.
/// Before the first look it is [`UNKNOWN`], and `MANY` where there is none.
static FLAG: AtomicPtr<AtomicU8> = AtomicPtr::new((&raw const UNKNOWN).cast_mut());
static UNKNOWN: AtomicU8 = AtomicU8::new(0);
static MANY: AtomicU8 = AtomicU8::new(0);

/// Whether no other thread runs, so that nothing need be locked. False where the C library does
/// not tell, and always at the first call.
#[inline]
pub fn is_alone() -> bool {
    let flag = FLAG.load(Ordering::Relaxed);
    if ptr::eq(flag, &raw const UNKNOWN) {
        find();
        return false;
    }
    // SAFETY: one of the above, or the C library's, which stays; a byte that another thread may
    // write only when there is another one.
    unsafe { (*flag).load(Ordering::Relaxed) != 0 }
}

#[cold]
fn find() {
    let name: *const c_char = c"__libc_single_threaded".as_ptr();
    // SAFETY: a C string; looks through what is loaded.
    let found: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
    let flag = if found.is_null() { (&raw const MANY).cast_mut() } else { found.cast() };
    FLAG.store(flag, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_have_threads() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                is_alone();
                assert!(!is_alone());
            });
        });
    }
}
