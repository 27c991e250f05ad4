//! What libpcap does not have: pcap/oxpcap.h. Prepared filters, where a filter runs, eBPF.

use super::boundary::{guard, guard_or, set_errbuf};
use super::filter::{insns, packet};
use super::handle::{ask, pcap_t, run};
use super::memory::copy_slice;
use super::text::keep_text;
use super::types::bpf_program;
use crate::bpf::{self, Aux, Burst, EbpfInsn, Filter, Preference, Program, Target};
use crate::error::{Error, status};
use std::ffi::{c_char, c_int, c_uchar, c_uint};
use std::os::fd::BorrowedFd;
use std::{ptr, slice};

/// `pcapx_filter_t`: a program prepared for many packets.
pub struct pcapx_filter {
    filter: Filter,
}

/// `pcapx_filter_create`: prepares a program, as native code where that is possible. The program
/// may be freed afterwards. NULL when it is invalid (as `bpf_validate` says), or NULL.
///
/// # Safety
/// `fp` is NULL or a program with its instructions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_create(fp: *const bpf_program) -> *mut pcapx_filter {
    // SAFETY: NULL or a program, says the caller.
    let insns = unsafe { fp.as_ref().map_or(&[] as &[bpf::Insn], |fp| insns(fp)) };
    guard_or(ptr::null_mut(), || {
        let program = Program::from_insns(insns);
        if !program.is_valid() {
            return ptr::null_mut();
        }
        let filter = Filter::with_preference(&program, Preference::Native);
        Box::into_raw(Box::new(pcapx_filter { filter }))
    })
}

/// `pcapx_filter_run`: how much of a packet the filter accepts, 0 if it rejects it. Several
/// threads may run one filter at once.
///
/// # Safety
/// `f` is NULL or a filter, `pkt` has `caplen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_run(
    f: *const pcapx_filter,
    pkt: *const c_uchar,
    caplen: c_uint,
    len: c_uint,
) -> c_uint {
    // SAFETY: as the caller vouches.
    let Some(f) = (unsafe { f.as_ref() }) else { return 0 };
    // SAFETY: as the caller vouches.
    let packet = unsafe { packet(pkt, caplen) };
    // Engines do not panic; the guard would cost as much as a short filter.
    f.filter.run(packet, len, &Aux::NONE)
}

/// `pcapx_filter_run_burst`: runs the filter on `n` packets, complete ones, and sets bit `i % 64`
/// of `mask[i / 64]` where packet `i` is accepted; all other bits of the `(n + 63) / 64` words
/// become 0. Returns how many were accepted.
///
/// # Safety
/// `f` is NULL or a filter; `pkts` and `lens` have `n` elements, packet `i` has `lens[i]` bytes,
/// `mask` has `(n + 63) / 64` words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_run_burst(
    f: *const pcapx_filter,
    pkts: *const *const c_uchar,
    lens: *const u32,
    n: c_uint,
    mask: *mut u64,
) -> c_uint {
    let is_complete = !f.is_null() && !pkts.is_null() && !lens.is_null() && !mask.is_null();
    if is_complete && n.wrapping_sub(1) < 64 {
        let n = n as usize;
        // SAFETY: as the caller vouches.
        let (filter, pkts, lens, word) = unsafe {
            (
                &(*f).filter,
                slice::from_raw_parts(pkts, n),
                slice::from_raw_parts(lens, n),
                &mut *mask,
            )
        };
        // SAFETY: as the caller vouches.
        let burst = unsafe { Burst::new(pkts, lens) };
        // Engines do not panic.
        if let Some(count) = filter.run_ready(burst, word) {
            return count;
        }
    }
    // SAFETY: as the caller vouches.
    unsafe { run_bursts(f, pkts, lens, n, mask) }
}

/// What is not ready, not there, or not one burst. Apart, so that others save no registers.
///
/// # Safety
/// As for `pcapx_filter_run_burst`.
#[cold]
#[inline(never)]
unsafe fn run_bursts(
    f: *const pcapx_filter,
    pkts: *const *const c_uchar,
    lens: *const u32,
    n: c_uint,
    mask: *mut u64,
) -> c_uint {
    if n == 0 || mask.is_null() {
        return 0;
    }
    let n = n as usize;
    // SAFETY: as the caller vouches.
    let mask = unsafe { slice::from_raw_parts_mut(mask, n.div_ceil(64)) };
    if f.is_null() || pkts.is_null() || lens.is_null() {
        mask.fill(0);
        return 0;
    }
    // SAFETY: as the caller vouches.
    let (filter, burst) = unsafe {
        let (pkts, lens) = (slice::from_raw_parts(pkts, n), slice::from_raw_parts(lens, n));
        (&(*f).filter, Burst::new(pkts, lens))
    };
    guard_or(0, || filter.run_burst(burst, mask))
}

