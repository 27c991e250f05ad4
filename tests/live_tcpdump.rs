//! The system's tcpdump capturing in network namespaces, on our library and on the system's at
//! the same time: they must tell the same of the same packets. Without root these are skipped, or fail in CI.

#[path = "live/netns.rs"]
mod netns;

use netns::{Sender, in_namespace, run, skip, tagged, udp, veth};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TCPDUMP: &str = "/usr/bin/tcpdump";

/// Directory with our library under the name that tcpdump is linked with: `OXPCAP_LIB_DIR`, or
/// one with the library of this build.
fn lib_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("OXPCAP_LIB_DIR") {
        return dir.into();
    }
    let exe = std::env::current_exe().unwrap();
    // Both are in target/<profile>/deps.
    let built = exe.with_file_name("libpcap.so");
    assert!(built.exists(), "{} is not there", built.display());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-tcpdump-lib");
    std::fs::create_dir_all(&dir).unwrap();
    let link = dir.join("libpcap.so.0.8");
    // Another test may have made it just now.
    let _ = std::os::unix::fs::symlink(built, &link);
    assert!(link.exists());
    dir
}

/// Whether a program is there; CI must have it.
fn is_there(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        skip(format_args!("{program} is not installed"));
    }
    there
}

/// A tcpdump that has said that it listens.
struct Tcpdump {
    child: Child,
    messages: BufReader<std::process::ChildStderr>,
    first: String,
}

