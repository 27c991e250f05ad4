//! All engines give the same verdicts: this library's interpreter and JIT, DPDK's interpreter,
//! and DPDK's JIT where it is let.

use crate::eal::{Wanted, ensure};
use crate::ffi::{self, OxFilter};
use crate::{native, verifier};
use oxpcap_plugin::EbpfInsn;
use pcap::bpf::{Aux, Filter, Preference, Program, Target, to_ebpf};
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

/// Fewer than are let: loading a program takes DPDK up to a second then.
const PATHS: f64 = 5_000.0;

enum Mbuf {}

#[link(name = "pcap_dpdk_testing", kind = "static")]
unsafe extern "C" {
    fn ox_test_packet(bytes: *const u8, len: u32, segment: u32) -> *mut Mbuf;
    fn ox_test_segments(packet: *const Mbuf) -> u32;
}
unsafe extern "C" {
    fn ox_filter_run(
        filter: *const OxFilter,
        packets: *const *mut Mbuf,
        verdicts: *mut u64,
        count: u32,
    );
    fn ox_filter_free(filter: *mut OxFilter);
}

/// A small generator of numbers; the same ones each run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// One condition of a kind that people write.
fn term(rng: &mut Rng) -> String {
    let (a, b, c) = (rng.below(256), rng.below(256), rng.below(65_536));
    let side = rng.pick(&["", "src ", "dst "]);
    let way = rng.pick(&["=", "!=", ">", "<", ">=", "<="]);
    let size = rng.pick(&["1", "2", "4"]);
    let header = rng.pick(&["ip", "tcp", "udp", "icmp", "ether", "ip6"]);
    let operator = rng.pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
    match rng.below(20) {
        0 => format!("{side}host 10.0.{}.{}", a % 4, b % 8),
        1 => format!("{side}net 10.0.{}.0/{}", a % 4, 20 + b % 5),
        2 => format!("{side}port {}", [80, 443, 53, 22, 8888, c][a % 6]),
        3 => format!("{} {side}port {}", rng.pick(&["tcp", "udp"]), [80, 443, 53][a % 3]),
        4 => format!("{side}portrange {}-{}", c.min(40_000), c.min(40_000) + a),
        5 => rng.pick(&["tcp", "udp", "icmp", "arp", "ip", "ip6", "icmp6", "vlan", "mpls"]).into(),
        6 => rng
            .pick(&[
                "tcp[tcpflags] & tcp-syn != 0",
                "tcp[13]=2",
                "icmp[icmptype]=icmp-echo",
                "ip[6:2] & 0x1fff = 0",
                "ether broadcast",
                "ip multicast",
            ])
            .into(),
        7 => format!("{header}[{}:{size}] {way} {c}", a % 60),
        8 => format!("{header}[{}:{size}] & 0x{c:x} {way} 0", a % 40),
        9 => format!("{header}[{header}[{}] & 0x3f] {way} {b}", a % 24),
        10 => format!("len {way} {}", a * 6),
        11 => format!("greater {c}"),
        12 => format!("ether {side}host 02:00:00:00:{:02x}:{:02x}", a % 4, b % 4),
        13 => format!("ip proto {}", [1, 6, 17, 47, 50][a % 5]),
        14 => format!("ether[{}:{size}] {operator} {} {way} {c}", a % 60, b.max(1)),
        15 => format!("ip[{}] {operator} ip[{}] {way} {b}", a % 20, b % 20),
        16 => format!("vlan {} and {side}port 80", a % 5),
        17 => format!("ip6 {side}net 2001:db8:{:x}::/48", a % 4),
        18 => format!("ether proto 0x{:x}", [0x800, 0x806, 0x86dd, 0x8100][a % 4]),
        _ => format!("tcp[{}:4] = 0x{:08x}", a % 24, (c as u32) << 16 | c as u32),
    }
}

fn filter_text(rng: &mut Rng) -> String {
    let mut text = term(rng);
    for _ in 0..rng.below(7) {
        let next = term(rng);
        let not = rng.pick(&["", "", "not "]);
        text = match rng.below(3) {
            0 => format!("({text}) and {not}({next})"),
            1 => format!("({text}) or {not}({next})"),
            _ => format!("{not}({text}) or ({next})"),
        };
    }
    text
}

fn program(text: &str, optimize: bool) -> Option<Program> {
    let options = Options { netmask: Some(0xffff_ff00), optimize, ..Options::new(Dlt::EN10MB) };
    compile(text.as_bytes(), &options, &NoNames).ok()
}

