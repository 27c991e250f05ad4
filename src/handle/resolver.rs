//! The filter compiler's view of the system's name databases.

use std::ffi::CString;
use std::net::IpAddr;

use crate::filter::resolve::{HostAddrs, PortProto, Resolver};
use crate::raw_text;
use crate::sys::netdb::{self, Transport};

/// Looks names up with the C library.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn host(&self, name: &str) -> Option<HostAddrs> {
        let mut addrs = HostAddrs::default();
        for ip in netdb::host(&CString::new(raw_text::restore(name)).ok()?)? {
            match ip {
                IpAddr::V4(ip) => addrs.v4.push(ip),
                IpAddr::V6(ip) => addrs.v6.push(ip),
            }
        }
        Some(addrs)
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        netdb::ether_host(&CString::new(raw_text::restore(name)).ok()?)
    }

    fn network(&self, name: &str) -> Option<u32> {
        netdb::network(&CString::new(raw_text::restore(name)).ok()?)
    }

    fn port(&self, name: &str) -> Option<(u16, PortProto)> {
        let (port, transport) = netdb::port(&CString::new(raw_text::restore(name)).ok()?)?;
        let proto = match transport {
            Transport::Tcp => PortProto::Tcp,
            Transport::Udp => PortProto::Udp,
            Transport::Both => PortProto::Any,
        };
        Some((port, proto))
    }

    fn ip_proto(&self, name: &str) -> Option<u8> {
        u8::try_from(netdb::ip_protocol(&CString::new(raw_text::restore(name)).ok()?)?).ok()
    }
}
