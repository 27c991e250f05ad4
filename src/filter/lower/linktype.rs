//! Tests of the link layer's protocol field: which network protocol a packet carries.

use super::Lowerer;
use super::code::{Base, Cmp, Field, Size, ld_mem, ldx_mem};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, llc, ppp};
use crate::bpf::op;
use crate::filter::cond::{Compare, CondId};
use crate::filter::link_layout::Tunnel;
use crate::linktype::Dlt;

/// Largest length in an IEEE 802.3 length field; larger values are ethertypes.
const ETHERMTU: u32 = 1500;
/// `sll_protocol` of Novell's raw 802.3 frames.
const SLL_802_3: u32 = 1;
/// `sll_protocol` of frames with an LLC header.
const SLL_802_2: u32 = 4;
/// ATM pseudo-header type of LLC-encapsulated packets.
const SUNATM_LLC: u32 = 2;
/// Linux's address families; loopback headers carry them.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// `AF_INET6` where savefiles with loopback headers come from: Darwin; NetBSD, OpenBSD and BSD/OS;
/// FreeBSD and DragonFly BSD.
const BSD_AF_INET6: [u32; 3] = [30, 24, 28];
/// Solaris's, which IPNET headers carry.
const IPNET_AF_INET6: u32 = 26;
/// ARCnet protocol identifiers.
mod arctype {
    pub(super) const IP: u32 = 0xd4;
    pub(super) const ARP: u32 = 0xd5;
    pub(super) const REVARP: u32 = 0xd6;
    pub(super) const ATALK: u32 = 0xdd;
    pub(super) const INET6: u32 = 0xc4;
}

/// The same DSAP and SSAP, as one half word.
const fn sap_pair(sap: u32) -> u32 {
    sap << 8 | sap
}

type Lowered = Result<CondId, LowerError>;

