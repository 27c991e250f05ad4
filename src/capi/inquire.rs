//! What a handle is: pcap_datalink(3PCAP), pcap_snapshot(3PCAP), pcap_is_swapped(3PCAP),
//! pcap_major_version(3PCAP), pcap_bufsize(3PCAP), pcap_file(3PCAP), pcap_fileno(3PCAP),
//! pcap_get_selectable_fd(3PCAP), pcap_get_required_select_timeout(3PCAP), pcap_stats(3PCAP).

use super::handle::{Core, ask, pcap_t, run};
use super::types::pcap_stat;
use crate::error::{Error, status};
use crate::handle::Handle;
use std::ffi::c_int;
use std::ptr;

/// The most that libpcap's first buffer for packets of a savefile holds.
const SAVEFILE_BUFSIZE: i32 = 2048;

/// `pcap_datalink`: the link-layer type.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_datalink(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| core.handle.linktype().map(|dlt| dlt.0)) }
}

/// `pcap_datalink_ext`: what a savefile says besides of its link-layer type.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_datalink_ext(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| core.handle.dump_header().map(|h| h.linktype_ext as c_int)) }
}

/// `pcap_snapshot`: the snapshot length.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_snapshot(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| core.handle.snaplen()) }
}

/// What a savefile's header says, 0 for other activated handles.
unsafe fn of_savefile(
    p: *mut pcap_t,
    f: impl FnOnce(&crate::savefile::FileInfo) -> c_int,
) -> c_int {
    // SAFETY: NULL or an open handle, as all callers demand.
    unsafe {
        ask(p, |core| match &core.handle {
            Handle::Inactive(_) => None,
            Handle::Offline(offline) => Some(f(offline.reader.info())),
            Handle::Dead(_) | Handle::Live(_) => Some(0),
        })
    }
}

/// `pcap_is_swapped`: 1 if the savefile's byte order is not this host's.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_is_swapped(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { of_savefile(p, |info| info.swapped.into()) }
}

/// `pcap_major_version` of the savefile's format.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_major_version(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { of_savefile(p, |info| info.version.0.into()) }
}

/// `pcap_minor_version` of the savefile's format.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_minor_version(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { of_savefile(p, |info| info.version.1.into()) }
}

/// `pcap_bufsize`: bytes of the buffer for packets; of little meaning to programs.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_bufsize(p: *mut pcap_t) -> c_int {
    let size = |core: &mut Core| match &core.handle {
        Handle::Inactive(_) => None,
        Handle::Dead(_) => Some(0),
        Handle::Offline(offline) => Some(offline.reader.info().snaplen.min(SAVEFILE_BUFSIZE)),
        Handle::Live(live) => Some(live.backend.bufsize()),
    };
    // SAFETY: as the caller vouches.
    unsafe { ask(p, size) }
}

/// `pcap_file`: the savefile's stream, or NULL. Programs may seek on it.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_file(p: *mut pcap_t) -> *mut libc::FILE {
    let mut file = ptr::null_mut();
    let mut find = |core: &mut Core| {
        if let Some(offline) = core.nothing_ahead().savefile() {
            file = offline.reader.stream().map_err(crate::savefile::ReadError::from)?.as_ptr();
        }
        Ok(0)
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| find(core)) };
    file
}

/// `pcap_fileno`: a live capture's descriptor, `PCAP_ERROR` for anything else.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_fileno(p: *mut pcap_t) -> c_int {
    let fd = |core: &mut Core| match &core.handle {
        Handle::Live(live) => live.backend.fileno(),
        _ => status::ERROR,
    };
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| Some(fd(core))) }
}

/// `pcap_get_selectable_fd`: a descriptor for poll(2), -1 where there is none.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_get_selectable_fd(p: *mut pcap_t) -> c_int {
    let fd = |core: &mut Core| match &mut core.handle {
        Handle::Live(live) => live.backend.selectable_fd(),
        Handle::Offline(offline) => offline.reader.fileno(),
        Handle::Dead(_) | Handle::Inactive(_) => status::ERROR,
    };
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| Some(fd(core))) }
}

/// `pcap_get_required_select_timeout`: how often to look where poll(2) does not tell, or NULL.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_get_required_select_timeout(p: *mut pcap_t) -> *const libc::timeval {
    let mut found = ptr::null();
    let find = |core: &mut Core| {
        if let Handle::Live(live) = &core.handle
            && let Some(micros) = live.backend.required_select_timeout()
        {
            core.select_timeout.tv_sec = (micros / 1_000_000) as _;
            core.select_timeout.tv_usec = (micros % 1_000_000) as _;
            found = &raw const core.select_timeout;
        }
        Some(0)
    };
    // SAFETY: as the caller vouches.
    unsafe { ask(p, find) };
    found
}

/// `pcap_stats`: counters of a live capture.
///
/// # Safety
/// `p` is NULL or an open handle, `ps` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_stats(p: *mut pcap_t, ps: *mut pcap_stat) -> c_int {
    let read = |core: &mut Core| {
        let stats = core.handle.stats()?;
        if ps.is_null() {
            return Err(Error::Null("statistics"));
        }
        let counters = pcap_stat {
            ps_recv: stats.received,
            ps_drop: stats.dropped,
            ps_ifdrop: stats.if_dropped,
        };
        // SAFETY: writable, says the caller.
        unsafe { *ps = counters };
        Ok(0)
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| read(core)) }
}
