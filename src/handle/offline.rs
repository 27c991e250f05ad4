//! A savefile being read.

use super::{Batch, Breaker, Reading, Step};
use crate::bpf::{Filter, Program};
use crate::capture::Placement;
use crate::error::{Error, status};
use crate::savefile::Reader;

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

    pub(super) fn step(
        &mut self,
        breaker: &Breaker,
        reading: &mut Reading,
        batch: &mut Batch,
    ) -> Result<Step, Error> {
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
            if !batch.is_empty() {
                return Ok(Step::Packets);
            }
            match self.reader.take(self.filter.as_ref())? {
                Some(packets) if batch.fill(packets) => return Ok(Step::Packets),
                Some(_) => {}
                None => {
                    batch.clear();
                    return Ok(reading.done());
                }
            }
        }
    }

    /// See [`Handle::put_back`](super::Handle::put_back).
    pub(super) fn put_back(&mut self, batch: &mut Batch) {
        if batch.handed_out() > 0 {
            self.reader.put_back(batch.handed_out());
        }
        batch.clear();
    }
}
