//! Code for programs that come anew with every packet and may have changed meanwhile.

use super::code_buffer::CodeBuffer;
use super::thread_table::{
    EMPTY, Others, RUNNING, RUNS_A_SAMPLE, Slot, Table, far_table, thread_pointer,
};
use super::{ENTRY_OFFSET, Form, generate};
use crate::bpf::{Aux, Insn, interpret};
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::sync::atomic::{Ordering, compiler_fence};

/// `struct bpf_program`: a program as its owner says where it is.
#[repr(C)]
pub struct OwnedProgram {
    /// Number of instructions.
    pub len: u32,
    /// The instructions, or NULL.
    pub insns: *const Insn,
}

/// `struct pcap_pkthdr`.
#[repr(C)]
pub struct OwnedHeader {
    time: libc::timeval,
    /// Bytes present.
    pub present: u32,
    /// Bytes on the wire.
    pub wirelen: u32,
}

impl OwnedHeader {
    fn new(packet: &[u8], wirelen: u32) -> Option<Self> {
        let time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        Some(Self { time, present: u32::try_from(packet.len()).ok()?, wirelen })
    }
}

/// What a run is about. It is valid if the program has as many instructions as it says and the packet
/// has the bytes that are present.
#[derive(Clone, Copy)]
pub struct Call {
    /// The program.
    pub program: *const OwnedProgram,
    /// The packet's header.
    pub header: *const OwnedHeader,
    /// The packet.
    pub packet: *const u8,
}

/// A program as native code that runs only as long as the program stays what it was.
///
/// It compares the program's length and what it executes with the caller's: of long programs just
/// what is on the path that it takes, so that they cost no more than what they execute. Up to the
/// outcome only the packet and the caller's program were read, within bounds. When they differ,
/// [`run_changed`] runs the caller's program. So it gives the right verdict whatever program it is
/// called for.
#[derive(Debug)]
struct GuardedCode {
    buffer: CodeBuffer,
    len: usize,
}

/// Generated code. The arguments are those of `pcap_offline_filter`, the program's instructions as they
/// are now, and the [`Slot::place`] of the slot that leads there. It ends by making the program the
/// slot's again, which is [`RUNNING`] meanwhile.
#[cfg(target_arch = "x86_64")]
pub(super) type Entry = unsafe extern "sysv64" fn(
    *const OwnedProgram,
    *const OwnedHeader,
    *const u8,
    *const Insn,
    usize,
) -> u32;
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Entry = unsafe extern "C" fn(
    *const OwnedProgram,
    *const OwnedHeader,
    *const u8,
    *const Insn,
    usize,
) -> u32;

impl GuardedCode {
    fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Guarded)?, len: insns.len() })
    }

    fn entry(&self) -> Entry {
        // SAFETY: the buffer holds a function of this type, made by `assemble`.
        unsafe { std::mem::transmute::<*const u8, Entry>(self.buffer.start().add(ENTRY_OFFSET)) }
    }
}

thread_local! {
    /// The code that the thread's table refers to, and the part of the table that is not small.
    static OWNED: RefCell<Option<Box<Owned>>> = const { RefCell::new(None) };

    /// Programs that are interpreted, as far as [`Run::Sample`] came across them.
    static CANDIDATES: [Cell<Candidate>; CANDIDATE_COUNT] =
        const { [const { Cell::new(Candidate::NONE) }; CANDIDATE_COUNT] };

    /// Runs that were looked at.
    static SAMPLES: Cell<u16> = const { Cell::new(0) };
}

const CANDIDATE_COUNT: usize = 8;

/// Samples after which a candidate that was not among them gives way to any other.
const FORGOTTEN: u16 = 64;

#[derive(Clone, Copy)]
struct Candidate {
    address: usize,
    len: u32,
    /// Below 0 where compiling has failed.
    samples: i16,
    /// What [`SAMPLES`] was when it was seen last.
    seen: u16,
}

impl Candidate {
    const NONE: Self = Self { address: 0, len: 0, samples: 0, seen: 0 };

    /// How much there is to be lost by forgetting it. What does not run any more is worth nothing, or
    /// programs that take turns would drive out each other for ever.
    fn worth(self, now: u16) -> i16 {
        if now.wrapping_sub(self.seen) > FORGOTTEN { i16::MIN } else { self.samples }
    }
}

type Pair = [Option<GuardedCode>; 2];

struct Owned {
    others: NonNull<Others>,
    /// The code of the front, and of the others.
    front: Option<GuardedCode>,
    code: [Pair; Others::PAIRS],
}

