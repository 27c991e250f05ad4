//! The optimizer against libpcap's: unoptimized listings in, libpcap's optimized ones or shorter out.

use std::collections::BTreeMap;

use fuzz::{Rng, filters, guided, packets};

use pcap::bpf::{Aux, Insn, check, has_backward_jump, image, interpret, op};
use pcap::filter::cfg::{Block, BlockId, Cfg, Term, TestOp};
use pcap::filter::cond::Compare;
use pcap::filter::emit;
use pcap::filter::optimize::{self, Loads};
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "DLT")]
    dlt: String,
    optimized: Option<Vec<String>>,
    unoptimized: Vec<String>,
}

fn entries() -> Vec<Entry> {
    serde_json::from_str(include_str!("conformance/accept.json")).unwrap()
}

/// The graph of a program.
fn graph(insns: &[Insn]) -> Cfg {
    let jump = |insn: &Insn| op::class(insn.code) == op::JMP;
    let targets = |at: usize, insn: &Insn| match op::operation(insn.code) {
        op::JA => [at + 1 + insn.k as usize; 2],
        _ => [at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf)],
    };
    let mut block_at: BTreeMap<usize, BlockId> = BTreeMap::from([(0, BlockId(0))]);
    for (at, insn) in insns.iter().enumerate() {
        let leaders = if jump(insn) { targets(at, insn).to_vec() } else { Vec::new() };
        for leader in leaders {
            block_at.insert(leader, BlockId(0));
        }
    }
    for (id, block) in (0..).zip(block_at.values_mut()) {
        *block = BlockId(id);
    }
    let mut blocks = Vec::new();
    for &start in block_at.keys() {
        let end = (start..insns.len())
            .find(|&at| jump(&insns[at]) || op::class(insns[at].code) == op::RET)
            .unwrap();
        let next = block_at.range(start + 1..).next().filter(|&(&at, _)| at <= end);
        let (len, term) = match next {
            Some((&at, &id)) => (at - start, Term::Goto(id)),
            None => {
                let last = insns[end];
                let [jt, jf] = if jump(&last) { targets(end, &last) } else { [0; 2] };
                let term = match last.code {
                    code if op::class(code) == op::RET => Term::Ret(last.k),
                    code if code == op::JMP | op::JA => Term::Goto(block_at[&jt]),
                    code => Term::If {
                        test: TestOp::Compare(Compare { code, k: last.k }),
                        jt: block_at[&jt],
                        jf: block_at[&jf],
                    },
                };
                (end - start, term)
            }
        };
        blocks.push(Block { start: start as u32, len: len as u32, term });
    }
    let (insns, sets) = (insns.to_vec(), Vec::new());
    Cfg { blocks, insns, sets, root: BlockId(0), inner_jumps: false, in_order: false }
}

fn show(insns: &[Insn]) -> String {
    let line = |(at, insn)| format!("{}\n", image(insn, at));
    (0..).zip(insns).map(line).collect()
}

/// How our verdicts compare.
#[derive(Debug, PartialEq)]
enum Verdicts {
    /// All are those of libpcap's optimized program.
    Same,
    /// They differ where libpcap's optimizer changed the verdict and ours did not.
    Unoptimized,
    /// They differ where libpcap's optimizer changed the verdict, and ours to something else.
    Different,
    /// They differ from both.
    Wrong(Vec<u8>),
}

/// Compares verdicts on packets made for the program, truncated at every length. A program may
/// accept a packet whose bytes decide, though the original misses some that do not matter.
fn same_verdicts(
    dlt: i32,
    original: &[Insn],
    theirs: &[Insn],
    ours: &[Insn],
    runs: u32,
) -> Verdicts {
    let mut random = Rng::new(runs.into());
    let run = |program: &[Insn], packet: &[u8]| {
        interpret(program, packet, packet.len() as u32, &Aux::default())
    };
    let guide: Vec<fuzz::Insn> = original.iter().map(to_fuzz).collect();
    let mut packet = packets::build(&mut random, dlt);
    for _ in 0..runs {
        if random.percent(20) {
            packet = packets::build(&mut random, dlt);
        }
        packet = guided::steer(&guide, &packet, &mut random);
        for len in 0..=packet.len() {
            let packet = &packet[..len];
            let expected = run(original, packet);
            let got = run(ours, packet);
            let wanted = run(theirs, packet);
            let decides = |random: &mut Rng| {
                guided::bytes_decide(&guide, packet, packet.len() as u32, random)
            };
            if got != wanted && !(got != 0 && decides(&mut random)) {
                return match expected {
                    _ if got == expected => Verdicts::Unoptimized,
                    _ if wanted == expected => Verdicts::Wrong(packet.to_vec()),
                    _ => Verdicts::Different,
                };
            }
        }
    }
    Verdicts::Same
}

