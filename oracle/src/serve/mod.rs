//! One file per group of libpcap functions.

pub mod filter;
pub mod names;
pub mod savefile;

use std::ffi::{CStr, c_char, c_int, c_uint};

/// libpcap's `struct pcap_pkthdr` (the bindings have macOS's, which is longer).
#[repr(C)]
pub struct PacketHeader {
    pub ts: libc::timeval,
    pub caplen: u32,
    pub len: u32,
}

unsafe extern "C" {
    // Not in the bindings.
    pub fn bpf_filter(
        insns: *const pcap_sys::bpf_insn,
        packet: *const u8,
        wirelen: c_uint,
        buflen: c_uint,
    ) -> c_uint;
    pub fn bpf_validate(insns: *const pcap_sys::bpf_insn, len: c_int) -> c_int;
    pub fn bpf_image(insn: *const pcap_sys::bpf_insn, number: c_int) -> *mut c_char;
}

/// Text of a C string; `None` for NULL.
///
/// # Safety
/// `s` is NULL or a C string.
pub unsafe fn text(s: *const c_char) -> Option<Vec<u8>> {
    // SAFETY: not NULL, so by the caller's word a C string.
    (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_bytes().to_vec())
}
