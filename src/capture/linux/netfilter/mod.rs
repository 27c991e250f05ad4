//! `nflog` and `nfqueue`: packets that firewall rules log or queue.

mod message;

use self::message::{Message, Request};
use super::{PCAP_ERROR_RFMON_NOTSUP, failure, failure_with, snaplen, status};
use crate::bpf::{Aux, Filter, Preference, Program};
use crate::capture::breakloop::EventWaker;
use crate::capture::{
    Activated, Backend, CaptureError, Config, Direction, Fill, Placement, Progress, Stats, Waker,
};
use crate::filter::LiveTarget;
use crate::linktype::Dlt;
use crate::packet::{PacketHeader, RawPacket};
use crate::sys::clock;
use crate::sys::netlink::NetfilterSocket;
use crate::sys::poll::{Wait, Woken};
use crate::timestamp::{Precision, Timestamp};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

/// `DLT_NFLOG`: nfnetlink's own attributes.
const NFLOG: Dlt = Dlt(239);
/// `DLT_IPV4`.
const IPV4: Dlt = Dlt(228);
/// Most groups or queues of a device name.
const MAX_GROUPS: usize = 32;
/// Bytes a datagram has beside the packet.
const AROUND_PACKET: usize = 128;
/// Least room for a datagram: the kernel collects packets of the log up to this.
const LEAST_ROOM: usize = 64 * 1024;
/// `NFULA_PAYLOAD` and `NFQA_PAYLOAD`, `NFQA_PACKET_HDR`.
const LOG_PAYLOAD: u16 = 9;
const QUEUE_PAYLOAD: u16 = 10;
const QUEUE_HEADER: u16 = 1;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `nflog`.
    Log,
    /// `nfqueue`.
    Queue,
}

impl Kind {
    /// The kind a device name is of.
    pub fn of(device: &[u8]) -> Option<Self> {
        let (name, _) = split(device);
        match name {
            b"nflog" => Some(Self::Log),
            b"nfqueue" => Some(Self::Queue),
            _ => None,
        }
    }

    /// `NFNL_SUBSYS_ULOG` or `NFNL_SUBSYS_QUEUE`, as the upper byte of a message type.
    fn subsystem(self) -> u16 {
        match self {
            Self::Log => 4 << 8,
            Self::Queue => 3 << 8,
        }
    }

    /// `NFULNL_MSG_CONFIG` or `NFQNL_MSG_CONFIG`.
    fn config_message(self) -> u16 {
        match self {
            Self::Log => 1,
            Self::Queue => 2,
        }
    }

    fn linktypes(self) -> &'static [Dlt] {
        match self {
            Self::Log => &[NFLOG, IPV4],
            Self::Queue => &[IPV4],
        }
    }
}

fn split(device: &[u8]) -> (&[u8], Option<&[u8]>) {
    match device.iter().position(|&b| b == b':') {
        Some(at) => (&device[..at], Some(&device[at + 1..])),
        None => (device, None),
    }
}

/// Groups of a device name: `nflog:1,2`; group 0 where none is named.
fn groups(device: &[u8]) -> Result<Vec<u16>, CaptureError> {
    let name = crate::raw_text::keep(device);
    let (_, Some(list)) = split(device) else { return Ok(vec![0]) };
    let mut groups = Vec::new();
    for item in list.split(|&b| b == b',') {
        if groups.len() == MAX_GROUPS {
            return Err(failure(&format!("Maximum {MAX_GROUPS} netfilter groups! dev: {name}")));
        }
        let number = std::str::from_utf8(item).ok().and_then(|item| item.parse::<i64>().ok());
        let number = number
            .ok_or_else(|| failure(&format!("Can't get netfilter group(s) index from {name}")))?;
        groups.push(u16::try_from(number).map_err(|_| {
            failure(&format!("Netfilter group range from 0 to 65535 (got {number})"))
        })?);
    }
    Ok(groups)
}

/// Opens and activates `nflog` or `nfqueue`.
pub(super) fn activate(config: &Config, kind: Kind) -> Result<Activated, CaptureError> {
    let groups = groups(config.device.as_deref().unwrap_or_default())?;
    if config.rfmon {
        return Err(status(PCAP_ERROR_RFMON_NOTSUP));
    }
    let waker = EventWaker::new().map_err(|e| failure_with("could not open eventfd", e))?;
    let socket = NetfilterSocket::new().map_err(|e| failure_with("Can't create raw socket", e))?;
    let snaplen = snaplen(config);
    let room = AROUND_PACKET + snaplen as usize;
    let mut live = Netfilter {
        socket,
        kind,
        linktype: kind.linktypes()[0],
        snaplen,
        room: vec![0; room.max(LEAST_ROOM)].into(),
        packet: RawPacket::NONE,
        len: 0,
        at: 0,
        stamp: Timestamp::default(),
        precision: config.precision,
        timeout_ms: config.timeout_ms,
        nonblock: config.nonblock,
        filter: None,
        stats: Stats::default(),
        waker: Arc::new(waker),
    };
    live.configure(&groups)?;
    if config.buffer_size != 0 {
        let bytes = i32::try_from(config.buffer_size).unwrap_or(i32::MAX);
        live.socket.set_receive_buffer(bytes).map_err(|e| failure_with("SO_RCVBUF", e))?;
    }
    Ok(Activated { backend: Box::new(live), warning: 0, message: String::new() })
}

