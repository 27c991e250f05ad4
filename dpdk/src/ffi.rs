//! The C shim, `shim/shim.h`.

use crate::flow::Item;
use oxpcap_plugin::{EbpfInsn, Packet, Stats};
use std::ffi::{c_char, c_int, c_uint};

/// `OX_BURST`.
pub const BURST: usize = 64;
/// `OX_NAME`.
pub const NAME: usize = 256;

/// `struct ox_port`.
#[repr(C)]
pub struct OxPort {
    _opaque: [u8; 0],
}

/// `struct ox_filter`.
#[repr(C)]
pub struct OxFilter {
    _opaque: [u8; 0],
}

/// `struct ox_flows`.
#[repr(C)]
pub struct OxFlows {
    _opaque: [u8; 0],
}

/// `struct ox_pdump`.
#[repr(C)]
pub struct OxPdump {
    _opaque: [u8; 0],
}

/// `struct ox_port_config`.
#[repr(C)]
pub struct PortConfig {
    pub port: u16,
    pub rx_queues: u16,
    pub first_queue: c_int,
    pub promisc: c_int,
    pub descriptors: u32,
    pub nanoseconds: c_int,
}

/// `struct ox_port_facts`.
#[repr(C)]
pub struct PortFacts {
    pub name: [c_char; NAME],
    pub driver: [c_char; NAME],
    pub mac: [u8; 6],
    pub link_up: c_int,
}

unsafe extern "C" {
    pub fn ox_eal_running() -> c_int;
    pub fn ox_eal_init(argc: c_int, argv: *mut *mut c_char) -> c_int;
    pub fn ox_strerror(error: c_int) -> *const c_char;
    pub fn ox_log_mark() -> u64;
    pub fn ox_log_since(mark: u64, text: *mut c_char, size: usize);
    pub fn ox_watch_forks();
    pub fn ox_fork_generation() -> c_uint;

    pub fn ox_port_find(name: *const c_char, port: *mut u16) -> c_int;
    pub fn ox_port_exists(port: u16) -> c_int;
    pub fn ox_port_next(from: u16) -> c_int;
    pub fn ox_port_facts(port: u16, facts: *mut PortFacts) -> c_int;
    pub fn ox_plug(bus: *const c_char, name: *const c_char, arguments: *const c_char) -> c_int;
    pub fn ox_unplug(bus: *const c_char, name: *const c_char) -> c_int;
    pub fn ox_port_open(
        config: *const PortConfig,
        port: *mut *mut OxPort,
        step: *mut *const c_char,
    ) -> c_int;
    pub fn ox_port_joined(port: *const OxPort) -> c_int;
    pub fn ox_port_promisc_result(port: *const OxPort) -> c_int;
    pub fn ox_port_stop(port: *mut OxPort);
    pub fn ox_port_free(port: *mut OxPort);
    pub fn ox_port_set_filter(port: *mut OxPort, filter: *mut OxFilter);
    pub fn ox_filter_load(
        program: *const EbpfInsn,
        count: u32,
        native_size: usize,
        filter: *mut *mut OxFilter,
    ) -> c_int;
    pub fn ox_port_receive(port: *mut OxPort, packets: *mut Packet) -> c_int;
    pub fn ox_port_inject(port: *mut OxPort, frame: *const u8, len: u32) -> c_int;
    pub fn ox_port_stats(port: *mut OxPort, stats: *mut Stats) -> c_int;

    pub fn ox_flows_new(port: *const OxPort, flows: *mut *mut OxFlows) -> c_int;
    pub fn ox_flows_add(
        flows: *mut OxFlows,
        items: *const Item,
        count: u32,
        why: *mut *const c_char,
    ) -> c_int;
    pub fn ox_flows_clear(flows: *mut OxFlows) -> c_int;
    pub fn ox_flows_free(flows: *mut OxFlows);

    pub fn ox_pools_mismatch() -> c_int;
    pub fn ox_watch_primary(fd: c_int);
    pub fn ox_pdump_open(
        port: u16,
        nanoseconds: c_int,
        dump: *mut *mut OxPdump,
        step: *mut *const c_char,
    ) -> c_int;
    pub fn ox_pdump_set_filter(dump: *mut OxPdump, program: *const EbpfInsn, count: u32) -> c_int;
    pub fn ox_pdump_receive(dump: *mut OxPdump, packets: *mut Packet) -> c_int;
    pub fn ox_pdump_stats(dump: *mut OxPdump, stats: *mut Stats) -> c_int;
    pub fn ox_pdump_close(dump: *mut OxPdump);
}

/// The log's lines since `mark`.
pub fn log_since(mark: u64) -> String {
    let mut text = vec![0u8; 4096];
    // SAFETY: writes at most `len` bytes, NUL included.
    unsafe { ox_log_since(mark, text.as_mut_ptr().cast(), text.len()) };
    text.truncate(text.iter().position(|&b| b == 0).unwrap_or(0));
    String::from_utf8_lossy(&text).into_owned()
}

/// Where the log stands.
pub fn log_mark() -> u64 {
    // SAFETY: no conditions.
    unsafe { ox_log_mark() }
}
