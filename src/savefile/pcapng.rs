//! The pcapng format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>.

use super::block_reader::BlockReader;
use super::byte_order::ByteOrder;
use super::error::{PcapNgError, ReadError};
use super::interface::Interface;
use super::pseudo_header;
use super::reader::{Ahead, FileInfo, Format, Next, adjusted_snaplen, precision_from};
use super::source::{Record, Short, Source, Taken};
use crate::bpf::Filter;
use crate::linktype::Dlt;
use crate::packet::{Packet, PacketHeader};
use crate::timestamp::Precision;

/// Block types. The section header's reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const MAJOR_VERSION: u16 = 1;

/// Type and total length.
const BLOCK_HEADER_LEN: usize = 8;
/// Total length again.
const BLOCK_TRAILER_LEN: usize = 4;
/// Byte-order magic, version, section length.
const SECTION_HEADER_LEN: usize = 16;
/// Link-layer type, reserved, snapshot length.
const INTERFACE_DESCRIPTION_LEN: usize = 8;
/// Interface, time stamp, two lengths.
const ENHANCED_PACKET_LEN: usize = 20;

/// Longest first section header, bytes: more is no pcapng file.
const MAX_SECTION_HEADER: u32 = 1024 * 1024;
/// Longest block that every file may have, bytes.
const MIN_MAX_BLOCK: u32 = 16 * 1024 * 1024;
/// Bytes of options that a packet of the greatest length may have.
const MAX_PACKET_OPTIONS: u32 = 128 * 1024;

/// A file's blocks, and the state of the section that we are in.
#[derive(Debug)]
pub(super) struct Blocks {
    order: ByteOrder,
    /// Longest block to accept, bytes.
    max_block: u32,
    interfaces: Vec<Interface>,
    /// Packets begin with something to be put into our byte order.
    has_pseudo_header: bool,
}

/// A block in memory: type and what is between header and trailer.
struct Block<'a> {
    kind: u32,
    body: &'a mut [u8],
}

impl<'a> Block<'a> {
    /// Splits the body after its fixed part.
    #[inline]
    fn split(self, fixed: usize) -> Result<(&'a mut [u8], &'a mut [u8]), PcapNgError> {
        self.body.split_at_mut_checked(fixed).ok_or(PcapNgError::BlockContents(self.kind))
    }
}

/// The fields that the packet blocks have in common.
struct PacketFields {
    interface: u32,
    time: u64,
    caplen: u32,
    len: u32,
    /// Bytes in the body before the packet.
    offset: usize,
}

/// What the fixed part of an interface description says.
struct Description {
    linktype: u16,
    snaplen: u32,
}

/// Reads on after the first block's type, up to the first interface description, without which
/// there is no link-layer type.
pub(super) fn open(source: &mut Source, precision: u32) -> Result<(Format, FileInfo), ReadError> {
    let (order, length) = open_section(source)?;
    let precision = precision_from(precision)?;
    let version = read_version(source, order, length)?;

    let mut interfaces = Vec::new();
    let first = loop {
        let Some(block) = next_block(source, order, MIN_MAX_BLOCK)? else {
            return Err(PcapNgError::NoInterface.into());
        };
        match block.kind {
            INTERFACE_DESCRIPTION => {
                break add_interface(&mut interfaces, order, block, precision)?;
            }
            PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                return Err(PcapNgError::PacketBeforeInterface.into());
            }
            _ => {}
        }
    };
    let linktype = Dlt::from_linktype(first.linktype.into());
    let longest_packet = linktype.max_snaplen() + MAX_PACKET_OPTIONS;
    let overhead = BLOCK_HEADER_LEN + ENHANCED_PACKET_LEN + BLOCK_TRAILER_LEN;
    let max_block = MIN_MAX_BLOCK.max(longest_packet + overhead as u32);
    let has_pseudo_header = pseudo_header::has_work(linktype, order);
    let blocks = Blocks { order, max_block, interfaces, has_pseudo_header };
    let info = FileInfo {
        linktype,
        linktype_ext: 0,
        snaplen: adjusted_snaplen(linktype, first.snaplen),
        swapped: order.swapped,
        version,
        precision,
    };
    Ok((Format::PcapNg(blocks), info))
}

