//! The buffers of a packet socket: which kind, and how large.

use super::activate::{Method, Opened};
use super::ring::{BlockRing, FrameRing};
use super::source::{Queue, Source};
use super::vlan::TAG_LEN;
use super::{CaptureError, MAXIMUM_SNAPLEN, failure, failure_with};
use crate::linktype::Dlt;
use crate::sys::netdev;
use crate::sys::packet::{PacketSocket, RingShape, RingVersion};
use crate::sys::ring_mem::{RingMem, page_size};
use std::io;
use std::os::fd::AsFd;

/// Buffer size where none is set, bytes.
const DEFAULT_BUFFER: u32 = 2 << 20;
/// Bytes of an Ethernet header.
const ETHERNET_HEADER: u32 = 14;
/// `TPACKET_ALIGNMENT`.
const ALIGN: u32 = libc::TPACKET_ALIGNMENT as u32;

/// What the buffers are wanted for.
pub(super) struct Wanted<'a> {
    pub device: &'a [u8],
    pub snaplen: u32,
    /// Bytes; 0 for the default.
    pub buffer_size: u32,
    /// As in [`crate::capture::Config`].
    pub timeout_ms: i32,
    pub immediate: bool,
}

/// The buffers made.
pub(super) struct Buffers {
    pub source: Source,
    /// Bytes of the largest unit, for `pcap_bufsize`.
    pub bufsize: u32,
}

/// Makes the buffers of a socket that is not yet bound to a protocol.
pub(super) fn buffers(
    opened: &Opened,
    wanted: &Wanted,
    method: Method,
) -> Result<Buffers, CaptureError> {
    let socket = &opened.socket;
    let versions: &[RingVersion] = match method {
        // A block is handed over when it is full or old: not at once.
        Method::Auto if wanted.immediate => &[RingVersion::V2],
        Method::Auto => &[RingVersion::V3, RingVersion::V2],
        Method::V3 => &[RingVersion::V3],
        Method::V2 => &[RingVersion::V2],
        Method::Receive => &[],
    };
    for &version in versions {
        match ring(opened, wanted, version) {
            Ok(Some(buffers)) => return Ok(buffers),
            Ok(None) => {}
            Err(e) if method != Method::Auto => return Err(e),
            Err(_) => {}
        }
    }
    if matches!(method, Method::V2 | Method::V3) {
        return Err(failure(&format!("the kernel has no TPACKET_{method:?}")));
    }
    socket.set_timestamp_ns().map_err(|e| failure_with("setsockopt (SO_TIMESTAMPNS)", e))?;
    socket.set_receive_buffer(buffer_size(wanted));
    Ok(Buffers { source: Source::Queue(Queue::new(wanted.snaplen)), bufsize: wanted.snaplen })
}

fn buffer_size(wanted: &Wanted) -> u32 {
    if wanted.buffer_size == 0 { DEFAULT_BUFFER } else { wanted.buffer_size }
}

/// A ring; `None` where the kernel does not know the version.
fn ring(
    opened: &Opened,
    wanted: &Wanted,
    version: RingVersion,
) -> Result<Option<Buffers>, CaptureError> {
    let socket = &opened.socket;
    let header = match socket.ring_header_len(version) {
        Ok(len) => len,
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOPROTOOPT)) => {
            return Ok(None);
        }
        Err(e) => return Err(failure_with("can't get TPACKET header len on packet socket", e)),
    };
    let what = format!("can't activate TPACKET_{version:?} on packet socket");
    socket.set_ring_version(version).map_err(|e| failure_with(&what, e))?;
    // A VLAN tag must fit in front of a packet.
    socket
        .set_ring_reserve(TAG_LEN)
        .map_err(|e| failure_with("can't set up reserve on packet socket", e))?;
    let frame_size = match version {
        RingVersion::V3 => MAXIMUM_SNAPLEN,
        RingVersion::V2 => {
            let ethernet = opened.kind.linktypes[0] == Dlt::EN10MB;
            // Without a header most is in front.
            let link_header = if ethernet { ETHERNET_HEADER } else { 0 };
            v2_frame_size(header, link_header, longest_packet(opened, wanted)?)
        }
    };
    let shape = shape(frame_size, buffer_size(wanted), retire_ms(wanted.timeout_ms));
    let shape = allocate(socket, shape)
        .map_err(|e| failure_with("can't create rx ring on packet socket", e))?;
    let mem = RingMem::map(socket.as_fd(), shape.size())
        .map_err(|e| failure_with("can't mmap rx ring", e))?;
    let source = match version {
        RingVersion::V3 => Source::Blocks(BlockRing::new(mem, &shape)),
        RingVersion::V2 => Source::Frames(FrameRing::new(mem, &shape)),
    };
    Ok(Some(Buffers { source, bufsize: shape.frame_size }))
}

/// Milliseconds until the kernel hands over a block that is not full.
fn retire_ms(timeout_ms: i32) -> u32 {
    match timeout_ms {
        // Never, as far as the kernel can count.
        0 => u32::MAX,
        // Nonblocking: what the kernel thinks best.
        ms => u32::try_from(ms).unwrap_or(0),
    }
}

