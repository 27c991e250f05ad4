//! What a live source of packets must do. The packet loop lives once, in `handle`, above it.

use super::Placement;
use crate::bpf::Program;
use crate::linktype::Dlt;
use crate::packet::RawPacket;
use crate::sys::poll::{Wait, Woken};
use crate::timestamp::Precision;
use std::os::fd::{BorrowedFd, RawFd};

/// Settings of `pcap_set_*` before activation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Device name as given to `pcap_create` (`None` and `"any"` are the same).
    pub device: Option<Vec<u8>>,
    /// Snapshot length; 0 or less, or above `MAXIMUM_SNAPLEN` (262,144), means the maximum.
    pub snaplen: i32,
    /// Promiscuous mode.
    pub promisc: bool,
    /// 802.11 monitor mode.
    pub rfmon: bool,
    /// Packet buffer timeout in milliseconds: how long packets may be kept back, and, but for AF_PACKET, how
    /// long to wait for any; 0 for ever. Negative opens AF_PACKET sources in nonblocking mode, as libpcap does.
    pub timeout_ms: i32,
    /// Deliver packets as they arrive.
    pub immediate: bool,
    /// Kernel buffer in bytes; 0 is the default (2 MiB).
    pub buffer_size: u32,
    /// Time stamp type, `PCAP_TSTAMP_*`.
    pub tstamp_type: i32,
    /// Time stamp precision.
    pub precision: Precision,
    /// Ethernet protocol to bind to (`pcap_set_protocol_linux`), host order; 0 is all.
    pub protocol: i32,
    /// Nonblocking mode asked for before activation.
    pub nonblock: bool,
}

/// A failure of a live source: libpcap's status code and its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CaptureError {
    /// `PCAP_ERROR_*`, negative.
    pub status: i32,
    /// Text for `pcap_geterr`; may be empty where the status says all.
    pub message: String,
}

/// An activation that went well, perhaps with a warning.
pub struct Activated {
    /// The source.
    pub backend: Box<dyn Backend>,
    /// 0 or a positive `PCAP_WARNING_*`.
    pub warning: i32,
    /// Text that goes with it.
    pub message: String,
}

/// What [`Backend::fill`] came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Packets are ready for [`Backend::take`].
    Ready,
    /// The packet buffer timeout expired, or the source is nonblocking and has none.
    Empty,
    /// A signal or [`Waker::wake`] ended the wait; the caller looks at its break flag.
    Interrupted,
}

/// What [`Backend::advance`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The end of a fill.
    Done(Fill),
    /// Nothing yet: this wait must be done.
    Wait(Wait),
}

/// Which packets are wanted (`pcap_setdirection`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    InOut,
    /// Received by the host.
    In,
    /// Sent by the host.
    Out,
}

/// Counters of `pcap_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets that passed the filter.
    pub received: u32,
    /// Packets dropped for want of buffer space.
    pub dropped: u32,
    /// Packets dropped by the interface.
    pub if_dropped: u32,
}

/// Ends a sleeping [`Backend::fill`] from another thread or a signal handler.
pub trait Waker: Send + Sync {
    /// Async-signal-safe; may be called at any time, any number of times.
    fn wake(&self);
}

