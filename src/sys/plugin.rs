//! Loading capture plug-ins and calling through their tables, safely.
//!
//! The ABI is `include/pcap/oxpcap-plugin.h`.

use super::burst::Burst;
use crate::packet::RawPacket;
use libc::{c_int, c_void};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use oxpcap_plugin::{
    ABI, Config, Device, ERROR_TEXT, ErrorText, Filter, Opened, Packet, REJECTED, SYMBOL, Stats,
    Table,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Mutex;

/// Most packets a plug-in may say one burst has.
const MAX_BURST: u32 = 1024;

/// Packets that are worth a call for many: one group of lanes.
const FEWEST: usize = 8;

/// Why a plug-in could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No such file anywhere.
    #[error("{file} was not found in {searched}")]
    Missing {
        /// File name looked for.
        file: String,
        /// Directories looked in, for people.
        searched: String,
    },
    /// The dynamic linker refused it.
    #[error("{0}")]
    Refused(String),
    /// It is there, but it is not a plug-in for this library.
    #[error("{file}: {why}")]
    Incompatible {
        /// Path of the file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A call into a plug-in that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallError {
    /// `PCAP_ERROR_*`, negative.
    pub status: i32,
    /// The plug-in's words.
    pub text: String,
}

/// A loaded plug-in; loaded once, never unloaded.
#[derive(Clone, Copy)]
pub struct Plugin {
    table: &'static Table,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Name for opening, scheme included.
    pub name: Vec<u8>,
    /// Text for people.
    pub description: Option<Vec<u8>>,
    /// `PCAP_IF_*`.
    pub flags: u32,
}

/// An open source of a plug-in; closed when dropped.
pub struct Source {
    table: &'static Table,
    raw: NonNull<c_void>,
    /// Link-layer type, a `DLT_` value.
    pub linktype: i32,
    /// Most packets of one burst.
    pub burst: usize,
    /// Descriptor to wait on, if the source has one.
    pub fd: Option<i32>,
    /// Positive `PCAP_WARNING_*` with its text, or 0.
    pub warning: i32,
    /// The warning's text.
    pub message: String,
    packets: Vec<RawPacket>,
    /// Captured lengths before [`Source::cut`]; empty where it had nothing to do.
    whole: Vec<u32>,
}

/// Plug-ins write packets as their users read them.
const _: () = {
    assert!(size_of::<Packet>() == size_of::<RawPacket>());
    assert!(offset_of!(Packet, sec) == offset_of!(RawPacket, header.ts.sec));
    assert!(offset_of!(Packet, frac) == offset_of!(RawPacket, header.ts.frac));
    assert!(offset_of!(Packet, caplen) == offset_of!(RawPacket, header.caplen));
    assert!(offset_of!(Packet, len) == offset_of!(RawPacket, header.len));
    assert!(offset_of!(Packet, data) == offset_of!(RawPacket, data));
};

// SAFETY: the ABI demands of a source that any one thread at a time may use it.
unsafe impl Send for Source {}

/// Whether `libpcap-SCHEME.so` is where plug-ins are looked for first, without loading it.
pub fn present(scheme: &str) -> bool {
    let file = file_name(scheme);
    directories().iter().any(|dir| dir.join(&file).exists())
}

impl Plugin {
    /// The plug-in `libpcap-NAME.so`, loaded now if it was not yet.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        static LOADED: Mutex<Option<BTreeMap<String, Plugin>>> = Mutex::new(None);
        let known =
            || LOADED.lock().unwrap_or_else(|e| e.into_inner()).as_ref()?.get(name).copied();
        if let Some(plugin) = known() {
            return Ok(plugin);
        }
        // No lock over dlopen: constructors of what it loads may call this library.
        let plugin = open_library(&file_name(name))?;
        let mut loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
        loaded.get_or_insert_default().insert(name.to_owned(), plugin);
        Ok(plugin)
    }

    /// What the plug-in runs on, for people.
    pub fn version(&self) -> String {
        text_of(self.table.version)
    }

    /// Lists the devices of `scheme`.
    pub fn list(&self, scheme: &str) -> Result<Vec<Listed>, CallError> {
        extern "C" fn visit(user: *mut c_void, device: *const Device) {
            // SAFETY: `user` is the vector below; the plug-in gives a valid device.
            let (list, device) = unsafe { (&mut *user.cast::<Vec<Listed>>(), &*device) };
            let Some(name) = bytes_of(device.name) else { return };
            let description = bytes_of(device.description);
            list.push(Listed { name, description, flags: device.flags });
        }
        let Some(function) = self.table.list else { return Ok(Vec::new()) };
        let scheme = c_string(scheme.as_bytes())?;
        let mut list = Vec::<Listed>::new();
        let mut error = no_text();
        // SAFETY: the table is valid for ever; all pointers live over the call.
        let rc =
            unsafe { function(scheme.as_ptr(), visit, (&raw mut list).cast(), &raw mut error) };
        check(rc, &error)?;
        Ok(list)
    }

    /// Opens `device`, scheme included.
    pub fn open(&self, device: &[u8], config: &Config) -> Result<Source, CallError> {
        let name = c_string(device)?;
        let config = Config { size: size_of::<Config>() as u32, ..*config };
        let mut opened = Opened {
            size: size_of::<Opened>() as u32,
            linktype: 0,
            source: std::ptr::null_mut(),
            burst: 0,
            fd: -1,
        };
        let mut error = no_text();
        let function = self.table.open.expect("checked when loaded");
        // SAFETY: as in `list`.
        let rc = unsafe { function(name.as_ptr(), &config, &mut opened, &mut error) };
        let warning = check(rc, &error)?;
        let raw = NonNull::new(opened.source).ok_or_else(|| broken("no source"))?;
        Ok(Source {
            table: self.table,
            raw,
            linktype: opened.linktype,
            burst: opened.burst.clamp(1, MAX_BURST) as usize,
            fd: (opened.fd >= 0).then_some(opened.fd),
            warning,
            message: if warning > 0 { message_of(&error) } else { String::new() },
            packets: Vec::with_capacity(MAX_BURST as usize),
            whole: Vec::with_capacity(MAX_BURST as usize),
        })
    }
}

