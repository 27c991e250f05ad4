//! Programs made to break a machine.

use super::generate::Rng;
use oracle::Oracle;
use pcap::bpf::{self, Aux, Filter, Insn, Preference, Program};

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
