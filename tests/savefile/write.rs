//! Writing: the same bytes and the same refusals as libpcap's.

use crate::support::{TempFile, c_path, open_stream, owned, pcaps, read_file};
use oracle::{FilePacket, Oracle, WriteOptions};
use pcap::linktype::Dlt;
use pcap::packet::PacketHeader;
use pcap::savefile::dump::{self, DumpHeader};
use pcap::savefile::{DumpError, Reader};
use pcap::sys::stdio::Stream;
use pcap::timestamp::{Precision, Timestamp};
use std::path::Path;

fn header(options: &WriteOptions) -> DumpHeader {
    DumpHeader {
        linktype: Dlt(options.dlt),
        linktype_ext: 0,
        snaplen: options.snaplen,
        precision: if options.nano { Precision::Nano } else { Precision::Micro },
    }
}

fn put(stream: Stream, packets: &[FilePacket]) {
    for p in packets {
        let ts = Timestamp { sec: p.sec, frac: p.frac };
        let header = PacketHeader { ts, caplen: p.caplen, len: p.len };
        dump::write_record(stream, &header, &p.data);
    }
}

fn write(path: &Path, options: &WriteOptions, packets: &[FilePacket]) -> Result<(), String> {
    let open = if options.append { dump::append } else { dump::open };
    let stream = open(&header(options), &c_path(path)).map_err(|e| e.to_string())?;
    put(stream, packets);
    dump::close(stream);
    Ok(())
}

fn packet(sec: i64, frac: i64, len: u32, data: &[u8]) -> FilePacket {
    FilePacket { sec, frac, caplen: data.len() as u32, len, data: data.to_vec() }
}

fn some_packets() -> Vec<FilePacket> {
    let long: Vec<u8> = (0..70_000).map(|i| i as u8).collect();
    vec![
        packet(1, 2, 60, b"a short packet"),
        packet(-1, i64::MAX, 0, b""),
        packet(0xffff_ffff, 999_999_999, u32::MAX, &long[..300]),
        packet(i64::MIN, -5, 70_000, &long),
        packet(3, 4, 1, b"x"),
    ]
}

const ETHERNET: WriteOptions = WriteOptions { dlt: 1, snaplen: 65_535, nano: false, append: false };

#[test]
fn files_are_the_same_byte_for_byte() {
    let mut oracle = Oracle::start();
    let packets = some_packets();
    for dlt in [0, 1, 12, 113, 276, 289] {
        for (snaplen, nano) in [(0, false), (-1, true), (262_144, false), (96, true)] {
            let options = WriteOptions { dlt, snaplen, nano, append: false };
            let (ours, theirs) = (TempFile::new("ours"), TempFile::new("theirs"));
            write(&ours.0, &options, &packets).expect("written");
            oracle.write_file(&theirs.0, &options, &packets).expect("written");
            assert!(ours.contents() == theirs.contents(), "{options:?}");
        }
    }
}

#[test]
fn every_file_that_was_read_can_be_written_and_read_again() {
    for path in pcaps() {
        let Ok(contents) = read_file(&path, true) else { continue };
        let options = WriteOptions {
            dlt: contents.dlt,
            snaplen: contents.snaplen,
            nano: true,
            append: false,
        };
        let copy = TempFile::new("copy");
        write(&copy.0, &options, &contents.packets).expect("written");
        let again = read_file(&copy.0, true).expect("a good file");
        for (a, b) in contents.packets.iter().zip(&again.packets) {
            // 32 bits are all that the format has.
            assert_eq!((a.sec as u32, a.frac, a.len), (b.sec as u32, b.frac, b.len));
            assert!(contents.swapped || a.data == b.data);
        }
        assert_eq!(contents.packets.len(), again.packets.len(), "{}", path.display());
    }
}

/// Opens a new file, then one that has the start of `before` in it, both for appending.
fn check_append(oracle: &mut Oracle, before: &[u8], options: &WriteOptions) -> Option<String> {
    let file = TempFile::new("append");
    let packets = some_packets();
    let mut results = Vec::new();
    for ours in [true, false] {
        std::fs::write(&file.0, before).expect("write");
        let result = if ours {
            write(&file.0, options, &packets)
        } else {
            oracle.write_file(&file.0, options, &packets)
        };
        results.push((result, file.contents()));
    }
    assert!(results[0] == results[1], "{options:?} {:?} {:?}", results[0].0, results[1].0);
    results.remove(0).0.err()
}

