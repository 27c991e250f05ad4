//! The system's tcpdump, unchanged, with this library in place of libpcap.

use super::filters::{file_packets, program};
use super::live::Namespace;
use super::setup::{TempFile, library_dir, skip, write_pcap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Starts tcpdump on a device; returns when it listens.
fn listening(namespace: Option<&str>, device: &str, filter: &str, out: &TempFile) -> Child {
    listening_with(namespace, device, filter, out, &[])
}

/// The same, with more in its environment.
pub fn listening_with(
    namespace: Option<&str>,
    device: &str,
    filter: &str,
    out: &TempFile,
    variables: &[(&str, &str)],
) -> Child {
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
    command.envs(variables.iter().copied());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::with_capacity(1, stderr), &mut line)
        .unwrap();
    assert!(line.contains("listening on"), "{line}");
    child
}

/// Ends tcpdump as a user does; what it says at its end.
pub fn interrupt(child: Child) -> String {
    // SAFETY: a child of ours that was not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// What tcpdump writes that reads the file, on this library; its packets' number, and whether it
/// writes the same on the system's libpcap (1.10 knows not all of the filters, nor all alike).
fn reference(file: &Path, filter: &str, name: &str) -> (Vec<u8>, u64, bool) {
    let out = TempFile::new(name);
    let run = |library: Option<PathBuf>| {
        let mut command = Command::new("tcpdump");
        command.args(["-Z", "root", "-nn", "-r"]).arg(file).arg("-w").arg(&out.0).arg(filter);
        command.envs(library.map(|dir| ("LD_LIBRARY_PATH", dir)));
        command.output().unwrap()
    };
    let theirs = run(None);
    let theirs = theirs.status.success().then(|| std::fs::read(&out.0).unwrap());
    let output = run(library_dir());
    assert!(output.status.success(), "{filter}: {output:?}");
    let bytes = std::fs::read(&out.0).unwrap();
    let mut at = 24;
    let mut packets = 0;
    while at < bytes.len() {
        let len = bytes[at + 8..at + 12].try_into().unwrap();
        at += 16 + u32::from_ne_bytes(len) as usize;
        packets += 1;
    }
    let agreed = theirs.is_some_and(|theirs| theirs == bytes);
    (bytes, packets, agreed)
}

/// tcpdump on a port that replays `file` writes the very file that tcpdump reading it writes.
fn writes_the_same(file: &Path, filter: &str, number: usize) -> (u64, bool) {
    let (expected, packets, agreed) = reference(file, filter, &format!("reference{number}.pcap"));
    let ours = TempFile::new(&format!("ours{number}.pcap"));
    let device = format!("dpdk:net_pcap0,rx_pcap={}", file.display());
    let child = listening(None, &device, filter, &ours);
    let wait = |ms| std::thread::sleep(Duration::from_millis(ms));
    let size = || std::fs::metadata(&ours.0).map_or(0, |file| file.len());
    let patience = Instant::now() + Duration::from_secs(20);
    while size() < expected.len() as u64 && Instant::now() < patience {
        wait(5);
    }
    // More than expected would come now.
    wait(100);
    let said = interrupt(child);
    assert!(said.contains("0 packets dropped by kernel"), "{filter}: {said}");
    let captured = format!("{packets} packet{} captured", if packets == 1 { "" } else { "s" });
    assert!(said.lines().any(|line| line == captured), "{filter}: {said}");
    assert!(std::fs::read(&ours.0).unwrap() == expected, "{filter}");
    (packets, agreed)
}

/// Filters that upstream recorded for Ethernet.
fn accepted_filters() -> Vec<String> {
    let data = include_str!("../conformance/accept.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
    let ethernet = cases.iter().filter(|case| case["DLT"] == "EN10MB");
    let filters = ethernet.flat_map(|case| case["filters"].as_array().unwrap());
    filters.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Ethernet frames of many protocols, of all sizes up to 1,600 bytes and some larger, among them
/// ones made for each of `filters` to accept, or nearly so.
fn mixed_file(filters: &[String]) -> TempFile {
    let mut rng = fuzz::Rng::new(0xd9d4);
    let mut frames = file_packets();
    for text in filters {
        let Some(program) = program(text) else { continue };
        let insns = program.insns().iter();
        let steps: Vec<fuzz::Insn> =
            insns.map(|i| fuzz::Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
        for _ in 0..6 {
            let base = fuzz::packets::build(&mut rng, 1);
            frames.push(fuzz::guided::steer(&steps, &base, &mut rng));
        }
    }
    for size in (14..1600).chain([2047, 2048, 2049, 4000, 9014, 16_000, 60_000]) {
        let mut frame = frames[rng.below(200) as usize].clone();
        frame.resize(size, 0);
        frames.push(frame);
    }
    frames.retain(|frame| !frame.is_empty());
    let stamped: Vec<(u32, u32, Vec<u8>)> = frames
        .into_iter()
        .zip(0u32..)
        .map(|(frame, n)| (1_700_000_000 + n, (n * 7919) % 1_000_000, frame))
        .collect();
    let file = TempFile::new("mixed.pcap");
    write_pcap(&file.0, &stamped);
    file
}

/// A process of its own whose /etc has the names that the recorded filters speak of.
#[test]
fn writes_what_reading_the_file_writes() {
    if library_dir().is_none() {
        return;
    }
    let etc = TempFile::new("etc");
    let script = "mkdir $1 && cp -a /etc/. $1 && cp $2/ethers $2/hosts $2/networks $1 && \
                  mount --bind $1 /etc && exec $3 --exact dpdk::tcpdump::child_every_filter \
                  --ignored --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&etc.0)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance"))
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&etc.0);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if err.contains("unshare") || err.contains("mount") {
        skip(format_args!("needs a mount namespace: {err}"));
        return;
    }
    assert!(output.status.success(), "{out}{err}");
    print!("{out}");
}

#[test]
#[ignore = "run by writes_what_reading_the_file_writes"]
fn child_every_filter() {
    library_dir().unwrap();
    let mut filters = accepted_filters();
    let extra = ["", "port 8888", "tcp port 80", "udp or icmp6", "tcp[tcpflags] & tcp-syn != 0"];
    filters.extend(extra.map(str::to_owned));
    let file = mixed_file(&filters);
    let next = AtomicUsize::new(0);
    let (written, telling) = (AtomicU64::new(0), AtomicUsize::new(0));
    let agreed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(filter) = filters.get(number) else { return };
                    let (packets, as_theirs) = writes_the_same(&file.0, filter, number);
                    agreed.fetch_add(usize::from(as_theirs), Ordering::Relaxed);
                    written.fetch_add(packets, Ordering::Relaxed);
                    telling.fetch_add(usize::from(packets > 0), Ordering::Relaxed);
                }
            });
        }
    });
    let (written, telling) = (written.into_inner(), telling.into_inner());
    let (count, agreed) = (filters.len(), agreed.into_inner());
    println!(
        "{count} filters, {telling} of them with packets, {written} packets written; \
         {agreed} as with the system's libpcap"
    );
    assert!(count > 170 && telling > 130 && agreed > 150);
}

/// Interrupted while packets never end: the summary is printed, and the file has every packet that
/// it counts.
#[test]
fn interrupted_under_full_load() {
    if library_dir().is_none() {
        return;
    }
    for (filter, some) in
        [("greater 60", true), ("greater 1000", false), ("ether[60000] = 1", false)]
    {
        let out = TempFile::new("load.pcap");
        let child = listening(None, "dpdk:net_null0,size=64", filter, &out);
        std::thread::sleep(Duration::from_millis(200));
        let said = interrupt(child);
        let counted = |what| {
            let line = said.lines().find(|line| line.contains(what)).expect(&said);
            line.split(' ').next().unwrap().parse::<u64>().unwrap()
        };
        let written = (std::fs::metadata(&out.0).unwrap().len() - 24) / (16 + 64);
        assert_eq!(counted("captured"), written, "{said}");
        assert_eq!(written > 0, some, "{said}");
        assert!(counted("received by filter") >= written && counted("dropped") == 0, "{said}");
        let read = Command::new("tcpdump").arg("-r").arg(&out.0).args(["-c", "1"]).output();
        assert!(read.unwrap().status.success());
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
