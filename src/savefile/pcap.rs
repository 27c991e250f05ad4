//! The pcap format: man page pcap-savefile(5), and the variants of it that are around.

use super::block_reader::BlockReader;
use super::byte_order::ByteOrder;
use super::error::{PcapError, ReadError};
use super::pseudo_header;
use super::reader::{Ahead, FileInfo, Format, Next, adjusted_snaplen, precision_from};
use super::source::{Record, Short, Source, Taken};
use crate::bpf::Filter;
use crate::linktype::{Dlt, LinktypeField};
use crate::packet::{Packet, PacketHeader};
use crate::timestamp::{Precision, Timestamp};

/// First four bytes of a file with microseconds.
pub(super) const MAGIC_MICRO: u32 = 0xa1b2_c3d4;
/// First four bytes of a file with nanoseconds.
pub(super) const MAGIC_NANO: u32 = 0xa1b2_3c4d;
/// First four bytes of files written with Alexey Kuznetzov's patches: longer record headers.
pub(super) const MAGIC_KUZNETZOV: u32 = 0xa1b2_cd34;
/// First four bytes of Navtel's format; not read, but recognised when appending.
pub(super) const MAGIC_NAVTEL: u32 = 0xa12b_3c4d;
/// Version that is written: major, minor.
pub(super) const VERSION: (u16, u16) = (2, 4);
/// Bytes of the file header, magic number included.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// Bytes of a record's header.
pub(super) const RECORD_HEADER_LEN: usize = 16;
/// Kuznetzov's has an interface index, a protocol and a packet type after the usual fields.
const KUZNETZOV_RECORD_HEADER_LEN: usize = 24;
/// Cooked captures of his put a made-up Ethernet header before the packet, beyond the snaplen.
const KUZNETZOV_EXTRA_SNAPLEN: i32 = 14;

/// Variants of the format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Micro,
    Nano,
    Kuznetzov,
}

/// What a file's first four bytes tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Magic {
    variant: Variant,
    order: ByteOrder,
}

impl Magic {
    /// The variant with these first four bytes, in either byte order.
    pub fn recognise(bytes: [u8; 4]) -> Option<Self> {
        let native = u32::from_ne_bytes(bytes);
        [false, true].into_iter().find_map(|swapped| {
            let variant = match if swapped { native.swap_bytes() } else { native } {
                MAGIC_MICRO => Variant::Micro,
                MAGIC_NANO => Variant::Nano,
                MAGIC_KUZNETZOV => Variant::Kuznetzov,
                _ => return None,
            };
            Some(Self { variant, order: ByteOrder { swapped } })
        })
    }
}

/// Which of the two length fields comes first in a record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LengthOrder {
    /// Captured length, then length on the wire: since version 2.3.
    CapturedFirst,
    /// The other way round: before 2.3, and DG/UX.
    WireFirst,
    /// Version 2.3 was written both ways: the captured length is the smaller.
    SmallerIsCaptured,
}

impl LengthOrder {
    fn of_version(version: (u16, u16)) -> Self {
        match version {
            (2, 0..=2) | (543, _) => Self::WireFirst,
            (2, 3) => Self::SmallerIsCaptured,
            _ => Self::CapturedFirst,
        }
    }

    /// Captured length and length on the wire.
    #[inline]
    fn arrange(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::WireFirst => (second, first),
            Self::SmallerIsCaptured if first > second => (second, first),
            _ => (first, second),
        }
    }
}

/// From the file's unit to the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    None,
    MicroToNano,
    NanoToMicro,
}

/// The records of a file.
#[derive(Debug)]
pub(super) struct Records {
    order: ByteOrder,
    header_len: usize,
    lengths: LengthOrder,
    scale: Scale,
    /// Longer packets are a sign of a damaged file.
    max_caplen: u32,
    /// Packets begin with something to be put into our byte order.
    has_pseudo_header: bool,
}

/// Reads the rest of the file header.
pub(super) fn open(
    magic: Magic,
    source: &mut Source,
    precision: u32,
) -> Result<(Format, FileInfo), ReadError> {
    let order = magic.order;
    let rest = match source.take(FILE_HEADER_LEN - 4)? {
        Taken::All(rest) => rest,
        Taken::Short(got) => {
            return Err(ReadError::TruncatedFileHeader { wanted: FILE_HEADER_LEN, got });
        }
    };
    // Time zone and accuracy, at 4 and 8, are always zero.
    let version = (order.u16(rest, 0), order.u16(rest, 2));
    let snaplen = order.u32(rest, 12);
    let linktype_field = LinktypeField(order.u32(rest, 16));
    check_version(version)?;
    if linktype_field.reserved() != 0 {
        return Err(PcapError::ReservedBits(linktype_field.reserved()).into());
    }
    let precision = precision_from(precision)?;

    let linktype = Dlt::from_linktype(linktype_field.linktype());
    let mut snaplen = adjusted_snaplen(linktype, snaplen);
    let mut header_len = RECORD_HEADER_LEN;
    if magic.variant == Variant::Kuznetzov {
        header_len = KUZNETZOV_RECORD_HEADER_LEN;
        if linktype == Dlt::EN10MB {
            snaplen = snaplen.saturating_add(KUZNETZOV_EXTRA_SNAPLEN);
        }
    }
    let scale = match (magic.variant, precision) {
        (Variant::Nano, Precision::Micro) => Scale::NanoToMicro,
        (Variant::Micro | Variant::Kuznetzov, Precision::Nano) => Scale::MicroToNano,
        _ => Scale::None,
    };
    let info = FileInfo {
        linktype,
        linktype_ext: linktype_field.extension(),
        snaplen,
        swapped: order.swapped,
        version,
        precision,
    };
    let lengths = LengthOrder::of_version(version);
    let max_caplen = linktype.max_snaplen();
    let has_pseudo_header = pseudo_header::has_work(linktype, order);
    let records = Records { order, header_len, lengths, scale, max_caplen, has_pseudo_header };
    Ok((Format::Pcap(records), info))
}

