//! The filter compiler against the system's libpcap.
//!
//! `cargo bench --bench compile` prints medians over interleaved rounds. `-- everyday`, `-- stages`,
//! `-- lists` or `-- scaling` runs one part; `-- scaling hosts nets` only shapes of such names;
//! `-- stages hosts 10000 100000` shows how each stage grows from one size to the other.

mod shapes;
mod stages;

use std::hint::black_box;
use std::time::Instant;

use fuzz::filters;
use oracle::{CompileOptions, Oracle};
use pcap::bpf::Insn;
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let [part, kind, n] = &wanted[..]
        && part == "peak"
    {
        print_peak(kind, n);
        return;
    }
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
        scaling(wanted.get(1..).unwrap_or_default());
    }
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

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// How time, size and memory grow, for the shapes whose names contain one of `only`.
fn scaling(only: &[String]) {
    println!("\n## Growth\n");
    println!("| shape | terms | insns | longest path | ms | times the tenth | peak MiB |");
    println!("|---|---|---|---|---|---|---|");
    let wanted = |name: &&str| only.is_empty() || only.iter().any(|part| name.contains(&**part));
    for name in shapes::names().filter(wanted) {
        let text = shapes::filter(name, SIZES[0]);
        let mut samples: Vec<f64> = (0..99).map(|_| time_ours(&text, 1) as f64).collect();
        print_size(name, SIZES[0], median(&mut samples), String::new());
        for pair in SIZES.windows(2) {
            let [time, growth] = grow(name, pair[0], pair[1]);
            print_size(name, pair[1], time, format!("{growth:.1}"));
        }
    }
}

/// Time of the larger of two sizes, in nanoseconds, and how many times the smaller's it is: median of
/// rounds in which either takes about as long, so that a slow moment of the machine meets both.
fn grow(name: &str, small: usize, large: usize) -> [f64; 2] {
    const ROUND: u64 = 20_000_000;
    const PAIR: u64 = 800_000_000;
    const SLOW: u64 = 2_000_000_000;
    let texts = [small, large].map(|n| shapes::filter(name, n));
    time_ours(&texts[0], 1);
    let few = time_ours(&texts[0], 1);
    let many = time_ours(&texts[1], 1);
    if many > SLOW {
        return [many as f64, many as f64 / few as f64];
    }
    let runs = (ROUND / many).clamp(1, 100) as u32;
    let more = (runs * (many / few).clamp(1, 10) as u32).div_ceil(2);
    let rounds = (PAIR / (2 * u64::from(runs) * many)).clamp(3, 15);
    let mut samples: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        // Half before and half after: what gets slower in between cancels out.
        let before = time_ours(&texts[0], more);
        let time = time_ours(&texts[1], runs) as f64;
        let after = time_ours(&texts[0], more);
        samples[0].push(time);
        samples[1].push(time / ((before + after) as f64 / 2.0));
    }
    samples.map(|mut list| median(&mut list))
}

fn print_size(name: &str, n: usize, time: f64, growth: String) {
    let program = ours(&shapes::filter(name, n));
    println!(
        "| {name} | {n} | {} | {} | {:.2} | {growth} | {:.1} |",
        program.len(),
        longest_path(&program),
        time / 1e6,
        peak(name, n)
    );
}

/// Most instructions that one packet can execute.
fn longest_path(program: &[Insn]) -> usize {
    let insn = |i: &Insn| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    fuzz::longest_path(&program.iter().map(insn).collect::<Vec<_>>())
}

/// Peak memory of a process that compiles the filter, beyond what the filter's text takes, in MiB
/// (Linux; 0 where it is unknown).
fn peak(name: &str, n: usize) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let child = std::process::Command::new(program).args(["peak", name, &n.to_string()]).output();
    let output = child.expect("a child process").stdout;
    String::from_utf8_lossy(&output).trim().parse().unwrap_or(0.0)
}

/// The child's side: prints its peak memory in MiB, less what it had before.
fn print_peak(name: &str, n: &str) {
    let text = shapes::filter(name, n.parse().expect("a number"));
    let status = |key: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
        line.and_then(|line| line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().ok())
    };
    // "5" resets the peak (proc(5)).
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        return;
    }
    let before = status("VmRSS:").unwrap_or(0.0);
    let program = compile(text.as_bytes(), &ethernet(), &NoNames);
    let after = status("VmHWM:").unwrap_or(0.0);
    black_box(program).expect("a program");
    println!("{}", (after - before).max(0.0) / 1024.0);
}