/// An activated live source.
///
/// Userland filtering, where the source cannot filter itself, is the backend's business:
/// packets that [`Backend::take`] gives have passed the filter. No method may allocate
/// or make a system call per packet.
pub trait Backend: Send {
    /// Current link-layer type.
    fn linktype(&self) -> Dlt;
    /// Types that [`Backend::set_linktype`] takes, the default first.
    fn linktypes(&self) -> &[Dlt];
    /// Changes the link-layer type; the caller has checked it against the list.
    fn set_linktype(&mut self, dlt: Dlt) -> Result<(), CaptureError>;
    /// Effective snapshot length.
    fn snaplen(&self) -> i32;
    /// `pcap_bufsize`: bytes of the largest unit the source reads at once.
    fn bufsize(&self) -> i32 {
        self.snaplen()
    }
    /// Precision of the time stamps it gives.
    fn precision(&self) -> Precision;
    /// How filters for it must be compiled.
    fn live_target(&self) -> crate::filter::LiveTarget;
    /// Makes packets ready without ever sleeping: where it would have to, it says how, and the
    /// caller does it and calls again with what came of it.
    ///
    /// The wait is the caller's so that a thread can be cancelled in it (see [`Wait::block`]).
    fn advance(&mut self, woken: Option<Woken>) -> Result<Progress, CaptureError>;
    /// Makes packets ready: waits no longer than the timeout, not at all when nonblocking.
    fn fill(&mut self) -> Result<Fill, CaptureError> {
        let mut woken = None;
        loop {
            match self.advance(woken)? {
                Progress::Done(fill) => return Ok(fill),
                Progress::Wait(wait) => woken = Some(wait.block()),
            }
        }
    }
    /// Takes packets that are ready; none when [`Backend::fill`] must be called again. They and
    /// their bytes stay valid until the next call of either, or of [`Backend::release`].
    ///
    /// The caller hands out the first of them at once, and calls again when it has handed out all or
    /// put back the rest.
    fn take(&mut self) -> &[RawPacket];
    /// The next packet that is ready.
    fn next_packet(&mut self) -> Option<RawPacket> {
        let (first, more) =
            self.take().split_first().map(|(first, rest)| (*first, !rest.is_empty()))?;
        if more {
            self.put_back(1);
        }
        Some(first)
    }
    /// Only the first `handed_out`, at least one, of the packets that [`Backend::take`] gave last
    /// were handed out: it shall give the others again, as they are then to be shown. A source
    /// that gives one packet at a time has nothing to do.
    fn put_back(&mut self, _handed_out: usize) {}
    /// `packet`, the last one that [`Backend::take`] gave, shall occupy kernel memory no longer,
    /// so that polling [`Backend::selectable_fd`] tells of later packets only. Its bytes stay
    /// valid until the next call of `take` or `fill`.
    fn detach(&mut self, _packet: &mut RawPacket) {}
    /// The packets taken are no longer needed: called when a packet loop ends, so that the memory
    /// they occupied goes back to the kernel now and not at the next read.
    fn release(&mut self) {}
    /// Sends one frame; returns the bytes sent.
    fn inject(&mut self, frame: &[u8]) -> Result<usize, CaptureError>;
    /// Counters since activation.
    fn stats(&mut self) -> Result<Stats, CaptureError>;
    /// Replaces the filter; no packet that only the old one accepted is returned afterwards.
    fn set_filter(&mut self, program: &Program) -> Result<(), CaptureError>;
    /// Where the filter runs (`pcapx_filter_mode`).
    fn filter_placement(&self) -> Placement;
    /// Replaces the filter by a loaded eBPF program (`pcapx_set_ebpf_filter`), which stays the
    /// caller's. Only Linux sockets take one.
    fn set_ebpf_filter(&mut self, _program: BorrowedFd<'_>) -> Result<(), CaptureError> {
        let message = "This source does not take eBPF programs".to_owned();
        Err(CaptureError { status: -1, message })
    }
    /// Restricts the direction.
    fn set_direction(&mut self, direction: Direction) -> Result<(), CaptureError>;
    /// Nonblocking mode.
    fn nonblock(&self) -> Result<bool, CaptureError>;
    /// Sets nonblocking mode.
    fn set_nonblock(&mut self, on: bool) -> Result<(), CaptureError>;
    /// `pcap_fileno`; -1 where there is none.
    fn fileno(&self) -> RawFd;
    /// `pcap_get_selectable_fd`; -1 where there is none.
    fn selectable_fd(&self) -> RawFd;
    /// `pcap_get_required_select_timeout`, microseconds.
    fn required_select_timeout(&self) -> Option<i64> {
        None
    }
    /// What ends a wait in [`Backend::fill`].
    fn waker(&self) -> std::sync::Arc<dyn Waker>;
}
