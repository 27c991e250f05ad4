//! The words of pcap-filter(7).

use super::Tok;
use crate::filter::ast::{AddrKind, AtmField, AtmType, Dir, Mtp2Type, Mtp3Field, Proto};

/// The token of a keyword or named constant.
pub(super) fn lookup(word: &[u8]) -> Option<Tok> {
    if let Some(proto) = protocol(word) {
        return Some(Tok::Proto(proto));
    }
    qualifier_or_operator(word).or_else(|| keyword(word)).or_else(|| constant(word).map(Tok::Num))
}

fn protocol(word: &[u8]) -> Option<Proto> {
    Some(match word {
        b"link" | b"ether" | b"ppp" | b"slip" | b"fddi" | b"tr" | b"wlan" => Proto::Link,
        b"arp" => Proto::Arp,
        b"rarp" => Proto::Rarp,
        b"ip" => Proto::Ip,
        b"sctp" => Proto::Sctp,
        b"tcp" => Proto::Tcp,
        b"udp" => Proto::Udp,
        b"icmp" => Proto::Icmp,
        b"igmp" => Proto::Igmp,
        b"igrp" => Proto::Igrp,
        b"pim" => Proto::Pim,
        b"vrrp" => Proto::Vrrp,
        b"carp" => Proto::Carp,
        b"radio" => Proto::Radio,
        b"ip6" => Proto::Ipv6,
        b"icmp6" => Proto::Icmpv6,
        b"ah" => Proto::Ah,
        b"esp" => Proto::Esp,
        b"atalk" => Proto::Atalk,
        b"aarp" => Proto::Aarp,
        b"decnet" => Proto::Decnet,
        b"lat" => Proto::Lat,
        b"sca" => Proto::Sca,
        b"moprc" => Proto::Moprc,
        b"mopdl" => Proto::Mopdl,
        b"iso" => Proto::Iso,
        b"esis" | b"es-is" => Proto::Esis,
        b"isis" | b"is-is" => Proto::Isis,
        b"l1" => Proto::IsisL1,
        b"l2" => Proto::IsisL2,
        b"iih" => Proto::IsisIih,
        b"lsp" => Proto::IsisLsp,
        b"snp" => Proto::IsisSnp,
        b"csnp" => Proto::IsisCsnp,
        b"psnp" => Proto::IsisPsnp,
        b"clnp" => Proto::Clnp,
        b"stp" => Proto::Stp,
        b"ipx" => Proto::Ipx,
        b"netbeui" => Proto::Netbeui,
        _ => return None,
    })
}

fn qualifier_or_operator(word: &[u8]) -> Option<Tok> {
    Some(match word {
        b"src" => Tok::Src,
        b"dst" => Tok::Dst,
        b"addr1" | b"address1" => Tok::Dir(Dir::Addr1),
        b"addr2" | b"address2" => Tok::Dir(Dir::Addr2),
        b"addr3" | b"address3" => Tok::Dir(Dir::Addr3),
        b"addr4" | b"address4" => Tok::Dir(Dir::Addr4),
        b"ra" => Tok::Dir(Dir::Ra),
        b"ta" => Tok::Dir(Dir::Ta),
        b"host" => Tok::Kind(AddrKind::Host),
        b"net" => Tok::Kind(AddrKind::Net),
        b"port" => Tok::Kind(AddrKind::Port),
        b"portrange" => Tok::Kind(AddrKind::PortRange),
        b"gateway" => Tok::KindNoDir(AddrKind::Gateway),
        b"proto" => Tok::KindNoDir(AddrKind::Proto),
        b"protochain" => Tok::KindNoDir(AddrKind::ProtoChain),
        b"mask" => Tok::Mask,
        b"and" => Tok::And,
        b"or" => Tok::Or,
        b"not" => Tok::Not,
        b"len" | b"length" => Tok::Len,
        _ => return None,
    })
}

