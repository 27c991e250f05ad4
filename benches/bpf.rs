//! Running filters: this library's engines against the system's libpcap, interleaved.
//!
//! `cargo bench --bench bpf` prints, for each filter and packet mix, the median over rounds of
//! nanoseconds a packet and of the ratio to libpcap's `pcap_offline_filter` in the same round.
//! Arguments choose: a part (`flow`, `varied`, `mixed`, `preparing`, `short-lived`), an engine's
//! column (`prepared`), or words that a filter must contain (`"port 8888"`).

#[path = "bpf/packets.rs"]
mod packets;

use fuzz::filters::everyday;
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Aux, Filter, Insn, Preference, Program};
use pcap::capi;
use std::hint::black_box;
use std::time::Instant;

const PARTS: [&str; 5] = ["flow", "varied", "mixed", "preparing", "short-lived"];
const ENGINES: [&str; 5] = ["bpf_filter", "decoded", "offline_filter", "prepared", "burst"];

const ROUNDS: usize = 101;
/// Packets in one measurement.
const PACKETS: usize = 20_000;
/// Packets in one burst.
const BURST: usize = 64;

/// What was asked for on the command line; all where nothing was.
struct Wanted(Vec<String>);

impl Wanted {
    fn part(&self, name: &str) -> bool {
        self.one_of(&PARTS, name)
    }

    fn engine(&self, name: &str) -> bool {
        self.one_of(&ENGINES, name)
    }

    fn one_of(&self, names: &[&str], name: &str) -> bool {
        self.0.iter().any(|w| w == name) || !self.0.iter().any(|w| names.contains(&&w[..]))
    }

    fn filters(&self) -> impl Iterator<Item = &'static str> {
        let is_name = |word: &&String| PARTS.contains(&&word[..]) || ENGINES.contains(&&word[..]);
        let words: Vec<_> = self.0.iter().filter(|word| !is_name(word)).cloned().collect();
        everyday().filter(move |filter| {
            words.is_empty()
                || words.iter().any(|w| w == filter || (w != "tcp" && filter.contains(w)))
        })
    }
}

fn main() {
    let wanted = Wanted(std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect());
    let mut oracle = Oracle::start();
    let mixes = [
        ("flow", "64-byte packets of one flow", packets::flow()),
        ("varied", "64-byte packets of many kinds", packets::varied()),
        ("mixed", "packets of many kinds and sizes", packets::mixed()),
    ];
    for (_, title, packets) in mixes.iter().filter(|mix| wanted.part(mix.0)) {
        println!("\n## {title}, ns/packet (ratio to libpcap)\n");
        let engines: Vec<_> = ENGINES.into_iter().filter(|name| wanted.engine(name)).collect();
        println!("| filter | insns | accepts | libpcap | {} |", engines.join(" | "));
        println!("|{}", "---|".repeat(engines.len() + 4));
        for filter in wanted.filters() {
            compare(&mut oracle, filter, packets, &engines);
        }
    }
    if wanted.part("preparing") {
        preparing(&mut oracle, &wanted);
    }
    if wanted.part("short-lived") {
        short_lived(&mut oracle, &wanted);
    }
}

/// libpcap's program, for either library.
fn compile(oracle: &mut Oracle, filter: &str) -> (Vec<oracle::Insn>, Vec<Insn>) {
    let theirs = oracle.compile(filter, &CompileOptions::ethernet()).expect(filter);
    let ours = theirs.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    (theirs, ours)
}

fn c_program(insns: &[Insn]) -> capi::bpf_program {
    capi::bpf_program { bf_len: insns.len() as u32, bf_insns: insns.as_ptr().cast_mut() }
}

/// Packets as a C program has them.
struct Packets {
    headers: Vec<(capi::pcap_pkthdr, *const u8)>,
    starts: Vec<*const u8>,
    lens: Vec<u32>,
}

// SAFETY: the packets are only read.
unsafe impl Sync for Packets {}

impl Packets {
    fn new(packets: &[Vec<u8>]) -> Self {
        let lens: Vec<_> = packets.iter().map(|p| p.len() as u32).collect();
        let starts: Vec<_> = packets.iter().map(|p| p.as_ptr()).collect();
        let header = |&len| capi::pcap_pkthdr { caplen: len, len, ..capi::pcap_pkthdr::ZERO };
        let headers = lens.iter().map(header).zip(starts.iter().copied()).collect();
        Self { headers, starts, lens }
    }
}

type RawFn = unsafe extern "C" fn(*const Insn, *const u8, u32, u32) -> u32;
type OfflineFn = unsafe extern "C" fn(
    *const capi::bpf_program,
    *const capi::pcap_pkthdr,
    *const u8,
) -> std::ffi::c_int;
type PreparedFn = unsafe extern "C" fn(*const capi::pcapx_filter, *const u8, u32, u32) -> u32;

