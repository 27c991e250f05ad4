//! An activated live capture.

use super::{Breaker, Reading, Step};
use crate::capture::{Backend, Fill};
use crate::error::{Error, status};

/// An activated live capture.
pub struct Live {
    /// The source.
    pub backend: Box<dyn Backend>,
    /// No packet buffer timeout: a batch that the filter emptied is no reason to return.
    pub waits_for_ever: bool,
}

impl Live {
    pub(super) fn step(&mut self, breaker: &Breaker, reading: &mut Reading) -> Result<Step, Error> {
        if reading.limit_reached() {
            return Ok(reading.done());
        }
        loop {
            if breaker.take() {
                return Ok(Step::Done(status::BREAK));
            }
            if let Some(packet) = self.backend.next_packet() {
                return Ok(reading.packet(packet));
            }
            if reading.has_packets() && !reading.is_loop() {
                return Ok(reading.done());
            }
            let again = match self.backend.fill()? {
                Fill::Interrupted => true,
                Fill::Empty => reading.is_loop(),
                Fill::Ready => match self.backend.next_packet() {
                    Some(packet) => return Ok(reading.packet(packet)),
                    None => reading.is_loop() || self.waits_for_ever,
                },
            };
            if !again {
                return Ok(reading.done());
            }
        }
    }
}
