//! Reading and writing savefiles, as ratios against the system's libpcap.
//!
//! Both sides run the same C calls (`pcap_open_offline` and `pcap_loop` with a counting callback;
//! `pcap_dump_open`, `pcap_dump`, `pcap_dump_close`): ours in this process, the system's in the
//! oracle. Runs alternate; medians of processor time are compared. Files lie in /dev/shm, so no disk
//! is measured.
//!
//!     cargo bench --bench savefile            # or -- 'read pcapng', -- write 60: rows that begin so

use oracle::Oracle;
use std::ffi::{CString, c_char, c_int, c_uchar, c_void};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

// The functions under test, linked from the crate.
use pcap as _;

#[repr(C)]
struct Header {
    ts: libc::timeval,
    caplen: u32,
    len: u32,
}

type Callback = unsafe extern "C" fn(*mut c_uchar, *const Header, *const c_uchar);

unsafe extern "C" {
    fn pcap_open_offline(path: *const c_char, errbuf: *mut c_char) -> *mut c_void;
    fn pcap_loop(p: *mut c_void, count: c_int, callback: Callback, user: *mut c_uchar) -> c_int;
    fn pcap_close(p: *mut c_void);
    fn pcap_open_dead(dlt: c_int, snaplen: c_int) -> *mut c_void;
    fn pcap_dump_open(p: *mut c_void, path: *const c_char) -> *mut c_void;
    fn pcap_dump(dumper: *mut c_uchar, header: *const Header, data: *const c_uchar);
    fn pcap_dump_close(dumper: *mut c_void);
}

const ROUNDS: usize = 15;

/// A file that is removed in the end.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        Self(Path::new("/dev/shm").join(format!("oxpcap-bench-{}-{name}", std::process::id())))
    }

    fn c_path(&self) -> CString {
        CString::new(self.0.to_str().expect("ASCII")).expect("no NUL")
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A format and the size of its packets.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    pcapng: bool,
    swapped: bool,
    size: usize,
    count: usize,
}

fn words(swapped: bool, words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| if swapped { w.to_be_bytes() } else { w.to_le_bytes() }).collect()
}

fn make(case: &Case, file: &Temp) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&file.0).expect("create"));
    let mut put = |bytes: &[u8]| out.write_all(bytes).expect("write");
    let numbers = |w: &[u32]| words(case.swapped, w);
    let (size, data) = (case.size as u32, vec![0x5a; case.size]);
    if case.pcapng {
        put(&numbers(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]));
        put(&numbers(&[1, 20, 1, 262_144, 20]));
    } else {
        put(&numbers(&[0xa1b2_c3d4]));
        put(if case.swapped { &[0, 2, 0, 4] } else { &[2, 0, 4, 0] });
        put(&numbers(&[0, 0, 262_144, 1]));
    }
    for n in 0..case.count as u32 {
        if case.pcapng {
            let total = 32 + size.next_multiple_of(4);
            put(&numbers(&[6, total, 0, 0x0005_0000, n, size, size]));
            put(&data);
            put(&vec![0; case.size.next_multiple_of(4) - case.size]);
            put(&numbers(&[total]));
        } else {
            put(&numbers(&[n, 0, size, size]));
            put(&data);
        }
    }
}

unsafe extern "C" fn count(user: *mut c_uchar, header: *const Header, data: *const c_uchar) {
    black_box((header, data));
    // SAFETY: `read_ours` hands in a counter.
    unsafe { *user.cast::<u64>() += 1 }
}

/// Nanoseconds of processor time that this process has had.
fn cpu_time() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that is always there, and room for its answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds, packets.
fn read_ours(file: &Temp) -> (u64, u64) {
    let path = file.c_path();
    let mut errbuf = [0; 256];
    let mut packets = 0u64;
    let start = cpu_time();
    // SAFETY: a path, an error buffer, a counter that outlives the loop.
    unsafe {
        let p = pcap_open_offline(path.as_ptr(), errbuf.as_mut_ptr());
        assert!(!p.is_null(), "cannot open the file");
        pcap_loop(p, -1, count, (&raw mut packets).cast());
        pcap_close(p);
    }
    (cpu_time() - start, packets)
}

