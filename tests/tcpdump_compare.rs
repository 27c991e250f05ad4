//! The system's tcpdump on our library and on the system's: same output, same messages, same
//! exit status, same files, for every savefile in tests/pcaps.
//!
//! `OXPCAP_LIB_DIR` names a directory with our libpcap.so.0.8; else the library of this build is
//! used. Needs no privileges.

#[path = "support/skip.rs"]
mod skip;

use skip::skip;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const TCPDUMP: &str = "/usr/bin/tcpdump";

const FILTERS: [&str; 14] = [
    "ip",
    "not ip6",
    "tcp port 80 or udp port 53",
    "icmp or arp",
    "host 192.168.1.1 or net 10.0.0.0/8",
    "ip6 and not tcp",
    "portrange 1-1023",
    "greater 100 and less 1000",
    "ip[8] < 10 or ip6[7] > 60",
    "vlan and ip",
    "mpls or pppoes",
    "ether broadcast or multicast",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "len - 14 > 0x40 and proto 17",
];

/// RFC 1051's protocol numbers, which newer versions of libpcap no longer look for
/// (docs/COMPAT.md).
const OLD_ARCNET: &str = "arcnet-rfc1051-arp-icmp-http.pcap";

/// A place with both libraries' way of running tcpdump.
struct Compare {
    /// For LD_LIBRARY_PATH.
    lib_dir: PathBuf,
    /// Two directories of the same name length, for what tcpdump writes.
    work_dirs: [PathBuf; 2],
}

impl Compare {
    fn new(name: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("tcpdump-{name}-{}", std::process::id()));
        let work_dirs = ["ours", "them"].map(|d| base.join(d));
        for dir in &work_dirs {
            std::fs::create_dir_all(dir).expect("a directory to work in");
        }
        Self { lib_dir: lib_dir(&base), work_dirs }
    }

    /// tcpdump on our library, and on the system's.
    fn run(&self, arguments: &[&str]) -> [Output; 2] {
        [0, 1].map(|side| {
            let mut command = Command::new(TCPDUMP);
            command.current_dir(&self.work_dirs[side]).args(arguments).env("TZ", "UTC");
            // SAFETY: asks for a number.
            if unsafe { libc::geteuid() } == 0 {
                // Keeps the right to write here.
                command.args(["-Z", "root"]);
            }
            command.env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH");
            if side == 0 {
                command.env("LD_LIBRARY_PATH", &self.lib_dir);
            }
            command.output().expect("run tcpdump")
        })
    }

    fn written(&self) -> [Option<Vec<u8>>; 2] {
        [0, 1].map(|side| {
            let file = self.work_dirs[side].join("written");
            let contents = std::fs::read(&file).ok();
            let _ = std::fs::remove_file(file);
            contents
        })
    }
}

impl Drop for Compare {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.work_dirs[0].parent().expect("a base directory"));
    }
}

/// Directory with our library under the name that tcpdump is linked with.
fn lib_dir(base: &Path) -> PathBuf {
    if let Some(dir) = std::env::var_os("OXPCAP_LIB_DIR") {
        return dir.into();
    }
    let exe = std::env::current_exe().expect("path of this test");
    // Both are in target/<profile>/deps.
    let built = exe.with_file_name("libpcap.so");
    assert!(built.exists(), "{} is not there", built.display());
    let dir = base.join("lib");
    std::fs::create_dir_all(&dir).expect("a directory for the library");
    std::os::unix::fs::symlink(built, dir.join("libpcap.so.0.8")).expect("link the library");
    dir
}

fn pcaps() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("tests/pcaps")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e != "md"))
        .collect();
    files.sort();
    assert!(files.len() > 400, "tests/pcaps is not complete");
    files
}

/// Whether tcpdump is there; CI must have it.
fn tcpdump_is_there() -> bool {
    let there = Path::new(TCPDUMP).exists();
    if !there {
        skip(format_args!("{TCPDUMP} is not installed"));
    }
    there
}

