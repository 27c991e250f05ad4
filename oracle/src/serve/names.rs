//! Version and link-layer type names.

use super::text;
use oracle::wire::{In, Out};

pub fn version(out: &mut Out) {
    // SAFETY: returns a static string.
    let version = unsafe { text(pcap_sys::pcap_lib_version()) };
    out.bytes(&version.unwrap_or_default());
}

pub fn datalink(m: &mut In, out: &mut Out) {
    let dlt = m.i32();
    // SAFETY: both take any number and return NULL or a static string.
    let answers = unsafe {
        [
            text(pcap_sys::pcap_datalink_val_to_name(dlt)),
            text(pcap_sys::pcap_datalink_val_to_description(dlt)),
        ]
    };
    for answer in answers {
        match answer {
            Some(s) => out.u8(1).bytes(&s),
            None => out.u8(0),
        };
    }
}
