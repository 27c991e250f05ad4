//! Using filters: pcap_setfilter(3PCAP), pcap_freecode(3PCAP), pcap_offline_filter(3PCAP).

use super::boundary::guard_or;
use super::handle::{Core, pcap_t, run};
use super::types::{bpf_program, pcap_pkthdr};
use crate::bpf::{Aux, Insn, Program, interpret_unsized, run_cached, try_cached};
use std::ffi::{c_int, c_uchar, c_uint};
use std::ptr;

/// Makes `fp` a program that [`pcap_freecode`] takes, whatever was in it.
pub(super) unsafe fn empty(fp: *mut bpf_program) {
    if !fp.is_null() {
        // SAFETY: writable, as the callers demand.
        unsafe { *fp = bpf_program { bf_len: 0, bf_insns: ptr::null_mut() } };
    }
}

/// `pcap_freecode`: frees a program's instructions and empties it.
///
/// # Safety
/// `fp` is NULL or a program of `pcap_compile`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_freecode(fp: *mut bpf_program) {
    if !fp.is_null() {
        // SAFETY: the instructions come from malloc, or are NULL.
        unsafe {
            libc::free((*fp).bf_insns.cast());
            empty(fp);
        }
    }
}

/// The instructions of a program of the caller's.
///
/// # Safety
/// `bf_insns` is NULL or has `bf_len` instructions, which stay as they are for `'a`.
pub(super) unsafe fn insns<'a>(program: &bpf_program) -> &'a [Insn] {
    if program.bf_insns.is_null() {
        return &[];
    }
    // SAFETY: as the caller vouches.
    unsafe { std::slice::from_raw_parts(program.bf_insns, program.bf_len as usize) }
}

/// `pcap_setfilter`: only packets that the program accepts are given from now on. The program
/// may be freed afterwards.
///
/// # Safety
/// `p` is NULL or an open handle, `fp` NULL or a program with its instructions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_setfilter(p: *mut pcap_t, fp: *mut bpf_program) -> c_int {
    let set = |core: &mut Core| {
        // SAFETY: NULL or a program, says the caller.
        let insns = unsafe { fp.as_ref().map_or(&[] as &[Insn], |fp| insns(fp)) };
        core.nothing_ahead().set_filter(&Program::from_insns(insns)).map(|()| 0)
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| set(core)) }
}

/// `pcap_offline_filter`: how much of a packet the program accepts, 0 if it rejects it.
///
/// # Safety
/// `fp` is NULL or a program that ends in a return, `h` a header, `pkt` has its `caplen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_offline_filter(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // SAFETY: NULL or valid, says the caller.
    let (Some(program), Some(header)) = (unsafe { fp.as_ref() }, unsafe { h.as_ref() }) else {
        return 0;
    };
    if program.bf_insns.is_null() {
        return 0;
    }
    // SAFETY: `caplen` bytes and `bf_len` instructions, says the caller. Programs that do not say
    // how long they are run on as bpf_filter takes them.
    unsafe {
        let packet = packet(pkt, header.caplen);
        let len = header.len;
        let insns = insns(program);
        // A guard costs as much as running a short filter.
        if let Some(verdict) = try_cached(insns, packet, len) {
            return verdict as c_int;
        }
        guard_or(0, || match program.bf_len {
            0 => run_unsized(program.bf_insns, packet, len),
            _ => run_cached(insns, packet, len),
        }) as c_int
    }
}

/// # Safety
/// `data` is NULL or has `len` bytes for `'a`.
pub(super) unsafe fn packet<'a>(data: *const c_uchar, len: c_uint) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: as the caller vouches.
    unsafe { std::slice::from_raw_parts(data, len as usize) }
}

/// # Safety
/// The program at `insns` ends in a return on all of its ways.
pub(super) unsafe fn run_unsized(insns: *const Insn, packet: &[u8], wirelen: u32) -> u32 {
    // SAFETY: the interpreter only asks for instructions that the program's own flow reaches.
    interpret_unsized(|at| unsafe { &*insns.add(at) }, packet, wirelen, &Aux::NONE)
}
