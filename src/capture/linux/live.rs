//! An activated packet socket: the [`Backend`] of AF_PACKET.

use super::cooked;
use super::drops::InterfaceDrops;
use super::frame::{Corrupt, Frame, Frames};
use super::kernel_filter::{self, Cooked, Installed};
use super::selection::{self, Selection, UserlandFilter};
use super::source::Source;
use super::vlan::{self, TAG_LEN, Tag};
use super::{failure, failure_with};
use crate::bpf::{Preference, Program};
use crate::capture::breakloop::EventWaker;
use crate::capture::{
    Backend, CaptureError, Direction, Fill, Placement, Progress, Stats, StatsCounter, Waker,
};
use crate::filter::LiveTarget;
use crate::linktype::Dlt;
use crate::packet::{PacketHeader, RawPacket};
use crate::sys::packet::PacketSocket;
use crate::sys::poll::{Wait, Woken};
use crate::sys::{clock, netdev};
use crate::timestamp::{Precision, Timestamp};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

/// How often an interface that is down is looked at, in milliseconds: nobody tells us when it
/// comes up again, and it may be removed meanwhile.
const DOWN_POLL_MS: i32 = 20;

/// What becomes of a packet between the kernel and the user.
pub(super) struct View {
    pub direction: Direction,
    /// Index of the loopback interface, or -1.
    pub lo_ifindex: i32,
    /// Cooked header that is put in front of packets.
    pub cooked: Cooked,
    /// Where a VLAN tag goes back in.
    pub tag_offset: Option<u32>,
    pub snaplen: u32,
    pub precision: Precision,
    pub userland: UserlandFilter,
}

impl View {
    /// Completes a packet in place and puts it into `out`; whether it is wanted.
    #[inline]
    fn present(&self, frame: &Frame, unit: u64, out: &mut RawPacket) -> bool {
        let from = super::ring::from(frame);
        if !selection::wants(self.direction, from, self.lo_ifindex) {
            return false;
        }
        let plain = self.cooked == Cooked::No
            && frame.tag().is_none()
            && !self.userland.applies(unit)
            && !selection::is_can(from);
        if plain {
            self.describe(frame, (frame.data, frame.caplen, frame.len), out);
        }
        plain || self.complete(*frame, unit, out)
    }

    /// Fills in `out`: address, captured length and length as users see them.
    #[inline]
    fn describe(
        &self,
        frame: &Frame,
        (data, caplen, len): (*mut u8, u32, u32),
        out: &mut RawPacket,
    ) {
        let frac = match self.precision {
            Precision::Micro => frame.nsec / 1000,
            Precision::Nano => frame.nsec,
        };
        let ts = Timestamp { sec: frame.sec, frac: frac.into() };
        out.header = PacketHeader { ts, caplen: caplen.min(self.snaplen), len };
        out.data = data;
    }

    /// The rest of [`View::present`], for what not every packet needs.
    #[inline(never)]
    fn complete(&self, frame: Frame, unit: u64, out: &mut RawPacket) -> bool {
        let frame = &frame;
        if selection::is_can(super::ring::from(frame)) {
            super::can::to_network_order(frame);
        }
        let mut data = super::ring::prepend_cooked(frame, self.cooked);
        let header = cooked::header_len(self.cooked) as u32;
        let (mut caplen, mut len) = (frame.caplen + header, frame.len + header);
        if self.userland.applies(unit) {
            let packet = super::ring::bytes(data, caplen.min(self.snaplen));
            if !self.userland.passes(frame, packet, len) {
                return false;
            }
        }
        if let Some((tag, at)) = self.tag_to_insert(frame) {
            data = super::ring::insert_tag(data, at, tag);
            (caplen, len) = (caplen + TAG_LEN, len + TAG_LEN);
        }
        self.describe(frame, (data, caplen, len), out);
        true
    }

    /// The tag that goes back into a packet, and where.
    fn tag_to_insert(&self, frame: &Frame) -> Option<(Tag, usize)> {
        let caplen = frame.caplen + cooked::header_len(self.cooked) as u32;
        let at = self.tag_offset.filter(|at| caplen >= *at)?;
        Some((frame.tag()?, at as usize))
    }

