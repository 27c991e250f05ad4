//! The example examples/c/protocol_counters.c, built and run on packets that are known. Needs a C
//! compiler; without root it is skipped, or fails in CI.

#[path = "live/netns.rs"]
mod netns;

use netns::{Sender, in_namespace, veth};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A new directory with the example and the library of this build in it.
struct Built(PathBuf);

impl Built {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("protocol_counters.{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let exe = std::env::current_exe().expect("path of this test");
        let library = exe.with_file_name("libpcap.so");
        for name in ["libpcap.so", "libpcap.so.0.8", "libpcap.so.1"] {
            std::os::unix::fs::symlink(&library, dir.join(name)).expect("link the library");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-I"])
            .arg(root.join("include"))
            .arg(root.join("examples/c/protocol_counters.c"))
            .arg("-o")
            .arg(dir.join("protocol_counters"))
            .arg("-L")
            .arg(&dir)
            .arg("-lpcap")
            .status()
            .expect("a C compiler");
        assert!(status.success());
        Self(dir)
    }

    /// What it prints after it saw `frames`, and its words on the filter.
    fn count(&self, how: &str, frames: &[Vec<u8>]) -> (String, String) {
        let mut child = Command::new(self.0.join("protocol_counters"))
            .args([how, "va", "1.5"])
            .env("LD_LIBRARY_PATH", &self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run the example");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        stdout.read_line(&mut ready).expect("read");
        if ready == "ready\n" {
            let sender = Sender::on("vb");
            frames.iter().for_each(|frame| sender.send(frame));
        }
        let (mut counts, mut words) = (String::new(), String::new());
        stdout.read_to_string(&mut counts).expect("read");
        child.stderr.take().expect("piped").read_to_string(&mut words).expect("read");
        assert!(child.wait().expect("wait").success(), "{ready}{words}");
        (counts, words)
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An Ethernet frame of `len` bytes with an IPv4 header.
fn frame(protocol: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0]);
    frame.extend((len as u16 - 14).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.resize(len, 0);
    frame
}

#[test]
fn both_ways_count_the_same() {
    in_namespace("counters", || {
        veth("va", "vb");
        let built = Built::new();
        let mut frames = vec![frame(1, 98); 3];
        frames.extend(vec![frame(6, 60); 100]);
        frames.extend(vec![frame(17, 1400); 50]);
        let mut arp = frame(6, 60);
        arp[13] = 6;
        frames.push(arp);
        let expected = "icmp 294\ntcp 6000\nudp 70000\n";
        let (counts, words) = built.count("-f", &frames);
        assert_eq!((counts.as_str(), words.as_str()), (expected, "filter: no filter\n"));
        let (counts, words) = built.count("-e", &frames);
        assert_eq!(counts, expected);
        assert_eq!(words, "filter: in the kernel, as eBPF: the program supplied its own\n");
    });
}
