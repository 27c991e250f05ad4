//! Memory shared with the kernel: the ring of a packet socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// A mapped ring; unmapped when dropped.
///
/// The kernel writes to it at any time: it is reached by raw pointers only.
#[derive(Debug)]
pub struct RingMem {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and may be used and unmapped by any thread.
unsafe impl Send for RingMem {}

impl RingMem {
    /// Maps the `len` bytes of the ring of a socket.
    ///
    /// # Errors
    /// What mmap(2) failed with.
    pub fn map(fd: BorrowedFd, len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping, at a place the kernel chooses.
        let base = unsafe { libc::mmap(null, len, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(base.cast())
            .map(|base| Self { base, len })
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    /// First byte; page-aligned.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is mapped; never so.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for RingMem {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, which nobody else unmaps.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Bytes of a page.
pub fn page_size() -> u32 {
    // SAFETY: no pointers are passed.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
