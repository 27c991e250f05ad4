//! The system's tcpdump, unchanged, with this library in place of libpcap.

use super::live::Namespace;
use super::setup::{TempFile, library_dir};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/data/mixed.pcap");

/// Starts tcpdump on a device; returns when it listens.
fn listening(namespace: Option<&str>, device: &str, filter: &str, out: &TempFile) -> Child {
    let library = library_dir().unwrap();
    let mut command = match namespace {
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, "tcpdump"]);
            command
        }
        None => Command::new("tcpdump"),
    };
    command.args(["-Z", "root", "-U", "-nn", "-i", device, "-w"]).arg(&out.0).arg(filter);
    command.env("LD_LIBRARY_PATH", &library).env("PCAP_PLUGIN_DIR", &library);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::with_capacity(1, stderr), &mut line)
        .unwrap();
    assert!(line.contains("listening on"), "{line}");
    child
}

/// Ends tcpdump as a user does; what it says at its end.
fn interrupt(child: Child) -> String {
    // SAFETY: a child of ours that was not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn writes_what_reading_the_file_writes() {
    if library_dir().is_none() {
        return;
    }
    for filter in ["", "port 8888", "tcp port 80", "udp or icmp6", "tcp[tcpflags] & tcp-syn != 0"] {
        let (ours, reference) = (TempFile::new("ours.pcap"), TempFile::new("reference.pcap"));
        let child = listening(None, &format!("dpdk:net_pcap0,rx_pcap={FILE}"), filter, &ours);
        let read = Command::new("tcpdump")
            .args(["-Z", "root", "-nn", "-r", FILE, "-w"])
            .arg(&reference.0)
            .arg(filter)
            .output()
            .unwrap();
        assert!(read.status.success());
        std::thread::sleep(Duration::from_millis(300));
        let said = interrupt(child);
        assert!(said.contains("0 packets dropped by kernel"), "{said}");
        assert!(
            std::fs::read(&ours.0).unwrap() == std::fs::read(&reference.0).unwrap(),
            "{filter}"
        );
    }
}

/// Interrupted while packets never end.
#[test]
fn interrupted_under_full_load() {
    if library_dir().is_none() {
        return;
    }
    for filter in ["greater 1000", "ether[60000] = 1"] {
        let out = TempFile::new("load.pcap");
        let child = listening(None, "dpdk:net_null0,size=64", filter, &out);
        std::thread::sleep(Duration::from_millis(200));
        interrupt(child);
    }
}

#[test]
fn traffic_from_another_namespace() {
    if library_dir().is_none() {
        return;
    }
    let (Some(here), Some(there)) = (Namespace::new("h"), Namespace::new("o")) else { return };
    here.ip(&format!("link add va type veth peer name vb netns {}", there.0));
    here.ip("addr add 10.9.0.1/24 dev va");
    there.ip("addr add 10.9.0.2/24 dev vb");
    here.ip("link set va up");
    there.ip("link set vb up");
    let out = TempFile::new("ping.pcap");
    let filter = "icmp[icmptype] = icmp-echo and src host 10.9.0.2";
    let child = listening(Some(&here.0), "dpdk:net_af_packet0,iface=va", filter, &out);
    let ping = Command::new("ip")
        .args(["netns", "exec", &there.0, "ping", "-c", "5", "-i", "0.05", "-W", "2", "10.9.0.1"])
        .output()
        .unwrap();
    assert!(ping.status.success(), "{ping:?}");
    std::thread::sleep(Duration::from_millis(200));
    let said = interrupt(child);
    assert!(said.contains("5 packets captured"), "{said}");
}
