//! Filters of as many terms as one likes, in many shapes; also what `tests/lists.rs` compiles.

use std::net::{Ipv4Addr, Ipv6Addr};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }
}

/// Writes term `i`.
type Term = fn(&mut Random, usize) -> String;

/// Lists of like terms: `T or T or …`.
pub const LISTS: [(&str, Term); 22] = [
    ("hosts", |r, _| format!("host {}", v4(r))),
    ("src hosts", |r, _| format!("src host {}", v4(r))),
    ("mixed src/dst", |r, i| format!("{} host {}", END[i % 2], v4(r))),
    ("nets", |r, _| format!("net {}", net(r, 8, 24))),
    ("nets of one size", |r, _| format!("net {}", net(r, 24, 24))),
    ("nets of /16 to /32", |r, _| format!("net {}", net(r, 16, 32))),
    ("mixed src/dst nets", |r, i| format!("{} net {}", END[i % 2], net(r, 12, 28))),
    ("hosts and nets", |r, i| match i % 2 {
        0 => format!("host {}", v4(r)),
        _ => format!("net {}", net(r, 16, 28)),
    }),
    ("ports", |r, _| format!("port {}", r.below(65_536))),
    ("tcp dst ports", |r, _| format!("tcp dst port {}", r.below(65_536))),
    ("mixed src/dst ports", |r, i| format!("udp {} port {}", END[i % 2], r.below(65_536))),
    ("portranges", |r, _| portrange(r)),
    ("Ethernet hosts", |r, _| {
        let [a, b, c, d] = r.word().to_be_bytes();
        format!("ether host 02:00:{a:x}:{b:x}:{c:x}:{d:x}")
    }),
    ("Ethernet hosts of 40 vendors", |r, _| {
        let vendor = r.below(40).wrapping_mul(2_654_435_761).to_be_bytes();
        let ([a, b, c, _], [_, d, e, f]) = (vendor, r.word().to_be_bytes());
        format!("ether host {:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}", a & 0xfc)
    }),
    ("Ethernet sources", |r, _| {
        let ([a, b, c, d], [e, f, ..]) = (r.word().to_be_bytes(), r.word().to_be_bytes());
        format!("ether src {a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}")
    }),
    ("IPv6 hosts", |r, _| {
        format!("host 2001:db8::{:x}:{:x}", r.below(0x1_0000), r.below(0x1_0000))
    }),
    ("IPv6 nets", |r, _| {
        let bits = 32 + r.below(33);
        let addr = (u128::from(0x2000_0000 | (r.word() >> 3)) << 96) | (u128::from(r.word()) << 64);
        format!("net {}/{bits}", Ipv6Addr::from(addr & (u128::MAX << (128 - bits))))
    }),
    ("IP protocols", |r, _| format!("ip proto {}", r.below(256))),
    ("kinds mixed", |r, i| match i % 5 {
        0 => format!("host {}", v4(r)),
        1 => format!("tcp port {}", r.below(65_536)),
        2 => format!("net {}", net(r, 16, 28)),
        3 => format!("host 2001:db8::{:x}:{:x}", r.below(0x1_0000), r.below(0x1_0000)),
        _ => format!("port {}", r.below(65_536)),
    }),
    ("relations", |_, i| format!("ether[{}:4] = {i}", i % 1000)),
    ("vlan", |r, _| format!("vlan {}", r.below(4096))),
    ("mpls", |r, _| format!("mpls {}", r.below(1 << 20))),
];

const END: [&str; 2] = ["src", "dst"];

/// Shapes that are no plain lists.
pub const OTHERS: [&str; 13] = [
    "not (hosts)",
    "two lists of hosts",
    "hosts and ports",
    "nets and ports, not hosts",
    "nested parentheses",
    "`not not …`",
    "one primitive repeated",
    "one relation repeated",
    "alternating and/or",
    "and/or nested to the left",
    "and/or nested to the right",
    "contradicting lists",
    "hosts, each with a port",
];