impl Owned {
    fn new() -> Self {
        let others = NonNull::from(Box::leak(Box::new(Others::empty())));
        Self { others, front: None, code: [const { [const { None }; 2] }; Others::PAIRS] }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let table = far_table();
        table.slots().for_each(|slot| slot.key.set(EMPTY));
        table.others.set(ptr::null());
        compiler_fence(Ordering::SeqCst);
        // SAFETY: `new` has made it, and nothing refers to it any more.
        drop(unsafe { Box::from_raw(self.others.as_ptr()) });
    }
}

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Native code ran: the verdict.
    Done(u32),
    /// The caller is to interpret the program.
    Interpret,
    /// The same, and to [`sample`](crate::bpf::sample) it.
    Sample,
}

/// Runs a program that this thread has compiled; counts it where it has not been compiled.
/// `pcap_offline_filter` does the same in its own way where it can.
///
/// # Safety
/// `call` is valid.
#[inline(always)]
pub unsafe fn run_known(call: Call) -> Run {
    let table = far_table();
    // SAFETY: as the caller vouches, and the program has the slot.
    unsafe {
        let insns = (*call.program).insns;
        if table.front.key.get() == insns.addr() {
            return Run::Done(run_slot(call, insns, &table.front));
        }
        run_other(call, insns, table)
    }
}

/// The same for a program that is not in front.
///
/// # Safety
/// `call` is valid; `insns` is its program's, and the table the thread's.
#[inline(always)]
unsafe fn run_other(call: Call, insns: *const Insn, table: &'static Table) -> Run {
    let slots = table.pair(insns.addr()).map_or(&[] as &[Slot], |pair| pair);
    match slots.iter().find(|slot| slot.key.get() == insns.addr()) {
        // SAFETY: as the caller vouches, and the program has the slot.
        Some(slot) => Run::Done(unsafe { run_slot(call, insns, slot) }),
        None => count_interpreted(table),
    }
}

/// [`run_known`] of slices.
pub(in crate::bpf) fn run_slices(insns: &[Insn], packet: &[u8], wirelen: u32) -> Run {
    let (Ok(len @ 1..), Some(header)) =
        (u32::try_from(insns.len()), OwnedHeader::new(packet, wirelen))
    else {
        return Run::Interpret;
    };
    let program = OwnedProgram { len, insns: insns.as_ptr() };
    // SAFETY: slices.
    unsafe { run_known(Call { program: &program, header: &header, packet: packet.as_ptr() }) }
}

/// # Safety
/// The program has this slot; otherwise as for [`run_other`].
#[inline(always)]
unsafe fn run_slot(call: Call, insns: *const Insn, slot: &Slot) -> u32 {
    // Generated code makes the program the slot's again, so that calling it can be the last thing that
    // the caller does.
    slot.key.set(RUNNING);
    compiler_fence(Ordering::SeqCst);
    // SAFETY: a slot that has had a key has an entry. If a signal handler has put another program's
    // code there meanwhile, that notices. Generated code was made by `assemble`, and is not freed while
    // the slot is `RUNNING`; it is leaf code that reads the bytes of the packet that are present and the
    // instructions that the program has, and writes to its red zone and to the slot's key only.
    unsafe {
        let entry = slot.entry.get().unwrap_unchecked();
        entry(call.program, call.header, call.packet, insns, slot.place())
    }
}

/// Which programs run often is found by looking at a few runs.
#[inline(always)]
fn count_interpreted(table: &Table) -> Run {
    let interpreted = table.interpreted.get().wrapping_add(1);
    table.interpreted.set(interpreted);
    if interpreted == 0 { Run::Sample } else { Run::Interpret }
}

/// Where generated code goes when the program has changed: a tail call with its own arguments.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe extern "sysv64" fn run_changed(
    program: *const OwnedProgram,
    header: *const OwnedHeader,
    packet: *const u8,
    insns: *const Insn,
    place: usize,
) -> u32 {
    let slot = place.wrapping_add(thread_pointer());
    // SAFETY: what `run_slot` was promised, and passed on unchanged.
    let (insns, packet, wirelen) = unsafe {
        compiler_fence(Ordering::SeqCst);
        (*ptr::with_exposed_provenance::<Slot>(slot)).key.set(EMPTY);
        let packet = std::slice::from_raw_parts(packet, (*header).present as usize);
        (std::slice::from_raw_parts(insns, (*program).len as usize), packet, (*header).wirelen)
    };
    interpret(insns, packet, wirelen, &Aux::NONE)
}

