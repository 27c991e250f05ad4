//! Eight threads at once compile, look up, list, read, write, capture and run filters: everything
//! comes out as it does in one thread. `tests/thread_sanitizer.sh` (`make tsan`) runs this under
//! ThreadSanitizer.
//!
//! `OXPCAP_THREAD_MILLIS` is how long each test goes on.

#[path = "support/skip.rs"]
mod skip;

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fuzz::{Rng, dlt, filters};
use pcap::bpf::{Aux, Filter, Insn, Program};
use pcap::capi::{self, bpf_program, pcap_pkthdr, pcap_t};
use skip::skip;

const THREADS: usize = 8;

/// A pointer that several threads may use at once.
struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}
// SAFETY: used only with functions that may be called by several threads at once.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as before.
unsafe impl<T> Sync for Shared<T> {}

/// An open handle.
struct Handle(*mut pcap_t);

impl Handle {
    fn dead(dlt: i32) -> Self {
        Self(capi::pcap_open_dead(dlt, 65_535))
    }

    fn offline(path: &Path) -> Self {
        let mut errbuf: [c_char; 256] = [0; 256];
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a string, and a buffer of PCAP_ERRBUF_SIZE bytes.
        let handle = unsafe { capi::pcap_open_offline(path.as_ptr(), errbuf.as_mut_ptr()) };
        assert!(!handle.is_null());
        Self(handle)
    }

    /// The program, or the error text.
    fn compile(&self, text: &str) -> Result<Vec<Insn>, Vec<u8>> {
        let text = CString::new(text).unwrap();
        let mut program = bpf_program { bf_len: 0, bf_insns: std::ptr::null_mut() };
        // SAFETY: an open handle, a program to fill, a string; libpcap's program is as long as it says.
        unsafe {
            if capi::pcap_compile(self.0, &mut program, text.as_ptr(), 1, 0xffff_ff00) != 0 {
                return Err(CStr::from_ptr(capi::pcap_geterr(self.0)).to_bytes().to_vec());
            }
            let len = program.bf_len as usize;
            let insns = std::slice::from_raw_parts(program.bf_insns.cast::<Insn>(), len).to_vec();
            capi::pcap_freecode(&mut program);
            Ok(insns)
        }
    }

