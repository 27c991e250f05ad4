//! The soname of the shared library: `SONAME`, or what the machine's own distribution uses.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=SONAME");
    println!("cargo::rerun-if-changed=build.rs");
    let soname = std::env::var("SONAME").ok().filter(|name| !name.is_empty());
    let soname = soname.unwrap_or_else(|| default_soname().into());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
}

/// Debian and its kin have kept the soname of libpcap 0.8.
fn default_soname() -> &'static str {
    if Path::new("/etc/debian_version").exists() { "libpcap.so.0.8" } else { "libpcap.so.1" }
}