    /// Takes wanted packets. `marks[n]` becomes the place behind the first `n` of them.
    #[inline(always)]
    fn take(
        &self,
        frames: &mut impl Frames,
        out: &mut [RawPacket],
        marks: &mut Marks,
    ) -> Result<(), Corrupt> {
        loop {
            frames.begin();
            marks.begin(frames.mark());
            for packet in out.iter_mut().take(MOST) {
                let before = frames.mark();
                let wanted = loop {
                    let Some(frame) = frames.next()? else { break false };
                    if selection::is_can(super::ring::from(&frame)) && marks.packets() > 0 {
                        // Completing it twice would change it: it comes alone.
                        frames.go_back(before);
                        break false;
                    }
                    if self.present(&frame, frames.unit(), packet) {
                        break true;
                    }
                };
                if !wanted {
                    break;
                }
                marks.push(frames.mark());
            }
            // Frames that are not wanted are given back before more are looked at.
            if marks.packets() > 0 || frames.mark() == marks.last() {
                return Ok(());
            }
        }
    }

    /// Makes the frames as they came that were taken behind the first `handed_out`, and goes back
    /// to them.
    fn put_back(&self, frames: &mut impl Frames, marks: &mut Marks, handed_out: usize) {
        let ends = marks.behind(handed_out);
        let Some(&first) = ends.first() else { return };
        frames.go_back(first);
        for &end in &ends[1..] {
            // The wanted one is the last before the mark.
            let mut last = None;
            while frames.mark() != end
                && let Ok(Some(frame)) = frames.next()
            {
                last = Some(frame);
            }
            if let Some(frame) = last
                && let Some((_, at)) = self.tag_to_insert(&frame)
            {
                let header = cooked::header_len(self.cooked);
                super::ring::remove_tag(&frame, header, at);
            }
        }
        frames.go_back(first);
        marks.begin(first);
    }
}

/// Most packets taken at once.
pub(super) const MOST: usize = 64;

/// Where the packets taken last end, should they have to be put back.
pub(super) struct Marks {
    marks: [u64; MOST + 1],
    packets: usize,
}

impl Marks {
    pub const NONE: Self = Self { marks: [0; MOST + 1], packets: 0 };

    fn begin(&mut self, mark: u64) {
        (self.marks[0], self.packets) = (mark, 0);
    }

    #[inline]
    fn push(&mut self, mark: u64) {
        self.packets += 1;
        self.marks[self.packets] = mark;
    }

    fn packets(&self) -> usize {
        self.packets
    }

    fn last(&self) -> u64 {
        self.marks[self.packets]
    }

    /// The mark behind the first `n` packets, and all later ones.
    fn behind(&self, n: usize) -> &[u64] {
        self.marks[..=self.packets].get(n..).unwrap_or_default()
    }
}

/// Everything about an activated socket.
pub(super) struct Live {
    pub socket: PacketSocket,
    pub source: Source,
    pub view: View,
    /// Interface index; 0 for all interfaces.
    pub ifindex: i32,
    pub linktypes: Vec<Dlt>,
    pub linktype: Dlt,
    pub bufsize: i32,
    pub nonblock: bool,
    pub vlan_aux: bool,
    /// Whether time stamps are of the host's clock.
    pub host_clock: bool,
    pub installed: Installed,
    pub counter: StatsCounter,
    pub drops: InterfaceDrops,
    pub waker: Arc<EventWaker>,
    /// Whether the interface is down.
    pub down: bool,
    pub corrupt: Option<Corrupt>,
    /// The packets taken last, room for [`MOST`], and where they end.
    pub packets: Box<[RawPacket]>,
    pub marks: Marks,
    /// Room for the one packet of [`Backend::detach`].
    pub detached: Box<[u8]>,
}

impl Live {
    /// Milliseconds to wait for packets; negative for ever.
    ///
    /// The packet buffer timeout is the kernel's affair, which hands over a block when its time is up: as in
    /// libpcap, it never ends a wait without packets.
    const fn poll_timeout(&self) -> i32 {
        match (self.nonblock, self.down) {
            (true, _) => 0,
            (false, true) => DOWN_POLL_MS,
            (false, false) => -1,
        }
    }

