//! The compiler against the system's libpcap: generated filters, packets that steer through the
//! programs of both, verdicts compared. Where they may differ is said in `rules`, and nowhere else.
//!
//! `OXPCAP_FUZZ_SECONDS` makes it run that long with seeds of its own (`make fuzz`);
//! `OXPCAP_FUZZ_SEED` starts at a seed, `OXPCAP_FUZZ_FILTERS` says how many to try;
//! `OXPCAP_FUZZ_LONGER` lists the programs that are longer than libpcap's. A failure names the
//! seed that repeats it.

#[path = "../support/mod.rs"]
mod support;

mod reference;
mod rules;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use fuzz::{Insn, Rng, dlt, filters, guided, packets};
use oracle::Oracle;
use pcap::bpf::{Aux, Filter, Program};
use pcap::filter::Options;
use pcap::linktype::Dlt;
use reference::{Answer, Question, View};
use rules::Case;
use support::{Table, build, fuzz_insns, hex, options};

/// Filters in an ordinary run, and packets for each.
const FILTERS: u64 = 20_000;
const PACKETS: usize = 200;

/// Failures after which a run stops.
const ENOUGH: usize = 40;

/// What came of the filters of a run.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
    /// Filters whose programs are longer than libpcap's.
    longer: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    /// Instructions of our optimized program and of libpcap's.
    fn lengths(&mut self, ours: usize, theirs: usize, dlt: i32, text: &str) {
        self.count("instructions of libpcap", theirs as u64);
        self.count("instructions", ours as u64);
        if ours > theirs {
            self.longer.push(format!("{ours} for {theirs}: {dlt} {text:?}"));
        }
    }
}

#[test]
fn verdicts_equal_libpcaps() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("OXPCAP_FUZZ_SECONDS");
    let clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos() as u64);
    let first = number("OXPCAP_FUZZ_SEED").unwrap_or(if seconds.is_some() { clock() } else { 1 });
    let filters = number("OXPCAP_FUZZ_FILTERS").unwrap_or(FILTERS);
    let end = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut oracle = Oracle::start();
    let mut tally = Tally::default();
    for i in 0u64.. {
        let more = match end {
            Some(end) => Instant::now() < end,
            None => i < filters,
        };
        if !more || tally.failures.len() >= ENOUGH {
            break;
        }
        one(first.wrapping_add(i), &mut oracle, &mut tally);
    }
    println!("first seed {first}: {:#?}", tally.counts);
    if std::env::var_os("OXPCAP_FUZZ_LONGER").is_some() {
        println!("{}", tally.longer.join("\n"));
    }
    let failures = tally.failures.len();
    assert!(failures == 0, "{failures} failures:\n{}", tally.failures.join("\n"));
    // Ours are shorter by a third in all; the few longer ones must stay few.
    let longer = tally.longer.len() as u64;
    let filters = tally.counts.get("filters").copied().unwrap_or_default();
    assert!(longer <= 5 + filters / 500, "{longer} longer:\n{}", tally.longer.join("\n"));
}

/// One filter and its packets.
fn one(seed: u64, oracle: &mut Oracle, tally: &mut Tally) {
    let mut rng = Rng::new(seed);
    let (name, dlt) = dlt::pick(&mut rng);
    let filter = filters::write(&mut rng, dlt);
    tally.count("filters", 1);
    let text = &filter.text;
    if let Err(failure) = compare(&filter, dlt, &mut rng, oracle, tally) {
        tally.failures.push(format!("seed {seed}, {name}, {text:?}: {failure}"));
    }
}

/// What there is to compare our programs with.
enum Reference {
    /// Libpcap's programs, not optimized and optimized.
    Programs([Vec<Insn>; 2]),
    /// None but each other.
    OneAnother,
    /// Nothing: both refuse the filter, or libpcap came to no end.
    Nothing,
}

