//! Sending and modes: pcap_inject(3PCAP), pcap_setdirection(3PCAP), pcap_setnonblock(3PCAP).

use super::boundary::set_errbuf;
use super::handle::{Core, pcap_t, run};
use crate::capture::Direction;
use crate::error::{Error, status};
use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};

/// `pcap_inject`: sends a frame; the bytes sent, or a negative status.
///
/// # Safety
/// `p` is NULL or an open handle, `buf` has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_inject(p: *mut pcap_t, buf: *const c_void, size: usize) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { send(p, buf.cast(), size, Error::EmptyFrame) }
}

/// `pcap_sendpacket`: sends a frame; 0 or a negative status.
///
/// # Safety
/// `p` is NULL or an open handle, `buf` has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_sendpacket(
    p: *mut pcap_t,
    buf: *const c_uchar,
    size: c_int,
) -> c_int {
    let size = usize::try_from(size).unwrap_or(0);
    // SAFETY: as the caller vouches.
    let sent = unsafe { send(p, buf, size, Error::NothingToSend) };
    sent.min(0)
}

/// The bytes sent, or a negative status. What is wrong with the size comes before what is wrong with the handle.
///
/// # Safety
/// `p` is NULL or an open handle, `buf` has `size` bytes.
unsafe fn send(p: *mut pcap_t, buf: *const c_uchar, size: usize, empty: Error) -> c_int {
    let inject = |core: &mut Core| {
        if size == 0 {
            return Err(empty);
        }
        if c_int::try_from(size).is_err() {
            return Err(Error::FrameTooLong);
        }
        if buf.is_null() {
            return Err(Error::Null("packet"));
        }
        // SAFETY: `size` bytes, says the caller, and below isize::MAX.
        let frame = unsafe { std::slice::from_raw_parts(buf, size) };
        let sent = core.handle.inject(frame)?;
        Ok(c_int::try_from(sent).unwrap_or(c_int::MAX))
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| inject(core)) }
}

/// `pcap_setdirection`: `PCAP_D_*`, of an enumeration that C compilers make unsigned.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_setdirection(p: *mut pcap_t, direction: c_uint) -> c_int {
    let set = |core: &mut Core| {
        let direction = match direction {
            0 => Direction::InOut,
            1 => Direction::In,
            2 => Direction::Out,
            _ => return Err(Error::InvalidDirection),
        };
        core.nothing_ahead().set_direction(direction)?;
        Ok(0)
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| set(core)) }
}

/// `pcap_getnonblock`: 1 in nonblocking mode, 0 if not, or a negative status.
///
/// # Safety
/// `p` is NULL or an open handle, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_getnonblock(p: *mut pcap_t, errbuf: *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let result = run(p, |core, _| core.handle.nonblock().map(c_int::from));
        copy_error(p, result, errbuf)
    }
}

/// `pcap_setnonblock`: nonblocking mode, if `nonblock` is not 0.
///
/// # Safety
/// As for [`pcap_getnonblock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_setnonblock(
    p: *mut pcap_t,
    nonblock: c_int,
    errbuf: *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let result = run(p, |core, _| core.handle.set_nonblock(nonblock != 0).map(|()| 0));
        copy_error(p, result, errbuf)
    }
}

/// These two functions tell their errors in a buffer of the caller's, too; but not that a handle is
/// not activated yet.
unsafe fn copy_error(p: *mut pcap_t, result: c_int, errbuf: *mut c_char) -> c_int {
    if result == status::ERROR && !p.is_null() {
        // SAFETY: an open handle, and a buffer as the caller vouches.
        unsafe { set_errbuf(errbuf, (*p).core.errbuf.text()) };
    }
    result
}
