//! The C functions, used as real programs use them.

use crate::support::{TempFile, c_path, pcaps, read_file};
use std::ffi::{c_char, c_int, c_long, c_uchar, c_void};
use std::path::PathBuf;
use std::ptr;

// The library's C functions.
use pcap as _;

#[repr(C)]
struct Header {
    ts: libc::timeval,
    caplen: u32,
    len: u32,
}

enum Pcap {}
enum Dumper {}

type Callback = unsafe extern "C" fn(*mut c_uchar, *const Header, *const c_uchar);

unsafe extern "C" {
    fn pcap_open_offline(path: *const c_char, errbuf: *mut c_char) -> *mut Pcap;
    fn pcap_open_dead(dlt: c_int, snaplen: c_int) -> *mut Pcap;
    fn pcap_close(p: *mut Pcap);
    fn pcap_file(p: *mut Pcap) -> *mut libc::FILE;
    fn pcap_get_selectable_fd(p: *mut Pcap) -> c_int;
    fn pcap_next(p: *mut Pcap, header: *mut Header) -> *const c_uchar;
    fn pcap_dispatch(p: *mut Pcap, count: c_int, callback: Callback, user: *mut c_uchar) -> c_int;
    fn pcap_next_ex(p: *mut Pcap, header: *mut *mut Header, data: *mut *const c_uchar) -> c_int;
    fn pcap_dump_open(p: *mut Pcap, path: *const c_char) -> *mut Dumper;
    fn pcap_dump(user: *mut c_uchar, header: *const Header, data: *const c_uchar);
    fn pcap_dump_file(dumper: *mut Dumper) -> *mut libc::FILE;
    fn pcap_dump_ftell(dumper: *mut Dumper) -> c_long;
    fn pcap_dump_ftell64(dumper: *mut Dumper) -> i64;
    fn pcap_dump_flush(dumper: *mut Dumper) -> c_int;
    fn pcap_dump_close(dumper: *mut Dumper);
}

const EMPTY: Header = Header { ts: libc::timeval { tv_sec: 0, tv_usec: 0 }, caplen: 0, len: 0 };

fn ssh() -> PathBuf {
    pcaps().into_iter().find(|p| p.ends_with("ssh.pcap")).expect("ssh.pcap")
}

fn open(path: &std::path::Path) -> *mut Pcap {
    let mut errbuf = [0; 256];
    // SAFETY: a path and an error buffer.
    let p = unsafe { pcap_open_offline(c_path(path).as_ptr(), errbuf.as_mut_ptr()) };
    assert!(!p.is_null());
    p
}

fn header(len: u32) -> Header {
    Header { ts: libc::timeval { tv_sec: 7, tv_usec: 8 }, caplen: len, len }
}

/// daemonlogger asks the dumper for its size by `ftell`, nast flushes it by `fflush`: both take
/// the `pcap_dumper_t *` for a `FILE *`.
#[test]
fn a_dumper_is_a_file() {
    let file = TempFile::new("dumper");
    // SAFETY: open handles, a path, as much data as the header says.
    unsafe {
        let p = pcap_open_dead(1, 65_535);
        let dumper = pcap_dump_open(p, c_path(&file.0).as_ptr());
        assert!(ptr::eq(dumper.cast(), pcap_dump_file(dumper)));
        let stream: *mut libc::FILE = dumper.cast();
        assert_eq!(libc::ftell(stream), 24);
        pcap_dump(dumper.cast(), &header(5), b"12345".as_ptr());
        assert_eq!(libc::ftell(stream), 24 + 16 + 5);
        assert_eq!((pcap_dump_ftell(dumper), pcap_dump_ftell64(dumper)), (45, 45));
        assert_eq!(libc::fflush(stream), 0);
        assert_eq!(file.contents().len(), 45);
        pcap_dump(dumper.cast(), &header(3), b"abc".as_ptr());
        assert_eq!(pcap_dump_flush(dumper), 0);
        assert_eq!(file.contents().len(), 45 + 19);
        pcap_dump_close(dumper);
        pcap_close(p);
    }
    assert_eq!(read_file(&file.0, false).expect("a good file").packets.len(), 2);
}

/// nfstrace rewinds what `pcap_dump_file` returns and cuts the file, to use it as a ring.
#[test]
fn a_dumpers_file_can_be_rewound() {
    let file = TempFile::new("rewound");
    // SAFETY: open handles, a path, as much data as the header says.
    unsafe {
        let p = pcap_open_dead(1, 65_535);
        let dumper = pcap_dump_open(p, c_path(&file.0).as_ptr());
        for _ in 0..10_000 {
            pcap_dump(dumper.cast(), &header(20), [1; 20].as_ptr());
        }
        let stream = pcap_dump_file(dumper);
        libc::rewind(stream);
        assert_eq!(libc::ftruncate(libc::fileno(stream), 24), 0);
        assert_eq!(libc::fseek(stream, 24, libc::SEEK_SET), 0);
        pcap_dump(dumper.cast(), &header(2), b"ab".as_ptr());
        pcap_dump_close(dumper);
        pcap_close(p);
    }
    let contents = read_file(&file.0, false).expect("a good file");
    assert_eq!(contents.packets.len(), 1);
    assert_eq!(contents.packets[0].data, b"ab");
}