/// A program in every engine.
struct Engines<'a> {
    program: capi::bpf_program,
    decoded: &'a Filter,
    prepared: *mut capi::pcapx_filter,
}

impl Engines<'_> {
    /// Runs one engine over all packets, as a C program would; how many it accepts.
    fn run(&self, engine: &str, packets: &Packets) -> u64 {
        let accepted = |run: &dyn Fn(&capi::pcap_pkthdr, *const u8) -> u32| -> u64 {
            packets.headers.iter().map(|(h, p)| u64::from(run(h, *p) != 0)).sum()
        };
        // SAFETY: the program, the filter and the packets live.
        unsafe {
            match engine {
                "bpf_filter" => {
                    let run: RawFn = black_box(capi::bpf_filter);
                    let insns: *const Insn = self.program.bf_insns.cast();
                    let all = packets.headers.iter();
                    all.map(|(h, p)| u64::from(run(insns, *p, h.len, h.caplen) != 0)).sum()
                }
                "decoded" => accepted(&|h, p| {
                    let packet = std::slice::from_raw_parts(p, h.caplen as usize);
                    self.decoded.run(packet, h.len, &Aux::NONE)
                }),
                "offline_filter" => {
                    let run: OfflineFn = black_box(capi::pcap_offline_filter);
                    let all = packets.headers.iter();
                    all.map(|(h, p)| u64::from(run(&self.program, h, *p) != 0)).sum()
                }
                "prepared" => {
                    let run: PreparedFn = black_box(capi::pcapx_filter_run);
                    let filter = self.prepared.cast_const();
                    let all = packets.headers.iter();
                    all.map(|(h, p)| u64::from(run(filter, *p, h.caplen, h.len) != 0)).sum()
                }
                _ => bursts(self.prepared, packets),
            }
        }
    }
}

/// # Safety
/// `filter` is one, the packets live.
unsafe fn bursts(filter: *const capi::pcapx_filter, packets: &Packets) -> u64 {
    let mut mask = [0; BURST.div_ceil(64)];
    let bursts = packets.starts.chunks(BURST).zip(packets.lens.chunks(BURST));
    let each = |(starts, lens): (&[*const u8], &[u32])| {
        let n = starts.len() as u32;
        // SAFETY: as the caller vouches.
        unsafe {
            capi::pcapx_filter_run_burst(
                filter,
                starts.as_ptr(),
                lens.as_ptr(),
                n,
                mask.as_mut_ptr(),
            )
        }
    };
    bursts.map(each).map(u64::from).sum()
}

fn compare(oracle: &mut Oracle, filter: &str, packets: &[Vec<u8>], names: &[&str]) {
    let (theirs, insns) = compile(oracle, filter);
    let decoded =
        Filter::with_preference(&Program::from_insns(&insns[..]), Preference::Interpreter);
    let program = c_program(&insns);
    // SAFETY: a program, whose instructions live.
    let prepared = unsafe { capi::pcapx_filter_create(&program) };
    let engines = Engines { program, decoded: &decoded, prepared };
    let views: Vec<_> = packets.iter().map(|p| (&p[..], p.len() as u32)).collect();
    let prepared_packets = Packets::new(packets);
    let rounds = (PACKETS / packets.len()) as u32;
    let mut samples = vec![Vec::new(); 1 + names.len()];
    let mut accepts = 0;
    for _ in 0..ROUNDS {
        let (ns, accepted) = oracle.bench_filter(&theirs, &views, rounds, true);
        let reference = ns as f64 / f64::from(rounds) / packets.len() as f64;
        samples[0].push((reference, 1.0));
        accepts = accepted * 100 / (packets.len() as u64 * u64::from(rounds));
        for (name, samples) in names.iter().zip(&mut samples[1..]) {
            let (ns, ours) = time(rounds, || engines.run(name, black_box(&prepared_packets)));
            assert_eq!(ours, accepted, "{filter}");
            let ns = ns / packets.len() as f64;
            samples.push((ns, reference / ns));
        }
    }
    // SAFETY: made above, not used any more.
    unsafe { capi::pcapx_filter_free(prepared) };
    let cells: Vec<_> = samples[1..].iter().map(|samples| cell(samples)).collect();
    let reference = median(samples[0].iter().map(|s| s.0));
    let filter = filter.replace('|', "\\|");
    println!(
        "| `{filter}` | {} | {accepts} % | {reference:.1} | {} |",
        insns.len(),
        cells.join(" | ")
    );
}

