//! What is said where DPDK or the plug-in lacks; the library itself needs neither.

use super::setup::{TempFile, library_dir, skip};
use std::path::Path;
use std::process::{Command, Output};

/// A directory with this library alone; removed when dropped.
struct Alone(TempFile);

impl Alone {
    fn new(name: &str) -> Option<Self> {
        let from = library_dir()?.join("libpcap.so.0.8");
        let dir = TempFile::new(name);
        std::fs::create_dir(&dir.0).unwrap();
        std::fs::copy(from, dir.0.join("libpcap.so.0.8")).unwrap();
        Some(Self(dir))
    }

    /// Puts the plug-in there, with `from` replaced by `to` of the same length.
    fn add_plugin(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let mut image = std::fs::read(library_dir().unwrap().join("libpcap-dpdk.so")).unwrap();
        let places: Vec<usize> = (0..image.len() - from.len())
            .filter(|&at| image[at..].starts_with(from.as_bytes()))
            .collect();
        assert!(!places.is_empty(), "no {from} in the plug-in");
        for at in places {
            image[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        std::fs::write(self.0.0.join("libpcap-dpdk.so"), image).unwrap();
    }

    fn tcpdump(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tcpdump");
        command.args(arguments).env("LD_LIBRARY_PATH", &self.0.0).env_remove("PCAP_PLUGIN_DIR");
        command.output().unwrap()
    }

    /// What tcpdump says about a device that it cannot open.
    fn refusal(&self, device: &str) -> String {
        let output = self.tcpdump(&["-Z", "root", "-c", "1", "-i", device]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(output.stdout.is_empty());
        said
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0.0);
    }
}

#[test]
fn without_the_plugin() {
    let Some(alone) = Alone::new("no-plugin") else { return };
    for device in ["dpdk:0", "dpdk:net_null0", "dpdk-pdump:rte/0"] {
        let said = alone.refusal(device);
        assert!(said.contains("dpdk is not available: libpcap-dpdk.so was not found in"), "{said}");
        assert!(said.contains("Debian: package dpdk)"), "{said}");
    }
    // All else works.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/data/mixed.pcap");
    assert!(alone.tcpdump(&["-r", file, "-c", "1"]).status.success());
    assert!(alone.tcpdump(&["-D"]).status.success());
}

/// As the dynamic linker sees a machine without DPDK: none of its libraries is found.
#[test]
fn without_dpdk() {
    let Some(alone) = Alone::new("no-dpdk") else { return };
    alone.add_plugin("librte_eal.so.23", "librte_non.so.23");
    let said = alone.refusal("dpdk:net_null0");
    assert!(said.contains("librte_non.so.23"), "{said}");
    assert!(
        said.contains("DPDK release the plug-in was built for (Debian: package dpdk)"),
        "{said}"
    );
}

/// Another release of DPDK: its libraries' names, or the versions of their symbols, differ.
#[test]
fn with_another_release() {
    let Some(alone) = Alone::new("other-dpdk") else { return };
    alone.add_plugin("DPDK_23", "DPDK_99");
    let said = alone.refusal("dpdk:net_null0");
    assert!(said.contains("DPDK_99") && said.contains("package dpdk"), "{said}");
}

fn compiled_plugin(dir: &Path, scheme: &str, source: &str) {
    let file = dir.join("plugin.c");
    std::fs::write(&file, source).unwrap();
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(dir.join(format!("libpcap-{scheme}.so")))
        .arg(&file)
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn plugins_of_another_abi() {
    let Some(alone) = Alone::new("other-abi") else { return };
    if Command::new("cc").arg("--version").output().is_err() {
        skip("needs a C compiler");
        return;
    }
    for (source, text) in [
        ("int unrelated;", "not a plug-in, it lacks the symbol pcapx_plugin"),
        (
            "#include <pcap/oxpcap-plugin.h>\nconst struct pcapx_plugin pcapx_plugin = \
             { .abi = 99, .size = sizeof(struct pcapx_plugin) };",
            "plug-in ABI 99, this library needs ",
        ),
        (
            "#include <pcap/oxpcap-plugin.h>\nconst struct pcapx_plugin pcapx_plugin = \
             { .abi = PCAPX_PLUGIN_ABI, .size = sizeof(struct pcapx_plugin) };",
            "a plug-in without open, close or receive",
        ),
    ] {
        compiled_plugin(&alone.0.0, "dpdk", source);
        let said = alone.refusal("dpdk:0");
        assert!(said.contains(text), "{said}");
        assert!(said.contains("install the plug-in that came with this library"), "{said}");
    }
}

/// The libraries that the dynamic linker would load for it.
#[test]
fn the_library_needs_no_dpdk() {
    let Some(dir) = library_dir() else { return };
    let output = Command::new("ldd").arg(dir.join("libpcap.so.0.8")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("libc.so") && !said.contains("rte"), "{said}");
}

/// Users without privileges: what works, and what they are told of the rest.
#[test]
fn without_privileges() {
    let Some(library) = library_dir() else { return };
    // SAFETY: no conditions.
    if unsafe { libc::getuid() } != 0 {
        skip("needs root, to become somebody else");
        return;
    }
    let Some(alone) = Alone::new("nobody") else { return };
    alone.add_plugin("librte_eal", "librte_eal");
    let file = alone.0.0.join("mixed.pcap");
    std::fs::copy(super::filters::FILE, &file).unwrap();
    for entry in [&alone.0.0, &file] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(entry, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tcpdump = |device: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"])
            .arg(format!("LD_LIBRARY_PATH={}", alone.0.0.display()))
            .args(["tcpdump", "-nn", "-c", "3", "-i", device, "-w", "/dev/null"])
            .env_remove("PCAP_PLUGIN_DIR")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for device in ["net_null0", &format!("net_pcap0,rx_pcap={}", file.display())] {
        let said = tcpdump(&format!("dpdk:{device}"));
        assert!(said.contains("3 packets captured"), "{said}");
    }
    let said = tcpdump("dpdk:net_af_packet0,iface=lo");
    assert!(said.contains("Operation not permitted"), "{said}");
    let said = tcpdump("dpdk:net_tap0,iface=oxdnobody");
    assert!(said.contains("cannot make the device net_tap0"), "{said}");
    let said = tcpdump("dpdk-pdump:rte/0");
    assert!(said.contains("started by the same user"), "{said}");
    drop(library);
}