/// `pcapx_filter_free`: frees a filter that no thread runs any more.
///
/// # Safety
/// `f` is NULL or came from `pcapx_filter_create` and is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_free(f: *mut pcapx_filter) {
    if !f.is_null() {
        // SAFETY: as the caller vouches.
        let filter = unsafe { Box::from_raw(f) };
        let _ = guard(move || drop(filter));
    }
}

/// `pcapx_filter_mode`: where the handle's filter runs, `PCAPX_FILTER_*`, or a negative status.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_mode(p: *mut pcap_t) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { ask(p, |core| Some(core.handle.filter_placement()?.mode as c_int)) }
}

/// `pcapx_filter_mode_text`: the same for people, with the reason; valid until the thread asks
/// for another text.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_filter_mode_text(p: *mut pcap_t) -> *const c_char {
    if p.is_null() {
        return c"no handle".as_ptr();
    }
    // SAFETY: an open handle, borrowed for this call.
    let handle = unsafe { &(*p).core.handle };
    guard_or(c"".as_ptr(), || match handle.filter_placement() {
        Some(placement) => keep_text(placement.to_string().as_bytes()),
        None => c"not activated".as_ptr(),
    })
}

/// `pcapx_set_ebpf_filter`: replaces the handle's filter by a socket filter that the program
/// loaded itself (`BPF_PROG_TYPE_SOCKET_FILTER`). The descriptor stays the program's and may be
/// closed afterwards. On failure the handle has no filter.
///
/// # Safety
/// `p` is NULL or an open handle; `prog_fd` stays open during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_set_ebpf_filter(p: *mut pcap_t, prog_fd: c_int) -> c_int {
    let set = |core: &mut super::handle::Core| {
        if prog_fd < 0 {
            return Err(Error::Null("eBPF program"));
        }
        // SAFETY: not negative, and open as the caller vouches; the kernel looks what it is.
        let program = unsafe { BorrowedFd::borrow_raw(prog_fd) };
        core.nothing_ahead().set_ebpf_filter(program).map(|()| 0)
    };
    // SAFETY: as the caller vouches.
    unsafe { run(p, |core, _| set(core)) }
}

/// `pcapx_ebpf_from_bpf`: a classic program as eBPF for `target`, `PCAPX_EBPF_KERNEL` or
/// `PCAPX_EBPF_DPDK`. Returns the number of instructions and sets `*out` to an array of them for
/// `pcapx_ebpf_free`; on failure `PCAP_ERROR`, `*out` NULL and the reason in `errbuf`.
///
/// # Safety
/// `fp` is NULL or a program with its instructions, `out` writable, `errbuf` NULL or
/// `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_ebpf_from_bpf(
    fp: *const bpf_program,
    target: c_int,
    out: *mut *mut EbpfInsn,
    errbuf: *mut c_char,
) -> c_int {
    if out.is_null() {
        return status::ERROR;
    }
    // SAFETY: not NULL, so writable; NULL or a program, says the caller.
    let insns = unsafe {
        *out = ptr::null_mut();
        fp.as_ref().map_or(&[] as &[bpf::Insn], |fp| insns(fp))
    };
    let converted = guard(|| {
        let target = match target {
            0 => Target::Kernel,
            1 => Target::Dpdk,
            other => return Err(format!("{other} is not an eBPF target")),
        };
        let ebpf = bpf::to_ebpf(insns, target).map_err(|e| e.to_string())?;
        let memory = copy_slice(&ebpf);
        if memory.is_null() { Err("out of memory".to_owned()) } else { Ok((memory, ebpf.len())) }
    });
    match converted.and_then(|result| result) {
        Ok((memory, len)) => {
            // SAFETY: as above.
            unsafe { *out = memory };
            len as c_int
        }
        Err(text) => {
            // SAFETY: as the caller vouches.
            unsafe { set_errbuf(errbuf, text.as_bytes()) };
            status::ERROR
        }
    }
}

/// `pcapx_ebpf_free`: frees the array of `pcapx_ebpf_from_bpf`.
///
/// # Safety
/// `insns` is NULL or such an array, and not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcapx_ebpf_free(insns: *mut EbpfInsn) {
    // SAFETY: it came from malloc, or is NULL.
    unsafe { libc::free(insns.cast()) };
}
