//! The BPF machine by itself: bpf_filter, bpf_validate, bpf_image, bpf_dump.

use super::boundary::guard_or;
use super::filter::{Unsized, insns, packet};
use super::text::keep_text;
use super::types::bpf_program;
use crate::bpf::{self, Aux, DumpStyle, Insn, interpret_from};
use std::ffi::{c_char, c_int, c_uchar, c_uint};

unsafe extern "C" {
    // Not in the `libc` crate.
    static stdout: *mut libc::FILE;
}

/// `bpf_filter`: runs a program on a packet; without a program everything is accepted.
///
/// # Safety
/// `pc` is NULL or a program that ends in a return on all of its ways, `p` has `buflen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bpf_filter(
    pc: *const Insn,
    p: *const c_uchar,
    wirelen: c_uint,
    buflen: c_uint,
) -> c_uint {
    if pc.is_null() {
        return c_uint::MAX;
    }
    if p.is_null() {
        // SAFETY: as the caller vouches.
        return unsafe { filter_nothing(pc, wirelen) };
    }
    // Without a guard, which costs as much as a short filter: interpreting does not panic.
    // SAFETY: as the caller vouches.
    unsafe { interpret_from(Unsized::new(pc), packet(p, buflen), wirelen, &Aux::NONE) }
}

/// [`bpf_filter`] without a packet.
///
/// # Safety
/// `pc` is a program that ends in a return on all of its ways.
#[cold]
#[inline(never)]
unsafe fn filter_nothing(pc: *const Insn, wirelen: c_uint) -> c_uint {
    // SAFETY: as the caller vouches.
    unsafe { interpret_from(Unsized::new(pc), &[], wirelen, &Aux::NONE) }
}

/// `bpf_validate`: 1 if the program is safe to run, 0 if not.
///
/// # Safety
/// `f` is NULL or has `len` instructions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bpf_validate(f: *const Insn, len: c_int) -> c_int {
    let Ok(len) = u32::try_from(len) else { return 0 };
    let program = bpf_program { bf_len: len, bf_insns: f.cast_mut() };
    // SAFETY: as the caller vouches.
    let insns = unsafe { insns(&program) };
    guard_or(0, || bpf::validate(insns).into())
}

/// `bpf_image`: the text of an instruction, until the thread asks for the next one.
///
/// # Safety
/// `p` is NULL or an instruction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bpf_image(p: *const Insn, n: c_int) -> *mut c_char {
    // SAFETY: NULL or an instruction, says the caller.
    let insn = unsafe { p.as_ref() }.copied().unwrap_or_default();
    let text = || keep_text(bpf::image(&insn, n).to_string().as_bytes());
    guard_or(c"".as_ptr(), text).cast_mut()
}

/// `bpf_dump`: prints a program to standard output, as it is for. `option` above 2 prints numbers,
/// 2 a C fragment, anything else the instructions.
///
/// # Safety
/// `p` is NULL or a program with its instructions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bpf_dump(p: *const bpf_program, option: c_int) {
    // SAFETY: NULL or a program, says the caller.
    let Some(program) = (unsafe { p.as_ref() }) else { return };
    // SAFETY: as before.
    let insns = unsafe { insns(program) };
    guard_or((), || {
        let mut text = String::new();
        if bpf::dump(insns, DumpStyle::from_option(option), &mut text).is_ok() {
            // SAFETY: the C library's stream and as many bytes as the string has.
            unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stdout) };
        }
    });
}
