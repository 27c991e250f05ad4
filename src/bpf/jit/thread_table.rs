//! Where a thread finds the code of the programs that come anew with every packet.

use super::guarded::Entry;
use std::cell::Cell;
use std::mem::offset_of;
use std::sync::atomic::{Ordering, compiler_fence};

/// Interpreted runs, of whatever programs, of which one is looked at.
pub(super) const RUNS_A_SAMPLE: u32 = 1 << u8::BITS;

/// In place of a program's address, in a slot without one. Not 0, which would be found for NULL.
pub(super) const EMPTY: usize = 1;

/// In a slot whose code runs, as is any negative number. A signal handler that comes in between leaves
/// such a slot as it is: it could free the code that is running.
pub(super) const RUNNING: usize = usize::MAX;

/// Where in a thread's table the front's key and entry are, and the rest.
pub const KEY: usize = offset_of!(Table, front) + offset_of!(Slot, key);
pub const ENTRY: usize = offset_of!(Table, front) + offset_of!(Slot, entry);
pub const OTHERS: usize = offset_of!(Table, others);
pub const INTERPRETED: usize = offset_of!(Table, interpreted);

/// The bits of a program's address that are how far its pair is from the first of the others, and the
/// size of a slot.
pub const PAIRS_MASK: usize = (Others::PAIRS - 1) * size_of::<[Slot; 2]>();
pub const SLOT: usize = size_of::<Slot>();
// Generated code writes the key where `Slot::place` says, the front's where the table begins.
const _: () = assert!(offset_of!(Slot, key) == 0 && KEY == 0 && Others::PAIRS.is_power_of_two());

/// What a thread knows of the programs that it has compiled.
///
/// It refers to code without owning it, and needs no destructor, so that looking something up is
/// cheap and always possible. It is small, so that a library which `dlopen` loads gets it at a fixed
/// distance from the thread pointer: glibc has 512 bytes for that.
#[repr(C)]
pub(super) struct Table {
    /// The program that was compiled last.
    pub front: Slot,
    /// Those compiled before; NULL while there are none.
    pub others: Cell<*const Others>,
    /// Interpreted runs, modulo [`RUNS_A_SAMPLE`].
    pub interpreted: Cell<u8>,
}

/// Programs that are not in front. Each may be in either slot of one pair.
#[repr(transparent)]
pub(super) struct Others([[Slot; 2]; Others::PAIRS]);

#[repr(C)]
pub(super) struct Slot {
    /// Where the program is; or [`EMPTY`], or something like [`RUNNING`].
    pub key: Cell<usize>,
    /// Set where `key` was, and not cleared with it.
    pub entry: Cell<Option<Entry>>,
}

impl Slot {
    const fn empty() -> Self {
        Self { key: Cell::new(EMPTY), entry: Cell::new(None) }
    }

    /// Fills an empty slot.
    pub fn put(&self, entry: Option<Entry>, key: usize) {
        self.entry.set(entry);
        compiler_fence(Ordering::SeqCst);
        self.key.set(key);
    }

    /// Whether its code runs.
    pub fn is_running(&self) -> bool {
        self.key.get().cast_signed() < 0
    }

    /// Where generated code finds it: from the thread pointer, where there is one.
    #[inline(always)]
    pub fn place(&self) -> usize {
        std::ptr::from_ref(self).addr().wrapping_sub(thread_pointer())
    }
}

impl Table {
    /// The slots in which a program may be beside the front.
    #[inline(always)]
    pub fn pair(&self, address: usize) -> Option<&[Slot; 2]> {
        // SAFETY: NULL, or what lives until the thread ends and has emptied the table.
        let others = unsafe { self.others.get().as_ref()? };
        Some(&others.0[Others::pair(address)])
    }

    /// All slots.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        // SAFETY: as above.
        let others = unsafe { self.others.get().as_ref() };
        let others = others.into_iter().flat_map(|others| others.0.iter().flatten());
        std::iter::once(&self.front).chain(others)
    }
}

