//! A savefile open for reading, of whatever format.

use super::error::ReadError;
use super::source::{Source, Taken};
use super::{pcap, pcapng};
use crate::bpf::{Aux, Filter};
use crate::linktype::Dlt;
use crate::packet::{Packet, RawPacket};
use crate::sys::os_error::OsError;
use crate::sys::stdio::{OwnedStream, Stream};
use crate::timestamp::Precision;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

/// What the file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Link-layer type.
    pub linktype: Dlt,
    /// Upper bits of the link-layer type field (`pcap_datalink_ext`).
    pub linktype_ext: u32,
    /// Snapshot length, bytes; positive.
    pub snaplen: i32,
    /// The writer's byte order was not this host's.
    pub swapped: bool,
    /// Format version: major, minor.
    pub version: (u16, u16),
    /// Unit of the time stamps that [`Reader::next_packet`] gives.
    pub precision: Precision,
}

/// A file's records, after its header.
#[derive(Debug)]
pub(super) enum Format {
    /// pcap.
    Pcap(pcap::Records),
    /// pcapng.
    PcapNg(pcapng::Blocks),
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// A packet; its bytes stay valid until the next read.
    Packet(RawPacket),
    /// A packet that the filter rejects.
    Rejected,
    /// The end of the file.
    End,
}

impl Next {
    /// Runs the filter, while the packet's bytes are still borrowed.
    #[inline]
    pub(super) fn judge(packet: Packet<'_>, filter: Option<&Filter>) -> Self {
        let accepts = |f: &Filter| f.run(packet.data, packet.header.len, &Aux::NONE) != 0;
        if filter.is_none_or(accepts) { Self::Packet(packet.into()) } else { Self::Rejected }
    }
}

/// Most packets taken at once.
const MOST: usize = 64;

/// Packets that lie whole in the buffer of a [`BlockReader`](super::block_reader::BlockReader),
/// and where they end, should they have to be put back.
pub(super) struct Ahead<'a> {
    pub filter: Option<&'a Filter>,
    packets: &'a mut Vec<RawPacket>,
    ends: &'a mut Vec<usize>,
}

impl Ahead<'_> {
    /// Whether there is room for another packet.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.packets.len() < MOST
    }

    /// Takes a packet, which ends at `end`, if the filter accepts it.
    #[inline]
    pub fn offer(&mut self, packet: Packet<'_>, end: usize) {
        let accepts = |f: &Filter| f.run(packet.data, packet.header.len, &Aux::NONE) != 0;
        if self.filter.is_none_or(accepts) {
            self.packets.push(packet.into());
            self.ends.push(end);
        }
    }
}

/// A savefile open for reading.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    format: Format,
    info: FileInfo,
    /// The packets taken last, and where in the buffer they end.
    packets: Vec<RawPacket>,
    ends: Vec<usize>,
}

impl Reader {
    /// Opens a file; `-` is the standard input. `precision` is the unit of the time stamps to
    /// give, `PCAP_TSTAMP_PRECISION_*`.
    pub fn open_path(path: &CStr, precision: u32) -> Result<Self, ReadError> {
        if path == c"-" {
            let stream = Stream::stdin().ok_or(ReadError::NoStandardInput)?;
            return Self::from_stream(stream, precision);
        }
        let file = File::open(OsStr::from_bytes(path.to_bytes()));
        let source = file.map_err(OsError::from).and_then(Source::from_file);
        let source = source.map_err(|cause| ReadError::Open { path: path.to_owned(), cause })?;
        Self::start(source, precision).map_err(|(_, e)| e)
    }

    /// Reads from a program's stream, from where it stands and no further than the packets that
    /// were asked for. On success the reader owns the stream and closes it in the end (unless it
    /// is the standard input); on an error the stream stays the caller's.
    pub fn from_stream(stream: Stream, precision: u32) -> Result<Self, ReadError> {
        let source = Source::from_stream(OwnedStream::new(stream));
        Self::start(source, precision).map_err(|(source, error)| {
            if let Source::Stream(reader) = source {
                reader.release();
            }
            error
        })
    }

