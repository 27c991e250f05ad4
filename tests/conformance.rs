//! The compiler against libpcap's development line: see tests/conformance/README.md.

mod support;

use fuzz::{Rng, guided, listing as fuzz_listing, packets};
use pcap::bpf::{Filter, Program};
use pcap::filter::Options;
use pcap::linktype::Dlt;
use serde::Deserialize;
use support::{Table, build, collapse, fuzz_insns, hex, listing, options, program, verdict};

#[derive(Deserialize)]
struct Accept {
    name: String,
    #[serde(rename = "DLT")]
    dlt: String,
    snaplen: Option<u32>,
    netmask: Option<std::net::Ipv4Addr>,
    filters: Vec<String>,
    optimized: Option<Vec<String>>,
    unoptimized: Vec<String>,
}

#[derive(Deserialize)]
struct Reject {
    name: String,
    #[serde(rename = "DLT")]
    dlt: String,
    filter: String,
    error_contains: String,
}

fn names() -> Table {
    Table::new(
        include_str!("conformance/hosts"),
        include_str!("conformance/ethers"),
        include_str!("conformance/networks"),
    )
}

fn dlt(name: &str) -> Dlt {
    Dlt::from_symbol(name).unwrap_or_else(|| panic!("unknown DLT {name}"))
}

/// What a filter's optimized program is, compared with upstream's.
#[derive(Default)]
struct Score {
    same: usize,
    shorter: usize,
    ours: usize,
    theirs: usize,
    failures: Vec<String>,
}

#[test]
fn accepts() {
    let entries: Vec<Accept> =
        serde_json::from_str(include_str!("conformance/accept.json")).unwrap();
    let names = names();
    let mut score = Score::default();
    for entry in &entries {
        for filter in &entry.filters {
            if let Err(failure) = accept(entry, filter, &names, &mut score) {
                score.failures.push(format!("{} {filter:?}: {failure}", entry.name));
            }
        }
    }
    println!(
        "{} filters: {} same listing, {} shorter; instructions: ours {}, upstream's {}",
        entries.iter().map(|e| e.filters.len()).sum::<usize>(),
        score.same,
        score.shorter,
        score.ours,
        score.theirs
    );
    let failures = score.failures.len();
    assert!(failures == 0, "{failures} failures:\n{}", score.failures.join("\n"));
    assert!(score.ours <= score.theirs);
}

fn accept(entry: &Accept, filter: &str, names: &Table, score: &mut Score) -> Result<(), String> {
    let base = Options {
        snaplen: entry.snaplen.unwrap_or(262_144),
        netmask: entry.netmask.map(u32::from),
        ..options(dlt(&entry.dlt), false)
    };
    let unoptimized = build(filter, &base, names).map_err(|e| e.to_string())?;
    let optimized = build(filter, &Options { optimize: true, ..base }, names);
    let wanted = read(&entry.unoptimized);
    let mut theirs = vec![wanted.clone()];
    let mut ours = vec![unoptimized];
    match (&entry.optimized, optimized) {
        (None, Ok(_)) => return Err("accepted with optimization".to_owned()),
        (None, Err(_)) => {}
        (Some(_), Err(e)) => return Err(format!("refused with optimization: {e}")),
        (Some(lines), Ok(optimized)) => {
            let lines: Vec<String> = lines.iter().map(|line| collapse(line)).collect();
            let own = listing(&optimized);
            score.ours += own.len();
            score.theirs += lines.len();
            if own == lines {
                score.same += 1;
            } else if own.len() < lines.len() {
                score.shorter += 1;
            } else {
                let (own, lines) = (own.join("\n"), lines.join("\n"));
                return Err(format!("listing\n{own}\nupstream's\n{lines}"));
            }
            theirs.push(read(&lines));
            ours.push(optimized);
        }
    }
    same_verdicts(entry, &theirs, &ours)
}

fn read<S: AsRef<str>>(lines: &[S]) -> Program {
    program(&fuzz_listing::parse(lines).unwrap_or_else(|line| panic!("no instruction: {line}")))
}

/// Runs all programs on packets made for the filter: on their way through each of the programs,
/// and cut off at every length.
fn same_verdicts(entry: &Accept, theirs: &[Program], ours: &[Program]) -> Result<(), String> {
    let mut rng = Rng::new(entry.filters[0].len() as u64);
    let filters: Vec<Filter> = theirs.iter().chain(ours).map(Filter::new).collect();
    let guides: Vec<_> = theirs.iter().chain(ours).map(fuzz_insns).collect();
    let dlt = dlt(&entry.dlt).0;
    let check = |packet: &[u8]| {
        let verdicts: Vec<u32> = filters.iter().map(|f| verdict(f, packet)).collect();
        let (upstream, own) = verdicts.split_at(theirs.len());
        // Where upstream's own two programs differ, nothing can be said.
        if upstream.iter().any(|v| *v != upstream[0]) {
            return Ok(());
        }
        if own.iter().any(|v| *v != upstream[0]) {
            let all = format!("verdicts {verdicts:?} on {}", hex(packet));
            return Err(format!("{} of upstream's first: {all}", theirs.len()));
        }
        Ok(())
    };
    for i in 0..60 {
        let base = packets::build(&mut rng, dlt);
        check(&base)?;
        let packet = guided::steer(&guides[i % guides.len()], &base, &mut rng);
        check(&packet)?;
        if i % 8 == 0 {
            (0..packet.len()).try_for_each(|len| check(&packet[..len]))?;
        }
    }
    Ok(())
}

#[test]
fn rejects() {
    let entries: Vec<Reject> =
        serde_json::from_str(include_str!("conformance/reject.json")).unwrap();
    let names = names();
    let mut failures = Vec::new();
    for Reject { name, dlt: dlt_name, filter, error_contains } in &entries {
        let result = build(filter, &options(dlt(dlt_name), true), &names);
        match result {
            Ok(_) => failures.push(format!("{name} {filter:?}: accepted, not {error_contains:?}")),
            Err(e) if e.to_string().contains(error_contains) => {}
            Err(e) => failures.push(format!("{name} {filter:?}: \"{e}\", not {error_contains:?}")),
        }
    }
    println!("{} of {} refused as upstream does", entries.len() - failures.len(), entries.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
