//! Invalid filters: what is refused, and with which words, against the system's libpcap. Where the
//! development line has other words than libpcap 1.10, [`texts`] says which.
//!
//! `OXPCAP_REJECT_CASES` is the number of generated filters (more with `make fuzz`), and stands for
//! every primitive on every link-layer type; `OXPCAP_FUZZ_SEED` is another first seed.

mod cases;
#[path = "../support/mod.rs"]
mod support;
mod texts;

use std::collections::BTreeMap;
use std::net::IpAddr;

use oracle::{CompileOptions, Oracle};
use pcap::filter::Resolver;
use pcap::filter::resolve::{HostAddrs, PortProto};
use pcap::handle::SystemResolver;
use pcap::linktype::Dlt;
use support::{build, options};

/// Generated filters in an ordinary run.
const CASES: u64 = 30_000;

/// The system's files, which the oracle asks, too; it has no network.
struct Files;

impl Resolver for Files {
    fn host(&self, name: &str) -> Option<HostAddrs> {
        let address = if name == "localhost" { "127.0.0.1" } else { name };
        Some(match address.parse().ok()? {
            IpAddr::V4(v4) => HostAddrs { v4: vec![v4], v6: vec![] },
            IpAddr::V6(v6) => HostAddrs { v4: vec![], v6: vec![v6] },
        })
    }
    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        SystemResolver.ether(name)
    }
    fn network(&self, name: &str) -> Option<u32> {
        SystemResolver.network(name)
    }
    fn port(&self, name: &str) -> Option<(u16, PortProto)> {
        SystemResolver.port(name)
    }
    fn ip_proto(&self, name: &str) -> Option<u8> {
        SystemResolver.ip_proto(name)
    }
}

/// What differs, by the way in which it does, with an example each.
#[derive(Default)]
struct Tally {
    compared: u64,
    same: u64,
    refused: u64,
    changed: BTreeMap<&'static str, u64>,
    failures: BTreeMap<String, (u64, String)>,
}

impl Tally {
    fn compare(&mut self, oracle: &mut Oracle, dlt: i32, text: &str) {
        let ask = CompileOptions { dlt, ..CompileOptions::ethernet() };
        // Some of these crash libpcap.
        let Some(theirs) = oracle.try_compile(text, &ask) else { return };
        let ours = build(text, &options(Dlt(dlt), true), &Files);
        let theirs = theirs.err().unwrap_or_else(|| texts::ACCEPTED.to_owned());
        let ours = ours.err().map_or_else(|| texts::ACCEPTED.to_owned(), |e| e.to_string());
        self.compared += 1;
        self.refused += u64::from(ours != texts::ACCEPTED);
        if ours == theirs {
            self.same += 1;
        } else if let Some(change) = texts::change(dlt, text, &theirs, &ours) {
            *self.changed.entry(change).or_default() += 1;
        } else {
            let example = format!("DLT {dlt} {text:?}: libpcap {theirs:?}, ours {ours:?}");
            let kind = format!("{} | {}", shape(&theirs), shape(&ours));
            self.failures.entry(kind).or_insert((0, example)).0 += 1;
        }
    }

    fn finish(self) {
        let Self { compared, same, refused, changed, failures } = self;
        println!("{compared} filters, {refused} refused; {same} the same; changed: {changed:#?}");
        let lines: Vec<_> =
            failures.into_values().map(|(count, example)| format!("{count}x {example}")).collect();
        assert!(lines.is_empty(), "{} kinds differ:\n{}", lines.len(), lines.join("\n"));
    }
}

/// An error text without what is quoted in it and without numbers.
fn shape(text: &str) -> String {
    let mut quoted = false;
    let keep = |c: &char| {
        quoted ^= *c == '\'' || *c == '"';
        !quoted && !c.is_ascii_digit()
    };
    text.chars().filter(keep).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Link-layer types that libpcap 1.10 knows.
fn known_dlts(oracle: &mut Oracle) -> Vec<i32> {
    let mut known = |dlt: &i32| {
        let ask = CompileOptions { dlt: *dlt, ..CompileOptions::ethernet() };
        matches!(oracle.try_compile("len > 1", &ask), Some(Ok(_)))
    };
    (0..400).filter(|&dlt| Dlt(dlt).symbol().is_some()).filter(&mut known).collect()
}

#[test]
fn every_primitive_on_every_link_type() {
    let mut oracle = Oracle::start();
    let mut tally = Tally::default();
    let dlts = known_dlts(&mut oracle);
    assert!(dlts.len() > 150, "{}", dlts.len());
    let all = number("OXPCAP_REJECT_CASES").is_some();
    for (i, &dlt) in dlts.iter().enumerate() {
        for (k, text) in cases::PRIMITIVES.iter().enumerate() {
            // Everything on the types that filters know something about, a part on the others.
            if all || fuzz::dlt::KNOWN.iter().any(|known| known.1 == dlt) || (i + k) % 8 == 0 {
                tally.compare(&mut oracle, dlt, text);
            }
        }
    }
    tally.finish();
}

#[test]
fn generated() {
    let mut oracle = Oracle::start();
    let mut tally = Tally::default();
    let dlts = known_dlts(&mut oracle);
    let accepted = cases::accepted();
    let seed = number("OXPCAP_FUZZ_SEED").unwrap_or(31);
    for i in 0..number("OXPCAP_REJECT_CASES").unwrap_or(CASES) {
        let mut rng = fuzz::Rng::new(seed.wrapping_add(i));
        let (dlt, text) = cases::generate(&mut rng, &dlts, &accepted);
        tally.compare(&mut oracle, dlt, &text);
    }
    tally.finish();
}

/// The words of the development line for link-layer types that libpcap 1.10 does not know.
#[test]
fn types_that_are_new() {
    for (dlt, text, wanted) in [
        (Dlt::CHAOS, "llc", "'llc' not supported on DLT_CHAOS"),
        (Dlt::EN3MB, "ip", "link-layer type filtering not implemented for DLT_EN3MB"),
        (Dlt::AX25, "gateway x", "'gateway' not supported on DLT_AX25"),
    ] {
        let error = build(text, &options(dlt, true), &Files).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{text}");
    }
}
