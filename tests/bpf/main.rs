//! The BPF machine: one set of programs through every engine, and the same verdict from each.

mod burst;
mod generate;
mod hostile;
mod kernel;
mod offline;
#[path = "../support/skip.rs"]
mod skip;
mod table;

use generate::{Generator, Rng};
use oracle::Oracle;
use pcap::bpf::{self, Aux, Burst, Filter, Insn, Preference, Program, op};
use pcap::capi;

/// Runs a program through the engines of this process and checks that they agree.
fn verdict(engines: &Engines, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
    let raw = bpf::interpret(engines.program.insns(), packet, wirelen, aux);
    let (start, len) = (packet.as_ptr(), packet.len() as u32);
    let unsized_program = if *aux == Aux::NONE && is_complete(engines.program.insns()) {
        // SAFETY: all ways through the program end, and the packet has its bytes.
        unsafe { capi::bpf_filter(engines.program.insns().as_ptr(), start, wirelen, len) }
    } else {
        raw
    };
    let cached = if *aux == Aux::NONE {
        bpf::run_cached(engines.program.insns(), packet, wirelen)
    } else {
        raw
    };
    let others = [
        ("cached", cached),
        ("bpf_filter", unsized_program),
        ("decoded", engines.decoded.run(packet, wirelen, aux)),
        ("native", engines.native.run(packet, wirelen, aux)),
    ];
    for (name, other) in others {
        assert_eq!(other, raw, "{name} on {packet:02x?}\n{}", listing(engines.program.insns()));
    }
    raw
}

/// Whether no way leads out of a program, so that it may run without its length.
fn is_complete(insns: &[Insn]) -> bool {
    bpf::check(insns).is_ok()
}

/// One program in all engines of this process.
struct Engines {
    program: Program,
    decoded: Filter,
    native: Filter,
}

impl Engines {
    fn new(insns: &[Insn]) -> Self {
        let program = Program::from_insns(insns);
        let decoded = Filter::with_preference(&program, Preference::Interpreter);
        let native = Filter::with_preference(&program, Preference::Native);
        let jit_off = std::env::var_os("PCAPX_JIT").is_some_and(|value| value == "off");
        let expected = cfg!(target_arch = "x86_64") && !jit_off && program.check().is_ok();
        assert_eq!(native.is_native(), expected);
        assert!(!decoded.is_native());
        Self { program, decoded, native }
    }
}

fn listing(insns: &[Insn]) -> String {
    let mut text = String::new();
    bpf::dump(insns, bpf::DumpStyle::Images, &mut text).expect("strings take anything");
    text
}

fn to_oracle(insns: &[Insn]) -> Vec<oracle::Insn> {
    let each = |&Insn { code, jt, jf, k }: &Insn| oracle::Insn { code, jt, jf, k };
    insns.iter().map(each).collect()
}

/// libpcap leaves to the compiler what a shift by a constant above 31 gives.
fn has_wide_shift(insns: &[Insn]) -> bool {
    insns
        .iter()
        .any(|insn| [op::ALU | op::LSH, op::ALU | op::RSH].contains(&insn.code) && insn.k > 31)
}

/// A million program-packet pairs through the engines of this process, all of them through
/// libpcap's interpreter too.
#[test]
fn random_programs_on_random_packets() {
    const PROGRAMS: u64 = 10_000;
    const PACKETS: usize = 105;
    let mut oracle = Oracle::start();
    let mut accepted = 0u64;
    for seed in 0..PROGRAMS {
        let mut rng = Rng::new(seed);
        let insns = Generator::new(&mut rng).program();
        let engines = Engines::new(&insns);
        assert!(bpf::validate(&insns), "seed {seed}\n{}", listing(&insns));
        let packets: Vec<_> = (0..PACKETS).map(|_| rng.packet()).collect();
        let ours: Vec<u32> = packets
            .iter()
            .map(|(bytes, wirelen)| verdict(&engines, bytes, *wirelen, &Aux::NONE))
            .collect();
        check_burst(&engines, &packets);
        accepted += ours.iter().filter(|&&verdict| verdict != 0).count() as u64;
        if has_wide_shift(&insns) {
            continue;
        }
        let packets: Vec<_> = packets.iter().map(|(bytes, len)| (&bytes[..], *len)).collect();
        let theirs = oracle.filter(&to_oracle(&insns), &packets);
        assert_eq!(ours, theirs, "seed {seed}\n{}", listing(&insns));
    }
    // A generator whose programs all reject would prove little.
    assert!(accepted > PROGRAMS * PACKETS as u64 / 5, "{accepted}");
}

