//! What functions return that lasts until the thread asks for the next one, or ends. (libpcap has static
//! buffers, one for all threads.)
//!
//! A thread has no more than a pointer to it: glibc has 512 bytes at a fixed distance from the thread pointer
//! for libraries that `dlopen` loads, and the filters' table must lie there.

use super::boundary::ErrorBuffer;
use super::names::{HostAddresses, pcap_etherent};
use std::cell::Cell;
use std::ffi::CString;
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// By the functions that return it.
pub(super) struct Kept {
    /// `pcap_strerror`, `bpf_image` and others.
    pub text: ErrorBuffer,
    /// `pcap_lookupdev`.
    pub device: CString,
    /// `pcap_nametoaddr`.
    pub host: HostAddresses,
    /// `pcap_next_etherent`.
    pub etherent: pcap_etherent,
}

// SAFETY: the pointers in it point to what it owns.
unsafe impl Send for Kept {}

impl Kept {
    fn new() -> Self {
        let etherent = pcap_etherent { addr: [0; 6], name: [0; 122] };
        let (device, host) = (CString::default(), HostAddresses::default());
        Self { text: ErrorBuffer::EMPTY, device, host, etherent }
    }
}

thread_local! {
    static KEPT: Cell<*mut Kept> = const { Cell::new(ptr::null_mut()) };
    static OWNER: Owner = const { Owner };
}

/// For threads that have freed theirs and ask once more while they end.
static SPARE: Mutex<Option<Kept>> = Mutex::new(None);

/// Frees what a thread has when it ends. The main thread's stays until the process ends: functions
/// given to `atexit` may still read it.
struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: no arguments.
        let is_main = unsafe { libc::getpid() == libc::syscall(libc::SYS_gettid) as libc::pid_t };
        if !is_main {
            let kept = KEPT.replace(ptr::null_mut());
            // SAFETY: made by `kept`, or NULL.
            drop((!kept.is_null()).then(|| unsafe { Box::from_raw(kept) }));
        }
    }
}

/// Changes what the thread keeps; pointers into it may be returned.
pub(super) fn kept<R>(change: impl FnOnce(&mut Kept) -> R) -> R {
    if KEPT.get().is_null() {
        if OWNER.try_with(|_| ()).is_err() {
            let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
            return change(spare.get_or_insert_with(Kept::new));
        }
        KEPT.set(Box::into_raw(Box::new(Kept::new())));
    }
    // SAFETY: this thread's alone, and no reference to it outlives `change`, which does not come here.
    change(unsafe { &mut *KEPT.get() })
}
