//! Compiling filters: pcap_compile(3PCAP).

use super::boundary::{c_bytes, guard};
use super::filter::empty;
use super::handle::{pcap_t, run};
use super::memory::copy_slice;
use super::types::bpf_program;
use crate::bpf::Program;
use crate::error::{Error, status};
use crate::handle::{Dead, FilterText, Handle, compile};
use crate::linktype::Dlt;
use crate::timestamp::Precision;
use std::ffi::{c_char, c_int, c_uint};

/// `pcap_compile`: makes a program of a filter expression (NULL and "" accept everything). To be
/// freed by `pcap_freecode`.
///
/// # Safety
/// `p` is NULL or an open handle, `fp` writable, `buf` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_compile(
    p: *mut pcap_t,
    fp: *mut bpf_program,
    buf: *const c_char,
    optimize: c_int,
    netmask: c_uint,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        empty(fp);
        run(p, |core, _| {
            let program = compile_text(&core.handle, buf, optimize, netmask)?;
            give_program(&program, fp)
        })
    }
}

/// `pcap_compile_nopcap`: as [`pcap_compile`] on a handle of `pcap_open_dead`, without its error
/// text.
///
/// # Safety
/// `fp` is writable, `buf` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_compile_nopcap(
    snaplen: c_int,
    linktype: c_int,
    fp: *mut bpf_program,
    buf: *const c_char,
    optimize: c_int,
    netmask: c_uint,
) -> c_int {
    let compile = || {
        let linktype = Dlt(linktype);
        let handle = Handle::Dead(Dead { linktype, snaplen, precision: Precision::Micro });
        // SAFETY: as the caller vouches.
        unsafe { give_program(&compile_text(&handle, buf, optimize, netmask)?, fp) }
    };
    // SAFETY: as the caller vouches.
    unsafe { empty(fp) };
    guard(compile).map_or(status::ERROR, |result| result.unwrap_or(status::ERROR))
}

unsafe fn compile_text(
    handle: &Handle,
    text: *const c_char,
    optimize: c_int,
    netmask: c_uint,
) -> Result<Program, Error> {
    // SAFETY: NULL or a string, as the callers demand.
    let text = unsafe { c_bytes(text) }.unwrap_or_default();
    compile(handle, FilterText { text, optimize: optimize != 0, netmask })
}

unsafe fn give_program(program: &Program, fp: *mut bpf_program) -> Result<c_int, Error> {
    if fp.is_null() {
        return Err(Error::Null("filter program"));
    }
    let insns = copy_slice(program.insns());
    if insns.is_null() {
        return Err(Error::OutOfMemory);
    }
    // SAFETY: writable, as the callers demand.
    unsafe { *fp = bpf_program { bf_len: program.insns().len() as c_uint, bf_insns: insns } };
    Ok(0)
}
