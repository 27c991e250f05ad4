//! Lists of hosts, nets and ports: never longer than libpcap's programs, and within the kernel's
//! limits where libpcap's are not.

use std::os::fd::AsFd;

use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Aux, Insn, check, image, interpret, op};
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

fn ours(text: &str) -> Vec<Insn> {
    let options = Options::new(Dlt(1));
    let program = compile(text.as_bytes(), &options, &NoNames);
    let program =
        program.unwrap_or_else(|error| panic!("{}: {error}", &text[..text.len().min(80)]));
    check(program.insns()).expect("a valid program");
    program.insns().to_vec()
}

fn show(insns: &[Insn]) -> Vec<String> {
    (0..).zip(insns).map(|(at, insn)| image(insn, at).to_string()).collect()
}

/// Term `i` of a list; the terms of a kind differ.
fn term(kind: &str, i: u32) -> String {
    let scattered = i.wrapping_mul(2_654_435_761);
    let addr = std::net::Ipv4Addr::from(scattered);
    let port = scattered >> 16;
    match kind {
        "net" => format!("net {}/24", std::net::Ipv4Addr::from(scattered & 0xffff_ff00)),
        "src net" => format!("src net {}/16", std::net::Ipv4Addr::from(scattered & 0xffff_0000)),
        "nets" => {
            let bits = 9 + i % 20;
            format!(
                "net {}/{bits}",
                std::net::Ipv4Addr::from(scattered & (u32::MAX << (32 - bits)))
            )
        }
        "either host" => format!("{} host {addr}", ["src", "dst"][i as usize % 2]),
        "portrange" => format!("portrange {port}-{}", (port + i % 9).min(65_535)),
        "tcp[0:2] =" => format!("tcp[0:2] = {port}"),
        "ether host" => {
            let [a, b, c, d] = scattered.to_be_bytes();
            format!("ether host 02:00:{a:x}:{b:x}:{c:x}:{d:x}")
        }
        "ip6 host" => format!("ip6 host 2001:db8::{:x}:{:x}", port, i),
        _ if kind.ends_with("host") => format!("{kind} {addr}"),
        _ => format!("{kind} {port}"),
    }
}

const KINDS: [&str; 20] = [
    "host",
    "src host",
    "dst host",
    "ip host",
    "ip src host",
    "arp host",
    "either host",
    "net",
    "src net",
    "nets",
    "port",
    "src port",
    "tcp port",
    "udp dst port",
    "portrange",
    "ip proto",
    "tcp[0:2] =",
    "ether host",
    "ip6 host",
    "dst port",
];

fn list(kind: &str, n: u32, negated: bool) -> String {
    let terms: Vec<String> =
        (1..=n)
            .map(|i| {
                if kind == "ip proto" { format!("ip proto {}", i * 7 % 256) } else { term(kind, i) }
            })
            .collect();
    let list = terms.join(" or ");
    if negated { format!("not ({list})") } else { list }
}

#[test]
fn lists_are_no_longer_than_libpcaps() {
    let mut oracle = Oracle::start();
    let mut bad = Vec::new();
    for kind in KINDS {
        for n in [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 30, 50] {
            let text = list(kind, n, n % 3 == 0);
            let theirs = oracle.compile(&text, &CompileOptions::ethernet()).expect(&text);
            let insn = |i: &oracle::Insn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
            let theirs: Vec<Insn> = theirs.iter().map(insn).collect();
            let ours = ours(&text);
            // The development line joins the tests of protocols before those of ports: longer for
            // lists, and in another order than 1.10.
            if matches!(kind, "src port" | "dst port") {
                assert!(ours.len() <= theirs.len() + theirs.len() / 4, "{text}");
                continue;
            }
            if ours.len() > theirs.len()
                || ours.len() == theirs.len() && show(&ours) != show(&theirs)
            {
                bad.push(format!("{n} {kind}: {} for {}", ours.len(), theirs.len()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Most instructions that one packet can execute.
fn longest_way(program: &[Insn]) -> usize {
    let mut steps = vec![1usize; program.len()];
    for (at, insn) in program.iter().enumerate().rev() {
        let after = |skip: u32| steps[at + 1 + skip as usize];
        steps[at] = 1 + match op::class(insn.code) {
            op::RET => 0,
            op::JMP if op::operation(insn.code) == op::JA => after(insn.k),
            op::JMP => after(insn.jt.into()).max(after(insn.jf.into())),
            _ => after(0),
        };
    }
    steps[0]
}

#[test]
fn a_thousand_hosts_fit_the_kernel() {
    for negated in [false, true] {
        let text = list("host", 1000, negated);
        let program = ours(&text);
        assert!(program.len() <= 4096, "{} instructions", program.len());
        assert!(longest_way(&program) <= 64, "{} on one way", longest_way(&program));
        for i in (1..=2000u32).step_by(7) {
            let packet = packet_of(i);
            let accepted = interpret(&program, &packet, 60, &Aux::default()) != 0;
            assert_eq!(accepted, (i <= 1000) != negated, "host {i}");
        }
    }
}

/// The kernel runs the program on what a local datagram socket receives, no privileges needed.
#[test]
fn the_kernel_takes_a_thousand_hosts() {
    let (sender, receiver) = std::os::unix::net::UnixDatagram::pair().expect("sockets");
    receiver.set_nonblocking(true).expect("nonblocking");
    let filter: Vec<libc::sock_filter> = ours(&list("host", 1000, false))
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k })
        .collect();
    pcap::sys::bpf::attach_classic(receiver.as_fd(), &filter).expect("SO_ATTACH_FILTER");
    for i in 1..=2000u32 {
        let packet = packet_of(i);
        sender.send(&packet).expect("a datagram");
        let delivered = receiver.recv(&mut [0; 64]).is_ok();
        assert_eq!(delivered, i <= 1000, "host {i}");
    }
}

/// An IPv4 packet from (even) or to (odd) the host of term `i`.
fn packet_of(i: u32) -> [u8; 60] {
    let mut packet = [0u8; 60];
    packet[12] = 8;
    packet[14] = 0x45;
    let at = if i % 2 == 0 { 26 } else { 30 };
    packet[at..at + 4].copy_from_slice(&i.wrapping_mul(2_654_435_761).to_be_bytes());
    packet
}
