//! Streams that programs hand in: cookies, memory, pipes; and no byte read too many from them.

use crate::support::{TempFile, c_path, open_stream, pcaps, read_all, read_file};
use pcap::linktype::Dlt;
use pcap::packet::PacketHeader;
use pcap::savefile::Reader;
use pcap::savefile::dump::{self, DumpHeader};
use pcap::sys::stdio::Stream;
use pcap::timestamp::Precision;
use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::ptr;

type Read = unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> isize;
type Write = unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> isize;

#[repr(C)]
struct CookieFunctions {
    read: Option<Read>,
    write: Option<Write>,
    seek: *const c_void,
    close: *const c_void,
}

unsafe extern "C" {
    fn fopencookie(
        cookie: *mut c_void,
        mode: *const c_char,
        functions: CookieFunctions,
    ) -> *mut libc::FILE;
}

fn cookie(data: *mut c_void, mode: &CStr, read: Option<Read>, write: Option<Write>) -> Stream {
    let functions = CookieFunctions { read, write, seek: ptr::null(), close: ptr::null() };
    // SAFETY: the tests keep `data` until the stream is closed.
    unsafe { Stream::from_raw(fopencookie(data, mode.as_ptr(), functions)) }.expect("a stream")
}

/// Collects what is written.
unsafe extern "C" fn collect(cookie: *mut c_void, data: *const c_char, len: usize) -> isize {
    // SAFETY: the cookie is a vector; stdio gives `len` bytes.
    unsafe {
        (*cookie.cast::<Vec<u8>>()).extend(std::slice::from_raw_parts(data.cast::<u8>(), len));
    }
    len as isize
}

/// Gives three bytes at a time.
unsafe extern "C" fn trickle(cookie: *mut c_void, into: *mut c_char, len: usize) -> isize {
    // SAFETY: the cookie is the rest of a slice; stdio has room for `len` bytes.
    unsafe {
        let rest = &mut *cookie.cast::<&[u8]>();
        let n = rest.len().min(len).min(3);
        ptr::copy_nonoverlapping(rest.as_ptr(), into.cast(), n);
        *rest = &rest[n..];
        n as isize
    }
}

unsafe extern "C" fn fail(_: *mut c_void, _: *mut c_char, _: usize) -> isize {
    // SAFETY: this thread's.
    unsafe { *libc::__errno_location() = libc::EIO };
    -1
}

const ETHERNET: DumpHeader = DumpHeader {
    linktype: Dlt::EN10MB,
    linktype_ext: 0,
    snaplen: 65_535,
    precision: Precision::Micro,
};

fn put_some(stream: Stream) {
    for n in 0..100u32 {
        let data = vec![n as u8; n as usize];
        let header = PacketHeader { caplen: n, len: n, ..PacketHeader::default() };
        dump::write_record(stream, &header, &data);
    }
}

fn expected() -> Vec<u8> {
    let file = TempFile::new("expected");
    let stream = dump::open(&ETHERNET, &c_path(&file.0)).expect("opened");
    put_some(stream);
    dump::close(stream);
    file.contents()
}

#[test]
fn cookie_and_memory_streams_can_be_written() {
    let expected = expected();
    let mut collected: Vec<u8> = Vec::new();
    for unbuffered in [false, true] {
        collected.clear();
        let stream = cookie((&raw mut collected).cast(), c"w", None, Some(collect));
        if unbuffered {
            // SAFETY: an open stream.
            unsafe { libc::setvbuf(stream.as_ptr(), ptr::null_mut(), libc::_IONBF, 0) };
        }
        assert_eq!(dump::fopen(&ETHERNET, stream), Ok(stream), "the stream itself");
        put_some(stream);
        dump::close(stream);
        assert!(collected == expected, "unbuffered: {unbuffered}");
    }
    let (mut at, mut size) = (ptr::null_mut(), 0);
    // SAFETY: two variables that outlive the stream.
    let stream = unsafe { Stream::from_raw(libc::open_memstream(&raw mut at, &raw mut size)) };
    let stream = stream.expect("a stream");
    dump::fopen(&ETHERNET, stream).expect("opened");
    put_some(stream);
    dump::close(stream);
    // SAFETY: open_memstream left `size` bytes there.
    unsafe {
        assert!(std::slice::from_raw_parts(at.cast::<u8>(), size) == expected);
        libc::free(at.cast());
    }
}