/// An activated log or queue.
struct Netfilter {
    socket: NetfilterSocket,
    kind: Kind,
    linktype: Dlt,
    snaplen: u32,
    /// The datagram at hand: its room, its length, where the next message is.
    room: Box<[u8]>,
    /// The packet taken last.
    packet: RawPacket,
    len: usize,
    at: usize,
    /// When it came.
    stamp: Timestamp,
    precision: Precision,
    timeout_ms: i32,
    nonblock: bool,
    filter: Option<Filter>,
    stats: Stats,
    waker: Arc<EventWaker>,
}

impl Netfilter {
    fn configure(&mut self, groups: &[u16]) -> Result<(), CaptureError> {
        let mut requests = vec![Request::Unbind, Request::Bind];
        for &group in groups {
            requests.extend([Request::Listen(group), Request::CopyPackets(group, self.snaplen)]);
        }
        for (sequence, request) in (1u32..).zip(requests) {
            let message = request.encode(self.kind, libc::AF_INET as u8, sequence);
            self.socket
                .send(&message)
                .and_then(|()| self.await_acknowledgment(sequence))
                .map_err(|e| failure_with(&request.name(self.kind), e))?;
        }
        Ok(())
    }

    /// Waits for the answer to a request. Packets that come meanwhile are lost: nobody has been
    /// promised any yet.
    fn await_acknowledgment(&mut self, sequence: u32) -> io::Result<()> {
        loop {
            let len = match self.socket.receive(&mut self.room, true) {
                Ok(len) => len,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => continue,
                Err(e) => return Err(e),
            };
            let mut at = 0;
            while let Some((message, next)) = Message::at(&self.room[..len], at) {
                match message.acknowledged().filter(|_| message.sequence == sequence) {
                    Some(0) => return Ok(()),
                    Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    None => at = next,
                }
            }
        }
    }

    /// Takes a datagram, if one is queued, and lets queued packets go on.
    fn receive(&mut self) -> Result<bool, CaptureError> {
        match self.socket.receive(&mut self.room, false) {
            Ok(len) => (self.len, self.at) = (len, 0),
            Err(e) => match e.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => return Ok(false),
                // The kernel dropped packets that there was no room for; it does not say how many.
                Some(libc::ENOBUFS) => {
                    self.stats.dropped = self.stats.dropped.wrapping_add(1);
                    return Ok(false);
                }
                _ => return Err(failure_with("Can't receive packet", e)),
            },
        }
        let (ns, second) = (clock::realtime_ns(), 1_000_000_000);
        let unit = if self.precision == Precision::Nano { 1 } else { 1000 };
        self.stamp = Timestamp { sec: ns / second, frac: ns % second / unit };
        if self.kind == Kind::Queue {
            self.accept_all()?;
        }
        Ok(true)
    }

    /// Capture only looks on: whatever was queued goes on, once for all packets of a datagram.
    fn accept_all(&self) -> Result<(), CaptureError> {
        let (mut at, mut last) = (0, None);
        while let Some((message, next)) = Message::at(&self.room[..self.len], at) {
            at = next;
            if !message.is_packet(self.kind) {
                continue;
            }
            let Some(id) = message.attribute(QUEUE_HEADER).and_then(|h| h.first_chunk()) else {
                continue;
            };
            let this = (message.resource(), u32::from_be_bytes(*id));
            if let Some((queue, id)) = last.replace(this).filter(|(q, _)| *q != this.0) {
                self.accept(queue, id)?;
            }
        }
        last.map_or(Ok(()), |(queue, id)| self.accept(queue, id))
    }

    fn accept(&self, queue: u16, id: u32) -> Result<(), CaptureError> {
        let request = Request::AcceptUpTo(queue, id);
        self.socket
            .send(&request.encode(self.kind, 0, 0))
            .map_err(|e| failure_with(&request.name(self.kind), e))
    }

    /// The bytes of a packet message that users see.
    fn packet_of<'a>(&self, message: &Message<'a>) -> Option<&'a [u8]> {
        if !message.is_packet(self.kind) {
            return None;
        }
        match self.kind {
            Kind::Log if self.linktype == NFLOG => Some(message.body),
            Kind::Log => message.attribute(LOG_PAYLOAD),
            Kind::Queue => message.attribute(QUEUE_PAYLOAD),
        }
    }
}

