//! Asking for memory before it is needed.

/// Asks for the cache line at `address`, to be read and written. The address need not be valid.
#[inline(always)]
pub fn prefetch(address: *mut u8) {
    // Where the processor does not know the instruction it does nothing.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it does nothing but fetch, and never faults.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