impl Source {
    /// Frees the last burst and takes the next; never waits. Whether any packet came, be it one
    /// that the plug-in's filter rejected.
    pub fn receive(&mut self) -> Result<bool, CallError> {
        self.packets.clear();
        self.whole.clear();
        let function = self.table.receive.expect("checked when loaded");
        let mut error = std::mem::MaybeUninit::<ErrorText>::uninit();
        // SAFETY: there is room for `burst` packets, laid out as asserted above; `error` is only written by the plug-in.
        let rc = unsafe {
            function(
                self.raw.as_ptr(),
                self.packets.as_mut_ptr().cast(),
                self.burst as u32,
                error.as_mut_ptr(),
            )
        };
        if rc < 0 {
            // SAFETY: a failing function has written its text.
            return Err(failure(rc, unsafe { error.assume_init_ref() }));
        }
        if rc == REJECTED {
            return Ok(true);
        }
        let taken = (rc as usize).min(self.burst);
        // SAFETY: the plug-in has written `rc` packets, not more than it was told.
        unsafe { self.packets.set_len(taken) };
        Ok(taken > 0)
    }

    /// The packets at hand. Their bytes stay valid until [`Source::receive`] or drop.
    pub fn packets(&self) -> &[RawPacket] {
        &self.packets
    }

    /// Forgets the packets at hand.
    pub fn forget_packets(&mut self) {
        self.packets.clear();
    }

    /// Runs `filter(bytes, wire length)` over the packets from index `from` on, cuts each to the
    /// length it returns and forgets those for which that is 0.
    pub fn filter_packets(&mut self, from: usize, mut filter: impl FnMut(&[u8], u32) -> u32) {
        let from = self.restore(from);
        let mut kept = from;
        for i in from..self.packets.len() {
            let mut packet = self.packets[i];
            // SAFETY: the ABI promises `caplen` bytes until the next `receive`, which needs
            // `&mut self`.
            let bytes =
                unsafe { std::slice::from_raw_parts(packet.data, packet.header.caplen as usize) };
            let verdict = filter(bytes, packet.header.len);
            packet.header.caplen = packet.header.caplen.min(verdict);
            self.packets[kept] = packet;
            kept += usize::from(verdict != 0);
        }
        self.packets.truncate(kept);
    }

