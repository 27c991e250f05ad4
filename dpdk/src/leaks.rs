//! Opening and closing leaves nothing behind in DPDK's memory.

use crate::ffi;
use crate::port::PortSource;
use oxpcap_plugin::{Config, Packet};
use std::ffi::{c_int, c_uint};
use std::sync::Mutex;

/// What DPDK has of a process' memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
struct Usage {
    pools: c_uint,
    zones: c_uint,
    heap_bytes: u64,
}

#[link(name = "pcap_dpdk_testing", kind = "static")]
unsafe extern "C" {
    fn ox_test_usage(usage: *mut Usage);
}
unsafe extern "C" {
    fn ox_pools_waiting() -> c_uint;
    fn ox_port_buffers_in_use(port: *const ffi::OxPort) -> c_uint;
}

fn usage() -> Usage {
    let mut usage = Usage::default();
    // SAFETY: writable, of the shim's layout.
    unsafe { ox_test_usage(&mut usage) };
    usage
}

fn opened(name: &str) -> PortSource {
    let config = Config {
        size: size_of::<Config>() as u32,
        snaplen: 65_535,
        promisc: 1,
        tstamp_type: -1,
        buffer_size: 0,
        precision: oxpcap_plugin::MICROSECONDS,
    };
    PortSource::open(name, &config).unwrap().0
}

fn receive(port: &mut PortSource) -> c_int {
    let packet = Packet { sec: 0, frac: 0, caplen: 0, len: 0, data: std::ptr::null() };
    let mut packets = vec![packet; ffi::BURST];
    port.receive(packets.as_mut_ptr()).unwrap()
}

/// What DPDK has is compared while no other test changes it.
pub static ALONE: Mutex<()> = Mutex::new(());

/// Two hundred times, closed with packets lent, received and never read, and sent and never taken.
/// (Not `net_null`: its driver loses 384 bytes each time that its queues are set up.)
#[test]
fn nothing_stays_behind() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients/data/mixed.pcap");
    let devices = ["net_ring31".to_owned(), format!("net_pcap31,rx_pcap={file}")];
    // What is made once is there after the first two times.
    let mut before = Usage::default();
    for round in 0..202 {
        for device in &devices {
            let mut port = opened(device);
            if device.starts_with("net_ring") {
                for _ in 0..40 {
                    port.inject([7u8; 60].as_ptr(), 60).unwrap();
                }
            }
            let received = receive(&mut port);
            assert!(received > 0 && in_use(&port) >= received as u32);
        }
        if round == 1 {
            before = usage();
        }
    }
    assert_eq!(usage(), before);
    // SAFETY: no conditions.
    assert_eq!(unsafe { ox_pools_waiting() }, 0);
}

fn in_use(port: &PortSource) -> c_uint {
    // SAFETY: the port is open.
    unsafe { ox_port_buffers_in_use(port.raw()) }
}

/// Reading gives every buffer back: after thousands of bursts no more are out than after the first.
#[test]
fn buffers_come_back() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let mut port = opened("net_null30,size=60");
    receive(&mut port);
    let first = in_use(&port);
    let mut most = 0;
    for _ in 0..20_000 {
        receive(&mut port);
        most = most.max(in_use(&port));
    }
    // Those of a burst, before or after they went back.
    assert!(most <= first + 2 * ffi::BURST as u32, "{first} {most}");
}
