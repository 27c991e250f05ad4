//! What several tests of the filter compiler share.
#![allow(dead_code)] // every test uses a part of it

use std::collections::HashMap;

use pcap::bpf::{Aux, Filter, Insn, Program};
use pcap::filter::resolve::{HostAddrs, PortProto};
use pcap::filter::{FilterError, Options, Resolver, compile};
use pcap::linktype::Dlt;

/// Names from files like /etc/hosts, /etc/ethers and /etc/networks, and a few services.
#[derive(Debug, Default)]
pub struct Table {
    hosts: HashMap<String, HostAddrs>,
    ethers: HashMap<String, [u8; 6]>,
    networks: HashMap<String, u32>,
}

impl Table {
    /// Reads the files' texts.
    pub fn new(hosts: &str, ethers: &str, networks: &str) -> Self {
        let mut table = Self::default();
        for (address, name) in lines(hosts) {
            let host = table.hosts.entry(name.to_ascii_lowercase()).or_default();
            match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(ip)) => host.v4.push(ip),
                Ok(std::net::IpAddr::V6(ip)) => host.v6.push(ip),
                Err(e) => panic!("{address}: {e}"),
            }
        }
        for (address, name) in lines(ethers) {
            let octets: Vec<u8> =
                address.split(':').map(|o| u8::from_str_radix(o, 16).unwrap()).collect();
            table.ethers.insert(name.to_ascii_lowercase(), octets.try_into().unwrap());
        }
        for (name, address) in lines(networks) {
            // As getnetbyname gives it: trailing zero octets shifted out by nobody.
            let address: std::net::Ipv4Addr = address.parse().unwrap();
            table.networks.insert(name.to_ascii_lowercase(), address.into());
        }
        table
    }
}

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?, words.next()?))
    })
}

impl Resolver for Table {
    fn host(&self, name: &str) -> Option<HostAddrs> {
        self.hosts.get(&name.to_ascii_lowercase()).cloned()
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        self.ethers.get(&name.to_ascii_lowercase()).copied()
    }

    fn network(&self, name: &str) -> Option<u32> {
        self.networks.get(&name.to_ascii_lowercase()).copied()
    }

    fn port(&self, name: &str) -> Option<(u16, PortProto)> {
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            return name.parse().ok().map(|port| (port, PortProto::Any));
        }
        Some(match name {
            "ssh" => (22, PortProto::Tcp),
            "smtp" => (25, PortProto::Tcp),
            "domain" => (53, PortProto::Any),
            "bootps" => (67, PortProto::Udp),
            "bootpc" => (68, PortProto::Udp),
            "tftp" => (69, PortProto::Udp),
            "http" => (80, PortProto::Tcp),
            "echo" => (7, PortProto::Any),
            "amqp" => (5672, PortProto::Any),
            _ => return None,
        })
    }

    fn ip_proto(&self, name: &str) -> Option<u8> {
        Some(match name {
            "icmp" => 1,
            "igmp" => 2,
            "igp" | "igrp" => 9,
            "tcp" => 6,
            "udp" => 17,
            "esp" => 50,
            "ah" => 51,
            "ipv6-icmp" => 58,
            "pim" => 103,
            "vrrp" => 112,
            "carp" => 112,
            "sctp" => 132,
            _ => return None,
        })
    }
}

/// Options for packets of a link-layer type without anything special.
pub fn options(linktype: Dlt, optimize: bool) -> Options {
    Options { optimize, ..Options::new(linktype) }
}

/// Compiles.
pub fn build(
    filter: &str,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Program, FilterError> {
    compile(filter.as_bytes(), options, resolver)
}

/// The listing, with blanks collapsed.
pub fn listing(program: &Program) -> Vec<String> {
    let lines = program.insns().iter().zip(0..);
    lines.map(|(insn, i)| collapse(&pcap::bpf::image(insn, i).to_string())).collect()
}

/// One blank for any number of them.
pub fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A program of the `fuzz` crate as ours.
pub fn program(insns: &[fuzz::Insn]) -> Program {
    let insn = |i: &fuzz::Insn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Program::from_insns(insns.iter().map(insn).collect::<Vec<_>>())
}

/// Our program as one of the `fuzz` crate.
pub fn fuzz_insns(program: &Program) -> Vec<fuzz::Insn> {
    let insn = |i: &Insn| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    program.insns().iter().map(insn).collect()
}

/// Verdict on a packet that is complete.
pub fn verdict(filter: &Filter, packet: &[u8]) -> u32 {
    filter.run(packet, u32::try_from(packet.len()).unwrap(), &Aux::default())
}

/// A packet in hexadecimal, to paste into a test.
pub fn hex(packet: &[u8]) -> String {
    packet.iter().map(|b| format!("{b:02x}")).collect()
}