/// All shapes by name.
pub fn names() -> impl Iterator<Item = &'static str> {
    LISTS.iter().map(|(name, _)| *name).chain(OTHERS)
}

/// A filter of `n` terms.
pub fn filter(name: &str, n: usize) -> String {
    let mut random = Random::new(7);
    let list = |random: &mut Random, name: &str, n: usize| {
        let (_, term) = LISTS.iter().find(|(known, _)| *known == name).expect("a list's name");
        (0..n.max(1)).map(|i| term(random, i)).collect::<Vec<_>>().join(" or ")
    };
    if LISTS.iter().any(|(known, _)| *known == name) {
        return list(&mut random, name, n);
    }
    let r = &mut random;
    let sources = |list: String, end: &str| list.replace("src host", &format!("{end} host"));
    match name {
        "not (hosts)" => format!("not ({})", list(r, "hosts", n)),
        "two lists of hosts" => {
            let [src, dst] = END.map(|end| sources(list(r, "src hosts", n / 2), end));
            format!("({src}) and ({dst})")
        }
        "hosts and ports" => {
            format!("({}) and ({})", list(r, "hosts", n / 2), list(r, "ports", n / 2))
        }
        "nets and ports, not hosts" => format!(
            "({}) and ({}) and not ({})",
            list(r, "nets", n / 3),
            list(r, "ports", n / 3),
            list(r, "hosts", n / 3)
        ),
        "hosts, each with a port" => {
            let term = |_| format!("(host {} and port {})", v4(r), r.below(65_536));
            (0..n).map(term).collect::<Vec<_>>().join(" or ")
        }
        _ => unfavourable(name, n),
    }
}

fn unfavourable(name: &str, n: usize) -> String {
    let op = |i: usize| ["and", "or"][i % 2];
    match name {
        "nested parentheses" => format!("{}tcp{}", "(".repeat(n), ")".repeat(n)),
        "`not not …`" => format!("{}tcp", "not ".repeat(n)),
        "one primitive repeated" => vec!["tcp port 80"; n].join(" or "),
        "one relation repeated" => vec!["tcp[13] & 7 != 0"; n].join(" and "),
        "alternating and/or" => {
            let term =
                |i: usize| format!("(ip[{}] = {} or tcp[{}] = 1) and ", i % 200, i % 256, i % 60);
            format!("{}tcp", (0..n / 2).map(term).collect::<String>())
        }
        "and/or nested to the left" => {
            let term = |i: usize| format!(" {} udp[{}] > {}) ", op(i), i % 8, i % 256);
            format!("{}ip{}", "(".repeat(n), (0..n).map(term).collect::<String>())
        }
        "and/or nested to the right" => {
            let term = |i: usize| format!("udp[{}] > {} {} (", i % 8, i % 256, op(i));
            format!("{}ip{}", (0..n).map(term).collect::<String>(), ")".repeat(n))
        }
        "contradicting lists" => {
            let terms = |from: usize| {
                (from..from + n / 2).map(|i| format!("ip[8:2] = {i}")).collect::<Vec<_>>()
            };
            format!("({}) and ({}) or arp", terms(0).join(" or "), terms(n).join(" or "))
        }
        _ => panic!("no such shape: {name}"),
    }
}

fn v4(r: &mut Random) -> Ipv4Addr {
    Ipv4Addr::from(r.word())
}

/// A network of `from` to `to` bits.
fn net(r: &mut Random, from: u32, to: u32) -> String {
    let bits = from + r.below(to - from + 1);
    format!("{}/{bits}", Ipv4Addr::from(r.word() & (u32::MAX << (32 - bits))))
}

fn portrange(r: &mut Random) -> String {
    let low = r.below(65_536);
    format!("portrange {low}-{}", (low + r.below(10)).min(65_535))
}
