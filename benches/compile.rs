//! The filter compiler against the system's libpcap.
//!
//! `cargo bench --bench compile` prints medians over interleaved rounds. `-- everyday`, `-- lists`,
//! `-- scaling` or `-- shapes` runs one part.

use std::hint::black_box;
use std::time::Instant;

use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Insn, op};
use pcap::filter::{NoNames, Options, cfg, compile, emit, lower, optimize, parser};
use pcap::linktype::Dlt;

const EVERYDAY: [&str; 7] = [
    "tcp",
    "port 8888",
    "tcp port 80 and host 1.2.3.4",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8",
    "ip6 and udp portrange 1000-2000",
    "vlan and (host 10.0.0.1 or net 192.168.0.0/16) and not port 22",
    "ether host 00:11:22:33:44:55 and (icmp or arp or ip6 proto 58)",
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let [part, kind, n] = &wanted[..]
        && part == "peak"
    {
        print_peak(kind, n);
        return;
    }
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|a| a == part);
    let mut oracle = Oracle::start();
    println!("reference: {}", oracle.version());
    if wants("everyday") {
        everyday(&mut oracle);
    }
    if wants("stages") {
        stages();
    }
    if wants("lists") {
        lists(&mut oracle);
    }
    if wants("scaling") {
        scaling();
    }
    if wants("shapes") {
        shapes();
    }
}

