//! What a filter looks at, on packets made for it.

mod support;

use pcap::bpf::{Aux, Filter};
use pcap::filter::resolve::HostAddrs;
use pcap::filter::{LiveTarget, Options, Resolver, compile};
use pcap::linktype::Dlt;
use support::{Table, options, verdict};

/// Verdicts of the plain and the optimized program.
fn accepts(filter: &str, dlt: Dlt, packet: &[u8]) -> [bool; 2] {
    [false, true].map(|optimize| {
        let program = compile(filter.as_bytes(), &options(dlt, optimize), &Table::default());
        verdict(&Filter::new(&program.expect("a good filter")), packet) != 0
    })
}

/// A minimal IPv4 packet.
fn ipv4(proto: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend([0; 20]);
    packet
}

/// Radiotap, a QoS data frame padded to four bytes, LLC and SNAP.
fn radiotap(padded: bool, ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let flags = if padded { 0x20 } else { 0 };
    let mut packet = vec![0, 0, 12, 0, 0x02, 0, 0, 0, flags, 0, 0, 0];
    packet.extend([0x88, 0]);
    packet.extend([0; 24]);
    if padded {
        packet.extend([0; 2]);
    }
    packet.extend([0xaa, 0xaa, 3, 0, 0, 0]);
    packet.extend(ethertype);
    packet.extend(payload);
    packet
}

#[test]
fn headers_of_80211_have_their_length() {
    let dlt = Dlt::IEEE802_11_RADIO;
    for padded in [false, true] {
        let packet = radiotap(padded, [8, 0], &ipv4(17));
        for filter in ["udp", "link[0] = 0x88 and udp", "len > 5 and udp and link[0] & 8 != 0"] {
            assert_eq!(accepts(filter, dlt, &packet), [true; 2], "{filter}");
        }
        assert_eq!(accepts("tcp", dlt, &packet), [false; 2]);
        let mut session = vec![0x11, 0, 0, 7, 0, 42, 0, 0x21];
        session.extend(ipv4(6));
        let packet = radiotap(padded, [0x88, 0x64], &session);
        assert_eq!(accepts("pppoes 7 and tcp", dlt, &packet), [true; 2]);
        assert_eq!(accepts("pppoes 8 and tcp", dlt, &packet), [false; 2]);
        let filter = "1 < 2 and 2 < 3 and pppoes and ip src 10.0.0.1";
        assert_eq!(accepts(filter, dlt, &packet), [true; 2]);
    }
}

/// Ethernet, tags, a type.
fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 12];
    for tag in tags {
        packet.extend(0x8100u16.to_be_bytes());
        packet.extend(tag.to_be_bytes());
    }
    packet.extend(ethertype.to_be_bytes());
    packet.extend(payload);
    packet
}

#[test]
fn vlan_tags_may_be_beside_the_packet() {
    let live = LiveTarget { vlan_aux: true, kernel_extensions: true };
    let run = |filter: &str, tags: &[u16], stripped: Option<u16>| {
        let mut aux = Aux::default();
        aux.set_vlan(stripped);
        let packet = ethernet(tags, 0x0800, &ipv4(6));
        [false, true].map(|optimize| {
            let options = Options { live: Some(live), ..options(Dlt::EN10MB, optimize) };
            let program = compile(filter.as_bytes(), &options, &Table::default()).unwrap();
            Filter::new(&program).run(&packet, packet.len() as u32, &aux) != 0
        })
    };
    for filter in
        ["vlan and tcp", "vlan 5", "vlan 5 and ip src 10.0.0.1", "2 > 1 and vlan 5 and tcp"]
    {
        assert_eq!(run(filter, &[5], None), [true; 2], "{filter}");
        assert_eq!(run(filter, &[], Some(5)), [true; 2], "{filter}");
        assert_eq!(run(filter, &[], None), [false; 2], "{filter}");
    }
    assert_eq!(run("vlan 6", &[], Some(5)), [false; 2]);
    assert_eq!(run("vlan 5 and vlan 6 and tcp", &[6], Some(5)), [true; 2]);
    assert_eq!(run("vlan 5 and vlan 6 and tcp", &[5, 6], None), [true; 2]);
}

