//! Builds the C shim: the calls of DPDK that are `static inline` exist only for a C compiler.

fn main() {
    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|error| {
            panic!("the DPDK plug-in needs DPDK 22.11 or later (Debian: libdpdk-dev): {error}")
        });
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=../include/pcap/oxpcap-plugin.h");
    let flags = flags();
    compile(
        "pcap_dpdk_shim",
        &["bpf.c", "eal.c", "flow.c", "pdump.c", "pool.c", "port.c", "transfer.c"],
        &flags,
    );
    // Linked by unit tests only.
    compile("pcap_dpdk_testing", &["testing.c"], &flags);
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-search=native={out}");
    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for lib in [
        "rte_eal",
        "rte_ethdev",
        "rte_mbuf",
        "rte_mempool",
        "rte_ring",
        "rte_bpf",
        "rte_pdump",
        "rte_net",
    ] {
        println!("cargo:rustc-link-lib=dylib={lib}");
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

/// pkg-config's machine flags (-march, -include rte_config.h) are part of DPDK's ABI.
fn flags() -> Vec<String> {
    let output = std::process::Command::new("pkg-config")
        .args(["--cflags", "libdpdk"])
        .output()
        .expect("pkg-config has just run");
    let system = |flag: &str| {
        // Third-party headers are not ours to warn about.
        flag.strip_prefix("-I").map_or(flag.to_owned(), |dir| format!("-isystem{dir}"))
    };
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(system).collect()
}

fn compile(name: &str, files: &[&str], flags: &[String]) {
    let mut build = cc::Build::new();
    build.files(files.iter().map(|file| format!("shim/{file}")));
    for flag in flags {
        build.flag(flag);
    }
    build.include("../include").flag("-std=gnu11").flag("-Wall").flag("-Wextra").opt_level(2);
    build.cargo_metadata(name == "pcap_dpdk_shim").compile(name);
}
