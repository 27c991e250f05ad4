//! Reading and writing savefiles.

use super::{PacketHeader, text};
use oracle::wire::{In, Out};
use std::ffi::{CString, c_char, c_uchar};

/// An offline handle that closes itself.
struct Offline(*mut pcap_sys::pcap_t);

impl Offline {
    fn open(path: &CString, nano: bool) -> Result<Self, Vec<u8>> {
        let mut errbuf = [0 as c_char; 256];
        // SAFETY: a C string and a buffer of PCAP_ERRBUF_SIZE.
        let p = unsafe {
            pcap_sys::pcap_open_offline_with_tstamp_precision(
                path.as_ptr(),
                u32::from(nano),
                errbuf.as_mut_ptr(),
            )
        };
        if p.is_null() {
            // SAFETY: libpcap left a C string.
            return Err(unsafe { text(errbuf.as_ptr()) }.unwrap_or_default());
        }
        Ok(Self(p))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        // SAFETY: open, and closed only here.
        unsafe { pcap_sys::pcap_close(self.0) }
    }
}

fn path(m: &mut In) -> CString {
    CString::new(m.bytes()).expect("a path without NUL")
}

pub fn read(m: &mut In, out: &mut Out) {
    let path = path(m);
    let nano = m.u8() != 0;
    let handle = match Offline::open(&path, nano) {
        Ok(handle) => handle,
        Err(error) => {
            out.u8(1).bytes(&error);
            return;
        }
    };
    let p = handle.0;
    // SAFETY: an open handle.
    unsafe {
        out.u8(0)
            .i32(pcap_sys::pcap_datalink(p))
            .i32(pcap_sys::pcap_datalink_ext(p))
            .i32(pcap_sys::pcap_snapshot(p))
            .u8((pcap_sys::pcap_is_swapped(p) != 0).into())
            .i32(pcap_sys::pcap_major_version(p))
            .i32(pcap_sys::pcap_minor_version(p));
    }
    let mut header = std::ptr::null_mut();
    let mut data = std::ptr::null();
    // SAFETY: an open handle and two pointers to fill; they are valid until the next read.
    while unsafe { pcap_sys::pcap_next_ex(p, &mut header, &mut data) } == 1 {
        // SAFETY: libpcap filled them.
        let (h, bytes) = unsafe {
            let h = &*header.cast::<PacketHeader>();
            (h, std::slice::from_raw_parts(data, h.caplen as usize))
        };
        out.u8(1).u64(h.ts.tv_sec as u64).u64(h.ts.tv_usec as u64);
        out.u32(h.caplen).u32(h.len).bytes(bytes);
    }
    // SAFETY: an open handle; its error is a C string.
    let error = unsafe { text(pcap_sys::pcap_geterr(p)) };
    out.u8(0).bytes(&error.unwrap_or_default());
}

unsafe extern "C" {
    // Not in the bindings.
    fn pcap_dump_open_append(
        p: *mut pcap_sys::pcap_t,
        path: *const c_char,
    ) -> *mut pcap_sys::pcap_dumper_t;
}

pub fn write(m: &mut In, out: &mut Out) {
    let path = path(m);
    let (dlt, snaplen, nano, append) = (m.i32(), m.i32(), m.u8(), m.u8() != 0);
    // SAFETY: a dead handle and a path; the dumper is closed before the handle.
    unsafe {
        let p = pcap_sys::pcap_open_dead_with_tstamp_precision(dlt, snaplen, nano.into());
        let dumper = if append {
            pcap_dump_open_append(p, path.as_ptr())
        } else {
            pcap_sys::pcap_dump_open(p, path.as_ptr())
        };
        if dumper.is_null() {
            out.u8(1).bytes(&text(pcap_sys::pcap_geterr(p)).unwrap_or_default());
        } else {
            for _ in 0..m.u32() {
                let ts = libc::timeval { tv_sec: m.u64() as i64, tv_usec: m.u64() as i64 };
                let len = m.u32();
                let data = m.bytes();
                let header = PacketHeader { ts, caplen: data.len() as u32, len };
                let header: *const PacketHeader = &header;
                pcap_sys::pcap_dump(dumper.cast(), header.cast(), data.as_ptr());
            }
            pcap_sys::pcap_dump_close(dumper);
            out.u8(0);
        }
        pcap_sys::pcap_close(p);
    }
}

/// Nanoseconds of processor time that this process has had: it does not run while others do.
fn cpu_time() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that is always there, and room for its answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

unsafe extern "C" fn count(user: *mut c_uchar, _: *const pcap_sys::pcap_pkthdr, _: *const c_uchar) {
    // SAFETY: `bench_read` hands in a counter.
    unsafe { *user.cast::<u64>() += 1 }
}

pub fn bench_read(m: &mut In, out: &mut Out) {
    let path = path(m);
    let mut packets = 0u64;
    let start = cpu_time();
    if let Ok(handle) = Offline::open(&path, false) {
        let user: *mut u64 = &mut packets;
        // SAFETY: an open handle; the counter outlives the loop.
        unsafe { pcap_sys::pcap_loop(handle.0, -1, Some(count), user.cast()) };
    }
    out.u64(cpu_time() - start).u64(packets);
}

pub fn bench_write(m: &mut In, out: &mut Out) {
    let path = path(m);
    let (size, count) = (m.u32(), m.u32());
    let data = vec![0x5a; size as usize];
    let ts = libc::timeval { tv_sec: 1, tv_usec: 2 };
    let header = PacketHeader { ts, caplen: size, len: size };
    // SAFETY: a dead handle, a path, a header and as many bytes as it says; closed in order.
    unsafe {
        let p = pcap_sys::pcap_open_dead(1, 262_144);
        let start = cpu_time();
        let dumper = pcap_sys::pcap_dump_open(p, path.as_ptr());
        if !dumper.is_null() {
            let header: *const PacketHeader = &header;
            for _ in 0..count {
                pcap_sys::pcap_dump(dumper.cast(), header.cast(), data.as_ptr());
            }
            pcap_sys::pcap_dump_close(dumper);
        }
        out.u64(cpu_time() - start);
        pcap_sys::pcap_close(p);
    }
}
