//! The accept data's filters on a port, by each engine `PCAPX_DPDK_FILTER` can name.

use super::faults::{child_in, quiet_success};
use super::setup::{config, drain, plugin_dir};
use pcap::bpf::{Aux, Program, interpret};
use pcap::capture::open;
use pcap::filter::{NoNames, Options, compile};
use pcap::linktype::Dlt;

pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/data/mixed.pcap");

pub fn program(text: &str) -> Option<Program> {
    compiled(text, true)
}

fn compiled(text: &str, optimize: bool) -> Option<Program> {
    let options = Options { optimize, ..Options::new(Dlt::EN10MB) };
    compile(text.as_bytes(), &options, &NoNames).ok()
}

pub fn programs() -> Vec<(String, Program)> {
    let data = include_str!("../conformance/accept.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
    let ethernet = cases.iter().filter(|case| case["DLT"] == "EN10MB");
    let texts = ethernet.flat_map(|case| case["filters"].as_array().unwrap());
    let texts: Vec<&str> = texts.filter_map(|text| text.as_str()).collect();
    let both = texts.iter().flat_map(|text| [(text, true), (text, false)]);
    both.filter_map(|(text, optimize)| Some((text.to_string(), compiled(text, optimize)?)))
        .collect()
}

/// Packets of a savefile in this machine's byte order.
pub fn file_packets() -> Vec<Vec<u8>> {
    let file = std::fs::read(FILE).unwrap();
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut packets, mut at) = (Vec::new(), 24);
    while at + 16 <= file.len() {
        packets.push(file[at + 16..at + 16 + word(at + 8)].to_vec());
        at += 16 + word(at + 8);
    }
    packets
}

#[test]
fn every_engine_and_filter() {
    if plugin_dir().is_none() {
        return;
    }
    for engine in ["jit", "interpreter", "rte_bpf", "rte_bpf_jit", ""] {
        let variables = [("PCAPX_DPDK_FILTER", engine)];
        quiet_success(&child_in(None, "filters::child_engine", &variables));
    }
}

#[test]
#[ignore = "run by every_engine_and_filter"]
fn child_engine() {
    plugin_dir().unwrap();
    let packets = file_packets();
    let programs = programs();
    assert!(programs.len() > 150, "{}", programs.len());
    let mut settings = config(&format!("dpdk:net_pcap0,rx_pcap={FILE}"));
    settings.nonblock = true;
    for (text, program) in &programs {
        let expected: Vec<&Vec<u8>> = packets
            .iter()
            .filter(|p| interpret(program.insns(), p, p.len() as u32, &Aux::NONE) != 0)
            .collect();
        let mut port = open(&settings).unwrap().backend;
        port.set_filter(program).unwrap();
        let seen = drain(&mut *port);
        assert_eq!(seen.len(), expected.len(), "{text}");
        assert!(seen.iter().zip(&expected).all(|((_, _, got), want)| got == *want), "{text}");
        assert_eq!(port.stats().unwrap().received as usize, expected.len(), "{text}");
    }
}

/// Nothing that only the old filter accepted is shown after a new one is set, in mid-burst.
#[test]
fn replaced_in_a_burst() {
    if plugin_dir().is_none() {
        return;
    }
    let mut settings = config(&format!("dpdk:net_pcap11,rx_pcap={FILE}"));
    settings.nonblock = true;
    let mut port = open(&settings).unwrap().backend;
    let (ip, udp) = (program("ip").unwrap(), program("udp").unwrap());
    port.set_filter(&ip).unwrap();
    port.fill().unwrap();
    port.next_packet().unwrap();
    port.set_filter(&udp).unwrap();
    let accepts = |bytes: &[u8]| interpret(udp.insns(), bytes, bytes.len() as u32, &Aux::NONE) != 0;
    let seen = drain(&mut *port);
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|(_, _, bytes)| accepts(bytes)));
}

#[test]
fn unknown_engine() {
    if plugin_dir().is_none() {
        return;
    }
    quiet_success(&child_in(None, "filters::child_unknown", &[("PCAPX_DPDK_FILTER", "best")]));
}

#[test]
#[ignore = "run by unknown_engine"]
fn child_unknown() {
    plugin_dir().unwrap();
    let error = super::setup::refused("dpdk:net_null0");
    assert!(error.message.contains("PCAPX_DPDK_FILTER=best"), "{error}");
}
