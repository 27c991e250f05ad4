//! Builds the C shim: the calls of DPDK that are `static inline` exist only for a C compiler.

fn main() {
    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|error| {
            panic!("the DPDK plug-in needs DPDK 22.11 or later (Debian: libdpdk-dev): {error}")
        });
    let mut build = cc::Build::new();
    for file in ["bpf.c", "eal.c", "port.c"] {
        build.file(format!("shim/{file}"));
        println!("cargo:rerun-if-changed=shim/{file}");
    }
    println!("cargo:rerun-if-changed=shim/shim.h");
    // pkg-config's machine flags (-march, -include rte_config.h) are part of DPDK's ABI.
    let flags = std::process::Command::new("pkg-config")
        .args(["--cflags", "libdpdk"])
        .output()
        .expect("pkg-config has just run");
    for flag in String::from_utf8_lossy(&flags.stdout).split_whitespace() {
        // Third-party headers are not ours to warn about.
        let flag = flag.strip_prefix("-I").map_or(flag.into(), |dir| format!("-isystem{dir}"));
        build.flag(flag);
    }
    build.include("../include").flag("-std=gnu11").flag("-Wall").flag("-Wextra").opt_level(2);
    build.compile("pcap_dpdk_shim");
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
