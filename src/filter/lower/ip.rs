//! IPv4, IPv6, ARP and RARP: addresses and encapsulated protocols.

use std::net::Ipv6Addr;

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, ipproto};
use super::qualifiers::{direction, not_a_qualifier};
use crate::filter::ast::{Dir, Proto};
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// An IPv4 address and a mask, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct V4 {
    pub(super) addr: u32,
    pub(super) mask: u32,
}

/// Which fields of which protocol hold IPv4 addresses: ethertype, source, destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AddrFields {
    pub(super) ethertype: u32,
    pub(super) src: u32,
    pub(super) dst: u32,
}

/// IPv4's addresses.
pub(super) const IP_FIELDS: AddrFields = AddrFields { ethertype: ethertype::IP, src: 12, dst: 16 };
/// ARP's protocol addresses (for IPv4 over 6-byte hardware addresses).
pub(super) const ARP_FIELDS: AddrFields =
    AddrFields { ethertype: ethertype::ARP, src: 14, dst: 24 };
/// RARP's.
pub(super) const RARP_FIELDS: AddrFields =
    AddrFields { ethertype: ethertype::REVARP, src: 14, dst: 24 };

/// Protocols with IPv4 addresses, in the order they are tested.
static WITH_V4: [AddrFields; 3] = [IP_FIELDS, ARP_FIELDS, RARP_FIELDS];

