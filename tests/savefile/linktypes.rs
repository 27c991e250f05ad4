//! Names, descriptions and `LINKTYPE_` values of all link-layer types.

use crate::support::{TempFile, read_file};
use oracle::Oracle;
use pcap::linktype::Dlt;
use std::ops::RangeInclusive;

fn text(s: Option<&std::ffi::CStr>) -> Option<String> {
    s.map(|s| s.to_str().expect("ASCII").to_owned())
}

/// Types that are later than 1.10.3.
const NEWLY_NAMED: RangeInclusive<i32> = 290..=301;

#[test]
fn names_and_descriptions_are_libpcaps() {
    let mut oracle = Oracle::start();
    let mut named = 0;
    for value in (-5..=1000).chain([i32::MIN, i32::MAX, 0x0224_0002]) {
        let dlt = Dlt(value);
        let ours = (text(dlt.name()), text(dlt.description()));
        if NEWLY_NAMED.contains(&value) {
            assert_eq!(oracle.datalink(value), (None, None), "{value}");
            assert_eq!(ours.0.as_deref(), dlt.symbol(), "{value}");
            assert!(ours.1.is_some(), "{value}");
        } else {
            assert_eq!(ours, oracle.datalink(value), "{value}");
        }
        if let Some(name) = &ours.0 {
            named += 1;
            assert_eq!(Dlt::from_name(name.to_lowercase().as_bytes()), Some(dlt));
        }
    }
    assert!(named > 150, "only {named} names");
    assert_eq!(Dlt::from_name(b"DLT_EN10MB"), None);
    assert_eq!(Dlt::from_name(b""), None);
}

/// A file without packets.
fn header(linktype: u32, snaplen: u32) -> Vec<u8> {
    let words = [0xa1b2_c3d4, 0x0004_0002, 0, 0, snaplen, linktype];
    words.iter().flat_map(|w: &u32| w.to_le_bytes()).collect()
}

#[test]
fn linktypes_of_files_become_the_same_dlts_and_snaplens() {
    let mut oracle = Oracle::start();
    let extended = [0x0400_0001, 0x3400_0001, 0xfc00_0001, 0x8000_0071];
    for linktype in (0..=400).chain([65_535]).chain(extended) {
        for snaplen in [0, 100, u32::MAX] {
            let file = TempFile::with("linktype", &header(linktype, snaplen));
            let ours = read_file(&file.0, false).expect("a good header");
            let theirs = oracle.read_file(&file.0, false).expect("a good header");
            assert_eq!(ours, theirs, "{linktype:#x}");
        }
    }
}

#[test]
fn reserved_bits_of_the_linktype_are_refused() {
    let file = TempFile::with("reserved", &header(0x0224_0001, 0));
    let error = read_file(&file.0, false).expect_err("reserved bits");
    assert_eq!(error, "savefile linktype reserved bits not zero (0x02240000)");
}

/// dumpcap and tcpdump write what `to_linktype` gives; what comes back is the same type.
#[test]
fn mapping_is_reversible() {
    let mut supported = 0;
    for value in -5..=400 {
        let dlt = Dlt(value);
        if let Some(linktype) = dlt.to_linktype() {
            supported += 1;
            // 106 can be written and is read as what Linux uses, DLT_ATM_CLIP.
            let back = if value == 106 { Dlt::ATM_CLIP } else { dlt };
            assert_eq!(Dlt::from_linktype(linktype), back);
        }
    }
    assert_eq!(supported, 217);
}