fn keyword(word: &[u8]) -> Option<Tok> {
    Some(match word {
        b"broadcast" => Tok::Broadcast,
        b"multicast" => Tok::Multicast,
        b"less" => Tok::Less,
        b"greater" => Tok::Greater,
        b"byte" => Tok::Byte,
        b"inbound" => Tok::Inbound,
        b"outbound" => Tok::Outbound,
        b"ifindex" => Tok::IfIndex,
        b"vlan" => Tok::Vlan,
        b"mpls" => Tok::Mpls,
        b"pppoed" => Tok::Pppoed,
        b"pppoes" => Tok::Pppoes,
        b"geneve" => Tok::Geneve,
        b"vxlan" => Tok::Vxlan,
        b"type" => Tok::Type,
        b"subtype" => Tok::Subtype,
        b"direction" | b"dir" => Tok::Direction,
        b"llc" => Tok::Llc,
        b"on" | b"ifname" => Tok::PfIfname,
        b"rset" | b"ruleset" => Tok::PfRuleset,
        b"rnr" | b"rulenum" => Tok::PfRnr,
        b"srnr" | b"subrulenum" => Tok::PfSrnr,
        b"reason" => Tok::PfReason,
        b"action" => Tok::PfAction,
        b"lane" => Tok::Atm(AtmType::Lane),
        b"metac" => Tok::Atm(AtmType::Metac),
        b"bcc" => Tok::Atm(AtmType::Bcc),
        b"sc" => Tok::Atm(AtmType::Sc),
        b"ilmic" => Tok::Atm(AtmType::Ilmic),
        b"oam" => Tok::Atm(AtmType::Oam),
        b"oamf4" => Tok::Atm(AtmType::OamF4),
        b"oamf4ec" => Tok::Atm(AtmType::OamF4Ec),
        b"oamf4sc" => Tok::Atm(AtmType::OamF4Sc),
        b"connectmsg" => Tok::Atm(AtmType::ConnectMsg),
        b"metaconnect" => Tok::Atm(AtmType::MetaConnect),
        b"vpi" => Tok::AtmField(AtmField::Vpi),
        b"vci" => Tok::AtmField(AtmField::Vci),
        b"fisu" => Tok::Mtp2(Mtp2Type::Fisu),
        b"lssu" | b"lsu" => Tok::Mtp2(Mtp2Type::Lssu),
        b"msu" => Tok::Mtp2(Mtp2Type::Msu),
        b"hfisu" => Tok::Mtp2(Mtp2Type::HFisu),
        b"hlssu" => Tok::Mtp2(Mtp2Type::HLssu),
        b"hmsu" => Tok::Mtp2(Mtp2Type::HMsu),
        b"sio" => Tok::Mtp3(Mtp3Field::Sio),
        b"opc" => Tok::Mtp3(Mtp3Field::Opc),
        b"dpc" => Tok::Mtp3(Mtp3Field::Dpc),
        b"sls" => Tok::Mtp3(Mtp3Field::Sls),
        b"hsio" => Tok::Mtp3(Mtp3Field::HSio),
        b"hopc" => Tok::Mtp3(Mtp3Field::HOpc),
        b"hdpc" => Tok::Mtp3(Mtp3Field::HDpc),
        b"hsls" => Tok::Mtp3(Mtp3Field::HSls),
        _ => return None,
    })
}

/// Offsets and values with names: ICMP (RFC 792), ICMPv6 (IANA), TCP flags (RFC 9293).
fn constant(word: &[u8]) -> Option<u32> {
    match word {
        b"icmptype" | b"icmp6type" => return Some(0),
        b"icmpcode" | b"icmp6code" => return Some(1),
        b"tcpflags" => return Some(13),
        _ => {}
    }
    if let Some(kind) = word.strip_prefix(b"icmp-") {
        return icmp_type(kind);
    }
    if let Some(kind) = word.strip_prefix(b"icmp6-") {
        return icmp6_type(kind);
    }
    Some(match word.strip_prefix(b"tcp-")? {
        b"fin" => 0x01,
        b"syn" => 0x02,
        b"rst" => 0x04,
        b"push" => 0x08,
        b"ack" => 0x10,
        b"urg" => 0x20,
        b"ece" => 0x40,
        b"cwr" => 0x80,
        _ => return None,
    })
}

fn icmp_type(word: &[u8]) -> Option<u32> {
    Some(match word {
        b"echoreply" => 0,
        b"unreach" => 3,
        b"sourcequench" => 4,
        b"redirect" => 5,
        b"echo" => 8,
        b"routeradvert" => 9,
        b"routersolicit" => 10,
        b"timxceed" => 11,
        b"paramprob" => 12,
        b"tstamp" => 13,
        b"tstampreply" => 14,
        b"ireq" => 15,
        b"ireqreply" => 16,
        b"maskreq" => 17,
        b"maskreply" => 18,
        _ => return None,
    })
}

fn icmp6_type(word: &[u8]) -> Option<u32> {
    Some(match word {
        b"destinationunreach" => 1,
        b"packettoobig" => 2,
        b"timeexceeded" => 3,
        b"parameterproblem" => 4,
        b"echo" => 128,
        b"echoreply" => 129,
        b"multicastlistenerquery" => 130,
        b"multicastlistenerreportv1" => 131,
        b"multicastlistenerdone" => 132,
        b"routersolicit" => 133,
        b"routeradvert" => 134,
        b"neighborsolicit" => 135,
        b"neighboradvert" => 136,
        b"redirect" => 137,
        b"routerrenum" => 138,
        b"nodeinformationquery" => 139,
        b"nodeinformationresponse" => 140,
        b"ineighbordiscoverysolicit" => 141,
        b"ineighbordiscoveryadvert" => 142,
        b"multicastlistenerreportv2" => 143,
        b"homeagentdiscoveryrequest" => 144,
        b"homeagentdiscoveryreply" => 145,
        b"mobileprefixsolicit" => 146,
        b"mobileprefixadvert" => 147,
        b"certpathsolicit" => 148,
        b"certpathadvert" => 149,
        b"multicastrouteradvert" => 151,
        b"multicastroutersolicit" => 152,
        b"multicastrouterterm" => 153,
        _ => return None,
    })
}