impl Others {
    pub const PAIRS: usize = 8;

    pub const fn empty() -> Self {
        Self([const { [const { Slot::empty() }; 2] }; Self::PAIRS])
    }

    /// The index of the pair in which a program may be. What a pair takes is what consecutive ones
    /// differ by, so that finding it is one operation.
    #[inline(always)]
    pub fn pair(address: usize) -> usize {
        const { assert!(size_of::<[Slot; 2]>() == 32) };
        address / 32 % Self::PAIRS
    }
}

pub(super) use imp::{far_table, thread_pointer};

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
        ".balign 32",
        ".globl oxpcap_filter_table",
        ".hidden oxpcap_filter_table",
        ".type oxpcap_filter_table, @object",
        ".size oxpcap_filter_table, {size}",
        "oxpcap_filter_table:",
        ".quad {empty}, 0",
        ".zero {size} - 16",
        ".popsection",
        size = const size_of::<Table>(),
        empty = const super::EMPTY,
        options(att_syntax),
    );

    // From the thread pointer to the table, which is always negative; 0 while nobody has asked, VARIES
    // where it is not the same for all threads. A `static` of ours would be reached by way of the global
    // offset table. `pcap_offline_filter` reads it, too.
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

    /// What `fs` is relative to.
    #[inline(always)]
    pub fn thread_pointer() -> usize {
        let pointer;
        // SAFETY: the thread pointer points to itself.
        unsafe {
            std::arch::asm!(
                "movq %fs:0, {pointer}",
                pointer = out(reg) pointer,
                options(att_syntax, nostack, pure, readonly, preserves_flags),
            );
        }
        pointer
    }

    /// This thread's table at a distance from the thread pointer.
    ///
    /// # Safety
    /// `oxpcap_filter_offset` says so.
    #[inline(always)]
    pub unsafe fn table_at(offset: isize) -> &'static Table {
        let table = thread_pointer().wrapping_add_signed(offset);
        // SAFETY: the sum is what `ask` has seen. The table lives as long as the thread, and no reference
        // leaves the thread.
        unsafe { &*std::ptr::with_exposed_provenance(table) }
    }

    /// This thread's table, wherever it is.
    #[inline]
    pub fn far_table() -> &'static Table {
        match offset() {
            // SAFETY: as it says.
            offset if offset < 0 => unsafe { table_at(offset) },
            offset => ask(offset == 0),
        }
    }

    /// Asks the TLS descriptor; finds out whether that is necessary.
    #[inline]
    fn ask(is_first: bool) -> &'static Table {
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
        if is_first {
            // SAFETY: of the descriptor.
            unsafe { learn(descriptor, offset) };
        }
        // SAFETY: as above.
        unsafe { &*table }
    }

    /// Keeps what the descriptor says, if it says that to all threads.
    ///
    /// # Safety
    /// A TLS descriptor and what it gives, or the offset twice where a linker has put it in the place of both.
    #[cold]
    unsafe fn learn(descriptor: *const usize, offset: isize) {
        let is_in_code = descriptor.addr() == offset as usize;
        // SAFETY: the descriptor's address, unless the linker has put the offset in its place.
        let is_fixed = is_in_code || unsafe { gives_a_constant(descriptor, offset) };
        set_offset(if is_fixed && offset < 0 { offset } else { VARIES });
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

    /// Generated code takes addresses as they are.
    pub fn thread_pointer() -> usize {
        0
    }

    pub fn far_table() -> &'static Table {
        thread_local! {
            static TABLE: Table = const {
                let others = Cell::new(std::ptr::null());
                Table { front: Slot::empty(), others, interpreted: Cell::new(0) }
            };
        }
        // SAFETY: it has no destructor, lives as long as the thread, and no reference leaves the
        // thread.
        TABLE.with(|table| unsafe { &*std::ptr::from_ref(table) })
    }
}
