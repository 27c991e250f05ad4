//! Reading packets: pcap_loop(3PCAP), pcap_next_ex(3PCAP), pcap_breakloop(3PCAP).

use super::boundary::{attempt, guard_step};
use super::handle::{free, pcap_t, run};
use super::types::{header_for_c, pcap_handler, pcap_pkthdr};
use crate::error::{Error, status};
use crate::handle::{Reading, Step};
use crate::packet::RawPacket;
use std::ffi::{c_int, c_uchar};
use std::ptr;

/// `pcap_loop`: calls back for `cnt` packets, or until an end if `cnt` is 0 or less.
///
/// 0 when `cnt` packets were seen or a savefile ended, `PCAP_ERROR_BREAK` after `pcap_breakloop`,
/// another negative status on errors.
///
/// # Safety
/// `p` is NULL or an open handle; `callback` may do what it likes with it, also close it, throw or
/// `longjmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pcap_loop(
    p: *mut pcap_t,
    cnt: c_int,
    callback: pcap_handler,
    user: *mut c_uchar,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { each_packet(p, Reading::until_done(cnt), callback, user) }
}

/// `pcap_dispatch`: calls back for one batch, of at most `cnt` packets if that is above 0.
///
/// The number of packets seen (0 at the end of a savefile, or when the timeout expired),
/// `PCAP_ERROR_BREAK` after `pcap_breakloop`, another negative status on errors.
///
/// # Safety
/// As for [`pcap_loop`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pcap_dispatch(
    p: *mut pcap_t,
    cnt: c_int,
    callback: pcap_handler,
    user: *mut c_uchar,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { each_packet(p, Reading::dispatch(cnt), callback, user) }
}

/// The loop. Its frame holds only plain data, and nothing of the handle is borrowed while the
/// callback runs.
unsafe fn each_packet(
    p: *mut pcap_t,
    mut reading: Reading,
    callback: pcap_handler,
    user: *mut c_uchar,
) -> c_int {
    let frame = (&raw const reading).addr();
    // SAFETY: as the caller of pcap_loop vouches.
    let Some(outermost) = (unsafe { begin(p, frame, callback.is_some()) }) else {
        return status::ERROR;
    };
    let (mut packet, mut room) = (RawPacket::NONE, pcap_pkthdr::ZERO);
    loop {
        // SAFETY: open: `closed` is looked at after each callback.
        if let Err(result) = unsafe { step_into(p, &mut reading, &raw mut packet) } {
            // SAFETY: open.
            return unsafe { end(p, outermost, result) };
        }
        if let Some(callback) = callback {
            // SAFETY: both headers are ours; the program's function, and a packet that is valid
            // until the next step.
            unsafe {
                let header = header_for_c(&raw mut packet.header, &raw mut room);
                callback(user, header, packet.data);
            }
        }
        // SAFETY: a `pcap_close` in the callback left the memory to the outermost loop.
        if unsafe { (*p).core.loops.closed } {
            // SAFETY: as before.
            return unsafe { end(p, outermost, reading.after_close()) };
        }
    }
}

/// Notes that a loop runs; says whether it is the outermost one, `None` when there is nothing to
/// run on.
unsafe fn begin(p: *mut pcap_t, frame: usize, has_callback: bool) -> Option<bool> {
    let mut outermost = None;
    let mut note = |core: &mut super::handle::Core| {
        if !has_callback {
            return Err(Error::Null("callback"));
        }
        outermost = Some(core.loops.enter(frame));
        Ok(0)
    };
    // SAFETY: NULL or open, says the caller of pcap_loop.
    unsafe { run(p, |core, _| note(core)) };
    outermost
}

/// The end of a loop with `result`; frees a handle that a callback closed.
unsafe fn end(p: *mut pcap_t, outermost: bool, result: c_int) -> c_int {
    if outermost {
        // SAFETY: not freed yet: that is done here alone while a loop runs.
        unsafe {
            (*p).core.loops.leave();
            if (*p).core.loops.closed {
                free(p);
            }
        }
    }
    result
}