/// Whether a program runs as native code.
pub(in crate::bpf) fn is_native(insns: &[Insn]) -> bool {
    let (table, address) = (far_table(), insns.as_ptr().addr());
    let holds = |(slot, code): (&Slot, &Option<GuardedCode>)| {
        slot.key.get() == address && code.as_ref().is_some_and(|code| code.len == insns.len())
    };
    OWNED.with_borrow(|owned| {
        owned.as_ref().is_some_and(|owned| {
            let code = std::iter::once(&owned.front).chain(owned.code.iter().flatten());
            table.slots().zip(code).any(holds)
        })
    })
}

/// Counts a run that was interpreted, of those that are counted; about how many runs of this program
/// there have been.
pub(in crate::bpf) fn count(insns: &[Insn]) -> u64 {
    let now = SAMPLES.get().wrapping_add(1);
    SAMPLES.set(now);
    // Not always as many runs to the next one: programs that take turns are all to be seen.
    far_table().interpreted.set((now % 8) as u8);
    CANDIDATES.with(|candidates| {
        let address = insns.as_ptr().addr();
        let len = u32::try_from(insns.len()).unwrap_or(u32::MAX);
        let is_it =
            |slot: &&Cell<Candidate>| slot.get().address == address && slot.get().len == len;
        let known = candidates.iter().find(is_it);
        let mut candidate = Candidate { address, len, ..Candidate::NONE };
        // Where there is no room, one goes that has been seen seldom.
        let slot = match known {
            Some(slot) => {
                candidate = slot.get();
                slot
            }
            None => {
                candidates.iter().min_by_key(|slot| slot.get().worth(now)).unwrap_or(&candidates[0])
            }
        };
        candidate.samples = candidate.samples.saturating_add(1);
        candidate.seen = now;
        slot.set(candidate);
        u64::try_from(candidate.samples).unwrap_or(0) * u64::from(RUNS_A_SAMPLE)
    })
}

/// Compiles a program, where it is strictly valid and there is code to be had; if not, it will be
/// tried again much later.
pub(in crate::bpf) fn compile(insns: &[Insn], is_valid: bool) {
    let compiled = if is_valid { GuardedCode::compile(insns) } else { None };
    CANDIDATES.with(|candidates| {
        let of_it = |slot: &&Cell<Candidate>| slot.get().address == insns.as_ptr().addr();
        for slot in candidates.iter().filter(of_it) {
            let samples = if compiled.is_some() { 0 } else { -(1 << 12) };
            slot.set(Candidate { samples, ..slot.get() });
        }
    });
    if let Some(compiled) = compiled {
        install(insns, compiled);
    }
}

/// Gives a program the front; what was there moves to the first slot of its pair, and what was in that
/// to the second. Does nothing where code of these slots runs, nor while the table is being changed
/// or the thread ends.
fn install(insns: &[Insn], compiled: GuardedCode) {
    let _ = OWNED.try_with(|owned| {
        if let Ok(mut owned) = owned.try_borrow_mut() {
            let owned = owned.get_or_insert_with(|| Box::new(Owned::new()));
            let table = far_table();
            table.others.set(owned.others.as_ptr());
            if make_room(table, owned, insns.as_ptr().addr()) {
                owned.front = None;
                let compiled = owned.front.insert(compiled);
                table.front.put(Some(compiled.entry()), insns.as_ptr().addr());
            }
        }
    });
}

/// Empties the front for a program, unless code runs that would have to move.
///
/// Whatever a signal handler finds that comes in between is in order: a slot's code is only freed
/// when the slot is empty.
fn make_room(table: &Table, owned: &mut Owned, address: usize) -> bool {
    let leaving = table.front.key.get();
    if table.front.is_running() {
        return false;
    }
    if leaving != EMPTY && leaving != address {
        let Some(pair @ [first, second]) = table.pair(leaving) else { return false };
        if pair.iter().any(Slot::is_running) {
            return false;
        }
        let code = &mut owned.code[Others::pair(leaving)];
        if first.key.get() != EMPTY {
            second.key.set(EMPTY);
            compiler_fence(Ordering::SeqCst);
            let moved = first.key.replace(EMPTY);
            code.swap(0, 1);
            second.put(first.entry.get(), moved);
        }
        compiler_fence(Ordering::SeqCst);
        code[0] = owned.front.take();
        first.put(table.front.entry.get(), leaving);
    }
    table.front.key.set(EMPTY);
    // Code of the same program that it had before.
    table.slots().filter(|slot| slot.key.get() == address).for_each(|slot| slot.key.set(EMPTY));
    compiler_fence(Ordering::SeqCst);
    true
}
