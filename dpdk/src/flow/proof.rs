//! Rules against the filters they were made of.

use super::derive::patterns;
use super::rule::{Detail, HEADER, Item, Kind, Rule, rules};
use fuzz::Rng;
use oxpcap_plugin::CbpfInsn;
use pcap::bpf::{Aux, Program, interpret};
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

fn compiled(text: &str, optimize: bool) -> Option<Program> {
    let options = Options { netmask: Some(0xffff_ff00), optimize, ..Options::new(Dlt::EN10MB) };
    compile(text.as_bytes(), &options, &NoNames).ok()
}

fn plugin_program(program: &Program) -> Vec<CbpfInsn> {
    let insns = program.insns().iter();
    insns.map(|i| CbpfInsn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

fn made_of(text: &str, detail: Detail) -> Vec<String> {
    let program = compiled(text, true).unwrap();
    let patterns = patterns(&plugin_program(&program)).unwrap();
    let mut shown: Vec<String> = rules(&patterns, detail).iter().map(show).collect();
    shown.sort();
    shown
}

const NAMES: [&str; 7] = ["eth", "vlan", "ipv4", "ipv6", "tcp", "udp", "sctp"];

/// Headers with what their bytes must be: offset, value, and the mask where it is not whole.
fn show(rule: &Rule) -> String {
    let items = rule.0.iter().map(|item| {
        let mut text = NAMES[item.kind as usize].to_owned();
        let mut at = 0;
        while at < HEADER {
            let end = (at..HEADER).find(|&i| item.mask[i] == 0).unwrap_or(HEADER);
            if end > at {
                let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
                let (value, mask): (String, String) =
                    (hex(&item.value[at..end]), hex(&item.mask[at..end]));
                text.push_str(&format!(" {at}:{value}"));
                if item.mask[at..end].iter().any(|&b| b != 0xff) {
                    text.push_str(&format!("/{mask}"));
                }
            }
            at = end + 1;
        }
        text
    });
    items.collect::<Vec<_>>().join(" / ")
}

#[test]
fn rules_of_filters() {
    let ports = |text| made_of(text, Detail::Ports);
    assert_eq!(ports("ip"), ["eth / ipv4"]);
    assert_eq!(ports("arp"), ["eth 12:0806"]);
    assert_eq!(ports("ip6 and tcp"), ["eth / ipv6 6:06", "eth / ipv6 6:2c"]);
    assert_eq!(ports("src host 10.0.0.1 and ip"), ["eth / ipv4 12:0a000001"]);
    assert_eq!(ports("ip dst net 10.1.0.0/20"), ["eth / ipv4 16:0a0100/fffff0"]);
    assert_eq!(ports("ether src 2:0:0:0:0:1"), ["eth 6:020000000001"]);
    assert_eq!(ports("ip6 src net 2001:db8::/32"), ["eth / ipv6 8:20010db8"]);
    assert_eq!(
        ports("tcp dst port 80"),
        [
            "eth / ipv4 / tcp 2:0050",
            // The first fragment has ports, too.
            "eth / ipv4 6:2000/3fff 9:06",
            "eth / ipv6 / tcp 2:0050",
        ]
    );
    assert_eq!(
        ports("ip and udp src port 53 and dst host 10.0.0.1"),
        ["eth / ipv4 16:0a000001 / udp 0:0035", "eth / ipv4 6:2000/3fff 9:11 16:0a000001",]
    );
    assert_eq!(ports("port 80").len(), 2 * 6 + 3);
    assert_eq!(
        ports("vlan 5 and ip"),
        [
            "eth / vlan 0:0005/0fff / ipv4",
            "eth 12:88a8 / vlan 0:0005/0fff / ipv4",
            "eth 12:9100 / vlan 0:0005/0fff / ipv4",
        ]
    );
    // Nothing that a port could match decides these.
    for text in ["greater 100", "not tcp", "ether[60] = 1", "not host 10.0.0.1"] {
        assert_eq!(ports(text), ["eth"], "{text}");
    }
}

#[test]
fn less_and_less_is_said() {
    let text = "ip and tcp[tcpflags] & tcp-syn != 0 and dst port 80 and host 10.0.0.1";
    let bits = made_of(text, Detail::Bits);
    assert!(bits.contains(&"eth / ipv4 12:0a000001 / tcp 2:0050 13:02/02".into()), "{bits:?}");
    let ports = made_of(text, Detail::Ports);
    assert!(ports.contains(&"eth / ipv4 12:0a000001 / tcp 2:0050".into()), "{ports:?}");
    let addresses = made_of(text, Detail::Addresses);
    assert_eq!(addresses, ["eth / ipv4 9:06 12:0a000001", "eth / ipv4 9:06 16:0a000001"]);
    assert_eq!(made_of(text, Detail::Ethernet), ["eth 12:0800"]);
}

#[test]
fn long_lists_become_what_they_have_in_common() {
    let hosts: Vec<String> =
        (0..1000).map(|n| format!("host 10.{}.{}.1", n / 250, n % 250)).collect();
    let list = hosts.join(" or ");
    assert_eq!(made_of(&format!("ip and ({list})"), Detail::Ports), ["eth / ipv4"]);
    assert_eq!(made_of(&list, Detail::Ports), ["eth / ipv4", "eth 12:0806", "eth 12:8035"]);
}

#[test]
fn what_is_not_understood() {
    let insn = |code, k| CbpfInsn { code, k, ..CbpfInsn::default() };
    assert_eq!(patterns(&[]), None);
    // Jumps backward, runs off its end.
    assert_eq!(patterns(&[insn(0x05, u32::MAX), insn(0x06, 1)]), None);
    assert_eq!(patterns(&[insn(0x28, 12)]), None);
    assert_eq!(patterns(&[insn(0x06, 0)]), Some(Vec::new()));
    assert_eq!(patterns(&vec![insn(0x28, 12); 1 << 15]), None);
}

/// A port that matches rules as its driver promises.
struct Port {
    /// Does not look for a transport header in the first of several fragments.
    strict: bool,
}

const TAG_TYPES: [[u8; 2]; 3] = [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]];

impl Port {
    fn matches(&self, rule: &Rule, packet: &[u8]) -> bool {
        let mut at = 0;
        rule.0.iter().enumerate().all(|(index, item)| {
            let here = at;
            at += Item::length(item.kind);
            let found = match item.kind {
                Kind::Ethernet => true,
                Kind::Vlan => {
                    let before = &rule.0[index - 1];
                    let type_at = Item::length(before.kind) - 2;
                    // What type of tag has been looked at, or it is the common one.
                    before.mask[type_at] == 0xff
                        || packet.get(here - 2..here) == Some(&TAG_TYPES[0])
                }
                Kind::Ipv4 => {
                    let ip = packet.get(here..).unwrap_or_default();
                    at = here + 4 * usize::from(ip.first().map_or(0, |b| b & 15));
                    packet.get(here - 2..here) == Some(&[8, 0]) && well_formed_ipv4(ip)
                }
                Kind::Ipv6 => {
                    let ip = packet.get(here..).unwrap_or_default();
                    packet.get(here - 2..here) == Some(&[0x86, 0xdd]) && well_formed_ipv6(ip)
                }
                Kind::Tcp | Kind::Udp | Kind::Sctp => {
                    self.parses_transport(rule, item.kind, packet)
                }
            };
            found && looks_like(item, packet.get(here..).unwrap_or_default())
        })
    }

    fn parses_transport(&self, rule: &Rule, kind: Kind, packet: &[u8]) -> bool {
        let protocol = match kind {
            Kind::Tcp => 6,
            Kind::Udp => 17,
            _ => 132,
        };
        let tags = rule.0.iter().filter(|item| item.kind == Kind::Vlan).count();
        let ip = packet.get(14 + 4 * tags..).unwrap_or_default();
        if rule.0.iter().any(|item| item.kind == Kind::Ipv6) {
            return ip.get(6) == Some(&protocol);
        }
        let offset = |ip: &[u8]| [ip[6] & 0x1f, ip[7]] != [0, 0];
        ip.len() >= 20 && ip[9] == protocol && !offset(ip) && (!self.strict || ip[6] & 0x20 == 0)
    }
}

fn looks_like(item: &Item, header: &[u8]) -> bool {
    (0..HEADER).all(|i| {
        item.mask[i] == 0 || header.get(i).is_some_and(|b| b & item.mask[i] == item.value[i])
    })
}

fn well_formed_ipv4(ip: &[u8]) -> bool {
    let length = ip.first().map_or(0, |b| 4 * usize::from(b & 15));
    length >= 20 && ip[0] >> 4 == 4 && ip.len() >= length
}

fn well_formed_ipv6(ip: &[u8]) -> bool {
    ip.len() >= 40 && ip[0] >> 4 == 6
}

/// Whether a parser of Ethernet, tags and IP understands all of it.
fn well_formed(packet: &[u8]) -> bool {
    let mut at = 12;
    while packet.get(at..at + 2).is_some_and(|t| TAG_TYPES.iter().any(|tag| t == tag)) {
        at += 4;
    }
    let Some(kind) = packet.get(at..at + 2) else { return false };
    let ip = &packet[at + 2..];
    match kind {
        [8, 0] => well_formed_ipv4(ip),
        [0x86, 0xdd] => well_formed_ipv6(ip),
        _ => true,
    }
}

/// How often what was seen.
#[derive(Default)]
struct Tally {
    filters: u32,
    telling: u32,
    accepted: u32,
    kept_away: u32,
}

fn check(text: &str, program: &Program, rng: &mut Rng, tally: &mut Tally) {
    let Some(patterns) = patterns(&plugin_program(program)) else { return };
    tally.filters += 1;
    let steps: Vec<fuzz::Insn> = program
        .insns()
        .iter()
        .map(|i| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k })
        .collect();
    let made: Vec<Vec<Rule>> = Detail::ALL.iter().map(|&detail| rules(&patterns, detail)).collect();
    tally.telling += u32::from(!made[0].iter().any(Rule::is_any));
    for _ in 0..24 {
        let base = fuzz::packets::build(rng, 1);
        let packet = fuzz::guided::steer(&steps, &base, rng);
        let verdict = interpret(program.insns(), &packet, packet.len() as u32, &Aux::NONE);
        if verdict == 0 {
            let lets_pass = |rule| Port { strict: false }.matches(rule, &packet);
            tally.kept_away += u32::from(!made[0].iter().any(lets_pass));
            continue;
        }
        tally.accepted += 1;
        for strict in [false, true] {
            for (rules, detail) in made.iter().zip(Detail::ALL) {
                // What is no IP header is matched by its EtherType alone.
                if detail < Detail::Ethernet && !well_formed(&packet) {
                    continue;
                }
                let matched = rules.iter().any(|rule| Port { strict }.matches(rule, &packet));
                assert!(
                    matched,
                    "{text}: {detail:?}, strict {strict}: {:?} does not match {packet:02x?}",
                    rules.iter().map(show).collect::<Vec<_>>()
                );
            }
        }
    }
}

/// Whatever a filter accepts passes the rules made of it, of every detail.
#[test]
fn every_accepted_packet_matches_a_rule() {
    let data = include_str!("../../../tests/conformance/accept.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
    let ethernet = cases.iter().filter(|case| case["DLT"] == "EN10MB");
    let recorded = ethernet.flat_map(|case| case["filters"].as_array().unwrap());
    let mut texts: Vec<String> = recorded.map(|text| text.as_str().unwrap().to_owned()).collect();
    let mut rng = Rng::new(0x0f10);
    texts.extend((0..4000).map(|_| fuzz::filters::write(&mut rng, 1).text));
    let mut tally = Tally::default();
    for text in &texts {
        for optimize in [true, false] {
            if let Some(program) = compiled(text, optimize) {
                check(text, &program, &mut rng, &mut tally);
            }
        }
    }
    let Tally { filters, telling, accepted, kept_away } = tally;
    println!(
        "{filters} programs, {telling} with rules; {accepted} packets accepted, {kept_away} kept away"
    );
    assert!(filters > 5000 && telling > 2000 && accepted > 40_000 && kept_away > 10_000);
}