    /// As [`Source::filter_packets`] for a filter that takes packets whole, many at a time: bit n of
    /// what it returns is for packet n. Does nothing and returns `false` when there are few packets,
    /// or longer ones than `limit`, or such that were not captured whole.
    pub fn filter_bursts(
        &mut self,
        from: usize,
        limit: u32,
        mut filter: impl FnMut(Burst<'_>) -> u64,
    ) -> bool {
        let mut kept = self.restore(from);
        let suits = |RawPacket { header, .. }: &RawPacket| {
            header.caplen == header.len && header.len <= limit
        };
        let packets = &mut self.packets[..];
        if packets.len() - kept < FEWEST || !packets[kept..].iter().all(suits) {
            return false;
        }
        for start in (kept..packets.len()).step_by(64) {
            let chunk = &packets[start..packets.len().min(start + 64)];
            let (mut starts, mut lens) = ([std::ptr::null(); 64], [0; 64]);
            for ((packet, start), len) in chunk.iter().zip(&mut starts).zip(&mut lens) {
                (*start, *len) = (packet.data, packet.header.caplen);
            }
            let count = chunk.len();
            // SAFETY: as in `filter_packets`.
            let burst = unsafe { Burst::new(&starts[..count], &lens[..count]) };
            let mut accepted = filter(burst);
            while accepted != 0 {
                packets[kept] = packets[start + accepted.trailing_zeros() as usize];
                kept += 1;
                accepted &= accepted - 1;
            }
        }
        self.packets.truncate(kept);
        true
    }

    /// Undoes [`Source::cut`] for packets from index `from` on; the index, within bounds.
    fn restore(&mut self, from: usize) -> usize {
        let from = from.min(self.packets.len());
        for (packet, whole) in self.packets.iter_mut().zip(self.whole.drain(..)).skip(from) {
            packet.header.caplen = whole;
        }
        from
    }

    /// Cuts packets to `snaplen` bytes, until they are filtered again.
    pub fn cut(&mut self, snaplen: u32) {
        if self.packets.iter().all(|packet| packet.header.caplen <= snaplen) {
            return;
        }
        self.whole.clear();
        for packet in &mut self.packets {
            self.whole.push(packet.header.caplen);
            packet.header.caplen = packet.header.caplen.min(snaplen);
        }
    }

    /// Sends one frame; the bytes sent.
    pub fn inject(&mut self, frame: &[u8]) -> Result<usize, CallError> {
        let Some(function) = self.table.inject else {
            return Err(CallError { status: -1, text: "this source cannot send".into() });
        };
        let len = u32::try_from(frame.len())
            .map_err(|_| CallError { status: -1, text: "the frame is too long".into() })?;
        let mut error = no_text();
        // SAFETY: as in `Plugin::list`.
        let rc = unsafe { function(self.raw.as_ptr(), frame.as_ptr(), len, &mut error) };
        check(rc, &error).map(|sent| sent as usize)
    }

    /// The counters since it was opened.
    pub fn stats(&mut self) -> Result<Stats, CallError> {
        let mut stats =
            Stats { size: size_of::<Stats>() as u32, accepted: u64::MAX, ..Stats::default() };
        if let Some(function) = self.table.stats {
            let mut error = no_text();
            // SAFETY: as in `Plugin::list`.
            let rc = unsafe { function(self.raw.as_ptr(), &mut stats, &mut error) };
            check(rc, &error)?;
        }
        Ok(stats)
    }

    /// Offers a filter; whether the source took it, and what it says about it (often nothing).
    pub fn set_filter(
        &mut self,
        how: c_int,
        cbpf: &[oxpcap_plugin::CbpfInsn],
        ebpf: Option<&[oxpcap_plugin::EbpfInsn]>,
    ) -> Result<(bool, String), CallError> {
        let Some(function) = self.table.set_filter else { return Ok((false, String::new())) };
        let filter = Filter {
            size: size_of::<Filter>() as u32,
            how,
            cbpf: cbpf.as_ptr(),
            ebpf: ebpf.map_or(std::ptr::null(), <[_]>::as_ptr),
            cbpf_len: cbpf.len() as u32,
            ebpf_len: ebpf.map_or(0, |e| e.len() as u32),
        };
        let mut error = no_text();
        // SAFETY: as in `Plugin::list`.
        let rc = unsafe { function(self.raw.as_ptr(), &filter, &mut error) };
        check(rc, &error).map(|taken| (taken == 1, message_of(&error)))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let function = self.table.close.expect("checked when loaded");
        // SAFETY: the source is open and is not used again.
        unsafe { function(self.raw.as_ptr()) }
    }
}

fn file_name(scheme: &str) -> String {
    format!("libpcap-{scheme}.so")
}

/// `PCAP_PLUGIN_DIR`, then where this library (or the program it is part of) lies.
fn directories() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    // SAFETY: reads the auxiliary vector only.
    let privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let set = std::env::var_os("PCAP_PLUGIN_DIR").filter(|dir| !privileged && !dir.is_empty());
    dirs.extend(set.map(PathBuf::from));
    dirs.extend(own_directory());
    dirs
}