/// Bytes of the longest packet that is kept: the snapshot length, or less where the interface
/// has no longer ones.
fn longest_packet(opened: &Opened, wanted: &Wanted) -> Result<u32, CaptureError> {
    // Link-layer header and VLAN tag.
    const AROUND_MTU: u32 = 18;
    if opened.kind.linktypes[0] != Dlt::EN10MB {
        return Ok(wanted.snaplen);
    }
    let fd = opened.socket.as_fd();
    let mtu = netdev::mtu(fd, wanted.device).map_err(|e| failure_with("SIOCGIFMTU", e))?;
    let offloads = netdev::offloads(fd, wanted.device).map_err(|(what, e)| {
        let device = crate::raw_text::keep(wanted.device);
        failure_with(&format!("{device}: SIOCETHTOOL({what}) ioctl failed"), e)
    })?;
    let longest = if offloads { mtu.max(65_535) } else { mtu };
    Ok(wanted.snaplen.min(u32::try_from(longest).unwrap_or(0) + AROUND_MTU))
}

fn align(len: u32) -> u32 {
    len.next_multiple_of(ALIGN)
}

/// Bytes of a TPACKET_V2 frame that has room for `longest` bytes of packet behind a link-layer
/// header of `link_header` bytes, computed as `tpacket_rcv` in net/packet/af_packet.c does.
///
/// libpcap computes with a header of 256 bytes, for which the kernel leaves less space before
/// the packet: some of its captures lose the last bytes of the snapshot length.
fn v2_frame_size(header: u32, link_header: u32, longest: u32) -> u32 {
    let with_addr = align(header) + size_of::<libc::sockaddr_ll>() as u32;
    let net_offset = align(with_addr + link_header.max(16)) + TAG_LEN;
    align(net_offset - link_header + longest)
}

/// A ring of at least `buffer` bytes: blocks of whole pages, a power of two of them, each with
/// as many frames as fit.
fn shape(frame_size: u32, buffer: u32, retire_ms: u32) -> RingShape {
    let mut block_size = page_size();
    while block_size < frame_size {
        block_size *= 2;
    }
    let per_block = block_size / frame_size;
    let blocks = (buffer.div_ceil(frame_size) / per_block).max(1);
    RingShape { block_size, blocks, frame_size, frames: blocks * per_block, retire_ms }
}

/// Makes the ring, of that shape or, where memory is short, with fewer blocks.
fn allocate(socket: &PacketSocket, mut shape: RingShape) -> io::Result<RingShape> {
    loop {
        match socket.make_ring(&shape) {
            Ok(()) => return Ok(shape),
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && shape.blocks > 1 => {
                let per_block = shape.frames / shape.blocks;
                // Five per cent less, or one.
                shape.blocks -= (shape.blocks / 20).max(1);
                shape.frames = shape.blocks * per_block;
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame sizes that libpcap 1.10.3 was seen to ask for, and larger ones where its own are
    /// too small (70 or 84 bytes in front of the packet, with Ethernet header or without).
    #[test]
    fn frame_sizes_are_libpcaps_or_right() {
        for (link_header, longest, libpcap) in [
            (14, 65_553, 65_632),
            (14, 65_535, 65_616),
            (14, 1_500, 1_568),
            (14, 2_000, 2_080),
            (14, 100, 176),
            (14, 60, 128),
            (14, 1, 80),
            (0, 262_144, 262_240),
            (0, 65_535, 65_632),
            (0, 2_000, 2_096),
            (0, 17, 112),
        ] {
            let needed = if link_header == 14 { 70 } else { 84 } + longest;
            let expected = if libpcap < needed { libpcap + ALIGN } else { libpcap };
            assert_eq!(v2_frame_size(32, link_header, longest), expected, "{longest}");
        }
    }

    /// Rings that libpcap 1.10.3 was seen to ask for, on a machine with pages of 4 KiB.
    #[test]
    fn shapes_are_libpcaps() {
        if page_size() != 4096 {
            eprintln!("skipped: pages are not 4 KiB");
            return;
        }
        for (frame, buffer, block_size, blocks, frames) in [
            (262_144, DEFAULT_BUFFER, 262_144, 8, 8),
            (262_144, 1_000, 262_144, 1, 1),
            (262_144, 100_000_000, 262_144, 382, 382),
            (262_144, 300_000, 262_144, 2, 2),
            (65_632, DEFAULT_BUFFER, 131_072, 32, 32),
            (262_240, DEFAULT_BUFFER, 524_288, 8, 8),
            (176, DEFAULT_BUFFER, 4_096, 518, 11_914),
            (192, DEFAULT_BUFFER, 4_096, 520, 10_920),
            (80, DEFAULT_BUFFER, 4_096, 514, 26_214),
            (1_568, DEFAULT_BUFFER, 4_096, 669, 1_338),
            (2_080, 300_001, 4_096, 145, 145),
            (2_096, 3_000_000, 4_096, 1_432, 1_432),
        ] {
            let expected =
                RingShape { block_size, blocks, frame_size: frame, frames, retire_ms: 7 };
            assert_eq!(shape(frame, buffer, 7), expected);
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!([retire_ms(0), retire_ms(100), retire_ms(-1)], [u32::MAX, 100, 0]);
    }
}
