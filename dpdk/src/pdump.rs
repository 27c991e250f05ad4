//! Sources that tap a port of a running DPDK program: `dpdk-pdump:PREFIX/PORT`.
//!
//! This process becomes a secondary process of that program, for good.

use crate::eal::{self, Eal, Turn, Wanted};
use crate::error::Failure;
use crate::ffi::{self, OxPdump};
use crate::port;
use oxpcap_plugin::{Config, EbpfInsn, NANOSECONDS, Packet, Stats};
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// DPDK's own default.
const DEFAULT_PREFIX: &str = "rte";

/// A tap on a port.
pub struct PdumpSource(NonNull<OxPdump>);

impl PdumpSource {
    /// Opens `PREFIX/PORT`; PORT is a number or a device name.
    pub fn open(name: &str, config: &Config) -> Result<Self, Failure> {
        let (prefix, port) = name.split_once('/').ok_or_else(|| {
            Failure::no_device(format!("dpdk-pdump:{name}: not of the form dpdk-pdump:PREFIX/PORT"))
        })?;
        let prefix = if prefix.is_empty() { DEFAULT_PREFIX } else { prefix };
        attach(prefix)?;
        let _turn = Turn::take()?;
        let port = find_port(port)?;
        let mark = ffi::log_mark();
        let mut raw = std::ptr::null_mut();
        let mut step: *const c_char = c"opening".as_ptr();
        let nanoseconds = c_int::from(config.precision == NANOSECONDS);
        // SAFETY: all pointers are valid over the call.
        let rc = unsafe { ffi::ox_pdump_open(port, nanoseconds, &mut raw, &mut step) };
        NonNull::new(raw).filter(|_| rc == 0).map(Self).ok_or_else(|| {
            // SAFETY: the shim sets it to string constants.
            let step = unsafe { CStr::from_ptr(step) }.to_string_lossy();
            match -rc {
                libc::EBUSY => {
                    Failure::new(format!("dpdk-pdump:{name}: tapped by another process"))
                }
                libc::EEXIST => Failure::new(format!(
                    "dpdk-pdump:{name}: tapped by another program (dpdk-pdump?)"
                )),
                _ => {
                    Failure::errno(&format!("dpdk-pdump:{name}: {step}"), rc, &ffi::log_since(mark))
                }
            }
        })
    }

    /// One burst; `packets` has room for [`ffi::BURST`].
    pub fn receive(&mut self, packets: *mut Packet) -> Result<c_int, Failure> {
        // SAFETY: the tap is open; the caller made room.
        let rc = unsafe { ffi::ox_pdump_receive(self.0.as_ptr(), packets) };
        if rc < 0 { Err(failed("receiving", rc)) } else { Ok(rc) }
    }

    /// Gives the program a filter to run, or none.
    pub fn set_filter(&mut self, program: &[EbpfInsn]) -> Result<(), Failure> {
        // SAFETY: the tap is open; the program is copied.
        let rc = unsafe {
            ffi::ox_pdump_set_filter(self.0.as_ptr(), program.as_ptr(), program.len() as u32)
        };
        if rc == 0 { Ok(()) } else { Err(failed("setting the filter", rc)) }
    }

    /// Counters since it was opened.
    pub fn stats(&mut self, stats: &mut Stats) -> Result<(), Failure> {
        // SAFETY: the tap is open.
        match unsafe { ffi::ox_pdump_stats(self.0.as_ptr(), stats) } {
            0 => Ok(()),
            rc => Err(failed("reading the counters", rc)),
        }
    }
}

impl Drop for PdumpSource {
    fn drop(&mut self) {
        // SAFETY: the tap is open, and not used again.
        unsafe { ffi::ox_pdump_close(self.0.as_ptr()) }
    }
}

fn failed(what: &str, rc: c_int) -> Failure {
    match -rc {
        libc::ENODEV => Failure::new("the DPDK program that was tapped has ended"),
        libc::ECHILD => Failure::new("this handle was opened before a fork"),
        _ => Failure::errno(what, rc, ""),
    }
}

