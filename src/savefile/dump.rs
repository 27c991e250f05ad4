//! Writing pcap files. A `pcap_dumper_t *` is the `FILE *` that is written to: programs tell,
//! flush and seek on it.

use super::error::{AppendError, AppendReason, DumpError};
use super::pcap::{
    FILE_HEADER_LEN, MAGIC_KUZNETZOV, MAGIC_MICRO, MAGIC_NANO, MAGIC_NAVTEL, RECORD_HEADER_LEN,
    VERSION,
};
use crate::linktype::Dlt;
use crate::packet::PacketHeader;
use crate::sys::os_error::OsError;
use crate::sys::stdio::Stream;
use crate::timestamp::Precision;
use std::ffi::CStr;

/// Buffer of the regular files that we open, bytes. Each write(2) costs a file system more than
/// the copying; what a program that is killed loses is the price.
const BUFFER: usize = 128 * 1024;
/// Records up to this many bytes go to the stream in one piece: copying them costs less than a
/// second call.
const SMALL_RECORD: usize = 256;

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpHeader {
    /// Link-layer type of the packets to come.
    pub linktype: Dlt,
    /// Upper bits of the link-layer type field (`pcap_datalink_ext`).
    pub linktype_ext: u32,
    /// Snapshot length.
    pub snaplen: i32,
    /// Unit of the time stamps to come.
    pub precision: Precision,
}

impl DumpHeader {
    /// The field with the link-layer type; an error where savefiles have none for it.
    fn linktype_field(&self, name: &CStr) -> Result<u32, DumpError> {
        let error = || DumpError::Linktype { name: name.to_owned(), dlt: self.linktype.0 };
        Ok(self.linktype.to_linktype().ok_or_else(error)? | self.linktype_ext)
    }

    fn to_bytes(self, linktype_field: u32) -> [u8; FILE_HEADER_LEN] {
        let magic = match self.precision {
            Precision::Micro => MAGIC_MICRO,
            Precision::Nano => MAGIC_NANO,
        };
        let mut bytes = [0; FILE_HEADER_LEN];
        bytes[0..4].copy_from_slice(&magic.to_ne_bytes());
        bytes[4..6].copy_from_slice(&VERSION.0.to_ne_bytes());
        bytes[6..8].copy_from_slice(&VERSION.1.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.snaplen.to_ne_bytes());
        bytes[20..24].copy_from_slice(&linktype_field.to_ne_bytes());
        bytes
    }
}

/// Starts a new file; `-` is the standard output.
pub fn open(header: &DumpHeader, path: &CStr) -> Result<Stream, DumpError> {
    let field = header.linktype_field(path)?;
    if path == c"-" {
        return start_standard_output(header, field);
    }
    let stream = open_file(path, c"wb")?;
    start_own(header, field, stream, path)
}

/// Starts a file on a program's stream. On an error, too, the stream stays open.
pub fn fopen(header: &DumpHeader, stream: Stream) -> Result<Stream, DumpError> {
    let name = c"stream";
    let field = header.linktype_field(name)?;
    start(header, field, stream, name)
}

/// Continues a file, which must have the same header, or starts one where there is none.
pub fn append(header: &DumpHeader, path: &CStr) -> Result<Stream, DumpError> {
    let field = header.linktype_field(path)?;
    if path == c"-" {
        return start_standard_output(header, field);
    }
    // Reads anywhere, writes at the end.
    let stream = open_file(path, c"ab+")?;
    let result = prepare_append(header, field, stream, path);
    if result.is_err() {
        let _ = stream.close();
    }
    result
}

fn prepare_append(
    header: &DumpHeader,
    field: u32,
    stream: Stream,
    path: &CStr,
) -> Result<Stream, DumpError> {
    let seek_error = |place| {
        let path = path.to_owned();
        move |cause| DumpError::Seek { place, path, cause }
    };
    stream.seek(0).map_err(seek_error("beginning"))?;
    let mut found = [0; FILE_HEADER_LEN];
    let got = stream.read(&mut found);
    if got < FILE_HEADER_LEN && stream.failed() {
        return Err(DumpError::Open { path: path.to_owned(), cause: OsError::last() });
    }
    match got {
        0 => {
            start(header, field, stream, path)?;
        }
        FILE_HEADER_LEN => {
            check_header(header, field, &found).map_err(|e| append_error(path, e))?
        }
        _ => return Err(append_error(path, AppendReason::TruncatedHeader)),
    }
    stream.seek_to_end().map_err(seek_error("end"))?;
    Ok(stream)
}