fn own_directory() -> Option<PathBuf> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is of this very function; `info` is written on success.
    let info = unsafe {
        if libc::dladdr(own_directory as *const c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    let path = bytes_of(info.dli_fname)?;
    let path = std::fs::canonicalize(OsStr::from_bytes(&path)).ok()?;
    path.parent().map(PathBuf::from)
}

fn open_library(file: &str) -> Result<Plugin, LoadError> {
    let dirs = directories();
    let found = dirs.iter().map(|dir| dir.join(file)).find(|path| path.exists());
    let path = found.clone().map_or_else(|| OsString::from(file), PathBuf::into_os_string);
    // SAFETY: constructors of a plug-in run here; the file is one the administrator, or the
    // user of a program without privileges of its own, put there.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = match library {
        Ok(library) => library,
        Err(_) if found.is_none() => {
            let mut places: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            places.push("the dynamic linker's path".into());
            return Err(LoadError::Missing { file: file.into(), searched: places.join(", ") });
        }
        Err(error) => return Err(LoadError::Refused(describe(&error))),
    };
    let incompatible = |why: String| LoadError::Incompatible {
        file: PathBuf::from(&path).display().to_string(),
        why,
    };
    // SAFETY: the symbol is only looked at as its first two integers until these are checked.
    let table = unsafe { library.get::<*const Table>(SYMBOL.as_bytes()) }
        .map(|symbol| symbol.into_raw().cast::<Table>().cast_const())
        .map_err(|_| incompatible(format!("not a plug-in, it lacks the symbol {SYMBOL}")))?;
    // SAFETY: a plug-in of any version begins with these two.
    let (abi, size) = unsafe { ((*table).abi, (*table).size) };
    if abi != ABI || (size as usize) < size_of::<Table>() {
        return Err(incompatible(format!("plug-in ABI {abi}, this library needs {ABI}")));
    }
    // SAFETY: ABI and size are right, and the library is never unloaded (forgotten below).
    let table: &'static Table = unsafe { &*table };
    if table.open.is_none() || table.close.is_none() || table.receive.is_none() {
        return Err(incompatible("a plug-in without open, close or receive".into()));
    }
    std::mem::forget(library);
    Ok(Plugin { table })
}

/// libloading's error with dlerror's words.
fn describe(error: &libloading::Error) -> String {
    match error {
        libloading::Error::DlOpen { desc } => format!("{desc:?}").trim_matches('"').to_owned(),
        other => other.to_string(),
    }
}

fn no_text() -> ErrorText {
    ErrorText { text: [0; ERROR_TEXT] }
}

fn check(rc: c_int, error: &ErrorText) -> Result<i32, CallError> {
    if rc < 0 { Err(failure(rc, error)) } else { Ok(rc) }
}

fn failure(status: i32, error: &ErrorText) -> CallError {
    CallError { status, text: message_of(error) }
}

fn broken(what: &str) -> CallError {
    CallError { status: -1, text: format!("the plug-in gave {what}") }
}

fn message_of(error: &ErrorText) -> String {
    let bytes: Vec<u8> = error.text.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn c_string(bytes: &[u8]) -> Result<CString, CallError> {
    CString::new(bytes)
        .map_err(|_| CallError { status: -1, text: "the device name holds a NUL".into() })
}

fn bytes_of(text: *const libc::c_char) -> Option<Vec<u8>> {
    // SAFETY: the ABI says null or NUL-terminated.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

fn text_of(text: *const libc::c_char) -> String {
    bytes_of(text).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}