/// Total length and byte-order magic of the first section header. Until the magic is there the
/// file may be a text that begins with line ends.
fn open_section(source: &mut Source) -> Result<(ByteOrder, u32), ReadError> {
    let mut word = || match source.take(4)? {
        Taken::All(bytes) => Ok([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Taken::Short(_) => Err(ReadError::UnknownFormat),
    };
    let length = word()?;
    let magic = u32::from_ne_bytes(word()?);
    let swapped = match magic {
        BYTE_ORDER_MAGIC => false,
        _ if magic == BYTE_ORDER_MAGIC.swap_bytes() => true,
        _ => return Err(ReadError::UnknownFormat),
    };
    let order = ByteOrder { swapped };
    let length = order.u32(&length, 0);
    let min = BLOCK_HEADER_LEN + SECTION_HEADER_LEN + BLOCK_TRAILER_LEN;
    if (length as usize) < min || length > MAX_SECTION_HEADER {
        let max = MAX_SECTION_HEADER;
        return Err(PcapNgError::SectionLength { min, length, max }.into());
    }
    Ok((order, length))
}

/// The rest of the first section header.
fn read_version(
    source: &mut Source,
    order: ByteOrder,
    length: u32,
) -> Result<(u16, u16), ReadError> {
    let wanted = length as usize - BLOCK_HEADER_LEN - 4;
    let rest = match source.take(wanted)? {
        Taken::All(rest) => rest,
        Taken::Short(got) => return Err(PcapNgError::Truncated { wanted, got }.into()),
    };
    let (major, minor) = (order.u16(rest, 0), order.u16(rest, 2));
    // 1.2 only has more block types.
    if major != MAJOR_VERSION || !matches!(minor, 0 | 2) {
        return Err(PcapNgError::Version { major, minor }.into());
    }
    Ok((major, minor))
}

/// Enters an interface description.
fn add_interface(
    interfaces: &mut Vec<Interface>,
    order: ByteOrder,
    block: Block<'_>,
    precision: Precision,
) -> Result<Description, PcapNgError> {
    let (fixed, options) = block.split(INTERFACE_DESCRIPTION_LEN)?;
    let description = Description { linktype: order.u16(fixed, 0), snaplen: order.u32(fixed, 4) };
    interfaces.push(Interface::from_options(order, options, precision)?);
    Ok(description)
}

impl Blocks {
    /// The next packet.
    #[inline]
    pub fn next_packet(
        &mut self,
        source: &mut Source,
        info: &FileInfo,
        filter: Option<&Filter>,
    ) -> Result<Next, ReadError> {
        let order = self.order;
        loop {
            let Some(block) = next_block(source, order, self.max_block)? else {
                return Ok(Next::End);
            };
            let fields = match block.kind {
                ENHANCED_PACKET => enhanced_fields(order, &block)?,
                SIMPLE_PACKET => simple_fields(order, &block, info)?,
                PACKET => packet_fields(order, &block)?,
                INTERFACE_DESCRIPTION => {
                    self.further_interface(block, info)?;
                    continue;
                }
                SECTION_HEADER => {
                    self.further_section(block)?;
                    continue;
                }
                _ => continue,
            };
            return Ok(Next::judge(self.packet(block, &fields, info)?, filter));
        }
    }

    /// Takes enhanced packet blocks that lie in memory, as [`Blocks::next_packet`] would; stops in
    /// front of what needs more than that.
    pub fn take_ahead(&self, blocks: &mut BlockReader, info: &FileInfo, ahead: &mut Ahead<'_>) {
        if self.has_pseudo_header {
            return;
        }
        let order = self.order;
        let (bytes, start) = blocks.ahead();
        let mut at = 0;
        while ahead.has_room()
            && let Some(rest) = bytes.get_mut(at..)
            && let Some(header) = rest.get(..BLOCK_HEADER_LEN)
        {
            let [kind, length] = order.words(header);
            let whole = length as usize;
            if kind != ENHANCED_PACKET || check_length(length, self.max_block).is_err() {
                break;
            }
            let Some(block) = rest.get_mut(BLOCK_HEADER_LEN..whole) else { break };
            let (body, trailer) = block.split_at_mut(whole - BLOCK_HEADER_LEN - BLOCK_TRAILER_LEN);
            let block = Block { kind, body };
            let Ok(fields) = enhanced_fields(order, &block) else { break };
            if order.u32(trailer, 0) != length {
                break;
            }
            let Ok(packet) = self.packet(block, &fields, info) else { break };
            at += whole;
            ahead.offer(packet, start + at);
        }
        blocks.go_on(start + at);
    }

    /// Time stamp, length checks and data of a packet block.
    #[inline]
    fn packet<'a>(
        &self,
        block: Block<'a>,
        fields: &PacketFields,
        info: &FileInfo,
    ) -> Result<Packet<'a>, ReadError> {
        let interface = self
            .interfaces
            .get(fields.interface as usize)
            .ok_or(PcapNgError::UnknownInterface(fields.interface))?;
        let &PacketFields { caplen, len, time, offset, .. } = fields;
        if caplen > info.snaplen as u32 {
            return Err(ReadError::LongerThanSnaplen { caplen, snaplen: info.snaplen });
        }
        let data = block
            .body
            .get_mut(offset..offset + caplen as usize)
            .ok_or(PcapNgError::BlockContents(block.kind))?;
        let ts = interface.timestamp(time, info.precision);
        let mut header = PacketHeader { ts, caplen, len };
        if self.has_pseudo_header {
            pseudo_header::fix(info.linktype, self.order, &mut header, data);
        }
        Ok(Packet { header, data })
    }

    /// A handle has one link-layer type and one snapshot length, so all interfaces must have the
    /// first one's.
    #[cold]
    fn further_interface(&mut self, block: Block<'_>, info: &FileInfo) -> Result<(), PcapNgError> {
        let fixed = block.body.get(..INTERFACE_DESCRIPTION_LEN);
        let fixed = fixed.ok_or(PcapNgError::BlockContents(block.kind))?;
        let linktype = self.order.u16(fixed, 0);
        if Dlt::from_linktype(linktype.into()) != info.linktype {
            return Err(PcapNgError::MixedLinktypes(linktype));
        }
        let snaplen = self.order.u32(fixed, 4);
        if adjusted_snaplen(info.linktype, snaplen) != info.snaplen {
            return Err(PcapNgError::MixedSnaplens(snaplen));
        }
        add_interface(&mut self.interfaces, self.order, block, info.precision).map(|_| ())
    }

    /// A new section has interfaces of its own. Its byte order must be the first one's: a
    /// handle's `pcap_is_swapped` does not change.
    #[cold]
    fn further_section(&mut self, block: Block<'_>) -> Result<(), PcapNgError> {
        let (fixed, _) = block.split(SECTION_HEADER_LEN)?;
        match self.order.u32(fixed, 0) {
            BYTE_ORDER_MAGIC => {}
            magic if magic == BYTE_ORDER_MAGIC.swap_bytes() => {
                return Err(PcapNgError::MixedByteOrder);
            }
            _ => return Err(PcapNgError::BadByteOrderMagic),
        }
        let major = self.order.u16(fixed, 4);
        if major != MAJOR_VERSION {
            return Err(PcapNgError::LaterMajorVersion(major));
        }
        self.interfaces.clear();
        Ok(())
    }
}