    /// Reads the header. Gives the source back on an error.
    fn start(mut source: Source, precision: u32) -> Result<Self, (Source, ReadError)> {
        match open_format(&mut source, precision) {
            Ok((format, info)) => {
                let (packets, ends) = (Vec::with_capacity(MOST), Vec::with_capacity(MOST));
                Ok(Self { source, format, info, packets, ends })
            }
            Err(e) => Err((source, e)),
        }
    }

    /// What the file's header says.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// The next packet, `None` at the end of the file, then and ever after. Its bytes stay valid
    /// until the next call.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<RawPacket>, ReadError> {
        match self.next(None)? {
            Next::Packet(packet) => Ok(Some(packet)),
            Next::Rejected | Next::End => Ok(None),
        }
    }

    /// As [`Reader::next_packet`], with the filter's verdict.
    #[inline]
    pub fn next(&mut self, filter: Option<&Filter>) -> Result<Next, ReadError> {
        match &mut self.format {
            Format::Pcap(records) => records.next_packet(&mut self.source, &self.info, filter),
            Format::PcapNg(blocks) => blocks.next_packet(&mut self.source, &self.info, filter),
        }
    }

    /// Takes packets that the filter accepts: those that lie in the buffer, or the next one; none
    /// if that is rejected. `None` at the end of the file. They stay valid until the next call.
    pub fn take(&mut self, filter: Option<&Filter>) -> Result<Option<&[RawPacket]>, ReadError> {
        self.packets.clear();
        self.ends.clear();
        if let Source::Blocks(blocks) = &mut self.source {
            let (packets, ends) = (&mut self.packets, &mut self.ends);
            let mut ahead = Ahead { filter, packets, ends };
            match &self.format {
                Format::Pcap(records) => records.take_ahead(blocks, &self.info, &mut ahead),
                Format::PcapNg(ng) => ng.take_ahead(blocks, &self.info, &mut ahead),
            }
        }
        if self.packets.is_empty() {
            match self.next(filter)? {
                Next::Packet(packet) => self.packets.push(packet),
                Next::Rejected => {}
                Next::End => return Ok(None),
            }
            if let Source::Blocks(blocks) = &self.source {
                self.ends.push(blocks.start());
            }
        }
        Ok(Some(&self.packets))
    }

    /// Of the packets taken last, only the first `handed_out`, at least one, were handed out: what
    /// is behind them is read again.
    pub fn put_back(&mut self, handed_out: usize) {
        if let Source::Blocks(blocks) = &mut self.source
            && let Some(&end) = handed_out.checked_sub(1).and_then(|last| self.ends.get(last))
        {
            blocks.go_back(end);
        }
    }

    /// The stream for `pcap_file`. From the first call on, the reader reads through it, so that
    /// the program may seek: it stands after the last packet returned. It belongs to the reader.
    pub fn stream(&mut self) -> Result<Stream, OsError> {
        self.source.stream()
    }

    /// Descriptor of the file; -1 for streams without one.
    pub fn fileno(&self) -> i32 {
        self.source.fileno()
    }
}

fn open_format(source: &mut Source, precision: u32) -> Result<(Format, FileInfo), ReadError> {
    let magic = match source.take(4)? {
        Taken::All(bytes) => [bytes[0], bytes[1], bytes[2], bytes[3]],
        Taken::Short(got) => return Err(ReadError::TruncatedFileHeader { wanted: 4, got }),
    };
    if let Some(magic) = pcap::Magic::recognise(magic) {
        return pcap::open(magic, source, precision);
    }
    if magic == pcapng::SECTION_HEADER.to_ne_bytes() {
        return pcapng::open(source, precision);
    }
    Err(ReadError::UnknownFormat)
}

/// The precision asked for.
pub(super) fn precision_from(value: u32) -> Result<Precision, ReadError> {
    match value {
        0 => Ok(Precision::Micro),
        1 => Ok(Precision::Nano),
        _ => Err(ReadError::UnknownPrecision(value)),
    }
}

/// The snapshot length to believe: a file that says 0, or more than an `int` holds, means "no
/// limit".
pub(super) fn adjusted_snaplen(linktype: Dlt, snaplen: u32) -> i32 {
    match i32::try_from(snaplen) {
        Ok(n) if n > 0 => n,
        _ => linktype.max_snaplen() as i32,
    }
}
