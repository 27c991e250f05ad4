//! C's standard streams. Programs hand in a `FILE *`, get one from `pcap_file` and
//! `pcap_dump_file`, and use a `pcap_dumper_t *` as one, so some of our I/O goes through them.

use super::cancel;
use super::os_error::OsError;
use super::threads;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

unsafe extern "C" {
    // Not in the `libc` crate.
    static stdin: *mut libc::FILE;
    static stdout: *mut libc::FILE;
    fn flockfile(stream: *mut libc::FILE);
    fn funlockfile(stream: *mut libc::FILE);
    fn fwrite_unlocked(
        data: *const c_void,
        size: usize,
        count: usize,
        stream: *mut libc::FILE,
    ) -> usize;
    fn ferror_unlocked(stream: *mut libc::FILE) -> c_int;
    // stdio_ext.h
    fn __fbufsize(stream: *mut libc::FILE) -> usize;
    fn __fpending(stream: *mut libc::FILE) -> usize;
    fn __flbf(stream: *mut libc::FILE) -> c_int;
}

/// An open `FILE *`. A copy of the pointer: it closes nothing when dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(NonNull<libc::FILE>);

/// Buffers given to streams, by the stream's address. The stream belongs to the program as soon
/// as it has a `pcap_dumper_t *`, so nothing else of ours could own its buffer. An entry left
/// over from a stream that the program closed itself is replaced when the address comes again.
static BUFFERS: Mutex<BTreeMap<usize, Box<[u8]>>> = Mutex::new(BTreeMap::new());

fn buffers() -> MutexGuard<'static, BTreeMap<usize, Box<[u8]>>> {
    // A panic cannot leave the map half changed.
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

// Every method relies on the contract of `from_raw`: the stream is open.
impl Stream {
    /// Wraps a program's stream.
    ///
    /// # Safety
    /// `file` is NULL or an open stream that stays open while a copy of the result is used.
    pub unsafe fn from_raw(file: *mut libc::FILE) -> Option<Self> {
        NonNull::new(file).map(Self)
    }

    /// The `FILE *`.
    pub fn as_ptr(self) -> *mut libc::FILE {
        self.0.as_ptr()
    }

    /// The program's standard input; `None` when it has none.
    pub fn stdin() -> Option<Self> {
        // SAFETY: libc sets it before main; the stream is open unless the program closed it,
        // which it must not do before it hands it to us.
        unsafe { Self::from_raw(stdin) }
    }

    /// The program's standard output; `None` when it has none.
    pub fn stdout() -> Option<Self> {
        // SAFETY: as for `stdin`.
        unsafe { Self::from_raw(stdout) }
    }

    /// `fopen`.
    pub fn open(path: &CStr, mode: &CStr) -> Result<Self, OsError> {
        // SAFETY: two C strings.
        let file = unsafe { libc::fopen(path.as_ptr(), mode.as_ptr()) };
        NonNull::new(file).map(Self).ok_or_else(OsError::last)
    }

    /// `fdopen` for reading. The stream uses the file's own descriptor and closes it in the end,
    /// so the caller forgets the file.
    pub fn on_descriptor_of(file: &File) -> Result<Self, OsError> {
        // SAFETY: an open descriptor and a C string.
        let stream = unsafe { libc::fdopen(file.as_raw_fd(), c"rb".as_ptr()) };
        NonNull::new(stream).map(Self).ok_or_else(OsError::last)
    }

    /// Gives a stream on which nothing was read or written yet a buffer of `size` bytes, where
    /// it is a regular file: on a terminal or a pipe someone may be waiting for the bytes.
    pub fn buffer_regular_file(self, size: usize) {
        // SAFETY: by the contract; -1 (a stream without a descriptor) is no regular file.
        let fd = unsafe { libc::fileno(self.as_ptr()) };
        if fd < 0 {
            return;
        }
        // SAFETY: the stream's descriptor is open; `into_raw_fd` below leaves it so.
        let file = unsafe { File::from_raw_fd(fd) };
        let regular = file.metadata().is_ok_and(|m| m.is_file());
        let _ = file.into_raw_fd();
        if !regular {
            return;
        }
        let mut buffer = vec![0; size].into_boxed_slice();
        // SAFETY: nothing was read or written; the buffer lives in the map until `close`.
        let status =
            unsafe { libc::setvbuf(self.as_ptr(), buffer.as_mut_ptr().cast(), libc::_IOFBF, size) };
        if status == 0 {
            buffers().insert(self.as_ptr() as usize, buffer);
        }
    }

    /// `fclose`, and the end of the buffer.
    pub fn close(self) -> Result<(), OsError> {
        // Out of the map first: once closed, another thread's stream may get the address.
        let buffer = buffers().remove(&(self.as_ptr() as usize));
        // SAFETY: by the contract; the caller uses no copy of the stream after this.
        let status = unsafe { libc::fclose(self.as_ptr()) };
        let result = if status == 0 { Ok(()) } else { Err(OsError::last()) };
        drop(buffer);
        result
    }