fn differences(path: &Path, arguments: &[&str], [ours, theirs]: &[Output; 2]) -> Vec<String> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    let mut note = |what: &str, ours: &[u8], theirs: &[u8]| {
        let text = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(1500)]).into_owned();
        let (ours, theirs) = (text(ours), text(theirs));
        found.push(format!("{name} {arguments:?}: {what}\n  ours: {ours}\n  them: {theirs}"));
    };
    if ours.stdout != theirs.stdout {
        note("output", &ours.stdout, &theirs.stdout);
    }
    if ours.stderr != theirs.stderr {
        note("messages", &ours.stderr, &theirs.stderr);
    }
    if ours.status != theirs.status {
        note("status", ours.status.to_string().as_bytes(), theirs.status.to_string().as_bytes());
    }
    found
}

/// Runs `check` on every file, on both processors.
fn for_every_file(name: &str, check: impl Fn(&Compare, &Path) -> Vec<String> + Sync) {
    if !tcpdump_is_there() {
        return;
    }
    let files = pcaps();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (files, next, found, check) = (&files, &next, &found, &check);
            scope.spawn(move || {
                // Name look-ups stay on this machine, where we may see to that: the namespace is
                // this thread's and its children's.
                // SAFETY: no pointers.
                unsafe { libc::unshare(libc::CLONE_NEWNET) };
                let compare = Compare::new(&format!("{name}{thread}"));
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found.lock().expect("no panic").extend(check(&compare, path));
                }
            });
        }
    });
    let found = found.into_inner().expect("no panic");
    let shown: Vec<_> = found.iter().take(10).map(String::as_str).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), shown.join("\n"));
}

fn file_name(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII letters")
}

#[test]
fn our_library_is_the_one_loaded() {
    if !tcpdump_is_there() {
        return;
    }
    let compare = Compare::new("version");
    let [ours, theirs] = compare.run(&["--version"]);
    let text =
        |o: &Output| String::from_utf8_lossy(&[&o.stdout[..], &o.stderr[..]].concat()).into_owned();
    assert!(text(&ours).to_lowercase().contains("oxpcap"), "{}", text(&ours));
    assert!(!text(&theirs).to_lowercase().contains("oxpcap"), "{}", text(&theirs));
}

#[test]
fn plain() {
    for_every_file("plain", |compare, path| {
        let arguments = ["-r", file_name(path)];
        differences(path, &arguments, &compare.run(&arguments))
    });
}

#[test]
fn verbose_with_bytes() {
    for_every_file("verbose", |compare, path| {
        let arguments = ["-nevvX", "-r", file_name(path)];
        differences(path, &arguments, &compare.run(&arguments))
    });
}

/// Whether tcpdump gave up before the first packet.
fn refused(output: &Output) -> bool {
    output.status.code() == Some(1) && output.stdout.is_empty()
}

/// Filters that the system's libpcap takes for the file's link-layer type. Ours follows a newer
/// one, which takes more; it must not take less.
#[test]
fn filtered() {
    let (both, newer) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_every_file("filtered", |compare, path| {
        if path.ends_with(OLD_ARCNET) {
            return Vec::new();
        }
        if refused(&compare.run(&["-nt", "-r", file_name(path)])[1]) {
            // A broken file: `plain` has seen to it.
            return Vec::new();
        }
        let one = |filter: &str| {
            let arguments = ["-nt", "-r", file_name(path), filter];
            let results = compare.run(&arguments);
            // No packet that matches before the place where the file is broken looks the same.
            let broken = String::from_utf8_lossy(&results[1].stderr).contains("dump file");
            if refused(&results[1]) && !broken {
                newer.fetch_add(1, Ordering::Relaxed);
                return Vec::new();
            }
            both.fetch_add(1, Ordering::Relaxed);
            differences(path, &arguments, &results)
        };
        FILTERS.into_iter().flat_map(one).collect()
    });
    let (both, newer) = (both.into_inner(), newer.into_inner());
    println!("{both} runs with a filter, {newer} where the system's libpcap has no such filter");
    assert!(both > 6 * newer || !Path::new(TCPDUMP).exists(), "{both} {newer}");
}

#[test]
fn rewritten() {
    for_every_file("rewritten", |compare, path| {
        let mut found = Vec::new();
        for (arguments, nano) in [(["-w", "written"], false), (["-w", "-"], true)] {
            let mut all = vec!["-r", file_name(path), arguments[0], arguments[1]];
            all.extend(nano.then_some("--nano"));
            found.extend(differences(path, &all, &compare.run(&all)));
            let [ours, theirs] = compare.written();
            if ours != theirs {
                found.push(format!("{}: written differently", path.display()));
            }
        }
        found
    });
}
