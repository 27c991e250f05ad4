//! The packet loop, once for savefiles and live sources.
//!
//! A state machine: each [`Handle::step`](super::Handle::step) yields a packet, a wait to be done, or
//! the loop's result. The caller runs the program's callback between steps, when nothing here is borrowed,
//! so that a callback may use the handle, close it, or never return.

use crate::error::status;
use crate::packet::RawPacket;
use crate::sys::poll::{Wait, Woken};

/// How far a loop has come. Plain data: it may be forgotten at any time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    kind: Kind,
    limit: Option<u32>,
    count: u32,
    woken: Option<Woken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One packet, whose bytes outlive the step: nobody steps on to the end.
    Single,
    /// One batch.
    Dispatch,
    /// Until the limit, the end of the file, an error or a break.
    Loop,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A packet for the callback.
    Packet(RawPacket),
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
        Self { kind, limit: u32::try_from(limit).ok().filter(|&n| n > 0), count: 0, woken: None }
    }

    pub(super) fn is_single(&self) -> bool {
        self.kind == Kind::Single
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

    pub(super) fn limit_reached(&self) -> bool {
        self.limit.is_some_and(|limit| self.count >= limit)
    }

    pub(super) fn has_packets(&self) -> bool {
        self.count > 0
    }

    /// Counts a packet. Without a limit the count stops at the largest that can be returned.
    pub(super) fn packet(&mut self, packet: RawPacket) -> Step {
        self.count_packet();
        Step::Packet(packet)
    }

    pub(super) fn count_packet(&mut self) {
        self.count = (self.count + 1).min(i32::MAX as u32);
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