/// One packet into `packet`, or what the loop returns.
///
/// # Safety
/// `p` is an open handle and `packet` valid, perhaps the one in the handle; nothing of either is
/// borrowed.
#[inline(always)]
unsafe fn step_into(
    p: *mut pcap_t,
    reading: &mut Reading,
    packet: *mut RawPacket,
) -> Result<(), c_int> {
    // SAFETY: open, and no other borrow is alive between callbacks; the three are disjoint.
    let (handle, breaker, out) = unsafe { (&mut (*p).core.handle, &(*p).breaker, &mut *packet) };
    if attempt(|| handle.next_into(breaker, reading, out)) {
        return Ok(());
    }
    // SAFETY: as here. A panic above is met again there, and reported.
    unsafe { step(p, reading, packet) }
}

/// As [`step_into`], with all that may have to be done before there is a packet.
#[inline(never)]
unsafe fn step(p: *mut pcap_t, reading: &mut Reading, packet: *mut RawPacket) -> Result<(), c_int> {
    // SAFETY: open, and no other borrow is alive between callbacks; the fields are disjoint.
    let (core, breaker) = unsafe { (&raw mut (*p).core, &(*p).breaker) };
    loop {
        // SAFETY: as before; the borrow ends with the step.
        let handle = unsafe { &mut (*core).handle };
        match guard_step(|| handle.step(breaker, reading)) {
            Ok(Ok(Step::Packet(next))) => {
                // SAFETY: valid, says the caller.
                unsafe { *packet = next };
                return Ok(());
            }
            // Out here, where nothing is in the way of unwinding, the thread may be cancelled.
            Ok(Ok(Step::Wait(wait))) => reading.resume(wait.block()),
            Ok(Ok(Step::Done(result))) => return Err(result),
            // SAFETY: open, and nothing else is borrowed.
            Ok(Err(e)) => return Err(unsafe { (*core).fail(&e) }),
            Err(text) => {
                // SAFETY: as before.
                unsafe { (*core).errbuf.set(text.as_bytes()) };
                return Err(status::ERROR);
            }
        }
    }
}

/// `pcap_next_ex`: the next packet and its header.
///
/// 1 for a packet, 0 when a live capture's timeout expired, `PCAP_ERROR_BREAK` at the end of a
/// savefile or after `pcap_breakloop`, another negative status on errors.
///
/// # Safety
/// `p` is NULL or an open handle; the other two are writable. The packet is valid until the next
/// read on the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pcap_next_ex(
    p: *mut pcap_t,
    pkt_header: *mut *mut pcap_pkthdr,
    pkt_data: *mut *const c_uchar,
) -> c_int {
    if p.is_null() || pkt_header.is_null() || pkt_data.is_null() {
        return status::ERROR;
    }
    // SAFETY: an open handle.
    let packet = unsafe { &raw mut (*p).core.packet };
    // SAFETY: an open handle, and its packet.
    match unsafe { step_into(p, &mut Reading::single(), packet) } {
        Ok(()) => {
            // SAFETY: open, and the caller's two pointers are writable.
            unsafe {
                let room = &raw mut (*p).core.header;
                *pkt_header = header_for_c(&raw mut (*packet).header, room);
                *pkt_data = (*packet).data;
            }
            1
        }
        // SAFETY: open.
        Err(0) if unsafe { (*p).core.handle.savefile().is_some() } => status::BREAK,
        Err(result) => result,
    }
}

/// `pcap_next`: the next packet, or NULL.
///
/// # Safety
/// `p` is NULL or an open handle, `h` writable. The packet is valid until the next read.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pcap_next(p: *mut pcap_t, h: *mut pcap_pkthdr) -> *const c_uchar {
    if p.is_null() || h.is_null() {
        return ptr::null();
    }
    let mut packet = RawPacket::NONE;
    // SAFETY: an open handle.
    match unsafe { step_into(p, &mut Reading::single(), &raw mut packet) } {
        Ok(()) => {
            // SAFETY: writable, says the caller.
            unsafe { *h = packet.header.into() };
            packet.data
        }
        Err(_) => ptr::null(),
    }
}

/// `pcap_breakloop`: ends the loop that runs on the handle, or the next one that would.
///
/// # Safety
/// `p` is NULL or an open handle. May be called from any thread and from signal handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_breakloop(p: *mut pcap_t) {
    if !p.is_null() {
        // SAFETY: an open handle; only the breaker is borrowed, which is made to be shared.
        unsafe { &(*p).breaker }.request();
    }
}