/// Versions up to 2.4 are known, and DG/UX's 543.0.
fn check_version((major, minor): (u16, u16)) -> Result<(), PcapError> {
    match (major, minor) {
        (0..=1, _) => Err(PcapError::Archaic),
        (2, 0..=4) | (543, 0) => Ok(()),
        _ => Err(PcapError::Version { major, minor }),
    }
}

impl Records {
    /// The next packet.
    #[inline]
    pub fn next_packet(
        &mut self,
        source: &mut Source,
        info: &FileInfo,
        filter: Option<&Filter>,
    ) -> Result<Next, ReadError> {
        let record = source.record(self.header_len, |bytes| {
            let header = self.parse_header(bytes);
            if header.caplen > self.max_caplen {
                return Err(too_long(header.caplen, self.max_caplen, info.snaplen));
            }
            Ok((header, header.caplen as usize))
        })?;
        let (mut header, data) = match record {
            Record::Whole(header, data) => (header, data),
            Record::End => return Ok(Next::End),
            Record::Short(short) => {
                return Err(truncated(&short, self.header_len, info.snaplen).into());
            }
        };
        // Some writers forget the snapshot length in the file header. Programs trust it (they
        // have buffers of that size), so packets are cut to it.
        header.caplen = header.caplen.min(info.snaplen as u32);
        let data = &mut data[..header.caplen as usize];
        if self.has_pseudo_header {
            pseudo_header::fix(info.linktype, self.order, &mut header, data);
        }
        Ok(Next::judge(Packet { header, data }, filter))
    }

    /// Takes packets that lie in memory, as [`Records::next_packet`] would; stops in front of what
    /// needs more than that.
    pub fn take_ahead(&self, blocks: &mut BlockReader, info: &FileInfo, ahead: &mut Ahead<'_>) {
        if self.has_pseudo_header {
            return;
        }
        let (bytes, start) = blocks.ahead();
        let snaplen = info.snaplen as u32;
        let mut at = 0;
        while ahead.has_room()
            && let Some(record) = bytes.get(at..)
            && let Some((fields, rest)) = record.split_at_checked(self.header_len)
        {
            let mut header = self.parse_header(fields);
            let len = header.caplen as usize;
            header.caplen = header.caplen.min(snaplen);
            if len > self.max_caplen as usize || len > rest.len() {
                break;
            }
            at += self.header_len + len;
            ahead.offer(Packet { header, data: &rest[..header.caplen as usize] }, start + at);
        }
        blocks.go_on(start + at);
    }

    /// Time stamps are unsigned 32-bit numbers, good until 2106.
    #[inline]
    fn parse_header(&self, bytes: &[u8]) -> PacketHeader {
        let [sec, frac, first, second] = self.order.words(bytes);
        let frac = match self.scale {
            Scale::None => i64::from(frac),
            Scale::MicroToNano => i64::from(frac) * 1000,
            Scale::NanoToMicro => i64::from(frac / 1000),
        };
        let (caplen, len) = self.lengths.arrange(first, second);
        PacketHeader { ts: Timestamp { sec: i64::from(sec), frac }, caplen, len }
    }
}

#[cold]
fn too_long(caplen: u32, max: u32, snaplen: i32) -> ReadError {
    if caplen > snaplen as u32 {
        ReadError::LongerThanSnaplen { caplen, snaplen }
    } else {
        PcapError::LongerThanMaximum { caplen, max }.into()
    }
}

#[cold]
fn truncated(short: &Short<PacketHeader>, header_len: usize, snaplen: i32) -> PcapError {
    match *short {
        Short::Header(got) => PcapError::TruncatedPacketHeader { wanted: header_len, got },
        Short::Body { header, got, .. } => {
            let cut = header.caplen.min(snaplen as u32);
            let wanted = if got < cut as usize { cut } else { header.caplen };
            PcapError::TruncatedPacket { wanted, got }
        }
    }
}
