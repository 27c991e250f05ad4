//! An activated live capture.

use super::{Batch, Breaker, Reading, Step};
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
    pub(super) fn step(
        &mut self,
        breaker: &Breaker,
        reading: &mut Reading,
        batch: &mut Batch,
    ) -> Result<Step, Error> {
        let step = self.packets_or_end(breaker, reading, batch)?;
        if matches!(step, Step::Done(_)) && batch.is_empty() {
            self.put_back(batch);
            self.backend.release();
        }
        Ok(step)
    }

    fn packets_or_end(
        &mut self,
        breaker: &Breaker,
        reading: &mut Reading,
        batch: &mut Batch,
    ) -> Result<Step, Error> {
        if reading.limit_reached() {
            return Ok(reading.done());
        }
        loop {
            if breaker.take() {
                return Ok(Step::Done(status::BREAK));
            }
            let woken = reading.woken();
            // After a wait there is nothing to take before the source says so: taken now, packets that are
            // all unwanted would go unnoticed.
            if woken.is_none() && self.ready(batch) {
                return Ok(Step::Packets);
            }
            if reading.has_packets() && !reading.is_loop() {
                return Ok(reading.done());
            }
            let again = match cancel::deferred(|| self.backend.advance(woken))? {
                Progress::Wait(wait) => return Ok(Step::Wait(wait)),
                Progress::Done(Fill::Interrupted) => true,
                Progress::Done(Fill::Empty) => reading.is_loop(),
                Progress::Done(Fill::Ready) if self.ready(batch) => return Ok(Step::Packets),
                Progress::Done(Fill::Ready) => reading.is_loop() || self.waits_for_ever,
            };
            if !again {
                return Ok(reading.done());
            }
        }
    }

    fn ready(&mut self, batch: &mut Batch) -> bool {
        !batch.is_empty() || batch.fill(self.backend.take())
    }

    /// See [`Handle::put_back`](super::Handle::put_back).
    pub(super) fn put_back(&mut self, batch: &mut Batch) {
        if batch.handed_out() > 0 {
            self.backend.put_back(batch.handed_out());
        }
        batch.clear();
    }

    /// See [`Handle::detach`](super::Handle::detach).
    pub(super) fn detach(&mut self, batch: &mut Batch, packet: &mut RawPacket) {
        self.put_back(batch);
        self.backend.detach(packet);
    }
}