/// tcpslice reads the record header under the position by `fread`, goes back by `fseek`, and
/// lets the library read the packet; it also jumps about in the file.
#[test]
fn a_file_can_be_sought_and_read_beside_the_library() {
    let path = ssh();
    let all = read_file(&path, false).expect("a good file").packets;
    let p = open(&path);
    // SAFETY: an open handle; what it returns is read before the next call.
    unsafe {
        let mut offsets = Vec::new();
        let mut h = EMPTY;
        let stream = pcap_file(p);
        assert_eq!(libc::fileno(stream), pcap_get_selectable_fd(p));
        for expected in &all {
            let offset = libc::ftell(stream);
            offsets.push(offset);
            let mut raw = [0u32; 4];
            assert_eq!(libc::fread(raw.as_mut_ptr().cast(), 16, 1, stream), 1);
            assert_eq!((raw[0], raw[2]), (expected.sec as u32, expected.caplen));
            assert_eq!(libc::fseek(stream, offset, libc::SEEK_SET), 0);
            let data = pcap_next(p, &raw mut h);
            assert!(!data.is_null());
            assert_eq!(std::slice::from_raw_parts(data, h.caplen as usize), expected.data);
        }
        assert!(pcap_next(p, &raw mut h).is_null());
        assert!(libc::feof(stream) != 0);
        for (&offset, expected) in offsets.iter().zip(&all).rev() {
            assert_eq!(libc::fseek(stream, offset, libc::SEEK_SET), 0);
            let data = pcap_next(p, &raw mut h);
            assert_eq!(std::slice::from_raw_parts(data, h.caplen as usize), expected.data);
        }
        pcap_close(p);
    }
}

/// ettercap shows its progress from inside the callback: the packet it was given stays.
#[test]
fn a_callback_may_ask_for_the_file() {
    struct Seen {
        p: *mut Pcap,
        last: c_long,
        packets: usize,
    }
    unsafe extern "C" fn callback(user: *mut c_uchar, h: *const Header, data: *const c_uchar) {
        // SAFETY: the test hands in `Seen`; the library a header and its bytes.
        unsafe {
            let seen = &mut *user.cast::<Seen>();
            let bytes = std::slice::from_raw_parts(data, (*h).caplen as usize);
            let copy = bytes.to_vec();
            let position = libc::ftell(pcap_file(seen.p));
            assert_eq!(bytes, copy, "untouched");
            assert_eq!(position, seen.last + 16 + c_long::from((*h).caplen));
            seen.last = position;
            seen.packets += 1;
        }
    }
    let p = open(&ssh());
    let mut seen = Seen { p, last: 24, packets: 0 };
    // SAFETY: an open handle; `seen` outlives the loop.
    unsafe {
        while pcap_dispatch(p, 7, callback, (&raw mut seen).cast()) > 0 {}
        pcap_close(p);
    }
    assert_eq!(seen.packets, read_file(&ssh(), false).expect("a good file").packets.len());
}

unsafe extern "C" fn ignore(_: *mut c_uchar, _: *const Header, _: *const c_uchar) {}

/// Some programs go on asking at the end of a file, millions of times.
#[test]
fn the_end_is_for_ever() {
    let p = open(&ssh());
    let (mut h, mut data): (*mut Header, *const c_uchar) = (ptr::null_mut(), ptr::null());
    // SAFETY: an open handle, pointers to fill.
    unsafe {
        assert!(pcap_dispatch(p, -1, ignore, ptr::null_mut()) > 0);
        for _ in 0..100_000 {
            assert_eq!(pcap_dispatch(p, -1, ignore, ptr::null_mut()), 0);
            let mut copy = EMPTY;
            assert!(pcap_next(p, &raw mut copy).is_null());
            assert_eq!(pcap_next_ex(p, &raw mut h, &raw mut data), -2);
        }
        pcap_close(p);
    }
}

/// A file whose stream the program took keeps a stream's ways: what is appended can be read after
/// `clearerr`, as `tail -f` would.
#[test]
fn a_growing_file_can_be_followed_through_its_stream() {
    let bytes = std::fs::read(ssh()).expect("read");
    let file = TempFile::with("growing", &bytes);
    let count = read_file(&file.0, false).expect("a good file").packets.len();
    let p = open(&file.0);
    let mut h = EMPTY;
    // SAFETY: an open handle.
    unsafe {
        for _ in 0..count {
            assert!(!pcap_next(p, &raw mut h).is_null());
        }
        assert!(pcap_next(p, &raw mut h).is_null());
        let stream: *mut libc::FILE = pcap_file(p);
        assert!(libc::feof(stream) != 0);
        std::fs::write(&file.0, [&bytes[..], &bytes[24..]].concat()).expect("write");
        assert!(pcap_next(p, &raw mut h).is_null());
        libc::clearerr(stream);
        for _ in 0..count {
            assert!(!pcap_next(p, &raw mut h).is_null());
        }
        assert!(pcap_next(p, &raw mut h).is_null());
        pcap_close(p);
    }
}

/// Where a program forgot to look at a result.
#[test]
fn null_arguments_are_refused() {
    // SAFETY: NULL is what is tested.
    unsafe {
        assert!(pcap_file(ptr::null_mut()).is_null());
        let mut h = EMPTY;
        assert!(pcap_next(ptr::null_mut(), &raw mut h).is_null());
        pcap_dump(ptr::null_mut(), &header(1), b"x".as_ptr());
        pcap_dump_close(ptr::null_mut());
        let _: *mut c_void = pcap_dump_open(ptr::null_mut(), c"x".as_ptr()).cast();
    }
}
