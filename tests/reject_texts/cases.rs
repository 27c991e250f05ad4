//! Filters that are mostly wrong.

use fuzz::Rng;
use pcap::linktype::Dlt;

/// Protocol qualifiers.
#[rustfmt::skip]
const PROTOS: &[&str] = &[
    "", "link", "ether", "fddi", "tr", "wlan", "ppp", "slip", "ip", "arp", "rarp", "sctp", "tcp",
    "udp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp", "atalk", "aarp", "decnet", "lat", "sca",
    "mopdl", "moprc", "ip6", "icmp6", "ah", "esp", "iso", "esis", "isis", "l1", "l2", "iih", "lsp",
    "snp", "csnp", "psnp", "clnp", "stp", "ipx", "netbeui", "radio",
];
/// Direction qualifiers.
#[rustfmt::skip]
const DIRS: &[&str] = &[
    "", "src", "dst", "src or dst", "dst or src", "src and dst", "dst and src", "addr1", "addr2",
    "addr3", "addr4", "ra", "ta",
];
/// Kinds of identifier.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "", "host", "net", "port", "portrange", "gateway", "proto", "protochain",
];
/// What they may, or may not, go with.
#[rustfmt::skip]
const IDS: &[&str] = &[
    "80", "0", "6", "255", "256", "65535", "65536", "4294967295", "4294967296", "0x50",
    "0xffffffff", "0x1ffffffff", "080", "010", "09", "1.2", "1.2.3", "1.2.3.4", "256.1.1.1",
    "1.256", "1.2.3.300", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.1/8", "10.0/16", "0.0.0.0/0",
    "1.2.3.4/32", "10.0.0.0 mask 255.0.0.0", "10.0.0.1 mask 255.0.0.0", "10.0.0.0 mask 256.0.0.0",
    "10 mask 255.0.0.0", "10.0.0.0 mask 255", "::1", "fe80::", "fe80::/16", "fe80::1/16", "::/0",
    "::1/128", "::1/129", "1:2:3:4:5:6", "01:02:03:04:05:06", "1-2-3-4-5-6", "0102.0304.0506",
    "010203040506", "1:2:3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "$a1", "$1",
    "$", "$zz", "$123", "localhost", "nosuch", "http", "domain", "tftp", "\\tcp", "\\ip", "\\arp",
    "\\stp", "\\clnp", "\\sca", "\\lat", "\\udp", "esis", "tcp", "\\esis", "\\isis", "20-30",
    "30-20", "http-443", "tftp-http", "tftp-69", "20-70000", "70000-20", "-5", "5-", "5-6-7", "a-b",
    "1.2.3.4-5", "http-", "ssh-http-x", "08-9", "0x10-0x20", "(80 or 443)", "(1.2.3.4 or ::1)",
    "not 80", "!1.2.3.4", "1.2.3.4 or 5.6.7.8", "nosuch-2",
];
/// Primitives in every form, at and beyond their limits, and what looks like them.
#[rustfmt::skip]
pub const PRIMITIVES: &[&str] = &[
    "broadcast", "multicast", "ip broadcast", "ip multicast", "ip6 multicast", "ip6 broadcast",
    "arp broadcast", "arp multicast", "tcp broadcast", "link broadcast", "ether multicast",
    "less 5", "greater 5", "less", "greater", "less -5", "less 4294967296", "greater 0xffffffff",
    "len > 5", "len", "byte 0 = 5", "byte 0 = 255", "byte 0 = 256", "byte 0 > 300", "byte 0 & 256",
    "byte 70000 = 1", "byte 0", "byte", "byte 0 != 1", "inbound", "outbound", "ifindex 1",
    "ifindex", "ifindex eth0", "vlan", "vlan 5", "vlan 4095", "vlan 4096", "vlan (5)", "vlan x",
    "vlan and vlan", "vlan 5 and vlan 4096", "mpls", "mpls 5", "mpls 1048575", "mpls 1048576",
    "mpls and vlan", "mpls and mpls", "mpls and arp", "mpls and host 1.2.3.4", "mpls and ip",
    "mpls and ip6", "mpls and ether host 1:2:3:4:5:6", "mpls and stp", "mpls and tcp port 80",
    "pppoed", "pppoes", "pppoes 5", "pppoes 65535", "pppoes 65536", "pppoes and vlan",
    "pppoes and mpls", "pppoes and ip", "pppoes and ether host 1:2:3:4:5:6", "pppoes and llc",
    "pppoes and pppoes", "pppoed 5", "geneve", "geneve 5", "geneve 16777215", "geneve 16777216",
    "geneve and vlan", "geneve and mpls", "geneve and protochain 6",
    "geneve and ether host 1:2:3:4:5:6", "geneve and llc", "geneve and inbound",
    "geneve and type data", "vxlan", "vxlan 16777216", "on en0", "ifname abcdefghijklmnop",
    "ifname abcdefghijklmno", "ifname 5", "ruleset abcdefghijklmnop", "ruleset x",
    "rset aaaaaaaaaaaaaaaaaaaa", "rnr 5", "rulenum x", "srnr 5", "subrulenum 0", "reason match",
    "reason 5", "reason 300", "reason nosuch", "reason 0", "reason translate", "action pass",
    "action nosuch", "action 5", "action defer", "action match", "type data", "type mgt",
    "type nosuch", "type 4", "type 8", "type 256", "type 0 subtype 0", "type mgt subtype beacon",
    "type mgt subtype data", "type mgt subtype nosuch", "type mgt subtype 5", "type 12 subtype x",
    "type data subtype 16", "type data subtype 300", "type 12 subtype 0x10", "subtype beacon",
    "subtype nosuch", "subtype 5", "subtype ba", "dir nods", "dir nosuch", "dir 1", "dir 5",
    "dir 256", "direction tods", "wlan type data", "tcp type data", "ip dir nods", "llc", "llc i",
    "llc s", "llc u", "llc rr", "llc rnr", "llc nosuch", "llc 5", "llc ui", "llc frmr", "lane",
    "lane and vlan", "lane and llc", "lane and lane", "lane and ether host 1:2:3:4:5:6",
    "lane and broadcast", "metac", "bcc", "sc", "ilmic", "oam", "oamf4", "oamf4ec", "oamf4sc",
    "connectmsg", "metaconnect", "vpi 5", "vpi 255", "vpi 256", "vpi > 5", "vpi != 256",
    "vpi (5 or 6)", "vpi (5 or 300)", "vpi x", "vpi", "vci 5", "vci 65535", "vci 65536",
    "vci <= 65536", "fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu", "sio 5", "sio 255",
    "sio 256", "sio != 300", "opc 16383", "opc 16384", "dpc 16384", "sls 15", "sls 16", "hsio 256",
    "hopc 16384", "hdpc 16384", "hsls 16", "sls (1 or 16)", "sio (1 or 2)", "opc", "tcp", "udp",
    "ip", "ip6", "arp", "rarp", "atalk", "aarp", "decnet", "lat", "sca", "mopdl", "moprc", "iso",
    "esis", "isis", "clnp", "stp", "ipx", "netbeui", "l1", "l2", "iih", "lsp", "snp", "csnp",
    "psnp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp", "ah", "esp", "sctp", "link",
    "ether", "radio", "host 1.2.3.4", "net 10.0.0.0/8", "ip6 host ::1", "port 80", "portrange 1-5",
    "ether host 1:2:3:4:5:6", "ether proto 5", "ether proto 255", "ether proto 256",
    "ether proto 1500", "ether proto 1501", "ether proto 0x800", "ether proto 65535",
    "ether proto 65536", "ether proto 0xfefe", "ether proto 6", "ether proto \\ip",
    "ether proto \\stp", "ether proto nosuch", "ether proto 0xaa", "ip proto 255", "ip proto 256",
    "ip6 proto 256", "proto 256", "proto 65536", "ip proto \\tcp", "iso proto 255", "iso proto 256",
    "iso proto \\clnp", "iso proto nosuch", "isis proto 5", "isis proto 31", "isis proto 32",
    "isis proto 255", "isis proto 256", "isis proto x", "protochain 6", "protochain 256",
    "ip protochain 256", "ip6 protochain 6", "tcp protochain 6", "ip protochain \\tcp",
    "decnet host 1.2", "decnet host 64.1", "decnet host 1.1024", "decnet host 1.2.3",
    "decnet host 5", "decnet src 10.20", "decnet net 1.2", "decnet port 5", "decnet proto 5",
    "decnet host 0x1.5", "decnet host 1.2/8", "decnet host 1.2 mask 3.4", "decnet gateway 1.2",
    "addr1 1:2:3:4:5:6", "wlan addr1 1:2:3:4:5:6", "wlan addr4 1:2:3:4:5:6", "wlan ra 1:2:3:4:5:6",
    "ta 1:2:3:4:5:6", "link[0] = 1", "link[0:3] = 1", "link[0:0] = 1", "link[0:8] = 1", "ip[0] = 1",
    "tcp[0] = 1", "icmp6[0] = 1", "radio[0] = 1", "radio[0:4] = 1", "ah[0] = 1", "esp[0] = 1",
    "iso[0] = 1", "isis[0] = 1", "stp[0] = 1", "clnp[0] = 1", "ipx[0] = 1", "arp[0] = 1",
    "decnet[0] = 1", "atalk[0] = 1", "aarp[0] = 1", "sca[0] = 1", "pim[0] = 1", "vrrp[0] = 1",
    "carp[0] = 1", "sctp[0] = 1", "netbeui[0] = 1", "l1[0] = 1", "psnp[0] = 1", "ip6[0] = 1",
    "ip[len] = 1", "ip[0:x] = 1", "ip[] = 1", "ip[0] ", "ip[0", "ip 0] = 1", "len / 0 = 1",
    "len % 0 = 1", "len << 32 = 1", "len << 31 = 1", "len >> 32 = 1", "len << -1 = 1", "1 / 0 = 1",
    "5 % (0) = 1", "1 << 33 = 1", "1 / (1 - 1) = 1", "1 << (31 + 1) = 1", "len / len = 1", "1 = 1",
    "1 = 2", "0 != 0", "1 > 2", "len >= 0", "len < 0", "5", "5 = ", "= 5", "len + = 5", "len + 5",
    "tcp + 5 = 6", "tcp = 5", "len == 5 == 6", "len > 5 > 6", "(len", "(len + 5) = 6",
    "((len)) = 6", "len = (5)", "-len = 5", "--len = 5", "- = 5",
    "1+2+3+4+5+6+7+8+9+10+11+12+13+14+15+16+17 = 1",
    "1+(2+(3+(4+(5+(6+(7+(8+(9+(10+(11+(12+(13+(14+(15+(16+(17+18)))))))))))))))) = 1",
    "tcp[((((len+1)*2)+3)*4)] = 5", "and", "or", "not", "!", "(", ")", "()", "(tcp", "tcp)",
    "tcp and", "and tcp", "tcp or", "or tcp", "tcp and or udp", "tcp udp", "tcp not udp",
    "not not tcp", "!!tcp", "tcp & udp", "tcp | udp", "tcp &&& udp", "tcp ||| udp", "tcp && || udp",
    "host", "net", "port", "portrange", "gateway", "proto", "protochain", "src", "dst", "src or",
    "src or src", "src and dst", "src or dst", "src and src host 1.2.3.4", "src dst host 1.2.3.4",
    "host host 1.2.3.4", "host src 1.2.3.4", "host net 1.2.3.4", "port tcp 80", "tcp 80",
    "tcp port", "80 tcp", "ip host", "mask", "mask 255.0.0.0", "1.2.3.4 mask", "tcp and 80",
    "tcp and 1.2.3.4", "port 80 and 443", "port 80 or (443 or 22)", "port (80", "port 80)",
    "host 1.2.3.4 and 5", "tcp or nosuch", "(tcp port 80) and 443", "not port 80 and 443",
    "len > 5 and 6", "src gateway localhost", "src proto 6", "dst protochain 6", "addr1 proto 6",
    "gateway localhost", "gateway nosuch", "gateway 1.2.3.4", "gateway 5", "gateway ::1",
    "gateway 1:2:3:4:5:6", "ip gateway localhost", "tcp gateway localhost", "ip6 gateway localhost",
    "link gateway localhost", "arp gateway localhost", "rarp gateway nosuch", "gateway $5",
    "gateway 1.2.3.4/8", "slow", "ether proto slow", "ether proto \\slow", "@", "#", "tcp @", "~",
    "tcp ~ udp", "\"tcp\"", "'tcp'", "tcp;udp", "tcp,udp", "{", "}", "tcp?", "`", "\\", "\\ tcp",
    "host \\", "host \\ 1", "_tcp", "-tcp", "tcp-", "tcp_", "host a_", "host -a", "host a-",
    "host .a", "host a.", "host a..b", "host 1.", "host 1..2", "host 1.2.3.4.5", "host 1.2.3.4.5.6",
    "host 1.2.3.4.5.6.7", "host 0x", "host 0xg", "0x", "0xg = 1", "host ::g", "host :::",
    "host ::1::2", "host 1::2::3", "host 1:2", "host 1:", "host :1", "host a:b:c", "host a:b",
    "ether host a:b", "ether host a:b:c:d:e:f:g", "ether host aa:bb:cc:dd:ee:gg",
    "ether host 1-2-3-4-5", "ether a-b-c-d-e-f", "host 12345:", "host ::12345",
    "host 1:2:3:4:5:6:7:1.2.3.4", "host ::1.2.3.4", "host ::1.2.3", "host ::256.1.1.1",
    "host 1.2.3.4/", "host 1.2.3.4/x", "host 1.2.3.4/-1", "net 10/8", "net 10.1/16", "net 10.1/8",
    "net 1.2.3.4/0", "net ::1/0", "net ::/", "net 0", "net 256", "net 65536", "net 0x0a",
    "ether net 1.2.3.4", "ether host 1.2.3.4", "ether host 5", "ether 5", "link net 10.0.0.0/8",
    "link host 10.0.0.0/8", "ether port 80", "ether proto 1.2.3.4", "ether gateway 5",
    "ether src ::1", "ether host ::1", "wlan host localhost", "ether host nosuch",
    "ether host localhost", "ether nosuch", "net nosuch", "net localhost", "net loopback",
    "net link-local", "arp host localhost", "arp host nosuch", "ip6 host localhost",
    "ip host localhost", "tcp host localhost", "tcp src nosuch", "decnet host localhost",
    "decnet nosuch", "ip6 host 1.2.3.4", "ip host ::1", "ip6 net 10.0.0.0/8", "ip net fe80::/16",
    "ip6 1.2", "arp ::1", "tcp ::1", "tcp 1.2.3.4", "tcp net 10.0.0.0/8", "udp net loopback",
    "icmp host 1.2.3.4", "port http", "port tftp", "tcp port tftp", "udp port http",
    "sctp port http", "sctp port tftp", "sctp port domain", "port nosuch", "tcp port nosuch",
    "icmp port http", "icmp port 80", "icmp port nosuch", "portrange http-https",
    "portrange nosuch-5", "portrange 5-nosuch", "tcp portrange tftp-tftp",
    "udp portrange http-http", "tcp portrange tftp-http", "portrange 1-", "portrange -1",
    "portrange 1--2", "portrange 1-2-3", "portrange 1-65536", "portrange 65536-1",
    "portrange 99999999999-1", "portrange 08-9", "portrange 010-020", "portrange 0x10-0x20",
    "portrange 5", "portrange http", "portrange iso-tsap", "portrange iso-tsap-tftp", "port 1-5",
    "port ftp-data", "portrange ftp-data-ftp", "src portrange 5-1", "batadv", "batadv 14", "nosuch",
    "nosuch and tcp", "tcp and nosuch", "host nosuch and nosuch2", "host nosuch)", "host nosuch (",
];
/// Numbers at limits, and some that are none.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "0", "1", "5", "15", "16", "31", "32", "63", "64", "127", "128", "255", "256", "1023", "1024",
    "1500", "1501", "4095", "4096", "16383", "16384", "65535", "65536", "1048575", "1048576",
    "16777215", "16777216", "2147483647", "2147483648", "4294967295", "4294967296", "0x0", "0xff",
    "0x100", "0xffff", "0x10000", "0XFFFFFFFF", "0x100000000", "010", "08", "00", "0x", "-1", "5x",
];
/// Primitives after which the headers lie elsewhere.
const MOVERS: &[&str] = &[
    "vlan",
    "vlan 5",
    "mpls",
    "mpls 7",
    "pppoes",
    "pppoes 5",
    "geneve",
    "geneve 3",
    "vxlan",
    "lane",
    "vlan and mpls",
    "mpls and mpls",
    "vlan and pppoes",
    "geneve and vlan",
    "vxlan and mpls",
];
const RUBBISH: &[&str] = &[
    "@", "#", "~", "\"", "'", ";", ",", "{", "}", "?", "`", "\\", "_", "-", ".", "..", ":", "::",
    "$", "&&&", "|||", "===", "=<", "=>", "<>", "><", "!!", "!", "(", ")", "[", "]", "()", "[]",
    "%", "^", "*", "/", "+", "\u{1}", "\u{7f}", "\u{e9}", "\t", "\n", "\r", "0x", "1e5", "1.5.",
    "tcp,",
];
const CONNECTIVES: &[&str] = &[" and ", " or ", " && ", " || ", " and not ", " or !", " "];

