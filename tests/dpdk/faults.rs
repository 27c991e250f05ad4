//! What goes wrong, in a process of its own where the EAL's state matters.

use super::huge::HugePages;
use super::setup::{TempFile, config, plugin_dir, refused};
use super::tcpdump::{interrupt, listening_with};
use pcap::capture::open;
use std::path::Path;
use std::process::{Command, Output};

/// Runs one of this program's ignored tests in a process of its own.
fn child(test: &str, variables: &[(&str, &str)]) -> Output {
    child_in(None, &format!("faults::{test}"), variables)
}

/// The same, in a network namespace.
pub fn child_in(namespace: Option<&str>, test: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut command = match namespace {
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["--exact", &format!("dpdk::{test}"), "--ignored", "--nocapture", "-q"]);
    command.envs(variables.iter().copied()).output().unwrap()
}

/// The child's test passed, and nothing but the test harness wrote anything.
pub fn quiet_success(output: &Output) {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err, "");
    let noise: Vec<&str> = out
        .lines()
        .filter(|l| {
            !l.is_empty()
                && !l.starts_with("running 1 test")
                && !l.starts_with("test result: ok. 1 passed")
                && *l != "."
        })
        .collect();
    assert!(noise.is_empty(), "{noise:?}");
}

#[test]
fn wrong_names() {
    if plugin_dir().is_none() {
        return;
    }
    for (device, text) in [
        ("dpdk:", "is missing"),
        ("dpdk:77", "there is no DPDK port 77"),
        ("dpdk:net_nosuch0", "cannot make the device net_nosuch0"),
        ("dpdk:net_pcap6,rx_pcap=/nonexistent", "cannot make the device net_pcap6"),
        ("dpdk:net_pcap6,wrong=1", "cannot make the device net_pcap6"),
        ("dpdk:0000:ff:1f.7", "0000:ff:1f.7"),
        ("dpdk:net_pcap6,iface=dpdk:net_null0", "on top of another"),
    ] {
        let error = refused(device);
        assert!(error.status < 0 && error.message.contains(text), "{device}: {error}");
    }
}

#[test]
fn refused_arguments_leave_no_trace() {
    if plugin_dir().is_none() {
        return;
    }
    quiet_success(&child("child_refused_arguments", &[]));
}

#[test]
#[ignore = "run by refused_arguments_leave_no_trace"]
fn child_refused_arguments() {
    plugin_dir().unwrap();
    for (arguments, text) in [
        ("--help", "ends the program"),
        ("-h", "ends the program"),
        ("--no-such-option", "[arguments: --no-such-option"),
        ("-m abc", "not a number"),
        ("-l 9999", "EAL did not start"),
        ("'", "quote"),
        ("stray", "neither an option"),
    ] {
        // SAFETY: no other thread of this process uses the environment.
        unsafe { std::env::set_var("PCAPX_DPDK_EAL", arguments) };
        let error = refused("dpdk:net_null0");
        assert!(error.status < 0 && error.message.contains(text), "{arguments}: {error}");
    }
    // The old variable, and a start that succeeds after all the refusals.
    // SAFETY: as above.
    unsafe {
        std::env::remove_var("PCAPX_DPDK_EAL");
        std::env::set_var("DPDK_CFG", "--vdev=net_null3,size=70 --no-huge -m 64 --no-pci");
    }
    let mut port = super::setup::opened("dpdk:0");
    port.fill().unwrap();
    assert_eq!(port.next_packet().unwrap().header.len, 70);
    // Not plugged in by us: stopped at close, and there again.
    drop(port);
    let mut port = super::setup::opened("dpdk:net_null3");
    port.fill().unwrap();
    assert_eq!(port.next_packet().unwrap().header.len, 70);
}

#[test]
fn the_caller_stays_as_it_was() {
    if plugin_dir().is_none() {
        return;
    }
    quiet_success(&child("child_affinity_and_threads", &[]));
}

fn allowed_cpus() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find(|l| l.starts_with("Cpus_allowed:")).unwrap().to_owned()
}

#[test]
#[ignore = "run by the_caller_stays_as_it_was"]
fn child_affinity_and_threads() {
    plugin_dir().unwrap();
    let before = allowed_cpus();
    let port = super::setup::opened("dpdk:net_null0");
    assert_eq!(allowed_cpus(), before);
    drop(port);
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default())
        .map(|name| name.trim().to_owned())
        .collect();
    names.retain(|name| name.contains("eal") || name.contains("rte"));
    // DPDK's own; it cannot be ended.
    assert_eq!(names, ["eal-intr-thread"]);
}

/// The EAL, or a port, has not enough memory.
#[test]
fn out_of_memory() {
    if plugin_dir().is_none() {
        return;
    }
    let little = "--no-huge -m 4 --no-pci --no-shconf";
    quiet_success(&child("child_little_memory", &[("PCAPX_DPDK_EAL", little)]));
    let absurd = "--no-huge -m 99999999 --no-pci --no-shconf";
    quiet_success(&child("child_absurd_memory", &[("PCAPX_DPDK_EAL", absurd)]));
}

