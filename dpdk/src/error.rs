//! Failures and their way into the plug-in ABI.

use oxpcap_plugin::{ERROR_TEXT, ErrorText};
use std::ffi::{CStr, c_int};

/// `PCAP_ERROR`.
pub const PCAP_ERROR: c_int = -1;
/// `PCAP_ERROR_NO_SUCH_DEVICE`.
pub const PCAP_ERROR_NO_SUCH_DEVICE: c_int = -5;
/// `PCAP_ERROR_PERM_DENIED`.
pub const PCAP_ERROR_PERM_DENIED: c_int = -8;
/// `PCAP_WARNING`.
pub const PCAP_WARNING: c_int = 1;
/// `PCAP_WARNING_PROMISC_NOTSUP`.
pub const PCAP_WARNING_PROMISC_NOTSUP: c_int = 2;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `PCAP_ERROR_*`.
    pub status: c_int,
    /// For people.
    pub text: String,
}

impl Failure {
    /// A failure without a status of its own.
    pub fn new(text: impl Into<String>) -> Self {
        Self { status: PCAP_ERROR, text: text.into() }
    }

    /// No such device.
    pub fn no_device(text: impl Into<String>) -> Self {
        Self { status: PCAP_ERROR_NO_SUCH_DEVICE, text: text.into() }
    }

    /// `what` failed with a negative errno; `log` is what DPDK said about it.
    pub fn errno(what: &str, rc: c_int, log: &str) -> Self {
        let status = match -rc {
            libc::ENODEV => PCAP_ERROR_NO_SUCH_DEVICE,
            libc::EPERM | libc::EACCES => PCAP_ERROR_PERM_DENIED,
            _ => PCAP_ERROR,
        };
        let said = telling_line(log).map(|line| format!(" ({line})")).unwrap_or_default();
        Self { status, text: format!("{what}: {}{said}", strerror(-rc)) }
    }

    /// Writes the text where the caller wants it.
    pub fn put(&self, error: *mut ErrorText) -> c_int {
        put_text(&self.text, error);
        self.status
    }
}

/// The line of DPDK's log that tells most: the last but for what its layers above say, that
/// something below failed.
fn telling_line(log: &str) -> Option<&str> {
    let mut lines = log.lines().map(str::trim).filter(|line| line.contains(": "));
    let general = [
        "Failed to attach device",
        "Driver cannot attach",
        "failed to initialize",
        "TAP Unable to initialize",
        "Unable to create TAP interface",
    ];
    let tells = |line: &&str| !general.iter().any(|text| line.contains(text));
    lines.clone().rfind(tells).or_else(|| lines.next_back())
}

fn strerror(error: c_int) -> String {
    // SAFETY: gives a string that is valid at least until the next call on this thread.
    unsafe { CStr::from_ptr(crate::ffi::ox_strerror(error)) }.to_string_lossy().into_owned()
}

/// Writes `text`, cut to fit, where the caller wants it.
pub fn put_text(text: &str, error: *mut ErrorText) {
    // SAFETY: the ABI gives null or a writable structure.
    let Some(error) = (unsafe { error.as_mut() }) else { return };
    let mut end = text.len().min(ERROR_TEXT - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in error.text.iter_mut().zip(text[..end].bytes().chain([0])) {
        *to = from as libc::c_char;
    }
}
