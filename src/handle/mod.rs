//! What a `pcap_t` is: dead, a savefile, or a live capture before or after activation.
//!
//! Safe and without text for C: failures are [`Error`]s, absent answers are `None`.

mod breaker;
mod dead;
mod inactive;
mod live;
mod reading;
mod resolver;

pub use breaker::Breaker;
pub use dead::Dead;
pub use inactive::Inactive;
pub use live::Live;
pub use reading::{Reading, Step};
pub use resolver::SystemResolver;

use crate::capture::{Direction, Stats};
use crate::error::{Error, Operation};
use crate::linktype::Dlt;
use crate::timestamp::Precision;

/// A source of packets, or what stands in for one.
pub enum Handle {
    /// `pcap_open_dead`.
    Dead(Dead),
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
            Self::Inactive(_) => None,
            Self::Live(live) => Some(live.backend.linktype()),
        }
    }

    /// Snapshot length; `None` before activation.
    pub fn snaplen(&self) -> Option<i32> {
        match self {
            Self::Dead(dead) => Some(dead.snaplen),
            Self::Inactive(_) => None,
            Self::Live(live) => Some(live.backend.snaplen()),
        }
    }

    /// Whether packets come from a savefile.
    pub fn is_savefile(&self) -> bool {
        false
    }

    /// Precision of the time stamps.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Dead(dead) => dead.precision,
            Self::Inactive(inactive) => inactive.config.precision,
            Self::Live(live) => live.backend.precision(),
        }
    }

    /// One step of a packet loop.
    pub fn step(&mut self, breaker: &Breaker, reading: &mut Reading) -> Result<Step, Error> {
        match self {
            Self::Live(live) => live.step(breaker, reading),
            Self::Dead(_) => Err(Error::OnDead(Operation::Read)),
            Self::Inactive(_) => Err(Error::NotActivated),
        }
    }

    /// The settings, for `pcap_set_*`.
    pub fn settings(&mut self) -> Result<&mut Inactive, Error> {
        match self {
            Self::Inactive(inactive) => Ok(inactive),
            _ => Err(Error::Activated),
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

    /// The live capture, which alone can do `operation`.
    fn live(&mut self, operation: Operation) -> Result<&mut Live, Error> {
        match self {
            Self::Live(live) => Ok(live),
            Self::Dead(_) => Err(Error::OnDead(operation)),
            Self::Inactive(_) => Err(Error::NotActivated),
        }
    }
}
