//! The parser against libpcap's: sequences of random words are filters for both or for neither.

mod support;

use fuzz::Rng;
use oracle::{CompileOptions, Oracle};
use pcap::linktype::Dlt;
use support::{Table, build, options};

/// Words whose meaning is hardly ever the error.
const WORDS: [&str; 40] = [
    "port",
    "port",
    "80",
    "80",
    "44",
    "host",
    "1.2.3.4",
    "::1",
    "net",
    "10.0.0.0/8",
    "tcp",
    "udp",
    "ip",
    "and",
    "or",
    "and",
    "or",
    "&&",
    "not",
    "!",
    "(",
    ")",
    "(",
    ")",
    "len",
    "=",
    ">",
    "!=",
    "+",
    "-",
    "%",
    "&",
    "tcp[",
    "]",
    ":2",
    "src",
    "dst",
    "vlan",
    "proto",
    "less",
];

/// Runs of words that make sense together, so that some sequences are filters.
const PHRASES: [&str; 16] = [
    "port 80",
    "host 1.2.3.4",
    "tcp",
    "ip proto 6",
    "src or dst port 53",
    "len > 5",
    "tcp[0] = 1",
    "(80 or 44)",
    "not (80",
    "port (80 or",
    "(len + 1) * 2 = 4",
    "vlan 5",
    "ether host 1:2:3:4:5:6",
    "and not",
    "or (",
    "ip[0] & 0xf",
];

/// Errors in the meaning of a term that libpcap makes and we do not: arithmetic that it takes for
/// constant, and two kinds of address that need qualifiers, which lack them altogether.
const OF_LIBPCAP: [&str; 3] =
    ["modulus by zero", "Mask syntax for networks only", "invalid qualifier against IPv6 address"];

/// Errors that only parsing makes.
const OF_THE_PARSER: [&str; 2] =
    ["can't parse filter expression: syntax error", "syntax error in filter expression"];

#[test]
fn same_sentences() {
    let mut rng = Rng::new(21);
    let mut oracle = Oracle::start();
    let ask = CompileOptions { optimize: false, ..CompileOptions::ethernet() };
    let (mut accepted, mut failures) = (0, Vec::new());
    for _ in 0..40_000 {
        let count = 1 + rng.below(7);
        let words: Vec<&str> = (0..count)
            .map(|_| if rng.percent(50) { rng.pick(&WORDS) } else { rng.pick(&PHRASES) })
            .collect();
        let text = words.join(" ");
        let Some(reference) = oracle.try_compile(&text, &ask) else { continue };
        let own = build(&text, &options(Dlt::EN10MB, false), &Table::default());
        let of_parser = |error: &str| OF_THE_PARSER.contains(&error);
        let same = match (&reference, &own) {
            (Ok(_), Ok(_)) => {
                accepted += 1;
                true
            }
            (Err(theirs), Err(ours)) => {
                let ours = ours.to_string();
                // Other errors have other words in newer versions.
                !(of_parser(theirs) || of_parser(&ours))
                    || *theirs == ours
                    || OF_LIBPCAP.contains(&theirs.as_str())
            }
            (Err(theirs), Ok(_)) => !of_parser(theirs),
            (Ok(_), Err(ours)) => !of_parser(&ours.to_string()),
        };
        if !same {
            let own = own.map(|_| "a filter").map_err(|e| e.to_string());
            let reference = reference.map(|_| "a filter");
            failures.push(format!("{text:?}: libpcap {reference:?}, ours {own:?}"));
        }
    }
    println!("{accepted} are filters");
    assert!(accepted > 1000, "{accepted}");
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
