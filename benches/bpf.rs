//! Running filters: this library's engines against the system's libpcap, interleaved.
//!
//! `cargo bench --bench bpf` prints, for each filter and packet mix, the median over rounds of
//! nanoseconds a packet and of the ratio to libpcap's `pcap_offline_filter` in the same round.

use oracle::{CompileOptions, Oracle};
use pcap::bpf::{self, Aux, Burst, Filter, Insn, Preference, Program};
use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

const FILTERS: [&str; 7] = [
    "tcp",
    "port 8888",
    "tcp port 80 and host 1.2.3.4",
    "host 10.0.0.1 and not port 22",
    "net 192.168.0.0/16 or net 10.0.0.0/8",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 127.0.0.0/8",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
];

type Engine<'a> = dyn Fn(&[Vec<u8>]) -> u64 + 'a;

const ROUNDS: usize = 101;
/// Packets in one measurement.
const PACKETS: usize = 20_000;

fn main() {
    let mut oracle = Oracle::start();
    for (mix, packets) in [("64-byte", small()), ("mixed", mixed())] {
        println!("\n## {mix} packets, ns/packet (ratio to libpcap)\n");
        let columns = [
            "filter",
            "insns",
            "libpcap",
            "bpf_filter",
            "decoded",
            "offline_filter",
            "prepared",
            "burst",
        ];
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
        for filter in FILTERS {
            compare(&mut oracle, filter, &packets);
        }
    }
    compile_times(&mut oracle);
}

fn compile(oracle: &mut Oracle, filter: &str) -> (Vec<oracle::Insn>, Vec<Insn>) {
    let theirs = oracle.compile(filter, &CompileOptions::ethernet()).expect(filter);
    let ours = theirs.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    (theirs, ours)
}

fn compare(oracle: &mut Oracle, filter: &str, packets: &[Vec<u8>]) {
    let (theirs, insns) = compile(oracle, filter);
    let program = Program::from_insns(&insns[..]);
    let decoded = Filter::with_preference(&program, Preference::Interpreter);
    let native = Filter::with_preference(&program, Preference::Native);
    let views: Vec<_> = packets.iter().map(|p| (&p[..], p.len() as u32)).collect();
    let rounds = (PACKETS / packets.len()) as u32;
    let starts: Vec<_> = packets.iter().map(|p| p.as_ptr()).collect();
    let lens: Vec<_> = packets.iter().map(|p| p.len() as u32).collect();
    let mask = RefCell::new(vec![0u64; packets.len().div_ceil(64)]);
    // SAFETY: addresses and lengths of packets that live.
    let burst = unsafe { Burst::new(&starts, &lens) };
    let mut samples: [Vec<(f64, f64)>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let (ns, accepted) = oracle.bench_filter(&theirs, &views, rounds);
        let reference = ns as f64 / f64::from(rounds) / packets.len() as f64;
        let engines: [&Engine<'_>; 5] = [
            &|p| sum(p, |p, n| bpf::interpret_unsized(|pc| &insns[pc], p, n, &Aux::NONE)),
            &|p| sum(p, |p, n| decoded.run(p, n, &Aux::NONE)),
            &|p| sum(p, |p, n| bpf::run_cached(black_box(&insns), p, n)),
            &|p| sum(p, |p, n| native.run(p, n, &Aux::NONE)),
            &|_| native.run_burst(burst, &mut mask.borrow_mut()).into(),
        ];
        samples[0].push((reference, 1.0));
        for (engine, samples) in engines.iter().zip(&mut samples[1..]) {
            let (ns, ours) = time(rounds, packets, engine);
            assert_eq!(ours, accepted, "{filter}");
            samples.push((ns, reference / ns));
        }
    }
    let cells: Vec<_> = samples.iter().map(|samples| cell(samples)).collect();
    println!("| `{filter}` | {} | {} |", insns.len(), cells.join(" | "));
}

fn sum(packets: &[Vec<u8>], mut run: impl FnMut(&[u8], u32) -> u32) -> u64 {
    packets.iter().map(|p| u64::from(run(p, p.len() as u32) != 0)).sum()
}

/// Nanoseconds a packet, and how many were accepted in all.
fn time(rounds: u32, packets: &[Vec<u8>], engine: &Engine<'_>) -> (f64, u64) {
    // Both sides start with a fresh time slice: on a busy machine that keeps others out.
    std::thread::sleep(Duration::from_micros(300));
    let start = Instant::now();
    let accepted = (0..rounds).map(|_| engine(black_box(packets))).sum();
    let ns = start.elapsed().as_nanos() as f64;
    (ns / f64::from(rounds) / packets.len() as f64, accepted)
}

fn cell(samples: &[(f64, f64)]) -> String {
    let ns = median(samples.iter().map(|s| s.0));
    let ratio = median(samples.iter().map(|s| s.1));
    format!("{ns:.1} ({ratio:.1}x)")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What preparing costs, and after how many packets native code has paid for itself.
fn compile_times(oracle: &mut Oracle) {
    println!("\n## preparing a filter\n");
    println!("| filter | decode, µs | compile, µs | pays after packets |");
    println!("|---|---|---|---|");
    let packets = small();
    for filter in FILTERS {
        let (_, insns) = compile(oracle, filter);
        let program = Program::from_insns(&insns[..]);
        let cost = |preference| {
            median((0..301).map(|_| {
                let start = Instant::now();
                black_box(Filter::with_preference(&program, preference));
                start.elapsed().as_nanos() as f64 / 1000.0
            }))
        };
        let (decode, native) = (cost(Preference::Interpreter), cost(Preference::Native));
        let run = |preference| {
            let filter = Filter::with_preference(&program, preference);
            let engine = |p: &[Vec<u8>]| sum(p, |p, n| filter.run(p, n, &Aux::NONE));
            median((0..ROUNDS).map(|_| time(200, &packets, &engine).0))
        };
        let saved = run(Preference::Interpreter) - run(Preference::Native);
        let compile = native - decode;
        println!("| `{filter}` | {decode:.1} | {compile:.1} | {:.0} |", compile * 1000.0 / saved);
    }
}

/// 64-byte TCP and UDP packets from a few hosts and ports.
fn small() -> Vec<Vec<u8>> {
    (0..100).map(|n| ethernet(n, 64)).collect()
}

fn mixed() -> Vec<Vec<u8>> {
    (0..1000).map(|n| ethernet(n * 7 + n / 3, [64, 64, 128, 576, 1500, 60][n % 6])).collect()
}

fn ethernet(n: usize, len: usize) -> Vec<u8> {
    let protocol = [6, 6, 17, 6, 1][n % 5];
    let host = [[1, 2, 3, 4], [10, 0, 0, 1], [192, 168, 1, 7], [8, 8, 8, 8]][n % 4];
    let port = [80u16, 443, 8888, 22, 53, 5060][n % 6];
    let mut packet = vec![2; 12];
    match n % 11 {
        0 => packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, protocol, 64]),
        1 => packet.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]),
        _ => {
            packet.extend([8, 0, 0x45, 0]);
            packet.extend(((len - 14) as u16).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 172, 16, 0, 9]);
            packet.extend(host);
            packet.extend(40_000u16.to_be_bytes());
            packet.extend(port.to_be_bytes());
            packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, [2, 0x10, 0x18][n % 3], 0, 0]);
        }
    }
    packet.resize(len, 0);
    packet
}
