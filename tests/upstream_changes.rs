//! Where the compiler follows libpcap's development line, or its own mind, rather than libpcap
//! 1.10: the lines of docs/COMPAT.md on filters, which name these tests. Each case shows both
//! behaviours, so that a line whose reason is gone is noticed.

mod support;

use std::sync::Mutex;

use fuzz::trace::{self, End};
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Aux, Filter, Insn, Program};
use pcap::filter::{Options, Savefile};
use pcap::linktype::Dlt;
use support::{Table, build, fuzz_insns, options};

/// What a compiler makes of a filter, seen on one packet.
#[derive(Debug, PartialEq)]
enum Outcome {
    Accepts,
    Rejects,
    Refuses(String),
}
use Outcome::{Accepts, Rejects};

fn refuses(text: &str) -> Outcome {
    Outcome::Refuses(text.to_owned())
}

fn outcome(result: Result<Program, String>, packet: &[u8]) -> Outcome {
    match result {
        Err(text) => Outcome::Refuses(text),
        Ok(program) => {
            let length = u32::try_from(packet.len()).unwrap();
            match Filter::new(&program).run(packet, length, &Aux::default()) {
                0 => Rejects,
                _ => Accepts,
            }
        }
    }
}

/// What libpcap makes of a filter, and what we make of it.
fn compile(dlt: Dlt, filter: &str, optimize: bool) -> [Result<Program, String>; 2] {
    static ORACLE: Mutex<Option<Oracle>> = Mutex::new(None);
    let ask = CompileOptions { dlt: dlt.0, optimize, ..CompileOptions::ethernet() };
    let mut guard = ORACLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let reference = guard.get_or_insert_with(Oracle::start).compile(filter, &ask);
    drop(guard);
    let reference = reference.map(|insns| {
        let insn = |i: &oracle::Insn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
        Program::from_insns(insns.iter().map(insn).collect::<Vec<_>>())
    });
    let own = build(filter, &options(dlt, optimize), &Table::default());
    [reference, own.map_err(|e| e.to_string())]
}

/// Both compilers, optimizing and not, on a packet given in hexadecimal; `..` is as many zero
/// bytes as make the packet `..` bytes long: `0800..20`.
fn check(dlt: Dlt, filter: &str, packet: &str, libpcap: Outcome, ours: Outcome) {
    let packet = bytes(packet);
    for optimize in [false, true] {
        let [reference, own] = compile(dlt, filter, optimize);
        assert_eq!(outcome(reference, &packet), libpcap, "libpcap: {filter}, {optimize}");
        assert_eq!(outcome(own, &packet), ours, "{filter}, {optimize}");
    }
}

