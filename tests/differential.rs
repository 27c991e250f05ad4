//! The compiler against the system's libpcap: generated filters, packets that steer through the
//! programs of both, verdicts compared wherever libpcap's own two programs agree.
//!
//! `OXPCAP_FUZZ_SECONDS` makes it run that long with seeds of its own (`make fuzz`);
//! `OXPCAP_FUZZ_SEED` starts at a seed. A failure names the seed that repeats it.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use fuzz::{Rng, dlt, filters, guided, packets};
use oracle::{CompileOptions, Insn as TheirInsn, Oracle};
use pcap::bpf::{Filter, Insn, Program};
use pcap::linktype::Dlt;
use support::{Table, build, fuzz_insns, hex, options, verdict};

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
    println!("first seed {first}: {:?}", tally.counts);
    let failures = tally.failures.len();
    assert!(failures == 0, "{failures} failures:\n{}", tally.failures.join("\n"));
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

fn theirs(insns: &[TheirInsn]) -> Program {
    let insn = |i: &TheirInsn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Program::from_insns(insns.iter().map(insn).collect::<Vec<_>>())
}

fn compare(
    filter: &filters::Filter,
    dlt: i32,
    rng: &mut Rng,
    oracle: &mut Oracle,
    tally: &mut Tally,
) -> Result<(), String> {
    let names = Table::default();
    let mut programs = Vec::new();
    for optimize in [false, true] {
        let ask = CompileOptions { dlt, optimize, ..CompileOptions::ethernet() };
        let Some(reference) = oracle.try_compile(&filter.reference, &ask) else {
            tally.count("libpcap crashed", 1);
            return Ok(());
        };
        let own =
            build(&filter.text, &options(Dlt(dlt), optimize), &names).map_err(|e| e.to_string());
        match (rejects_all(reference.map(|r| theirs(&r))), rejects_all(own)) {
            (Ok(reference), Ok(own)) => match changed(&filter.text, dlt) {
                Some(why) => {
                    tally.count(why, 1);
                    programs.push((own.clone(), own));
                }
                None => programs.push((reference, own)),
            },
            (Err(reference), Err(own)) => {
                tally.count(if reference == own { "same error" } else { "other error" }, 1);
                return Ok(());
            }
            (Ok(_), Err(own)) => return Err(format!("refused: {own}")),
            (Err(reference), Ok(own)) => match excuse(&reference, dlt) {
                // Without a reference ours still agree with each other.
                Some(why) => {
                    tally.count(why, 1);
                    programs.push((own.clone(), own));
                }
                None => return Err(format!("accepted; libpcap says {reference}")),
            },
        }
    }
    let [(plain, own_plain), (best, own_best)] = &programs[..] else { return Ok(()) };
    let (shortest, own_shortest) = (best.insns().len() as u64, own_best.insns().len() as u64);
    tally.count("instructions of libpcap", shortest);
    tally.count("instructions", own_shortest);
    if own_shortest > shortest {
        tally.count("longer programs", 1);
    }
    verdicts(&[plain, best, own_plain, own_best], dlt, rng, tally)
}

/// The program that a filter stands for which was refused because it accepts nothing.
fn rejects_all(result: Result<Program, String>) -> Result<Program, String> {
    match result {
        Err(e) if e == "expression rejects all packets" => {
            Ok(Program::from_insns([Insn::stmt(0x06, 0)]))
        }
        other => other,
    }
}

/// Why it is right to accept what libpcap 1.10 refuses with this text; see docs/COMPAT.md.
fn excuse(error: &str, dlt: i32) -> Option<&'static str> {
    const DSA_TAG_BRCM: i32 = 281;
    const DSA_TAG_DSA: i32 = 284;
    if matches!(dlt, DSA_TAG_BRCM | DSA_TAG_DSA)
        || error == "aid supported only on ARCnet"
        || error.starts_with("unknown data link type")
        || error == "802.11 link-layer types supported only on 802.11"
    {
        return Some("link-layer types of newer versions");
    }
    let arithmetic = ["shift by more than 31 bits", "division by zero", "modulus by zero"];
    arithmetic.contains(&error).then_some("arithmetic that libpcap misjudges")
}

/// Why the meaning of a filter is another since libpcap 1.10; see docs/COMPAT.md.
fn changed(text: &str, dlt: i32) -> Option<&'static str> {
    let has = |words: &[&str]| {
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word))
    };
    if has(&["isis", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp"]) {
        return Some("IS-IS PDU types are five bits");
    }
    if matches!(dlt, 281 | 284) && has(&["inbound", "outbound"]) {
        return Some("direction in DSA tags");
    }
    None
}

fn verdicts(
    programs: &[&Program; 4],
    dlt: i32,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let filters = programs.map(Filter::new);
    let guides = programs.map(fuzz_insns);
    for i in 0..PACKETS {
        let mut packet = packets::build(rng, dlt);
        if i % 4 != 0 {
            packet = guided::steer(&guides[i % 3], &packet, rng);
        }
        if i % 8 == 7 {
            packet.truncate(rng.below(packet.len() as u32 + 1) as usize);
        }
        let [plain, best, own_plain, own_best] = filters.each_ref().map(|f| verdict(f, &packet));
        tally.count("packets", 1);
        if plain != best {
            tally.count("packets on which libpcap differs from itself", 1);
            continue;
        }
        tally.count("packets accepted", u64::from(plain != 0));
        if (own_plain, own_best) != (plain, plain) {
            let packet = hex(&packet);
            return Err(format!("{plain} by libpcap, {own_plain} {own_best} on {packet}"));
        }
    }
    Ok(())
}
