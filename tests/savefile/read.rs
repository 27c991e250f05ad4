//! Reading, file by file, as libpcap does it.

use crate::support::{open, open_stream, owned, pcaps, read_all, read_file};
use oracle::{FileContents, Oracle};
use pcap::savefile::Reader;

/// Makes the system's answer what libpcap since 1.10.5 gives: time stamps of pcap files are
/// unsigned there (docs/COMPAT.md). 1.10.3 gives them signed, and scales them so.
pub fn unsign(contents: &mut FileContents, ours: &FileContents) {
    if contents.version.0 == 1 {
        return;
    }
    for (packet, our) in contents.packets.iter_mut().zip(&ours.packets) {
        if packet.sec != our.sec && packet.sec as u32 == our.sec as u32 {
            packet.sec = our.sec;
        }
        if packet.frac < 0 && our.frac >= 0 {
            packet.frac = our.frac;
        }
    }
}

#[test]
fn every_file_gives_the_same_packets_and_errors() {
    let mut oracle = Oracle::start();
    let mut packets = 0;
    for path in pcaps() {
        for nano in [false, true] {
            let ours = read_file(&path, nano);
            let mut theirs = oracle.read_file(&path, nano);
            if let (Ok(ours), Ok(theirs)) = (&ours, &mut theirs) {
                unsign(theirs, ours);
                packets += ours.packets.len();
            }
            assert_eq!(ours, theirs, "{}", path.display());
        }
    }
    assert!(packets > 7_000, "only {packets} packets");
}

#[test]
fn streams_give_the_same_as_paths() {
    for path in pcaps() {
        let by_path = read_file(&path, false);
        let stream = open_stream(&path, c"rb");
        let by_stream = Reader::from_stream(stream, 0);
        match by_stream {
            Ok(mut reader) => assert_eq!(Ok(read_all(&mut reader)), by_path, "{}", path.display()),
            Err(e) => {
                assert_eq!(Err(e.to_string()), by_path, "{}", path.display());
                stream.close().expect("the stream stays open on an error");
            }
        }
    }
}

/// `pcap_file` in the middle of a file: the stream stands after the last packet, the packet stays
/// valid, and the rest is the same.
#[test]
fn stream_on_request_continues_where_the_packets_are() {
    for (n, path) in pcaps().into_iter().enumerate() {
        let Ok(mut blocks) = open(&path, false) else { continue };
        let mut reference = Reader::from_stream(open_stream(&path, c"rb"), 0).expect("a good file");
        let mut last = None;
        for _ in 0..n % 7 {
            let Ok(Some(packet)) = blocks.next_packet() else { break };
            let theirs = reference.next_packet().expect("no error").expect("a packet");
            assert_eq!(owned(&packet), owned(&theirs));
            last = Some((packet, owned(&packet)));
        }
        let fd = blocks.fileno();
        let stream = blocks.stream().expect("a stream");
        assert_eq!(stream.fileno(), fd, "the same descriptor");
        assert_eq!(stream.tell(), reference.stream().expect("a stream").tell());
        if let Some((packet, copy)) = last {
            assert_eq!(owned(&packet), copy, "still there");
        }
        assert_eq!(read_all(&mut blocks), read_all(&mut reference), "{}", path.display());
        assert_eq!(stream.tell(), reference.stream().expect("a stream").tell());
    }
}

/// At the end, and after, asking again gives nothing; nothing more is read even if the file grows.
#[test]
fn end_of_file_is_for_ever() {
    let path = pcaps().into_iter().find(|p| p.ends_with("ssh.pcap")).expect("ssh.pcap");
    let file = crate::support::TempFile::with("end", &std::fs::read(path).expect("read"));
    let mut reader = open(&file.0, false).expect("a good file");
    while reader.next_packet().expect("no error").is_some() {}
    let more = std::fs::read(&file.0).expect("read");
    std::fs::write(&file.0, [&more[..], &more[24..]].concat()).expect("write");
    for _ in 0..1000 {
        assert!(reader.next_packet().expect("no error").is_none());
    }
    assert!(reader.stream().is_ok());
}
