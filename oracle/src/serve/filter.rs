//! Compiling and running filters.

use super::{PacketHeader, bpf_filter, bpf_image, bpf_validate, text};
use oracle::proto::{CompileOptions, Insn, get_program, put_program};
use oracle::wire::{In, Out};
use std::ffi::CString;
use std::hint::black_box;
use std::time::Instant;

const _: () = assert!(size_of::<Insn>() == size_of::<pcap_sys::bpf_insn>());

/// A dead handle that closes itself.
struct Dead(*mut pcap_sys::pcap_t);

impl Dead {
    fn open(options: &CompileOptions) -> Self {
        // SAFETY: takes any numbers.
        Self(unsafe { pcap_sys::pcap_open_dead(options.dlt, options.snaplen) })
    }

    fn compile(&self, text: &CString, options: &CompileOptions) -> Option<pcap_sys::bpf_program> {
        let mut program = pcap_sys::bpf_program { bf_len: 0, bf_insns: std::ptr::null_mut() };
        // SAFETY: an open handle, a program to fill, a C string.
        let status = unsafe {
            pcap_sys::pcap_compile(
                self.0,
                &mut program,
                text.as_ptr(),
                options.optimize.into(),
                options.netmask,
            )
        };
        (status == 0).then_some(program)
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        // SAFETY: open, and closed only here.
        unsafe { pcap_sys::pcap_close(self.0) }
    }
}

fn filter_text(m: &mut In) -> CString {
    let mut bytes = m.bytes();
    bytes.retain(|&b| b != 0);
    CString::new(bytes).expect("no NUL left")
}

fn free(mut program: pcap_sys::bpf_program) {
    // SAFETY: libpcap filled it.
    unsafe { pcap_sys::pcap_freecode(&mut program) }
}

pub fn compile(m: &mut In, out: &mut Out) {
    let options = CompileOptions::get(m);
    let dead = Dead::open(&options);
    let Some(program) = dead.compile(&filter_text(m), &options) else {
        // SAFETY: an open handle; its error is a C string.
        let error = unsafe { text(pcap_sys::pcap_geterr(dead.0)) };
        out.u8(1).bytes(&error.unwrap_or_default());
        return;
    };
    // SAFETY: libpcap says how many instructions there are; the layout is the same.
    let insns = unsafe {
        std::slice::from_raw_parts(program.bf_insns.cast::<Insn>(), program.bf_len as usize)
    };
    out.u8(0);
    put_program(out, insns);
    free(program);
}

fn packets(m: &mut In) -> Vec<(u32, Vec<u8>)> {
    (0..m.u32()).map(|_| (m.u32(), m.bytes())).collect()
}

pub fn filter(m: &mut In, out: &mut Out) {
    let program = get_program(m);
    for (wirelen, data) in packets(m) {
        // SAFETY: program and packet live; libpcap trusts the program, which is the test's point.
        out.u32(unsafe {
            bpf_filter(program.as_ptr().cast(), data.as_ptr(), wirelen, data.len() as u32)
        });
    }
}

pub fn validate(m: &mut In, out: &mut Out) {
    let program = get_program(m);
    // SAFETY: as many instructions as said.
    let valid = unsafe { bpf_validate(program.as_ptr().cast(), program.len() as i32) };
    out.u8((valid != 0).into());
}

pub fn image(m: &mut In, out: &mut Out) {
    let program = get_program(m);
    let number = m.i32();
    // SAFETY: one instruction; the answer is a static buffer.
    let image = unsafe { text(bpf_image(program.as_ptr().cast(), number)) };
    out.bytes(&image.unwrap_or_default());
}

pub fn bench_compile(m: &mut In, out: &mut Out) {
    let options = CompileOptions::get(m);
    let text = filter_text(m);
    let runs = m.u32();
    let dead = Dead::open(&options);
    let start = Instant::now();
    for _ in 0..runs {
        if let Some(program) = dead.compile(&text, &options) {
            free(program);
        }
    }
    out.u64(start.elapsed().as_nanos() as u64);
}

pub fn bench_filter(m: &mut In, out: &mut Out) {
    let mut insns = get_program(m);
    let packets = packets(m);
    let rounds = m.u32();
    let warm = m.u8() != 0;
    let program =
        pcap_sys::bpf_program { bf_len: insns.len() as u32, bf_insns: insns.as_mut_ptr().cast() };
    let prepared: Vec<_> = packets
        .iter()
        .map(|(len, data)| {
            let ts = libc::timeval { tv_sec: 0, tv_usec: 0 };
            (PacketHeader { ts, caplen: data.len() as u32, len: *len }, data.as_ptr())
        })
        .collect();
    let run_all = |rounds: u32| {
        let mut accepted = 0u64;
        for _ in 0..rounds {
            for (header, data) in &prepared {
                let header: *const PacketHeader = header;
                // SAFETY: program, header and packet live; only the common fields are read.
                let verdict =
                    unsafe { pcap_sys::pcap_offline_filter(&program, header.cast(), *data) };
                accepted += u64::from(verdict != 0);
            }
        }
        accepted
    };
    if warm {
        black_box(run_all(rounds));
    }
    let start = Instant::now();
    let accepted = run_all(rounds);
    out.u64(start.elapsed().as_nanos() as u64).u64(accepted);
}
