//! Finding the plug-in, opening devices, reading them dry.

#[path = "../support/skip.rs"]
mod skip;

use pcap::capture::{Activated, Backend, Config, Fill, open};
use pcap::timestamp::Precision;
pub use skip::{say_skipped, skip};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a `libpcap-dpdk.so` lies, for `PCAP_PLUGIN_DIR`: `OXPCAP_LIB_DIR` (`stage/lib`), or
/// what cargo built; `None` where there is none.
pub fn plugin_dir() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = DIR.get_or_init(|| {
        let dir = match std::env::var_os("OXPCAP_LIB_DIR") {
            Some(staged) => PathBuf::from(staged),
            None => linked()?,
        };
        if !dir.join("libpcap-dpdk.so").exists() {
            say_skipped(format_args!("{} has no libpcap-dpdk.so", dir.display()));
            return None;
        }
        // SAFETY: set once, before any test of this program reads or sets variables.
        unsafe {
            std::env::set_var("PCAP_PLUGIN_DIR", &dir);
            // What it would be without huge pages, which some tests make and take away.
            if std::env::var_os("PCAPX_DPDK_EAL").is_none() {
                std::env::set_var("PCAPX_DPDK_EAL", "--no-huge --no-shconf -m 512");
            }
        }
        Some(dir)
    });
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no plug-in to test");
    found.as_deref()
}

/// A directory of links to what cargo built, under the names that are looked for.
fn linked() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let target = exe.parent()?.parent()?;
    let dir = target.join("plugins");
    std::fs::create_dir_all(&dir).ok()?;
    for (built, name) in [("libpcap_dpdk.so", "libpcap-dpdk.so"), ("libpcap.so", "libpcap.so.0.8")]
    {
        let built = target.join(built);
        if !built.exists() {
            say_skipped(format_args!(
                "{} is missing; \"cargo build -p oxpcap-dpdk\"",
                built.display()
            ));
            return None;
        }
        // Several test programs may do this at once: link under a name of our own, then rename.
        let own = dir.join(format!("{name}-{}", std::process::id()));
        std::os::unix::fs::symlink(&built, &own).ok()?;
        std::fs::rename(&own, dir.join(name)).ok()?;
    }
    Some(dir)
}

/// A directory where this library is `libpcap.so.0.8` and the plug-in lies beside it; `None`
/// where they or tcpdump lack.
pub fn library_dir() -> Option<PathBuf> {
    let dir = plugin_dir()?;
    let tcpdump = std::process::Command::new("tcpdump").arg("--version").output();
    if !dir.join("libpcap.so.0.8").exists() || tcpdump.is_err() {
        skip(format_args!("needs tcpdump and libpcap.so.0.8 in {}", dir.display()));
        return None;
    }
    Some(dir.to_owned())
}

pub fn config(device: &str) -> Config {
    Config {
        device: Some(device.into()),
        snaplen: 262_144,
        promisc: true,
        rfmon: false,
        timeout_ms: 100,
        immediate: false,
        buffer_size: 0,
        tstamp_type: -1,
        precision: Precision::Nano,
        protocol: 0,
        nonblock: false,
    }
}

/// Opens a device that must open.
pub fn opened(device: &str) -> Box<dyn Backend> {
    let Activated { backend, warning, message } =
        open(&config(device)).unwrap_or_else(|error| panic!("{device}: {error}"));
    assert!(warning == 0 || warning == 2, "{device}: {message}");
    backend
}

/// The failure to open a device that must not open.
pub fn refused(device: &str) -> pcap::capture::CaptureError {
    match open(&config(device)) {
        Ok(_) => panic!("{device} was opened"),
        Err(error) => error,
    }
}

/// Time stamp in nanoseconds, wire length, bytes.
pub type Seen = (i64, u32, Vec<u8>);

/// Reads until the timeout says there is no more.
pub fn drain(backend: &mut dyn Backend) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        while let Some(packet) = backend.next_packet() {
            let header = packet.header;
            // SAFETY: valid until the next read.
            let bytes = unsafe { std::slice::from_raw_parts(packet.data, header.caplen as usize) };
            seen.push((header.ts.sec * 1_000_000_000 + header.ts.frac, header.len, bytes.to_vec()));
        }
        if backend.fill().unwrap() == Fill::Empty {
            return seen;
        }
    }
}

/// A pcap file of Ethernet frames with time stamps in microseconds.
pub fn write_pcap(path: &Path, packets: &[(u32, u32, Vec<u8>)]) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_ne_bytes());
    }
    for (sec, usec, bytes) in packets {
        for word in [*sec, *usec, bytes.len() as u32, bytes.len() as u32] {
            file.extend(word.to_ne_bytes());
        }
        file.extend(bytes);
    }
    std::fs::write(path, file).unwrap();
}

/// A file of this test program, removed when dropped.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("oxpcap-dpdk-{}-{name}", std::process::id())))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
