//! C programs that have DPDK of their own, compiled here; and taps on a running program.

use super::setup::{TempFile, library_dir};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EAL: [&str; 7] =
    ["--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=4"];

/// Compiles `source` against this library and DPDK; `None`, loudly, where there is no compiler.
pub fn compiled(source: &str, name: &str, arguments: &[&str]) -> Option<TempFile> {
    let library = library_dir()?;
    let flags = |what: &str| {
        let output = Command::new("pkg-config").args([what, "libdpdk"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (Some(cflags), Some(libs)) = (flags("--cflags"), flags("--libs")) else {
        eprintln!("SKIPPED: needs pkg-config and libdpdk-dev");
        return None;
    };
    let program = TempFile::new(name);
    let output = Command::new("cc")
        .args(["-O1", "-Wall"])
        .args(arguments)
        .arg("-o")
        .arg(&program.0)
        .arg(format!("{ROOT}/{source}"))
        .arg(format!("-I{ROOT}/include"))
        .args(cflags.split_whitespace())
        .arg(library.join("libpcap.so.0.8"))
        .args(libs.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

fn run(program: &TempFile, arguments: &[&str]) -> String {
    let library = library_dir().unwrap();
    let output = Command::new(&program.0)
        .args(EAL)
        .args(arguments)
        .env("LD_LIBRARY_PATH", &library)
        .env("PCAP_PLUGIN_DIR", &library)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_program_with_its_own_eal() {
    let Some(program) = compiled("tests/dpdk/host.c", "host", &[]) else { return };
    let said = run(&program, &["--vdev=net_null0,size=64", "--vdev=net_null1,size=70"]);
    assert_eq!(said.trim(), "ok");
}

#[test]
fn the_example_in_its_three_ways() {
    let Some(program) = compiled("examples/c/dpdk_filter.c", "dpdk_filter", &[]) else { return };
    let device = format!("--vdev=net_pcap0,rx_pcap={ROOT}/tests/clients/data/mixed.pcap");
    for (way, filter, accepted) in [
        ("burst", "tcp port 80", 38),
        ("burst", "tcp[13] = 2", 8),
        ("ebpf", "tcp port 80", 38),
        ("ebpf", "tcp[13] = 2", 8),
        ("convert", "tcp port 80", 38),
    ] {
        let said = run(&program, &[&device, "--", "-w", way, "-n", "225", filter]);
        assert_eq!(said.trim(), format!("225 packets, {accepted} accepted"), "{way} {filter}");
    }
}

/// dpdk-testpmd receiving from net_null, on huge pages of a mount of its own.
struct Testpmd {
    process: Child,
    prefix: String,
    huge: TempFile,
}

impl Testpmd {
    /// `None`, loudly, where testpmd, root or free huge pages lack.
    fn start() -> Option<Self> {
        let free =
            std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
        let free: u32 = free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if free < 64 || Command::new("dpdk-testpmd").arg("--version").output().is_err() {
            eprintln!("SKIPPED: needs dpdk-testpmd and 64 free huge pages of 2 MB, has {free}");
            return None;
        }
        let huge = TempFile::new("huge");
        std::fs::create_dir(&huge.0).ok()?;
        let mount = ["-t", "hugetlbfs", "nodev", huge.0.to_str()?];
        if !Command::new("mount").args(mount).status().ok()?.success() {
            eprintln!("SKIPPED: cannot mount hugetlbfs");
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
        let mut testpmd = Self { process, prefix, huge };
        testpmd.process.stdin.as_mut()?.write_all(b"start\n").ok()?;
        std::thread::sleep(Duration::from_secs(3));
        Some(testpmd)
    }

    /// Runs tcpdump on its port until `count` packets came or `seconds` are over.
    fn tap(&self, filter: &str, count: u32, seconds: u32) -> String {
        let child = self.tapping(filter, count);
        let end = Instant::now() + Duration::from_secs(seconds.into());
        finished(child, end)
    }

    fn tapping(&self, filter: &str, count: u32) -> Child {
        let library = library_dir().unwrap();
        Command::new("tcpdump")
            .args(["-Z", "root", "-nn", "-w", "/dev/null", "-c", &count.to_string(), "-i"])
            .arg(format!("dpdk-pdump:{}/0", self.prefix))
            .arg(filter)
            .env("LD_LIBRARY_PATH", &library)
            .env("PCAP_PLUGIN_DIR", &library)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
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
    let said = testpmd.tap("", 500, 10);
    assert!(said.contains("500 packets captured"), "{said}");
    // The filter runs in testpmd: nothing matches, then everything.
    let said = testpmd.tap("tcp port 80", 1, 2);
    assert!(said.contains("\n0 packets captured") && said.contains("0 packets dropped"), "{said}");
    let said = testpmd.tap("len = 128", 500, 10);
    assert!(said.contains("500 packets captured"), "{said}");
    // A tap that is killed does not keep the next one out, nor bring testpmd down.
    let mut killed = testpmd.tapping("", 1_000_000_000);
    std::thread::sleep(Duration::from_secs(2));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let said = testpmd.tap("", 500, 10);
    assert!(said.contains("500 packets captured"), "{said}");
    assert!(testpmd.alive());
    // The program dies: the tap says so and ends.
    let tap = testpmd.tapping("tcp port 80", 1);
    std::thread::sleep(Duration::from_secs(2));
    testpmd.process.kill().unwrap();
    testpmd.process.wait().unwrap();
    let said = finished(tap, Instant::now() + Duration::from_secs(10));
    assert!(said.contains("has ended"), "{said}");
}
