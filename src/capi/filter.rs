//! Using filters: pcap_setfilter(3PCAP), pcap_freecode(3PCAP), pcap_offline_filter(3PCAP).

use super::boundary::guard_or;
use super::handle::{Core, pcap_t, run};
use super::types::{bpf_program, pcap_pkthdr};
use crate::bpf::{
    self, Aux, Call, Cursor, Insn, OwnedHeader, OwnedProgram, Program, Run, interpret_from,
};
use std::ffi::{c_int, c_uchar, c_uint};
use std::mem::offset_of;
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
/// This is `run_known` of `bpf/jit/`, for tables at a known distance from the thread pointer. Nothing is saved,
/// no argument moves, and a compiled program's code returns to the caller.
///
/// # Safety
/// `fp` is NULL or a program that ends in a return, `h` a header, `pkt` has its `caplen` bytes.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn pcap_offline_filter(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    std::arch::naked_asm!(
        "test rdi, rdi",
        "jz 2f",
        "test rsi, rsi",
        "jz 2f",
        "test rdx, rdx",
        "jz 2f",
        "mov rcx, [rdi + {insns}]",
        "mov r8, [rip + oxpcap_filter_offset]",
        "test r8, r8",
        "jns 3f",
        "cmp fs:[r8 + {key}], rcx",
        "jne 4f",
        // Negative, so that it says that code runs.
        "mov fs:[r8 + {key}], r8",
        "jmp qword ptr fs:[r8 + {entry}]",
        // Jumps to here are short: the processor fetches 32 bytes at a time.
        "2: jmp {anything}",
        "3: jmp {far}",
        // A program that is not in front: in one of two slots, or to be interpreted.
        "4: mov rax, fs:[r8 + {others}]",
        "test rax, rax",
        "jz 5f",
        "mov r9d, ecx",
        "and r9d, {pairs}",
        "add rax, r9",
        "cmp [rax], rcx",
        "je 6f",
        "add rax, {slot}",
        "cmp [rax], rcx",
        "je 6f",
        "5: inc byte ptr fs:[r8 + {interpreted}]",
        "jnz {interpret}",
        "jmp {sample}",
        "6: mov qword ptr [rax], {running}",
        "mov r8, rax",
        "sub r8, fs:0",
        "jmp qword ptr [rax + {slot_entry}]",
        // So that its section is aligned, and what comes first lies in one cache line.
        ".p2align 6",
        insns = const offset_of!(bpf_program, bf_insns),
        key = const bpf::front::KEY,
        entry = const bpf::front::ENTRY,
        others = const bpf::front::OTHERS,
        interpreted = const bpf::front::INTERPRETED,
        pairs = const bpf::front::PAIRS_MASK,
        slot = const bpf::front::SLOT,
        slot_entry = const bpf::front::ENTRY - bpf::front::KEY,
        running = const -1,
        anything = sym filter_anything,
        far = sym filter_far,
        interpret = sym interpret_sized,
        sample = sym interpret_sampled,
    )
}

/// `pcap_offline_filter`: how much of a packet the program accepts, 0 if it rejects it.
///
/// # Safety
/// `fp` is NULL or a program that ends in a return, `h` a header, `pkt` has its `caplen` bytes.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_offline_filter(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        match fp.is_null() || h.is_null() || pkt.is_null() {
            true => filter_anything(fp, h, pkt),
            false => filter_far(fp, h, pkt),
        }
    }
}

const _: () = {
    assert!(offset_of!(OwnedProgram, len) == offset_of!(bpf_program, bf_len));
    assert!(offset_of!(OwnedProgram, insns) == offset_of!(bpf_program, bf_insns));
    assert!(offset_of!(OwnedHeader, present) == offset_of!(pcap_pkthdr, caplen));
    assert!(offset_of!(OwnedHeader, wirelen) == offset_of!(pcap_pkthdr, len));
};

fn call(fp: *const bpf_program, h: *const pcap_pkthdr, pkt: *const c_uchar) -> Call {
    Call { program: fp.cast(), header: h.cast(), packet: pkt }
}

/// Runs a program wherever the thread's table is, and whether or not it has been compiled.
///
/// # Safety
/// As for [`pcap_offline_filter`]; program, header and packet are not NULL.
#[inline(never)]
unsafe extern "C" fn filter_far(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // Without a guard, which costs as much as a short filter: this does not panic.
    // SAFETY: as many instructions and bytes as program and header say, says the caller.
    unsafe {
        match bpf::run_known(call(fp, h, pkt)) {
            Run::Done(verdict) => verdict as c_int,
            Run::Interpret => interpret_sized(fp, h, pkt),
            Run::Sample => interpret_sampled(fp, h, pkt),
        }
    }
}

/// A condition to be tested by itself: two jumps that are never taken cost less than finding out which
/// of two conditions holds.
#[inline(always)]
fn apart(condition: bool) -> bool {
    if condition {
        std::hint::black_box(());
    }
    condition
}

