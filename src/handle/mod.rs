//! What a `pcap_t` is: dead, a savefile, or a live capture before or after activation.
//!
//! Safe and without text for C: failures are [`Error`]s, absent answers are `None`.

mod batch;
mod breaker;
mod dead;
mod filtering;
mod inactive;
mod live;
mod offline;
mod reading;
mod resolver;
mod source;

pub use batch::Batch;
pub use breaker::Breaker;
pub use dead::Dead;
pub use filtering::{FilterText, compile};
pub use inactive::{Inactive, Warning};
pub use live::Live;
pub use offline::Offline;
pub use reading::{Reading, Step};
pub use resolver::SystemResolver;
pub use source::{Source, SourceError, SourceKind};

use crate::bpf::Program;
use crate::capture::{self, Direction, Placement, Stats};
use crate::error::{Error, Operation};
use crate::linktype::Dlt;
use crate::packet::RawPacket;
use crate::savefile::dump::DumpHeader;
use crate::timestamp::Precision;
use std::os::fd::BorrowedFd;

/// A source of packets, or what stands in for one.
pub enum Handle {
    /// `pcap_open_dead`.
    Dead(Dead),
    /// `pcap_open_offline`.
    Offline(Box<Offline>),
    /// `pcap_create`, not activated.
    Inactive(Inactive),
    /// `pcap_activate`d.
    Live(Live),
}

impl Handle {
    /// Link-layer type; `None` before activation.
    pub fn linktype(&self) -> Option<Dlt> {
        match self {
            Self::Dead(dead) => Some(dead.linktype),
            Self::Offline(offline) => Some(offline.reader.info().linktype),
            Self::Inactive(_) => None,
            Self::Live(live) => Some(live.backend.linktype()),
        }
    }

    /// Snapshot length; `None` before activation.
    pub fn snaplen(&self) -> Option<i32> {
        match self {
            Self::Dead(dead) => Some(dead.snaplen),
            Self::Offline(offline) => Some(offline.reader.info().snaplen),
            Self::Inactive(_) => None,
            Self::Live(live) => Some(live.backend.snaplen()),
        }
    }

    /// The savefile, if it is one.
    pub fn savefile(&mut self) -> Option<&mut Offline> {
        match self {
            Self::Offline(offline) => Some(offline),
            _ => None,
        }
    }

    /// Whether the handle still waits for its activation.
    pub fn is_inactive(&self) -> bool {
        matches!(self, Self::Inactive(_))
    }

