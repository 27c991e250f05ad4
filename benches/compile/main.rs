//! The filter compiler against the system's libpcap.
//!
//! `cargo bench --bench compile` prints medians over interleaved rounds. `-- everyday`, `-- stages`,
//! `-- lists` or `-- scaling` runs one part; `-- scaling hosts nets` only shapes of such names;
//! `-- stages hosts 10000 100000` shows how each stage grows from one size to the other.

mod scaling;
mod shapes;
mod stages;

use std::hint::black_box;
use std::time::Instant;

use fuzz::filters;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use oracle::{CompileOptions, Oracle};
use pcap::bpf::Insn;
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let [part, shape, n] = &wanted[..]
        && part == scaling::CHILD
    {
        scaling::serve(shape, n.parse().expect("a number of terms"));
        return;
    }
    stay_here();
    let wants = |part: &str| wanted.first().is_none_or(|wanted| wanted == part);
    if wants("everyday") {
        everyday(&mut reference());
    }
    match &wanted[..] {
        [part, shape, small, large] if part == "stages" => {
            let size = |n: &String| n.parse().expect("a number of terms");
            stages::growth(shape, size(small), size(large));
        }
        _ if wants("stages") => stages::everyday(),
        _ => {}
    }
    if wants("lists") {
        lists(&mut reference());
    }
    if wants("scaling") {
        scaling::print(wanted.get(1..).unwrap_or_default());
    }
}

/// Keeps this process, and those that it starts, on the processor that it runs on: one of several may have
/// a busy neighbour.
fn stay_here() {
    let mut here = CpuSet::new();
    let stays = sched_getcpu().and_then(|cpu| here.set(cpu));
    stays.and_then(|()| sched_setaffinity(Pid::from_raw(0), &here)).expect("a processor");
}

fn reference() -> Oracle {
    let mut oracle = Oracle::start();
    println!("\nreference: {}", oracle.version());
    oracle
}

fn ethernet() -> Options {
    Options::new(Dlt(1))
}

fn ours(text: &str) -> Vec<Insn> {
    match compile(black_box(text.as_bytes()), &ethernet(), &NoNames) {
        Ok(program) => program.insns().to_vec(),
        Err(error) => panic!("{}: {error}", &text[..text.len().min(60)]),
    }
}

fn time_ours(text: &str, runs: u32) -> u64 {
    let start = Instant::now();
    for _ in 0..runs {
        black_box(ours(text));
    }
    start.elapsed().as_nanos() as u64 / u64::from(runs)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Medians of libpcap's time, ours and the ratio, in nanoseconds.
fn compare(oracle: &mut Oracle, text: &str, rounds: usize, runs: u32) -> [f64; 3] {
    let mut samples: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        let theirs =
            oracle.bench_compile(text, &CompileOptions::ethernet(), runs) / u64::from(runs);
        let ours = time_ours(text, runs);
        for (list, value) in
            samples.iter_mut().zip([theirs as f64, ours as f64, theirs as f64 / ours as f64])
        {
            list.push(value);
        }
    }
    samples.map(|mut list| median(&mut list))
}

fn everyday(oracle: &mut Oracle) {
    println!("\n## Everyday filters\n");
    println!("| filter | insns libpcap | ours | libpcap µs | ours µs | ratio |");
    println!("|---|---|---|---|---|---|");
    for text in filters::everyday() {
        let theirs = oracle.compile(text, &CompileOptions::ethernet()).expect(text).len();
        let [reference, own, ratio] = compare(oracle, text, 41, 400);
        let shown = text.replace('|', "\\|");
        println!(
            "| `{shown}` | {theirs} | {} | {:.2} | {:.2} | {ratio:.2} |",
            ours(text).len(),
            reference / 1e3,
            own / 1e3
        );
    }
}

fn lists(oracle: &mut Oracle) {
    println!("\n## Lists against libpcap\n");
    println!("| list | insns libpcap | ours | libpcap ms | ours ms | ratio |");
    println!("|---|---|---|---|---|---|");
    for (kind, n, rounds) in [
        ("hosts", 10, 31),
        ("hosts", 100, 9),
        ("hosts", 400, 1),
        ("ports", 10, 31),
        ("ports", 100, 5),
        ("nets", 100, 5),
        ("mixed src/dst", 100, 5),
        ("not (hosts)", 100, 5),
        ("two lists of hosts", 100, 5),
        ("portranges", 100, 5),
        ("Ethernet hosts", 100, 5),
        ("IPv6 hosts", 100, 5),
    ] {
        let text = shapes::filter(kind, n);
        let theirs = oracle.compile(&text, &CompileOptions::ethernet());
        let theirs = theirs.map_or("refused".into(), |program| program.len().to_string());
        let [reference, own, ratio] = compare(oracle, &text, rounds, 1);
        println!(
            "| {n} {kind} | {theirs} | {} | {:.2} | {:.3} | {ratio:.0} |",
            ours(&text).len(),
            reference / 1e6,
            own / 1e6
        );
    }
}
