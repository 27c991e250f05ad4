//! Opening and closing handles.

use super::boundary::guard_or;
use super::handle::{free, pcap_t, run};
use crate::handle::{Dead, Handle};
use crate::linktype::Dlt;
use crate::timestamp::Precision;
use std::ffi::{c_int, c_uint};
use std::ptr;

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
        run(p, |core, _| {
            core.loops.closed = true;
            core.handle = Handle::Dead(closed);
            Ok(0)
        });
    }
}