    /// After a wait: `None` when the source should be looked at again.
    fn after_wait(&mut self, woken: Woken) -> Result<Option<Fill>, CaptureError> {
        match woken {
            Woken::Event => {
                self.waker.event().clear();
                Ok(Some(Fill::Interrupted))
            }
            Woken::Signal => Ok(Some(Fill::Interrupted)),
            Woken::Timeout if self.down => {
                self.look_at_interface()?;
                Ok(self.nonblock.then_some(Fill::Empty))
            }
            Woken::Timeout => Ok(Some(Fill::Empty)),
            Woken::Descriptor(events) => {
                self.look_at_events(events)?;
                Ok(None)
            }
            Woken::Failed(errno) => {
                let error = std::io::Error::from_raw_os_error(errno);
                Err(failure_with("can't poll on packet socket", error))
            }
        }
    }

    fn look_at_events(&mut self, events: i16) -> Result<(), CaptureError> {
        if events & libc::POLLNVAL != 0 {
            return Err(failure("Invalid polling request on packet socket"));
        }
        if events & libc::POLLHUP != 0 {
            return Err(failure("Hangup on packet socket"));
        }
        if events & libc::POLLERR == 0 {
            return Ok(());
        }
        const WHAT: &str = "Error condition on packet socket";
        match self.socket.take_error().map_err(|e| failure_with(WHAT, e))? {
            0 => Err(failure("Error condition on packet socket: Reported error was 0")),
            libc::ENETDOWN => self.look_at_interface(),
            errno => Err(failure_with(WHAT, std::io::Error::from_raw_os_error(errno))),
        }
    }

    /// After word that the interface is down, and as long as it is: is it still there?
    fn look_at_interface(&mut self) -> Result<(), CaptureError> {
        let gone = || failure("The interface disappeared");
        let bound = self.socket.bound_index().map_err(|e| failure_with("getsockname failed", e))?;
        if bound != self.ifindex {
            return Err(gone());
        }
        // By index: the interface may have been renamed, and another have its old name.
        let flags = netdev::flags_by_index(self.socket.as_fd(), self.ifindex);
        match flags {
            Ok(flags) => self.down = flags & libc::IFF_UP as u32 == 0,
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => {
                return Err(gone());
            }
            Err(e) => return Err(failure_with("Can't get flags", e)),
        }
        Ok(())
    }

    /// Whether a packet is ready; errors of receiving are looked into.
    fn ready(&mut self) -> Result<bool, CaptureError> {
        match self.source.ready(&self.socket) {
            Ok(ready) => Ok(ready),
            Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => {
                self.look_at_interface().map(|()| false)
            }
            Err(e) => Err(failure_with("Can't receive packet", e)),
        }
    }

    /// Lets nothing in, so that a later filter need not let through what only the present one
    /// accepted; gives the last unit of the source that may hold such packets.
    fn close_gate(&mut self) -> Result<u64, CaptureError> {
        kernel_filter::reject_all(self.socket.as_fd())
            .map_err(|e| failure_with("can't attach the filter that rejects everything", e))?;
        loop {
            match self.socket.discard_one() {
                Ok(true) => {}
                Ok(false) => return Ok(self.source.last_stale_unit()),
                // Not about the filter: the next read tells.
                Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => self.down = true,
                Err(e) => return Err(failure_with("recv failed when changing filter", e)),
            }
        }
    }

    /// The time from which stamps tell that a packet came later.
    fn gate_time(&self) -> i64 {
        if self.host_clock { clock::realtime_ns() } else { i64::MAX }
    }
}

impl Backend for Live {
    fn linktype(&self) -> Dlt {
        self.linktype
    }

    fn linktypes(&self) -> &[Dlt] {
        &self.linktypes
    }

    fn set_linktype(&mut self, dlt: Dlt) -> Result<(), CaptureError> {
        self.linktype = dlt;
        self.view.tag_offset = vlan::tag_offset(dlt);
        if self.view.cooked != Cooked::No {
            self.view.cooked = cooked::form(dlt);
        }
        Ok(())
    }

    fn snaplen(&self) -> i32 {
        self.view.snaplen as i32
    }

    fn bufsize(&self) -> i32 {
        self.bufsize
    }

    fn precision(&self) -> Precision {
        self.view.precision
    }

