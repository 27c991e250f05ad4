//! The packet loop, once for savefiles and live sources.
//!
//! A state machine: each [`Handle::step`](super::Handle::step) yields a batch of packets, a wait to be
//! done, or the loop's result. The caller runs the program's callbacks between steps, when nothing
//! here is borrowed, so that a callback may use the handle, close it, or never return.

use crate::error::status;
use crate::sys::poll::{Wait, Woken};

/// How far a loop has come. Plain data: it may be forgotten at any time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    kind: Kind,
    /// Packets to read; `u32::MAX` for no limit.
    limit: u32,
    /// Packets handed out, at most the largest number that can be returned.
    count: u32,
    woken: Option<Woken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One packet: nobody steps on to the end.
    Single,
    /// One batch.
    Dispatch,
    /// Until the limit, the end of the file, an error or a break.
    Loop,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// There are packets in the batch.
    Packets,
    /// Nothing to do before this wait is over: do it, then [`Reading::resume`].
    Wait(Wait),
    /// The end: what `pcap_dispatch` or `pcap_loop` return, 0 or more, or `PCAP_ERROR_BREAK`.
    Done(i32),
}

impl Reading {
    /// `pcap_next` and `pcap_next_ex`: one step, which gives a packet or says that there is none.
    pub fn single() -> Self {
        Self::new(Kind::Single, 1)
    }

    /// `pcap_dispatch`: one batch, at most `limit` packets if that is above 0.
    pub fn dispatch(limit: i32) -> Self {
        Self::new(Kind::Dispatch, limit)
    }

    /// `pcap_loop`: `limit` packets, or without end if that is 0 or less.
    pub fn until_done(limit: i32) -> Self {
        Self::new(Kind::Loop, limit)
    }

    fn new(kind: Kind, limit: i32) -> Self {
        let limit = u32::try_from(limit).ok().filter(|&n| n > 0).unwrap_or(u32::MAX);
        Self { kind, limit, count: 0, woken: None }
    }

    /// Goes on after a wait with what came of it.
    pub fn resume(&mut self, woken: Woken) {
        self.woken = Some(woken);
    }

    /// What came of the wait that was asked for last, told once.
    pub(super) fn woken(&mut self) -> Option<Woken> {
        self.woken.take()
    }

    pub(super) fn is_loop(&self) -> bool {
        self.kind == Kind::Loop
    }

    /// Packets that may still be handed out.
    #[inline]
    pub fn left(&self) -> u32 {
        self.limit - self.count.min(self.limit)
    }

    /// Counts packets handed out, no more than [`Reading::left`].
    #[inline]
    pub fn count(&mut self, packets: u32) {
        self.count = self.count.saturating_add(packets).min(i32::MAX as u32);
    }

    pub(super) fn limit_reached(&self) -> bool {
        self.left() == 0
    }

    pub(super) fn has_packets(&self) -> bool {
        self.count > 0
    }

    /// The end, not by a break: a dispatch says how many packets it saw, a loop 0.
    pub(super) fn done(&self) -> Step {
        Step::Done(if self.is_loop() { 0 } else { self.count as i32 })
    }

    /// What a loop returns whose callback closed the handle: as after a break, unless it was done.
    pub fn after_close(&self) -> i32 {
        match self.done() {
            Step::Done(result) if self.limit_reached() => result,
            _ => status::BREAK,
        }
    }
}