impl Lowerer<'_> {
    /// Protocols whose IPv4 addresses a host primitive looks at; `of` names the identifier for
    /// the error.
    pub(super) fn v4_protocols(
        &self,
        proto: Option<Proto>,
        of: &str,
    ) -> Result<&'static [AddrFields], LowerError> {
        match proto {
            // Nothing but IP is carried over MPLS.
            None if self.layout.mpls_depth > 0 => Ok(&WITH_V4[..1]),
            None => Ok(&WITH_V4),
            Some(Proto::Ip) => Ok(&WITH_V4[..1]),
            Some(Proto::Arp) => Ok(&WITH_V4[1..2]),
            Some(Proto::Rarp) => Ok(&WITH_V4[2..]),
            Some(other) => Err(not_a_qualifier(other, of)),
        }
    }

    /// Packets from or to any of the addresses.
    pub(super) fn v4_hosts(
        &mut self,
        addrs: &[V4],
        protocols: &'static [AddrFields],
        dir: Option<Dir>,
    ) -> Lowered {
        let mut terms = [CondId::default(); WITH_V4.len()];
        for (term, &fields) in terms.iter_mut().zip(protocols) {
            let carried = self.link_type(fields.ethertype)?;
            let matches = self.v4_addresses(addrs, fields, dir)?;
            *term = self.and(carried, matches);
        }
        Ok(self.any(&terms[..protocols.len()]))
    }

    /// Address fields of a packet already known to carry the protocol.
    pub(super) fn v4_addresses(
        &mut self,
        addrs: &[V4],
        fields: AddrFields,
        dir: Option<Dir>,
    ) -> Lowered {
        if let [addr] = addrs {
            return self.v4_address_fields(*addr, fields, dir);
        }
        let mut terms = Vec::with_capacity(addrs.len());
        for &addr in addrs {
            terms.push(self.v4_address_fields(addr, fields, dir)?);
        }
        Ok(self.any(&terms))
    }

    fn v4_address_fields(&mut self, addr: V4, fields: AddrFields, dir: Option<Dir>) -> Lowered {
        match dir {
            Some(Dir::Src) => self.v4_field(addr, fields.src),
            Some(Dir::Dst) => self.v4_field(addr, fields.dst),
            None | Some(Dir::SrcOrDst | Dir::SrcAndDst) => {
                let src = self.v4_field(addr, fields.src)?;
                let dst = self.v4_field(addr, fields.dst)?;
                let both = dir == Some(Dir::SrcAndDst);
                Ok(if both { self.and(src, dst) } else { self.or(src, dst) })
            }
            Some(other) => Err(LowerError::WlanOnly(direction(other))),
        }
    }

    fn v4_field(&mut self, V4 { addr, mask }: V4, offset: u32) -> Lowered {
        if mask == 0 {
            return Ok(self.constant(true));
        }
        self.eq_masked(Base::Net, offset, Size::W, mask, addr)
    }

    /// IPv6 packets from or to any of the addresses, given with a mask.
    pub(super) fn v6_hosts(&mut self, addrs: &[(Ipv6Addr, u128)], dir: Option<Dir>) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let mut terms = Vec::with_capacity(addrs.len());
        for &(addr, mask) in addrs {
            let addr = u128::from(addr);
            let term = match dir {
                Some(Dir::Src) => self.v6_field(addr, mask, 8)?,
                Some(Dir::Dst) => self.v6_field(addr, mask, 24)?,
                Some(Dir::SrcAndDst) => {
                    let src = self.v6_field(addr, mask, 8)?;
                    let dst = self.v6_field(addr, mask, 24)?;
                    self.and(src, dst)
                }
                None | Some(Dir::SrcOrDst) => {
                    let src = self.v6_field(addr, mask, 8)?;
                    let dst = self.v6_field(addr, mask, 24)?;
                    self.or(src, dst)
                }
                Some(other) => return Err(LowerError::WlanOnly(direction(other))),
            };
            terms.push(term);
        }
        let matches = self.any(&terms);
        Ok(self.and(carried, matches))
    }

    /// Packets from or to a network of so many bits.
    pub(super) fn v6_net(&mut self, addr: Ipv6Addr, bits: u8, dir: Option<Dir>) -> Lowered {
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        self.v6_hosts(&[(addr, mask)], dir)
    }

    fn v6_field(&mut self, addr: u128, mask: u128, offset: u32) -> Lowered {
        let mut words = Vec::with_capacity(4);
        for word in 0..4 {
            let shift = 96 - 32 * word;
            let mask_word = (mask >> shift) as u32;
            if mask_word != 0 {
                let at = offset + 4 * word;
                let value = (addr >> shift) as u32;
                words.push(self.eq_masked(Base::Net, at, Size::W, mask_word, value)?);
            }
        }
        Ok(self.all(&words))
    }

    /// Packets with a protocol directly over IPv4.
    pub(super) fn ip_proto(&mut self, number: u32) -> Lowered {
        at_most("protocol number", number, 0xff)?;
        let carried = self.link_type(ethertype::IP)?;
        let proto = self.eq(Base::Net, 9, Size::B, number)?;
        Ok(self.and(carried, proto))
    }

    /// Packets with a protocol over IPv6, directly or after a fragment header.
    pub(super) fn ip6_proto(&mut self, number: u32) -> Lowered {
        at_most("protocol number", number, 0xff)?;
        let carried = self.link_type(ethertype::IPV6)?;
        let next = self.eq(Base::Net, 6, Size::B, number)?;
        let fragment = self.eq(Base::Net, 6, Size::B, ipproto::FRAGMENT)?;
        let after = self.eq(Base::Net, 40, Size::B, number)?;
        let fragment = self.and(fragment, after);
        let proto = self.or(next, fragment);
        Ok(self.and(carried, proto))
    }

    /// Packets with a protocol over IPv4 or IPv6.
    pub(super) fn any_ip_proto(&mut self, number: u32) -> Lowered {
        let v4 = self.ip_proto(number)?;
        let v6 = self.ip6_proto(number)?;
        Ok(self.or(v4, v6))
    }

    /// An IPv4 packet that is whole or a first fragment.
    pub(super) fn first_fragment(&mut self) -> Lowered {
        self.cmp(Base::Net, 6, Size::H, Cmp::Clear, 0x1fff)
    }

    /// `ip broadcast`: all host bits clear or all set.
    pub(super) fn ip_broadcast(&mut self) -> Lowered {
        let netmask = self.options.netmask.ok_or(LowerError::NoNetmask)?;
        let carried = self.link_type(ethertype::IP)?;
        let host_bits = !netmask;
        let zeros = self.eq_masked(Base::Net, 16, Size::W, host_bits, 0)?;
        let ones = self.eq_masked(Base::Net, 16, Size::W, host_bits, host_bits)?;
        let broadcast = self.or(zeros, ones);
        Ok(self.and(carried, broadcast))
    }

    /// `ip multicast`.
    pub(super) fn ip_multicast(&mut self) -> Lowered {
        let carried = self.link_type(ethertype::IP)?;
        let multicast = self.eq_masked(Base::Net, 16, Size::B, 0xf0, 224)?;
        Ok(self.and(carried, multicast))
    }

    /// `ip6 multicast`.
    pub(super) fn ip6_multicast(&mut self) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let multicast = self.eq(Base::Net, 24, Size::B, 255)?;
        Ok(self.and(carried, multicast))
    }
}