/// Bursts, native and not, accept what single runs accept.
fn check_burst(engines: &Engines, packets: &[(Vec<u8>, u32)]) {
    let starts: Vec<_> = packets.iter().map(|(bytes, _)| bytes.as_ptr()).collect();
    let lens: Vec<_> = packets.iter().map(|(bytes, _)| bytes.len() as u32).collect();
    // SAFETY: addresses and lengths of slices that live.
    let burst = unsafe { Burst::new(&starts, &lens) };
    for filter in [&engines.native, &engines.decoded] {
        let mut mask = [u64::MAX; 3];
        let count = filter.run_burst(burst, &mut mask);
        let mut accepted = 0;
        for bit in 0..192 {
            let expected = packets.get(bit).is_some_and(|(bytes, _)| {
                engines.decoded.run(bytes, bytes.len() as u32, &Aux::NONE) != 0
            });
            accepted += u32::from(expected);
            let got = mask[bit / 64] >> (bit % 64) & 1 == 1;
            assert_eq!(got, expected, "{bit}\n{}", listing(engines.program.insns()));
        }
        assert_eq!(count, accepted);
    }
}

/// Programs that a thread runs again and again, compiled meanwhile, and changed under way.
#[test]
fn cached_programs() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut insns = Generator::new(&mut rng).program();
        for round in 0..3 {
            for _ in 0..28_000 {
                let (packet, wirelen) = rng.packet();
                let expected = bpf::interpret(&insns, &packet, wirelen, &Aux::NONE);
                let cached = bpf::run_cached(&insns, &packet, wirelen);
                assert_eq!(cached, expected, "seed {seed}\n{}", listing(&insns));
            }
            let jit = cfg!(target_arch = "x86_64")
                && std::env::var_os("PCAPX_JIT").is_none_or(|value| value != "off");
            if jit && round == 0 {
                assert!(bpf::is_cached_native(&insns), "seed {seed}: native by now");
            }
            let at = rng.below(insns.len() as u32) as usize;
            insns[at] = Insn::stmt(0x06, rng.next());
        }
    }
}

/// Loops: `protochain` makes them, and fuel ends those that do not end.
#[test]
fn loops_agree() {
    let mut oracle = Oracle::start();
    let options = oracle::CompileOptions { optimize: false, ..oracle::CompileOptions::ethernet() };
    for filter in ["ip6 protochain 6", "ip protochain 17", "protochain 50"] {
        let theirs = oracle.compile(filter, &options).expect(filter);
        let insns: Vec<_> =
            theirs.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
        assert!(bpf::has_backward_jump(&insns), "{filter}");
        let engines = Engines::new(&insns);
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let packet = rng.extension_headers();
            let ours = verdict(&engines, &packet, packet.len() as u32, &Aux::NONE);
            let theirs = oracle.filter(&theirs, &[(&packet, packet.len() as u32)]);
            assert_eq!(vec![ours], theirs, "{filter} on {packet:02x?}");
        }
    }
    let endless = [Insn::stmt(0x05, u32::MAX), Insn::stmt(0x06, 1)];
    assert_eq!(verdict(&Engines::new(&endless), &[], 0, &Aux::NONE), 0);
}

/// Ancillary values are the same in every engine, supplied or not.
#[test]
fn ancillary_loads_agree() {
    let mut rng = Rng::new(7);
    for offset in 0..=68 {
        let load = Insn::stmt(rng.pick(&[0x20, 0x28, 0x30]), bpf::ANCILLARY_OFFSET + offset);
        let engines = Engines::new(&[load, Insn::stmt(0x04, 1), Insn::stmt(0x16, 0)]);
        let mut aux = Aux::NONE;
        assert_eq!(verdict(&engines, &[1; 60], 60, &aux), 0);
        aux.set_vlan(Some(0xffff));
        let aux = aux
            .with(bpf::Ancillary::IfIndex, 5)
            .with(bpf::Ancillary::Protocol, 0x86dd)
            .with(bpf::Ancillary::VlanTpid, 0x88a8);
        let expected = match offset {
            0 => 0x86de,
            8 => 6,
            44 => 0x1_0000,
            48 => 2,
            60 => 0x88a9,
            _ => 0,
        };
        assert_eq!(verdict(&engines, &[1; 60], 60, &aux), expected, "{offset}");
    }
}

/// A filter that starts interpreted gives the same verdicts before and after it is compiled.
#[test]
fn adaptive_filters_change_engines_unseen() {
    let mut rng = Rng::new(11);
    let insns = Generator::new(&mut rng).program();
    let filter = Filter::new(&Program::from_insns(&insns[..]));
    let packets: Vec<_> = (0..3000).map(|_| rng.packet()).collect();
    assert!(!filter.is_native());
    for (bytes, wirelen) in &packets {
        let expected = bpf::interpret(&insns, bytes, *wirelen, &Aux::NONE);
        assert_eq!(filter.run(bytes, *wirelen, &Aux::NONE), expected);
    }
    let jit_off = std::env::var_os("PCAPX_JIT").is_some_and(|value| value == "off");
    assert_eq!(filter.is_native(), cfg!(target_arch = "x86_64") && !jit_off);
}
