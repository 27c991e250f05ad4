//! Devices over kernel interfaces, in network namespaces made here.

use super::faults::{child_in, quiet_success};
use super::setup::{config, drain, opened, plugin_dir, skip};
use pcap::capture::{Backend, Config, open};
use std::process::Command;

/// A network namespace, removed when dropped.
pub struct Namespace(pub String);

impl Namespace {
    /// `None` without the privilege.
    pub fn new(name: &str) -> Option<Self> {
        let name = format!("oxd{}{name}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            skip(format_args!("cannot make a network namespace: {made:?}"));
            return None;
        }
        let namespace = Self(name);
        namespace.ip("link set lo up");
        Some(namespace)
    }

    /// Runs `ip` in it.
    pub fn ip(&self, arguments: &str) {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = Command::new("ip").args(["-n", &self.0]).args(&arguments).output().unwrap();
        assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// Frames no kernel sends by itself.
pub fn frames(mark: u8) -> Vec<Vec<u8>> {
    (0..200u16)
        .map(|n| {
            let mut frame = vec![0u8; 60 + usize::from(n) * 7];
            frame[..6].fill(0xff);
            frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, mark]);
            // Local experimental Ethernet type 1.
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            frame[14..16].copy_from_slice(&n.to_be_bytes());
            frame
        })
        .collect()
}

pub fn kernel_config(interface: &str) -> Config {
    Config { immediate: true, ..config(interface) }
}

/// Sends by one, expects exactly that at the other.
fn crosses(from: &mut dyn Backend, to: &mut dyn Backend, mark: u8) {
    let frames = frames(mark);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    // A kernel capture waits for ever where nothing comes, and holds few long frames.
    to.set_nonblock(true).unwrap();
    for some in frames.chunks(20) {
        for frame in some {
            assert_eq!(from.inject(frame).unwrap(), frame.len());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        seen.extend(drain(to).into_iter().map(|(_, _, bytes)| bytes));
    }
    to.set_nonblock(false).unwrap();
    seen.retain(|bytes| bytes.get(6..14) == frames[0].get(6..14));
    assert_eq!(seen.len(), frames.len());
    assert!(seen == frames);
}

#[test]
fn af_packet_on_veth() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(namespace) = Namespace::new("v") else { return };
    namespace.ip("link add va type veth peer name vb");
    namespace.ip("link set va up");
    namespace.ip("link set vb up");
    quiet_success(&child_in(Some(&namespace.0), "live::child_af_packet", &[]));
}

fn promiscuous(interface: &str) -> bool {
    let flags = std::fs::read_to_string(format!("/sys/class/net/{interface}/flags")).unwrap();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
    flags & libc::IFF_PROMISC as u32 != 0
}

#[test]
#[ignore = "run by af_packet_on_veth"]
fn child_af_packet() {
    plugin_dir().unwrap();
    assert!(!promiscuous("va"));
    let mut port = opened("dpdk:net_af_packet0,iface=va");
    let mut kernel = open(&kernel_config("vb")).unwrap().backend;
    crosses(&mut *port, &mut *kernel, 1);
    drain(&mut *port);
    crosses(&mut *kernel, &mut *port, 2);
    drop(port);
    assert!(!promiscuous("va"), "left promiscuous");
    // Down is not fatal, and traffic comes when it is up again.
    let ip = |arguments: &[&str]| {
        assert!(Command::new("ip").args(arguments).status().unwrap().success())
    };
    ip(&["link", "set", "vb", "down"]);
    let mut port = opened("dpdk:net_af_packet0,iface=va");
    drain(&mut *port);
    ip(&["link", "set", "vb", "up"]);
    let mut kernel = open(&kernel_config("vb")).unwrap().backend;
    crosses(&mut *kernel, &mut *port, 3);
}

#[test]
fn tap() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(namespace) = Namespace::new("t") else { return };
    quiet_success(&child_in(Some(&namespace.0), "live::child_tap", &[]));
}

#[test]
#[ignore = "run by tap"]
fn child_tap() {
    plugin_dir().unwrap();
    let mut port = opened("dpdk:net_tap0,iface=oxdtap");
    let mut kernel = open(&kernel_config("oxdtap")).unwrap().backend;
    drain(&mut *port);
    crosses(&mut *port, &mut *kernel, 1);
    crosses(&mut *kernel, &mut *port, 2);
}
