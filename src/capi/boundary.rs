//! Where C meets Rust: panics, NULL and text.
//!
//! No panic leaves the library, and none prints: the process is not ours. An exported function
//! either runs under [`guard`], or (where it calls back into the program) consists of steps that
//! do, so that nothing of ours is on the stack while the program's code runs.

use crate::sys::cancel;
use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Size of the error buffers that programs hand in.
pub const PCAP_ERRBUF_SIZE: usize = 256;

/// Makes panics of this library silent; all others go to the hook that was there before.
///
/// Told by where they happened and not by a flag around each call: a flag costs on every packet.
fn silence_own_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|place| is_own(place.file())) {
                previous(info);
            }
        }));
    });
}

/// Whether a source file belongs to this crate, or to the standard library that works for it.
fn is_own(file: &str) -> bool {
    let root = file!().strip_suffix("capi/boundary.rs").unwrap_or_default();
    file.starts_with(root) || file.starts_with("/rustc/")
}

/// Runs `f`; a panic in it becomes its message. Cancellation of the thread waits.
pub fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    guard_step(|| cancel::deferred(f))
}

/// As [`guard`], for what runs often: `f` has no cancellation point, or defers
/// cancellation itself where it has.
pub fn guard_step<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    silence_own_panics();
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|payload| format!("oxpcap: internal error: {}", panic_text(&*payload)))
}

/// Runs `f`, which has no way to report a message; a panic in it becomes `fallback`.
pub fn guard_or<T>(fallback: T, f: impl FnOnce() -> T) -> T {
    guard(f).unwrap_or(fallback)
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

/// Text for C: at most 255 bytes and a NUL, cut between characters.
#[repr(C)]
#[derive(Clone)]
pub struct ErrorBuffer {
    bytes: [u8; PCAP_ERRBUF_SIZE],
}

impl ErrorBuffer {
    /// No text.
    pub const EMPTY: Self = Self { bytes: [0; PCAP_ERRBUF_SIZE] };

    /// Replaces the text.
    pub fn set(&mut self, text: &[u8]) {
        let len = cut(text, PCAP_ERRBUF_SIZE - 1);
        self.bytes[..len].copy_from_slice(&text[..len]);
        self.bytes[len] = 0;
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        let len = self.bytes.iter().position(|&b| b == 0).unwrap_or(PCAP_ERRBUF_SIZE - 1);
        &self.bytes[..len]
    }

    /// For `pcap_geterr`, whose callers may write to it.
    pub fn as_mut_ptr(&mut self) -> *mut c_char {
        self.bytes.as_mut_ptr().cast()
    }
}

/// How much of `text` fits `room` bytes: up to the first NUL, and no UTF-8 character in two.
fn cut(text: &[u8], room: usize) -> usize {
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    if end <= room {
        return end;
    }
    let is_continuation = |&b: &u8| b & 0xc0 == 0x80;
    match (room.saturating_sub(3)..=room).rev().find(|&at| !is_continuation(&text[at])) {
        Some(boundary) => boundary,
        None => room,
    }
}

/// Copies `text` to an error buffer of the caller's, if there is one.
///
/// # Safety
/// `errbuf` is NULL or points to `PCAP_ERRBUF_SIZE` writable bytes.
pub unsafe fn set_errbuf(errbuf: *mut c_char, text: &[u8]) {
    if errbuf.is_null() {
        return;
    }
    let len = cut(text, PCAP_ERRBUF_SIZE - 1);
    // SAFETY: `len` is below the size that the caller vouches for; `text` is ours, so they do
    // not overlap.
    unsafe {
        errbuf.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), len);
        errbuf.add(len).write(0);
    }
}

/// A C string as bytes; `None` for NULL.
///
/// # Safety
/// `s` is NULL or a NUL-terminated string that stays as it is for `'a`.
pub unsafe fn c_bytes<'a>(s: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not NULL, and terminated, says the caller.
    (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_text_and_stays_silent() {
        assert_eq!(
            guard(|| -> i32 { panic!("no {}", "luck") }),
            Err("oxpcap: internal error: no luck".into())
        );
        assert_eq!(guard_or(-1, || -> i32 { panic!("static") }), -1);
        assert!(is_own(file!()) && !is_own("tests/x.rs"));
    }

    #[test]
    fn text_is_cut_between_characters() {
        let mut buffer = ErrorBuffer::EMPTY;
        buffer.set("é".repeat(200).as_bytes());
        assert_eq!(buffer.text(), "é".repeat(127).as_bytes());
        buffer.set(&[b'x'; 300]);
        assert_eq!(buffer.text(), [b'x'; 255]);
        buffer.set(&[0xbf; 300]);
        assert_eq!(buffer.text().len(), 255);
        buffer.set(b"ab\0cd");
        assert_eq!(buffer.text(), b"ab");
    }
}
