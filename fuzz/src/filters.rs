//! Filters by the grammar of pcap-filter(7).
//!
//! Constants come from small pools, so that the terms of one filter share fields, repeat and
//! contradict each other: what an optimizer must not get wrong.

mod arithmetic;
mod family;
mod words;

use std::ops::Range;

use crate::Rng;

/// Filters that people use every day: what speed is measured with.
pub fn everyday() -> impl Iterator<Item = &'static str> {
    include_str!("../../benches/everyday.txt").lines()
}

const V4: [&str; 11] = [
    "10.1",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.255",
    "192.168.1.1",
    "192.168.1.2",
    "1.2.3.4",
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "0x0a000001",
];
const V4_NETS: [&str; 10] = [
    "10.0.0.0/8",
    "10",
    "192.168",
    "192.168.1",
    "172.16.0.0/12",
    "10.0.0.0/30",
    "1.2.3.0/24",
    "0.0.0.0/0",
    "192.168.0.0 mask 255.255.0.0",
    "10.0.0.1/32",
];
const V6: [&str; 6] =
    ["fe80::1", "::1", "2001:db8::1", "2001:db8::2", "ff02::1", "2001:db8:0:1:2:3:4:5"];
const V6_NETS: [&str; 7] = [
    "fe80::/10",
    "2001:db8::/32",
    "2001:db8::/33",
    "2001:db8::/64",
    "2001:db8::/96",
    "::/0",
    "2001:db8::1/128",
];
const MACS: [&str; 9] = [
    "00:11:22:33:44:55",
    "0011.2233.4455",
    "00.11.22.33.44.55",
    "001122334456",
    "00:11:22:33:44:56",
    "ff:ff:ff:ff:ff:ff",
    "01:00:5e:00:00:01",
    "aa:bb:cc:dd:ee:ff",
    "0-11-22-33-44-55",
];
const PORTS: [&str; 9] = ["80", "443", "53", "22", "0", "65535", "http", "domain", "8080"];
const RANGES: [&str; 7] = ["80-90", "85-100", "0-65535", "443-443", "1024-2048", "0-79", "90-80"];
const PROTOCOLS: [&str; 36] = [
    "ip", "ip", "ip6", "ip6", "tcp", "tcp", "udp", "udp", "sctp", "icmp", "icmp6", "arp", "rarp",
    "igmp", "igrp", "pim", "vrrp", "carp", "ah", "esp", "atalk", "aarp", "decnet", "lat", "sca",
    "moprc", "mopdl", "iso", "clnp", "esis", "es-is", "isis", "is-is", "stp", "ipx", "netbeui",
];
/// Words for the link layer: any of them on any link layer.
const LINKS: [&str; 8] = ["ether", "ether", "ether", "link", "wlan", "fddi", "tr", "ppp"];

/// What filters a link-layer type has beyond those of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Plain,
    Ethernet,
    Wlan,
    Atm,
    Mtp,
    Pflog,
    Arcnet,
    Directed,
}

fn family(dlt: i32) -> Family {
    match dlt {
        1 | 6 | 10 | 122 | 240 | 241 => Family::Ethernet,
        105 | 119 | 127 | 163 | 192 => Family::Wlan,
        123 => Family::Atm,
        139..=141 => Family::Mtp,
        117 => Family::Pflog,
        7 | 129 | 165 => Family::Arcnet,
        113
        | 226
        | 276
        | 8
        | 9
        | 204
        | 130..=137
        | 164
        | 167
        | 168
        | 178..=183
        | 200
        | 281
        | 284 => Family::Directed,
        _ => Family::Plain,
    }
}

/// A filter, and what to ask libpcap 1.10 for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The filter.
    pub text: String,
    /// The same in words whose meaning is the same in all versions.
    pub reference: String,
    /// Terms in the reference whose meaning should not depend on where they stand, but does in
    /// 1.10, which must be asked about them separately.
    pub alone: Vec<Range<usize>>,
}

impl Filter {
    /// The reference with constants for the terms that stand alone.
    pub fn with_truths(&self, truths: &[bool]) -> String {
        let mut text = self.reference.clone();
        for (range, truth) in self.alone.iter().zip(truths).rev() {
            let constant = if *truth { "(greater 0)" } else { "(not greater 0)" };
            text.replace_range(range.clone(), constant);
        }
        text
    }
}

/// Marks a term with two texts while filters are put together: `START text BETWEEN reference END`.
const START: char = '\u{1}';
/// Follows `BETWEEN` where a term stands alone.
const ALONE: char = '\u{4}';
const BETWEEN: char = '\u{2}';
const END: char = '\u{3}';