/// Where the time goes.
fn stages() {
    println!("\n## Stages, µs\n");
    println!("| filter | parse | lower | build | optimize | emit |");
    println!("|---|---|---|---|---|---|");
    for text in EVERYDAY {
        let mut samples: [Vec<f64>; 5] = Default::default();
        for _ in 0..1001 {
            let mut mark = Instant::now();
            let mut lap = |stage: usize| {
                samples[stage].push(mark.elapsed().as_nanos() as f64 / 1e3);
                mark = Instant::now();
            };
            let ast = parser::parse(text.as_bytes()).expect(text);
            lap(0);
            let lowered =
                lower::lower(&ast, &ethernet(), &NoNames, lower::Lists::Sets).expect(text);
            lap(1);
            let mut graph = cfg::build(lowered.tree, lowered.root, 262_144);
            lap(2);
            optimize::run(&mut graph, optimize::Loads::DropUnused);
            lap(3);
            black_box(emit::emit(&graph).expect(text));
            lap(4);
        }
        let medians = samples.map(|mut list| format!("{:.2}", median(&mut list)));
        println!("| `{}` | {} |", text.replace('|', "\\|"), medians.join(" | "));
    }
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
    for text in EVERYDAY {
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

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    fn v4(&mut self) -> String {
        std::net::Ipv4Addr::from(self.next()).to_string()
    }
}

const KINDS: [&str; 7] =
    ["hosts", "ports", "nets", "tcp ports", "mixed src/dst", "not (or)", "two lists"];

/// A list of `n` terms.
fn list(kind: &str, n: usize) -> String {
    let mut random = Random(7);
    let mut hosts = |keyword: &str, n: usize| {
        let terms: Vec<String> = (0..n).map(|_| format!("{keyword} {}", random.v4())).collect();
        terms.join(" or ")
    };
    match kind {
        "hosts" => hosts("host", n),
        "not (or)" => format!("not ({})", hosts("host", n)),
        "two lists" => {
            format!("({}) and ({})", hosts("src host", n / 2), hosts("dst host", n - n / 2))
        }
        "mixed src/dst" => {
            let terms: Vec<String> =
                (0..n).map(|i| hosts(["src host", "dst host"][i % 2], 1)).collect();
            terms.join(" or ")
        }
        "nets" => {
            let net = |random: &mut Random| {
                let bits = 8 + random.next() % 17;
                let addr = std::net::Ipv4Addr::from(random.next() & (u32::MAX << (32 - bits)));
                format!("net {addr}/{bits}")
            };
            let terms: Vec<String> = (0..n).map(|_| net(&mut random)).collect();
            terms.join(" or ")
        }
        _ => {
            let keyword = if kind == "ports" { "port" } else { "tcp dst port" };
            let terms: Vec<String> =
                (0..n).map(|_| format!("{keyword} {}", random.next() % 65_536)).collect();
            terms.join(" or ")
        }
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
        ("not (or)", 100, 5),
        ("two lists", 100, 5),
    ] {
        let text = list(kind, n);
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

fn scaling() {
    println!("\n## Growth\n");
    println!("| list | terms | insns | longest way | ms | times the tenth | peak MiB |");
    println!("|---|---|---|---|---|---|---|");
    for kind in KINDS {
        let mut before = None;
        for n in [100, 1_000, 10_000, 100_000] {
            let text = list(kind, n);
            let mut samples: Vec<f64> =
                (0..if n > 10_000 { 3 } else { 9 }).map(|_| time_ours(&text, 1) as f64).collect();
            let time = median(&mut samples);
            let program = ours(&text);
            let growth = before.map_or(String::new(), |before| format!("{:.1}", time / before));
            println!(
                "| {kind} | {n} | {} | {} | {:.2} | {growth} | {:.0} |",
                program.len(),
                longest_way(&program),
                time / 1e6,
                peak(kind, n)
            );
            before = Some(time);
        }
    }
}

/// Most instructions that one packet can execute.
fn longest_way(program: &[Insn]) -> usize {
    let mut steps = vec![1usize; program.len()];
    for (at, insn) in program.iter().enumerate().rev() {
        let after = |skip: u32| steps[at + 1 + skip as usize];
        steps[at] = 1 + match op::class(insn.code) {
            op::RET => 0,
            op::JMP if op::operation(insn.code) == op::JA => after(insn.k),
            op::JMP => after(insn.jt.into()).max(after(insn.jf.into())),
            _ => after(0),
        };
    }
    steps[0]
}

/// Peak memory of a process that compiles the list, less that of one that compiles a short one, in
/// MiB (Linux; 0 where it is unknown).
fn peak(kind: &str, n: usize) -> f64 {
    let measure = |n: usize| -> f64 {
        let program = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(program)
            .args(["peak", kind, &n.to_string()])
            .output()
            .expect("a child process");
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0.0)
    };
    (measure(n) - measure(2)).max(0.0)
}

/// The child's side: prints its peak memory in MiB, less the text's.
fn print_peak(kind: &str, n: &str) {
    let text = list(kind, n.parse().expect("a number"));
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
    black_box(ours(&text));
    println!("{}", (status("VmHWM:").unwrap_or(0.0) - before).max(0.0) / 1024.0);
}

fn shapes() {
    println!("\n## Unfavourable shapes\n");
    println!("| shape | size | insns | ms | times the tenth |");
    println!("|---|---|---|---|---|");
    let nested = |n: usize| format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
    let nots = |n: usize| format!("{}tcp", "not ".repeat(n));
    let repeated = |n: usize| vec!["tcp port 80"; n].join(" or ");
    let alternating = |n: usize| {
        let term =
            |i: usize| format!("(ip[{}] = {} or tcp[{}] = 1) and ", i % 200, i % 256, i % 60);
        format!("{}tcp", (0..n).map(term).collect::<String>())
    };
    let left = |n: usize| {
        let term = |i: usize| format!(" {} udp[{}] > {}) ", ["and", "or"][i % 2], i % 8, i % 256);
        format!("{}ip{}", "(".repeat(n), (0..n).map(term).collect::<String>())
    };
    let relations = |n: usize| {
        let term = |i: usize| format!("ether[{}:4] = {i}", i % 1000);
        (0..n).map(term).collect::<Vec<_>>().join(" or ")
    };
    let decided = |n: usize| {
        let terms = |from: usize| {
            (from..from + n).map(|i| format!("ip[8:2] = {i}")).collect::<Vec<_>>().join(" or ")
        };
        format!("({}) and ({}) or arp", terms(0), terms(n))
    };
    let v6 = |n: usize| {
        let mut random = Random(3);
        let term =
            |_| format!("host 2001:db8::{:x}:{:x}", random.next() & 0xffff, random.next() & 0xffff);
        (0..n).map(term).collect::<Vec<_>>().join(" or ")
    };
    let mut macs = Random(5);
    let mut ether = |n: usize| {
        let term = |_| {
            let [a, b, c, d] = macs.next().to_be_bytes();
            format!("ether host 02:00:{a:x}:{b:x}:{c:x}:{d:x}")
        };
        (0..n).map(term).collect::<Vec<_>>().join(" or ")
    };
    type Shape<'a> = (&'a str, &'a mut dyn FnMut(usize) -> String);
    let shapes: [Shape; 9] = [
        ("nested parentheses", &mut { nested }),
        ("`not not …`", &mut { nots }),
        ("one primitive repeated", &mut { repeated }),
        ("alternating and/or", &mut { alternating }),
        ("and/or nested to the left", &mut { left }),
        ("relations", &mut { relations }),
        ("contradicting lists", &mut { decided }),
        ("IPv6 hosts", &mut { v6 }),
        ("Ethernet hosts", &mut ether),
    ];
    for (name, make) in shapes {
        let mut before = None;
        for n in [1_000, 10_000, 100_000] {
            let text = make(n);
            let start = Instant::now();
            let program = ours(&text);
            let time = start.elapsed().as_secs_f64() * 1e3;
            let growth = before.map_or(String::new(), |before| format!("{:.1}", time / before));
            println!("| {name} | {n} | {} | {time:.2} | {growth} |", program.len());
            before = Some(time);
        }
    }
}
