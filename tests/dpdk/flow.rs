//! `PCAPX_DPDK_FLOW`: rules of ports. No virtual device here takes any, so a preloaded library
//! (`flow_port.c`) gives rules to all ports.

use super::faults::{child_in, quiet_success};
use super::filters::{FILE, file_packets, program, programs};
use super::live::Namespace;
use super::programs::compiled;
use super::setup::{TempFile, config, drain, opened, plugin_dir, refused};
use pcap::bpf::{Aux, interpret};
use pcap::capture::open;

fn library(name: &str) -> Option<TempFile> {
    compiled("tests/dpdk/flow_port.c", name, &["-shared", "-fPIC"])
}

fn with_rules(library: &TempFile, takes: &str, test: &str, more: &[(&str, &str)]) {
    let mut variables = vec![
        ("LD_PRELOAD", library.0.to_str().unwrap()),
        ("OXPCAP_FLOW", takes),
        ("PCAPX_DPDK_FLOW", "on"),
    ];
    variables.extend(more);
    quiet_success(&child_in(None, &format!("flow::{test}"), &variables));
}

/// A counter of the preloaded library.
fn counter(name: &std::ffi::CStr) -> u32 {
    // SAFETY: `name` is one of its variables, all of one type.
    unsafe {
        let counter = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<libc::c_uint>();
        counter.as_ref().copied().expect("the library is preloaded")
    }
}

/// Whatever a port takes, the packets are those that the filter accepts.
#[test]
fn verdicts_stay() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(library) = library("verdicts.so") else { return };
    for takes in ["bits", "ports", "addresses", "ethernet", "nodrop", "nothing"] {
        with_rules(&library, takes, "child_verdicts", &[]);
    }
    let engine = [("PCAPX_DPDK_FILTER", "rte_bpf")];
    with_rules(&library, "ports", "child_verdicts", &engine);
}

#[test]
#[ignore = "run by verdicts_stay"]
fn child_verdicts() {
    plugin_dir().unwrap();
    let none = ["nodrop", "nothing"].contains(&&*std::env::var("OXPCAP_FLOW").unwrap());
    let packets = file_packets();
    let (mut with_rules, programs) = (0, programs());
    let mut settings = config(&format!("dpdk:net_pcap0,rx_pcap={FILE}"));
    // Not nonblocking: a burst of which nothing passes is no end. Eight polls come first.
    settings.timeout_ms = 2;
    for (text, program) in &programs {
        let expected: Vec<&Vec<u8>> = packets
            .iter()
            .filter(|p| interpret(program.insns(), p, p.len() as u32, &Aux::NONE) != 0)
            .collect();
        let mut port = open(&settings).unwrap().backend;
        port.set_filter(program).unwrap();
        let said = port.filter_placement().to_string();
        let live = counter(c"flow_port_live");
        assert_eq!(live > 0, said.contains("lets pass what matches"), "{text}: {said}");
        assert!(said.contains("no effect") || live > 0 || said == "no filter", "{text}: {said}");
        with_rules += u32::from(live > 0);
        let seen = drain(&mut *port);
        assert_eq!(seen.len(), expected.len(), "{text}");
        assert!(seen.iter().zip(&expected).all(|((_, _, got), want)| got == *want), "{text}");
        drop(port);
        assert_eq!(counter(c"flow_port_live"), 0, "{text}: rules stay");
    }
    let dropped = counter(c"flow_port_dropped");
    if none {
        assert_eq!((with_rules, dropped), (0, 0));
    } else {
        assert!(
            with_rules > 100 && dropped > 10_000,
            "{with_rules} of {}, {dropped}",
            programs.len()
        );
    }
}

/// A new filter replaces the rules of the old one; none takes them away.
#[test]
fn rules_go_with_the_filter() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(library) = library("replacing.so") else { return };
    with_rules(&library, "ports", "child_replacing", &[]);
    with_rules(&library, "ports", "child_queues", &[("PCAPX_DPDK_RX_QUEUES", "2")]);
}