#[test]
fn one_magic_number_stands_for_every_protocol() {
    // Juniper's: the packet passes for IPv4, IPv6 and ARP alike.
    let mut packet = vec![0x4d, 0x47, 0x43];
    packet.extend([0; 60]);
    let list = (1..40).map(|n| format!("port {n}")).collect::<Vec<_>>().join(" or ");
    for dlt in [Dlt::JUNIPER_MONITOR, Dlt::JUNIPER_ES] {
        assert_eq!(accepts(&list, dlt, &packet), accepts("port 39 or port 1", dlt, &packet));
    }
}

/// A host with addresses in the order given.
struct Host(Vec<[u8; 4]>);

impl Resolver for Host {
    fn host(&self, _: &str) -> Option<HostAddrs> {
        let v4 = self.0.iter().map(|&addr| addr.into()).collect();
        Some(HostAddrs { v4, v6: Vec::new() })
    }
}

#[test]
fn the_order_of_addresses_does_not_matter() {
    let compile = |addrs: &[[u8; 4]]| {
        compile(b"host h", &options(Dlt::EN10MB, true), &Host(addrs.to_vec())).unwrap()
    };
    let [a, b, c] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]];
    assert_eq!(compile(&[a, b, c]), compile(&[c, a, b, a]));
}

#[test]
fn arithmetic_has_sixteen_registers() {
    let nested = |depth: usize| format!("{}1{} = 1", "1 + (".repeat(depth), ")".repeat(depth));
    let run =
        |depth| compile(nested(depth).as_bytes(), &options(Dlt::EN10MB, false), &Table::default());
    assert!(run(14).is_ok());
    let error = run(16).expect_err("too many operands at once");
    assert_eq!(error.to_string(), "too many registers needed to evaluate expression");
}

#[test]
fn transport_headers_need_ipv4_before_their_index_is_looked_at() {
    // Too short for the SNAP header that tells AppleTalk, and not IPv4 anyway.
    let packet = ethernet(&[], 0, &[0; 6]);
    for filter in ["not vrrp[atalk[10]] > 5", "not udp[atalk[0]:2] = 1"] {
        assert_eq!(accepts(filter, Dlt::EN10MB, &packet), [true; 2], "{filter}");
    }
}

#[test]
fn negative_offsets_stay_within_the_packet() {
    // Behind 26 bytes of radio information: no load at an offset that is negative by itself.
    let mut packet = vec![0, 0, 26, 0];
    packet.resize(46, 0);
    packet[20] = 7;
    for (filter, accepted) in [("wlan[- 6] = 7", true), ("wlan[- 6] = 8", false)] {
        assert_eq!(accepts(filter, Dlt::IEEE802_11_RADIO, &packet), [accepted; 2], "{filter}");
    }
    let filter = "wlan[- 6] != 1500 + ppp[13:4]";
    assert_eq!(accepts(filter, Dlt::IEEE802_11_RADIO, &packet), [true; 2]);
}

/// The protocol is looked at before the fragment offset, and both before what they guard, although two of
/// the tests are about the same byte.
#[test]
fn a_comparison_of_two_values_brings_no_load_forward() {
    let mut fragment = ipv4(17);
    fragment.truncate(20);
    fragment[7] = 1;
    let filter = "ip[9:1] <= udp[5:2] or ip src net 10.0.0.0/30";
    assert_eq!(accepts(filter, Dlt(12), &fragment), [true; 2]);
    let framed = [&[0; 12][..], &[8, 0], &fragment].concat();
    assert_eq!(accepts(filter, Dlt(1), &framed), [true; 2]);
}
