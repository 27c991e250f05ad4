//! One primitive at a time: which lowering it needs.

use super::Lowerer;
use super::code::Cmp;
use super::error::LowerError;
use super::iso;
use super::numbers::{ethertype, ipproto, llc};
use super::qualifiers::{self, not_a_qualifier};
use crate::filter::ast::{Primitive, Proto, Span};
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

impl Lowerer<'_> {
    /// Lowers the primitive that stands there, and moves the headers if it does.
    pub(super) fn primitive(&mut self, primitive: &Primitive, span: Span) -> Lowered {
        match primitive {
            Primitive::Id(quals, id) => {
                let named = self.resolve(*quals, *id, span)?;
                self.lower_named(named)
            }
            Primitive::Proto(proto) => self.protocol(*proto),
            Primitive::Broadcast(proto) => match proto {
                None | Some(Proto::Link) => self.link_broadcast(),
                Some(Proto::Ip) => self.ip_broadcast(),
                Some(other) => Err(not_a_qualifier(*other, "broadcast")),
            },
            Primitive::Multicast(proto) => match proto {
                None | Some(Proto::Link) => self.link_multicast(),
                Some(Proto::Ip) => self.ip_multicast(),
                Some(Proto::Ipv6) => self.ip6_multicast(),
                Some(other) => Err(not_a_qualifier(*other, "multicast")),
            },
            Primitive::Less(n) => Ok(self.length(Cmp::Le, *n)),
            Primitive::Greater(n) => Ok(self.length(Cmp::Ge, *n)),
            Primitive::Byte { index, op, value } => self.byte(*index, *op, *value),
            Primitive::Relation(rel, left, right) => self.relation(*rel, *left, *right),
            Primitive::WlanType { ty, subtype } => {
                self.wlan_type((*ty).into(), subtype.map(u32::from))
            }
            Primitive::WlanDir(dir) => self.wlan_dir(*dir),
            Primitive::Inbound => self.direction(false),
            Primitive::Outbound => self.direction(true),
            Primitive::IfIndex(index) => self.ifindex(*index),
            Primitive::Vlan(tag) => self.vlan(*tag),
            Primitive::Mpls(label) => self.mpls(*label),
            Primitive::Pppoed => self.pppoed(),
            Primitive::Pppoes(session) => self.pppoes(*session),
            Primitive::Geneve(vni) => self.geneve(*vni),
            Primitive::Vxlan(vni) => self.vxlan(*vni),
            Primitive::PfIfname(name) => self.pf_ifname(&self.ast.name(*name)),
            Primitive::PfRuleset(name) => self.pf_ruleset(&self.ast.name(*name)),
            Primitive::PfRnr(n) => self.pf_rule(*n),
            Primitive::PfSrnr(n) => self.pf_subrule(*n),
            Primitive::PfReason(name) => self.pf_reason_name(&self.ast.name(*name)),
            Primitive::PfReasonCode(reason) => self.pf_reason(*reason),
            Primitive::PfAction(name) => self.pf_action(&self.ast.name(*name)),
            Primitive::Llc => self.has_llc(),
            Primitive::LlcType(name) => self.llc(&self.ast.name(*name)),
            Primitive::LlcRnr => self.llc("rnr"),
            Primitive::AtmType(ty) => self.atm_type(*ty),
            Primitive::AtmField(field, tests) => self.atm_field(*field, self.ast.tests(*tests)),
            Primitive::Mtp2Type(ty) => self.mtp2_type(*ty),
            Primitive::Mtp3Field(field, tests) => self.mtp3_field(*field, self.ast.tests(*tests)),
        }
    }

    /// A protocol by itself.
    fn protocol(&mut self, proto: Proto) -> Lowered {
        match proto {
            Proto::Link | Proto::Radio => {
                Err(LowerError::NoAbbreviation(qualifiers::protocol(proto)))
            }
            Proto::Ip => self.link_type(ethertype::IP),
            Proto::Ipv6 => self.link_type(ethertype::IPV6),
            Proto::Arp => self.link_type(ethertype::ARP),
            Proto::Rarp => self.link_type(ethertype::REVARP),
            Proto::Atalk => self.link_type(ethertype::ATALK),
            Proto::Aarp => self.link_type(ethertype::AARP),
            Proto::Decnet => self.link_type(ethertype::DN),
            Proto::Lat => self.link_type(ethertype::LAT),
            Proto::Sca => self.link_type(ethertype::SCA),
            Proto::Moprc => self.link_type(ethertype::MOPRC),
            Proto::Mopdl => self.link_type(ethertype::MOPDL),
            Proto::Stp => self.link_type(llc::STP),
            Proto::Ipx => self.link_type(llc::IPX),
            Proto::Netbeui => self.link_type(llc::NETBEUI),
            Proto::Iso => self.link_type(llc::ISONS),
            Proto::Tcp => self.any_ip_proto(ipproto::TCP),
            Proto::Udp => self.any_ip_proto(ipproto::UDP),
            Proto::Sctp => self.any_ip_proto(ipproto::SCTP),
            Proto::Ah => self.any_ip_proto(ipproto::AH),
            Proto::Esp => self.any_ip_proto(ipproto::ESP),
            Proto::Pim => self.any_ip_proto(ipproto::PIM),
            Proto::Icmp => self.ip_proto(ipproto::ICMP),
            Proto::Igmp => self.ip_proto(ipproto::IGMP),
            Proto::Igrp => self.ip_proto(ipproto::IGRP),
            Proto::Vrrp | Proto::Carp => self.ip_proto(ipproto::VRRP),
            Proto::Icmpv6 => self.ip6_proto(ipproto::ICMPV6),
            Proto::Clnp => self.iso_proto(iso::CLNP),
            Proto::Esis => self.iso_proto(iso::ESIS),
            Proto::Isis => self.iso_proto(iso::ISIS),
            Proto::IsisL1 => self.isis_pdus(iso::L1),
            Proto::IsisL2 => self.isis_pdus(iso::L2),
            Proto::IsisIih => self.isis_pdus(iso::IIH),
            Proto::IsisLsp => self.isis_pdus(iso::LSP),
            Proto::IsisSnp => self.isis_pdus(iso::SNP),
            Proto::IsisCsnp => self.isis_pdus(iso::CSNP),
            Proto::IsisPsnp => self.isis_pdus(iso::PSNP),
        }
    }
}
