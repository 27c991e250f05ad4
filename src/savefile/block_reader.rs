//! Reads a regular file in large blocks and hands out what was read in place.

use super::source::{Record, Short, Taken};
use crate::sys::cancel;
use crate::sys::os_error::OsError;
use std::fs::File;
use std::io::{ErrorKind, Read};

/// Bytes per read(2): large enough to make the call's cost vanish, small enough to stay in the
/// second-level cache.
const BLOCK: usize = 256 * 1024;
/// Room behind a block for the rest of its last record.
const TAIL: usize = 64 * 1024;
/// The beginning of a record that is worth a call of its own to leave it where it is.
const WORTH_A_READ: usize = 4096;

/// A file and the part of it that is in memory: `buf[start..end]` is read and not yet taken.
#[derive(Debug)]
pub(super) struct BlockReader {
    file: File,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// Position in the file of `buf[end]`.
    position: u64,
    /// The end was seen; like a `FILE`, we do not look again.
    at_end: bool,
}

impl BlockReader {
    /// Starts at the beginning of `file`.
    pub fn new(file: File) -> Self {
        let buf = vec![0; BLOCK + TAIL];
        Self { file, buf, start: 0, end: 0, position: 0, at_end: false }
    }

    /// Takes the next `n` bytes, or as many as there are.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<Taken<'_>, OsError> {
        if self.end - self.start < n {
            self.fill(n)?;
        }
        let start = self.start;
        let have = self.end - start;
        if have >= n {
            self.start = start + n;
            return Ok(Taken::All(&mut self.buf[start..start + n]));
        }
        self.start = self.end;
        Ok(Taken::Short(have))
    }

    /// Takes a header, and the body of the length that `parse` finds in it.
    #[inline]
    pub fn record<H, E: From<OsError>>(
        &mut self,
        header_len: usize,
        parse: impl FnOnce(&[u8]) -> Result<(H, usize), E>,
    ) -> Result<Record<'_, H>, E> {
        if self.end - self.start < header_len {
            self.fill(header_len)?;
        }
        let Some(bytes) = self.buf[self.start..self.end].get(..header_len) else {
            let got = self.end - self.start;
            self.start = self.end;
            return Ok(if got == 0 { Record::End } else { Record::Short(Short::Header(got)) });
        };
        let (header, len) = match parse(bytes) {
            Ok(parsed) => parsed,
            Err(e) => {
                self.start += header_len;
                return Err(e);
            }
        };
        let whole = header_len + len;
        if self.end - self.start < whole {
            self.fill(whole)?;
        }
        let start = self.start;
        if self.end - start < whole {
            let got = self.end - start - header_len;
            self.start = self.end;
            return Ok(Record::Short(Short::Body { header, len, got }));
        }
        self.start = start + whole;
        Ok(Record::Whole(header, &mut self.buf[start + header_len..start + whole]))
    }

    /// The bytes in memory that are not yet taken, and their place in the buffer.
    #[inline]
    pub fn ahead(&mut self) -> (&mut [u8], usize) {
        (&mut self.buf[self.start..self.end], self.start)
    }

    /// Place in the buffer of the next byte to be taken.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Goes on to a place in the buffer, no further than what [`BlockReader::ahead`] gave.
    #[inline]
    pub fn go_on(&mut self, start: usize) {
        debug_assert!((self.start..=self.end).contains(&start));
        self.start = start;
    }

    /// Goes back to where something ended that was taken since the last read from the file.
    pub fn go_back(&mut self, start: usize) {
        debug_assert!(start <= self.start);
        self.start = start;
    }

    /// Reads until `n` bytes are there or the file ends. The buffer grows with what was really
    /// read, at most doubling, so a length that lies costs no memory.
    #[cold]
    fn fill(&mut self, n: usize) -> Result<(), OsError> {
        let kept = self.end - self.start;
        // A large piece stays, and just its record is completed; a small one is moved to the
        // front, and a whole block read.
        let complete_only = kept > WORTH_A_READ && self.start + n <= self.buf.len();
        if !complete_only {
            self.buf.copy_within(self.start..self.end, 0);
            self.end = kept;
            self.start = 0;
        }
        while self.end - self.start < n && !self.at_end {
            if self.end == self.buf.len() {
                self.buf.resize(2 * self.buf.len(), 0);
            }
            let until = if complete_only { self.start + n } else { n.max(BLOCK) };
            let until = until.min(self.buf.len());
            let room = &mut self.buf[self.end..until];
            match cancel::deferred(|| self.file.read(room)) {
                Ok(0) => self.at_end = true,
                Ok(got) => {
                    self.end += got;
                    self.position += got as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Position in the file of the next byte to be taken.
    pub fn offset(&self) -> u64 {
        self.position - (self.end - self.start) as u64
    }

    /// Whether a read met the end of the file with nothing left to take.
    pub fn is_at_end(&self) -> bool {
        self.at_end && self.start == self.end
    }

    /// The file, and the buffer with the last packet that was handed out.
    pub fn into_parts(self) -> (File, Vec<u8>) {
        (self.file, self.buf)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }
}