#[test]
fn append_takes_and_refuses_what_libpcap_does() {
    let mut oracle = Oracle::start();
    let options = WriteOptions { append: true, ..ETHERNET };
    let nano = WriteOptions { nano: true, ..options };
    let mut refused = Vec::new();
    let magics = [0xa1b2_c3d4u32, 0xa1b2_3c4d, 0xa1b2_cd34, 0xa12b_3c4d, 0x0a0d_0d0a, 0xa1b2_34cd];
    for magic in magics.into_iter().flat_map(|m| [m, m.swap_bytes()]) {
        for (version, linktype, snaplen) in [
            (0x0004_0002, 1, 65_535),
            (0x0003_0002, 1, 65_535),
            (0x0004_0002, 2, 0),
            (0x0004_0002, 1, 7),
        ] {
            let words = [magic, version, 0, 0, snaplen, linktype];
            let before: Vec<u8> = words.iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
            for options in [&options, &nano] {
                refused.extend(check_append(&mut oracle, &before, options));
            }
            for short in [0, 1, 4, 23] {
                refused.extend(check_append(&mut oracle, &before[..short], &options));
            }
        }
    }
    refused.sort();
    refused.dedup();
    assert_eq!(refused.len(), 8, "{refused:#?}");
}

#[test]
fn what_cannot_be_opened_is_refused_in_libpcaps_words() {
    let mut oracle = Oracle::start();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for path in ["/nonexistent/file", "/"].map(Path::new).into_iter().chain([dir]) {
        for append in [false, true] {
            let options = WriteOptions { append, ..ETHERNET };
            let theirs = oracle.write_file(path, &options, &[]);
            assert!(theirs.is_err(), "{}", path.display());
            assert_eq!(write(path, &options, &[]), theirs, "{}", path.display());
        }
    }
    let file = TempFile::new("unsupported");
    for dlt in [-1, 13, 17, 302, 0x0224_0002] {
        let options = WriteOptions { dlt, ..ETHERNET };
        let theirs = oracle.write_file(&file.0, &options, &[]);
        assert!(theirs.is_err(), "{dlt}");
        assert_eq!(write(&file.0, &options, &[]), theirs, "{dlt}");
    }
}

/// The FCS bits of a file go into its copy.
#[test]
fn linktype_extension_is_written() {
    let file = TempFile::new("extension");
    let header = DumpHeader { linktype_ext: 0x3400_0000, ..header(&ETHERNET) };
    dump::close(dump::open(&header, &c_path(&file.0)).expect("opened"));
    assert_eq!(read_file(&file.0, false).expect("a good file").dlt_ext, 0x3400_0000);
}

#[test]
fn positions_and_flushing_are_the_streams() {
    let file = TempFile::new("positions");
    let stream = dump::open(&header(&ETHERNET), &c_path(&file.0)).expect("opened");
    assert_eq!(stream.tell(), 24);
    put(stream, &[packet(1, 2, 3, b"abc")]);
    assert_eq!(stream.tell(), 24 + 16 + 3);
    stream.flush().expect("flushed");
    assert_eq!(file.contents().len(), 24 + 16 + 3);
    put(stream, &[packet(1, 2, 3, b"abc")]);
    // nfstrace goes back to the start and writes over what is there.
    stream.seek(24).expect("sought");
    put(stream, &[packet(5, 6, 7, b"de")]);
    assert_eq!(stream.tell(), 24 + 16 + 2);
    dump::close(stream);
    let contents = file.contents();
    assert_eq!(contents.len(), 24 + 2 * (16 + 3));
    assert_eq!(&contents[24 + 16..24 + 18], b"de");
}

#[test]
fn a_full_disk_is_noticed_when_flushing_and_not_before() {
    let stream = dump::open(&header(&ETHERNET), c"/dev/full").expect("buffered");
    put(stream, &[packet(1, 2, 3, b"abc")]);
    assert!(stream.flush().is_err());
    assert!(stream.failed());
    put(stream, &[packet(1, 2, 3, b"abc")]);
    dump::close(stream);
}

/// A stream without room for the header: the caller's stream stays the caller's.
#[test]
fn a_stream_that_takes_no_header_stays_open() {
    let stream = open_stream(Path::new("/dev/null"), c"rb");
    let error = dump::fopen(&header(&ETHERNET), stream).expect_err("open for reading only");
    assert!(matches!(error, DumpError::Write { .. }), "{error}");
    assert_eq!(error.to_string(), "Can't write to stream: Bad file descriptor");
    stream.close().expect("still open");
}

/// Ten threads on one dumper: records may come in any order, but whole.
#[test]
fn records_of_threads_do_not_mix() {
    struct Shared(Stream);
    // SAFETY: stdio streams lock themselves.
    unsafe impl Sync for Shared {}
    let file = TempFile::new("threads");
    let stream = Shared(dump::open(&header(&ETHERNET), &c_path(&file.0)).expect("opened"));
    std::thread::scope(|scope| {
        for t in 0..10u8 {
            let stream = &stream;
            scope.spawn(move || {
                for n in 1..500 {
                    put(stream.0, &[packet(t.into(), 0, n, &vec![t; n as usize])]);
                }
            });
        }
    });
    dump::close(stream.0);
    let mut reader = Reader::open_path(&c_path(&file.0), 0).expect("a good file");
    let mut count = 0;
    while let Some(p) = reader.next_packet().expect("whole records") {
        let p = owned(&p);
        assert!(p.data.iter().all(|&b| i64::from(b) == p.sec) && p.caplen == p.len);
        count += 1;
    }
    assert_eq!(count, 10 * 499);
}
