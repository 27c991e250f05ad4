//! The words of pcap-filter(7), in a hash table that the compiler of this crate builds.

use super::Tok;
use crate::filter::ast::{AddrKind, AtmField, AtmType, Dir, Mtp2Type, Mtp3Field, Proto};

/// The token of the keyword or named constant that is the first `len` bytes of `text`.
pub(super) fn lookup(text: &[u8], len: usize) -> Option<Tok> {
    let word = &text[..len];
    let start = start(text, len);
    let mut slot = slot(start);
    while let Some(entry) = TABLE.entries.get(usize::from(TABLE.slots[slot])) {
        if entry.start == start && entry.word.len() == len && (len <= 8 || entry.word == word) {
            return Some(entry.tok);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The first eight of the first `len` bytes as a number, for which a machine has an instruction
/// mostly.
fn start(text: &[u8], len: usize) -> u64 {
    let bytes = match text.first_chunk() {
        Some(&eight) => u64::from_le_bytes(eight),
        None => text.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    if len < 8 { bytes & !(u64::MAX << (8 * len)) } else { bytes }
}

/// Twice as many as there are words, at least.
const SLOTS: usize = 512;
const WORDS: usize = PROTOCOLS.len() + KEYWORDS.len() + CONSTANTS.len();
/// No entry, and none has this index.
const EMPTY: u8 = u8::MAX;
const _: () = assert!(WORDS < EMPTY as usize && 2 * WORDS <= SLOTS);

/// Where the search for a word with such a start begins.
const fn slot(start: u64) -> usize {
    (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.trailing_zeros())) as usize
}

#[derive(Clone, Copy)]
struct Entry {
    start: u64,
    word: &'static [u8],
    tok: Tok,
}

/// Open addressing: a word is in the first slot that was free from [`slot`] on.
struct Table {
    entries: [Entry; WORDS],
    slots: [u8; SLOTS],
}

static TABLE: Table = {
    let none = Entry { start: 0, word: b"", tok: Tok::End };
    let mut table = Table { entries: [none; WORDS], slots: [EMPTY; SLOTS] };
    let mut i = 0;
    while i < WORDS {
        let (text, tok) = word(i);
        let word = text.as_bytes();
        let mut start = 0;
        let mut at = if word.len() < 8 { word.len() } else { 8 };
        while at > 0 {
            at -= 1;
            start = start << 8 | word[at] as u64;
        }
        let mut slot = slot(start);
        while table.slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        table.entries[i] = Entry { start, word, tok };
        table.slots[slot] = i as u8;
        i += 1;
    }
    table
};

/// Word number `i` of the three lists.
const fn word(i: usize) -> (&'static str, Tok) {
    if i < PROTOCOLS.len() {
        let (word, proto) = PROTOCOLS[i];
        return (word, Tok::Proto(proto));
    }
    let i = i - PROTOCOLS.len();
    if i < KEYWORDS.len() {
        return KEYWORDS[i];
    }
    let (word, number) = CONSTANTS[i - KEYWORDS.len()];
    (word, Tok::Num(number))
}

#[rustfmt::skip]
const PROTOCOLS: [(&str, Proto); 47] = [
    ("link", Proto::Link), ("ether", Proto::Link), ("ppp", Proto::Link), ("slip", Proto::Link),
    ("fddi", Proto::Link), ("tr", Proto::Link), ("wlan", Proto::Link), ("arp", Proto::Arp),
    ("rarp", Proto::Rarp), ("ip", Proto::Ip), ("sctp", Proto::Sctp), ("tcp", Proto::Tcp),
    ("udp", Proto::Udp), ("icmp", Proto::Icmp), ("igmp", Proto::Igmp), ("igrp", Proto::Igrp),
    ("pim", Proto::Pim), ("vrrp", Proto::Vrrp), ("carp", Proto::Carp), ("radio", Proto::Radio),
    ("ip6", Proto::Ipv6), ("icmp6", Proto::Icmpv6), ("ah", Proto::Ah), ("esp", Proto::Esp),
    ("atalk", Proto::Atalk), ("aarp", Proto::Aarp), ("decnet", Proto::Decnet), ("lat", Proto::Lat),
    ("sca", Proto::Sca), ("moprc", Proto::Moprc), ("mopdl", Proto::Mopdl), ("iso", Proto::Iso),
    ("esis", Proto::Esis), ("es-is", Proto::Esis), ("isis", Proto::Isis), ("is-is", Proto::Isis),
    ("l1", Proto::IsisL1), ("l2", Proto::IsisL2), ("iih", Proto::IsisIih), ("lsp", Proto::IsisLsp),
    ("snp", Proto::IsisSnp), ("csnp", Proto::IsisCsnp), ("psnp", Proto::IsisPsnp),
    ("clnp", Proto::Clnp), ("stp", Proto::Stp), ("ipx", Proto::Ipx), ("netbeui", Proto::Netbeui),
];

#[rustfmt::skip]
const KEYWORDS: [(&str, Tok); 82] = [
    ("src", Tok::Src), ("dst", Tok::Dst), ("addr1", Tok::Dir(Dir::Addr1)),
    ("address1", Tok::Dir(Dir::Addr1)), ("addr2", Tok::Dir(Dir::Addr2)),
    ("address2", Tok::Dir(Dir::Addr2)), ("addr3", Tok::Dir(Dir::Addr3)),
    ("address3", Tok::Dir(Dir::Addr3)), ("addr4", Tok::Dir(Dir::Addr4)),
    ("address4", Tok::Dir(Dir::Addr4)), ("ra", Tok::Dir(Dir::Ra)), ("ta", Tok::Dir(Dir::Ta)),
    ("host", Tok::Kind(AddrKind::Host)), ("net", Tok::Kind(AddrKind::Net)),
    ("port", Tok::Kind(AddrKind::Port)), ("portrange", Tok::Kind(AddrKind::PortRange)),
    ("gateway", Tok::KindNoDir(AddrKind::Gateway)), ("proto", Tok::KindNoDir(AddrKind::Proto)),
    ("protochain", Tok::KindNoDir(AddrKind::ProtoChain)), ("mask", Tok::Mask), ("and", Tok::And),
    ("or", Tok::Or), ("not", Tok::Not), ("len", Tok::Len), ("length", Tok::Len),
    ("broadcast", Tok::Broadcast), ("multicast", Tok::Multicast), ("less", Tok::Less),
    ("greater", Tok::Greater), ("byte", Tok::Byte), ("inbound", Tok::Inbound),
    ("outbound", Tok::Outbound), ("ifindex", Tok::IfIndex), ("vlan", Tok::Vlan),
    ("mpls", Tok::Mpls), ("pppoed", Tok::Pppoed), ("pppoes", Tok::Pppoes), ("geneve", Tok::Geneve),
    ("vxlan", Tok::Vxlan), ("type", Tok::Type), ("subtype", Tok::Subtype),
    ("direction", Tok::Direction), ("dir", Tok::Direction), ("llc", Tok::Llc),
    ("on", Tok::PfIfname), ("ifname", Tok::PfIfname), ("rset", Tok::PfRuleset),
    ("ruleset", Tok::PfRuleset), ("rnr", Tok::PfRnr), ("rulenum", Tok::PfRnr),
    ("srnr", Tok::PfSrnr), ("subrulenum", Tok::PfSrnr), ("reason", Tok::PfReason),
    ("action", Tok::PfAction), ("lane", Tok::Atm(AtmType::Lane)),
    ("metac", Tok::Atm(AtmType::Metac)), ("bcc", Tok::Atm(AtmType::Bcc)),
    ("sc", Tok::Atm(AtmType::Sc)), ("ilmic", Tok::Atm(AtmType::Ilmic)),
    ("oam", Tok::Atm(AtmType::Oam)), ("oamf4", Tok::Atm(AtmType::OamF4)),
    ("oamf4ec", Tok::Atm(AtmType::OamF4Ec)), ("oamf4sc", Tok::Atm(AtmType::OamF4Sc)),
    ("connectmsg", Tok::Atm(AtmType::ConnectMsg)), ("metaconnect", Tok::Atm(AtmType::MetaConnect)),
    ("vpi", Tok::AtmField(AtmField::Vpi)), ("vci", Tok::AtmField(AtmField::Vci)),
    ("fisu", Tok::Mtp2(Mtp2Type::Fisu)), ("lssu", Tok::Mtp2(Mtp2Type::Lssu)),
    ("lsu", Tok::Mtp2(Mtp2Type::Lssu)), ("msu", Tok::Mtp2(Mtp2Type::Msu)),
    ("hfisu", Tok::Mtp2(Mtp2Type::HFisu)), ("hlssu", Tok::Mtp2(Mtp2Type::HLssu)),
    ("hmsu", Tok::Mtp2(Mtp2Type::HMsu)), ("sio", Tok::Mtp3(Mtp3Field::Sio)),
    ("opc", Tok::Mtp3(Mtp3Field::Opc)), ("dpc", Tok::Mtp3(Mtp3Field::Dpc)),
    ("sls", Tok::Mtp3(Mtp3Field::Sls)), ("hsio", Tok::Mtp3(Mtp3Field::HSio)),
    ("hopc", Tok::Mtp3(Mtp3Field::HOpc)), ("hdpc", Tok::Mtp3(Mtp3Field::HDpc)),
    ("hsls", Tok::Mtp3(Mtp3Field::HSls)),
];

/// Offsets and values: ICMP (RFC 792), ICMPv6 (IANA), TCP flags (RFC 9293).
#[rustfmt::skip]
const CONSTANTS: [(&str, u32); 57] = [
    ("icmptype", 0), ("icmp6type", 0), ("icmpcode", 1), ("icmp6code", 1), ("tcpflags", 13),
    ("icmp-echoreply", 0), ("icmp-unreach", 3), ("icmp-sourcequench", 4), ("icmp-redirect", 5),
    ("icmp-echo", 8), ("icmp-routeradvert", 9), ("icmp-routersolicit", 10), ("icmp-timxceed", 11),
    ("icmp-paramprob", 12), ("icmp-tstamp", 13), ("icmp-tstampreply", 14), ("icmp-ireq", 15),
    ("icmp-ireqreply", 16), ("icmp-maskreq", 17), ("icmp-maskreply", 18),
    ("icmp6-destinationunreach", 1), ("icmp6-packettoobig", 2), ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4), ("icmp6-echo", 128), ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130), ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132), ("icmp6-routersolicit", 133), ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135), ("icmp6-neighboradvert", 136), ("icmp6-redirect", 137),
    ("icmp6-routerrenum", 138), ("icmp6-nodeinformationquery", 139),
    ("icmp6-nodeinformationresponse", 140), ("icmp6-ineighbordiscoverysolicit", 141),
    ("icmp6-ineighbordiscoveryadvert", 142), ("icmp6-multicastlistenerreportv2", 143),
    ("icmp6-homeagentdiscoveryrequest", 144), ("icmp6-homeagentdiscoveryreply", 145),
    ("icmp6-mobileprefixsolicit", 146), ("icmp6-mobileprefixadvert", 147),
    ("icmp6-certpathsolicit", 148), ("icmp6-certpathadvert", 149),
    ("icmp6-multicastrouteradvert", 151), ("icmp6-multicastroutersolicit", 152),
    ("icmp6-multicastrouterterm", 153), ("tcp-fin", 0x01), ("tcp-syn", 0x02), ("tcp-rst", 0x04),
    ("tcp-push", 0x08), ("tcp-ack", 0x10), ("tcp-urg", 0x20), ("tcp-ece", 0x40), ("tcp-cwr", 0x80),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_no_other() {
        for (word, tok) in (0..WORDS).map(word) {
            let found = |text: &str| lookup(text.as_bytes(), text.len());
            assert_eq!(found(word), Some(tok), "{word}");
            assert_eq!(lookup(format!("{word} or more").as_bytes(), word.len()), Some(tok));
            for other in [format!("{word}_"), format!("x{word}"), word.to_uppercase()] {
                assert_eq!(found(&other), None, "{other}");
            }
        }
        assert_eq!(lookup(b"multicasu", 9), None);
        assert_eq!(lookup(b"", 0), None);
    }
}