/// Interprets a program that says how long it is.
///
/// # Safety
/// As for [`pcap_offline_filter`]; program, header and packet are not NULL.
#[inline(never)]
unsafe extern "C" fn interpret_sized(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // SAFETY: as many instructions and bytes, says the caller.
    unsafe {
        let (first, len) = ((*fp).bf_insns.cast_const(), (*fp).bf_len);
        if first.is_null() || apart(len == 0) {
            return filter_anything(fp, h, pkt);
        }
        let start = Sized { at: first, behind: first.wrapping_add(len as usize) };
        let packet = std::slice::from_raw_parts(pkt, (*h).caplen as usize);
        interpret_from(start, packet, (*h).len, &Aux::NONE) as c_int
    }
}

/// The same for a run that is looked at.
///
/// # Safety
/// As for [`interpret_sized`].
#[cold]
unsafe extern "C" fn interpret_sampled(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // SAFETY: as the caller vouches.
    guard_or((), || bpf::sample(unsafe { insns(&*fp) }));
    // SAFETY: as the caller vouches.
    unsafe { interpret_sized(fp, h, pkt) }
}

/// Runs what may be NULL, or does not say how long it is, which is run as `bpf_filter` takes it.
///
/// # Safety
/// As for [`pcap_offline_filter`].
#[cold]
#[inline(never)]
unsafe extern "C" fn filter_anything(
    fp: *const bpf_program,
    h: *const pcap_pkthdr,
    pkt: *const c_uchar,
) -> c_int {
    // SAFETY: NULL or valid, says the caller.
    let (Some(program), Some(header)) = (unsafe { fp.as_ref() }, unsafe { h.as_ref() }) else {
        return 0;
    };
    let first = program.bf_insns.cast_const();
    if first.is_null() {
        return 0;
    }
    // SAFETY: as the caller vouches.
    let (packet, wirelen) = unsafe { (packet(pkt, header.caplen), header.len) };
    if program.bf_len == 0 {
        // SAFETY: as the caller vouches.
        let start = unsafe { Unsized::new(first) };
        return interpret_from(start, packet, wirelen, &Aux::NONE) as c_int;
    }
    // SAFETY: as the caller vouches.
    let insns = unsafe { insns(program) };
    // Guarded only where there is something to be made.
    match bpf::run_anywhere(insns, packet, wirelen) {
        Run::Done(verdict) => return verdict as c_int,
        Run::Sample => guard_or((), || bpf::sample(insns)),
        Run::Interpret => (),
    }
    interpret_from(insns, packet, wirelen, &Aux::NONE) as c_int
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

/// A place in a program of the caller's that does not say how long it is.
#[derive(Clone, Copy)]
pub(super) struct Unsized(*const Insn);

impl Unsized {
    /// Most instructions that a program can have.
    const MAX_LEN: usize = 1 << 24;

    /// The start of a program.
    ///
    /// # Safety
    /// The program ends in a return on all of its ways, and is not changed while it runs.
    pub(super) unsafe fn new(first: *const Insn) -> Self {
        Self(first)
    }
}

impl<'a> Cursor<'a> for Unsized {
    #[inline(always)]
    fn ahead(self, count: usize) -> Option<(&'a Insn, Self)> {
        let at = self.skip(count);
        // SAFETY: control flow leads there, so it is within the program, as `new` was promised.
        Some((unsafe { &*at.0 }, at))
    }

    #[inline(always)]
    fn skip(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count))
    }

    #[inline(always)]
    fn jump(self, start: Self, distance: i32) -> Option<Self> {
        let at = self.0.wrapping_offset(distance as isize);
        let index = at.addr().wrapping_sub(start.0.addr()) / size_of::<Insn>();
        (index < Self::MAX_LEN).then_some(Self(at))
    }

    #[inline(always)]
    fn is_before(self, other: Self) -> bool {
        self.0 < other.0
    }
}

/// A place in a program of the caller's of known length. A slice would have to be cut at each step.
#[derive(Clone, Copy)]
struct Sized {
    at: *const Insn,
    behind: *const Insn,
}

impl<'a> Cursor<'a> for Sized {
    #[inline(always)]
    fn ahead(self, count: usize) -> Option<(&'a Insn, Self)> {
        self.ahead_of(Self { at: self.behind, ..self }, count)
    }

    #[inline(always)]
    fn ahead_of(self, end: Self, count: usize) -> Option<(&'a Insn, Self)> {
        let place = self.skip(count);
        if !place.is_before(end) {
            return None;
        }
        // SAFETY: places go forward from the start of the program, but in `jump`, so that this one is
        // within the program, of which no window goes beyond the end.
        unsafe {
            std::hint::assert_unchecked(!place.at.is_null());
            Some((&*place.at, place))
        }
    }

    #[inline(always)]
    fn skip(self, count: usize) -> Self {
        Self { at: self.at.wrapping_add(count), ..self }
    }

    #[inline(always)]
    fn window(self, len: usize) -> Self {
        Self { at: self.behind.min(self.at.wrapping_add(len)), ..self }
    }

    #[inline(always)]
    fn jump(self, start: Self, distance: i32) -> Option<Self> {
        let at = self.at.wrapping_offset(distance as isize);
        (start.at..self.behind).contains(&at).then_some(Self { at, ..self })
    }

    #[inline(always)]
    fn is_before(self, other: Self) -> bool {
        self.at < other.at
    }
}