impl Tcpdump {
    fn start(ours: bool, arguments: &[&str]) -> Self {
        // Passes signals on; a capture that gets too few packets must not last for ever.
        let mut command = Command::new("timeout");
        command.env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH");
        if ours {
            command.env("LD_LIBRARY_PATH", lib_dir());
        }
        command.args(["15", TCPDUMP, "-n", "-Z", "root"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        // Ends at the end of file too: then tcpdump has failed, and the messages say why.
        while !first.contains("listening on") && messages.read_line(&mut first).unwrap() > 0 {}
        Self { child, messages, first }
    }

    /// What it printed: packets, and messages.
    fn finish(mut self) -> (String, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.messages.read_to_string(&mut self.first).unwrap();
        self.child.wait().unwrap();
        (out, self.first)
    }
}

/// Runs both with the same arguments until each has seen what `-c` says, while `send` sends.
fn compare(arguments: &str, send: impl Fn()) -> [(String, String); 2] {
    let arguments: Vec<_> = arguments.split(' ').collect();
    let both = [true, false].map(|ours| Tcpdump::start(ours, &arguments));
    send();
    let both = both.map(Tcpdump::finish);
    assert_eq!(both[0].0, both[1].0, "{arguments:?}");
    // The counts of packets received depend on when each looks, and libpcap 1.10.4 and later
    // warn of what 1.10.3 is silent about; the other lines are the same.
    let differ = ["received by filter", "promiscuous mode", "Promiscuous mode"];
    let lines = |text: &str| {
        let same = |line: &&str| !differ.iter().any(|d| line.contains(d));
        text.lines().filter(same).map(String::from).collect()
    };
    let messages: [Vec<String>; 2] = [lines(&both[0].1), lines(&both[1].1)];
    assert_eq!(messages[0], messages[1], "{arguments:?}");
    both
}

/// Packets in tcpdump's output: lines that go on with one are indented.
fn packets_in(out: &str) -> usize {
    out.lines().filter(|l| !l.starts_with('\t') && !l.starts_with("    ")).count()
}

/// libpcap's userland filter, which runs on the first packets, does not know the direction of a
/// packet and rejects them: only ours can be tried.
#[test]
fn filters_by_direction() {
    in_namespace("inbound", || {
        if !is_there(TCPDUMP) {
            return;
        }
        veth("va", "vb");
        for (arguments, packets) in [
            ("-i va -te -c 10 inbound", 10),
            ("-i va -te -c 2 outbound", 2),
            ("-i any -tex -y LINUX_SLL -c 12 inbound", 12),
            ("-i any -tex -y LINUX_SLL2 -c 12 outbound", 12),
        ] {
            let tcpdump = Tcpdump::start(true, &arguments.split(' ').collect::<Vec<_>>());
            traffic();
            let (out, messages) = tcpdump.finish();
            let lines = packets_in(&out);
            assert_eq!(lines, packets, "{arguments}: {out}{messages}");
        }
    });
}

fn traffic() {
    let (a, b) = (Sender::on("va"), Sender::on("vb"));
    for n in 0..12u32 {
        let frame = udp(n, 53 + (n % 3) as u16, n as usize * 40);
        let frame = match n % 4 {
            0 => tagged(&frame, 0x8100, 5),
            1 => tagged(&frame, 0x88a8, 0x2005),
            _ => frame,
        };
        if n % 5 == 4 { a.send(&frame) } else { b.send(&frame) }
    }
}

#[test]
fn prints_the_same() {
    in_namespace("tcpdump", || {
        if !is_there(TCPDUMP) {
            return;
        }
        veth("va", "vb");
        for (arguments, packets) in [
            ("-i va -te -c 12", 12),
            ("-i va -tevv -c 12 --immediate-mode", 12),
            ("-i va -texx -s 60 -c 12", 12),
            ("-i va -texx -s 60 -c 12 -B 65536", 12),
            ("-i va -te -c 6 vlan 5", 6),
            ("-i va -te -c 6 not vlan", 6),
            ("-i va -te -c 2 udp port 54 and not vlan", 2),
            ("-i va -te -Q in -c 10", 10),
            ("-i va -te -Q out -c 2", 2),
            ("-i any -te -c 24", 24),
            ("-i any -te -y LINUX_SLL2 -c 24", 24),
            ("-i any -te -y LINUX_SLL -c 4 udp dst port 54 and greater 300", 4),
            ("-i any -te -y LINUX_SLL2 -c 4 udp dst port 54 and greater 300", 4),
            ("-i va -te -c 5 greater 300", 5),
        ] {
            let [(out, _), _] = compare(arguments, traffic);
            let lines = packets_in(&out);
            assert_eq!(lines, packets, "{arguments}: {out}");
        }
    });
}

#[test]
fn writes_the_same() {
    in_namespace("write", || {
        if !is_there(TCPDUMP) {
            return;
        }
        veth("va", "vb");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let files = ["ours", "them"].map(|n| dir.join(format!("{n}-{}.pcap", std::process::id())));
        for extra in ["", "--time-stamp-precision=nano", "-s 100", "-p --immediate-mode"] {
            let both = [true, false].map(|ours| {
                let file = files[usize::from(!ours)].to_str().unwrap();
                let mut arguments = vec!["-i", "va", "-c", "12", "-w", file];
                arguments.extend(extra.split_whitespace());
                Tcpdump::start(ours, &arguments)
            });
            traffic();
            let both = both.map(|t| t.finish().1);
            let [ours, theirs] =
                files.each_ref().map(|f| without_times(&std::fs::read(f).unwrap()));
            assert!(ours == theirs && ours.len() > 24, "{extra}: {both:?}");
        }
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    });
}

/// A savefile without its time stamps: each capture has its own.
fn without_times(file: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (file[..24].to_vec(), &file[24..]);
    while let Some((header, more)) = rest.split_at_checked(16) {
        let caplen = u32::from_ne_bytes(header[8..12].try_into().unwrap()) as usize;
        out.extend(&header[8..]);
        out.extend(&more[..caplen]);
        rest = &more[caplen..];
    }
    out
}

/// The system calls that make a capture, in libpcap's order, with the program libpcap has.
#[test]
fn system_calls() {
    in_namespace("strace", || {
        if !is_there(TCPDUMP) || !is_there("/usr/bin/strace") {
            return;
        }
        veth("va", "vb");
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("strace-{}.txt", std::process::id()));
        let mut strace = Command::new("/usr/bin/strace")
            .args(["-f", "-e", "trace=socket,setsockopt,mmap,bind,poll", "-E"])
            .arg(format!("LD_LIBRARY_PATH={}", lib_dir().display()))
            .arg("-o")
            .arg(&trace)
            .args([TCPDUMP, "-Z", "root", "-c", "1", "-i", "va", "port 8888"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(strace.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("listening on") && messages.read_line(&mut text).unwrap() > 0 {}
        Sender::on("vb").send(&udp(0, 8888, 0));
        messages.read_to_string(&mut text).unwrap();
        assert!(strace.wait().unwrap().success(), "{text}");
        let calls = std::fs::read_to_string(&trace).unwrap();
        std::fs::remove_file(&trace).unwrap();
        let expected = [
            "socket(AF_PACKET, SOCK_RAW",
            "PACKET_ADD_MEMBERSHIP, {mr_ifindex=if_nametoindex(\"va\"), mr_type=PACKET_MR_PROMISC",
            "PACKET_AUXDATA, [1]",
            "PACKET_VERSION, [2]",
            "PACKET_RX_RING",
            "MAP_SHARED",
            "sll_protocol=htons(ETH_P_ALL), sll_ifindex=if_nametoindex(\"va\")",
            "SO_ATTACH_FILTER, {len=1,",
            "SO_ATTACH_FILTER, {len=24,",
            "poll(",
        ];
        let mut lines = calls.lines();
        for call in expected {
            let found = lines.any(|line| line.contains(call));
            assert!(found, "no {call} in its place:\n{calls}");
        }
    });
}

/// The same devices in the same order, but for USB's.
#[test]
fn lists_the_same_devices() {
    in_namespace("devices", || {
        if !is_there(TCPDUMP) {
            return;
        }
        veth("va", "vb");
        run("ip addr add 10.9.8.7/24 dev va");
        run("ip link add vc type veth peer name vd");
        run("ip link set vc up");
        run("ip tuntap add dev t0 mode tun");
        let list = |ours: bool| {
            let mut command = Command::new(TCPDUMP);
            command.arg("-D").env_remove("LD_LIBRARY_PATH");
            if ours {
                command.env("LD_LIBRARY_PATH", lib_dir());
            }
            let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
            // Needs usbmon in the kernel, which network namespaces do not hide.
            let missing = ["usbmon"];
            out.lines()
                .map(|line| line.split_once('.').unwrap().1.to_owned())
                .filter(|line| ours || !missing.iter().any(|name| line.starts_with(name)))
                .collect::<Vec<_>>()
        };
        let (ours, theirs) = (list(true), list(false));
        assert_eq!(ours, theirs);
        assert!(ours.len() >= 8, "{ours:?}");
    });
}

/// Killed while it waits, tcpdump ends as it does on the system's library: pcap_breakloop from a
/// signal handler.
#[test]
fn a_signal_ends_it() {
    in_namespace("kill", || {
        if !is_there(TCPDUMP) {
            return;
        }
        veth("va", "vb");
        let tcpdump = Tcpdump::start(true, &["-i", "va"]);
        std::thread::sleep(Duration::from_millis(100));
        // SAFETY: a child of this test.
        unsafe { libc::kill(tcpdump.child.id() as i32, libc::SIGINT) };
        let (out, messages) = tcpdump.finish();
        assert_eq!(out.trim(), "");
        assert!(messages.contains("0 packets captured"), "{messages}");
    });
}
