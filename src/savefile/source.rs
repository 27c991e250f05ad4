//! Where a savefile's bytes come from.

use super::block_reader::BlockReader;
use crate::sys::os_error::OsError;
use crate::sys::stdio::{OwnedStream, Stream};
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};

/// Buffer of streams that we open ourselves, bytes.
const STREAM_BUFFER: usize = 64 * 1024;
/// Room that a stream's packets get at first, bytes; grows up to the packet that needs more.
const PACKET_BUFFER: usize = 16 * 1024;

/// Answer to a request for `n` bytes. What was there is taken in either case.
pub(super) enum Taken<'a> {
    /// All `n` bytes, valid until the next request.
    All(&'a mut [u8]),
    /// The file ended after this many, less than `n`.
    Short(usize),
}

/// A header and the body whose length it tells.
pub(super) enum Record<'a, H> {
    /// Both, valid until the next request.
    Whole(H, &'a mut [u8]),
    /// Nothing: the end of the file.
    End,
    /// The file ended in between.
    Short(Short<H>),
}

/// Where in a record a file ended.
pub(super) enum Short<H> {
    /// After this many bytes of the header.
    Header(usize),
    /// In the body: its length, and the bytes that are there.
    Body { header: H, len: usize, got: usize },
}

/// A source of bytes.
#[derive(Debug)]
pub(super) enum Source {
    /// A regular file that only we read.
    Blocks(BlockReader),
    /// A stream that the program may use beside us, or a pipe.
    Stream(StreamReader),
}

impl Source {
    /// A file that we opened: in blocks where it is a regular file, else through a stream, which
    /// can be handed to the program at any time although it cannot seek.
    pub fn from_file(file: File) -> Result<Self, OsError> {
        if file.metadata().is_ok_and(|m| m.is_file()) {
            return Ok(Self::Blocks(BlockReader::new(file)));
        }
        let stream = Stream::on_descriptor_of(&file)?;
        let _ = file.into_raw_fd();
        Ok(Self::Stream(StreamReader::new(OwnedStream::new(stream), vec![0; PACKET_BUFFER])))
    }

    /// A program's stream.
    pub fn from_stream(stream: OwnedStream) -> Self {
        Self::Stream(StreamReader::new(stream, vec![0; PACKET_BUFFER]))
    }

    /// Takes the next `n` bytes, or as many as there are.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<Taken<'_>, OsError> {
        match self {
            Self::Blocks(blocks) => blocks.take(n),
            Self::Stream(stream) => stream.take(n),
        }
    }

    /// Takes a header of `header_len` bytes, and the body of the length that `parse` finds in it.
    /// When `parse` refuses the header, only that is taken.
    #[inline]
    pub fn record<H, E: From<OsError>>(
        &mut self,
        header_len: usize,
        parse: impl FnOnce(&[u8]) -> Result<(H, usize), E>,
    ) -> Result<Record<'_, H>, E> {
        match self {
            Self::Blocks(blocks) => blocks.record(header_len, parse),
            Self::Stream(stream) => {
                let (header, len) = match stream.take(header_len)? {
                    Taken::All(bytes) => parse(bytes)?,
                    Taken::Short(0) => return Ok(Record::End),
                    Taken::Short(got) => return Ok(Record::Short(Short::Header(got))),
                };
                Ok(match stream.take(len)? {
                    Taken::All(body) => Record::Whole(header, body),
                    Taken::Short(got) => Record::Short(Short::Body { header, len, got }),
                })
            }
        }
    }

    /// The stream to hand to the program. A file read in blocks is from now on read through a
    /// stream, which stands where the program would expect it: after the last packet returned.
    pub fn stream(&mut self) -> Result<Stream, OsError> {
        let blocks = match self {
            Self::Stream(reader) => return Ok(reader.stream.get()),
            Self::Blocks(blocks) => blocks,
        };
        let stream = Stream::on_descriptor_of(blocks.file())?;
        stream.buffer_regular_file(STREAM_BUFFER);
        // Does not fail on a regular file; if it did, the stream is left to the C library, as
        // closing it would close the file.
        stream.seek(blocks.offset())?;
        if blocks.is_at_end() {
            stream.note_end();
        }
        let reader = StreamReader::new(OwnedStream::new(stream), Vec::new());
        let old = std::mem::replace(self, Self::Stream(reader));
        if let (Self::Blocks(old), Self::Stream(new)) = (old, self) {
            let (file, buf) = old.into_parts();
            // The stream closes the descriptor.
            let _ = file.into_raw_fd();
            // The program may be looking at a packet in it.
            new.buf = buf;
        }
        Ok(stream)
    }

    /// Descriptor of the file; -1 where a stream has none.
    pub fn fileno(&self) -> i32 {
        match self {
            Self::Blocks(blocks) => blocks.file().as_raw_fd(),
            Self::Stream(stream) => stream.stream.get().fileno(),
        }
    }
}

/// Reads through stdio, never further than asked, into a buffer of its own.
#[derive(Debug)]
pub(super) struct StreamReader {
    stream: OwnedStream,
    buf: Vec<u8>,
}

impl StreamReader {
    fn new(stream: OwnedStream, buf: Vec<u8>) -> Self {
        Self { stream, buf }
    }

    fn take(&mut self, n: usize) -> Result<Taken<'_>, OsError> {
        let mut got = 0;
        while got < n {
            // As in `BlockReader::fill`: memory only for what is there.
            if got == self.buf.len() {
                self.buf.resize((2 * got).max(PACKET_BUFFER), 0);
            }
            let want = n.min(self.buf.len());
            let now = self.stream.get().read(&mut self.buf[got..want]);
            got += now;
            if got < want {
                break;
            }
        }
        if got == n {
            return Ok(Taken::All(&mut self.buf[..n]));
        }
        if self.stream.get().failed() { Err(OsError::last()) } else { Ok(Taken::Short(got)) }
    }

    /// Gives the stream back open.
    pub fn release(self) -> Stream {
        self.stream.release()
    }
}
