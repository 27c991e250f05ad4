//! Memory that C programs free: it comes from `malloc`.

use crate::error::{Error, status};
use std::ffi::{c_char, c_int};

/// A copy of `items` from `malloc`, never of size 0; NULL when there is no memory.
pub(super) fn copy_slice<T: Copy>(items: &[T]) -> *mut T {
    // SAFETY: malloc has no preconditions; the copy is as large as what was allocated.
    unsafe {
        let memory: *mut T = libc::malloc(size_of_val(items).max(1)).cast();
        if !memory.is_null() {
            memory.copy_from_nonoverlapping(items.as_ptr(), items.len());
        }
        memory
    }
}

/// A C string from `malloc`, up to the first NUL of `text`; NULL when there is no memory.
pub(super) fn copy_string(text: &[u8]) -> *mut c_char {
    let text = text.split(|&b| b == 0).next().unwrap_or_default();
    // SAFETY: one byte more than the text was allocated, for the NUL.
    unsafe {
        let memory: *mut u8 = libc::malloc(text.len() + 1).cast();
        if !memory.is_null() {
            memory.copy_from_nonoverlapping(text.as_ptr(), text.len());
            memory.add(text.len()).write(0);
        }
        memory.cast()
    }
}

/// Hands a list over to C: its length, and the list through `out`.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn give_list(list: &[c_int], out: *mut *mut c_int) -> Result<c_int, Error> {
    if out.is_null() {
        return Err(Error::Null("list"));
    }
    let memory = copy_slice(list);
    // SAFETY: not NULL, so writable.
    unsafe { *out = memory };
    if memory.is_null() {
        return Err(Error::OutOfMemory);
    }
    Ok(c_int::try_from(list.len()).unwrap_or(status::ERROR))
}
