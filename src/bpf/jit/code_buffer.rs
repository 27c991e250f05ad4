//! Memory that code runs in: written first, then protected, never writable and executable at once.

use std::io;
use std::ptr::NonNull;

/// Pages of executable, read-only memory.
#[derive(Debug)]
pub(super) struct CodeBuffer {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages are never written after construction and have one owner.
unsafe impl Send for CodeBuffer {}
// SAFETY: as above.
unsafe impl Sync for CodeBuffer {}

impl CodeBuffer {
    /// Puts code into executable memory.
    ///
    /// # Errors
    /// `ENOMEM`, or what the system says when it does not allow executable memory.
    pub(super) fn new(code: &[u8]) -> io::Result<Self> {
        let buffer = Self::writable(code.len())?;
        // SAFETY: the mapping is new, writable and at least as long as `code`.
        unsafe { buffer.start.copy_from_nonoverlapping(NonNull::from(code).cast(), code.len()) };
        // SAFETY: the whole mapping, which nobody else knows yet.
        let status = unsafe {
            libc::mprotect(
                buffer.start.as_ptr().cast(),
                buffer.len,
                libc::PROT_READ | libc::PROT_EXEC,
            )
        };
        if status == 0 { Ok(buffer) } else { Err(io::Error::last_os_error()) }
    }

    fn writable(len: usize) -> io::Result<Self> {
        let len = len.max(1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping touches no memory of others.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, len })
    }

    /// The first byte of code.
    #[inline]
    pub(super) fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }
}

impl Drop for CodeBuffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no code of it runs: running borrows the buffer.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
