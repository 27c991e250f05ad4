//! `pcap_t`: a [`Handle`] and what only C needs of it.

use super::boundary::{ErrorBuffer, guard};
use super::types::{pcap_pkthdr, pcap_samp};
use crate::error::{Error, status};
use crate::handle::{Batch, Breaker, Handle};
use crate::raw_text;
use std::ffi::c_int;

/// `pcap_t`.
///
/// Programs hold it by a raw pointer. A call borrows `core` no longer than it runs, and never
/// across a callback. `breaker` stands apart because `pcap_breakloop` uses it from other threads
/// and from signal handlers while a loop has `core`.
pub struct pcap_t {
    pub(super) breaker: Breaker,
    pub(super) core: Core,
}

/// All of a [`pcap_t`] that belongs to one thread at a time.
pub struct Core {
    pub(super) handle: Handle,
    /// Packets that lie ready. Loops take them from here without borrowing the rest.
    pub(super) batch: Batch,
    pub(super) errbuf: ErrorBuffer,
    /// What `pcap_next_ex` gives a pointer to.
    pub(super) header: pcap_pkthdr,
    /// What `pcap_setsampling` gives a pointer to.
    pub(super) sampling: pcap_samp,
    /// What `pcap_get_required_select_timeout` gives a pointer to.
    pub(super) select_timeout: libc::timeval,
    pub(super) loops: Loops,
}

/// Which packet loop runs on a handle, for a `pcap_close` from its callback.
pub struct Loops {
    /// An address in the outermost loop's stack frame, and its thread.
    outermost: Option<(usize, libc::pthread_t)>,
    /// Closed meanwhile: the outermost loop frees the handle.
    pub(super) closed: bool,
}

impl Loops {
    /// A loop begins whose stack frame holds `frame`; whether it is the outermost.
    pub(super) fn enter(&mut self, frame: usize) -> bool {
        let outermost = !self.running(frame);
        if outermost {
            self.outermost = Some((frame, this_thread()));
        }
        outermost
    }

    /// The outermost loop ends.
    pub(super) fn leave(&mut self) {
        self.outermost = None;
    }

    /// Whether a loop is under way, seen from a stack frame that holds `frame`.
    ///
    /// A callback may have left its loop by `longjmp` or by unwinding. Stacks grow downwards, so a
    /// loop of this thread whose frame lies below ours is gone.
    pub(super) fn running(&self, frame: usize) -> bool {
        self.outermost
            .is_some_and(|(outermost, thread)| thread != this_thread() || outermost > frame)
    }
}

fn this_thread() -> libc::pthread_t {
    // SAFETY: no preconditions.
    unsafe { libc::pthread_self() }
}

impl pcap_t {
    /// A handle for C, to be freed by [`free`].
    pub(super) fn into_raw(handle: Handle) -> *mut Self {
        Box::into_raw(Box::new(Self {
            breaker: Breaker::default(),
            core: Core {
                handle,
                batch: Batch::EMPTY,
                errbuf: ErrorBuffer::EMPTY,
                header: pcap_pkthdr::ZERO,
                sampling: pcap_samp { method: 0, value: 0 },
                select_timeout: libc::timeval { tv_sec: 0, tv_usec: 0 },
                loops: Loops { outermost: None, closed: false },
            },
        }))
    }
}

impl Core {
    /// Stores the text of an error and gives its status.
    pub(super) fn fail(&mut self, error: &Error) -> c_int {
        let text = error.to_string();
        if text.is_empty() {
            self.errbuf.set(super::text::status_text(error.status()).as_bytes());
        } else {
            self.errbuf.set(&raw_text::restore(&text));
        }
        error.status()
    }

    /// The handle, for what changes which packets it gives, or how: none is read ahead.
    pub(super) fn nothing_ahead(&mut self) -> &mut Handle {
        self.handle.put_back(&mut self.batch);
        &mut self.handle
    }
}

/// Frees a handle and all that belongs to it.
///
/// # Safety
/// `p` came from [`pcap_t::into_raw`] and is not used any more.
pub unsafe fn free(p: *mut pcap_t) {
    // SAFETY: the caller vouches for it.
    let handle = unsafe { Box::from_raw(p) };
    // A panic in a destructor has nobody left to tell.
    let _ = guard(move || drop(handle));
}

/// Runs `f` on a handle: its error or panic goes to the handle's error buffer, its status to the
/// caller. A NULL handle is `PCAP_ERROR`.
///
/// # Safety
/// `p` is NULL or an open handle that no other thread uses meanwhile (`pcap_breakloop` apart).
pub unsafe fn run(
    p: *mut pcap_t,
    f: impl FnOnce(&mut Core, &Breaker) -> Result<c_int, Error>,
) -> c_int {
    if p.is_null() {
        return status::ERROR;
    }
    // SAFETY: an open handle, borrowed for this call alone; the fields are disjoint.
    let (core, breaker) = unsafe { (&mut (*p).core, &(*p).breaker) };
    match guard(|| f(core, breaker).map_err(|e| core.fail(&e))) {
        Ok(Ok(value)) => value,
        Ok(Err(status)) => status,
        Err(text) => {
            core.errbuf.set(text.as_bytes());
            status::ERROR
        }
    }
}

/// Runs `f` on a handle that may say `None`: that is `PCAP_ERROR_NOT_ACTIVATED`, and leaves the
/// error text alone.
///
/// # Safety
/// As for [`run`].
pub unsafe fn ask(p: *mut pcap_t, f: impl FnOnce(&mut Core) -> Option<c_int>) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| Ok(f(core).unwrap_or(status::NOT_ACTIVATED))) }
}
