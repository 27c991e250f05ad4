//! A savefile being read.

use super::{Breaker, Reading, Step};
use crate::bpf::{Filter, Program};
use crate::capture::Placement;
use crate::error::{Error, status};
use crate::savefile::{Next, Reader};

/// A savefile being read.
pub struct Offline {
    /// The file.
    pub reader: Reader,
    filter: Option<Filter>,
}

impl Offline {
    /// A reader at the first packet.
    pub fn new(reader: Reader) -> Self {
        Self { reader, filter: None }
    }

    /// Packets that `program` rejects are passed over from now on.
    pub fn set_filter(&mut self, program: &Program) -> Result<(), Error> {
        if !program.is_valid() {
            return Err(Error::InvalidFilter);
        }
        self.filter = Some(Filter::new(program));
        Ok(())
    }

    /// Where the filter runs.
    pub fn filter_placement(&self) -> Placement {
        match &self.filter {
            Some(filter) if filter.is_native() => Placement::userland("as native code"),
            Some(_) => Placement::userland("by the interpreter"),
            None => Placement::default(),
        }
    }

    #[inline]
    pub(super) fn step(&mut self, breaker: &Breaker, reading: &mut Reading) -> Result<Step, Error> {
        if reading.limit_reached() {
            return Ok(reading.done());
        }
        loop {
            if breaker.is_requested() {
                // A dispatch that saw packets says how many; the next one ends at once.
                if reading.has_packets() && !reading.is_loop() {
                    return Ok(reading.done());
                }
                breaker.take();
                return Ok(Step::Done(status::BREAK));
            }
            match self.reader.next(self.filter.as_ref())? {
                Next::Packet(packet) => return Ok(reading.packet(packet)),
                Next::Rejected => {}
                Next::End => return Ok(reading.done()),
            }
        }
    }
}