fn two_texts(text: &str, reference: &str) -> String {
    format!("{START}{text}{BETWEEN}{reference}{END}")
}

fn standing_alone(text: &str) -> String {
    two_texts(text, &format!("{ALONE}{text}"))
}

fn split(marked: &str) -> Filter {
    let mut filter = Filter { text: String::new(), reference: String::new(), alone: Vec::new() };
    for piece in marked.split_inclusive(END) {
        let (both, special) = piece.split_once(START).unwrap_or((piece, ""));
        filter.text.push_str(both);
        filter.reference.push_str(both);
        let Some((text, reference)) = special.split_once(BETWEEN) else { continue };
        filter.text.push_str(text);
        let reference = reference.trim_end_matches(END);
        let start = filter.reference.len();
        filter.reference.push_str(reference.trim_start_matches(ALONE));
        if reference.starts_with(ALONE) {
            filter.alone.push(start..filter.reference.len());
        }
    }
    filter
}

/// Writes filters for one link-layer type.
#[derive(Debug)]
struct Filters<'a> {
    rng: &'a mut Rng,
    family: Family,
    dlt: i32,
    /// Terms still to spend.
    budget: u32,
    /// `vlan`, `mpls` … may occur: they change the meaning of all that follows.
    tunnels: bool,
    /// One of them did.
    moved: bool,
    /// Arithmetic came after that.
    scribbled: bool,
}

/// A filter for a link-layer type.
pub fn write(rng: &mut Rng, dlt: i32) -> Filter {
    let budget = match rng.below(10) {
        0..=3 => 1,
        4..=6 => 2,
        7..=8 => 4,
        _ => 8,
    };
    let tunnels = rng.percent(25);
    let family = family(dlt);
    let mut filters = Filters { rng, family, dlt, budget, tunnels, moved: false, scribbled: false };
    split(&filters.expression(0))
}

