//! Long lists of like terms: the same verdicts as libpcap, small programs, short ways through them.

mod support;

use fuzz::{Rng, guided, packets};
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Filter, Insn, Program};
use pcap::linktype::Dlt;
use support::{Table, build, fuzz_insns, hex, options, verdict};

/// Terms of the lists: what an `or` of them is written with.
type Term = fn(&mut Rng) -> String;

const TERMS: [(&str, Term); 14] = [
    ("hosts", |r| format!("host {}", v4(r))),
    ("sources", |r| format!("src host {}", v4(r))),
    ("IPv4 hosts", |r| format!("ip host {}", v4(r))),
    ("ARP hosts", |r| format!("arp host {}", v4(r))),
    ("networks of one size", |r| format!("net {}.{}.0.0/16", r.below(256), r.below(4))),
    ("networks", network),
    ("ports", |r| format!("port {}", r.below(300))),
    ("destination ports", |r| format!("udp dst port {}", r.below(300))),
    ("port ranges", |r| format!("portrange {}-{}", r.below(300), 300 + r.below(300))),
    ("Ethernet hosts", |r| format!("ether host {}", mac(r))),
    ("Ethernet sources", |r| format!("ether src {}", mac(r))),
    ("IPv6 sources", |r| format!("src host 2001:db8:{:x}::{:x}", r.below(3), r.below(40))),
    ("both ends apart", |r| {
        let end = if r.percent(50) { "src" } else { "dst" };
        format!("{end} host {}", v4(r))
    }),
    ("kinds mixed", |r| match r.below(5) {
        0 => format!("host {}", v4(r)),
        1 => format!("tcp port {}", r.below(300)),
        2 => network(r),
        3 => "icmp".to_owned(),
        _ => format!("port {}", r.below(300)),
    }),
];

fn v4(rng: &mut Rng) -> String {
    format!("{}.{}.{}.{}", 1 + rng.below(250), rng.below(3), rng.below(3), rng.below(256))
}

fn mac(rng: &mut Rng) -> String {
    format!("00:0{}:5e:00:{:02x}:{:02x}", rng.below(4), rng.below(3), rng.below(256))
}

fn network(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!("net {}.0.0.0/8", 1 + rng.below(250)),
        1 => format!("net {}.{}.0.0/16", 1 + rng.below(250), rng.below(3)),
        2 => format!("net 10.{}.{}.0/24", rng.below(3), rng.below(256)),
        _ => format!("net 10.1.{}.{}/30", rng.below(3), 4 * rng.below(64)),
    }
}

fn list(rng: &mut Rng, term: Term, count: usize) -> String {
    (0..count).map(|_| term(rng)).collect::<Vec<_>>().join(" or ")
}

fn theirs(oracle: &mut Oracle, filter: &str, dlt: Dlt, optimize: bool) -> Option<Program> {
    let ask = CompileOptions { dlt: dlt.0, optimize, ..CompileOptions::ethernet() };
    let insns = oracle.compile(filter, &ask).ok()?;
    let insns = insns.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
    Some(Program::from_insns(insns.collect::<Vec<_>>()))
}

