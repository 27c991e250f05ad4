//! Settings before activation: the pcap_set_*(3PCAP) pages.

use super::boundary::{c_bytes, guard_or};
use super::handle::{pcap_t, run};
use crate::error::status;
use crate::handle::{Handle, Inactive};
use std::ffi::{c_char, c_int};
use std::ptr;

/// Runs `f` on the settings of a handle that is not activated.
unsafe fn set(p: *mut pcap_t, f: impl FnOnce(&mut Inactive) -> c_int) -> c_int {
    // SAFETY: NULL or an open handle, as all callers demand.
    unsafe { run(p, |core, _| core.handle.settings().map(f)) }
}

/// `pcap_set_snaplen`: bytes to capture of each packet.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_snaplen(p: *mut pcap_t, snaplen: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.snaplen = snaplen;
            0
        })
    }
}

/// `pcap_set_promisc`: promiscuous mode, if `promisc` is not 0.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_promisc(p: *mut pcap_t, promisc: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.promisc = promisc != 0;
            0
        })
    }
}

/// `pcap_set_rfmon`: monitor mode, if `rfmon` is not 0.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_rfmon(p: *mut pcap_t, rfmon: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.rfmon = rfmon != 0;
            0
        })
    }
}

/// `pcap_can_set_rfmon`: 1 if the device has a monitor mode, 0 if not, or an error.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_can_set_rfmon(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| core.handle.can_set_rfmon().map(c_int::from)) }
}

/// `pcap_set_timeout`: the packet buffer timeout in milliseconds.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_timeout(p: *mut pcap_t, to_ms: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.timeout_ms = to_ms;
            0
        })
    }
}

/// `pcap_set_immediate_mode`: packets are delivered as they arrive, if `immediate` is not 0.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_immediate_mode(p: *mut pcap_t, immediate: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.immediate = immediate != 0;
            0
        })
    }
}

/// `pcap_set_buffer_size`: the kernel's buffer in bytes; sizes of 0 or less are ignored.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_buffer_size(p: *mut pcap_t, buffer_size: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.set_buffer_size(buffer_size);
            0
        })
    }
}

/// `pcap_set_tstamp_precision`: `PCAP_TSTAMP_PRECISION_*`.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_tstamp_precision(p: *mut pcap_t, precision: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { set(p, |s| s.set_precision(precision)) }
}

/// `pcap_get_tstamp_precision`.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_get_tstamp_precision(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| Ok(core.handle.precision() as c_int)) }
}

/// `pcap_set_tstamp_type`: `PCAP_TSTAMP_*`; a warning where the device does not have it.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_tstamp_type(p: *mut pcap_t, tstamp_type: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { set(p, |s| s.set_tstamp_type(tstamp_type)) }
}

/// `pcap_set_protocol_linux`: the Ethernet protocol to capture, 0 for all.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_set_protocol_linux(p: *mut pcap_t, protocol: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        set(p, |s| {
            s.config.protocol = protocol;
            0
        })
    }
}

/// `pcap_list_tstamp_types`: how many types the device has; the list is the caller's, to be freed by
/// [`pcap_free_tstamp_types`].
///
/// # Safety
/// `p` is NULL or an open handle, `types` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_list_tstamp_types(p: *mut pcap_t, types: *mut *mut c_int) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        run(p, |core, _| {
            let list = match &core.handle {
                Handle::Inactive(inactive) if !inactive.tstamp_types.is_empty() => {
                    inactive.tstamp_types.as_slice()
                }
                _ => &[0],
            };
            super::memory::give_list(list, types)
        })
    }
}

/// `pcap_free_tstamp_types`.
///
/// # Safety
/// `types` is NULL or came from [`pcap_list_tstamp_types`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_free_tstamp_types(types: *mut c_int) {
    // SAFETY: from malloc, or NULL.
    unsafe { libc::free(types.cast()) };
}

/// Value, name and description of a time stamp type.
struct TstampType {
    value: c_int,
    name: &'static std::ffi::CStr,
    description: &'static std::ffi::CStr,
}

const fn tstamp_type(
    value: c_int,
    name: &'static std::ffi::CStr,
    description: &'static std::ffi::CStr,
) -> TstampType {
    TstampType { value, name, description }
}

static TSTAMP_TYPES: [TstampType; 6] = [
    tstamp_type(0, c"host", c"Host"),
    tstamp_type(1, c"host_lowprec", c"Host, low precision"),
    tstamp_type(2, c"host_hiprec", c"Host, high precision"),
    tstamp_type(3, c"adapter", c"Adapter"),
    tstamp_type(4, c"adapter_unsynced", c"Adapter, not synced with system time"),
    tstamp_type(5, c"host_hiprec_unsynced", c"Host, high precision, not synced with system time"),
];

/// `pcap_tstamp_type_name_to_val`: `PCAP_ERROR` for an unknown name; case does not matter.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_tstamp_type_name_to_val(name: *const c_char) -> c_int {
    // SAFETY: NULL or a string, says the caller.
    let name = unsafe { c_bytes(name) };
    guard_or(status::ERROR, || {
        let name = name.unwrap_or_default();
        TSTAMP_TYPES
            .iter()
            .find(|t| t.name.to_bytes().eq_ignore_ascii_case(name))
            .map_or(status::ERROR, |t| t.value)
    })
}

/// `pcap_tstamp_type_val_to_name`: NULL for an unknown value.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_tstamp_type_val_to_name(tstamp_type: c_int) -> *const c_char {
    let known = TSTAMP_TYPES.iter().find(|t| t.value == tstamp_type);
    known.map_or(ptr::null(), |t| t.name.as_ptr())
}

/// `pcap_tstamp_type_val_to_description`: NULL for an unknown value.
#[unsafe(no_mangle)]
pub extern "C" fn pcap_tstamp_type_val_to_description(tstamp_type: c_int) -> *const c_char {
    let known = TSTAMP_TYPES.iter().find(|t| t.value == tstamp_type);
    known.map_or(ptr::null(), |t| t.description.as_ptr())
}
