//! What goes wrong, in a process of its own where the EAL's state matters.

use super::setup::{plugin_dir, refused};
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
        let refused = port.fill().is_err_and(|e| e.message.contains("fork"))
            && port.inject(&[0; 60]).is_err()
            && port.stats().is_err();
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
