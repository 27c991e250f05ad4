//! Code for programs that come anew with every packet and may have changed meanwhile.

use super::code_buffer::CodeBuffer;
use super::{Form, generate};
use crate::bpf::{Aux, Insn, interpret};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{Ordering, compiler_fence};

/// A program as native code that runs only as long as the program stays what it was.
///
/// It compares the instructions that it executes with the caller's: just those on the path that it
/// takes, so that long programs cost no more than what they execute. The outcome counts at the end
/// of the path; up to there only the packet and the caller's program were read, within bounds. When
/// they differ, [`run_changed`] runs the caller's program.
#[derive(Debug)]
struct GuardedCode {
    buffer: CodeBuffer,
}

/// What runs a program: generated code, or [`interpret_counted`]. The arguments are the packet, bytes
/// present (below 2^32), bytes on the wire, the program as it is now, the slot that it is in, the
/// table. It clears [`Table::busy`].
type Entry =
    unsafe extern "C" fn(*const u8, usize, u32, *const Insn, *const Slot, *const Table) -> u32;

impl GuardedCode {
    fn compile(insns: &[Insn]) -> Option<Self> {
        Some(Self { buffer: generate(insns, Form::Guarded)? })
    }

    fn entry(&self) -> Entry {
        // SAFETY: the buffer holds a function of this type, made by `assemble`.
        unsafe { std::mem::transmute::<*const u8, Entry>(self.buffer.start()) }
    }
}

/// Slots of a thread, in pairs: a program may be in either slot of one pair.
const SLOTS: usize = 16;

/// What a thread knows of the programs that it runs.
///
/// It refers to code without owning it, and needs no destructor, so that looking something up is
/// cheap and always possible.
struct Table {
    /// Whether code of this thread runs, or the table is being changed. A signal handler that
    /// comes in between leaves all as it is: it could free the code that is running.
    busy: Cell<bool>,
    slots: [Slot; SLOTS],
}

struct Slot {
    /// Where the program is; its address plus 1 if it is to be compiled; 0 in an empty slot.
    key: Cell<usize>,
    len: Cell<usize>,
    /// Set where `key` is.
    entry: Cell<Option<Entry>>,
    /// Interpreted runs until it is to be compiled, 0 for never.
    runs_left: Cell<u32>,
    /// Whether there is code for this slot in [`CODE`], if only such of an earlier program.
    has_code: Cell<bool>,
}

impl Slot {
    /// Whether it belongs to the program of this address and length.
    #[inline(always)]
    fn is_for(&self, insns: &[Insn]) -> bool {
        let address = insns.as_ptr().addr();
        self.is_at(address) && self.len.get() == insns.len()
    }

    fn is_at(&self, address: usize) -> bool {
        self.key.get() == address || self.key.get() == address + 1
    }

    fn clear(&self) {
        self.key.set(0);
        self.entry.set(None);
    }

    /// Takes over another slot's program; code is another matter.
    fn copy(&self, other: &Self) {
        self.key.set(other.key.get());
        self.len.set(other.len.get());
        self.entry.set(other.entry.get());
        self.runs_left.set(other.runs_left.get());
    }

    /// Its program is interpreted for so many runs, then it is to be compiled.
    fn interpret(&self, insns: &[Insn], runs: u32) {
        self.len.set(insns.len());
        self.entry.set(Some(interpret_counted));
        self.runs_left.set(runs);
        self.key.set(insns.as_ptr().addr());
    }
}

thread_local! {
    /// The code that the thread's table refers to, slot by slot.
    static CODE: RefCell<Owned> = const { RefCell::new(Owned([const { None }; SLOTS])) };
}

struct Owned([Option<GuardedCode>; SLOTS]);

impl Drop for Owned {
    fn drop(&mut self) {
        for slot in &table().slots {
            slot.clear();
            slot.has_code.set(false);
        }
    }
}

impl Table {
    /// The index of the slot in which to look first.
    #[inline(always)]
    fn first(address: usize) -> usize {
        address / 32 % SLOTS
    }

    /// Runs `f`, unless the table is in use, and what comes in between leaves it as it is.
    fn alone<T>(&self, f: impl FnOnce(&Self) -> T) {
        if !self.busy.replace(true) {
            compiler_fence(Ordering::SeqCst);
            f(self);
            compiler_fence(Ordering::SeqCst);
            self.busy.set(false);
        }
    }