#[test]
#[ignore = "run by out_of_memory"]
fn child_little_memory() {
    plugin_dir().unwrap();
    for _ in 0..3 {
        let error = refused("dpdk:net_null0");
        assert!(error.message.contains("buffer pool: Cannot allocate memory"), "{error}");
        assert!(error.message.contains("give DPDK more memory"), "{error}");
    }
}

#[test]
#[ignore = "run by out_of_memory"]
fn child_absurd_memory() {
    plugin_dir().unwrap();
    // The second time by memory: the EAL cannot be started again.
    for _ in 0..2 {
        let error = refused("dpdk:net_null0");
        assert!(error.message.contains("EAL did not start: Cannot allocate memory"), "{error}");
    }
}

/// Nothing said to the EAL.
const DEFAULTS: [(&str, &str); 1] = [("PCAPX_DPDK_EAL", "")];

#[test]
fn without_huge_pages() {
    if plugin_dir().is_none() {
        return;
    }
    let Some(_pages) = HugePages::none() else { return };
    quiet_success(&child("child_plain_memory", &DEFAULTS));
    quiet_success(&child("child_wants_huge_pages", &[("PCAPX_DPDK_EAL", "--in-memory")]));
}

#[test]
fn with_huge_pages() {
    if plugin_dir().is_none() {
        return;
    }
    if super::huge::free() == 0 {
        // Too few for a port.
        let Some(_pages) = HugePages::at_least(2) else { return };
        quiet_success(&child("child_plain_memory", &DEFAULTS));
    }
    let Some(_pages) = HugePages::at_least(128) else { return };
    quiet_success(&child("child_huge_memory", &DEFAULTS));
}

/// Kilobytes of huge pages this process has.
fn huge_kilobytes() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let lines = maps.lines().filter(|line| line.contains("_Hugetlb:"));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

fn receives() {
    let mut port = super::setup::opened("dpdk:net_null0");
    port.fill().unwrap();
    assert!(port.next_packet().is_some());
}

#[test]
#[ignore = "run by without_huge_pages"]
fn child_plain_memory() {
    plugin_dir().unwrap();
    receives();
    assert_eq!(huge_kilobytes(), 0);
}

#[test]
#[ignore = "run by with_huge_pages"]
fn child_huge_memory() {
    plugin_dir().unwrap();
    receives();
    assert!(huge_kilobytes() > 0);
}

#[test]
#[ignore = "run by without_huge_pages"]
fn child_wants_huge_pages() {
    plugin_dir().unwrap();
    let error = refused("dpdk:net_null0");
    assert!(error.status == -1 && error.message.contains("it has no huge pages"), "{error}");
}

/// Two processes with DPDK of their own; only a file prefix that both insist on is in the way.
#[test]
fn two_processes() {
    if super::setup::library_dir().is_none() {
        return;
    }
    let prefix = format!("oxd{}two", std::process::id());
    let same = format!("--no-huge -m 64 --no-pci --file-prefix={prefix}");
    let same = [("PCAPX_DPDK_EAL", same.as_str())];
    let out = TempFile::new("two.pcap");
    let first = listening_with(None, "dpdk:net_ring0", "", &out, &same);
    quiet_success(&child("child_second", &same));
    quiet_success(&child("child_plain_memory_or_not", &[]));
    interrupt(first);
    let runtime = Path::new("/var/run/dpdk").join(prefix);
    let _ = std::fs::remove_dir_all(runtime);
}

#[test]
#[ignore = "run by two_processes"]
fn child_second() {
    plugin_dir().unwrap();
    let error = refused("dpdk:net_null0");
    assert!(error.message.contains("Is another primary process running?"), "{error}");
}

#[test]
#[ignore = "run by two_processes"]
fn child_plain_memory_or_not() {
    plugin_dir().unwrap();
    receives();
}

#[test]
fn a_forked_child_is_refused() {
    if plugin_dir().is_none() {
        return;
    }
    quiet_success(&child("child_fork", &[]));
}

#[test]
#[ignore = "run by a_forked_child_is_refused"]
fn child_fork() {
    plugin_dir().unwrap();
    let mut port = super::setup::opened("dpdk:net_null0");
    port.fill().unwrap();
    // SAFETY: the child calls this library and _exit only.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let opened = config("dpdk:net_null1");
        let refused = port.fill().is_err_and(|e| e.message.contains("fork"))
            && port.inject(&[0; 60]).is_err()
            && port.stats().is_err()
            && open(&opened).is_err_and(|e| e.message.contains("forked"));
        drop(port);
        // SAFETY: ends the child without its parent's exit handlers.
        unsafe { libc::_exit(if refused { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(status, 0);
    // The parent goes on.
    port.fill().unwrap();
    assert!(port.next_packet().is_some());
}