#[test]
fn verdicts_equal_libpcaps() {
    const DLTS: [Dlt; 6] =
        [Dlt::EN10MB, Dlt::RAW, Dlt::LINUX_SLL, Dlt::PPP, Dlt::IEEE802_11_RADIO, Dlt::JUNIPER_ES];
    let mut oracle = Oracle::start();
    let names = Table::default();
    let mut compared = 0;
    for (seed, dlt) in (1u64..).zip(DLTS) {
        let mut rng = Rng::new(seed);
        for (what, term) in TERMS {
            for (count, negated) in
                [(2, false), (3, true), (5, false), (9, true), (13, false), (20, true), (45, false)]
            {
                let list = list(&mut rng, term, count);
                let filter = if negated { format!("not ({list})") } else { list };
                let (Some(plain), Some(best)) = (
                    theirs(&mut oracle, &filter, dlt, false),
                    theirs(&mut oracle, &filter, dlt, true),
                ) else {
                    continue;
                };
                let own = [false, true].map(|optimize| {
                    build(&filter, &options(dlt, optimize), &names).expect("libpcap takes it")
                });
                let steering = [&plain, &own[1]].map(fuzz_insns);
                let [plain, best] = [&plain, &best].map(Filter::new);
                let own = own.each_ref().map(Filter::new);
                for i in 0..60 {
                    let base = packets::build(&mut rng, dlt.0);
                    let mut packet = guided::steer(&steering[i & 1], &base, &mut rng);
                    if i % 3 == 0 {
                        packet.truncate(rng.below(packet.len() as u32 + 1) as usize);
                    }
                    let expected = verdict(&plain, &packet);
                    if expected != verdict(&best, &packet) {
                        continue;
                    }
                    for own in &own {
                        let packet = hex(&packet);
                        assert_eq!(
                            verdict(own, &unhex(&packet)),
                            expected,
                            "{what}, type {}, {filter:?}, {packet}",
                            dlt.0
                        );
                    }
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..][..2], 16).unwrap()).collect()
}

#[test]
fn a_thousand_hosts_fit_the_kernel() {
    let mut rng = Rng::new(7);
    let octet = |rng: &mut Rng| rng.below(256);
    let hosts: Vec<_> = (0..1000)
        .map(|_| {
            let [a, b, c, d] = [(); 4].map(|()| octet(&mut rng));
            format!("host {a}.{b}.{c}.{d}")
        })
        .collect();
    let filter = hosts.join(" or ");
    let program =
        build(&filter, &options(Dlt::EN10MB, true), &Table::default()).expect("a good filter");
    assert!(program.insns().len() <= 4096, "{}", program.insns().len());
    let longest = fuzz::longest_path(&fuzz_insns(&program));
    assert!(longest <= 64, "{longest}");
}

#[test]
fn short_lists_are_no_longer_than_libpcaps() {
    let mut oracle = Oracle::start();
    let mut rng = Rng::new(3);
    // Among terms of other kinds a list must find its way back to what they know.
    for (what, term) in TERMS.into_iter().filter(|(what, _)| *what != "kinds mixed") {
        for count in 2..12 {
            let filter = list(&mut rng, term, count);
            let best = theirs(&mut oracle, &filter, Dlt::EN10MB, true).expect("a good filter");
            let own = build(&filter, &options(Dlt::EN10MB, true), &Table::default()).unwrap();
            let (own, best) = (own.insns().len(), best.insns().len());
            assert!(own <= best, "{what}: {own} instructions, libpcap has {best}: {filter}");
        }
    }
}

#[test]
fn repeated_terms_cost_nothing() {
    let compile = |filter: &str| {
        build(filter, &options(Dlt::EN10MB, true), &Table::default()).expect("a good filter")
    };
    let once = compile("tcp or vlan 5");
    assert_eq!(compile(&format!("{}vlan 5", "tcp or ".repeat(1000))), once);
    let mixed = "tcp or host 10.0.0.1 or ".repeat(500);
    assert!(compile(&format!("{mixed}udp")).insns().len() < 60);
}

/// What follows a repeated term is known by its own hash, also where that term's place is taken again.
#[test]
fn each_repeated_term_is_left_out() {
    let term = |n: usize| format!("greater {}", 7 * n);
    let compile = |terms: &[String]| {
        let options = options(Dlt::EN10MB, false);
        build(&terms.join(" or "), &options, &Table::default()).expect("a good filter")
    };
    let once: Vec<_> = (0..200).map(term).collect();
    let repeated: Vec<_> = (0..200).flat_map(|n| [term(n), term(n), term(n / 2)]).collect();
    // The first few terms of a group are not looked at.
    let most = compile(&once).insns().len() + 8 * 20;
    let own = compile(&repeated).insns().len();
    assert!(own <= most, "{own} instructions, {most} would do");
}

/// A list that is said twice is as good as said once, also where it is too long to compare term by term.
#[test]
fn a_repeated_list_costs_nothing() {
    let compile = |filter: &str| {
        build(filter, &options(Dlt::EN10MB, true), &Table::default()).expect("a good filter")
    };
    let mut rng = Rng::new(5);
    for (what, term) in TERMS.into_iter().filter(|(what, _)| *what != "kinds mixed") {
        let list = list(&mut rng, term, 150);
        let twice = compile(&format!("({list}) and ({list})"));
        assert_eq!(twice.insns().len(), compile(&list).insns().len(), "{what}");
    }
}