/// A packet whose bytes decide: our optimized program accepts it, libpcap's unoptimized one rejects
/// it for a byte that is missing, and both accept it with any bytes behind it.
fn decided(dlt: Dlt, filter: &str, packet: &str) {
    let packet = bytes(packet);
    let [reference, _] = compile(dlt, filter, false);
    let [_, own] = compile(dlt, filter, true);
    assert_eq!(outcome(reference.clone(), &packet), Rejects, "libpcap: {filter}");
    assert_eq!(outcome(own.clone(), &packet), Accepts, "{filter}");
    for byte in [0, 0x55, 0xff] {
        let mut longer = packet.clone();
        longer.resize(packet.len() + 200, byte);
        for program in [&reference, &own] {
            assert_eq!(outcome(program.clone(), &longer), Accepts, "{filter}: {byte}");
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let (hex, length) = text.split_once("..").unwrap_or((text, "0"));
    let hex: String = hex.split_whitespace().collect();
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    let mut bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.resize(bytes.len().max(length.parse().unwrap()), 0);
    bytes
}

#[test]
fn ip_multicast_ends_at_239() {
    let packet = "000000000000 000000000000 0800 45000000 00000000 00000000 0a000001 ffffffff";
    check(Dlt::EN10MB, "ip multicast", packet, Accepts, Rejects);
}

#[test]
fn byte_and_loads_its_byte() {
    check(Dlt::EN10MB, "byte 8 & 5", "..60", Rejects, Rejects);
    check(Dlt::EN10MB, "byte 8 & 5", "0000000000000000 04..60", Rejects, Accepts);
}

#[test]
fn unequal_is_not_equal() {
    check(Dlt::MTP2, "sio != 5", "000000 05..20", Accepts, Rejects);
    check(Dlt::SUNATM, "vci != 5", "0000 0005..20", Accepts, Rejects);
    check(Dlt::SUNATM, "vpi != 5", "0005..20", Accepts, Rejects);
    check(Dlt::MTP2, "dpc != 5", "00000000 0500..20", Accepts, Rejects);
    check(Dlt::MTP2, "hdpc != 5", "00000000000000 0500..20", Accepts, Rejects);
    check(Dlt::MTP2, "opc != 5", "00000000 00400100..20", Accepts, Rejects);
    check(Dlt::MTP2, "sls != 5", "00000000000000 50..20", Accepts, Rejects);
}

#[test]
fn atm_fields_stay_in_the_pseudo_header() {
    // Libpcap looks for them in the header entered last.
    check(Dlt::SUNATM, "lane and vpi 5", "01050000..60", Rejects, Accepts);
    check(Dlt::SUNATM, "lane and vpi 5", "01000000 0000 0005..60", Accepts, Rejects);
}

#[test]
fn dpc_is_two_bytes() {
    check(Dlt::MTP2, "dpc 5", "00000000 0500", Rejects, Accepts);
    check(Dlt::MTP2, "hdpc 5", "00000000000000 0500", Rejects, Accepts);
}

#[test]
fn isis_types_are_five_bits() {
    let packet = "000000000000 000000000000 0026 fefe03 83 000000 3b..60";
    check(Dlt::EN10MB, "isis proto 27", packet, Rejects, Accepts);
    // Cisco's HDLC has a padding byte before the PDU.
    check(Dlt::C_HDLC, "isis proto 18", "0f00 fefe 03 83 000000 12..40", Rejects, Accepts);
}

#[test]
fn arcnet() {
    // The protocols of RFC 1051 are not looked for.
    check(Dlt::ARCNET, "ip", "0102 f0 45..40", Accepts, Rejects);
    check(Dlt::ARCNET, "ip", "0102 d4 45..40", Accepts, Accepts);
    check(Dlt::ARCNET, "arp", "0102 f1..40", Accepts, Rejects);
    check(Dlt::ARCNET, "arp", "0102 d5..40", Accepts, Accepts);
    check(Dlt::ARCNET_LINUX, "ip", "01020000 f0 00 45..40", Accepts, Rejects);
    check(Dlt::ARCNET_LINUX, "ip", "01020000 d4 00 45..40", Accepts, Accepts);
    // The `$` is no digit.
    check(Dlt::ARCNET, "link src host $a9", "a901 d4..40", Rejects, Accepts);
    check(
        Dlt::BACNET_MS_TP,
        "link src host $a9",
        "55ff0001a9..40",
        refuses("aid supported only on ARCnet"),
        Accepts,
    );
    check(Dlt::BACNET_MS_TP, "broadcast", "55ff00ff..40", refuses("not a broadcast link"), Accepts);
}

#[test]
fn bytes_that_are_there_decide() {
    // RAW carries no ARP: a term that does not matter.
    decided(Dlt::RAW, "not (ip[100] = 1 and arp)", "45..30");
    // Nothing is both.
    decided(Dlt::EN10MB, "not (tcp[0] = 1 and arp and ip6)", "0000");
    decided(Dlt::PPP_BSDOS, "not tcp[0] > vrrp[0]", "0000");
    // Whatever the type, one of the two holds.
    decided(Dlt::IEEE802_11, "llc or not type 8", "");
    // Known labels, and known ports.
    decided(Dlt::EN10MB, "not (mpls 5 and (mpls and port 80 and mpls))", "00..13");
    // Protocols behind protocols, of which nothing depends.
    decided(Dlt::NULL, "protochain 6 or not decnet host 1.2", "02000000 4500");
    // Long lists of IPv6 hosts begin with all sources.
    let hosts: Vec<_> = (0..70).map(|n| format!("2001:db8::{n:x}")).collect();
    let address = "20010db8 00000000 00000000 00000007";
    let packet = format!("000000000000 000000000000 86dd 6000000000000640 {address} 2001");
    decided(Dlt::EN10MB, &format!("ip6 host {}", hosts.join(" or ")), &packet);
}

#[test]
fn division_by_zero_decides_nothing() {
    // Libpcap's optimizer comes to the same.
    let text = "not (1 / ip[1] = 1 and arp)";
    for (optimize, libpcap) in [(false, Rejects), (true, Accepts)] {
        let [reference, own] =
            compile(Dlt::RAW, text, optimize).map(|program| outcome(program, &bytes("4500..40")));
        assert_eq!((reference, own), (libpcap, Accepts));
    }
}

#[test]
fn masked_out_words_are_not_loaded() {
    // A data frame that ends after the first word of the source address.
    let header = "0800 0000 000000000000 000000000000 000000000000 0000 aaaa03 000000 86dd";
    let packet = format!("{header} 60000000 00000640 20010db8");
    check(Dlt::IEEE802_11, "ip6 src net 2001:db8::/32", &packet, Rejects, Accepts);
}

#[test]
fn dsa_tags() {
    let packet = "000000000000 000000000000 00000000 0800 45..60";
    check(
        Dlt::DSA_TAG_BRCM,
        "ip",
        packet,
        refuses("Broadcom tag link-layer type filtering not implemented"),
        Accepts,
    );
    check(
        Dlt::DSA_TAG_DSA,
        "ip",
        packet,
        refuses("Marvell DSA link-layer type filtering not implemented"),
        Accepts,
    );
    let packet = "000000000000 000000000000 00000000 8100 0005 0800..60";
    check(Dlt::DSA_TAG_DSA, "vlan 5", packet, refuses("no VLAN support for Marvell DSA"), Accepts);
    check(
        Dlt::DSA_TAG_DSA,
        "broadcast",
        "ffffffffffff..60",
        refuses("not a broadcast link"),
        Accepts,
    );
    let ours = |dlt, text: &str, packet: &str| {
        outcome(compile(dlt, text, true).into_iter().nth(1).unwrap(), &bytes(packet))
    };
    for dlt in [Dlt::DSA_TAG_DSA, Dlt::DSA_TAG_BRCM] {
        assert_eq!(ours(dlt, "ether src 0:0:0:0:0:1", "000000000000 000000000001..60"), Accepts);
        let labelled = "000000000000 000000000000 00000000 8847 00005140..60";
        assert_eq!(ours(dlt, "mpls 5", labelled), Accepts);
        let llc = "000000000000 000000000000 00000000 0026 4242 03..60";
        assert_eq!(ours(dlt, "llc u", llc), Accepts);
    }
    let sent = "000000000000 000000000000 40000000..60";
    assert_eq!(ours(Dlt::DSA_TAG_DSA, "outbound", sent), Accepts);
    assert_eq!(ours(Dlt::DSA_TAG_DSA, "inbound", sent), Rejects);
    let sent = "000000000000 000000000000 20000000..60";
    assert_eq!(ours(Dlt::DSA_TAG_BRCM, "outbound", sent), Accepts);
    assert_eq!(ours(Dlt::DSA_TAG_BRCM, "inbound", sent), Rejects);
}

#[test]
fn per_packet_information() {
    let packet = "00000800 69000000 0800..60";
    check(
        Dlt::PPI,
        "type data",
        packet,
        refuses("802.11 link-layer types supported only on 802.11"),
        Accepts,
    );
    check(
        Dlt::PPI,
        "subtype data",
        packet,
        refuses("802.11 link-layer types supported only on 802.11"),
        Accepts,
    );
    check(
        Dlt::PPI,
        "dir nods",
        packet,
        refuses("frame direction supported only with 802.11 headers"),
        Accepts,
    );
    check(Dlt::PPI, "vlan", packet, refuses("no VLAN support for Per-Packet Information"), Rejects);
}

#[test]
fn per_packet_information_in_tunnels() {
    // Not 802.11 inside; libpcap forgets to look once the headers were moved.
    let packet = "00002000 01000000..100";
    check(Dlt::PPI, "not dst port 5", packet, Rejects, Rejects);
    check(Dlt::PPI, "not pppoes and not dst port 5", packet, Accepts, Rejects);
}

#[test]
fn known_questions() {
    // One question in `port 443` and `portrange 443-443`, and about the last of the MPLS labels;
    // what is known is not loaded again.
    let contradiction = "not (mpls 5 and (mpls and port 80 and mpls))";
    let own = build(contradiction, &options(Dlt::EN10MB, true), &Table::default()).unwrap();
    assert_eq!(own.insns().len(), 1);
    check(Dlt::EN10MB, contradiction, "..100", Accepts, Accepts);
    let [one, other] = ["tcp src port 443", "tcp src portrange 443-443"]
        .map(|text| build(text, &options(Dlt::EN10MB, true), &Table::default()).unwrap());
    assert_eq!(one.insns(), other.insns());
}

#[test]
fn both_directions_of_junipers() {
    // Libpcap's optimizer takes the second `outbound` for its contrary.
    let text = "outbound and arp dst host 192.168.1.2 or outbound";
    let packet = bytes("4d474300..60");
    let [plain, own] = compile(Dlt::JUNIPER_CHDLC, text, false);
    assert_eq!((outcome(plain, &packet), outcome(own, &packet)), (Accepts, Accepts));
    let [best, own] = compile(Dlt::JUNIPER_CHDLC, text, true);
    assert_eq!((outcome(best, &packet), outcome(own, &packet)), (Rejects, Accepts));
}

/// An 802.11 data frame with an Ethernet type behind its LLC header.
const DATA_FRAME: &str = "0800 0000 000000000000 000000000000 000000000000 0000 aaaa03 000000";

#[test]
fn registers_of_link_layers_are_their_own() {
    // Libpcap keeps the length of the 802.11 header where the arithmetic left its result.
    let packet = format!("0000 0800 00000000 {DATA_FRAME} 0800 45..90");
    let text = "link[0] & 1 = 0 and ip";
    check(Dlt::IEEE802_11_RADIO, text, &packet, Rejects, Accepts);
    let text = format!("(greater 0 or ip) and ({text})");
    check(Dlt::IEEE802_11_RADIO, &text, &packet, Accepts, Accepts);
}

#[test]
fn tunnels_in_80211_write_what_they_read() {
    let session = format!("0000 0800 00000000 {DATA_FRAME} 8864 11000001 0010 0021 45..90");
    let session = bytes(&session);
    for optimize in [false, true] {
        let ends = compile(Dlt::IEEE802_11_RADIO, "pppoes 1 and ip", optimize).map(|program| {
            let view = trace::View { bytes: &session, length: 90, imagined: None };
            trace::run(&fuzz_insns(&program.unwrap()), view)
        });
        assert_eq!(ends, [End::Unwritten, End::Returns(262_144)]);
    }
}

#[test]
fn errors_in_the_order_of_the_text() {
    for (text, error) in [
        ("ip proto 256 and (", "protocol number 256 greater than maximum 255"),
        ("( and ip proto 256", "can't parse filter expression: syntax error"),
        ("decnet host 64.1 and host ::g", "invalid DECnet address '64.1'"),
    ] {
        let own = build(text, &options(Dlt::EN10MB, true), &Table::default());
        assert_eq!(own.unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn names_that_are_not_text() {
    let names = Table::new("10.0.0.1 h\u{fffd}", "", "");
    let own = pcap::filter::compile(b"host h\xff", &options(Dlt::EN10MB, true), &names);
    assert!(own.is_err(), "U+FFFD stands for no byte of a name");
}

#[test]
fn loopback_families_of_savefiles() {
    let accepts = |family: u8, savefile: Option<Savefile>| {
        let options = Options { savefile, ..options(Dlt::NULL, true) };
        let program = build("ip6", &options, &Table::default()).unwrap();
        outcome(Ok(program), &[family, 0, 0, 0]) == Accepts
    };
    // Darwin, NetBSD and OpenBSD, FreeBSD; Linux.
    for (family, in_savefile) in [(30, true), (24, true), (28, true), (10, false)] {
        assert_eq!(accepts(family, Some(Savefile { swapped: false })), in_savefile);
        assert_eq!(accepts(family, None), !in_savefile);
    }
}

#[test]
fn gateways() {
    let names = Table::new("10.0.0.1 gw", "00:11:22:33:44:55 gw", "");
    let program = build("gateway gw", &options(Dlt::EN10MB, true), &names).unwrap();
    let verdict = |addr: &str| {
        let ip = "45000000 00000000 00000000";
        let packet = format!("000000000000 001122334455 0800 {ip} {addr} 00000000");
        outcome(Ok(program.clone()), &bytes(&packet))
    };
    assert_eq!((verdict("0a000001"), verdict("0a000002")), (Rejects, Accepts));
}

#[test]
fn zeros_that_are_computed() {
    let text = "ip[0] / (1 - 1) = 1 or len > 0";
    let [best, own] = compile(Dlt::EN10MB, text, true);
    assert_eq!(outcome(best, &[0; 60]), refuses("division by zero"));
    assert_eq!(outcome(own, &[0; 60]), Accepts);
    // Nor is 0 / 0 a number.
    let [plain, own_plain] = compile(Dlt::EN10MB, "0 / (31 % 1) = 0", false);
    let [best, own_best] = compile(Dlt::EN10MB, "0 / (31 % 1) = 0", true);
    assert_eq!(outcome(best, &[0; 60]), refuses("division by zero"));
    for program in [plain, own_plain, own_best] {
        assert_eq!(outcome(program, &[0; 60]), Rejects);
    }
    // Libpcap looks at the first number of the divisor.
    check(Dlt::EN10MB, "1 / ether[0] = 1", "01..60", refuses("division by zero"), Accepts);
}

#[test]
fn netanalyzer_llc() {
    let packet = "00000000 000000000000 000000000000 0026 4242 03..60";
    let text = "'llc' not supported for Ethernet with Hilscher netANALYZER pseudo-header";
    check(Dlt::NETANALYZER, "llc", packet, refuses(text), Accepts);
}

#[test]
fn linux_cooked_v2_osi() {
    // An 802.2 header of protocol 4, as in version 1.
    let packet = "0004 0000 00000001 0001 00 06 0000000000000000 fefe03 81..60";
    check(Dlt::LINUX_SLL2, "clnp", packet, Rejects, Rejects);
}

#[test]
fn numbers_fit_their_fields() {
    for (dlt, filter, packet, text) in [
        (Dlt::EN10MB, "ether proto 1500", "..60", "LLC DSAP 1500 greater than maximum 255"),
        (Dlt::EN10MB, "ether proto 65536", "..60", "EtherType 65536 greater than maximum 65535"),
        (Dlt::PPP, "ether proto 65536", "..60", "PPP protocol 65536 greater than maximum 65535"),
        (
            Dlt::C_HDLC,
            "ether proto 65536",
            "..60",
            "HDLC protocol 65536 greater than maximum 65535",
        ),
        (Dlt::EN10MB, "ip proto 256", "..60", "protocol number 256 greater than maximum 255"),
        (Dlt::EN10MB, "ip6 protochain 256", "..60", "protocol number 256 greater than maximum 255"),
        (Dlt::EN10MB, "iso proto 256", "..60", "ISO protocol 256 greater than maximum 255"),
        (Dlt::EN10MB, "isis proto 32", "..60", "IS-IS PDU type 32 greater than maximum 31"),
        (Dlt::EN10MB, "byte 0 = 256", "..60", "byte argument 256 greater than maximum 255"),
        (Dlt::SUNATM, "vpi 256", "..60", "VPI 256 greater than maximum 255"),
        (Dlt::SUNATM, "vci 65536", "..60", "VCI 65536 greater than maximum 65535"),
    ] {
        check(dlt, filter, packet, Rejects, refuses(text));
    }
}

#[test]
fn decnet_addresses() {
    let invalid = |text| refuses(&format!("invalid DECnet address '{text}'"));
    check(Dlt::EN10MB, "decnet host 64.1", "..60", Rejects, invalid("64.1"));
    check(Dlt::EN10MB, "decnet host 1.1024", "..60", Rejects, invalid("1.1024"));
    check(Dlt::EN10MB, "decnet host 1.2.3", "..60", Rejects, invalid("1.2.3"));
    check(Dlt::EN10MB, "decnet host 5", "..60", Rejects, invalid("5"));
    let text = "'decnet' is not a valid qualifier for 'net'";
    check(Dlt::EN10MB, "decnet net 1.2", "..60", Rejects, refuses(text));
    check(Dlt::EN10MB, "decnet host 63.1023", "..60", Rejects, Rejects);
}

#[test]
fn port_ranges() {
    let text = "port range '1-2-3' contains more than one hyphen";
    check(Dlt::EN10MB, "portrange 1-2-3", "..60", Rejects, refuses(text));
    let text = "'2x' is not a valid port";
    check(Dlt::EN10MB, "portrange 1-2x", "..60", Rejects, refuses(text));
    let text = "unknown port in range '0x0-0x5'";
    check(Dlt::RAW, "portrange 0x0-0x5", "45000014..40", refuses(text), Rejects);
    let udp = "45000028 00000000 00110000 00000000 00000000 0003 0003..40";
    check(Dlt::RAW, "portrange 0x0-0x5", udp, refuses(text), Accepts);
}

#[test]
fn bacnet_has_no_protocol() {
    let text = "link-layer type filtering not implemented for DLT_BACNET_MS_TP (BACnet MS/TP)";
    check(Dlt::BACNET_MS_TP, "ip", "55ff0000 00..40", Accepts, refuses(text));
}

#[test]
fn masks_of_all_bits() {
    let (filter, text) = ("link[0:2] & 0xffffffff = 0", "expression rejects all packets");
    let own = build(filter, &options(Dlt::EN10MB, true), &Table::default()).unwrap();
    assert_eq!(outcome(Ok(own), &bytes("..60")), Accepts);
    let [reference, _] = compile(Dlt::EN10MB, filter, true);
    assert_eq!(reference.unwrap_err(), text);
}

#[test]
fn packet_filter_logs_of_other_systems() {
    let text = "unknown PF reason \"translate\"";
    check(Dlt::PFLOG, "reason translate", "0000000f..60", refuses(text), Accepts);
    let text = "unknown PF action \"defer\"";
    check(Dlt::PFLOG, "action defer", "00000b00..60", refuses(text), Accepts);
}

#[test]
fn kernel_data_of_live_captures_only() {
    let text = "not a live capture, 'inbound' not supported on DLT_EN10MB (Ethernet)";
    check(Dlt::EN10MB, "inbound", "..60", Rejects, refuses(text));
    let text = "not a live capture, 'ifindex' not supported on DLT_EN10MB (Ethernet)";
    check(Dlt::EN10MB, "ifindex 1", "..60", Rejects, refuses(text));
}

#[test]
fn unknown_link_types_have_lengths() {
    let text = "unknown data link type 3 (min 104, max 289)";
    check(Dlt::AX25, "len > 10", "..60", refuses(text), Accepts);
}

#[test]
fn new_words() {
    let syntax = "can't parse filter expression: syntax error";
    check(Dlt::EN10MB, "vxlan", "..60", refuses(syntax), Rejects);
    let packet = "000000000000 000000000000 8809..60";
    check(Dlt::EN10MB, "ether proto slow", packet, refuses("unknown ether proto 'slow'"), Accepts);
    check(Dlt::IEEE802_11, "subtype bar", "84..40", refuses("unknown 802.11 type name"), Accepts);
}

#[test]
fn transport_after_ipv4_only() {
    // libpcap looks for a fragment header of IPv6 too, where one magic number stands for both.
    check(Dlt::JUNIPER_FRELAY, "not tcp[0] = 0", "4d474300 000000000000 2c..20", Rejects, Accepts);
}

#[test]
fn shifts_that_are_not_constant() {
    // libpcap looks at the first number of the operand only.
    let text = "shift by more than 31 bits";
    check(Dlt::EN10MB, "1 << (40 - len) = 1", "..40", refuses(text), Accepts);
    check(Dlt::EN10MB, "1 << 40 = 1", "..40", refuses(text), refuses(text));
}

#[test]
fn limits() {
    let own = |text: &str| {
        build(text, &options(Dlt::EN10MB, true), &Table::default()).map_err(|e| e.to_string())
    };
    let terms = vec!["ip"; (1 << 20) + 1].join(" or ");
    assert_eq!(own(&terms), Err("expression is too long: more than 1048576 terms".to_owned()));
    let nested = "(".repeat((1 << 21) + 1);
    let text = "expression is nested too deeply: more than 2097152 parentheses";
    assert_eq!(own(&nested), Err(text.to_owned()));
}
