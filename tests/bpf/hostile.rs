//! Programs made to break a machine.

use super::generate::Rng;
use oracle::Oracle;
use pcap::bpf::{self, Aux, Filter, Insn, Preference, Program};
use pcap::capi;
use std::ffi::{CString, c_int};
use std::ptr;

/// Random instructions: none of the entry points may crash, hang or read outside, and a program
/// that is run by more than one engine gets one verdict.
#[test]
fn random_bytes() {
    let packet: Vec<u8> = (0..64).collect();
    let mut strict = 0;
    for seed in 0..60_000 {
        let mut rng = Rng::new(seed);
        let insns: Vec<_> = (0..1 + rng.below(12)).map(|_| random_insn(&mut rng)).collect();
        let verdict = bpf::interpret(&insns, &packet, 64, &Aux::NONE);
        let program = Program::from_insns(&insns[..]);
        for preference in [Preference::Adaptive, Preference::Native, Preference::Interpreter] {
            let filter = Filter::with_preference(&program, preference);
            assert_eq!(filter.run(&packet, 64, &Aux::NONE), verdict, "{insns:?}");
        }
        bpf::validate(&insns);
        strict += u32::from(bpf::check(&insns).is_ok());
        for target in [bpf::Target::Kernel, bpf::Target::Dpdk] {
            let _ = bpf::to_ebpf(&insns, target);
        }
        let mut text = String::new();
        for option in 1..4 {
            let style = bpf::DumpStyle::from_option(option);
            bpf::dump(&insns, style, &mut text).expect("strings take anything");
        }
    }
    assert!(strict > 100, "{strict}");
}

/// A program as C hands it in; `insns` must outlive it.
fn c_program(insns: &[Insn]) -> capi::bpf_program {
    capi::bpf_program { bf_len: insns.len() as u32, bf_insns: insns.as_ptr().cast_mut() }
}

/// The same through the C functions; some programs often enough to be compiled.
#[test]
fn random_bytes_from_c() {
    let packet: Vec<u8> = (0..64).collect();
    let header = capi::pcap_pkthdr { caplen: 64, len: 64, ..capi::pcap_pkthdr::ZERO };
    for seed in 0..6000 {
        let mut rng = Rng::new(seed);
        let mut insns: Vec<_> = (0..1 + rng.below(12)).map(|_| random_insn(&mut rng)).collect();
        let verdict = bpf::interpret(&insns, &packet, 64, &Aux::NONE);
        let program = c_program(&insns);
        for _ in 0..if seed % 100 == 0 { 28_000 } else { 2 } {
            // SAFETY: program, header and packet live.
            let got = unsafe { capi::pcap_offline_filter(&program, &header, packet.as_ptr()) };
            assert_eq!(got as u32, verdict, "{insns:?}");
        }
        let len = insns.len() as c_int;
        // SAFETY: as many instructions as are said.
        let valid = unsafe { capi::bpf_validate(insns.as_ptr(), len) };
        assert_eq!(valid != 0, bpf::validate(&insns));
        // SAFETY: an instruction.
        let text = unsafe { capi::bpf_image(&insns[0], c_int::MAX) };
        assert!(!text.is_null());
        // bpf_filter is not told the length: jumps stay in front of what ends every path.
        for insn in &mut insns {
            insn.k = if insn.code == 0x05 { insn.k % 64 } else { insn.k };
        }
        insns.resize(insns.len() + 512, Insn::stmt(0x06, 9));
        let verdict = bpf::interpret(&insns, &packet, 64, &Aux::NONE);
        // SAFETY: every path ends in a return.
        let got = unsafe { capi::bpf_filter(insns.as_ptr(), packet.as_ptr(), 64, 64) };
        assert_eq!(got, verdict, "{insns:?}");
    }
}

/// `pcap_setfilter` on a savefile takes what `bpf_validate` takes, and gives the packets that the
/// program accepts.
#[test]
fn random_bytes_as_filters() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ctests/data/ssh.pcap");
    let path = CString::new(path).expect("no NUL");
    let mut errbuf = [0; 256];
    let (mut taken, mut passed) = (0, 0);
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let insns: Vec<_> = (0..rng.below(8)).map(|_| random_insn(&mut rng)).collect();
        let mut program = c_program(&insns);
        // SAFETY: an error buffer of its size, a program that lives, handles that are open.
        unsafe {
            let p = capi::pcap_open_offline(path.as_ptr(), errbuf.as_mut_ptr());
            let status = capi::pcap_setfilter(p, &mut program);
            assert_eq!(status == 0, bpf::validate(&insns), "{insns:?}");
            taken += u32::from(status == 0);
            let (mut header, mut data) = (ptr::null_mut(), ptr::null());
            while status == 0 && capi::pcap_next_ex(p, &mut header, &mut data) == 1 {
                let packet = std::slice::from_raw_parts(data, (*header).caplen as usize);
                let verdict = bpf::interpret(&insns, packet, (*header).len, &Aux::NONE);
                assert_ne!(verdict, 0, "{insns:?}");
                passed += 1;
            }
            capi::pcap_close(p);
        }
    }
    assert!(taken > 100 && passed > 1000, "{taken} {passed}");
}

/// Any bytes, but such that valid programs happen too.
fn random_insn(rng: &mut Rng) -> Insn {
    let code = match rng.below(8) {
        0 => rng.next() as u16,
        1 | 2 => 0x06,
        3 => rng.pick(&[0x05, 0x02, 0x03, 0x60, 0x61, 0x3c, 0x9c, 0x34]),
        _ => rng.next() as u16 & 0xff,
    };
    let k = match rng.below(4) {
        0 => rng.next(),
        1 => rng.below(20).wrapping_neg(),
        _ => rng.below(20),
    };
    Insn { code, jt: rng.below(6) as u8, jf: rng.below(6) as u8, k }
}

/// Verdicts of `bpf_validate` on programs of every kind, and images of every code.
#[test]
fn validation_and_images_are_libpcaps() {
    let mut oracle = Oracle::start();
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let insns: Vec<_> = (0..rng.below(8)).map(|_| random_insn(&mut rng)).collect();
        let theirs = oracle.validate(&super::to_oracle(&insns));
        assert_eq!(bpf::validate(&insns), theirs, "{insns:?}");
    }
    let mut rng = Rng::new(3);
    for code in (0..0x400).chain([0x1000, 0xffff]) {
        for k in [0, 0x8000_0012, 0xffff_f000 + rng.below(70)] {
            let insn = Insn { code, jt: 255, jf: 1, k };
            let index = rng.pick(&[0, 7, 99, 1000, -5, i32::MAX]);
            let [theirs] = super::to_oracle(&[insn])[..] else { unreachable!() };
            assert_eq!(bpf::image(&insn, index).to_string(), oracle.image(theirs, index));
        }
    }
}
