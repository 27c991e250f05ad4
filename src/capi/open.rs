//! Opening and closing handles: pcap_open_offline(3PCAP), pcap_open_dead(3PCAP),
//! pcap_create(3PCAP), pcap_activate(3PCAP), pcap_open_live(3PCAP), pcap_close(3PCAP).

use super::boundary::{c_bytes, guard, guard_or, set_errbuf};
use super::handle::{free, pcap_t, run};
use super::text::status_text;
use crate::capture;
use crate::error::{Error, status};
use crate::handle::{Dead, Handle, Inactive, Offline};
use crate::linktype::Dlt;
use crate::raw_text;
use crate::savefile::Reader;
use crate::sys::stdio::Stream;
use crate::timestamp::Precision;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;

/// Makes a handle, or says in `errbuf` why not.
///
/// # Safety
/// `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes.
pub(super) unsafe fn make(
    errbuf: *mut c_char,
    f: impl FnOnce() -> Result<Handle, Error>,
) -> *mut pcap_t {
    let text = match guard(|| f().map(pcap_t::into_raw).map_err(|e| e.to_string())) {
        Ok(Ok(p)) => return p,
        Ok(Err(text)) | Err(text) => text,
    };
    // SAFETY: as the caller vouches.
    unsafe { set_errbuf(errbuf, &raw_text::restore(&text)) };
    ptr::null_mut()
}

/// `pcap_open_dead`: a handle for compiling filters and writing savefiles.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_open_dead(linktype: c_int, snaplen: c_int) -> *mut pcap_t {
    pcap_open_dead_with_tstamp_precision(linktype, snaplen, Precision::Micro as c_uint)
}

/// `pcap_open_dead_with_tstamp_precision`; an unknown precision is microseconds.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_open_dead_with_tstamp_precision(
    linktype: c_int,
    snaplen: c_int,
    precision: c_uint,
) -> *mut pcap_t {
    let precision = if precision == 1 { Precision::Nano } else { Precision::Micro };
    guard_or(ptr::null_mut(), || {
        pcap_t::into_raw(Handle::Dead(Dead { linktype: Dlt(linktype), snaplen, precision }))
    })
}

/// `pcap_open_offline`: a savefile by its path, `-` for the standard input.
///
/// # Safety
/// `fname` is NULL or a string, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_open_offline(
    fname: *const c_char,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let precision = Precision::Micro as c_uint;
    // SAFETY: as the caller vouches.
    unsafe { pcap_open_offline_with_tstamp_precision(fname, precision, errbuf) }
}

/// `pcap_open_offline_with_tstamp_precision`.
///
/// # Safety
/// As for [`pcap_open_offline`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_open_offline_with_tstamp_precision(
    fname: *const c_char,
    precision: c_uint,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let open = || {
        if fname.is_null() {
            return Err(Error::NullFileName);
        }
        // SAFETY: a string, says the caller.
        let path = unsafe { CStr::from_ptr(fname) };
        Ok(Handle::Offline(Box::new(Offline::new(Reader::open_path(path, precision)?))))
    };
    // SAFETY: as the caller vouches.
    unsafe { make(errbuf, open) }
}

/// `pcap_fopen_offline`: a savefile by an open stream, which the handle closes in the end.
///
/// # Safety
/// `fp` is NULL or an open stream, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_fopen_offline(
    fp: *mut libc::FILE,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let precision = Precision::Micro as c_uint;
    // SAFETY: as the caller vouches.
    unsafe { pcap_fopen_offline_with_tstamp_precision(fp, precision, errbuf) }
}

/// `pcap_fopen_offline_with_tstamp_precision`.
///
/// # Safety
/// As for [`pcap_fopen_offline`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_fopen_offline_with_tstamp_precision(
    fp: *mut libc::FILE,
    precision: c_uint,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let open = || {
        // SAFETY: NULL or an open stream; the handle owns it from here on.
        let stream = unsafe { Stream::from_raw(fp) }.ok_or(Error::NullStream)?;
        Ok(Handle::Offline(Box::new(Offline::new(Reader::from_stream(stream, precision)?))))
    };
    // SAFETY: as the caller vouches.
    unsafe { make(errbuf, open) }
}