impl Filters<'_> {
    fn expression(&mut self, depth: u32) -> String {
        let mut text = self.operand(depth);
        while self.budget > 0 && self.rng.percent(75) {
            let op = self.rng.pick(&[
                " and ",
                " or ",
                " && ",
                " || ",
                " and not ",
                " or not ",
                " and !",
            ]);
            text.push_str(op);
            text.push_str(&self.operand(depth));
        }
        text
    }

    fn operand(&mut self, depth: u32) -> String {
        if self.budget > 1 && depth < 4 && self.rng.percent(30) {
            let inner = self.expression(depth + 1);
            return if self.rng.percent(25) {
                format!("not ({inner})")
            } else {
                format!("({inner})")
            };
        }
        self.budget = self.budget.saturating_sub(1);
        let term = self.term();
        if self.rng.percent(10) { format!("not {term}") } else { term }
    }

    fn term(&mut self) -> String {
        if self.family != Family::Plain && self.rng.percent(25) {
            return self.of_family();
        }
        if self.tunnels && self.rng.percent(40) {
            return self.tunnel();
        }
        match self.rng.below(100) {
            0..=19 => self.host(),
            20..=31 => self.net(),
            32..=49 => self.port(),
            50..=62 => self.rng.pick(&PROTOCOLS).to_owned(),
            63..=64 => self.isis(),
            65..=70 => self.proto_number(),
            71..=90 => {
                let text = self.relation();
                self.arithmetic(text)
            }
            91..=95 => self.length(),
            96..=97 => self.casts(),
            _ => self.rare(),
        }
    }

    /// Values that share their qualifiers: one, or several with `or` or `and` between them.
    fn values(&mut self, one: impl Fn(&mut Rng) -> String) -> String {
        if self.rng.percent(70) {
            return one(self.rng);
        }
        let count = 2 + self.rng.below(3);
        let list: Vec<String> = (0..count).map(|_| one(self.rng)).collect();
        let op = if self.rng.percent(90) { " or " } else { " and " };
        match self.rng.below(4) {
            0 => format!("({})", list.join(op)),
            1 => format!("(not {})", list.join(op)),
            _ => list.join(op),
        }
    }

    fn direction(&mut self) -> &'static str {
        self.rng.pick(&["", "", "src ", "dst ", "src or dst ", "src and dst "])
    }

    fn host(&mut self) -> String {
        let dir = self.direction();
        match self.rng.below(10) {
            0..=4 => {
                let proto = self.rng.pick(&["", "", "", "ip ", "arp ", "rarp "]);
                // An address alone would have the qualifiers of the term before it.
                let alone = proto.is_empty() && dir.is_empty();
                let host = if alone || self.rng.percent(80) { "host " } else { "" };
                format!("{proto}{dir}{host}{}", self.values(|r| r.pick(&V4).to_owned()))
            }
            5..=6 => {
                let proto = self.rng.pick(&["", "ip6 "]);
                format!("{proto}{dir}host {}", self.values(|r| r.pick(&V6).to_owned()))
            }
            7..=8 => {
                let link = self.rng.pick(&LINKS);
                let macs = self.values(|r| r.pick(&MACS).to_owned());
                // An address needs no `host` behind a direction.
                let host = if dir.is_empty() || self.rng.percent(70) { "host " } else { "" };
                format!("{link} {dir}{host}{macs}")
            }
            _ => {
                let node = self.rng.pick(&["1.2", "50.764", "10.1"]);
                format!("decnet {dir}host {node}")
            }
        }
    }

    fn net(&mut self) -> String {
        let dir = self.direction();
        if self.rng.percent(60) {
            let proto = self.rng.pick(&["", "", "ip ", "arp "]);
            format!("{proto}{dir}net {}", self.values(|r| r.pick(&V4_NETS).to_owned()))
        } else {
            let proto = self.rng.pick(&["", "ip6 "]);
            format!("{proto}{dir}net {}", self.values(|r| r.pick(&V6_NETS).to_owned()))
        }
    }

    fn port(&mut self) -> String {
        let dir = self.direction();
        let proto = self.rng.pick(&["", "", "tcp ", "udp ", "sctp "]);
        // A service may be unknown for a protocol: mostly numbers.
        if self.rng.percent(65) {
            format!("{proto}{dir}port {}", self.values(|r| r.pick(&PORTS).to_owned()))
        } else {
            format!("{proto}{dir}portrange {}", self.values(|r| r.pick(&RANGES).to_owned()))
        }
    }

    fn proto_number(&mut self) -> String {
        match self.rng.below(6) {
            0 => format!(
                "ip proto {}",
                self.values(|r| r.pick(&["6", "17", "\\tcp", "1", "0", "255"]).to_owned())
            ),
            1 => format!(
                "ip6 proto {}",
                self.values(|r| r.pick(&["6", "17", "58", "\\udp", "44", "0"]).to_owned())
            ),
            2 => format!(
                "proto {}",
                self.values(|r| r.pick(&["6", "17", "\\sctp", "132"]).to_owned())
            ),
            3 => {
                let one = |r: &mut Rng| r.pick(&words::LINK_PROTOCOLS).to_owned();
                let link = self.rng.pick(&LINKS);
                format!("{link} proto {}", self.values(one))
            }
            4 => format!("iso proto {}", self.rng.pick(&["\\isis", "\\esis", "\\clnp", "0x83"])),
            _ => self.isis(),
        }
    }

    /// PDU types of IS-IS, which are the low five bits of their byte; all of it before 1.11.
    fn isis(&mut self) -> String {
        let (word, types) = self.rng.pick(&words::ISIS);
        let every = |one: &dyn Fn(u32) -> String| {
            format!("({})", types.iter().map(|&ty| one(ty)).collect::<Vec<_>>().join(" or "))
        };
        let high = |ty: u32| {
            let whole: Vec<_> =
                (0..8).map(|high| format!("isis proto {}", high << 5 | ty)).collect();
            whole.join(" or ")
        };
        match self.dlt {
            // There is a padding byte, of which 1.10 does not know here.
            104 | 112 if self.tunnels => "isis".to_owned(),
            104 | 112 => {
                let types = every(&|ty| format!("link[9] & 0x1f = {ty}"));
                two_texts(word, &format!("(isis and {types})"))
            }
            _ => two_texts(word, &every(&high)),
        }
    }

    fn casts(&mut self) -> String {
        match self.rng.below(8) {
            // All from 224.0.0.0 up before 1.11.
            0 | 1 => two_texts("ip multicast", "(ip dst net 224.0.0.0/4)"),
            2 => "ip6 multicast".to_owned(),
            3 => "multicast".to_owned(),
            4 => "ip broadcast".to_owned(),
            5 => {
                let link = self.rng.pick(&LINKS);
                let cast = self.rng.pick(&["broadcast", "multicast"]);
                if self.dlt == 165 { self.broadcast() } else { format!("{link} {cast}") }
            }
            _ => self.broadcast(),
        }
    }

    /// BACnet has it since 1.11.
    fn broadcast(&mut self) -> String {
        if self.dlt == 165 && !self.moved {
            return two_texts("broadcast", "(link[3] = 0xff)");
        }
        "broadcast".to_owned()
    }

    fn tunnel(&mut self) -> String {
        let n = self.rng.pick(&["", "", " 5", " 100", " 0", " 4095"]);
        let which = self.rng.below(if self.scribbled { 26 } else { 40 });
        if matches!(which, 26..=28) {
            return "pppoed".to_owned();
        }
        self.moved = true;
        match which {
            0..=18 => format!("vlan{n}"),
            19..=25 => format!("mpls{n}"),
            29..=33 => format!("pppoes{n}"),
            // New: ours can be compared with themselves only.
            39 => format!("vxlan{n}"),
            _ => format!("geneve{n}"),
        }
    }

    fn rare(&mut self) -> String {
        match self.rng.below(24) {
            0..=5 => format!("llc {}", self.rng.pick(&words::LLC)),
            // Words of other link-layer types: nearly always errors.
            6 => {
                let family = self.rng.pick(&[
                    Family::Ethernet,
                    Family::Wlan,
                    Family::Atm,
                    Family::Mtp,
                    Family::Pflog,
                    Family::Directed,
                ]);
                let own = std::mem::replace(&mut self.family, family);
                let text = self.of_family();
                self.family = own;
                text
            }
            7 => "ifindex 1".to_owned(),
            // New in 1.11.
            8 => two_texts("ether proto \\slow", "ether proto 0x8809"),
            _ => self
                .rng
                .pick(&[
                    "ip protochain 6",
                    "ip6 protochain 17",
                    "protochain \\tcp",
                    "protochain 58",
                    "ip protochain 51",
                    "ip6 protochain 132",
                    "ether multicast",
                    "gateway 10.0.0.1",
                    "length > 60",
                    "src port domain",
                    "portrange http-443",
                ])
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pcap-filter(7)'s words, but for those that only stand for numbers.
    const WORDS: &str = "aarp action addr1 addr2 addr3 addr4 address1 address2 address3 address4 ah \
        and arp atalk bcc broadcast byte carp clnp connectmsg csnp decnet dir direction dpc dst \
        es-is esis esp ether fddi fisu gateway geneve greater hdpc hfisu hlssu hmsu hopc host hsio \
        hsls icmp icmp6 icmp6code icmp6type icmpcode icmptype ifindex ifname igmp igrp iih ilmic \
        inbound ip ip6 ipx is-is isis iso l1 l2 lane lat len length less link llc lsp lssu lsu mask \
        metac metaconnect mopdl moprc mpls msu multicast net netbeui not oam oamf4 oamf4ec oamf4sc \
        on opc or outbound pim port portrange ppp pppoed pppoes proto protochain psnp ra radio rarp \
        reason rnr rset rulenum ruleset sc sca sctp sio slip sls snp src srnr stp subrulenum subtype \
        ta tcp tcpflags tr type udp vci vlan vpi vrrp vxlan wlan";

    #[test]
    fn every_word() {
        let mut rng = Rng::new(4);
        let filters: Vec<_> = (0..60_000)
            .map(|_| {
                let (_, dlt) = crate::dlt::pick(&mut rng);
                write(&mut rng, dlt).text
            })
            .collect();
        let words: std::collections::HashSet<_> = filters
            .iter()
            .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'))
            .collect();
        let names = words::NAMED.iter().flat_map(|(_, names)| names.iter());
        let subtypes = words::SUBTYPES.iter().flat_map(|(_, names)| names.iter());
        let others = words::REASONS.iter().chain(&words::ACTIONS).chain(&words::LLC);
        let all = WORDS.split_whitespace();
        let all = all.chain(names.chain(subtypes).chain(others).copied());
        let missing: Vec<_> = all.filter(|word| !words.contains(word)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn two_texts_in_one() {
        let filter = split(&format!("a or {} and {}b", two_texts("x", "y"), two_texts("v", "")));
        assert_eq!((&*filter.text, &*filter.reference), ("a or x and vb", "a or y and b"));
        let filter =
            split(&format!("a and {} or {}", standing_alone("vpi 5"), standing_alone("sc")));
        assert_eq!((&*filter.text, &filter.text), ("a and vpi 5 or sc", &filter.reference));
        assert_eq!(filter.with_truths(&[true, false]), "a and (greater 0) or (not greater 0)");
    }

    #[test]
    fn reproducible_and_various() {
        let many = |seed| {
            let mut rng = Rng::new(seed);
            (0..1000).map(|_| write(&mut rng, 1).text).collect::<Vec<_>>()
        };
        assert_eq!(many(7), many(7));
        let mut different = many(7);
        different.sort();
        different.dedup();
        assert!(different.len() > 700, "{}", different.len());
    }
}