    /// Precision of the time stamps.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Dead(dead) => dead.precision,
            Self::Offline(offline) => offline.reader.info().precision,
            Self::Inactive(inactive) => inactive.config.precision,
            Self::Live(live) => live.backend.precision(),
        }
    }

    /// One step of a packet loop, which fills `batch` when it is empty.
    #[inline]
    pub fn step(
        &mut self,
        breaker: &Breaker,
        reading: &mut Reading,
        batch: &mut Batch,
    ) -> Result<Step, Error> {
        match self {
            Self::Offline(offline) => offline.step(breaker, reading, batch),
            Self::Live(live) => live.step(breaker, reading, batch),
            Self::Dead(_) => Err(Error::OnDead(Operation::Read)),
            Self::Inactive(_) => Err(Error::NotActivated),
        }
    }

    /// Has the packets that are left in `batch` read again: before anything changes which packets
    /// are shown or how, or where a savefile's stream stands.
    pub fn put_back(&mut self, batch: &mut Batch) {
        match self {
            Self::Offline(offline) => offline.put_back(batch),
            Self::Live(live) => live.put_back(batch),
            Self::Dead(_) | Self::Inactive(_) => batch.clear(),
        }
    }

    /// Makes the packet that was handed out last, after which the batch is empty, independent of
    /// kernel memory, so that polling the descriptor tells of later packets only. Its bytes stay
    /// valid until the next step.
    pub fn detach(&mut self, batch: &mut Batch, packet: &mut RawPacket) {
        if let Self::Live(live) = self {
            live.detach(batch, packet);
        }
    }

    /// The settings, for `pcap_set_*`.
    pub fn settings(&mut self) -> Result<&mut Inactive, Error> {
        match self {
            Self::Inactive(inactive) => Ok(inactive),
            _ => Err(Error::Activated),
        }
    }

    /// Opens the source: `pcap_activate`. The handle stays as it is on an error.
    pub fn activate(&mut self, breaker: &Breaker) -> Result<Warning, Error> {
        let (live, warning) = self.settings()?.activate()?;
        breaker.set_waker(live.backend.waker());
        *self = Self::Live(live);
        Ok(warning)
    }

    /// `pcap_can_set_rfmon`.
    pub fn can_set_rfmon(&self) -> Result<bool, Error> {
        match self {
            Self::Dead(_) => Err(Error::OnDead(Operation::Rfmon)),
            Self::Inactive(inactive) => Ok(capture::can_set_rfmon(&inactive.config)?),
            Self::Offline(_) | Self::Live(_) => Ok(false),
        }
    }

    /// Counters of a live capture.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        Ok(self.live(Operation::Stats)?.backend.stats()?)
    }

    /// Sends a frame; returns the bytes sent.
    pub fn inject(&mut self, frame: &[u8]) -> Result<usize, Error> {
        Ok(self.live(Operation::Inject)?.backend.inject(frame)?)
    }

    /// Restricts a live capture to one direction.
    pub fn set_direction(&mut self, direction: Direction) -> Result<(), Error> {
        Ok(self.live(Operation::SetDirection)?.backend.set_direction(direction)?)
    }

    /// Nonblocking mode; savefiles have none and say "blocking".
    pub fn nonblock(&mut self) -> Result<bool, Error> {
        match self {
            Self::Offline(_) => Ok(false),
            _ => Ok(self.live(Operation::Nonblock)?.backend.nonblock()?),
        }
    }

    /// Sets nonblocking mode, before activation for the time after.
    pub fn set_nonblock(&mut self, on: bool) -> Result<(), Error> {
        match self {
            Self::Inactive(inactive) => {
                inactive.config.nonblock = on;
                Ok(())
            }
            _ => Ok(self.live(Operation::Nonblock)?.backend.set_nonblock(on)?),
        }
    }

    /// Lets only packets through that `program` accepts.
    pub fn set_filter(&mut self, program: &Program) -> Result<(), Error> {
        match self {
            Self::Offline(offline) => offline.set_filter(program),
            _ => Ok(self.live(Operation::SetFilter)?.backend.set_filter(program)?),
        }
    }

    /// Where the filter runs; `None` before activation.
    pub fn filter_placement(&self) -> Option<Placement> {
        match self {
            Self::Dead(_) => Some(Placement::default()),
            Self::Offline(offline) => Some(offline.filter_placement()),
            Self::Inactive(_) => None,
            Self::Live(live) => Some(live.backend.filter_placement()),
        }
    }

    /// Replaces the filter by an eBPF program that the caller loaded.
    pub fn set_ebpf_filter(&mut self, program: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(self.live(Operation::SetFilter)?.backend.set_ebpf_filter(program)?)
    }

    /// Link-layer types that [`Handle::set_linktype`] takes; `None` before activation.
    pub fn linktypes(&self) -> Option<Vec<Dlt>> {
        match self {
            Self::Live(live) if !live.backend.linktypes().is_empty() => {
                Some(live.backend.linktypes().to_vec())
            }
            _ => self.linktype().map(|dlt| vec![dlt]),
        }
    }

    /// Changes the link-layer type to another one that the source offers.
    pub fn set_linktype(&mut self, dlt: Dlt) -> Result<(), Error> {
        if !self.linktypes().is_some_and(|types| types.contains(&dlt)) {
            return Err(Error::UnsupportedDlt(dlt));
        }
        match self {
            Self::Live(live) if live.backend.linktype() != dlt => {
                Ok(live.backend.set_linktype(dlt)?)
            }
            _ => Ok(()),
        }
    }

    /// Header of a savefile for the packets of this handle; `None` before activation.
    pub fn dump_header(&self) -> Option<DumpHeader> {
        let linktype_ext = match self {
            Self::Offline(offline) => offline.reader.info().linktype_ext,
            _ => 0,
        };
        Some(DumpHeader {
            linktype: self.linktype()?,
            linktype_ext,
            snaplen: self.snaplen()?,
            precision: self.precision(),
        })
    }

    /// The live capture, which alone can do `operation`.
    fn live(&mut self, operation: Operation) -> Result<&mut Live, Error> {
        match self {
            Self::Live(live) => Ok(live),
            Self::Dead(_) => Err(Error::OnDead(operation)),
            Self::Offline(_) => Err(Error::OnSavefile(operation)),
            Self::Inactive(_) => Err(Error::NotActivated),
        }
    }
}
