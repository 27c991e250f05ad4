//! An activated live capture.

use super::{Breaker, Reading, Step};
use crate::capture::{Backend, Fill, Progress};
use crate::error::{Error, status};
use crate::packet::RawPacket;
use crate::sys::cancel;

/// An activated live capture.
pub struct Live {
    /// The source.
    pub backend: Box<dyn Backend>,
    /// No packet buffer timeout: a batch that the filter emptied is no reason to return.
    pub waits_for_ever: bool,
}

impl Live {
    pub(super) fn step(&mut self, breaker: &Breaker, reading: &mut Reading) -> Result<Step, Error> {
        let step = self.packet_or_end(breaker, reading)?;
        if matches!(step, Step::Done(_)) {
            self.backend.release();
        }
        Ok(step)
    }

    /// The next packet, if one is at hand and the loop goes on: what [`Live::step`] would do.
    pub(super) fn next_into(
        &mut self,
        breaker: &Breaker,
        reading: &mut Reading,
        packet: &mut RawPacket,
    ) -> bool {
        if reading.limit_reached() || breaker.is_requested() {
            return false;
        }
        let got = if reading.is_single() {
            self.backend.next_detached(packet)
        } else {
            self.backend.next_into(packet)
        };
        if !got {
            return false;
        }
        reading.count_packet();
        true
    }

    fn packet_or_end(&mut self, breaker: &Breaker, reading: &mut Reading) -> Result<Step, Error> {
        if reading.limit_reached() {
            return Ok(reading.done());
        }
        loop {
            if breaker.take() {
                return Ok(Step::Done(status::BREAK));
            }
            if let Some(packet) = self.ready(reading) {
                return Ok(reading.packet(packet));
            }
            if reading.has_packets() && !reading.is_loop() {
                return Ok(reading.done());
            }
            let woken = reading.woken();
            let again = match cancel::deferred(|| self.backend.advance(woken))? {
                Progress::Wait(wait) => return Ok(Step::Wait(wait)),
                Progress::Done(Fill::Interrupted) => true,
                Progress::Done(Fill::Empty) => reading.is_loop(),
                Progress::Done(Fill::Ready) => match self.ready(reading) {
                    Some(packet) => return Ok(reading.packet(packet)),
                    None => reading.is_loop() || self.waits_for_ever,
                },
            };
            if !again {
                return Ok(reading.done());
            }
        }
    }

    fn ready(&mut self, reading: &Reading) -> Option<RawPacket> {
        let mut packet = RawPacket::NONE;
        let got = if reading.is_single() {
            self.backend.next_detached(&mut packet)
        } else {
            self.backend.next_into(&mut packet)
        };
        got.then_some(packet)
    }
}
