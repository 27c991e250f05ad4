//! Files, streams and what was read from them.

use oracle::{FileContents, FilePacket};
use pcap::packet::RawPacket;
use pcap::savefile::{ReadError, Reader};
use pcap::sys::stdio::Stream;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The savefiles that come with the tests.
pub fn pcaps() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("tests/pcaps")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e != "md"))
        .collect();
    files.sort();
    assert!(files.len() > 400, "tests/pcaps is not complete");
    files
}

/// A file of the test's own, removed with it.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Self(dir.join(format!("{name}-{}", std::process::id())))
    }

    pub fn with(name: &str, contents: &[u8]) -> Self {
        let file = Self::new(name);
        std::fs::write(&file.0, contents).expect("write a temporary file");
        file
    }

    pub fn contents(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("read a temporary file")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

pub fn open_stream(path: &Path, mode: &CStr) -> Stream {
    Stream::open(&c_path(path), mode).expect("open a stream")
}

pub fn open(path: &Path, nano: bool) -> Result<Reader, ReadError> {
    Reader::open_path(&c_path(path), nano.into())
}

/// A copy of a packet.
pub fn owned(packet: &RawPacket) -> FilePacket {
    let h = packet.header;
    // SAFETY: the reader says that as many bytes are valid until it is asked again.
    let data = unsafe { std::slice::from_raw_parts(packet.data, h.caplen as usize) }.to_vec();
    FilePacket { sec: h.ts.sec, frac: h.ts.frac, caplen: h.caplen, len: h.len, data }
}

/// Everything that a reader gives.
pub fn read_all(reader: &mut Reader) -> FileContents {
    let info = *reader.info();
    let mut contents = FileContents {
        dlt: info.linktype.0,
        dlt_ext: info.linktype_ext as i32,
        snaplen: info.snaplen,
        swapped: info.swapped,
        version: (info.version.0.into(), info.version.1.into()),
        ..FileContents::default()
    };
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => contents.packets.push(owned(&packet)),
            Ok(None) => break,
            Err(e) => {
                contents.error = e.to_string();
                break;
            }
        }
    }
    contents
}

/// Reads a file; `Err` is the text of the error of opening it.
pub fn read_file(path: &Path, nano: bool) -> Result<FileContents, String> {
    Ok(read_all(&mut open(path, nano).map_err(|e| e.to_string())?))
}