/// `pcap_create`: a live capture to be set up and activated; no device is "any".
///
/// # Safety
/// `device` is NULL or a string, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_create(device: *const c_char, errbuf: *mut c_char) -> *mut pcap_t {
    // SAFETY: NULL or a string, says the caller.
    let device = unsafe { c_bytes(device) }.unwrap_or(b"any");
    // SAFETY: as the caller vouches.
    unsafe { make(errbuf, || create(device)) }
}

pub(super) fn create(device: &[u8]) -> Result<Handle, Error> {
    let tstamp_types = capture::tstamp_types(Some(device))?;
    Ok(Handle::Inactive(Inactive::new(device.to_vec(), tstamp_types)))
}

/// `pcap_activate`: 0, a positive warning or a negative error; on an error the handle may be set
/// up differently and activated again.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_activate(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        run(p, |core, breaker| {
            let warning = core.handle.activate(breaker)?;
            if !warning.message.is_empty() {
                core.errbuf.set(warning.message.as_bytes());
            }
            Ok(warning.status)
        })
    }
}

/// `pcap_open_live`: [`pcap_create`], the settings and [`pcap_activate`] in one.
///
/// # Safety
/// `device` is NULL or a string, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_open_live(
    device: *const c_char,
    snaplen: c_int,
    promisc: c_int,
    to_ms: c_int,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    // SAFETY: NULL or a string, says the caller.
    let device = unsafe { c_bytes(device) }.unwrap_or(b"any");
    let set = |inactive: &mut Inactive| {
        inactive.config.snaplen = snaplen;
        inactive.config.promisc = promisc != 0;
        inactive.config.timeout_ms = to_ms;
    };
    // SAFETY: as the caller vouches.
    unsafe { open_live(device, set, errbuf) }
}

/// Creates, sets up and activates.
///
/// # Safety
/// `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes.
pub(super) unsafe fn open_live(
    device: &[u8],
    set: impl FnOnce(&mut Inactive),
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let make_inactive = || {
        let mut handle = create(device)?;
        set(handle.settings()?);
        Ok(handle)
    };
    // SAFETY: as the caller vouches.
    let p = unsafe { make(errbuf, make_inactive) };
    if p.is_null() {
        return p;
    }
    // SAFETY: a handle that was just made.
    let status = unsafe { pcap_activate(p) };
    if status >= 0 {
        return p;
    }
    // SAFETY: a handle of ours alone; errbuf as the caller vouches.
    unsafe {
        set_errbuf(errbuf, &open_live_error(device, status, (*p).core.errbuf.text()));
        free(p);
    }
    ptr::null_mut()
}

/// What `pcap_open_live` says: the device, the status, and the text where it tells more.
fn open_live_error(device: &[u8], status: c_int, text: &[u8]) -> Vec<u8> {
    let status_text = status_text(status).as_bytes();
    match status {
        status::ERROR => [device, b": ", text].concat(),
        status::NO_SUCH_DEVICE | status::PERM_DENIED | status::PROMISC_PERM_DENIED
            if !text.is_empty() =>
        {
            [device, b": ", status_text, b" (", text, b")"].concat()
        }
        _ => [device, b": ", status_text].concat(),
    }
}

/// `pcap_close`: from a callback, the handle's memory stays until its loop has returned.
///
/// # Safety
/// `p` is NULL or an open handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_close(p: *mut pcap_t) {
    if p.is_null() {
        return;
    }
    let here = 0u8;
    // SAFETY: an open handle.
    if !unsafe { (*p).core.loops.running((&raw const here).addr()) } {
        // SAFETY: an open handle that nothing uses any more.
        unsafe { free(p) };
        return;
    }
    let closed = Dead { linktype: Dlt::NULL, snaplen: 0, precision: Precision::Micro };
    // SAFETY: an open handle.
    unsafe {
        run(p, |core, breaker| {
            core.loops.closed = true;
            core.batch.clear();
            core.handle = Handle::Dead(closed);
            // Loops look at one flag after each callback.
            breaker.request();
            Ok(0)
        });
    }
}
