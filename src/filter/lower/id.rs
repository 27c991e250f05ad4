//! Primitives that name something: hosts, nets, ports, protocols, gateways.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Lowerer;
use super::element::Element;
use super::error::LowerError;
use super::ip::{AddrFields, V4};
use super::names::{decnet, dotted, left_justified};
use super::numbers::ipproto;
use super::port::Ports;
use super::qualifiers::{self, not_a_qualifier};
use crate::filter::ast::{AddrKind, Dir, Id, Proto, Quals, Span};
use crate::filter::cond::CondId;
use crate::filter::lexer::{Number, number};
use crate::filter::link_layout::LinkLayout;
use crate::filter::resolve::PortProto;
use crate::raw_text;

type Lowered = Result<CondId, LowerError>;

/// What an identifier turned out to be: plain terms, of which there may be long lists, are not
/// lowered yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// An IPv4 host or network.
    V4 { addr: V4, protocols: &'static [AddrFields], dir: Option<Dir> },
    /// Ports.
    Ports { ports: Ports, transport: Option<u32>, dir: Option<Dir>, kind: AddrKind },
    /// A link-layer address.
    Mac { mac: [u8; 6], dir: Option<Dir> },
    /// An IPv6 address or network: how many leading bits matter.
    V6 { addr: Ipv6Addr, bits: u8, dir: Option<Dir> },
    /// Anything else.
    Lowered(CondId),
}

impl Named {
    /// The term as an element of a list.
    pub(super) fn element(&self, layout: &LinkLayout) -> Option<Element> {
        match *self {
            Self::V4 { addr, protocols, dir } => Element::v4(layout, addr, protocols, dir),
            Self::Ports { ports, transport, dir, .. } => {
                Element::port(layout, ports, transport, dir)
            }
            Self::Mac { mac, dir } => Element::mac(layout, mac, dir),
            Self::V6 { addr, bits, dir } => Element::v6(layout, addr, bits, dir),
            Self::Lowered(_) => None,
        }
    }
}

type Resolved = Result<Named, LowerError>;

