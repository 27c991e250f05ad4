//! How the compiler asks for names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Transport protocols a service name was found for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortProto {
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
    /// The same number for both, or for neither in particular (libpcap's `PROTO_UNDEF`).
    Any,
    /// Some other protocol, by its IP protocol number (for example SCTP).
    Other(u8),
}

/// Addresses of one host name, in the order the system gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddrs {
    /// IPv4 addresses.
    pub v4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
}

/// Look-ups the compiler needs. The production implementation asks the system's databases;
/// tests give tables. What an implementation leaves out is unknown.
pub trait Resolver {
    /// Addresses of a host name (getaddrinfo); `None` when unknown.
    fn host(&self, _name: &str) -> Option<HostAddrs> {
        None
    }
    /// Ethernet address of a name (/etc/ethers).
    fn ether(&self, _name: &str) -> Option<[u8; 6]> {
        None
    }
    /// Network number of a name (/etc/networks), as libpcap's `pcap_nametonetaddr`: host order,
    /// not shifted.
    fn network(&self, _name: &str) -> Option<u32> {
        None
    }
    /// Port number and protocol of a service name, as `pcap_nametoport`.
    fn port(&self, _name: &str) -> Option<(u16, PortProto)> {
        None
    }
    /// IP protocol number of a name, as `pcap_nametoproto`.
    fn ip_proto(&self, _name: &str) -> Option<u8> {
        None
    }
}

/// Knows no name: for filters that give addresses and numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Resolver for NoNames {}

/// Asks for each host once: an answer may take seconds, and a filter may be lowered twice.
pub(super) struct Remembering<'a> {
    resolver: &'a dyn Resolver,
    hosts: RefCell<BTreeMap<String, Option<HostAddrs>>>,
}

impl<'a> Remembering<'a> {
    /// Nothing asked yet.
    pub(super) fn new(resolver: &'a dyn Resolver) -> Self {
        Self { resolver, hosts: RefCell::default() }
    }
}

impl Resolver for Remembering<'_> {
    fn host(&self, name: &str) -> Option<HostAddrs> {
        if let Some(known) = self.hosts.borrow().get(name) {
            return known.clone();
        }
        let answer = self.resolver.host(name);
        self.hosts.borrow_mut().insert(name.to_owned(), answer.clone());
        answer
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        self.resolver.ether(name)
    }

    fn network(&self, name: &str) -> Option<u32> {
        self.resolver.network(name)
    }

    fn port(&self, name: &str) -> Option<(u16, PortProto)> {
        self.resolver.port(name)
    }

    fn ip_proto(&self, name: &str) -> Option<u8> {
        self.resolver.ip_proto(name)
    }
}