impl Backend for Netfilter {
    fn linktype(&self) -> Dlt {
        self.linktype
    }

    fn linktypes(&self) -> &[Dlt] {
        self.kind.linktypes()
    }

    fn set_linktype(&mut self, dlt: Dlt) -> Result<(), CaptureError> {
        self.linktype = dlt;
        Ok(())
    }

    fn snaplen(&self) -> i32 {
        self.snaplen as i32
    }

    fn bufsize(&self) -> i32 {
        (AROUND_PACKET as u32 + self.snaplen) as i32
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn live_target(&self) -> LiveTarget {
        LiveTarget::default()
    }

    fn advance(&mut self, woken: Option<Woken>) -> Result<Progress, CaptureError> {
        match woken {
            None | Some(Woken::Descriptor(_)) => {}
            Some(Woken::Timeout) => return Ok(Progress::Done(Fill::Empty)),
            Some(Woken::Signal) => return Ok(Progress::Done(Fill::Interrupted)),
            Some(Woken::Event) => {
                self.waker.event().clear();
                return Ok(Progress::Done(Fill::Interrupted));
            }
            Some(Woken::Failed(errno)) => {
                let error = io::Error::from_raw_os_error(errno);
                return Err(failure_with("can't poll on netlink socket", error));
            }
        }
        if self.receive()? {
            return Ok(Progress::Done(Fill::Ready));
        }
        if self.nonblock {
            return Ok(Progress::Done(Fill::Empty));
        }
        let timeout = if self.timeout_ms > 0 { self.timeout_ms } else { -1 };
        Ok(Progress::Wait(Wait::ready(self.socket.as_fd(), self.waker.event(), timeout)))
    }

    fn take(&mut self) -> &[RawPacket] {
        while let Some((message, next)) = Message::at(&self.room[..self.len], self.at) {
            self.at = next;
            let Some(packet) = self.packet_of(&message) else { continue };
            let len = packet.len() as u32;
            let caplen = len.min(self.snaplen);
            let accepted = |filter: &Filter| filter.run(packet, len, &Aux::NONE) != 0;
            if self.filter.as_ref().is_none_or(accepted) {
                let data = packet.as_ptr();
                self.stats.received = self.stats.received.wrapping_add(1);
                let header = PacketHeader { ts: self.stamp, caplen, len };
                self.packet = RawPacket { header, data };
                return std::slice::from_ref(&self.packet);
            }
        }
        &[]
    }

    fn inject(&mut self, _frame: &[u8]) -> Result<usize, CaptureError> {
        Err(failure("Packet injection is not supported on netfilter devices"))
    }

    fn stats(&mut self) -> Result<Stats, CaptureError> {
        Ok(self.stats)
    }

    fn set_filter(&mut self, program: &Program) -> Result<(), CaptureError> {
        // Compiled now, not in a sandbox that the process may enter later.
        self.filter = Some(Filter::with_preference(program, Preference::Native));
        Ok(())
    }

    fn filter_placement(&self) -> Placement {
        match self.filter {
            None => Placement::default(),
            Some(_) => Placement::userland("netfilter devices have no filter in the kernel"),
        }
    }

    fn set_direction(&mut self, _direction: Direction) -> Result<(), CaptureError> {
        Err(failure("Setting direction is not supported on this device"))
    }

    fn nonblock(&self) -> Result<bool, CaptureError> {
        Ok(self.nonblock)
    }

    fn set_nonblock(&mut self, on: bool) -> Result<(), CaptureError> {
        self.nonblock = on;
        Ok(())
    }

    fn fileno(&self) -> RawFd {
        self.socket.as_fd().as_raw_fd()
    }

    fn selectable_fd(&self) -> RawFd {
        self.fileno()
    }

    fn waker(&self) -> Arc<dyn Waker> {
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names() {
        assert_eq!(Kind::of(b"nflog"), Some(Kind::Log));
        assert_eq!(Kind::of(b"nfqueue:3"), Some(Kind::Queue));
        assert_eq!(Kind::of(b"nflogger"), None);
        assert_eq!(groups(b"nflog").unwrap(), [0]);
        assert_eq!(groups(b"nflog:5,65535").unwrap(), [5, 65_535]);
        for (name, message) in [
            ("nflog:x", "Can't get netfilter group(s) index from nflog:x"),
            ("nflog:", "Can't get netfilter group(s) index from nflog:"),
            ("nflog:70000", "Netfilter group range from 0 to 65535 (got 70000)"),
        ] {
            assert_eq!(groups(name.as_bytes()).unwrap_err().message, message);
        }
        let many = format!("nflog:{}", vec!["1"; 33].join(","));
        assert!(groups(many.as_bytes()).unwrap_err().message.starts_with("Maximum 32"));
    }
}