/// The next block, whole; `None` at the end.
#[inline]
fn next_block(
    source: &mut Source,
    order: ByteOrder,
    max: u32,
) -> Result<Option<Block<'_>>, ReadError> {
    let record = source.record(BLOCK_HEADER_LEN, |bytes| {
        let [kind, length] = order.words(bytes);
        check_length(length, max)?;
        Ok::<_, ReadError>(((kind, length), length as usize - BLOCK_HEADER_LEN))
    })?;
    let ((kind, length), rest) = match record {
        Record::Whole(header, rest) => (header, rest),
        Record::End => return Ok(None),
        Record::Short(short) => return Err(truncated(&short).into()),
    };
    let (body, trailer) = rest.split_at_mut(rest.len() - BLOCK_TRAILER_LEN);
    if order.u32(trailer, 0) != length {
        return Err(PcapNgError::TrailerMismatch.into());
    }
    Ok(Some(Block { kind, body }))
}

#[cold]
fn truncated<H>(short: &Short<H>) -> PcapNgError {
    match *short {
        Short::Header(got) => PcapNgError::Truncated { wanted: BLOCK_HEADER_LEN, got },
        Short::Body { len, got, .. } => PcapNgError::Truncated { wanted: len, got },
    }
}

#[inline]
fn check_length(length: u32, max: u32) -> Result<(), PcapNgError> {
    if (length as usize) < BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN {
        return Err(PcapNgError::BlockTooShort(length));
    }
    if !length.is_multiple_of(4) {
        return Err(PcapNgError::BlockNotPadded(length));
    }
    if length > max {
        return Err(PcapNgError::BlockTooLong { length, max });
    }
    Ok(())
}

#[inline]
fn fixed_part<'a>(block: &'a Block<'_>, len: usize) -> Result<&'a [u8], PcapNgError> {
    block.body.get(..len).ok_or(PcapNgError::BlockContents(block.kind))
}

#[inline]
fn enhanced_fields(order: ByteOrder, block: &Block<'_>) -> Result<PacketFields, PcapNgError> {
    let fixed = fixed_part(block, ENHANCED_PACKET_LEN)?;
    Ok(timed_fields(order, fixed, order.u32(fixed, 0)))
}

/// The obsolete packet block: a 16-bit interface and a drop count where the enhanced one has a
/// 32-bit interface.
fn packet_fields(order: ByteOrder, block: &Block<'_>) -> Result<PacketFields, PcapNgError> {
    let fixed = fixed_part(block, ENHANCED_PACKET_LEN)?;
    Ok(timed_fields(order, fixed, order.u16(fixed, 0).into()))
}

#[inline]
fn timed_fields(order: ByteOrder, fixed: &[u8], interface: u32) -> PacketFields {
    let [_, high, low, caplen, len] = order.words(fixed);
    let time = u64::from(high) << 32 | u64::from(low);
    PacketFields { interface, time, caplen, len, offset: ENHANCED_PACKET_LEN }
}

/// The simple packet block: of the first interface, without a time, cut to the snapshot length.
fn simple_fields(
    order: ByteOrder,
    block: &Block<'_>,
    info: &FileInfo,
) -> Result<PacketFields, PcapNgError> {
    let len = order.u32(fixed_part(block, 4)?, 0);
    let caplen = len.min(info.snaplen as u32);
    Ok(PacketFields { interface: 0, time: 0, caplen, len, offset: 4 })
}
