//! Link-layer types: pcap_list_datalinks(3PCAP), pcap_set_datalink(3PCAP),
//! pcap_datalink_name_to_val(3PCAP), pcap_datalink_val_to_name(3PCAP).

use super::boundary::{c_bytes, guard_or};
use super::handle::{Core, pcap_t, run};
use super::memory::give_list;
use super::text::keep_text;
use crate::error::status;
use crate::linktype::Dlt;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// `pcap_list_datalinks`: how many types the handle offers; the list is the caller's, to be freed
/// by [`pcap_free_datalinks`].
///
/// # Safety
/// `p` is NULL or an open handle, `dlts` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_list_datalinks(p: *mut pcap_t, dlts: *mut *mut c_int) -> c_int {
    let list = |core: &mut Core| {
        let Some(types) = core.handle.linktypes() else {
            return Ok(status::NOT_ACTIVATED);
        };
        let values: Vec<c_int> = types.iter().map(|dlt| dlt.0).collect();
        // SAFETY: NULL or writable, says the caller.
        unsafe { give_list(&values, dlts) }
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| list(core)) }
}

/// `pcap_free_datalinks`.
///
/// # Safety
/// `dlts` is NULL or came from [`pcap_list_datalinks`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_free_datalinks(dlts: *mut c_int) {
    // SAFETY: from malloc, or NULL.
    unsafe { libc::free(dlts.cast()) };
}

/// `pcap_set_datalink`: another one of the types that the handle offers.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_datalink(p: *mut pcap_t, dlt: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        run(p, |core, _| {
            // Not the status of an unactivated handle: libpcap does not tell these apart.
            core.nothing_ahead().set_linktype(Dlt(dlt)).map(|()| 0)
        })
    }
}

/// `pcap_datalink_name_to_val`: `PCAP_ERROR` for an unknown name; case does not matter.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_datalink_name_to_val(name: *const c_char) -> c_int {
    // SAFETY: NULL or a string, says the caller.
    let name = unsafe { c_bytes(name) };
    guard_or(status::ERROR, || name.and_then(Dlt::from_name).map_or(status::ERROR, |dlt| dlt.0))
}

/// `pcap_datalink_val_to_name`: NULL for a type without a name.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_datalink_val_to_name(dlt: c_int) -> *const c_char {
    Dlt(dlt).name().map_or(ptr::null(), CStr::as_ptr)
}

/// `pcap_datalink_val_to_description`: NULL for a type without one.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_datalink_val_to_description(dlt: c_int) -> *const c_char {
    Dlt(dlt).description().map_or(ptr::null(), CStr::as_ptr)
}

/// `pcap_datalink_val_to_description_or_dlt`: `DLT n` for a type without a description.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_datalink_val_to_description_or_dlt(dlt: c_int) -> *const c_char {
    match Dlt(dlt).description() {
        Some(text) => text.as_ptr(),
        None => keep_text(format!("DLT {dlt}").as_bytes()),
    }
}