/// Filters of the accept data, then generated ones, optimized and not.
fn programs(count: usize) -> Vec<(String, Program)> {
    let data = include_str!("../../tests/conformance/accept.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
    let mut texts: Vec<String> = Vec::new();
    for case in cases.iter().filter(|case| case["DLT"] == "EN10MB") {
        let filters = case["filters"].as_array().unwrap();
        texts.extend(filters.iter().map(|text| text.as_str().unwrap().to_owned()));
    }
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let mut programs = Vec::new();
    while programs.len() < count {
        let text = texts.pop().unwrap_or_else(|| filter_text(&mut rng));
        for optimize in [true, false] {
            programs.extend(program(&text, optimize).map(|p| (text.clone(), p)));
        }
    }
    programs
}

/// Packets of a savefile with microsecond stamps in this machine's byte order.
fn file_packets(file: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let mut packets = Vec::new();
    let mut at = 24;
    while at + 16 <= file.len() {
        let len = word(at + 8);
        packets.push(file[at + 16..at + 16 + len].to_vec());
        at += 16 + len;
    }
    packets
}

/// Sixty packets: of a file with many protocols, some cut anywhere, and random bytes.
fn packets() -> Vec<Vec<u8>> {
    let all = file_packets(include_bytes!("../../tests/clients/data/mixed.pcap"));
    let mut rng = Rng(77);
    (0..60)
        .map(|n| {
            let mut packet = all[n * all.len() / 60].clone();
            match n % 4 {
                2 => packet.truncate(1 + rng.below(packet.len())),
                3 => {
                    for _ in 0..4 {
                        let at = rng.below(packet.len().min(60));
                        packet[at] = rng.below(256) as u8;
                    }
                }
                _ => {}
            }
            packet
        })
        .collect()
}

fn mbufs(packets: &[Vec<u8>]) -> Vec<*mut Mbuf> {
    let mut rng = Rng(5);
    let mut several = 0;
    let mbufs = packets
        .iter()
        .enumerate()
        .map(|(n, packet)| {
            let segment = if n % 3 == 0 { 2000 } else { 1 + rng.below(40) as u32 };
            // SAFETY: the packet's own bytes.
            let mbuf = unsafe { ox_test_packet(packet.as_ptr(), packet.len() as u32, segment) };
            assert!(!mbuf.is_null());
            // SAFETY: just made.
            several += u32::from(unsafe { ox_test_segments(mbuf) } > 1);
            mbuf
        })
        .collect();
    assert!(several > 20);
    mbufs
}

fn load(ebpf: &[EbpfInsn], native_size: usize) -> Result<*mut OxFilter, i32> {
    let mut filter = std::ptr::null_mut();
    // SAFETY: the program is read during the call.
    match unsafe { ffi::ox_filter_load(ebpf.as_ptr(), ebpf.len() as u32, native_size, &mut filter) }
    {
        0 => Ok(filter),
        rc => Err(rc),
    }
}

/// Verdicts of DPDK's machine.
fn run(filter: *mut OxFilter, mbufs: &[*mut Mbuf]) -> Vec<u32> {
    let mut verdicts = vec![0u64; mbufs.len()];
    // SAFETY: a loaded filter, valid packets, room for the verdicts; freed once.
    unsafe {
        ox_filter_run(filter, mbufs.as_ptr(), verdicts.as_mut_ptr(), mbufs.len() as u32);
        ox_filter_free(filter);
    }
    verdicts.iter().map(|&v| v as u32).collect()
}

#[test]
fn engines_agree() {
    let _alone = crate::leaks::ALONE.lock().unwrap_or_else(|e| e.into_inner());
    ensure(&Wanted::Primary { pci: false }).unwrap();
    let packets = packets();
    let mbufs = mbufs(&packets);
    let programs = programs(4_000);
    let (mut native, mut refused, mut accepted, mut slow) = (0, 0, 0u64, 0);
    for (text, program) in &programs {
        let interpreted = Filter::with_preference(program, Preference::Interpreter);
        let compiled = Filter::with_preference(program, Preference::Native);
        let mut aux = Aux::NONE;
        aux.set_vlan(None);
        let verdicts = |filter: &Filter| -> Vec<u32> {
            packets.iter().map(|p| filter.run(p, p.len() as u32, &aux)).collect()
        };
        let expected = verdicts(&interpreted);
        assert_eq!(verdicts(&compiled), expected, "this library's JIT: {text}");
        accepted += expected.iter().filter(|&&v| v != 0).count() as u64;
        let ebpf: Vec<EbpfInsn> = to_ebpf(program.insns(), Target::Dpdk)
            .unwrap_or_else(|error| panic!("{error}: {text}"))
            .iter()
            .map(|i| EbpfInsn { code: i.code, regs: i.registers, off: i.off, imm: i.imm })
            .collect();
        if verifier::paths(&ebpf) > PATHS {
            slow += 1;
            continue;
        }
        let filter = load(&ebpf, 0).unwrap_or_else(|rc| panic!("rte_bpf refuses ({rc}): {text}"));
        assert_eq!(run(filter, &mbufs), expected, "rte_bpf: {text}");
        match native::size(&ebpf) {
            Ok(size) => {
                native += 1;
                let filter = load(&ebpf, size).unwrap_or_else(|rc| {
                    panic!("rte_bpf's JIT, {size} bytes foreseen ({rc}): {text}")
                });
                assert_eq!(run(filter, &mbufs), expected, "rte_bpf's JIT: {text}");
            }
            Err(_) => refused += 1,
        }
    }
    println!(
        "{} programs, {accepted} packets accepted, DPDK's JIT: {native} run, {refused} refused; {slow} left out as slow",
        programs.len()
    );
    assert!(accepted > 10_000 && native > 3_000);
}
