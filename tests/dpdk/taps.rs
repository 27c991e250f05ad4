//! Taps on a running DPDK program.

use super::huge::HugePages;
use super::setup::{TempFile, library_dir, say_skipped, skip};
use std::io::{BufRead, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// dpdk-testpmd receiving from net_null, on huge pages of a mount of its own.
struct Testpmd {
    process: Child,
    prefix: String,
    huge: TempFile,
    _pages: HugePages,
}

impl Testpmd {
    /// `None` where testpmd, root or free huge pages lack.
    fn start() -> Option<Self> {
        if Command::new("dpdk-testpmd").arg("--version").output().is_err() {
            skip("needs dpdk-testpmd");
            return None;
        }
        let pages = HugePages::at_least(200)?;
        let huge = TempFile::new("huge");
        std::fs::create_dir(&huge.0).ok()?;
        let mount = ["-t", "hugetlbfs", "nodev", huge.0.to_str()?];
        if !Command::new("mount").args(mount).status().ok()?.success() {
            say_skipped("cannot mount hugetlbfs");
            return None;
        }
        let prefix = format!("oxd{}", std::process::id());
        let process = Command::new("dpdk-testpmd")
            .arg(format!("--huge-dir={}", huge.0.display()))
            .arg(format!("--file-prefix={prefix}"))
            .args(["-m", "100", "--no-pci", "--no-telemetry", "--lcores", "0@0,1@0"])
            .args(["--vdev=net_null0,size=128", "--", "-i", "--total-num-mbufs=8192"])
            .arg("--forward-mode=rxonly")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut testpmd = Self { process, prefix, huge, _pages: pages };
        testpmd.process.stdin.as_mut()?.write_all(b"start\n").ok()?;
        std::thread::sleep(Duration::from_secs(3));
        Some(testpmd)
    }

    /// Runs tcpdump on its port until `count` packets came or `seconds` are over.
    fn tap(&self, filter: &str, count: u32, seconds: u32) -> String {
        let child = self.tapping(filter, count, &[]);
        let end = Instant::now() + Duration::from_secs(seconds.into());
        finished(child, end)
    }

    fn tapping(&self, filter: &str, count: u32, variables: &[(&str, &str)]) -> Child {
        let library = library_dir().unwrap();
        Command::new("tcpdump")
            .args(["-Z", "root", "-nn", "-w", "/dev/null", "-c", &count.to_string(), "-i"])
            .arg(format!("dpdk-pdump:{}/0", self.prefix))
            .arg(filter)
            .env("LD_LIBRARY_PATH", &library)
            .env("PCAP_PLUGIN_DIR", &library)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A tap that is there: killed while it attaches, it would leave DPDK's locks taken.
    fn listening(&self, filter: &str, count: u32) -> Child {
        let mut child = self.tapping(filter, count, &[]);
        let mut line = String::new();
        let mut stderr = std::io::BufReader::with_capacity(1, child.stderr.as_mut().unwrap());
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("listening on"), "{line}");
        std::thread::sleep(Duration::from_millis(200));
        child
    }

    fn alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = Command::new("umount").arg(&self.huge.0).status();
        let _ = std::fs::remove_dir(&self.huge.0);
        let _ = std::fs::remove_dir_all(format!("/var/run/dpdk/{}", self.prefix));
    }
}

/// What a tcpdump says, interrupted if it runs at `end`.
fn finished(mut child: Child, end: Instant) -> String {
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            // SAFETY: a child of ours that was not waited for yet.
            unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned()
}

#[test]
fn taps_on_testpmd() {
    if library_dir().is_none() {
        return;
    }
    let Some(mut testpmd) = Testpmd::start() else { return };
    let said = testpmd.tap("", 500, 30);
    assert!(said.contains("500 packets captured"), "{said}");
    // The filter runs in testpmd: nothing matches, then everything.
    let none = testpmd.listening("tcp port 80", 1);
    std::thread::sleep(Duration::from_secs(1));
    let said = finished(none, Instant::now());
    assert!(said.starts_with("0 packets captured") && said.contains("0 packets dropped"), "{said}");
    let said = testpmd.tap("len = 128", 500, 30);
    assert!(said.contains("500 packets captured"), "{said}");
    // Pools whose driver has another place in this process' table are noticed; above they were
    // put in order by loading what testpmd is linked with.
    let mixed =
        testpmd.tapping("", 10, &[("PCAPX_DPDK_POOL_DRIVERS", "librte_mempool_stack.so.23")]);
    let said = finished(mixed, Instant::now() + Duration::from_secs(30));
    assert!(said.contains("has other mempool drivers, in another order"), "{said}");
    assert!(said.contains("PCAPX_DPDK_POOL_DRIVERS"), "{said}");
    // One tap a port.
    let mut first = testpmd.listening("greater 1000", 1);
    let said = testpmd.tap("", 1, 30);
    assert!(said.contains("tapped by another process"), "{said}");
    assert!(first.try_wait().unwrap().is_none());
    finished(first, Instant::now());
    // A tap that is killed does not keep the next one out, nor bring testpmd down.
    let mut killed = testpmd.listening("", 1_000_000_000);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let said = testpmd.tap("", 500, 30);
    assert!(said.contains("500 packets captured"), "{said}");
    assert!(testpmd.alive());
    // The program dies: the tap says so and ends.
    let tap = testpmd.listening("tcp port 80", 1);
    testpmd.process.kill().unwrap();
    testpmd.process.wait().unwrap();
    let said = finished(tap, Instant::now() + Duration::from_secs(30));
    assert!(said.contains("has ended"), "{said}");
}