/// The filters of tests/conformance/accept.json.
pub fn accepted() -> Vec<(i32, String)> {
    let entries: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../conformance/accept.json")).unwrap();
    let mut all = Vec::new();
    for entry in &entries {
        let dlt = Dlt::from_symbol(entry["DLT"].as_str().unwrap()).unwrap().0;
        let texts = entry["filters"].as_array().unwrap().iter();
        all.extend(texts.map(|text| (dlt, text.as_str().unwrap().to_owned())));
    }
    all
}

/// A filter, and the link-layer type to compile it for.
pub fn generate(rng: &mut Rng, dlts: &[i32], accepted: &[(i32, String)]) -> (i32, String) {
    let dlt = if rng.percent(60) { 1 } else { rng.pick(dlts) };
    let text = match rng.below(10) {
        0..=2 => qualified(rng),
        3..=6 => {
            let (own, text) = &accepted[rng.below(accepted.len() as u32) as usize];
            let dlt = if rng.percent(70) && dlts.contains(own) { *own } else { dlt };
            return (dlt, mutated(rng, text));
        }
        7 => {
            let moved = [rng.pick(MOVERS), rng.pick(PRIMITIVES)].join(rng.pick(CONNECTIVES));
            if rng.percent(30) { format!("not ({moved})") } else { moved }
        }
        8 => renumbered(rng),
        _ => {
            let two = [rng.pick(PRIMITIVES), rng.pick(PRIMITIVES)].join(rng.pick(CONNECTIVES));
            if rng.percent(50) { mutated(rng, &two) } else { two }
        }
    };
    (dlt, text)
}

