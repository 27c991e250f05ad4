//! Code for programs that come anew with every packet and may have changed meanwhile.

use super::code_buffer::CodeBuffer;
use super::thread_table::{EMPTY, RUNNING, RUNS_A_SAMPLE, Slot, Table, far_table, near_table};
use super::{Form, generate};
use crate::bpf::{Aux, Insn, interpret};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{Ordering, compiler_fence};

/// A program as native code that runs only as long as the program stays what it was.
///
/// It compares the program's length and the instructions that it executes with the caller's: just
/// those on the path that it takes, so that long programs cost no more than what they execute. The
/// outcome counts at the end of the path; up to there only the packet and the caller's program were
/// read, within bounds. When they differ, [`run_changed`] runs the caller's program. So it gives the
/// right verdict whatever program it is called for.
#[derive(Debug)]
struct GuardedCode {
    buffer: CodeBuffer,
    len: usize,
}

/// Generated code. The arguments are the packet, bytes present (below 2^32), where the bytes on the wire
/// are said, the program as it is now, its length, and the slot of the table that leads there. It
/// ends by making the program the slot's again, which is [`RUNNING`] meanwhile.
pub(super) type Entry =
    unsafe extern "C" fn(*const u8, usize, *const u32, *const Insn, u32, *const Slot) -> u32;

impl GuardedCode {
    fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Guarded)?, len: insns.len() })
    }

    fn entry(&self) -> Entry {
        // SAFETY: the buffer holds a function of this type, made by `assemble`.
        unsafe { std::mem::transmute::<*const u8, Entry>(self.buffer.start()) }
    }
}

thread_local! {
    /// The code that the thread's table refers to, slot by slot.
    static CODE: RefCell<Owned> = const { RefCell::new(Owned([const { [const { None }; 2] }; Table::PAIRS])) };

    /// Programs that are interpreted, as far as [`Run::Sample`] came across them.
    static CANDIDATES: [Cell<Candidate>; CANDIDATE_COUNT] =
        const { [const { Cell::new(Candidate { address: 0, len: 0, samples: 0 }) }; CANDIDATE_COUNT] };
}

const CANDIDATE_COUNT: usize = 8;

#[derive(Clone, Copy)]
struct Candidate {
    address: usize,
    len: usize,
    /// Below 0 where compiling has failed.
    samples: i32,
}

struct Owned([Pair; Table::PAIRS]);

type Pair = [Option<GuardedCode>; 2];

impl Drop for Owned {
    fn drop(&mut self) {
        far_table().pairs.iter().flatten().for_each(|slot| slot.key.set(EMPTY));
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
    /// The thread's table is not quickly found; [`run_cached`](crate::bpf::run_cached) finds it.
    Ask,
}

/// Runs a program that this thread has compiled; counts it where it has not been compiled.
///
/// # Safety
/// `insns` is NULL or has `len` instructions, `packet` has `present` bytes, `wirelen` says how many
/// there were on the wire.
#[inline(always)]
pub unsafe fn run_known(
    insns: *const Insn,
    len: impl FnOnce() -> u32,
    packet: *const u8,
    present: impl FnOnce() -> u32,
    wirelen: *const u32,
) -> Run {
    let Some(table) = near_table() else { return Run::Ask };
    let [first, second] = &table.pairs[Table::pair(insns.addr())];
    // SAFETY: as the caller vouches, and the program has the slot.
    unsafe {
        if first.key.get() == insns.addr() {
            Run::Done(run_slot(packet, present() as usize, wirelen, insns, len(), first))
        } else if second.key.get() == insns.addr() {
            Run::Done(run_second(packet, present() as usize, wirelen, insns, len(), second))
        } else {
            count_interpreted(table)
        }
    }
}

/// As [`run_known`], wherever the table and the program in it are.
pub(in crate::bpf) fn run_slices(insns: &[Insn], packet: &[u8], wirelen: u32) -> Run {
    let (len, present) = (u32::try_from(insns.len()), u32::try_from(packet.len()));
    let (Ok(len @ 1..), Ok(present)) = (len, present) else { return Run::Interpret };
    let table = far_table();
    let mut pair = table.pairs[Table::pair(insns.as_ptr().addr())].iter();
    match pair.find(|slot| slot.key.get() == insns.as_ptr().addr()) {
        // SAFETY: slices, and the program has this slot.
        Some(slot) => Run::Done(unsafe {
            run_slot(packet.as_ptr(), present as usize, &wirelen, insns.as_ptr(), len, slot)
        }),
        None => count_interpreted(table),
    }
}

/// # Safety
/// The program has this slot; otherwise as for [`run_known`].
#[inline(always)]
unsafe fn run_slot(
    packet: *const u8,
    present: usize,
    wirelen: *const u32,
    insns: *const Insn,
    len: u32,
    slot: &Slot,
) -> u32 {
    // Generated code makes the program the slot's again, so that calling it can be the last thing that
    // the caller does.
    slot.key.set(RUNNING);
    compiler_fence(Ordering::SeqCst);
    // SAFETY: a slot that has had a key has an entry. If a signal handler has put another program's
    // code there meanwhile, that notices. Generated code was made by `assemble`, and is not freed while
    // the slot is `RUNNING`; it is leaf code that reads `present` bytes of the packet and `len`
    // instructions, and writes to its red zone and to the slot's key only.
    unsafe {
        let entry = slot.entry.get().unwrap_unchecked();
        entry(packet, present, wirelen, insns, len, slot)
    }
}

/// [`run_slot`], out of the way of programs in the first slot.
#[cold]
#[inline(never)]
unsafe extern "C" fn run_second(
    packet: *const u8,
    present: usize,
    wirelen: *const u32,
    insns: *const Insn,
    len: u32,
    slot: &Slot,
) -> u32 {
    // SAFETY: as the caller vouches.
    unsafe { run_slot(packet, present, wirelen, insns, len, slot) }
}

/// Which programs run often is found by looking at a few runs.
#[inline(always)]
fn count_interpreted(table: &Table) -> Run {
    let interpreted = table.interpreted.get().wrapping_add(1);
    table.interpreted.set(interpreted);
    if interpreted == 0 { Run::Sample } else { Run::Interpret }
}

/// Where generated code goes when the program has changed: a tail call with its own arguments.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) unsafe extern "C" fn run_changed(
    packet: *const u8,
    present: usize,
    wirelen: *const u32,
    insns: *const Insn,
    len: u32,
    slot: *const Slot,
) -> u32 {
    // SAFETY: what `run_slot` was promised, and passed on unchanged.
    let (insns, packet, wirelen) = unsafe {
        compiler_fence(Ordering::SeqCst);
        (*slot).key.set(EMPTY);
        let insns = std::slice::from_raw_parts(insns, len as usize);
        (insns, std::slice::from_raw_parts(packet, present), *wirelen)
    };
    interpret(insns, packet, wirelen, &Aux::NONE)
}