impl Lowerer<'_> {
    /// Whether the packet carries a protocol, given as ethertype, LLC SAP, or PPP protocol where
    /// the link layer is PPP.
    pub(super) fn link_type(&mut self, proto: u32) -> Lowered {
        if self.layout.mpls_depth > 0 {
            return self.mpls_payload_type(proto);
        }
        match self.layout.dlt {
            _ if self.layout.is_ethernet_like() => {
                let header = match self.layout.tunnel {
                    Tunnel::None => self.prev_link_check()?,
                    Tunnel::Encap => None,
                };
                let ty = self.ether_type(proto)?;
                Ok(self.guarded(header, ty))
            }
            _ if self.layout.is_80211() => {
                let data = self.wlan_is_data()?;
                let ty = self.llc_type(proto)?;
                Ok(self.and(data, ty))
            }
            Dlt::FDDI | Dlt::IEEE802 | Dlt::ATM_RFC1483 | Dlt::ATM_CLIP | Dlt::IP_OVER_FC => {
                self.llc_type(proto)
            }
            Dlt::SUNATM => {
                let is_llc = self.sunatm_type(SUNATM_LLC)?;
                let ty = self.llc_type(proto)?;
                Ok(self.and(is_llc, ty))
            }
            Dlt::LINUX_SLL => self.sll_type(proto),
            Dlt::C_HDLC | Dlt::HDLC => {
                at_most("HDLC protocol", proto, 0xffff)?;
                let proto = if proto == llc::ISONS { sap_pair(proto) } else { proto };
                self.eq(Base::LinkType, 0, Size::H, proto)
            }
            Dlt::PPP | Dlt::PPP_PPPD | Dlt::PPP_SERIAL | Dlt::PPP_ETHER => {
                let proto = ppp_type(proto)?;
                self.eq(Base::LinkType, 0, Size::H, proto)
            }
            Dlt::PPP_BSDOS => self.ppp_bsdos_type(proto),
            _ => self.other_link_type(proto),
        }
    }

    fn other_link_type(&mut self, proto: u32) -> Lowered {
        match self.layout.dlt {
            Dlt::SLIP | Dlt::SLIP_BSDOS | Dlt::RAW => match proto {
                ethertype::IP => self.eq_masked(Base::Link, 0, Size::B, 0xf0, 0x40),
                ethertype::IPV6 => self.eq_masked(Base::Link, 0, Size::B, 0xf0, 0x60),
                _ => Ok(self.constant(false)),
            },
            Dlt::IPV4 => Ok(self.constant(proto == ethertype::IP)),
            Dlt::IPV6 => Ok(self.constant(proto == ethertype::IPV6)),
            Dlt::LTALK => Ok(self.constant(proto == ethertype::ATALK)),
            Dlt::NULL | Dlt::LOOP | Dlt::ENC
                if proto == ethertype::IPV6 && self.options.savefile.is_some() =>
            {
                let [darwin, bsd, freebsd] = BSD_AF_INET6;
                let families = [
                    self.loopback_family(darwin)?,
                    self.loopback_family(bsd)?,
                    self.loopback_family(freebsd)?,
                ];
                Ok(self.any(&families))
            }
            Dlt::NULL | Dlt::LOOP | Dlt::ENC => match address_family(proto, AF_INET6) {
                Some(family) => self.loopback_family(family),
                None => Ok(self.constant(false)),
            },
            Dlt::PFLOG => match address_family(proto, AF_INET6) {
                Some(family) => self.eq(Base::Link, 1, Size::B, family),
                None => Ok(self.constant(false)),
            },
            Dlt::IPNET => match address_family(proto, IPNET_AF_INET6) {
                Some(family) => self.eq(Base::LinkType, 0, Size::B, family),
                None => Ok(self.constant(false)),
            },
            Dlt::ARCNET | Dlt::ARCNET_LINUX => self.arcnet_type(proto),
            Dlt::FRELAY => self.frame_relay_type(proto),
            _ if self.layout.is_juniper() => {
                self.eq_masked(Base::Link, 0, Size::W, 0xffff_ff00, 0x4d47_4300)
            }
            dlt if self.layout.link_type.is_set() && dlt != Dlt::MFR => {
                self.ethertype_at(Base::LinkType, 0, proto)
            }
            dlt => Err(LowerError::NoLinkTypeFiltering(dlt)),
        }
    }

    /// Joins an optional guard.
    pub(super) fn guarded(&mut self, guard: Option<CondId>, test: CondId) -> CondId {
        match guard {
            Some(guard) => self.and(guard, test),
            None => test,
        }
    }

    /// Whether the current link-layer header is really there, where the outer headers leave that
    /// open.
    pub(super) fn prev_link_check(&mut self) -> Result<Option<CondId>, LowerError> {
        if self.layout.tunnel == Tunnel::Encap {
            return self.encap_has_link_header().map(Some);
        }
        if self.layout.prev_dlt != Some(Dlt::SUNATM) {
            return Ok(None);
        }
        // A LANE packet that is not LE Control.
        self.cmp(Base::PrevLink, 4, Size::H, Cmp::Ne, 0xff00).map(Some)
    }

    /// In Geneve and VXLAN: the inner packet has a link-layer header when that and the payload do
    /// not start at the same place.
    fn encap_has_link_header(&mut self) -> Lowered {
        let (Some(link), Some(payload)) =
            (self.offset_reg(Field::Link)?, self.offset_reg(Field::Payload)?)
        else {
            return Ok(self.constant(true));
        };
        let steps = [ld_mem(link), ldx_mem(payload)];
        let compare = Compare { code: op::JMP | op::JEQ | op::X, k: 0 };
        let same = self.tree.test(&steps, compare);
        Ok(self.not(same))
    }

    /// A length, not an ethertype, in the type field: an LLC header follows.
    pub(super) fn ether_is_llc(&mut self) -> Lowered {
        self.cmp(Base::LinkType, 0, Size::H, Cmp::Le, ETHERMTU)
    }

    fn ether_type(&mut self, proto: u32) -> Lowered {
        match proto {
            llc::ISONS | llc::IP | llc::NETBEUI => {
                let is_llc = self.ether_is_llc()?;
                let sap = self.eq(Base::Llc, 0, Size::H, sap_pair(proto))?;
                Ok(self.and(is_llc, sap))
            }
            llc::IPX => {
                let ether = self.eq(Base::LinkType, 0, Size::H, ethertype::IPX)?;
                let is_llc = self.ether_is_llc()?;
                let snap = self.snap(0, ethertype::IPX)?;
                let sap = self.eq(Base::Llc, 0, Size::B, llc::IPX)?;
                let raw = self.eq(Base::Llc, 0, Size::H, 0xffff)?;
                let forms = self.any(&[snap, sap, raw]);
                let llc = self.and(is_llc, forms);
                Ok(self.or(ether, llc))
            }
            ethertype::ATALK | ethertype::AARP => {
                let ether = self.eq(Base::LinkType, 0, Size::H, proto)?;
                let is_llc = self.ether_is_llc()?;
                let snap = self.snap(snap_org(proto), proto)?;
                let llc = self.and(is_llc, snap);
                Ok(self.or(ether, llc))
            }
            _ if proto <= ETHERMTU => {
                let is_llc = self.ether_is_llc()?;
                let sap = self.dsap(Base::LinkType, 2, proto)?;
                Ok(self.and(is_llc, sap))
            }
            _ => self.ethertype_at(Base::LinkType, 0, proto),
        }
    }

    fn sll_type(&mut self, proto: u32) -> Lowered {
        match proto {
            llc::ISONS | llc::IP | llc::NETBEUI => {
                let is_llc = self.eq(Base::LinkType, 0, Size::H, SLL_802_2)?;
                let sap = self.eq(Base::Llc, 0, Size::H, sap_pair(proto))?;
                Ok(self.and(is_llc, sap))
            }
            llc::IPX => {
                let ether = self.eq(Base::LinkType, 0, Size::H, ethertype::IPX)?;
                let raw = self.eq(Base::LinkType, 0, Size::H, SLL_802_3)?;
                let is_llc = self.eq(Base::LinkType, 0, Size::H, SLL_802_2)?;
                let sap = self.eq(Base::Llc, 0, Size::B, llc::IPX)?;
                let snap = self.snap(0, ethertype::IPX)?;
                let forms = self.or(sap, snap);
                let llc = self.and(is_llc, forms);
                Ok(self.any(&[ether, raw, llc]))
            }
            ethertype::ATALK | ethertype::AARP => {
                let ether = self.eq(Base::LinkType, 0, Size::H, proto)?;
                let is_llc = self.eq(Base::LinkType, 0, Size::H, SLL_802_2)?;
                let snap = self.snap(snap_org(proto), proto)?;
                let llc = self.and(is_llc, snap);
                Ok(self.or(ether, llc))
            }
            _ if proto <= ETHERMTU => {
                let is_llc = self.eq(Base::LinkType, 0, Size::H, SLL_802_2)?;
                let sap = self.dsap(Base::Llc, 0, proto)?;
                Ok(self.and(is_llc, sap))
            }
            _ => self.ethertype_at(Base::LinkType, 0, proto),
        }
    }

    fn llc_type(&mut self, proto: u32) -> Lowered {
        match proto {
            llc::ISONS | llc::IP | llc::NETBEUI => self.eq(Base::Llc, 0, Size::H, sap_pair(proto)),
            llc::IPX => self.eq(Base::Llc, 0, Size::B, llc::IPX),
            ethertype::ATALK => self.snap(snap_org(proto), proto),
            _ if proto <= ETHERMTU => self.dsap(Base::Llc, 0, proto),
            _ => self.ethertype_at(Base::Llc, 6, proto),
        }
    }

    fn dsap(&mut self, base: Base, offset: u32, sap: u32) -> Lowered {
        at_most("LLC DSAP", sap, 0xff)?;
        self.eq(base, offset, Size::B, sap)
    }

    fn ethertype_at(&mut self, base: Base, offset: u32, ethertype: u32) -> Lowered {
        at_most("EtherType", ethertype, 0xffff)?;
        self.eq(base, offset, Size::H, ethertype)
    }

    /// An LLC and SNAP header with an organization code and a protocol.
    fn snap(&mut self, org: u32, proto: u32) -> Lowered {
        let [_, o0, o1, o2] = org.to_be_bytes();
        let [_, _, p0, p1] = proto.to_be_bytes();
        self.eq_bytes(Base::Llc, 0, &[0xaa, 0xaa, 3, o0, o1, o2, p0, p1])
    }

    fn ppp_bsdos_type(&mut self, proto: u32) -> Lowered {
        if proto != ethertype::IP {
            let proto = ppp_type(proto)?;
            return self.eq(Base::LinkType, 0, Size::H, proto);
        }
        let ip = self.eq(Base::LinkType, 0, Size::H, ppp::IP)?;
        let vjc = self.eq(Base::LinkType, 0, Size::H, ppp::VJC)?;
        let vjnc = self.eq(Base::LinkType, 0, Size::H, ppp::VJNC)?;
        Ok(self.any(&[ip, vjc, vjnc]))
    }

    /// BSD loopback headers: in the byte order of the host that wrote them, except `LOOP`'s.
    fn loopback_family(&mut self, family: u32) -> Lowered {
        let written = match self.layout.dlt {
            Dlt::LOOP => family,
            _ if self.options.savefile.is_some_and(|s| s.swapped) => family.swap_bytes().to_be(),
            _ => family.to_be(),
        };
        self.eq(Base::LinkType, 0, Size::W, written)
    }

    fn arcnet_type(&mut self, proto: u32) -> Lowered {
        let id = match proto {
            ethertype::IP => arctype::IP,
            ethertype::ARP => arctype::ARP,
            ethertype::REVARP => arctype::REVARP,
            ethertype::ATALK => arctype::ATALK,
            ethertype::IPV6 => arctype::INET6,
            _ => return Ok(self.constant(false)),
        };
        self.eq(Base::LinkType, 0, Size::B, id)
    }

    /// RFC 2427: the NLPID, after the control byte of unnumbered information.
    fn frame_relay_type(&mut self, proto: u32) -> Lowered {
        match proto {
            ethertype::IP => self.eq(Base::Link, 2, Size::H, 0x03cc),
            ethertype::IPV6 => self.eq(Base::Link, 2, Size::H, 0x038e),
            llc::ISONS => {
                let clnp = self.eq(Base::Link, 2, Size::H, 0x0381)?;
                let esis = self.eq(Base::Link, 2, Size::H, 0x0382)?;
                let isis = self.eq(Base::Link, 2, Size::H, 0x0383)?;
                Ok(self.any(&[clnp, esis, isis]))
            }
            _ => Ok(self.constant(false)),
        }
    }

    /// After an MPLS label the stack must have ended, and the first nibble tells the protocol.
    fn mpls_payload_type(&mut self, proto: u32) -> Lowered {
        let version = match proto {
            ethertype::IP => 0x40,
            ethertype::IPV6 => 0x60,
            _ => return Err(LowerError::OverMpls),
        };
        let bottom = self.cmp(Base::PrevMpls, 2, Size::B, Cmp::Set, 0x01)?;
        let is_version = self.eq_masked(Base::Net, 0, Size::B, 0xf0, version)?;
        Ok(self.and(bottom, is_version))
    }

    /// The protocol nibble of an ATM pseudo-header.
    pub(super) fn sunatm_type(&mut self, ty: u32) -> Lowered {
        self.eq_masked(Base::Packet, 0, Size::B, 0x0f, ty)
    }
}

/// Organization code under which SNAP carries an ethertype.
const fn snap_org(proto: u32) -> u32 {
    if proto == ethertype::ATALK { 0x08_0007 } else { 0 }
}

fn address_family(proto: u32, inet6: u32) -> Option<u32> {
    match proto {
        ethertype::IP => Some(AF_INET),
        ethertype::IPV6 => Some(inet6),
        _ => None,
    }
}

/// The PPP protocol number that stands for an ethertype or LLC SAP.
fn ppp_type(proto: u32) -> Result<u32, LowerError> {
    Ok(match proto {
        ethertype::IP => ppp::IP,
        ethertype::IPV6 => ppp::IPV6,
        ethertype::DN => ppp::DECNET,
        ethertype::ATALK => ppp::APPLE,
        ethertype::NS => ppp::NS,
        llc::ISONS => ppp::OSI,
        llc::STP => ppp::BRPDU,
        llc::IPX => ppp::IPX,
        _ => {
            at_most("PPP protocol", proto, 0xffff)?;
            proto
        }
    })
}