impl Lowerer<'_> {
    /// `[proto] [dir] [kind] id`; `span` is the id's.
    pub(super) fn resolve(&mut self, quals: Quals, id: Id, span: Span) -> Resolved {
        let ast = self.ast;
        match id {
            Id::Name => self.name(quals, &ast.name(span)),
            Id::Num(number) => self.number(quals, number),
            Id::V4 => self.v4(quals, ast.bytes(span)),
            Id::V4Prefix(len) => self.v4_prefix(quals, ast.address(span), len),
            Id::V4Mask { mask } => {
                let mask = ast.bytes(Span { start: mask, ..span });
                self.v4_mask(quals, ast.address(span), mask)
            }
            Id::V6 => self.v6(quals, &raw_text::text(ast.bytes(span)), None),
            Id::V6Prefix(len) => self.v6(quals, &raw_text::text(ast.address(span)), Some(len)),
            Id::Ether(mac) => match (quals.proto, quals.addr) {
                (Some(Proto::Link), None | Some(AddrKind::Host)) => {
                    Ok(Named::Mac { mac, dir: quals.dir })
                }
                _ => Err(LowerError::EtherOutOfPlace),
            },
            Id::Arcnet(addr) => self.arcnet(quals, addr).map(Named::Lowered),
        }
    }

    /// Lowers what an identifier turned out to be.
    pub(super) fn lower_named(&mut self, named: Named) -> Lowered {
        match named {
            Named::V4 { addr, protocols, dir } => self.v4_hosts(&[addr], protocols, dir),
            Named::Ports { ports, transport, dir, kind } => self.ports(ports, transport, dir, kind),
            Named::Mac { mac, dir } => self.mac_host(mac, dir, "link host XX:XX:XX:XX:XX:XX"),
            Named::V6 { addr, bits, dir } => self.v6_net(addr, bits, dir),
            Named::Lowered(node) => Ok(node),
        }
    }

    fn arcnet(&mut self, quals: Quals, addr: u8) -> Lowered {
        if !matches!(quals.addr, None | Some(AddrKind::Host)) {
            return Err(LowerError::NotAQualifier {
                qual: qualifiers::kind(quals.addr).to_owned(),
                of: "$XX".to_owned(),
            });
        }
        if quals.proto != Some(Proto::Link) {
            return Err(LowerError::LinkIsTheOnly("$XX"));
        }
        self.byte_host(addr, quals.dir)
    }

    fn name(&mut self, quals: Quals, name: &str) -> Resolved {
        not_decnet(quals, false)?;
        match quals.addr {
            None | Some(AddrKind::Host) => self.host_name(quals, name).map(Named::Lowered),
            Some(AddrKind::Net) => self.net_name(quals, name),
            Some(AddrKind::Port) => self.port_name(quals, name),
            Some(AddrKind::PortRange) => self.port_range_name(quals, name),
            Some(AddrKind::Gateway) => self.gateway_name(quals, name).map(Named::Lowered),
            Some(AddrKind::Proto) => {
                let number = self.proto_number(name, quals.proto, "proto")?;
                self.proto(number, quals.proto).map(Named::Lowered)
            }
            Some(AddrKind::ProtoChain) => {
                let number = self.proto_number(name, quals.proto, "protochain")?;
                self.proto_chain(number, quals.proto).map(Named::Lowered)
            }
        }
    }

    fn host_name(&mut self, quals: Quals, name: &str) -> Lowered {
        match quals.proto {
            Some(Proto::Link) => {
                self.mac_fields("link host NAME")?;
                let mac = self.ether_name(name)?;
                return self.mac_host(mac, quals.dir, "link host NAME");
            }
            None | Some(Proto::Ip | Proto::Arp | Proto::Rarp | Proto::Ipv6) => {}
            Some(other) => return Err(not_a_qualifier(other, "host <Internet hostname>")),
        }
        let unknown = || LowerError::UnknownHost(name.to_owned());
        let addrs = self.resolver.host(name).ok_or_else(unknown)?;
        let of_family = || match quals.proto {
            None => LowerError::UnknownHost(name.to_owned()),
            Some(_) => LowerError::UnknownHostOfFamily(name.to_owned()),
        };
        let v4: Vec<_> = sorted(addrs.v4).into_iter().map(exact).collect();
        let v6: Vec<_> = sorted(addrs.v6).into_iter().map(|addr| (addr, u128::MAX)).collect();
        let mut terms = Vec::with_capacity(2);
        if quals.proto != Some(Proto::Ipv6) && !v4.is_empty() {
            let protocols = self.v4_protocols(quals.proto, "host")?;
            terms.push(self.v4_hosts(&v4, protocols, quals.dir)?);
        }
        if matches!(quals.proto, None | Some(Proto::Ipv6)) && !v6.is_empty() {
            terms.push(self.v6_hosts(&v6, quals.dir)?);
        }
        if terms.is_empty() { Err(of_family()) } else { Ok(self.any(&terms)) }
    }

    fn ether_name(&self, name: &str) -> Result<[u8; 6], LowerError> {
        self.resolver.ether(name).ok_or_else(|| LowerError::UnknownEtherHost(name.to_owned()))
    }

    fn net_name(&mut self, quals: Quals, name: &str) -> Resolved {
        let protocols = self.v4_protocols(quals.proto, "net <IPv4 network name>")?;
        let unknown = || LowerError::UnknownNetwork(name.to_owned());
        let number = self.resolver.network(name).filter(|&n| n != 0).ok_or_else(unknown)?;
        Ok(Named::V4 { addr: classful(number), protocols, dir: quals.dir })
    }

    fn gateway_name(&mut self, quals: Quals, name: &str) -> Lowered {
        const WHAT: &str = "gateway";
        let protocols = self.v4_protocols(quals.proto, WHAT)?;
        self.mac_fields(WHAT)?;
        let mac = self.ether_name(name)?;
        let unknown = || LowerError::UnknownHost(name.to_owned());
        let addrs = self.resolver.host(name).ok_or_else(unknown)?.v4;
        if addrs.is_empty() {
            return Err(match quals.proto {
                None => unknown(),
                Some(_) => LowerError::UnknownHostOfFamily(name.to_owned()),
            });
        }
        let addrs: Vec<_> = sorted(addrs).into_iter().map(exact).collect();
        self.gateway(mac, &addrs, protocols)
    }

    fn port_name(&mut self, quals: Quals, name: &str) -> Resolved {
        let wanted = port_proto(quals, AddrKind::Port)?;
        let unknown = || LowerError::UnknownPort(name.to_owned());
        let (port, found) = self.resolver.port(name).ok_or_else(unknown)?;
        let proto = reconcile(wanted, found)
            .map_err(|proto| LowerError::PortIs { name: name.to_owned(), proto })?;
        Ok(port_term(quals, Ports { low: port, high: port }, proto, AddrKind::Port))
    }

    fn port_range_name(&mut self, quals: Quals, name: &str) -> Resolved {
        let wanted = port_proto(quals, AddrKind::PortRange)?;
        let (low, high, found) = self.port_range(name)?;
        let proto = reconcile(wanted, found)
            .map_err(|proto| LowerError::PortRangeIs { name: name.to_owned(), proto })?;
        let (low, high) = (port_number(low)?, port_number(high)?);
        let ports = Ports { low: low.min(high), high: low.max(high) };
        Ok(port_term(quals, ports, proto, AddrKind::PortRange))
    }

    /// `a-b`, each a number in any form or a service.
    fn port_range(&self, text: &str) -> Result<(u32, u32, PortProto), LowerError> {
        let Some((first, second)) = text.split_once('-') else {
            return Err(LowerError::NoHyphen(text.to_owned()));
        };
        if second.contains('-') {
            return Err(LowerError::TwoHyphens(text.to_owned()));
        }
        if first.is_empty() {
            return Err(LowerError::NoFirstPort(text.to_owned()));
        }
        let (low, a) = self.end_of_range(first)?;
        if second.is_empty() {
            return Err(LowerError::NoLastPort(text.to_owned()));
        }
        let (high, b) = self.end_of_range(second)?;
        Ok((low, high, if a == b { a } else { PortProto::Any }))
    }

    fn end_of_range(&self, text: &str) -> Result<(u32, PortProto), LowerError> {
        match number(text.as_bytes()) {
            Number::Is(port) => Ok((port, PortProto::Any)),
            Number::Overflows => Err(LowerError::NumberOverflow(text.to_owned())),
            Number::NotOctal | Number::None => {
                let (port, proto) = self
                    .resolver
                    .port(text)
                    .ok_or_else(|| LowerError::InvalidPort(text.to_owned()))?;
                Ok((port.into(), proto))
            }
        }
    }

    fn number(&mut self, quals: Quals, number: u32) -> Resolved {
        if quals.proto == Some(Proto::Decnet) {
            not_decnet(quals, true)?;
            return Err(LowerError::InvalidDecnet(number.to_string()));
        }
        match quals.addr {
            None | Some(AddrKind::Host) => {
                self.v4_address(quals, V4 { addr: number, mask: u32::MAX }, "host <IPv4 address>")
            }
            Some(AddrKind::Net) => self.v4_address(quals, classful(number), "net <IPv4 address>"),
            Some(kind @ (AddrKind::Port | AddrKind::PortRange)) => {
                let proto = port_proto(quals, kind)?;
                let port = port_number(number)?;
                Ok(port_term(quals, Ports { low: port, high: port }, proto, kind))
            }
            Some(AddrKind::Gateway) => Err(LowerError::NotAQualifier {
                qual: "gateway".to_owned(),
                of: number.to_string(),
            }),
            Some(AddrKind::Proto) => self.proto(number, quals.proto).map(Named::Lowered),
            Some(AddrKind::ProtoChain) => self.proto_chain(number, quals.proto).map(Named::Lowered),
        }
    }

    /// An IPv4 address or network, whose bits outside the mask are clear.
    fn v4_address(&mut self, quals: Quals, addr: V4, of: &str) -> Resolved {
        let protocols = self.v4_protocols(quals.proto, of)?;
        Ok(Named::V4 { addr, protocols, dir: quals.dir })
    }

    fn v4(&mut self, quals: Quals, text: &[u8]) -> Resolved {
        let host = matches!(quals.addr, None | Some(AddrKind::Host));
        no_port_or_protocol(quals, "IPv4 address")?;
        if quals.proto == Some(Proto::Decnet) {
            not_decnet(quals, true)?;
            let addr = decnet(&raw_text::text(text))?;
            return self.decnet_host(addr, quals.dir).map(Named::Lowered);
        }
        let (value, bits) = dotted(text)?;
        if quals.addr == Some(AddrKind::Gateway) {
            return Err(wrong_kind(quals, raw_text::text(text)));
        }
        let addr = V4 { addr: left_justified(value, bits), mask: left_justified(u32::MAX, bits) };
        let of = if host { "host <IPv4 address>" } else { "net <IPv4 address>" };
        self.v4_address(quals, addr, of)
    }

    fn v4_prefix(&mut self, quals: Quals, text: &[u8], len: u32) -> Resolved {
        no_port_or_protocol(quals, "IPv4 address and prefix length")?;
        not_decnet(quals, false)?;
        let (value, bits) = dotted(text)?;
        if len > 32 {
            return Err(LowerError::MaskLength(32));
        }
        let shown = || format!("{}/{len}", raw_text::text(text));
        let addr = left_justified(value, bits);
        let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
        if addr & !mask != 0 {
            return Err(LowerError::NonNetworkBits(shown()));
        }
        self.v4_net(quals, V4 { addr, mask }, shown)
    }

    fn v4_mask(&mut self, quals: Quals, text: &[u8], mask: &[u8]) -> Resolved {
        no_port_or_protocol(quals, "IPv4 address and netmask")?;
        not_decnet(quals, false)?;
        let (value, bits) = dotted(text)?;
        let (mask_value, mask_bits) = dotted(mask)?;
        let shown = || format!("{} mask {}", raw_text::text(text), raw_text::text(mask));
        let addr = left_justified(value, bits);
        let mask_value = left_justified(mask_value, mask_bits);
        if addr & !mask_value != 0 {
            return Err(LowerError::NonNetworkBits(shown()));
        }
        self.v4_net(quals, V4 { addr, mask: mask_value }, shown)
    }

    fn v4_net(&mut self, quals: Quals, net: V4, text: impl Fn() -> String) -> Resolved {
        if quals.addr != Some(AddrKind::Net) {
            return Err(wrong_kind(quals, text()));
        }
        let protocols = self.v4_protocols(quals.proto, "net <IPv4 prefix>")?;
        Ok(Named::V4 { addr: net, protocols, dir: quals.dir })
    }

    fn v6(&mut self, quals: Quals, text: &str, len: Option<u32>) -> Resolved {
        let addr: Ipv6Addr = text.parse().map_err(|_| LowerError::InvalidIpv6(text.to_owned()))?;
        no_port_or_protocol(
            quals,
            match len {
                Some(_) => "IPv6 address and prefix length",
                None => "IPv6 address",
            },
        )?;
        let len = len.unwrap_or(128);
        if len > 128 {
            return Err(LowerError::MaskLength(128));
        }
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        if u128::from(addr) & !mask != 0 {
            return Err(LowerError::NonNetworkBits(format!("{text}/{len}")));
        }
        match quals.addr {
            Some(AddrKind::Net) => {}
            None | Some(AddrKind::Host) if len == 128 => {}
            _ if len == 128 => return Err(wrong_kind(quals, text)),
            _ => return Err(wrong_kind(quals, format!("{text}/{len}"))),
        }
        match quals.proto {
            None | Some(Proto::Ipv6) => Ok(Named::V6 { addr, bits: len as u8, dir: quals.dir }),
            Some(other) if quals.addr == Some(AddrKind::Net) => {
                Err(not_a_qualifier(other, "net <IPv6 prefix>"))
            }
            Some(other) => Err(not_a_qualifier(other, "host <IPv6 address>")),
        }
    }

    /// `proto N`.
    pub(super) fn proto(&mut self, number: u32, over: Option<Proto>) -> Lowered {
        match over {
            None => self.any_ip_proto(number),
            Some(Proto::Link) => self.link_type(number),
            Some(Proto::Ip) => self.ip_proto(number),
            Some(Proto::Ipv6) => self.ip6_proto(number),
            Some(Proto::Iso) => self.iso_proto(number),
            Some(Proto::Isis) => self.isis_pdu(number),
            Some(other) => Err(not_a_qualifier(other, "proto")),
        }
    }
}