/// Whether a program runs as native code.
pub(in crate::bpf) fn is_native(insns: &[Insn]) -> bool {
    let (table, address) = (far_table(), insns.as_ptr().addr());
    let holds = |(slot, code): (&Slot, &Option<GuardedCode>)| {
        slot.key.get() == address && code.as_ref().is_some_and(|code| code.len == insns.len())
    };
    CODE.with_borrow(|code| table.pairs.iter().flatten().zip(code.0.iter().flatten()).any(holds))
}

/// Counts a run that was interpreted, of those that are counted; about how many runs of this program
/// there have been.
pub(in crate::bpf) fn count(insns: &[Insn]) -> u64 {
    CANDIDATES.with(|candidates| {
        let (address, len) = (insns.as_ptr().addr(), insns.len());
        let is_it =
            |slot: &&Cell<Candidate>| slot.get().address == address && slot.get().len == len;
        let known = candidates.iter().find(is_it);
        let mut candidate = Candidate { address, len, samples: 0 };
        // Where there is no room, one goes that has been seen seldom.
        let slot = match known {
            Some(slot) => {
                candidate = slot.get();
                slot
            }
            None => {
                candidates.iter().min_by_key(|slot| slot.get().samples).unwrap_or(&candidates[0])
            }
        };
        candidate.samples = candidate.samples.saturating_add(1);
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

/// Gives a program the first slot to look in; what was there moves to the second. Does nothing where
/// code of these slots runs, nor while the table is being changed or the thread ends.
///
/// Whatever a signal handler finds that comes in between is in order: a slot's code is only freed
/// when the slot is empty.
fn install(insns: &[Insn], compiled: GuardedCode) {
    let address = insns.as_ptr().addr();
    let put = |[first, second]: &[Slot; 2], code: &mut Pair| {
        if [first, second].into_iter().any(|slot| slot.key.get() == RUNNING) {
            return;
        }
        let moves = ![EMPTY, address].contains(&first.key.get());
        if moves || second.key.get() == address {
            second.key.set(EMPTY);
        }
        if moves {
            let moved = first.key.replace(EMPTY);
            code.swap(0, 1);
            second.put(first.entry.get(), moved);
        }
        first.key.set(EMPTY);
        compiler_fence(Ordering::SeqCst);
        first.put(Some(compiled.entry()), address);
        code[0] = Some(compiled);
    };
    let _ = CODE.try_with(|code| {
        if let Ok(mut code) = code.try_borrow_mut() {
            let pair = Table::pair(address);
            put(&far_table().pairs[pair], &mut code.0[pair]);
        }
    });
}
