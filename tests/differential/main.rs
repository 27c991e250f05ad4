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

use fuzz::{Rng, dlt, filters, guided, packets};
use oracle::Oracle;
use pcap::bpf::{Aux, Filter};
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
    let reference = match (answer, &own) {
        (Answer::Crash, _) => {
            tally.count("libpcap crashed", 1);
            return Ok(());
        }
        (Answer::Programs(programs), [Ok(_), Ok(_)]) => Some(programs),
        (Answer::Programs(_), [Err(error), Err(_)]) => match rules::may_refuse(error, &filter.text)
        {
            Some(why) => {
                tally.count(why, 1);
                return Ok(());
            }
            None => return Err(format!("refused: {error}")),
        },
        (Answer::Error(error), [Err(own), Err(_)]) => {
            tally.count(if error == *own { "same error" } else { "other error" }, 1);
            return Ok(());
        }
        (Answer::Error(error), [Ok(_), Ok(_)]) => match rules::may_accept(&error, &question) {
            Some(why) => {
                tally.count(why, 1);
                None
            }
            None => return Err(format!("accepted; libpcap says {error}")),
        },
        _ => return Err(format!("optimized or not, {own:?}")),
    };
    let [Ok(plain), Ok(best)] = own else { return Ok(()) };
    if let Some([_, theirs]) = &reference
        && question.dlt == dlt
    {
        let (ours, theirs) = (best.insns().len() as u64, theirs.len() as u64);
        tally.count("instructions of libpcap", theirs);
        tally.count("instructions", ours);
        if ours > theirs {
            tally.longer.push(format!("{ours} for {theirs}: {dlt} {:?}", filter.text));
        }
    }
    let own = [&plain, &best].map(fuzz_insns);
    // Without a reference ours still agree with each other.
    let reference = reference.unwrap_or_else(|| [own[0].clone(), own[0].clone()]);
    let filters = [&plain, &best].map(Filter::new);
    let mut case = Case::new(filter, question, &reference);
    let guides = [&reference[0], &reference[1], &own[0], &own[1]];
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
        match case.judge(&packet, length, own, oracle, rng) {
            Ok((accepted, why)) => {
                tally.count("packets accepted", u64::from(accepted));
                verdicts[usize::from(accepted)] = true;
                if let Some(why) = why {
                    tally.count(why, 1);
                }
            }
            Err(theirs) => {
                let [plain, best] = own;
                let packet = hex(&packet);
                return Err(format!("{theirs} by libpcap, {plain} {best} on {packet} of {length}"));
            }
        }
    }
    tally.count(
        "filters that accept some packets and reject others",
        u64::from(verdicts == [true; 2]),
    );
    Ok(())
}