/// Qualifiers of which some are left out, and an identifier.
fn qualified(rng: &mut Rng) -> String {
    let mut word = |list: &[&'static str], percent| {
        if rng.percent(percent) { rng.pick(list) } else { "" }
    };
    let words = [word(PROTOS, 40), word(DIRS, 40), word(KINDS, 90), word(IDS, 98)];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// A primitive with another number.
fn renumbered(rng: &mut Rng) -> String {
    let mut words: Vec<&str> = rng.pick(PRIMITIVES).split(' ').collect();
    let numbers: Vec<usize> =
        (0..words.len()).filter(|&i| words[i].bytes().all(|b| b.is_ascii_digit())).collect();
    match numbers.as_slice() {
        [] => words.push(rng.pick(NUMBERS)),
        places => words[rng.pick(places)] = rng.pick(NUMBERS),
    }
    words.join(" ")
}

/// A text with words left out, doubled, exchanged, put in or cut short.
fn mutated(rng: &mut Rng, text: &str) -> String {
    let mut words: Vec<String> =
        text.split_inclusive([' ', '(', ')', '[', ']']).map(str::to_owned).collect();
    for _ in 0..=rng.below(2) {
        let len = words.len() as u32;
        let at = rng.below(len.max(1)) as usize;
        let other = rng.below(len.max(1)) as usize;
        match rng.below(7) {
            0 if len > 0 => drop(words.remove(at)),
            1 if len > 0 => words.insert(at, words[other].clone()),
            2 if len > 0 => words.swap(at, other),
            3 => words.insert(at, format!("{} ", rng.pick(RUBBISH))),
            4 if len > 0 => words[at] = format!("{} ", rng.pick(NUMBERS)),
            5 => words.insert(at, format!("{} ", rng.pick(PRIMITIVES))),
            _ => {
                let mut end = rng.below(text.len() as u32 + 1) as usize;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                words = vec![text[..end].to_owned()];
            }
        }
    }
    words.concat()
}
