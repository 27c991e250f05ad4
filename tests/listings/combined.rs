//! Filters made of the primitives of `palette.txt`.

use fuzz::Rng;

/// A filter, and the words in which libpcap 1.10 has the meaning that it has today.
#[derive(Clone, Debug)]
pub struct Words {
    pub text: String,
    pub reference: String,
}

impl Words {
    fn new(text: String) -> Self {
        Self { reference: text.clone(), text }
    }

    /// `not` it.
    pub fn negated(&self) -> Self {
        let reference = format!("not ({})", self.reference);
        Self { text: format!("not {}", self.text), reference }
    }

    /// Both texts put together by the same rule; references are set in parentheses.
    fn join<const N: usize>(parts: [&Self; N], rule: impl Fn([&str; N]) -> String) -> Self {
        let text = rule(parts.map(|words| &*words.text));
        let references = parts.map(|words| format!("({})", words.reference));
        Self { text, reference: rule(references.each_ref().map(|text| &**text)) }
    }
}

/// Reads a file with a filter a line.
pub fn read(text: &str) -> Vec<Words> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (text, reference) = line.split_once(" => ").unwrap_or((line, line));
            Words { text: text.to_owned(), reference: reference.to_owned() }
        })
        .collect()
}

const OPERATORS: [&str; 4] = ["and", "or", "and not", "or not"];

/// About `count` of all pairs with all operators, spread evenly.
pub fn pairs(palette: &[Words], count: usize) -> Vec<Words> {
    let all = palette.len() * palette.len() * OPERATORS.len();
    // Odd, so that operators and primitives take turns.
    let step = (all / count.max(1)) | 1;
    (0..all)
        .step_by(step)
        .map(|i| {
            let op = OPERATORS[i % 4];
            let (a, b) = (i / 4 / palette.len(), i / 4 % palette.len());
            Words::join([&palette[a], &palette[b]], |[a, b]| format!("{a} {op} {b}"))
        })
        .collect()
}

/// Three or four primitives in one of a few forms.
pub fn triple(palette: &[Words], rng: &mut Rng) -> Words {
    let [a, b, c, d] = [(); 4].map(|()| &palette[rng.below(palette.len() as u32) as usize]);
    let [x, y, z] = [(); 3].map(|()| rng.pick(&OPERATORS));
    match rng.below(4) {
        0 => Words::join([a, b, c], |[a, b, c]| format!("{a} {x} {b} {y} {c}")),
        1 => Words::join([a, b, c], |[a, b, c]| format!("{a} {x} ({b} {y} {c})")),
        2 => Words::join([a, b, c, d], |[a, b, c, d]| format!("({a} {x} {b}) {y} ({c} {z} {d})")),
        _ => Words::join([a, b, a], |[a, b, c]| format!("{a} {x} {b} {y} {c}")),
    }
}

fn v4(rng: &mut Rng) -> String {
    match rng.below(3) {
        0 => format!("10.0.0.{}", rng.below(256)),
        1 => format!("10.{}.{}.{}", rng.below(256), rng.below(256), rng.below(256)),
        _ => format!("{}.{}.2.{}", 1 + rng.below(223), rng.below(256), rng.below(256)),
    }
}

fn net(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!("10.{}.0.0/16", rng.below(256)),
        1 => format!("10.{}.{}.0/24", rng.below(256), rng.below(256)),
        2 => format!("{}.0.0.0/8", 1 + rng.below(223)),
        _ => format!("192.168.1.{}/30", 4 * rng.below(64)),
    }
}

fn v6(rng: &mut Rng) -> String {
    match rng.below(2) {
        0 => format!("2001:db8::{:x}", rng.below(0xffff)),
        _ => format!("2001:db8:{:x}:{:x}::1", rng.below(4), rng.below(0xffff)),
    }
}

fn mac(rng: &mut Rng) -> String {
    let [a, b, c, d] = [(); 4].map(|()| rng.below(256));
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{:02x}", rng.below(4))
}

/// None of these is a protocol's number (see `reference::NUMBERS`).
fn port(rng: &mut Rng) -> String {
    let near = rng.percent(50);
    (200 + rng.below(if near { 50 } else { 60_000 })).to_string()
}

fn range(rng: &mut Rng) -> String {
    let low = 200 + rng.below(60_000);
    format!("{low}-{}", low + rng.below(500))
}

type Value = fn(&mut Rng) -> String;
const KINDS: [(&str, Value); 31] = [
    ("host", v4),
    ("src host", v4),
    ("dst host", v4),
    ("src and dst host", v4),
    ("ip host", v4),
    ("ip src host", v4),
    ("arp host", v4),
    ("rarp dst host", v4),
    ("net", net),
    ("src net", net),
    ("dst net", net),
    ("ip net", net),
    ("ip dst net", net),
    ("host", v6),
    ("src host", v6),
    ("dst host", v6),
    ("ip6 host", v6),
    ("port", port),
    ("src port", port),
    ("dst port", port),
    ("tcp port", port),
    ("udp src port", port),
    ("sctp dst port", port),
    ("portrange", range),
    ("src portrange", range),
    ("tcp dst portrange", range),
    ("ether host", mac),
    ("ether src", mac),
    ("ether dst", mac),
    ("ether src and dst", mac),
    ("ip proto", |rng| (20 + rng.below(100)).to_string()),
];
const LENGTHS: [u32; 16] = [2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 13, 15, 17, 20, 33, 40];
const BESIDE: [&str; 9] =
    ["tcp", "udp", "icmp", "ip", "arp", "ip6", "not tcp port 22", "greater 100", "tcp[13] = 2"];

/// Like terms, alone or beside something else.
pub fn list(rng: &mut Rng) -> Words {
    let first = terms(rng, &LENGTHS);
    let beside = rng.pick(&BESIDE);
    Words::new(match rng.below(8) {
        0 | 1 => first,
        2 => format!("not ({first})"),
        3 => format!("{beside} and ({first})"),
        4 => format!("({first}) and {beside}"),
        5 => format!("{beside} or {first}"),
        6 => {
            let not = rng.pick(&["", "not "]);
            format!("({first}) and {not}({})", terms(rng, &LENGTHS[..10]))
        }
        _ => format!("({first}) and ({first})"),
    })
}

fn terms(rng: &mut Rng, lengths: &[u32]) -> String {
    let (kind, value) = rng.pick(&KINDS);
    let count = lengths[rng.below(lengths.len() as u32) as usize];
    let values: Vec<String> = (0..count).map(|_| value(rng)).collect();
    if rng.percent(50) {
        return format!("{kind} ({})", values.join(" or "));
    }
    let terms: Vec<String> = values.iter().map(|value| format!("{kind} {value}")).collect();
    terms.join(" or ")
}
