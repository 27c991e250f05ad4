//! Ports and port ranges of TCP, UDP and SCTP.

use super::Lowerer;
use super::code::{Base, Cmp, Size};
use super::error::LowerError;
use super::numbers::{ethertype, ipproto};
use super::qualifiers::direction;
use crate::filter::ast::{AddrKind, Dir};
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// Transport protocols with ports, in the order they are tested.
const WITH_PORTS: [u32; 3] = [ipproto::TCP, ipproto::UDP, ipproto::SCTP];

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) low: u16,
    pub(super) high: u16,
}

impl Lowerer<'_> {
    /// Packets from or to a range of ports of one transport protocol, or of all.
    pub(super) fn ports(
        &mut self,
        ports: Ports,
        proto: Option<u32>,
        dir: Option<Dir>,
        kind: AddrKind,
    ) -> Lowered {
        check_direction(dir, kind)?;
        // The ports are tested once for each protocol: what is known of the protocol then stays
        // known, and the optimizer makes one of tests that turn out to be equal.
        let protocols: &[u32] = proto.as_ref().map_or(&WITH_PORTS, std::slice::from_ref);
        let mut terms = [CondId::default(); WITH_PORTS.len()];
        let carried = self.link_type(ethertype::IPV6)?;
        for (term, &number) in terms.iter_mut().zip(protocols) {
            let transport = self.transport(6, Some(number))?;
            let test = self.port_fields(Base::Transport6, ports, dir)?;
            *term = self.and(transport, test);
        }
        let v6 = self.any(&terms[..protocols.len()]);
        let v6 = self.and(carried, v6);
        let carried = self.link_type(ethertype::IP)?;
        for (term, &number) in terms.iter_mut().zip(protocols) {
            let transport = self.transport(9, Some(number))?;
            let first = self.first_fragment()?;
            let test = self.port_fields(Base::Transport4, ports, dir)?;
            *term = self.all(&[transport, first, test]);
        }
        let v4 = self.any(&terms[..protocols.len()]);
        let v4 = self.and(carried, v4);
        Ok(self.or(v6, v4))
    }

    /// IPv6 packets with ports right after the fixed header.
    pub(super) fn v6_port_guard(&mut self, proto: Option<u32>) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let transport = self.transport(6, proto)?;
        Ok(self.and(carried, transport))
    }

    /// IPv4 packets with ports: the first fragment of a transport protocol that has them.
    pub(super) fn v4_port_guard(&mut self, proto: Option<u32>) -> Lowered {
        let carried = self.link_type(ethertype::IP)?;
        let transport = self.transport(9, proto)?;
        let first = self.first_fragment()?;
        Ok(self.all(&[carried, transport, first]))
    }

    fn transport(&mut self, offset: u32, proto: Option<u32>) -> Lowered {
        match proto {
            Some(number) => self.eq(Base::Net, offset, Size::B, number),
            None => {
                let mut terms = Vec::with_capacity(WITH_PORTS.len());
                for number in WITH_PORTS {
                    terms.push(self.eq(Base::Net, offset, Size::B, number)?);
                }
                Ok(self.any(&terms))
            }
        }
    }

    pub(super) fn port_fields(&mut self, base: Base, ports: Ports, dir: Option<Dir>) -> Lowered {
        match dir {
            Some(Dir::Src) => self.port_field(base, 0, ports),
            Some(Dir::Dst) => self.port_field(base, 2, ports),
            _ => {
                let src = self.port_field(base, 0, ports)?;
                let dst = self.port_field(base, 2, ports)?;
                let both = dir == Some(Dir::SrcAndDst);
                Ok(if both { self.and(src, dst) } else { self.or(src, dst) })
            }
        }
    }

    fn port_field(&mut self, base: Base, offset: u32, Ports { low, high }: Ports) -> Lowered {
        if low == high {
            return self.eq(base, offset, Size::H, low.into());
        }
        let from = self.cmp(base, offset, Size::H, Cmp::Ge, low.into())?;
        let to = self.cmp(base, offset, Size::H, Cmp::Le, high.into())?;
        Ok(self.and(from, to))
    }
}

/// Ports have no 802.11 directions.
fn check_direction(dir: Option<Dir>, kind: AddrKind) -> Result<(), LowerError> {
    match dir {
        None | Some(Dir::Src | Dir::Dst | Dir::SrcOrDst | Dir::SrcAndDst) => Ok(()),
        Some(dir) => Err(LowerError::NotAQualifier {
            qual: direction(dir).to_owned(),
            of: if kind == AddrKind::Port { "port" } else { "portrange" }.to_owned(),
        }),
    }
}