#[test]
#[ignore = "run by rules_go_with_the_filter"]
fn child_replacing() {
    plugin_dir().unwrap();
    let packets = file_packets();
    let mut settings = config(&format!("dpdk:net_pcap0,rx_pcap={FILE}"));
    settings.timeout_ms = 2;
    let mut port = open(&settings).unwrap().backend;
    let (mut next, mut rules) = (0, Vec::new());
    for text in ["", "ip", "tcp port 80", "udp or arp", "greater 1", ""] {
        let program = program(text).unwrap();
        port.set_filter(&program).unwrap();
        rules.push(counter(c"flow_port_live"));
        let accepts = |p: &[u8]| interpret(program.insns(), p, p.len() as u32, &Aux::NONE) != 0;
        for _ in 0..3 {
            let Some(packet) = port.next_packet().or_else(|| {
                port.fill().unwrap();
                port.next_packet()
            }) else {
                continue;
            };
            // SAFETY: valid until the next read.
            let bytes =
                unsafe { std::slice::from_raw_parts(packet.data, packet.header.caplen as usize) };
            // The next one of the file that the filter in force accepts.
            next += packets[next..].iter().position(|p| accepts(p)).unwrap();
            assert_eq!(bytes, packets[next], "{text}");
            next += 1;
        }
    }
    assert!(next > 15, "{next}");
    // IPv4; TCP from and to the port over IPv4, first fragments, the same over IPv6; UDP over
    // IPv4, IPv6, in fragments of IPv6, and ARP; each time one that drops the rest.
    assert_eq!(rules, [0, 2, 6, 5, 0, 0]);
}

/// With several queues what passes is spread over them as before.
#[test]
#[ignore = "run by rules_go_with_the_filter"]
fn child_queues() {
    plugin_dir().unwrap();
    let mut port = opened(&format!("dpdk:net_pcap0,rx_pcap={FILE},rx_pcap={FILE}"));
    let program = program("udp").unwrap();
    port.set_filter(&program).unwrap();
    assert!(counter(c"flow_port_spread") > 0);
    let accepts = |p: &&Vec<u8>| interpret(program.insns(), p, p.len() as u32, &Aux::NONE) != 0;
    let expected = 2 * file_packets().iter().filter(accepts).count();
    assert!(expected > 0);
    assert_eq!(drain(&mut *port).len(), expected);
}

/// Ports of DPDK's own drivers that take no rules, or cannot on this kernel.
#[test]
fn ports_without_rules() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(namespace) = Namespace::new("f") else { return };
    let variables = [("PCAPX_DPDK_FLOW", "on")];
    quiet_success(&child_in(Some(&namespace.0), "flow::child_without", &variables));
    quiet_success(&child_in(None, "flow::child_unknown", &[("PCAPX_DPDK_FLOW", "yes")]));
}

#[test]
#[ignore = "run by ports_without_rules"]
fn child_without() {
    plugin_dir().unwrap();
    for device in ["dpdk:net_null0", "dpdk:net_ring0", "dpdk:net_tap0,iface=oxdflow"] {
        let mut port = opened(device);
        port.set_filter(&program("greater 64").unwrap()).unwrap();
        let said = port.filter_placement().to_string();
        assert!(said.contains("no header field decides"), "{device}: {said}");
        port.set_filter(&program("ip").unwrap()).unwrap();
        let said = port.filter_placement().to_string();
        let created = said.contains("lets pass what matches") && device.contains("tap");
        assert!(said.contains("the port takes no rules: ") || created, "{device}: {said}");
        port.set_filter(&program("").unwrap()).unwrap();
        assert_eq!(port.filter_placement().to_string(), "no filter");
    }
}

#[test]
#[ignore = "run by ports_without_rules"]
fn child_unknown() {
    plugin_dir().unwrap();
    let error = refused("dpdk:net_null0");
    assert!(error.message.contains("PCAPX_DPDK_FLOW=yes: neither on nor off"), "{error}");
}