    /// The next packet, while there is one.
    fn next(&self) -> Option<(pcap_pkthdr, Vec<u8>)> {
        let mut header = std::ptr::null_mut();
        let mut data = std::ptr::null();
        // SAFETY: an open handle; what it gives lasts until the next call.
        unsafe {
            if capi::pcap_next_ex(self.0, &mut header, &mut data) != 1 {
                return None;
            }
            let caplen = (*header).caplen as usize;
            Some((*header, std::slice::from_raw_parts(data, caplen).to_vec()))
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: open, and closed only here.
        unsafe { capi::pcap_close(self.0) }
    }
}

/// Does some work on all threads again and again, with the number of thread and round.
fn at_once(work: impl Fn(usize, usize) + Send + Clone + 'static) {
    let millis = std::env::var("OXPCAP_THREAD_MILLIS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_millis(millis.unwrap_or(300));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let work = work.clone();
            thread::spawn(move || {
                for round in 0.. {
                    work(number, round);
                    if Instant::now() >= end {
                        break;
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn data(name: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = manifest.ancestors().map(|folder| folder.join("ctests/data"));
    folders.map(|folder| folder.join(name)).find(|path| path.exists()).unwrap()
}

/// A file that goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("oxpcap-threads-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a C function returned: a string.
fn text(text: *const c_char) -> String {
    // SAFETY: a string that lasts until this thread's next call.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

#[test]
fn compiling() {
    let mut rng = Rng::new(77);
    let mut work: Vec<(i32, String)> = (0..200)
        .map(|_| {
            let (_, dlt) = dlt::pick(&mut rng);
            (dlt, filters::write(&mut rng, dlt).text)
        })
        .collect();
    let hosts: Vec<String> = (0..300).map(|n| format!("host 10.1.{n}.7", n = n % 256)).collect();
    work.push((1, hosts.join(" or ")));
    for wrong in ["port nosuch", "tcp and", "tcp port tftp", "ether host x", "net nosuch", "\\x1"] {
        work.push((1, wrong.to_owned()));
    }
    let wanted: Vec<_> = work.iter().map(|(dlt, text)| Handle::dead(*dlt).compile(text)).collect();
    assert!(wanted.iter().filter(|result| result.is_ok()).count() > 100);
    at_once(move |thread, round| {
        let i = (thread * 25 + round) % work.len();
        let (dlt, text) = &work[i];
        let handle = Handle::dead(*dlt);
        assert_eq!(handle.compile(text), wanted[i], "{text}");
    });
}

#[test]
fn one_filter() {
    let insns = Handle::dead(1).compile("tcp port 22 or udp port 53 or arp").unwrap();
    let program = Program::from_insns(insns.clone());
    let packets: Vec<_> = {
        let file = Handle::offline(&data("ssh.pcap"));
        std::iter::from_fn(|| file.next()).take(20).collect()
    };
    let reference = Filter::new(&program);
    let run = |filter: &Filter, packet: &(pcap_pkthdr, Vec<u8>)| {
        filter.run(&packet.1, packet.0.len, &Aux::default())
    };
    let wanted: Vec<u32> = packets.iter().map(|packet| run(&reference, packet)).collect();
    assert!(wanted.iter().any(|&verdict| verdict != 0));
    // Native code is made while it runs; so the filter is a new one every time.
    for _ in 0..4 {
        let insns = Box::leak(insns.clone().into_boxed_slice());
        let raw = bpf_program { bf_len: insns.len() as u32, bf_insns: insns.as_mut_ptr().cast() };
        let raw = Shared(Box::into_raw(Box::new(raw)));
        // SAFETY: a program that is there for good.
        let prepared = Shared(unsafe { capi::pcapx_filter_create(raw.0) });
        let filter: &'static Filter = Box::leak(Box::new(Filter::new(&program)));
        let (packets, wanted) = (packets.clone(), wanted.clone());
        at_once(move |_, _| {
            let (raw, prepared) = (raw, prepared);
            for (packet, &wanted) in packets.iter().zip(&wanted) {
                assert_eq!(run(filter, packet), wanted);
                let (header, bytes) = (&packet.0, packet.1.as_ptr());
                // SAFETY: program, filter and packet are there.
                unsafe {
                    let verdict = capi::pcap_offline_filter(raw.0, header, bytes);
                    assert_eq!(verdict as u32, wanted);
                    assert_eq!(
                        capi::pcapx_filter_run(prepared.0, bytes, header.caplen, header.len),
                        wanted
                    );
                }
            }
        });
        // SAFETY: nobody uses it any more.
        unsafe { capi::pcapx_filter_free(prepared.0) };
    }
}

#[test]
fn savefiles() {
    let copy = |to: &Path| {
        let file = Handle::offline(&data("ssh.pcap"));
        let path = CString::new(to.to_str().unwrap()).unwrap();
        // SAFETY: an open handle and a string.
        let dumper = unsafe { capi::pcap_dump_open(file.0, path.as_ptr()) };
        assert!(!dumper.is_null());
        while let Some((header, bytes)) = file.next() {
            // SAFETY: an open dumper, a header and its packet.
            unsafe { capi::pcap_dump(dumper.cast(), &header, bytes.as_ptr()) };
        }
        // SAFETY: closed once.
        unsafe { capi::pcap_dump_close(dumper) };
        fs::read(to).unwrap()
    };
    let wanted = copy(&Scratch::new("one").0);
    assert_eq!(wanted, fs::read(data("ssh.pcap")).unwrap());
    at_once(move |thread, _| {
        let file = Scratch::new(&thread.to_string());
        assert_eq!(copy(&file.0), wanted);
        let set = Handle::offline(&data("ssh.pcap"));
        assert!(set.compile(&format!("greater {}", 60 + thread)).is_ok());
    });
}

#[test]
fn one_dumper() {
    let file = Scratch::new("shared");
    let path = CString::new(file.0.to_str().unwrap()).unwrap();
    let handle = Handle::dead(1);
    // SAFETY: an open handle and a string.
    let dumper = Shared(unsafe { capi::pcap_dump_open(handle.0, path.as_ptr()) });
    assert!(!dumper.0.is_null());
    at_once(move |thread, round| {
        let dumper = dumper;
        let bytes = vec![thread as u8; 1 + round % 200];
        let len = bytes.len() as u32;
        let header = pcap_pkthdr { caplen: len, len, ..pcap_pkthdr::ZERO };
        // SAFETY: an open dumper, a header and its packet.
        unsafe { capi::pcap_dump(dumper.0.cast(), &header, bytes.as_ptr()) };
    });
    // SAFETY: nobody writes any more.
    unsafe { capi::pcap_dump_close(dumper.0) };
    let written = Handle::offline(&file.0);
    let mut rounds = [0; THREADS];
    while let Some((header, bytes)) = written.next() {
        let thread = bytes[0];
        assert!(bytes.iter().all(|&byte| byte == thread));
        let round = &mut rounds[usize::from(thread)];
        assert_eq!(header.len as usize, 1 + *round % 200);
        *round += 1;
    }
    assert!(rounds.iter().all(|&rounds| rounds > 0));
}

#[test]
fn texts_and_names() {
    let first = text(capi::pcap_strerror(2));
    at_once(move |thread, round| {
        let status = -1000 - (thread * 1000 + round % 1000) as c_int;
        let kept = capi::pcap_statustostr(status);
        thread::yield_now();
        assert_eq!(text(kept), format!("Unknown error: {status}"));
        assert_eq!(text(capi::pcap_strerror(2)), first);
        let dlt = 5000 + thread as c_int;
        assert_eq!(text(capi::pcap_datalink_val_to_description_or_dlt(dlt)), format!("DLT {dlt}"));
        assert_eq!(text(capi::pcap_datalink_val_to_name(1)), "EN10MB");
        let (mut port, mut proto) = (0, 0);
        // SAFETY: strings, and numbers to fill.
        unsafe {
            assert_eq!(capi::pcap_nametoport(c"domain".as_ptr(), &mut port, &mut proto), 1);
            assert_eq!((port, proto), (53, -1));
            assert_eq!(capi::pcap_nametoproto(c"tcp".as_ptr()), 6);
            let list = capi::pcap_nametoaddr(c"127.0.0.1".as_ptr());
            assert_eq!((**list, (*list.add(1)).is_null()), (0x7f00_0001, true));
        }
    });
}

#[test]
fn devices() {
    let names = || {
        let mut errbuf: [c_char; 256] = [0; 256];
        let mut list = std::ptr::null_mut();
        let mut names = Vec::new();
        // SAFETY: a list to fill and a buffer; the list ends in NULL.
        unsafe {
            assert_eq!(capi::pcap_findalldevs(&mut list, errbuf.as_mut_ptr()), 0);
            let mut next = list;
            while !next.is_null() {
                names.push(text((*next).name));
                next = (*next).next;
            }
            capi::pcap_freealldevs(list);
        }
        names
    };
    assert!(names().contains(&"lo".to_owned()));
    at_once(move |_, _| {
        assert!(names().contains(&"lo".to_owned()));
        let mut errbuf: [c_char; 256] = [0; 256];
        // SAFETY: a buffer of PCAP_ERRBUF_SIZE bytes.
        let first = unsafe { capi::pcap_lookupdev(errbuf.as_mut_ptr()) };
        assert!(first.is_null() || !text(first).is_empty());
    });
}

/// Loops in one thread are ended from all others.
#[test]
fn breaking_loops() {
    extern "C-unwind" fn count(user: *mut u8, _: *const pcap_pkthdr, _: *const u8) {
        // SAFETY: the number that the loop was given.
        unsafe { *user.cast::<u64>() += 1 };
    }
    let bytes = fs::read(data("ssh.pcap")).unwrap();
    let total = {
        let file = Handle::offline(&data("ssh.pcap"));
        std::iter::from_fn(|| file.next()).count() as u64
    };
    let (reader, mut writer) = std::io::pipe().unwrap();
    let feed = thread::spawn(move || {
        for chunk in bytes.chunks(700) {
            std::io::Write::write_all(&mut writer, chunk).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut errbuf: [c_char; 256] = [0; 256];
    // SAFETY: a descriptor that is ours to give away; the handle closes the stream.
    let handle = Handle(unsafe {
        let stream = libc::fdopen(reader.into_raw_fd(), c"r".as_ptr());
        capi::pcap_fopen_offline(stream, errbuf.as_mut_ptr())
    });
    let shared = Shared(handle.0);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let breakers: Vec<_> = (0..THREADS - 2)
        .map(|_| {
            let done = done.clone();
            thread::spawn(move || {
                let shared = shared;
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    // SAFETY: the handle is closed after this thread has ended.
                    unsafe { capi::pcap_breakloop(shared.0) };
                    thread::sleep(Duration::from_micros(300));
                }
            })
        })
        .collect();
    let (mut counted, mut broken) = (0u64, 0);
    loop {
        // SAFETY: an open handle, and a number that the callback knows.
        match unsafe { capi::pcap_loop(handle.0, -1, Some(count), (&raw mut counted).cast()) } {
            0 => break,
            -2 => broken += 1,
            other => panic!("{other}: {}", {
                // SAFETY: an open handle.
                text(unsafe { capi::pcap_geterr(handle.0) })
            }),
        }
    }
    done.store(true, std::sync::atomic::Ordering::Release);
    breakers.into_iter().for_each(|thread| thread.join().unwrap());
    feed.join().unwrap();
    assert_eq!(counted, total);
    assert!(broken > 0);
}

/// A capture in each thread, with filters that come and go.
#[test]
fn captures() {
    // SAFETY: tells who we are.
    if unsafe { libc::geteuid() } != 0 {
        return skip("captures need root");
    }
    at_once(|thread, round| {
        let mut errbuf: [c_char; 256] = [0; 256];
        // SAFETY: a string and a buffer of PCAP_ERRBUF_SIZE bytes.
        let handle =
            Handle(unsafe { capi::pcap_open_live(c"lo".as_ptr(), 256, 0, 1, errbuf.as_mut_ptr()) });
        assert!(!handle.0.is_null(), "{}", text(errbuf.as_ptr()));
        let mut insns = handle.compile(&format!("udp port {}", 9 + thread + round)).unwrap();
        let mut program =
            bpf_program { bf_len: insns.len() as u32, bf_insns: insns.as_mut_ptr().cast() };
        // SAFETY: an open handle and a program.
        unsafe {
            assert_eq!(capi::pcap_setfilter(handle.0, &mut program), 0);
            assert_eq!(capi::pcap_setnonblock(handle.0, 1, errbuf.as_mut_ptr()), 0);
        }
        while handle.next().is_some() {}
    });
}

/// No test: `tests/thread_sanitizer.sh` wants it reported.
#[test]
#[ignore = "races, to see that a race is reported"]
fn deliberate_race() {
    let number = Shared(Box::into_raw(Box::new(0u64)));
    at_once(move |_, _| {
        let number = number;
        // SAFETY: none. This is the race.
        unsafe { *number.0 = (*number.0).wrapping_add(1) };
    });
}
