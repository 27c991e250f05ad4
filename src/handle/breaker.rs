//! `pcap_breakloop`'s side of a handle.

use crate::capture::Waker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The request to end a loop, shared with other threads and signal handlers.
#[derive(Default)]
pub struct Breaker {
    requested: AtomicBool,
    waker: OnceLock<Arc<dyn Waker>>,
}

impl Breaker {
    /// Asks for the loop to end and wakes a reader that sleeps. Async-signal-safe.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Whether the loop is to end; the request stays.
    #[inline(always)]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Whether the loop is to end; the request is gone afterwards.
    pub fn take(&self) -> bool {
        // A plain load first: this runs once a packet.
        self.is_requested() && self.requested.swap(false, Ordering::AcqRel)
    }

    /// Says how to wake a reader; the first waker stays.
    pub(super) fn set_waker(&self, waker: Arc<dyn Waker>) {
        // A handle is activated once, so there is no second waker to lose.
        let _ = self.waker.set(waker);
    }
}
