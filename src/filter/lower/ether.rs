//! Link-layer addresses: hosts, gateways, broadcast and multicast.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::LowerError;
use super::ip::{AddrFields, V4};
use super::qualifiers::direction;
use crate::filter::ast::Dir;
use crate::filter::cond::CondId;
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// Ethernet's broadcast address.
const BROADCAST: [u8; 6] = [0xff; 6];
/// ARCnet's broadcast address; its multicasts have the same.
const ARCNET_BROADCAST: u8 = 0x00;
/// BACnet's.
const BACNET_BROADCAST: u8 = 0xff;

/// Where source and destination addresses of six bytes lie in a link-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MacFields {
    pub(super) src: u32,
    pub(super) dst: u32,
}

impl Lowerer<'_> {
    /// The address fields of the link layer in force; `None` for 802.11, which has more than two.
    pub(super) fn mac_fields(&self, what: &'static str) -> Result<Option<MacFields>, LowerError> {
        Ok(Some(match self.layout.dlt {
            _ if self.layout.is_ethernet_like() => MacFields { src: 6, dst: 0 },
            _ if self.layout.is_80211() => return Ok(None),
            Dlt::FDDI => MacFields { src: 7, dst: 1 },
            Dlt::IEEE802 => MacFields { src: 8, dst: 2 },
            Dlt::IP_OVER_FC => MacFields { src: 10, dst: 2 },
            dlt => return Err(LowerError::NotSupportedOn { what, dlt }),
        }))
    }

    /// Packets from or to a link-layer address; `what` names the primitive for the error.
    pub(super) fn mac_host(
        &mut self,
        mac: [u8; 6],
        dir: Option<Dir>,
        what: &'static str,
    ) -> Lowered {
        let Some(fields) = self.mac_fields(what)? else { return self.wlan_host(mac, dir) };
        let header = self.prev_link_check_of_ethernet()?;
        let host = match dir {
            Some(Dir::Src) => self.eq_bytes(Base::Link, fields.src, &mac)?,
            Some(Dir::Dst) => self.eq_bytes(Base::Link, fields.dst, &mac)?,
            None | Some(Dir::SrcOrDst | Dir::SrcAndDst) => {
                let src = self.eq_bytes(Base::Link, fields.src, &mac)?;
                let dst = self.eq_bytes(Base::Link, fields.dst, &mac)?;
                let both = dir == Some(Dir::SrcAndDst);
                if both { self.and(src, dst) } else { self.or(src, dst) }
            }
            Some(other) => return Err(LowerError::WlanOnly(direction(other))),
        };
        Ok(self.guarded(header, host))
    }

    pub(super) fn prev_link_check_of_ethernet(&mut self) -> Result<Option<CondId>, LowerError> {
        if self.layout.is_ethernet_like() { self.prev_link_check() } else { Ok(None) }
    }

    /// `host $XX`: one-byte addresses of ARCnet and BACnet.
    pub(super) fn byte_host(&mut self, addr: u8, dir: Option<Dir>) -> Lowered {
        let fields = match self.layout.dlt {
            Dlt::ARCNET | Dlt::ARCNET_LINUX => MacFields { src: 0, dst: 1 },
            Dlt::BACNET_MS_TP => MacFields { src: 4, dst: 3 },
            dlt => return Err(LowerError::NotSupportedOn { what: "link host $XX", dlt }),
        };
        let addr = addr.into();
        match dir {
            Some(Dir::Src) => self.eq(Base::Link, fields.src, Size::B, addr),
            Some(Dir::Dst) => self.eq(Base::Link, fields.dst, Size::B, addr),
            None | Some(Dir::SrcOrDst | Dir::SrcAndDst) => {
                let src = self.eq(Base::Link, fields.src, Size::B, addr)?;
                let dst = self.eq(Base::Link, fields.dst, Size::B, addr)?;
                let both = dir == Some(Dir::SrcAndDst);
                Ok(if both { self.and(src, dst) } else { self.or(src, dst) })
            }
            Some(other) => Err(LowerError::WlanOnly(direction(other))),
        }
    }

    /// `link broadcast`.
    pub(super) fn link_broadcast(&mut self) -> Lowered {
        match self.layout.dlt {
            Dlt::ARCNET | Dlt::ARCNET_LINUX => self.byte_host(ARCNET_BROADCAST, Some(Dir::Dst)),
            Dlt::BACNET_MS_TP => self.byte_host(BACNET_BROADCAST, Some(Dir::Dst)),
            _ => self.mac_host(BROADCAST, Some(Dir::Dst), "broadcast"),
        }
    }

    /// `link multicast`.
    pub(super) fn link_multicast(&mut self) -> Lowered {
        if matches!(self.layout.dlt, Dlt::ARCNET | Dlt::ARCNET_LINUX) {
            return self.byte_host(ARCNET_BROADCAST, Some(Dir::Dst));
        }
        let Some(fields) = self.mac_fields("multicast")? else { return self.wlan_multicast() };
        let header = self.prev_link_check_of_ethernet()?;
        let group = self.group_bit(fields.dst)?;
        Ok(self.guarded(header, group))
    }

    /// The group bit of the address at an offset.
    pub(super) fn group_bit(&mut self, offset: u32) -> Lowered {
        self.cmp(Base::Link, offset, Size::B, Cmp::Set, 1)
    }

    /// `gateway`: the link-layer address is the host's and no network-layer address is.
    pub(super) fn gateway(
        &mut self,
        mac: [u8; 6],
        addrs: &[V4],
        protocols: &[AddrFields],
    ) -> Lowered {
        let link = self.mac_host(mac, None, "gateway")?;
        let mut terms = Vec::with_capacity(protocols.len());
        for &fields in protocols {
            let carried = self.link_type(fields.ethertype)?;
            let host = self.v4_addresses(addrs, fields, None)?;
            let other = self.not(host);
            terms.push(self.and(carried, other));
        }
        let others = self.any(&terms);
        Ok(self.and(link, others))
    }
}
