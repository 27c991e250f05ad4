//! Where a thread finds the code of the programs that come anew with every packet.

use super::guarded::Entry;
use std::cell::Cell;
use std::sync::atomic::{Ordering, compiler_fence};

/// Interpreted runs, of whatever programs, of which one is looked at.
pub(super) const RUNS_A_SAMPLE: u32 = 1 << u8::BITS;

/// In place of a program's address, in a slot without one. Not 0, which would be found for NULL.
pub(super) const EMPTY: usize = 1;

/// In a slot whose code runs. A signal handler that comes in between leaves such a slot as it is: it
/// could free the code that is running.
pub(super) const RUNNING: usize = 2;

/// What a thread knows of the programs that it has compiled.
///
/// It refers to code without owning it, and needs no destructor, so that looking something up is
/// cheap and always possible.
#[repr(C)]
pub(super) struct Table {
    /// A program may be in either slot of one pair; the first is looked at first.
    pub pairs: [[Slot; 2]; Table::PAIRS],
    /// Interpreted runs, modulo [`RUNS_A_SAMPLE`].
    pub interpreted: Cell<u8>,
}

#[repr(C)]
pub(super) struct Slot {
    /// Where the program is; or [`EMPTY`], or [`RUNNING`].
    pub key: Cell<usize>,
    /// Set where `key` was, and not cleared with it.
    pub entry: Cell<Option<Entry>>,
}

impl Slot {
    /// Fills an empty slot.
    pub fn put(&self, entry: Option<Entry>, key: usize) {
        self.entry.set(entry);
        compiler_fence(Ordering::SeqCst);
        self.key.set(key);
    }
}

impl Table {
    pub const PAIRS: usize = 8;

    /// The index of the pair in which a program may be. What a pair takes is what consecutive ones
    /// differ by, so that finding it is one operation.
    #[inline(always)]
    pub fn pair(address: usize) -> usize {
        const { assert!(size_of::<[Slot; 2]>() == 32) };
        address / 32 % Self::PAIRS
    }
}

pub(super) use imp::{far_table, near_table};

