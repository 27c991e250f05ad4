//! Ports with several receive queues, `PCAPX_DPDK_RX_QUEUES`.

use super::faults::{child_in, quiet_success};
use super::filters::{FILE, file_packets};
use super::live::{Namespace, frames, kernel_config};
use super::setup::{TempFile, drain, opened, plugin_dir, refused, write_pcap};
use pcap::capture::open;

const TWO: [(&str, &str); 1] = [("PCAPX_DPDK_RX_QUEUES", "2")];

#[test]
fn several_queues() {
    if plugin_dir().is_none() {
        return;
    }
    quiet_success(&child_in(None, "queues::child_files", &TWO));
    quiet_success(&child_in(None, "queues::child_files", &[("PCAPX_DPDK_RX_QUEUES", "99")]));
    for wrong in ["0", "-1", "x", "1025", "2 "] {
        let variables = [("PCAPX_DPDK_RX_QUEUES", wrong)];
        quiet_success(&child_in(None, "queues::child_wrong", &variables));
    }
    let Some(namespace) = Namespace::new("q") else { return };
    quiet_success(&child_in(Some(&namespace.0), "queues::child_tap", &TWO));
}

/// A file a queue: all packets of both, each file's in their order; as many queues as there are.
#[test]
#[ignore = "run by several_queues"]
fn child_files() {
    plugin_dir().unwrap();
    let second = TempFile::new("second.pcap");
    let marked: Vec<(u32, u32, Vec<u8>)> =
        (0..1000u32).map(|n| (n, 0, [&n.to_be_bytes()[..], &[0x5a; 60]].concat())).collect();
    write_pcap(&second.0, &marked);
    let device = format!("dpdk:net_pcap0,rx_pcap={FILE},rx_pcap={}", second.0.display());
    let mut port = opened(&device);
    let seen = drain(&mut *port);
    let (from_second, from_first): (Vec<_>, Vec<_>) =
        seen.into_iter().map(|(_, _, bytes)| bytes).partition(|bytes| bytes[4..] == [0x5a; 60]);
    assert!(from_first == file_packets());
    assert!(from_second.iter().eq(marked.iter().map(|(_, _, bytes)| bytes)));
    assert_eq!(port.stats().unwrap().received, 1225);
    drop(port);
    // A loop-back comes back whole.
    let mut ring = opened("dpdk:net_ring0");
    for n in 0..500u16 {
        ring.inject(&[&n.to_be_bytes()[..], &[7; 62]].concat()).unwrap();
    }
    let seen = drain(&mut *ring);
    assert!(seen.iter().map(|s| u16::from_be_bytes([s.2[0], s.2[1]])).eq(0..500));
    // None of its queues is chosen.
    let error = refused("dpdk:net_null0@1");
    assert!(error.message.contains("not a name of a virtual device"), "{error}");
}

#[test]
#[ignore = "run by several_queues"]
fn child_wrong() {
    plugin_dir().unwrap();
    let error = refused("dpdk:net_null0");
    assert!(error.message.contains("not a number from 1 to 1024"), "{error}");
}

/// The kernel spreads what it sends over the queues.
#[test]
#[ignore = "run by several_queues"]
fn child_tap() {
    plugin_dir().unwrap();
    let mut port = opened("dpdk:net_tap0,iface=oxdqueues");
    let mut kernel = open(&kernel_config("oxdqueues")).unwrap().backend;
    drain(&mut *port);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for some in frames(9).chunks(20) {
        for frame in some {
            kernel.inject(frame).unwrap();
        }
        seen.extend(drain(&mut *port).into_iter().map(|(_, _, bytes)| bytes));
    }
    seen.retain(|bytes| bytes.get(6..14) == frames(9)[0].get(6..14));
    seen.sort_by_key(|bytes| [bytes[14], bytes[15]]);
    assert!(seen == frames(9), "{}", seen.len());
}