fn port_term(quals: Quals, ports: Ports, transport: Option<u32>, kind: AddrKind) -> Named {
    Named::Ports { ports, transport, dir: quals.dir, kind }
}

/// Addresses in a fixed order, each once: the resolver's order may change from call to call.
fn sorted<T: Ord>(mut addrs: Vec<T>) -> Vec<T> {
    addrs.sort_unstable();
    addrs.dedup();
    addrs
}

/// A whole address.
fn exact(addr: Ipv4Addr) -> V4 {
    V4 { addr: addr.into(), mask: u32::MAX }
}

/// A network number with its leading zero bytes left out.
fn classful(number: u32) -> V4 {
    let zero_bytes = if number == 0 { 0 } else { number.leading_zeros() / 8 };
    V4 { addr: number << (8 * zero_bytes), mask: u32::MAX << (8 * zero_bytes) }
}

/// Refuses kinds of identifier that no address is.
fn no_port_or_protocol(quals: Quals, to: &'static str) -> Result<(), LowerError> {
    match quals.addr {
        None | Some(AddrKind::Host | AddrKind::Net | AddrKind::Gateway) => Ok(()),
        kind => Err(LowerError::QualifierApplied { qual: qualifiers::kind(kind), to }),
    }
}

/// The error for an address that cannot be of the kind asked for.
fn wrong_kind(quals: Quals, text: impl Into<String>) -> LowerError {
    let qual = qualifiers::kind(quals.addr).to_owned();
    LowerError::NotAQualifier { qual, of: text.into() }
}