/// Thread-local memory as the linker and the C library lay it out.
///
/// `thread_local!` would compile to a call of `__tls_get_addr`, for which the caller saves its
/// registers: 3 of the 8 ns that running a short program takes. A call through a TLS descriptor
/// keeps all registers. But most often the table lies at the same distance from the thread pointer in
/// all threads, and the descriptor's function says no more than that: then the distance is all that
/// is needed.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod imp {
    use super::Table;

    std::arch::global_asm!(
        ".pushsection .tdata.oxpcap_filter_table, \"awT\", @progbits",
        ".balign 64",
        ".globl oxpcap_filter_table",
        ".hidden oxpcap_filter_table",
        ".type oxpcap_filter_table, @object",
        ".size oxpcap_filter_table, {size}",
        "oxpcap_filter_table:",
        ".rept {slots}",
        ".quad {empty}, 0",
        ".endr",
        ".zero {size} - 16 * {slots}",
        ".popsection",
        size = const size_of::<Table>(),
        slots = const 2 * Table::PAIRS,
        empty = const super::EMPTY,
        options(att_syntax),
    );

    // From the thread pointer to the table, which is always negative; 0 while nobody has asked, VARIES
    // where it is not the same for all threads. A `static` of ours would be reached by way of the global
    // offset table.
    std::arch::global_asm!(
        ".pushsection .bss.oxpcap_filter_offset, \"aw\", @nobits",
        ".balign 8",
        ".globl oxpcap_filter_offset",
        ".hidden oxpcap_filter_offset",
        ".type oxpcap_filter_offset, @object",
        ".size oxpcap_filter_offset, 8",
        "oxpcap_filter_offset:",
        ".zero 8",
        ".popsection",
        options(att_syntax),
    );
    const VARIES: isize = 1;

    /// `oxpcap_filter_offset`.
    #[inline(always)]
    fn offset() -> isize {
        let offset;
        // SAFETY: a word that lives for ever, as one load.
        unsafe {
            std::arch::asm!(
                "movq oxpcap_filter_offset(%rip), {offset}",
                offset = out(reg) offset,
                options(att_syntax, nostack, pure, readonly, preserves_flags),
            );
        }
        offset
    }

    /// Sets it; all threads find the same.
    fn set_offset(offset: isize) {
        // SAFETY: as above, as one store.
        unsafe {
            std::arch::asm!(
                "movq {offset}, oxpcap_filter_offset(%rip)",
                offset = in(reg) offset,
                options(att_syntax, nostack, preserves_flags),
            );
        }
    }

    /// This thread's table, if it is where the thread pointer says.
    #[inline(always)]
    pub fn near_table() -> Option<&'static Table> {
        let offset = self::offset();
        if offset >= 0 {
            return None;
        }
        let table: *const Table;
        // SAFETY: the thread pointer points to itself; the sum is what `find` has seen. The table
        // lives as long as the thread, and no reference leaves the thread.
        unsafe {
            std::arch::asm!(
                "addq %fs:0, {table}",
                table = inout(reg) offset => table,
                options(att_syntax, nostack, pure, readonly),
            );
            Some(&*table)
        }
    }

    /// This thread's table, wherever it is.
    pub fn far_table() -> &'static Table {
        near_table().unwrap_or_else(find)
    }

    /// Asks the TLS descriptor; finds out whether that is necessary.
    #[cold]
    #[inline(never)]
    fn find() -> &'static Table {
        let (descriptor, offset, table): (*const usize, isize, *const Table);
        // SAFETY: the address of the thread's copy of what is defined above. The call keeps all general
        // registers but rax; vector registers that some C libraries forget in their slow path are
        // given up. A linker may make the call a no-op and rax the offset.
        unsafe {
            std::arch::asm!(
                "leaq oxpcap_filter_table@tlsdesc(%rip), %rax",
                "movq %rax, {descriptor}",
                "call *oxpcap_filter_table@tlscall(%rax)",
                "movq %rax, {table}",
                "addq %fs:0, {table}",
                descriptor = out(reg) descriptor,
                table = out(reg) table,
                out("rax") offset,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(att_syntax),
            );
        }
        if self::offset() == 0 {
            let is_in_code = descriptor.addr() == offset as usize;
            // SAFETY: the descriptor's address, unless the linker has put the offset in its place.
            let is_fixed = is_in_code || unsafe { gives_a_constant(descriptor, offset) };
            let known = if is_fixed && offset < 0 { offset } else { VARIES };
            set_offset(known);
        }
        // SAFETY: as above.
        unsafe { &*table }
    }

    /// Whether a TLS descriptor's function is one that returns the descriptor's second word:
    /// `mov 8(%rax), %rax; ret`, mostly after `endbr64`.
    ///
    /// # Safety
    /// It is a TLS descriptor.
    unsafe fn gives_a_constant(descriptor: *const usize, offset: isize) -> bool {
        const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
        const BODY: [u8; 5] = [0x48, 0x8b, 0x40, 0x08, 0xc3];
        // SAFETY: a descriptor is a function's address and what it wants to know. Code can be read,
        // and none is so short that it ends before the first difference.
        unsafe {
            let mut code = std::ptr::with_exposed_provenance::<u8>(*descriptor);
            if code.cast::<[u8; 4]>().read_unaligned() == ENDBR64 {
                code = code.add(ENDBR64.len());
            }
            let starts_as = |(at, byte): (usize, &u8)| *code.add(at) == *byte;
            *descriptor.add(1) == offset as usize && BODY.iter().enumerate().all(starts_as)
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod imp {
    use super::{Cell, Slot, Table};

    pub fn near_table() -> Option<&'static Table> {
        None
    }

    pub fn far_table() -> &'static Table {
        thread_local! {
            static TABLE: Table = const {
                let pairs = [const {
                    [const { Slot { key: Cell::new(super::EMPTY), entry: Cell::new(None) } }; 2]
                }; Table::PAIRS];
                Table { pairs, interpreted: Cell::new(0) }
            };
        }
        // SAFETY: it has no destructor, lives as long as the thread, and no reference leaves the
        // thread.
        TABLE.with(|table| unsafe { &*std::ptr::from_ref(table) })
    }
}
