//! Texts: pcap_geterr(3PCAP), pcap_statustostr(3PCAP), pcap_strerror(3PCAP),
//! pcap_lib_version(3PCAP).

use super::boundary::{c_bytes, guard_or};
use super::handle::pcap_t;
use super::kept::kept;
use crate::sys::os_error::OsError;
use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    // Not in the `libc` crate.
    static stderr: *mut libc::FILE;
}

/// The version of libpcap whose ABI this is, as data: programs take it over by COPY relocation,
/// so its size is part of the ABI.
#[unsafe(no_mangle)]
pub static pcap_version: [u8; 7] = *b"1.10.6\0";

/// `pcap_lib_version`: begins as programs expect that parse it, then names this library.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_lib_version() -> *const c_char {
    const VERSION: &str = concat!(
        "libpcap version 1.10.6 (oxpcap ",
        env!("CARGO_PKG_VERSION"),
        ", with TPACKET_V3)\0"
    );
    VERSION.as_ptr().cast()
}

/// The text of a status code.
pub fn status_text(status: c_int) -> &'static str {
    known_status(status).map_or("Unknown error", |text| text.to_str().expect("the texts are ASCII"))
}

const fn known_status(status: c_int) -> Option<&'static CStr> {
    Some(match status {
        1 => c"Generic warning",
        2 => c"That device doesn't support promiscuous mode",
        3 => c"That type of time stamp is not supported by that device",
        -1 => c"Generic error",
        -2 => c"Loop terminated by pcap_breakloop",
        -3 => c"The pcap_t has not been activated",
        -4 => c"The setting can't be changed after the pcap_t is activated",
        -5 => c"No such device exists",
        -6 => c"That device doesn't support monitor mode",
        -7 => c"That operation is supported only in monitor mode",
        -8 => c"You don't have permission to perform this capture on that device",
        -9 => c"That device is not up",
        -10 => c"That device doesn't support setting the time stamp type",
        -11 => c"You don't have permission to capture in promiscuous mode on that device",
        -12 => c"That device doesn't support that time stamp precision",
        _ => return None,
    })
}

/// Keeps a text for C until the thread has another one kept, or ends.
pub(super) fn keep_text(text: &[u8]) -> *const c_char {
    kept(|kept| {
        kept.text.set(text);
        kept.text.as_mut_ptr().cast_const()
    })
}

/// `pcap_statustostr`.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_statustostr(status: c_int) -> *const c_char {
    match known_status(status) {
        Some(text) => text.as_ptr(),
        None => keep_text(format!("Unknown error: {status}").as_bytes()),
    }
}

/// `pcap_strerror`: the text of an `errno` value.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_strerror(errno: c_int) -> *const c_char {
    let text = || keep_text(OsError(errno).to_string().as_bytes());
    guard_or(c"Unknown error".as_ptr(), text)
}

/// `pcap_geterr`: the handle's error text; stays valid as long as the handle.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_geterr(p: *mut pcap_t) -> *mut c_char {
    if p.is_null() {
        return c"".as_ptr().cast_mut();
    }
    // SAFETY: an open handle; only a pointer to the buffer is made.
    unsafe { (&raw mut (*p).core.errbuf).cast() }
}

/// `pcap_perror`: prints `prefix` and the handle's error text to standard error, as it is for.
///
/// # Safety
/// `p` is NULL or an open handle, `prefix` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_perror(p: *mut pcap_t, prefix: *const c_char) {
    // SAFETY: a string or NULL, says the caller.
    let prefix = unsafe { c_bytes(prefix) }.unwrap_or(b"(null)");
    // SAFETY: pcap_geterr gives a string, also for NULL.
    let text = unsafe { CStr::from_ptr(pcap_geterr(p)) };
    guard_or((), || {
        let line = [prefix, b": ", text.to_bytes(), b"\n"].concat();
        // SAFETY: the C library's stream and as many bytes as the slice has.
        unsafe { libc::fwrite(line.as_ptr().cast(), 1, line.len(), stderr) };
    });
}