fn compare(
    filter: &filters::Filter,
    dlt: i32,
    rng: &mut Rng,
    oracle: &mut Oracle,
    tally: &mut Tally,
) -> Result<(), String> {
    let names = Table::default();
    let netmask = rng.pick(&[None, None, Some(0xffff_ff00), Some(0xff00_0000)]);
    let own = [false, true].map(|optimize| {
        let own = build(&filter.text, &Options { netmask, ..options(Dlt(dlt), optimize) }, &names);
        reference::rejects_all(own.map_err(|e| e.to_string()))
    });
    let view = View::Whole;
    let question = Question { text: filter.reference.clone(), dlt, view, netmask };
    let (question, answer) = reference::ask(question, oracle);
    if question.view != view || question.dlt != dlt {
        tally.count("filters that libpcap knows on another link-layer type", 1);
    }
    let reference = find_reference(answer, &own, &question, &filter.text, tally)?;
    let [Ok(plain), Ok(best)] = own else { return Ok(()) };
    let own = [&plain, &best].map(fuzz_insns);
    let reference = match reference {
        Reference::Nothing => return Ok(()),
        Reference::OneAnother => [own[0].clone(), own[0].clone()],
        Reference::Programs(theirs) => {
            if question.dlt == dlt {
                tally.lengths(own[1].len(), theirs[1].len(), dlt, &filter.text);
            }
            theirs
        }
    };
    let guides = [&reference[0], &reference[1], &own[0], &own[1]];
    let mut case = Case::new(filter, question, &own, &reference);
    run_packets(&mut case, [&plain, &best], guides, dlt, rng, oracle, tally)
}

/// Libpcap's answer against ours: programs to run, or refusals to compare.
fn find_reference(
    answer: Answer,
    own: &[Result<Program, String>; 2],
    question: &Question,
    text: &str,
    tally: &mut Tally,
) -> Result<Reference, String> {
    match (answer, own) {
        (Answer::Crash, _) => {
            tally.count("libpcap crashed", 1);
            Ok(Reference::Nothing)
        }
        (Answer::Programs(programs), [Ok(_), Ok(_)]) => Ok(Reference::Programs(programs)),
        (Answer::Programs(_), [Err(error), Err(_)]) => {
            let why = rules::may_refuse(error, text).ok_or_else(|| format!("refused: {error}"))?;
            tally.count(why, 1);
            Ok(Reference::Nothing)
        }
        (Answer::Error(error), [Err(own), Err(_)]) => {
            tally.count(if error == *own { "same error" } else { "other error" }, 1);
            Ok(Reference::Nothing)
        }
        (Answer::Error(error), [Ok(_), Ok(_)]) => {
            let why = rules::may_accept(&error, question)
                .ok_or_else(|| format!("accepted; libpcap says {error}"))?;
            tally.count(why, 1);
            Ok(Reference::OneAnother)
        }
        _ => Err(format!("optimized or not, {own:?}")),
    }
}

/// Steers packets through the programs of both (`guides`) and compares the verdicts.
fn run_packets(
    case: &mut Case<'_>,
    own: [&Program; 2],
    guides: [&Vec<Insn>; 4],
    dlt: i32,
    rng: &mut Rng,
    oracle: &mut Oracle,
    tally: &mut Tally,
) -> Result<(), String> {
    let filters = own.map(Filter::new);
    let mut verdicts = [false; 2];
    for i in 0..PACKETS {
        let mut packet = packets::build(rng, dlt);
        if i % 4 != 0 {
            packet = guided::steer(guides[i % guides.len()], &packet, rng);
        }
        let mut length = packet.len();
        if i % 8 == 7 {
            packet.truncate(rng.below(packet.len() as u32 + 1) as usize);
            // Cut by the snapshot length, or sent like that.
            length = if rng.percent(50) { length } else { packet.len() };
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let own = filters.each_ref().map(|f| f.run(&packet, length, &Aux::default()));
        tally.count("packets", 1);
        let (accepted, why) = case.judge(&packet, length, own, oracle, rng).map_err(|theirs| {
            let [plain, best] = own;
            let packet = hex(&packet);
            format!("{theirs} by libpcap, {plain} {best} on {packet} of {length}")
        })?;
        tally.count("packets accepted", u64::from(accepted));
        verdicts[usize::from(accepted)] = true;
        if let Some(why) = why {
            tally.count(why, 1);
        }
    }
    let both = u64::from(verdicts == [true; 2]);
    tally.count("filters that accept some packets and reject others", both);
    Ok(())
}
