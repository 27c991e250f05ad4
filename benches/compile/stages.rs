//! Where the compiler's time goes, and how each stage grows.

use std::hint::black_box;
use std::time::Instant;

use fuzz::filters;
use pcap::filter::{NoNames, cfg, emit, lower, optimize, parser};

use crate::{ethernet, median, shapes};

const STAGES: [&str; 5] = ["parse", "lower", "build", "optimize", "emit"];
/// Medians of so many runs of an everyday filter.
const RUNS: usize = 1001;

/// What a stage takes: nanoseconds and, where asked for, page faults.
type Costs = [[f64; 2]; STAGES.len()];

/// Compiles a filter stage by stage; each stage ends with its input dropped.
fn compile(text: &str, faults: fn() -> f64) -> Costs {
    let mut costs = Costs::default();
    let mut before = faults();
    let mut mark = Instant::now();
    let mut lap = |stage: usize| {
        let time = mark.elapsed().as_nanos() as f64;
        let now = faults();
        costs[stage] = [time, now - before];
        before = faults();
        mark = Instant::now();
    };
    let ast = parser::parse(text.as_bytes()).expect("a filter");
    lap(0);
    let lowered = lower::lower(&ast, &ethernet(), &NoNames, lower::Lists::Sets).expect("a tree");
    drop(ast);
    lap(1);
    let mut graph = cfg::build(lowered.tree, lowered.root, 262_144);
    lap(2);
    optimize::run(&mut graph, optimize::Loads::DropUnused);
    lap(3);
    let program = emit::emit(&graph).expect("a program");
    drop(graph);
    lap(4);
    black_box(program);
    costs
}

/// Minor page faults of the process so far (Linux; 0 where it is unknown).
fn page_faults() -> f64 {
    const MINFLT: usize = 7;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_whitespace().nth(MINFLT).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// Medians of one cost (0 is time) by stage.
fn medians(runs: &[Costs], cost: usize) -> [f64; STAGES.len()] {
    std::array::from_fn(|stage| {
        median(&mut runs.iter().map(|run| run[stage][cost]).collect::<Vec<_>>())
    })
}

/// Of everyday filters.
pub fn everyday() {
    println!("\n## Stages, µs\n");
    println!("| filter | {} |", STAGES.join(" | "));
    println!("|---|---|---|---|---|---|");
    for text in filters::everyday() {
        let runs: Vec<_> = (0..RUNS).map(|_| compile(text, || 0.0)).collect();
        let medians = medians(&runs, 0).map(|time| format!("{:.2}", time / 1e3));
        println!("| `{}` | {} |", text.replace('|', "\\|"), medians.join(" | "));
    }
}

/// Of a shape at two sizes, in rounds that give either about as long.
pub fn growth(name: &str, small: usize, large: usize) {
    const ROUNDS: usize = 7;
    println!("\n## Stages: {name}, {small} and {large} terms\n");
    println!("| stage | ms | page faults | ms | page faults | growth |");
    println!("|---|---|---|---|---|---|");
    let texts = [small, large].map(|n| shapes::filter(name, n));
    let times = [(large / small.max(1)).clamp(1, 40), 1];
    let mut runs: [Vec<Costs>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (size, text) in texts.iter().enumerate() {
            runs[size].extend((0..times[size]).map(|_| compile(text, page_faults)));
        }
    }
    let [time, faults] = [0, 1].map(|cost| [0, 1].map(|size| medians(&runs[size], cost)));
    let row = |name: &str, time: [f64; 2], faults: [f64; 2]| {
        println!(
            "| {name} | {:.3} | {:.0} | {:.3} | {:.0} | {:.1} |",
            time[0] / 1e6,
            faults[0],
            time[1] / 1e6,
            faults[1],
            time[1] / time[0]
        );
    };
    for (stage, name) in STAGES.iter().enumerate() {
        row(name, time.map(|times| times[stage]), faults.map(|faults| faults[stage]));
    }
    row("all", time.map(|times| times.iter().sum()), faults.map(|faults| faults.iter().sum()));
}
