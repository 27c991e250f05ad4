//! pcap_init(3PCAP).

use super::devices::report;
use crate::error::Error;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::atomic::{AtomicU8, Ordering};

/// `PCAP_CHAR_ENC_LOCAL`.
const LOCAL: c_uint = 0;
/// `PCAP_CHAR_ENC_UTF_8`.
const UTF_8: c_uint = 1;

/// 0 before the first `pcap_init`, afterwards 1 + the encoding that was asked for.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// `pcap_init`: says in which encoding strings are; texts of this library are ASCII, and file and
/// device names are passed on as they are, so both are the same to it.
///
/// # Safety
/// `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_init(opts: c_uint, errbuf: *mut c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, || choose(opts)) }
}

fn choose(encoding: c_uint) -> Result<(), Error> {
    let wanted = match encoding {
        LOCAL => 1,
        UTF_8 => 2,
        _ => return Err(Error::UnknownInitOptions),
    };
    match CHOSEN.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed) {
        Err(before) if before != wanted => Err(Error::MixedEncodings),
        _ => Ok(()),
    }
}

/// Whether the program knows `pcap_init`, and so must not use `pcap_lookupdev`.
pub(super) fn is_new_api() -> bool {
    CHOSEN.load(Ordering::Relaxed) != 0
}