/// Makes this process a secondary of the program with `prefix`.
fn attach(prefix: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if !prefix.bytes().all(plain) || prefix.starts_with('.') {
        return Err(Failure::no_device(format!("\"{prefix}\" cannot be a DPDK file prefix")));
    }
    let config = runtime_dir().join(prefix).join("config");
    let Some((primary, lock)) = lock_holder(&config) else {
        return Err(Failure::no_device(format!(
            "no DPDK program with --file-prefix={prefix} runs ({} is not held; it must have been \
             started by the same user, with huge pages, without --in-memory and --no-shconf)",
            config.display()
        )));
    };
    load_its_pool_drivers(primary);
    match eal::ensure(&Wanted::Secondary { prefix })? {
        Eal::OurSecondary if eal::secondary_prefix() == prefix => {}
        Eal::OurSecondary => {
            return Err(Failure::new(format!(
                "this process is attached to the DPDK program \"{}\" already; one process can \
                 tap one program",
                eal::secondary_prefix()
            )));
        }
        Eal::Ours | Eal::Adopted => {
            return Err(Failure::new(
                "this process runs DPDK itself; a tap (dpdk-pdump:) needs a process of its own",
            ));
        }
    }
    use std::os::fd::IntoRawFd;
    static WATCHED: std::sync::Once = std::sync::Once::new();
    // SAFETY: an open descriptor, given away for good.
    WATCHED.call_once(|| unsafe { ffi::ox_watch_primary(lock.into_raw_fd()) });
    // SAFETY: the EAL runs.
    if unsafe { ffi::ox_pools_mismatch() } != 0 {
        return Err(Failure::new(
            "the DPDK program has other mempool drivers, in another order, than this process: \
             copies would be lost; give PCAPX_DPDK_POOL_DRIVERS the libraries it loads first \
             (for example librte_mempool_dpaa.so.23)",
        ));
    }
    Ok(())
}

/// Where DPDK keeps a directory for each file prefix.
fn runtime_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("RUNTIME_DIRECTORY") {
        return PathBuf::from(dir).join("dpdk");
    }
    // SAFETY: no conditions.
    if unsafe { libc::getuid() } == 0 {
        return "/var/run/dpdk".into();
    }
    let dir = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/tmp".into());
    PathBuf::from(dir).join("dpdk")
}

/// The process that holds the primary's lock, and the file it is on.
fn lock_holder(config: &Path) -> Option<(i32, std::fs::File)> {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(config).ok()?;
    // SAFETY: zeros are a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: an open file and a writable flock.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) };
    (rc == 0 && lock.l_type != libc::F_UNLCK as libc::c_short).then_some((lock.l_pid, file))
}

/// Pools refer to their driver by its place in a table that is filled as drivers are loaded: what
/// the program is linked with must come first here too.
fn load_its_pool_drivers(primary: i32) {
    let mut drivers: Vec<String> = match std::env::var("PCAPX_DPDK_POOL_DRIVERS") {
        Ok(list) if !eal::privileged() => list.split(',').map(str::to_owned).collect(),
        _ => linked_pool_drivers(&format!("/proc/{primary}/exe")),
    };
    drivers.retain(|driver| !driver.is_empty());
    for driver in drivers {
        let Ok(name) = CString::new(driver) else { continue };
        // SAFETY: runs the library's constructors, which register a driver. Kept loaded.
        unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    }
}

/// Names of mempool libraries in a program's table of dynamic strings, in their order there.
fn linked_pool_drivers(exe: &str) -> Vec<String> {
    let Ok(image) = std::fs::read(exe) else { return Vec::new() };
    let needle = b"librte_mempool_";
    let mut names: Vec<String> = Vec::new();
    for (at, window) in image.windows(needle.len()).enumerate() {
        if window != needle {
            continue;
        }
        let name: Vec<u8> = image[at..].iter().copied().take_while(u8::is_ascii_graphic).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        if name.contains(".so.") && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn find_port(text: &str) -> Result<u16, Failure> {
    let by_number = text.parse().ok().filter(|n| port::ports().any(|p| p == *n));
    let by_name = || port::ports().find(|&p| port::facts(p).is_some_and(|f| f.0 == text));
    by_number.or_else(by_name).ok_or_else(|| {
        let known: Vec<String> =
            port::ports().filter_map(|p| Some(format!("{p} ({})", port::facts(p)?.0))).collect();
        Failure::no_device(format!(
            "that DPDK program has no port {text}; it has: {}",
            known.join(", ")
        ))
    })
}
