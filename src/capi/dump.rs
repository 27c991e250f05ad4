//! Writing savefiles: pcap_dump_open(3PCAP), pcap_dump(3PCAP), pcap_dump_flush(3PCAP),
//! pcap_dump_ftell(3PCAP), pcap_dump_file(3PCAP), pcap_dump_close(3PCAP).
//!
//! A `pcap_dumper_t *` is the `FILE *` that it writes to.

use super::boundary::{guard_or, guard_step};
use super::filter::packet;
use super::handle::{Core, pcap_t, run};
use super::types::pcap_pkthdr;
use crate::error::{Error, status};
use crate::raw_text;
use crate::savefile::dump::{self, DumpHeader};
use crate::sys::stdio::Stream;
use std::ffi::{CStr, c_char, c_int, c_long, c_uchar};
use std::ptr;

/// `pcap_dumper_t`: a `FILE`, as programs that cast it know.
pub type pcap_dumper_t = libc::FILE;

/// Runs `f`, which opens a dumper for the handle; NULL on an error.
unsafe fn open(
    p: *mut pcap_t,
    f: impl FnOnce(&mut Core) -> Result<Stream, Error>,
) -> *mut pcap_dumper_t {
    let mut dumper = ptr::null_mut();
    let open = |core: &mut Core| {
        dumper = f(core)?.as_ptr();
        Ok(0)
    };
    // SAFETY: NULL or an open handle, as all callers demand.
    unsafe { run(p, |core, _| open(core)) };
    dumper
}

/// The header that the handle's packets need; `name` is for the error before activation.
fn header(core: &Core, name: &[u8]) -> Result<DumpHeader, Error> {
    let not_activated = || Error::DumpNotActivated(raw_text::keep(name));
    core.handle.dump_header().ok_or_else(not_activated)
}

/// # Safety
/// `path` is NULL or a string that stays for `'a`.
unsafe fn file_name<'a>(path: *const c_char) -> Result<&'a CStr, Error> {
    if path.is_null() {
        return Err(Error::NullFileName);
    }
    // SAFETY: a string, says the caller.
    Ok(unsafe { CStr::from_ptr(path) })
}

/// `pcap_dump_open`: a new savefile for the handle's packets; `-` is the standard output.
///
/// # Safety
/// `p` is NULL or an open handle, `fname` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_open(
    p: *mut pcap_t,
    fname: *const c_char,
) -> *mut pcap_dumper_t {
    // SAFETY: NULL or a string, says the caller.
    let path = unsafe { file_name(fname) };
    // SAFETY: as the caller vouches.
    unsafe {
        open(p, |core| {
            let name = path.as_ref().map_or(&b"(null)"[..], |path| path.to_bytes());
            let header = header(core, name)?;
            Ok(dump::open(&header, path?)?)
        })
    }
}

/// `pcap_dump_open_append`: goes on with a savefile, which must suit the handle.
///
/// # Safety
/// As for [`pcap_dump_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_open_append(
    p: *mut pcap_t,
    fname: *const c_char,
) -> *mut pcap_dumper_t {
    // SAFETY: NULL or a string, says the caller.
    let path = unsafe { file_name(fname) };
    // SAFETY: as the caller vouches.
    unsafe {
        open(p, |core| {
            let path = path?;
            Ok(dump::append(&header(core, path.to_bytes())?, path)?)
        })
    }
}

/// `pcap_dump_fopen`: a savefile on an open stream of the program's.
///
/// # Safety
/// `p` is NULL or an open handle, `fp` NULL or an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_fopen(
    p: *mut pcap_t,
    fp: *mut libc::FILE,
) -> *mut pcap_dumper_t {
    // SAFETY: as the caller vouches.
    unsafe {
        open(p, |core| {
            let stream = Stream::from_raw(fp).ok_or(Error::Null("stream"))?;
            Ok(dump::fopen(&header(core, b"stream")?, stream)?)
        })
    }
}

/// `pcap_dump`: writes a packet; a [`pcap_handler`](super::types::pcap_handler) whose `user` is the dumper.
///
/// # Safety
/// `user` is NULL or an open dumper, `h` a header, `sp` has its `caplen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump(user: *mut c_uchar, h: *const pcap_pkthdr, sp: *const c_uchar) {
    // SAFETY: as the caller vouches.
    let (stream, header) = unsafe { (Stream::from_raw(user.cast()), h.as_ref()) };
    let (Some(stream), Some(header)) = (stream, header) else { return };
    // SAFETY: `caplen` bytes, says the caller.
    let data = unsafe { packet(sp, header.caplen) };
    // It defers cancellation itself, where that is possible at all.
    let _ = guard_step(|| dump::write_record(stream, &(*header).into(), data));
}

/// `pcap_dump_file`: the dumper's stream.
///
/// # Safety
/// `p` is NULL or an open dumper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_file(p: *mut pcap_dumper_t) -> *mut libc::FILE {
    p
}

/// `pcap_dump_ftell`: the offset in the file, or -1.
///
/// # Safety
/// `p` is NULL or an open dumper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_ftell(p: *mut pcap_dumper_t) -> c_long {
    // SAFETY: as the caller vouches.
    c_long::try_from(unsafe { pcap_dump_ftell64(p) }).unwrap_or(-1)
}

/// `pcap_dump_ftell64`: the offset in the file, or -1.
///
/// # Safety
/// `p` is NULL or an open dumper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_ftell64(p: *mut pcap_dumper_t) -> i64 {
    // SAFETY: as the caller vouches.
    unsafe { Stream::from_raw(p) }.map_or(-1, |stream| guard_or(-1, || stream.tell()))
}

/// `pcap_dump_flush`: 0, or -1 with `errno` set.
///
/// # Safety
/// `p` is NULL or an open dumper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_flush(p: *mut pcap_dumper_t) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(stream) = (unsafe { Stream::from_raw(p) }) else { return status::ERROR };
    guard_or(status::ERROR, || if stream.flush().is_ok() { 0 } else { status::ERROR })
}

/// `pcap_dump_close`.
///
/// # Safety
/// `p` is NULL or an open dumper that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_dump_close(p: *mut pcap_dumper_t) {
    // SAFETY: as the caller vouches.
    if let Some(stream) = unsafe { Stream::from_raw(p) } {
        guard_or((), || dump::close(stream));
    }
}