    /// `fread`: the bytes read, fewer than asked for at the end and on an error.
    pub fn read(self, into: &mut [u8]) -> usize {
        // SAFETY: by the contract; the slice has room for its length.
        let read =
            || unsafe { libc::fread(into.as_mut_ptr().cast(), 1, into.len(), self.as_ptr()) };
        cancel::deferred(read)
    }

    /// `ferror`.
    pub fn failed(self) -> bool {
        // SAFETY: by the contract.
        unsafe { libc::ferror(self.as_ptr()) != 0 }
    }

    /// Writes the parts as one record that no other thread's record gets into; nothing when the
    /// stream already failed, and no further part after one that failed. Cancellation of the
    /// thread waits.
    #[inline]
    pub fn write_record(self, parts: &[&[u8]]) {
        let alone = threads::is_alone();
        // SAFETY: by the contract; the lock is given back, for nothing in between panics.
        unsafe {
            if !alone {
                flockfile(self.as_ptr());
            }
            if ferror_unlocked(self.as_ptr()) == 0 {
                if self.only_copies(parts.iter().map(|part| part.len()).sum()) {
                    self.put(parts);
                } else {
                    cancel::deferred(|| self.put(parts));
                }
            }
            if !alone {
                funlockfile(self.as_ptr());
            }
        }
    }

    /// Whether so many bytes fit the buffer, so that nothing is written yet (and the thread
    /// cannot be cancelled there).
    ///
    /// # Safety
    /// No other thread uses the stream.
    unsafe fn only_copies(self, len: usize) -> bool {
        let file = self.as_ptr();
        // SAFETY: by the contract.
        unsafe { __fpending(file).saturating_add(len) < __fbufsize(file) && __flbf(file) == 0 }
    }

    /// # Safety
    /// No other thread uses the stream.
    unsafe fn put(self, parts: &[&[u8]]) {
        for part in parts {
            let (data, len) = (part.as_ptr().cast(), part.len());
            // SAFETY: by the contract; the slice has its length of bytes.
            if unsafe { fwrite_unlocked(data, 1, len, self.as_ptr()) } != len {
                break;
            }
        }
    }

    /// `fwrite`; an error when not all was written.
    pub fn write(self, data: &[u8]) -> Result<(), OsError> {
        // SAFETY: by the contract; the slice has its length of bytes.
        let n = unsafe { libc::fwrite(data.as_ptr().cast(), 1, data.len(), self.as_ptr()) };
        if n == data.len() { Ok(()) } else { Err(OsError::last()) }
    }

    /// `fseeko` from the start of the file.
    pub fn seek(self, offset: u64) -> Result<(), OsError> {
        let offset = libc::off_t::try_from(offset).map_err(|_| OsError(libc::EOVERFLOW))?;
        // SAFETY: by the contract.
        let status = unsafe { libc::fseeko(self.as_ptr(), offset, libc::SEEK_SET) };
        if status == 0 { Ok(()) } else { Err(OsError::last()) }
    }

    /// `fseeko` to the end of the file.
    pub fn seek_to_end(self) -> Result<(), OsError> {
        // SAFETY: by the contract.
        let status = unsafe { libc::fseeko(self.as_ptr(), 0, libc::SEEK_END) };
        if status == 0 { Ok(()) } else { Err(OsError::last()) }
    }

    /// `ftello`; negative on an error, with `errno` set.
    pub fn tell(self) -> i64 {
        // SAFETY: by the contract.
        unsafe { libc::ftello(self.as_ptr()) }
    }

    /// `fflush`.
    pub fn flush(self) -> Result<(), OsError> {
        // SAFETY: by the contract.
        if unsafe { libc::fflush(self.as_ptr()) } == 0 { Ok(()) } else { Err(OsError::last()) }
    }

    /// Sets the stream's end-of-file mark if it stands at the end of the file.
    pub fn note_end(self) {
        // SAFETY: by the contract; a byte that was there after all is put back.
        unsafe {
            let byte = libc::fgetc(self.as_ptr());
            if byte != libc::EOF {
                libc::ungetc(byte, self.as_ptr());
            }
        }
    }

    /// `fileno`; -1 where the stream has no descriptor.
    pub fn fileno(self) -> c_int {
        // SAFETY: by the contract.
        unsafe { libc::fileno(self.as_ptr()) }
    }
}

/// A stream that is closed when dropped, unless it is the standard input.
#[derive(Debug)]
pub struct OwnedStream(Stream);

impl OwnedStream {
    /// Takes the stream over.
    pub fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// The stream, to be used no longer than `self` lives.
    pub fn get(&self) -> Stream {
        self.0
    }

    /// Gives the stream back open.
    pub fn release(self) -> Stream {
        let stream = self.0;
        std::mem::forget(self);
        stream
    }
}

impl Drop for OwnedStream {
    fn drop(&mut self) {
        if Some(self.0) != Stream::stdin() {
            let _ = self.0.close();
        }
    }
}
