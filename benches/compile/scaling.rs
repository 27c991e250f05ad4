//! How time, size and memory grow.
//!
//! Each size is compiled in processes of its own, as a program would: what large filters do to the
//! allocator does not change what small ones cost. There are several for each size, for where its memory lies
//! makes one process slower than another.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use pcap::bpf::Insn;
use pcap::filter::{NoNames, compile};

use crate::{ethernet, median, ours, shapes, time_ours};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Processes for each size.
const PROCESSES: usize = 3;

/// The argument that makes a process one which compiles for another.
pub const CHILD: &str = "serve";

/// The table for the shapes whose names contain one of `only`.
pub fn print(only: &[String]) {
    println!("\n## Growth\n");
    println!(
        "| shape | terms | insns | longest path | ms | times the tenth | first ms | times the tenth | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let wanted = |name: &&str| only.is_empty() || only.iter().any(|part| name.contains(&**part));
    for name in shapes::names().filter(wanted) {
        let start = |n: usize| [(); PROCESSES].map(|()| Compiler::start(name, n));
        let mut tenth = start(SIZES[0]);
        let mut samples: Vec<f64> = (0..99).map(|round| tenth[round % PROCESSES].time(1)).collect();
        row(name, SIZES[0], [median(&mut samples), tenth[0].first], None, tenth[0].peak);
        for n in &SIZES[1..] {
            let mut this = start(*n);
            let [time, growth] = grow(&mut tenth, &mut this);
            let [first, first_growth] = first_times(name, *n);
            row(name, *n, [time, first], Some([growth, first_growth]), this[0].peak);
            tenth = this;
        }
    }
}

/// One line; times in nanoseconds.
fn row(name: &str, n: usize, times: [f64; 2], growths: Option<[f64; 2]>, peak: f64) {
    let program = ours(&shapes::filter(name, n));
    let [time, first] = times.map(|time| format!("{:.2}", time / 1e6));
    let [growth, first_growth] =
        growths.map_or_else(Default::default, |growths| growths.map(|times| format!("{times:.1}")));
    println!(
        "| {name} | {n} | {} | {} | {time} | {growth} | {first} | {first_growth} | {peak:.1} |",
        program.len(),
        longest_path(&program),
    );
}

/// Time of the larger of two sizes, and how many times the smaller's it is: medians of
/// rounds in which either takes about as long, so that a slow moment of the machine meets both. Half of
/// the rounds count: those in which the smaller one took the same time before and after.
fn grow(small: &mut [Compiler; PROCESSES], large: &mut [Compiler; PROCESSES]) -> [f64; 2] {
    const ROUND: f64 = 2e7;
    const PAIR: f64 = 1e9;
    const SLOW: f64 = 2e9;
    let (few, many) = (small[0].time(1), large[0].time(1));
    if many > SLOW {
        return [many, many / few];
    }
    let runs = (ROUND / many).clamp(1.0, 100.0).floor();
    let more = (runs * (many / few).clamp(1.0, 10.0) / 2.0).ceil();
    let rounds = (PAIR / (2.0 * runs * many)).clamp(6.0, 20.0) as usize;
    let mut samples: Vec<[f64; 3]> = Vec::new();
    for round in 0..rounds {
        let (small, large) = (&mut small[round % PROCESSES], &mut large[round % PROCESSES]);
        // Half before and half after: what gets slower in between cancels out.
        let before = small.time(more as u32);
        let time = large.time(runs as u32);
        let after = small.time(more as u32);
        let unsteady = (before - after).abs() / before;
        samples.push([unsteady, time, time / f64::midpoint(before, after)]);
    }
    samples.sort_by(|a, b| a[0].total_cmp(&b[0]));
    samples.truncate(rounds.div_ceil(2));
    [1, 2]
        .map(|column| median(&mut samples.iter().map(|sample| sample[column]).collect::<Vec<_>>()))
}

/// Time of the first compilation of a process of `n` terms, and how many times the one of a tenth of them it
/// is: medians.
fn first_times(name: &str, n: usize) -> [f64; 2] {
    const SAMPLES: usize = 9;
    const LONG: f64 = 2e9;
    let mut samples: [Vec<f64>; 2] = Default::default();
    while samples[0].len() < SAMPLES && samples[0].iter().sum::<f64>() < LONG {
        let [before, first, after] = [n / 10, n, n / 10].map(|n| Compiler::start(name, n).first);
        samples[0].push(first);
        samples[1].push(first / f64::midpoint(before, after));
    }
    samples.map(|mut list| median(&mut list))
}

/// Most instructions that one packet can execute.
fn longest_path(program: &[Insn]) -> usize {
    let insn = |i: &Insn| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    fuzz::longest_path(&program.iter().map(insn).collect::<Vec<_>>())
}

/// A process that compiles one filter; it ends when its input does.
struct Compiler {
    /// How long the first time took, in nanoseconds.
    first: f64,
    /// Most memory it took the first time beyond the filter's text, in MiB (Linux; 0 where it is unknown).
    peak: f64,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Compiler {
    fn start(name: &str, n: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([CHILD, name, &n.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        let mut this = Self { first: 0.0, peak: 0.0, child, questions, answers };
        [this.first, this.peak] = [this.answer(), this.answer()];
        this
    }

    /// Nanoseconds of one compilation, mean of so many.
    fn time(&mut self, runs: u32) -> f64 {
        let questions = self.questions.as_mut().expect("its input");
        writeln!(questions, "{runs}").expect("a child that listens");
        self.answer()
    }

    fn answer(&mut self) -> f64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a child that answers");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        drop(self.questions.take());
        // However it ended, it has.
        let _ = self.child.wait();
    }
}

/// The child's side: compiles once and says how long it took and with how much memory, then compiles as
/// often as each line says.
pub fn serve(name: &str, n: usize) {
    let text = shapes::filter(name, n);
    let kib = |key: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
        line.and_then(|line| line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().ok())
    };
    // "5" resets the peak (proc(5)).
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = kib("VmRSS:").filter(|_| reset);
    let start = Instant::now();
    let program = compile(text.as_bytes(), &ethernet(), &NoNames);
    println!("{}", start.elapsed().as_nanos());
    let peak = before.and_then(|before| Some(kib("VmHWM:")? - before)).unwrap_or(0.0);
    black_box(program).expect("a program");
    println!("{}", peak.max(0.0) / 1024.0);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let runs = line.trim().parse().expect("how often");
        println!("{}", time_ours(&text, runs));
    }
}
