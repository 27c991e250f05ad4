//! Live capture, as ratios against the system's libpcap.
//!
//! One C program (capture.c) runs on either library in turn and captures what this program sends
//! over a veth pair in a network namespace of its own. Two things are measured: reading packets
//! that wait in the buffer, and what the capture costs the kernel for each packet, as processor
//! time of the sender, in which veth does the receiving work. Rounds alternate; medians are
//! compared. Needs root, gcc and libpcap's headers.
//!
//!     cargo bench --bench capture

#[path = "../tests/live/netns.rs"]
mod netns;

use netns::{Sender, in_namespace, udp, veth};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PACKETS: usize = 100_000;
const ROUNDS: usize = 11;

/// What is captured, and how.
struct Case {
    name: &'static str,
    device: &'static str,
    how: &'static str,
    filter: &'static str,
}

const CASES: [Case; 6] = [
    Case { name: "pcap_loop, TPACKET_V3", device: "va", how: "loop", filter: "" },
    Case { name: "pcap_loop, filter", device: "va", how: "loop", filter: "udp port 53" },
    Case { name: "pcap_next_ex", device: "va", how: "next", filter: "" },
    Case { name: "immediate mode, TPACKET_V2", device: "va", how: "immediate", filter: "" },
    Case { name: "any, cooked v1", device: "any", how: "loop", filter: "inbound" },
    Case {
        name: "long filter",
        device: "va",
        how: "loop",
        filter: "tcp port 80 or tcp port 443 or icmp or arp or host 192.0.2.1 or udp port 53",
    },
];

fn main() {
    in_namespace("bench", || {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-capture");
        std::fs::create_dir_all(&dir).expect("a directory");
        let program = compile(&dir);
        let ours = lib_dir(&dir);
        veth("va", "vb");
        println!(
            "{PACKETS} packets of 106 bytes, snapshot length 256, buffer 64 MiB, medians of {ROUNDS}\n"
        );
        println!("| case | reading, ns | libpcap | ratio | kernel, ns | libpcap | ratio |");
        println!("|---|---|---|---|---|---|---|");
        for case in &CASES {
            measure(case, &program, &ours);
        }
        let mut idle: Vec<_> = (0..ROUNDS).map(|_| send()).collect();
        println!("\nSending without a capture: {:.0} ns a packet.", median(&mut idle));
    });
}

/// Nanoseconds a packet: reading, and in the kernel.
type Cost = (f64, f64);

fn measure(case: &Case, program: &Path, ours: &Path) {
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS * 2 {
        let side = (round + round / 2) % 2;
        costs[side].push(run(case, program, (side == 0).then_some(ours)));
    }
    let medians = costs.map(|costs| {
        let part = |f: fn(&Cost) -> f64| median(&mut costs.iter().map(f).collect::<Vec<_>>());
        (part(|c| c.0), part(|c| c.1))
    });
    let [(read, kernel), (their_read, their_kernel)] = medians;
    println!(
        "| {} | {read:.1} | {their_read:.1} | {:.2} | {kernel:.0} | {their_kernel:.0} | {:.2} |",
        case.name,
        their_read / read,
        their_kernel / kernel
    );
}

fn run(case: &Case, program: &Path, lib_dir: Option<&Path>) -> Cost {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    if let Some(dir) = lib_dir {
        command.env("LD_LIBRARY_PATH", dir);
    }
    let count = PACKETS;
    command.args([case.device, &count.to_string(), case.how, case.filter]);
    let mut child: Child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run the C program");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let kernel = send();
    // The last block is handed over when its time is up.
    std::thread::sleep(std::time::Duration::from_millis(30));
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("write");
    line.clear();
    out.read_line(&mut line).expect("a line");
    child.wait().expect("its end");
    let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    assert_eq!(numbers[4], 0, "packets were dropped");
    (numbers[1] as f64 / count as f64, kernel)
}

/// Sends the packets; nanoseconds of processor time for each.
fn send() -> f64 {
    let sender = Sender::on("vb");
    let frame = udp(0, 53, 60);
    let before = cpu_time();
    (0..PACKETS).for_each(|_| sender.send(&frame));
    (cpu_time() - before) as f64 / PACKETS as f64
}

/// Nanoseconds of processor time of this thread.
fn cpu_time() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compile(dir: &Path) -> PathBuf {
    let program = dir.join("capture");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/capture.c");
    let status = Command::new("gcc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .arg("-lpcap")
        .status()
        .expect("gcc");
    assert!(status.success(), "capture.c does not compile");
    program
}

/// Directory with our library under the name that the program is linked with.
fn lib_dir(dir: &Path) -> PathBuf {
    if let Some(dir) = std::env::var_os("OXPCAP_LIB_DIR") {
        return dir.into();
    }
    let exe = std::env::current_exe().expect("path of this program");
    let link = dir.join("libpcap.so.0.8");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(exe.with_file_name("libpcap.so"), &link).expect("link the library");
    dir.to_owned()
}