    /// The index of the slot that a program is in, or of the second one to look at.
    fn find(&self, insns: &[Insn]) -> usize {
        let first = Self::first(insns.as_ptr().addr());
        if self.slots[first].is_for(insns) { first } else { first ^ 1 }
    }
}

/// This thread's table.
///
/// `thread_local!` would compile to a call of `__tls_get_addr`, for which the caller saves its
/// registers: 3 of the 8 ns that running a short program takes. A call through a TLS descriptor
/// keeps all registers.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
#[inline(always)]
fn table() -> &'static Table {
    let table: *const Table;
    // SAFETY: the address of the thread's copy of what is defined below. The call keeps all general
    // registers; those that some C libraries forget in their slow path are given up.
    unsafe {
        std::arch::asm!(
            "leaq oxpcap_filter_table@tlsdesc(%rip), %rax",
            "call *oxpcap_filter_table@tlscall(%rax)",
            "addq %fs:0, %rax",
            out("rax") table,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(att_syntax),
        );
        // SAFETY: it lives as long as the thread, and no reference leaves the thread.
        &*table
    }
}

// All zeros is an empty table.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
std::arch::global_asm!(
    ".pushsection .tbss.oxpcap_filter_table, \"awT\", @nobits",
    ".balign 64",
    ".globl oxpcap_filter_table",
    ".hidden oxpcap_filter_table",
    ".type oxpcap_filter_table, @object",
    ".size oxpcap_filter_table, {size}",
    "oxpcap_filter_table:",
    ".zero {size}",
    ".popsection",
    size = const size_of::<Table>(),
    options(att_syntax),
);

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
fn table() -> &'static Table {
    thread_local! {
        static TABLE: Table = const {
            let empty = const {
                Slot {
                    key: Cell::new(0),
                    len: Cell::new(0),
                    entry: Cell::new(None),
                    runs_left: Cell::new(0),
                    has_code: Cell::new(false),
                }
            };
            Table { busy: Cell::new(false), slots: [empty; SLOTS] }
        };
    }
    // SAFETY: it has no destructor, lives as long as the thread, and no reference leaves the thread.
    TABLE.with(|table| unsafe { &*std::ptr::from_ref(table) })
}

/// Runs a program that this thread knows, by its address and length, and has in the first slot to look
/// at; `None` if not.
///
/// # Safety
/// `insns` is NULL or has `len` instructions, `packet` is NULL or has `present` bytes.
#[inline(always)]
pub unsafe fn run_known(
    insns: *const Insn,
    len: u32,
    packet: *const u8,
    present: u32,
    wirelen: u32,
) -> Option<u32> {
    if insns.is_null() || packet.is_null() {
        return None;
    }
    let table = table();
    // The entry clears the flag, so that calling it can be the last thing that the caller does.
    if table.busy.replace(true) {
        return None;
    }
    compiler_fence(Ordering::SeqCst);
    let slot = &table.slots[Table::first(insns.addr())];
    if slot.key.get() == insns.addr() && slot.len.get() == len as usize {
        // SAFETY: a slot with a key has an entry. Generated code was made by `assemble`, and is not
        // freed while `busy` is set; it is leaf code that reads `present` bytes of the packet and
        // `len` instructions, and writes to its red zone and to `busy` only.
        return Some(unsafe {
            let entry = slot.entry.get().unwrap_unchecked();
            entry(packet, present as usize, wirelen, insns, slot, table)
        });
    }
    table.busy.set(false);
    None
}

/// As [`run_known`], in whatever slot the program is.
pub(in crate::bpf) fn run_known_anywhere(
    insns: &[Insn],
    packet: &[u8],
    wirelen: u32,
) -> Option<u32> {
    let table = table();
    if table.busy.replace(true) {
        return None;
    }
    compiler_fence(Ordering::SeqCst);
    let slot = &table.slots[table.find(insns)];
    let (first, present) = (insns.as_ptr(), packet.len().min(u32::MAX as usize));
    if slot.is_for(insns)
        && let Some(entry) = slot.entry.get()
    {
        // SAFETY: as in `run_known`.
        return Some(unsafe { entry(packet.as_ptr(), present, wirelen, first, slot, table) });
    }
    table.busy.set(false);
    None
}