fn to_fuzz(insn: &Insn) -> fuzz::Insn {
    fuzz::Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k }
}

fn from_listing(lines: &[String]) -> Vec<Insn> {
    let insn = |insn: &fuzz::Insn| Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k };
    fuzz::listing::parse(lines).expect("a listing").iter().map(insn).collect()
}

/// How many listings were the same, and how much shorter the others.
#[derive(Default)]
struct Tally {
    same: u32,
    shorter: u32,
    ours: usize,
    theirs: usize,
    bad: Vec<String>,
}

impl Tally {
    fn compare(&mut self, name: &str, dlt: i32, original: &[Insn], theirs: &[Insn], runs: u32) {
        let mut cfg = graph(original);
        let loads = if original == theirs { Loads::KeepAll } else { Loads::DropUnused };
        optimize::run(&mut cfg, loads);
        let program = emit::emit(&cfg).unwrap();
        let ours = program.insns();
        check(ours).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.ours += ours.len();
        self.theirs += theirs.len();
        if show(ours) == show(theirs) {
            self.same += 1;
            return;
        }
        let verdicts = same_verdicts(dlt, original, theirs, ours, runs);
        let good = match verdicts {
            Verdicts::Same => ours.len() < theirs.len(),
            Verdicts::Unoptimized => true,
            Verdicts::Different | Verdicts::Wrong(_) => false,
        };
        if good {
            self.shorter += 1;
        } else {
            let theirs = show(theirs);
            self.bad.push(format!("{name}: {verdicts:?}\n{}theirs:\n{theirs}", show(ours)));
        }
    }

    fn report(&self) {
        println!(
            "{} listings are the same, {} shorter, {} worse; {} instructions for {}",
            self.same,
            self.shorter,
            self.bad.len(),
            self.ours,
            self.theirs
        );
    }
}

#[test]
fn recorded_listings_are_libpcaps_or_shorter() {
    let mut tally = Tally::default();
    for entry in entries() {
        let Some(optimized) = entry.optimized else { continue };
        if entry.name == "protochain" {
            continue;
        }
        let original = from_listing(&entry.unoptimized);
        let dlt = fuzz::dlt::KNOWN.iter().find(|(name, _)| *name == entry.dlt).expect("a DLT").1;
        tally.compare(&entry.name, dlt, &original, &from_listing(&optimized), 200);
    }
    tally.report();
    assert!(tally.bad.is_empty(), "{}", tally.bad.join("\n"));
}

#[test]
fn generated_filters_are_libpcaps_or_shorter() {
    let mut oracle = oracle::Oracle::start();
    let mut random = Rng::new(1);
    let mut tally = Tally::default();
    for _ in 0..count("OXPCAP_FILTERS", 1500) {
        let dlt = if random.percent(60) { 1 } else { random.pick(&fuzz::dlt::KNOWN).1 };
        let text = filters::write(&mut random, dlt).reference;
        let options = oracle::CompileOptions { dlt, ..oracle::CompileOptions::ethernet() };
        let plain = oracle::CompileOptions { optimize: false, ..options };
        let (Ok(original), Ok(theirs)) =
            (oracle.compile(&text, &plain), oracle.compile(&text, &options))
        else {
            continue;
        };
        let insn =
            |insn: &oracle::Insn| Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k };
        let original: Vec<Insn> = original.iter().map(insn).collect();
        let theirs: Vec<Insn> = theirs.iter().map(insn).collect();
        if has_backward_jump(&original) {
            continue;
        }
        tally.compare(&format!("{dlt} {text}"), dlt, &original, &theirs, 40);
    }
    tally.report();
    assert!(tally.bad.is_empty(), "{} are worse:\n{}", tally.bad.len(), tally.bad.join("\n"));
}

/// A number from the environment.
fn count(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