fn write_ours(file: &Temp, size: u32, count: u32) -> u64 {
    let path = file.c_path();
    let data = vec![0x5a; size as usize];
    let ts = libc::timeval { tv_sec: 1, tv_usec: 2 };
    let header = Header { ts, caplen: size, len: size };
    // SAFETY: a path, a header and as many bytes as it says; closed in order.
    unsafe {
        let p = pcap_open_dead(1, 262_144);
        let start = cpu_time();
        let dumper = pcap_dump_open(p, path.as_ptr());
        assert!(!dumper.is_null(), "cannot open the file");
        for _ in 0..count {
            pcap_dump(dumper.cast(), &raw const header, data.as_ptr());
        }
        pcap_dump_close(dumper);
        let elapsed = cpu_time() - start;
        pcap_close(p);
        elapsed
    }
}

/// What the machine can do at best: read(2) of the whole file, nothing done with it.
fn read_raw(file: &Temp) -> u64 {
    let mut buf = vec![0; 256 * 1024];
    let start = cpu_time();
    let mut f = File::open(&file.0).expect("open");
    while f.read(&mut buf).expect("read") > 0 {}
    cpu_time() - start
}

/// write(2) of as many bytes into a new file.
fn write_raw(file: &Temp, bytes: usize) -> u64 {
    let buf = vec![0x5a; 256 * 1024];
    let start = cpu_time();
    let mut f = File::create(&file.0).expect("create");
    let mut left = bytes;
    while left > 0 {
        let n = left.min(buf.len());
        f.write_all(&buf[..n]).expect("write");
        left -= n;
    }
    cpu_time() - start
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

struct Medians {
    ours: u64,
    theirs: u64,
    raw: u64,
}

fn alternate(
    mut ours: impl FnMut() -> u64,
    mut theirs: impl FnMut() -> u64,
    mut raw: impl FnMut() -> u64,
) -> Medians {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(ours());
        times[1].push(theirs());
        times[2].push(raw());
    }
    let [ours, theirs, raw] = times.map(median);
    Medians { ours, theirs, raw }
}

fn report(name: &str, size: usize, count: usize, m: &Medians) {
    let per_packet = |ns: u64| ns as f64 / count as f64;
    let gib = |ns: u64| (size * count) as f64 / ns as f64 * 1e9 / f64::from(1 << 30);
    println!(
        "| {name} | {size} | {:.1} | {:.1} | {:.2} | {:.1} | {:.0} % |",
        per_packet(m.theirs),
        per_packet(m.ours),
        m.theirs as f64 / m.ours as f64,
        gib(m.ours),
        100.0 * m.raw as f64 / m.ours as f64,
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = words.join(" ");
    let wants = |name: &str, size: usize| format!("{name} {size}").starts_with(&wanted);
    let mut oracle = Oracle::start();
    println!(
        "reference: {}; medians of processor time, {ROUNDS} alternating runs",
        oracle.version()
    );
    println!();
    println!(
        "| what | bytes a packet | libpcap ns/packet | oxpcap ns/packet | ratio | GiB/s | of read(2)/write(2) |"
    );
    println!("|---|---|---|---|---|---|---|");
    let sizes = [(60, 1_000_000), (1514, 60_000), (65_535, 1_500)];
    for (name, pcapng, swapped) in [
        ("read pcap", false, false),
        ("read pcap, other byte order", false, true),
        ("read pcapng", true, false),
    ] {
        for (size, count) in sizes.into_iter().filter(|(size, _)| wants(name, *size)) {
            let case = Case { name, pcapng, swapped, size, count };
            let file = Temp::new("read");
            make(&case, &file);
            assert_eq!(read_ours(&file).1, count as u64);
            assert_eq!(oracle.bench_read(&file.0).1, count as u64);
            let m = alternate(
                || read_ours(&file).0,
                || oracle.bench_read(&file.0).0,
                || read_raw(&file),
            );
            report(case.name, size, count, &m);
        }
    }
    for (size, count) in sizes.into_iter().filter(|(size, _)| wants("write", *size)) {
        let (a, b, c) = (Temp::new("ours"), Temp::new("theirs"), Temp::new("raw"));
        let bytes = 24 + count * (16 + size);
        let m = alternate(
            || write_ours(&a, size as u32, count as u32),
            || oracle.bench_write(&b.0, size as u32, count as u32),
            || write_raw(&c, bytes),
        );
        report("write", size, count, &m);
    }
}
