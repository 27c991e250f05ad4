//! Reading packets: pcap_loop(3PCAP), pcap_next_ex(3PCAP), pcap_breakloop(3PCAP).

use super::boundary::guard_step;
use super::handle::{free, pcap_t, run};
use super::types::{pcap_handler, pcap_pkthdr};
use crate::error::{Error, status};
use crate::handle::{Reading, Step};
use crate::packet::RawPacket;
use std::ffi::{c_int, c_uchar};
use std::ptr;

// SAFETY: numbers and an address; to read what lies there is unsafe, and left to who vouches for it.
unsafe impl Send for RawPacket {}

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
/// callback runs: each packet is taken out of the handle's batch just before its callback, so that
/// callbacks may read on, change the filter, close the handle, or never return.
unsafe fn each_packet(
    p: *mut pcap_t,
    mut reading: Reading,
    callback: pcap_handler,
    user: *mut c_uchar,
) -> c_int {
    let frame = (&raw const reading).addr();
    // SAFETY: as the caller of pcap_loop vouches.
    let Some((callback, outermost)) = (unsafe { begin(p, frame, callback) }) else {
        return status::ERROR;
    };
    loop {
        // SAFETY: open: `closed` is looked at whenever a callback asked for the loop's end.
        if let Err(result) = unsafe { step(p, &mut reading) } {
            // SAFETY: open.
            return unsafe { end(p, outermost, result) };
        }
        let left = reading.left();
        let mut count = 0;
        while count < left {
            // SAFETY: open, and no other borrow is alive.
            let Some(packet) = (unsafe { (*p).core.batch.pop() }) else { break };
            // SAFETY: no step was made since the batch was filled.
            let RawPacket { header, data } = unsafe { *packet };
            // On this frame, where reading on in the callback does not change it.
            let header = pcap_pkthdr::from(header);
            count += 1;
            // SAFETY: the program's function, and a packet that is valid until the next step.
            unsafe { callback(user, &raw const header, data) };
            // SAFETY: a `pcap_close` in the callback left the memory to the outermost loop.
            if unsafe { &(*p).breaker }.is_requested() {
                break;
            }
        }
        reading.count(count);
        // SAFETY: as before; a close asks for the end of the loop, too.
        if unsafe { (*p).core.loops.closed } {
            // SAFETY: as before.
            return unsafe { end(p, outermost, reading.after_close()) };
        }
    }
}

/// What a program calls back with.
type Callback = unsafe extern "C-unwind" fn(*mut c_uchar, *const pcap_pkthdr, *const c_uchar);

/// Notes that a loop runs; the callback, and whether it is the outermost loop. `None` when there
/// is nothing to run on.
unsafe fn begin(p: *mut pcap_t, frame: usize, callback: pcap_handler) -> Option<(Callback, bool)> {
    let Some(callback) = callback else {
        // SAFETY: NULL or open, says the caller of pcap_loop.
        unsafe { run(p, |_, _| Err(Error::Null("callback"))) };
        return None;
    };
    // SAFETY: not NULL, thus open. Neither allocates nor panics.
    (!p.is_null()).then(|| (callback, unsafe { &mut (*p).core.loops }.enter(frame)))
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

/// Sees to it that there are packets in the handle's batch; `Err` is what the loop returns.
///
/// # Safety
/// `p` is an open handle of which nothing is borrowed.
unsafe fn step(p: *mut pcap_t, reading: &mut Reading) -> Result<(), c_int> {
    // SAFETY: open, and no other borrow is alive between callbacks; the fields are disjoint.
    let (core, breaker) = unsafe { (&raw mut (*p).core, &(*p).breaker) };
    loop {
        // SAFETY: as before; the borrows end with the step.
        let (handle, batch) = unsafe { (&mut (*core).handle, &mut (*core).batch) };
        match guard_step(|| handle.step(breaker, reading, batch)) {
            Ok(Ok(Step::Packets)) => return Ok(()),
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

/// One packet, or what `pcap_dispatch` would return.
///
/// # Safety
/// As for [`step`].
unsafe fn next_packet(p: *mut pcap_t) -> Result<RawPacket, c_int> {
    let mut reading = Reading::single();
    // SAFETY: open, says the caller; each borrow ends with its statement.
    unsafe {
        if (*p).core.batch.is_empty() || (*p).breaker.is_requested() {
            step(p, &mut reading)?;
        }
        let Some(packet) = (*p).core.batch.pop() else { return Err(0) };
        let mut packet = *packet;
        if (*p).core.batch.is_empty() {
            let core = &mut (*p).core;
            // A panic leaves the packet as it is, and is met again at the next step.
            let _ = guard_step(|| core.handle.detach(&mut core.batch, &mut packet));
        }
        Ok(packet)
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
    match unsafe { next_packet(p) } {
        Ok(packet) => {
            // SAFETY: open, and the caller's two pointers are writable.
            unsafe {
                (*p).core.header = packet.header.into();
                *pkt_header = &raw mut (*p).core.header;
                *pkt_data = packet.data;
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
    // SAFETY: an open handle.
    match unsafe { next_packet(p) } {
        Ok(packet) => {
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