/// Streams without descriptors: three bytes at a time, and memory.
#[test]
fn cookie_and_memory_streams_can_be_read() {
    for path in pcaps().iter().step_by(9) {
        let mut bytes = std::fs::read(path).expect("read");
        let by_path = read_file(path, false);
        let mut rest = bytes.as_slice();
        let trickling = cookie((&raw mut rest).cast(), c"r", Some(trickle), None);
        // SAFETY: the vector outlives the stream.
        let memory = unsafe {
            let file = libc::fmemopen(bytes.as_mut_ptr().cast(), bytes.len(), c"r".as_ptr());
            Stream::from_raw(file).expect("a stream")
        };
        for stream in [trickling, memory] {
            match Reader::from_stream(stream, 0) {
                Ok(mut reader) => assert_eq!(Ok(read_all(&mut reader)), by_path),
                Err(e) => {
                    assert_eq!(Err(e.to_string()), by_path);
                    stream.close().expect("still open");
                }
            }
        }
    }
}

#[test]
fn a_stream_that_fails_says_why() {
    let stream = cookie(ptr::null_mut(), c"r", Some(fail), None);
    let error = Reader::from_stream(stream, 0).expect_err("an error");
    assert_eq!(error.to_string(), "error reading dump file: Input/output error");
    stream.close().expect("still open");
}

/// The stream stands behind the last packet returned, byte for byte: what follows is the
/// program's (two captures in one file, say).
#[test]
fn no_byte_more_than_needed_is_taken_from_a_stream() {
    let path: PathBuf = pcaps().into_iter().find(|p| p.ends_with("ssh.pcap")).expect("ssh.pcap");
    let stream = open_stream(&path, c"rb");
    let mut reader = Reader::from_stream(stream, 0).expect("a good file");
    let mut offset = 24;
    assert_eq!(stream.tell(), offset);
    while let Some(packet) = reader.next_packet().expect("no error") {
        offset += 16 + i64::from(packet.header.caplen);
        assert_eq!(stream.tell(), offset);
    }
}

/// A program seeks in the file it reads: the next packet is the one there.
#[test]
fn seeking_on_the_stream_of_a_path_moves_the_reader() {
    let path = pcaps().into_iter().find(|p| p.ends_with("ssh.pcap")).expect("ssh.pcap");
    let all = read_file(&path, false).expect("a good file");
    let mut reader = Reader::open_path(&c_path(&path), 0).expect("a good file");
    for _ in 0..5 {
        reader.next_packet().expect("no error").expect("a packet");
    }
    let stream = reader.stream().expect("a stream");
    let position = stream.tell();
    let sixth = reader.next_packet().expect("no error").expect("a packet").header;
    stream.seek(position as u64).expect("sought");
    assert_eq!(reader.next_packet().expect("no error").expect("a packet").header, sixth);
    stream.seek(24).expect("sought");
    assert_eq!(read_all(&mut reader), all);
    // At the end, too: seeking clears it.
    assert!(reader.next_packet().expect("no error").is_none());
    stream.seek(24).expect("sought");
    assert_eq!(read_all(&mut reader), all);
}

/// A named pipe by its path, fed in pieces that end inside packets.
#[test]
fn pipes_can_be_read() {
    let path = pcaps().into_iter().find(|p| p.ends_with("ssh.pcap")).expect("ssh.pcap");
    let fifo = TempFile::new("fifo");
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(c_path(&fifo.0).as_ptr(), 0o600) }, 0);
    let bytes = std::fs::read(&path).expect("read");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let mut out = std::fs::File::create(&fifo.0).expect("open the pipe");
            for piece in bytes.chunks(777) {
                out.write_all(piece).expect("write");
            }
        });
        let mut reader = Reader::open_path(&c_path(&fifo.0), 0).expect("a good file");
        assert!(reader.stream().is_ok());
        assert_eq!(Ok(read_all(&mut reader)), read_file(&path, false));
    });
}