/// Nanoseconds a round, and the sum over all rounds.
fn time(rounds: u32, mut run: impl FnMut() -> u64) -> (f64, u64) {
    // As the oracle does: what the processor learns and powers up is there when time starts.
    (0..rounds).for_each(|_| {
        run();
    });
    let start = Instant::now();
    let sum = (0..rounds).map(|_| run()).sum();
    (start.elapsed().as_nanos() as f64 / f64::from(rounds), sum)
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
fn preparing(oracle: &mut Oracle, wanted: &Wanted) {
    println!("\n## preparing a filter\n");
    println!("| filter | decode, µs | compile, µs | pays after packets | with a burst, µs |");
    println!("|---|---|---|---|---|");
    let packets = packets::varied();
    let accepted = |filter: &Filter| -> u64 {
        let run = |p: &Vec<u8>| u64::from(filter.run(p, p.len() as u32, &Aux::NONE) != 0);
        packets.iter().map(run).sum()
    };
    for filter in wanted.filters() {
        let (_, insns) = compile(oracle, filter);
        let program = Program::from_insns(&insns[..]);
        let cost = |preference, with_burst: bool| {
            median((0..301).map(|_| {
                let start = Instant::now();
                let filter = black_box(Filter::with_preference(&program, preference));
                if with_burst {
                    let (starts, lens) = ([packets[0].as_ptr()], [packets[0].len() as u32]);
                    // SAFETY: address and length of a packet that lives.
                    let burst = unsafe { pcap::bpf::Burst::new(&starts, &lens) };
                    black_box(filter.run_burst(burst, &mut [0]));
                }
                start.elapsed().as_nanos() as f64 / 1000.0
            }))
        };
        let (decode, native) =
            (cost(Preference::Interpreter, false), cost(Preference::Native, false));
        let run = |preference| {
            let filter = Filter::with_preference(&program, preference);
            median((0..ROUNDS).map(|_| time(20, || accepted(&filter)).0)) / packets.len() as f64
        };
        let saved = run(Preference::Interpreter) - run(Preference::Native);
        let compile = native - decode;
        let pays = compile * 1000.0 / saved;
        let burst = cost(Preference::Native, true);
        println!("| `{filter}` | {decode:.1} | {compile:.1} | {pays:.0} | {burst:.1} |");
    }
}

/// Programs that see few packets: everything from the program to its last verdict.
fn short_lived(oracle: &mut Oracle, wanted: &Wanted) {
    const RUNS: [usize; 5] = [1, 10, 100, 1000, 10_000];
    println!("\n## a filter that runs N times, µs with everything (ratio to libpcap)\n");
    println!("| filter | engine | {} |", RUNS.map(|n| format!("N = {n}")).join(" | "));
    println!("|{}", "---|".repeat(RUNS.len() + 2));
    let packets = packets::varied();
    for filter in wanted.filters() {
        let (theirs, insns) = compile(oracle, filter);
        let mut cells = [const { Vec::new() }; 2];
        for runs in RUNS {
            let packets: Vec<_> = packets.iter().cycle().take(runs).cloned().collect();
            let views: Vec<_> = packets.iter().map(|p| (&p[..], p.len() as u32)).collect();
            let prepared = Packets::new(&packets);
            let mut samples = [const { Vec::new() }; 2];
            for _ in 0..ROUNDS {
                let reference = oracle.bench_filter(&theirs, &views, 1, false).0 as f64 / 1000.0;
                for (engine, samples) in
                    [offline_once as fn(&[Insn], &Packets) -> f64, adaptive_once]
                        .iter()
                        .zip(&mut samples)
                {
                    let ns = engine(&insns, &prepared) / 1000.0;
                    samples.push((ns, reference / ns));
                }
            }
            for (cells, samples) in cells.iter_mut().zip(&samples) {
                cells.push(cell(samples));
            }
        }
        for (engine, cells) in ["pcap_offline_filter", "pcap_setfilter's"].iter().zip(&cells) {
            println!("| `{filter}` | {engine} | {} |", cells.join(" | "));
        }
    }
}

/// `pcap_offline_filter` on a program that its thread has never seen.
fn offline_once(insns: &[Insn], packets: &Packets) -> f64 {
    let run = || {
        let program = c_program(insns);
        let start = Instant::now();
        for (header, packet) in &packets.headers {
            // SAFETY: program, header and packet live.
            black_box(unsafe { capi::pcap_offline_filter(&program, header, *packet) });
        }
        start.elapsed().as_nanos() as f64
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

/// A filter as a handle has it: made, run, dropped.
fn adaptive_once(insns: &[Insn], packets: &Packets) -> f64 {
    let start = Instant::now();
    let filter = Filter::new(&Program::from_insns(insns));
    for (header, packet) in &packets.headers {
        // SAFETY: a packet that lives.
        let packet = unsafe { std::slice::from_raw_parts(*packet, header.caplen as usize) };
        black_box(filter.run(packet, header.len, &Aux::NONE));
    }
    drop(filter);
    start.elapsed().as_nanos() as f64
}