/// Runs a program that has no code, or not yet.
unsafe extern "C" fn interpret_counted(
    packet: *const u8,
    present: usize,
    wirelen: u32,
    insns: *const Insn,
    slot: *const Slot,
    table: *const Table,
) -> u32 {
    // SAFETY: the caller's slot and table, and what `run_known` was promised.
    let (slot, table, insns, packet) = unsafe {
        let insns = std::slice::from_raw_parts(insns, (*slot).len.get());
        (&*slot, &*table, insns, std::slice::from_raw_parts(packet, present))
    };
    match slot.runs_left.get() {
        0 => (),
        1 => slot.key.set(insns.as_ptr().addr() + 1),
        left => slot.runs_left.set(left - 1),
    }
    table.busy.set(false);
    interpret(insns, packet, wirelen, &Aux::NONE)
}

/// Where generated code goes when the program has changed: a tail call with its own arguments and
/// the number of instructions.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) unsafe extern "C" fn run_changed(
    packet: *const u8,
    present: usize,
    wirelen: u32,
    insns: *const Insn,
    len: usize,
) -> u32 {
    // SAFETY: what `run_known` had as slices, and passed on unchanged.
    let (insns, packet) = unsafe {
        (std::slice::from_raw_parts(insns, len), std::slice::from_raw_parts(packet, present))
    };
    let table = table();
    let slot = &table.slots[table.find(insns)];
    if slot.is_for(insns) {
        slot.clear();
    }
    table.busy.set(false);
    interpret(insns, packet, wirelen, &Aux::NONE)
}

/// What is to be done for a program that [`run_known`] did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bpf) enum Upkeep {
    /// Nothing.
    None,
    /// [`remember`] it.
    Remember,
    /// [`compile`] it.
    Compile,
}

/// What is to be done for a program.
pub(in crate::bpf) fn upkeep(insns: &[Insn]) -> Upkeep {
    let table = table();
    let slot = &table.slots[table.find(insns)];
    match slot.is_for(insns) {
        false => Upkeep::Remember,
        true if slot.key.get() == insns.as_ptr().addr() => Upkeep::None,
        true => Upkeep::Compile,
    }
}

/// Whether a program runs as native code.
pub(in crate::bpf) fn is_native(insns: &[Insn]) -> bool {
    let table = table();
    let slot = &table.slots[table.find(insns)];
    slot.is_for(insns) && slot.has_code.get()
}

/// Gives a program the first slot to look in, to be compiled after so many runs. What was there
/// moves to the second.
pub(in crate::bpf) fn remember(insns: &[Insn], runs: u32) {
    let first = Table::first(insns.as_ptr().addr());
    let put = |table: &Table| {
        let (slot, second) = (&table.slots[first], &table.slots[first ^ 1]);
        let moves = slot.key.get() != 0 && !slot.is_at(insns.as_ptr().addr());
        if moves {
            second.copy(slot);
        }
        slot.interpret(insns, runs);
        moves
    };
    let pair = [first, first ^ 1].map(|at| &table().slots[at]);
    if pair.iter().all(|slot| !slot.has_code.get()) {
        table().alone(|table| put(table));
        return;
    }
    change(|table, code| {
        if put(table) {
            code[first ^ 1] = code[first].take();
        }
        code[first] = None;
    });
}

/// The flag that generated code of this thread clears when it is done.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn busy_flag() -> *const bool {
    table().busy.as_ptr().cast_const()
}

/// Compiles a program that has a slot, where it is strictly valid and there is code to be had; it
/// is not tried again.
pub(in crate::bpf) fn compile(insns: &[Insn], is_valid: bool) {
    let compiled = if is_valid { GuardedCode::compile(insns) } else { None };
    change(|table, code| {
        let at = table.find(insns);
        let slot = &table.slots[at];
        if slot.is_for(insns) {
            slot.interpret(insns, 0);
            if let Some(compiled) = &compiled {
                slot.entry.set(Some(compiled.entry()));
            }
            code[at] = compiled;
        }
    });
}

/// Changes the table and its code, unless they are in use, or the thread ends.
fn change(f: impl FnOnce(&Table, &mut [Option<GuardedCode>; SLOTS])) {
    let _ = CODE.try_with(|code| {
        if let Ok(mut code) = code.try_borrow_mut() {
            table().alone(|table| {
                f(table, &mut code.0);
                for (slot, code) in table.slots.iter().zip(&code.0) {
                    slot.has_code.set(code.is_some());
                }
            });
        }
    });
}