fn append_error(path: &CStr, reason: AppendReason) -> DumpError {
    AppendError { path: path.to_owned(), reason }.into()
}

/// Whether the packets to come fit the file.
fn check_header(
    header: &DumpHeader,
    field: u32,
    found: &[u8; FILE_HEADER_LEN],
) -> Result<(), AppendReason> {
    let u16_at = |at: usize| u16::from_ne_bytes([found[at], found[at + 1]]);
    let u32_at =
        |at: usize| u32::from_ne_bytes([found[at], found[at + 1], found[at + 2], found[at + 3]]);
    let precision = match u32_at(0) {
        MAGIC_MICRO => Precision::Micro,
        MAGIC_NANO => Precision::Nano,
        other => {
            return Err(match (other, other.swap_bytes()) {
                (_, MAGIC_MICRO | MAGIC_NANO) => AppendReason::ByteOrder,
                (MAGIC_KUZNETZOV | MAGIC_NAVTEL, _) | (_, MAGIC_KUZNETZOV | MAGIC_NAVTEL) => {
                    AppendReason::OtherFormat
                }
                _ => AppendReason::NotPcap,
            });
        }
    };
    if precision != header.precision {
        return Err(AppendReason::Precision);
    }
    let (major, minor) = (u16_at(4), u16_at(6));
    if (major, minor) != VERSION {
        return Err(AppendReason::Version { major, minor });
    }
    if u32_at(20) != field {
        return Err(AppendReason::Linktype);
    }
    if u32_at(16) != header.snaplen as u32 {
        return Err(AppendReason::Snaplen);
    }
    Ok(())
}

fn open_file(path: &CStr, mode: &CStr) -> Result<Stream, DumpError> {
    let error = |cause| DumpError::Open { path: path.to_owned(), cause };
    let stream = Stream::open(path, mode).map_err(error)?;
    stream.buffer_regular_file(BUFFER);
    Ok(stream)
}

fn start_standard_output(header: &DumpHeader, field: u32) -> Result<Stream, DumpError> {
    let stream = Stream::stdout().ok_or(DumpError::NoStandardOutput)?;
    start(header, field, stream, c"standard output")
}

fn start_own(
    header: &DumpHeader,
    field: u32,
    stream: Stream,
    path: &CStr,
) -> Result<Stream, DumpError> {
    let result = start(header, field, stream, path);
    if result.is_err() {
        let _ = stream.close();
    }
    result
}

fn start(
    header: &DumpHeader,
    field: u32,
    stream: Stream,
    name: &CStr,
) -> Result<Stream, DumpError> {
    let error = |cause| DumpError::Write { name: name.to_owned(), cause };
    stream.write(&header.to_bytes(field)).map_err(error)?;
    Ok(stream)
}

/// Appends a packet: `header.caplen` bytes of `data` must be there. Nothing is written once the
/// stream has failed; the program finds out from `pcap_dump_flush` or `ferror`.
#[inline]
pub fn write_record(stream: Stream, header: &PacketHeader, data: &[u8]) {
    // Seconds are unsigned 32-bit numbers in the file, good until 2106.
    let words = [header.ts.sec as u32, header.ts.frac as u32, header.caplen, header.len];
    let mut record = [0; SMALL_RECORD];
    let (start, room) = record.split_at_mut(RECORD_HEADER_LEN);
    for (to, word) in start.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    match room.get_mut(..data.len()) {
        Some(room) => {
            room.copy_from_slice(data);
            stream.write_record(&[&record[..RECORD_HEADER_LEN + data.len()]]);
        }
        None => stream.write_record(&[start, data]),
    }
}

/// Ends a file. The standard output is flushed and stays open.
pub fn close(stream: Stream) {
    // There is no way to report an error here.
    let _ = if Some(stream) == Stream::stdout() { stream.flush() } else { stream.close() };
}