/// DECnet has hosts only, of which no address with a mask is one.
fn not_decnet(quals: Quals, may_be_host: bool) -> Result<(), LowerError> {
    match quals {
        Quals { proto: Some(Proto::Decnet), addr: None | Some(AddrKind::Host), .. }
            if may_be_host =>
        {
            Ok(())
        }
        Quals { proto: Some(proto @ Proto::Decnet), addr, .. } => {
            Err(not_a_qualifier(proto, qualifiers::kind(addr)))
        }
        _ => Ok(()),
    }
}

fn port_number(number: u32) -> Result<u16, LowerError> {
    u16::try_from(number).map_err(|_| LowerError::PortNumber(number))
}

/// The IP protocol that a port's qualifier names, if any.
fn port_proto(quals: Quals, kind: AddrKind) -> Result<Option<u32>, LowerError> {
    match quals.proto {
        None => Ok(None),
        Some(Proto::Tcp) => Ok(Some(ipproto::TCP)),
        Some(Proto::Udp) => Ok(Some(ipproto::UDP)),
        Some(Proto::Sctp) => Ok(Some(ipproto::SCTP)),
        Some(other) => Err(not_a_qualifier(other, qualifiers::kind(Some(kind)))),
    }
}

/// Joins the protocol asked for with the one that a service was found for; the error is the name
/// of the latter.
fn reconcile(wanted: Option<u32>, found: PortProto) -> Result<Option<u32>, &'static str> {
    let found = match found {
        PortProto::Any => return Ok(wanted),
        PortProto::Tcp => ipproto::TCP,
        PortProto::Udp => ipproto::UDP,
        PortProto::Other(number) => number.into(),
    };
    match wanted {
        Some(wanted) if wanted != found => Err(match found {
            ipproto::TCP => "tcp",
            ipproto::UDP => "udp",
            _ => "sctp",
        }),
        _ => Ok(Some(found)),
    }
}