    fn live_target(&self) -> LiveTarget {
        LiveTarget { vlan_aux: self.vlan_aux, kernel_extensions: true }
    }

    fn advance(&mut self, woken: Option<Woken>) -> Result<Progress, CaptureError> {
        if let Some(Corrupt { mac, caplen, room }) = self.corrupt.take() {
            return Err(failure(&format!(
                "corrupted frame on kernel ring mac offset {mac} + caplen {caplen} > frame len {room}"
            )));
        }
        if let Some(woken) = woken
            && let Some(fill) = self.after_wait(woken)?
        {
            return Ok(Progress::Done(fill));
        }
        if self.ready()? {
            return Ok(Progress::Done(Fill::Ready));
        }
        if self.nonblock && woken.is_some() {
            return Ok(Progress::Done(Fill::Empty));
        }
        let timeout = self.poll_timeout();
        Ok(Progress::Wait(Wait::ready(self.socket.as_fd(), self.waker.event(), timeout)))
    }

    fn take(&mut self) -> &[RawPacket] {
        let out = &mut self.packets[..];
        let (view, marks) = (&self.view, &mut self.marks);
        // A loop for each way, which is why the ways are told apart out here.
        let result = match &mut self.source {
            Source::Blocks(ring) => view.take(ring, out, marks),
            Source::Frames(ring) => view.take(ring, out, marks),
            Source::Queue(queue) => view.take(queue, out, marks),
        };
        // Told by the next fill: here there is nobody to tell.
        self.corrupt = result.err().or(self.corrupt.take());
        &self.packets[..self.marks.packets()]
    }

    fn put_back(&mut self, handed_out: usize) {
        let (view, marks) = (&self.view, &mut self.marks);
        match &mut self.source {
            Source::Blocks(ring) => view.put_back(ring, marks, handed_out),
            Source::Frames(ring) => view.put_back(ring, marks, handed_out),
            Source::Queue(queue) => view.put_back(queue, marks, handed_out),
        }
    }

    fn detach(&mut self, packet: &mut RawPacket) {
        if self.source.last_is_held() {
            packet.data = super::ring::copy_out(packet, &mut self.detached);
            self.source.release();
        }
    }

    fn release(&mut self) {
        self.source.release();
    }

    fn inject(&mut self, frame: &[u8]) -> Result<usize, CaptureError> {
        super::inject::inject(&self.socket, self.ifindex, self.view.cooked, frame)
    }

    fn stats(&mut self) -> Result<Stats, CaptureError> {
        let (packets, drops) = self
            .socket
            .take_statistics()
            .map_err(|e| failure_with("failed to get statistics from socket", e))?;
        self.counter.add(packets, drops);
        Ok(self.counter.stats(self.drops.since_start()))
    }

    fn set_filter(&mut self, program: &Program) -> Result<(), CaptureError> {
        let stale = self.close_gate()?;
        let fd = self.socket.as_fd();
        self.installed = kernel_filter::install(fd, program, self.view.cooked, self.view.snaplen)
            .map_err(|e| failure_with("can't replace the kernel filter", e))?;
        self.view.userland = if self.installed.in_userland() {
            UserlandFilter::always(program)
        } else {
            // One ring of packets at most.
            let selection = Selection::program(program, Preference::Interpreter);
            UserlandFilter::until(stale, selection, self.gate_time())
        };
        Ok(())
    }

    fn filter_placement(&self) -> Placement {
        self.installed.placement.clone()
    }

    fn set_ebpf_filter(&mut self, program: BorrowedFd<'_>) -> Result<(), CaptureError> {
        let stale = self.close_gate()?;
        match kernel_filter::install_loaded(self.socket.as_fd(), program) {
            Ok(installed) => self.installed = installed,
            Err(e) => {
                self.installed = Installed::default();
                // Else the filter that rejects everything would stay.
                let _ = kernel_filter::detach(self.socket.as_fd());
                return Err(failure_with("can't attach the eBPF filter", e));
            }
        }
        self.view.userland = UserlandFilter::until(stale, Selection::Nothing, self.gate_time());
        Ok(())
    }

    fn set_direction(&mut self, direction: Direction) -> Result<(), CaptureError> {
        self.view.direction = direction;
        Ok(())
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
