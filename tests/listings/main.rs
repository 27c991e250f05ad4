//! Optimized listings against the system's libpcap, over every link-layer type: each primitive
//! alone and negated, filters that people write, pairs and triples of primitives, lists. Each must
//! be libpcap's listing or strictly shorter; `reference` says where libpcap's is no reference.
//!
//! `OXPCAP_LISTINGS=N` tries N times as many pairs, triples and lists, and finds more of those.

#[path = "../support/mod.rs"]
mod support;

mod combined;
mod reference;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use combined::Words;
use fuzz::dlt::KNOWN;
use fuzz::{Rng, guided, packets};
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Aux, Insn, image, interpret};
use pcap::filter::Options;
use pcap::linktype::Dlt;
use support::{Table, build, options};

/// What a listing is, next to libpcap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// One of the two refuses the filter: other tests compare what is refused.
    Refused,
    Same,
    Shorter,
    /// Libpcap's is no reference.
    Excused,
    /// As long, but another.
    Other,
    Longer,
}

struct Listings {
    oracle: Oracle,
    names: Table,
    counts: BTreeMap<(&'static str, Class), u64>,
    bad: Vec<String>,
}

impl Listings {
    fn compare(&mut self, (name, dlt): (&str, i32), kind: &'static str, words: &Words) -> Class {
        let (class, listings) = self.classify(dlt, words);
        *self.counts.entry((kind, class)).or_default() += 1;
        if class >= Class::Other {
            let [own, theirs] = listings.map(|listing| show(&listing).join("\n"));
            let text = &words.text;
            self.bad.push(format!("{class:?}: {name} {text:?}\n{own}\nlibpcap's\n{theirs}"));
        }
        class
    }

    fn classify(&mut self, dlt: i32, words: &Words) -> (Class, [Vec<Insn>; 2]) {
        let own = build(&words.text, &options(Dlt(dlt), true), &self.names);
        let theirs = reference::compile(&mut self.oracle, words, dlt, true);
        let (Ok(own), Some(theirs)) = (own, theirs) else {
            return (Class::Refused, [Vec::new(), Vec::new()]);
        };
        let own = own.insns().to_vec();
        let class = match own.len().cmp(&theirs.len()) {
            Ordering::Less => Class::Shorter,
            Ordering::Equal if show(&own) == show(&theirs) => Class::Same,
            _ if reference::is_none(&words.text, dlt, [&own, &theirs]) => Class::Excused,
            _ if self.is_wrong(dlt, words, &own, &theirs) => Class::Excused,
            Ordering::Equal => Class::Other,
            Ordering::Greater => Class::Longer,
        };
        (class, [own, theirs])
    }

    /// Whether libpcap's optimizer changed what the filter means.
    fn is_wrong(&mut self, dlt: i32, words: &Words, own: &[Insn], theirs: &[Insn]) -> bool {
        let Some(plain) = reference::compile(&mut self.oracle, words, dlt, false) else {
            return false;
        };
        let to_fuzz = |i: &Insn| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
        let guides = [&plain[..], theirs, own].map(|p| p.iter().map(to_fuzz).collect::<Vec<_>>());
        let mut rng = Rng::new(1);
        (0..400).any(|i| {
            let base = packets::build(&mut rng, dlt);
            let packet = guided::steer(&guides[i % guides.len()], &base, &mut rng);
            // Lengths decide, too, and steering does not change them.
            [packet.len() as u32, 60, 100, 1000].into_iter().any(|len| {
                let run = |program: &[Insn]| interpret(program, &packet, len, &Aux::default());
                run(&plain) != run(theirs)
            })
        })
    }
}

fn show(listing: &[Insn]) -> Vec<String> {
    listing.iter().zip(0..).map(|(insn, at)| image(insn, at).to_string()).collect()
}

#[test]
fn libpcaps_or_shorter() {
    let more = std::env::var("OXPCAP_LISTINGS").map_or(1, |n| n.parse().expect("a number"));
    let mut listings = Listings {
        oracle: Oracle::start(),
        names: Table::default(),
        counts: BTreeMap::new(),
        bad: Vec::new(),
    };
    let palette = combined::read(include_str!("palette.txt"));
    let typical = combined::read(include_str!("typical.txt"));
    for &link in &KNOWN {
        let mut usable = Vec::new();
        for words in &palette {
            if listings.compare(link, "alone", words) != Class::Refused {
                usable.push(words.clone());
            }
            listings.compare(link, "negated", &words.negated());
        }
        for words in &typical {
            listings.compare(link, "typical", words);
        }
        // 1.10 knows nothing of some types.
        if usable.is_empty() {
            continue;
        }
        for words in combined::pairs(&usable, 200 * more) {
            listings.compare(link, "pair", &words);
        }
        let mut rng = Rng::new(link.1 as u64);
        for _ in 0..100 * more {
            let words = combined::triple(&usable, &mut rng);
            listings.compare(link, "triple", &words);
        }
    }
    for link in [("EN10MB", 1), ("RAW", 12), ("LINUX_SLL", 113), ("SUNATM", 123)] {
        let mut rng = Rng::new(link.1 as u64);
        for _ in 0..300 * more {
            listings.compare(link, "list", &combined::list(&mut rng));
        }
    }
    println!("{:#?}", listings.counts);
    let compared = listings.counts.iter().filter(|((_, class), _)| *class != Class::Refused);
    assert!(compared.map(|(_, count)| count).sum::<u64>() > 40_000);
    let bad = listings.bad.len();
    assert!(bad == 0, "{bad} listings:\n{}", listings.bad[..bad.min(40)].join("\n"));
}

#[test]
fn ip_broadcast_with_all_netmasks() {
    let mut oracle = Oracle::start();
    for dlt in [1, 9, 12, 113, 276] {
        for netmask in (0..32).map(|bits| !(u32::MAX >> bits)).chain([0xff00_ff00, 1]) {
            let own_options = Options { netmask: Some(netmask), ..options(Dlt(dlt), true) };
            let own = build("ip broadcast", &own_options, &Table::default()).unwrap();
            let asked = CompileOptions { dlt, netmask, ..CompileOptions::ethernet() };
            let insn = |i: &oracle::Insn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
            let theirs = oracle.compile("ip broadcast", &asked).unwrap();
            let theirs: Vec<Insn> = theirs.iter().map(insn).collect();
            assert_eq!(show(own.insns()), show(&theirs), "DLT {dlt}, netmask {netmask:#x}");
        }
    }
}
