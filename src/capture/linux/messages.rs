//! A [`Backend`] over sources that hand over one message at a time: D-Bus, Bluetooth's monitor.

use super::{failure, failure_with};
use crate::bpf::{Aux, Filter, Preference, Program};
use crate::capture::breakloop::EventWaker;
use crate::capture::{
    Activated, Backend, CaptureError, Config, Direction, Fill, Placement, Progress, Stats, Waker,
};
use crate::filter::LiveTarget;
use crate::linktype::Dlt;
use crate::packet::{PacketHeader, RawPacket};
use crate::sys::poll::{Wait, Woken};
use crate::timestamp::{Precision, Timestamp};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

/// A message of a [`MessageSource`].
pub(super) struct Message {
    /// When it came, nanoseconds since the epoch.
    pub time_ns: i64,
    /// Bytes stored in the room, and bytes it had.
    pub caplen: usize,
    pub len: usize,
}

/// Where messages come from.
pub(super) trait MessageSource: AsFd + Send {
    /// Link-layer type of the messages.
    const LINKTYPE: Dlt;
    /// Why its filters run in userland, for people.
    const NO_KERNEL_FILTER: &'static str;
    /// Why nonblocking mode is refused; `None` where it is not.
    const BLOCKS: Option<&'static str> = None;
    /// Whether the descriptor is for programs to wait on.
    const SELECTABLE: bool = true;

    /// Takes a message into the room, if one is there.
    fn receive(&mut self, room: &mut [u8]) -> Result<Option<Message>, CaptureError>;
    /// Sends one; returns the bytes sent.
    fn send(&mut self, message: &[u8]) -> Result<usize, CaptureError>;
}

/// An activated source of messages.
struct Messages<S> {
    source: S,
    snaplen: u32,
    room: Box<[u8]>,
    /// The packet taken last.
    packet: RawPacket,
    /// The message in the room that was not handed out yet.
    ready: Option<Message>,
    precision: Precision,
    timeout_ms: i32,
    nonblock: bool,
    filter: Option<Filter>,
    stats: Stats,
    waker: Arc<EventWaker>,
}

/// Makes a live handle of a source.
pub(super) fn activate<S: MessageSource + 'static>(
    config: &Config,
    source: S,
) -> Result<Activated, CaptureError> {
    let waker = EventWaker::new().map_err(|e| failure_with("could not open eventfd", e))?;
    let snaplen = super::snaplen(config);
    let backend = Messages {
        source,
        snaplen,
        room: vec![0; snaplen as usize].into(),
        packet: RawPacket::NONE,
        ready: None,
        precision: config.precision,
        timeout_ms: config.timeout_ms,
        nonblock: config.nonblock && S::BLOCKS.is_none(),
        filter: None,
        stats: Stats::default(),
        waker: Arc::new(waker),
    };
    Ok(Activated { backend: Box::new(backend), warning: 0, message: String::new() })
}

impl<S: MessageSource> Messages<S> {
    /// Takes messages until one passes the filter.
    fn receive(&mut self) -> Result<bool, CaptureError> {
        while let Some(message) = self.source.receive(&mut self.room)? {
            let data = &self.room[..message.caplen];
            let accepted = |f: &Filter| f.run(data, message.len as u32, &Aux::NONE) != 0;
            if self.filter.as_ref().is_none_or(accepted) {
                self.stats.received = self.stats.received.wrapping_add(1);
                self.ready = Some(message);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn stamp(&self, ns: i64) -> Timestamp {
        const SECOND: i64 = 1_000_000_000;
        let unit = if self.precision == Precision::Nano { 1 } else { 1000 };
        Timestamp { sec: ns.div_euclid(SECOND), frac: ns.rem_euclid(SECOND) / unit }
    }
}

impl<S: MessageSource> Backend for Messages<S> {
    fn linktype(&self) -> Dlt {
        S::LINKTYPE
    }

    fn linktypes(&self) -> &[Dlt] {
        &[]
    }

    fn set_linktype(&mut self, _dlt: Dlt) -> Result<(), CaptureError> {
        Ok(())
    }

    fn snaplen(&self) -> i32 {
        self.snaplen as i32
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn live_target(&self) -> LiveTarget {
        LiveTarget::default()
    }

    fn advance(&mut self, woken: Option<Woken>) -> Result<Progress, CaptureError> {
        match woken {
            None | Some(Woken::Descriptor(_)) => {}
            Some(Woken::Timeout) => return Ok(Progress::Done(Fill::Empty)),
            Some(Woken::Signal) => return Ok(Progress::Done(Fill::Interrupted)),
            Some(Woken::Event) => {
                self.waker.event().clear();
                return Ok(Progress::Done(Fill::Interrupted));
            }
            Some(Woken::Failed(errno)) => {
                return Err(failure_with("poll", std::io::Error::from_raw_os_error(errno)));
            }
        }
        if self.ready.is_some() || self.receive()? {
            return Ok(Progress::Done(Fill::Ready));
        }
        if self.nonblock {
            return Ok(Progress::Done(Fill::Empty));
        }
        let timeout = if self.timeout_ms > 0 { self.timeout_ms } else { -1 };
        Ok(Progress::Wait(Wait::ready(self.source.as_fd(), self.waker.event(), timeout)))
    }

    fn take(&mut self) -> &[RawPacket] {
        let Some(message) = self.ready.take() else { return &[] };
        let header = PacketHeader {
            ts: self.stamp(message.time_ns),
            caplen: message.caplen as u32,
            len: message.len as u32,
        };
        self.packet = RawPacket { header, data: self.room.as_ptr() };
        std::slice::from_ref(&self.packet)
    }

    fn inject(&mut self, frame: &[u8]) -> Result<usize, CaptureError> {
        self.source.send(frame)
    }

    fn stats(&mut self) -> Result<Stats, CaptureError> {
        Ok(self.stats)
    }

    fn set_filter(&mut self, program: &Program) -> Result<(), CaptureError> {
        // Compiled now, not in a sandbox that the process may enter later.
        self.filter = Some(Filter::with_preference(program, Preference::Native));
        Ok(())
    }

    fn filter_placement(&self) -> Placement {
        match self.filter {
            None => Placement::default(),
            Some(_) => Placement::userland(S::NO_KERNEL_FILTER),
        }
    }

    fn set_direction(&mut self, _direction: Direction) -> Result<(), CaptureError> {
        Err(failure("Setting direction is not supported on this device"))
    }

    fn nonblock(&self) -> Result<bool, CaptureError> {
        Ok(self.nonblock)
    }

    fn set_nonblock(&mut self, on: bool) -> Result<(), CaptureError> {
        if let (true, Some(why)) = (on, S::BLOCKS) {
            return Err(failure(why));
        }
        self.nonblock = on;
        Ok(())
    }

    fn fileno(&self) -> RawFd {
        self.selectable_fd()
    }

    fn selectable_fd(&self) -> RawFd {
        if S::SELECTABLE { self.source.as_fd().as_raw_fd() } else { -1 }
    }

    fn waker(&self) -> Arc<dyn Waker> {
        self.waker.clone()
    }
}
