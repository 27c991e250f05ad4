//! C programs that have DPDK of their own, compiled here; and taps on a running program.

use super::setup::{TempFile, library_dir, skip};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EAL: [&str; 7] =
    ["--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=4"];

/// Compiles `source` against this library and DPDK; `None` where there is no compiler.
pub fn compiled(source: &str, name: &str, arguments: &[&str]) -> Option<TempFile> {
    let library = library_dir()?;
    let flags = |what: &str| {
        let output = Command::new("pkg-config").args([what, "libdpdk"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (Some(cflags), Some(libs)) = (flags("--cflags"), flags("--libs")) else {
        skip("needs pkg-config and libdpdk-dev");
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
    let mut command = Command::new(&program.0);
    command.args(EAL).args(arguments);
    run_command(command)
}

fn run_command(mut command: Command) -> String {
    let library = library_dir().unwrap();
    command.env("LD_LIBRARY_PATH", &library).env("PCAP_PLUGIN_DIR", &library);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_program_with_its_own_eal() {
    let Some(program) = compiled("tests/dpdk/host.c", "host", &[]) else { return };
    let data = format!("{ROOT}/tests/clients/data");
    let two = format!("--vdev=net_pcap2,rx_pcap={data}/mixed.pcap,rx_pcap={data}/arp.pcap");
    let said = run(&program, &["--vdev=net_null0,size=64", "--vdev=net_null1,size=70", &two]);
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

/// Loops that are broken by a thread, a signal handler and a callback, under full load and without a
/// packet; timeouts; nonblocking mode; a queue that is full.
#[test]
fn loops_on_ports() {
    let Some(program) = compiled("tests/dpdk/waits.c", "waits", &[]) else { return };
    assert_eq!(run_command(Command::new(&program.0)).trim(), "ok");
}

/// A port read with filters and closed, three times: no error, and nothing lost but what DPDK and
/// the C library keep for the process (`valgrind.supp` says what).
#[test]
fn under_valgrind() {
    let Some(program) = compiled("tests/dpdk/waits.c", "checked", &["-g"]) else { return };
    if Command::new("valgrind").arg("--version").output().is_err() {
        skip("needs valgrind");
        return;
    }
    let mut command = Command::new("valgrind");
    command
        .args(["-q", "--num-callers=40", "--error-exitcode=9", "--leak-check=full"])
        .args(["--show-leak-kinds=definite,indirect,possible"])
        .args(["--errors-for-leak-kinds=definite,indirect,possible"])
        .arg(format!("--suppressions={ROOT}/tests/dpdk/valgrind.supp"))
        .arg(&program.0)
        .arg(format!("dpdk:net_pcap0,rx_pcap={ROOT}/tests/clients/data/mixed.pcap"))
        .env("PCAPX_DPDK_EAL", "--no-huge -m 64 --no-pci --no-shconf");
    assert_eq!(run_command(command).trim(), "ok");
}

/// A set-user-ID program is not told by its user what DPDK loads or writes.
#[test]
fn programs_with_privileges() {
    let Some(library) = library_dir() else { return };
    // SAFETY: no conditions.
    if unsafe { libc::getuid() } != 0 {
        skip("needs root, to make a set-user-ID program");
        return;
    }
    // The dynamic linker, too, looks only where the program says.
    let place = TempFile::new("privileged");
    std::fs::create_dir(&place.0).unwrap();
    for file in ["libpcap.so.0.8", "libpcap-dpdk.so"] {
        std::fs::copy(library.join(file), place.0.join(file)).unwrap();
    }
    let run_path = format!("-Wl,-rpath={}", place.0.display());
    let Some(program) = compiled("tests/dpdk/waits.c", "setuid", &[&run_path]) else { return };
    let mode = |path: &std::path::Path, mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&place.0, 0o755);
    mode(&program.0, 0o4755);
    let run = |device: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program.0)
            .arg(device)
            .env("PCAPX_DPDK_EAL", "-d /nonexistent.so --no-such-option")
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        format!("{out}{err}")
    };
    let written = TempFile::new("written");
    let said = run(&format!("dpdk:net_pcap0,tx_pcap={}", written.0.display()));
    assert!(said.contains("takes no arguments of virtual devices"), "{said}");
    assert!(!written.0.exists());
    // The refused one would have been the variable's fault.
    let said = run("dpdk:net_ring0");
    assert!(said.contains("packets > 0"), "{said}");
    let _ = std::fs::remove_dir_all(&place.0);
}
