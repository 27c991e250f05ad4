//! Ending a wait from another thread or a signal handler.

use super::Waker;
use crate::sys::poll::Event;
use std::io;

/// A [`Waker`] for sources that wait in poll(2).
#[derive(Debug)]
pub(super) struct EventWaker(Event);

impl EventWaker {
    /// Makes the descriptor that waits listen on.
    ///
    /// # Errors
    /// What eventfd(2) failed with.
    pub fn new() -> io::Result<Self> {
        Event::new().map(Self)
    }

    /// What to wait on.
    pub fn event(&self) -> &Event {
        &self.0
    }
}

impl Waker for EventWaker {
    fn wake(&self) {
        self.0.raise();
    }
}
