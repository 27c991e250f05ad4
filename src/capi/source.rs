//! Sources as strings: `pcap_open`, `pcap_createsrcstr`, `pcap_parsesrcstr`, `pcap_findalldevs_ex`,
//! `pcap_setsampling`. On this host only.

use super::boundary::c_bytes;
use super::devices::{give_devices, report};
use super::handle::pcap_t;
use super::open::{make, open_live};
use super::types::{pcap_if, pcap_rmtauth, pcap_samp};
use crate::capture::dpdk::{self, Listed};
use crate::device::{self, Device, Flags};
use crate::error::Error;
use crate::handle::{Handle, Inactive, Offline, Source, SourceError, SourceKind};
use crate::savefile::Reader;
use std::ffi::{CString, OsStr, c_char, c_int};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

/// `PCAP_BUF_SIZE`: room for a source string and for each of its parts.
const PCAP_BUF_SIZE: usize = 1024;
/// `PCAP_OPENFLAG_PROMISCUOUS`.
const PROMISCUOUS: c_int = 1;
/// `PCAP_OPENFLAG_MAX_RESPONSIVENESS`.
const MAX_RESPONSIVENESS: c_int = 16;

/// Copies `text` to a buffer of `PCAP_BUF_SIZE` bytes, if there is one.
unsafe fn store(buffer: *mut c_char, text: &[u8]) {
    let len = text.len().min(PCAP_BUF_SIZE - 1);
    if !buffer.is_null() {
        // SAFETY: as large as all callers demand; `text` is ours.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), len);
            buffer.add(len).write(0);
        }
    }
}

/// `pcap_createsrcstr`: puts a source string together.
///
/// # Safety
/// `source` has `PCAP_BUF_SIZE` bytes, `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes; the others
/// are NULL or strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_createsrcstr(
    source: *mut c_char,
    type_: c_int,
    host: *const c_char,
    port: *const c_char,
    name: *const c_char,
    errbuf: *mut c_char,
) -> c_int {
    // SAFETY: NULL or strings, says the caller.
    let part = |text| unsafe { c_bytes(text) }.unwrap_or_default().to_vec();
    let create = || {
        let kind = match type_ {
            2 => SourceKind::File,
            3 => SourceKind::Local,
            4 => SourceKind::Remote,
            _ => return Err(SourceError::UnknownKind.into()),
        };
        let parts = Source { kind, host: part(host), port: part(port), name: part(name) };
        // SAFETY: as large as the caller says.
        unsafe { store(source, &parts.to_text()?) };
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, create) }
}

/// `pcap_parsesrcstr`: takes a source string apart.
///
/// # Safety
/// `source` is NULL or a string; `type_` is NULL or writable; `host`, `port` and `name` are NULL or
/// have `PCAP_BUF_SIZE` bytes, `errbuf` `PCAP_ERRBUF_SIZE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_parsesrcstr(
    source: *const c_char,
    type_: *mut c_int,
    host: *mut c_char,
    port: *mut c_char,
    name: *mut c_char,
    errbuf: *mut c_char,
) -> c_int {
    let parse = || {
        // SAFETY: NULL or a string, says the caller.
        let parts = Source::parse(unsafe { c_bytes(source) }.unwrap_or_default())?;
        // SAFETY: NULL, or as large as the caller says.
        unsafe {
            if !type_.is_null() {
                *type_ = parts.kind as c_int;
            }
            store(host, &parts.host);
            store(port, &parts.port);
            store(name, &parts.name);
        }
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, parse) }
}

/// The source that `text` names; without a text the first device.
fn source_of(text: Option<&[u8]>) -> Result<Source, Error> {
    let source = match text {
        Some(text) => Source::parse(text)?,
        None => Source {
            kind: SourceKind::Local,
            host: Vec::new(),
            port: Vec::new(),
            name: device::lookup_default()?,
        },
    };
    source.check_local()?;
    if source.kind == SourceKind::Local && source.name.is_empty() {
        return Err(SourceError::NoDevice.into());
    }
    Ok(source)
}

/// `pcap_open`: opens a savefile or a device by its source string.
///
/// # Safety
/// `source` is NULL or a string, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes. `auth` is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_open(
    source: *const c_char,
    snaplen: c_int,
    flags: c_int,
    read_timeout: c_int,
    _auth: *mut pcap_rmtauth,
    errbuf: *mut c_char,
) -> *mut pcap_t {
    let mut found = None;
    let find = || {
        // SAFETY: NULL or a string, says the caller.
        found = Some(source_of(unsafe { c_bytes(source) })?);
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, find) };
    let Some(source) = found else { return ptr::null_mut() };
    if source.kind == SourceKind::File {
        // SAFETY: as the caller vouches.
        return unsafe { make(errbuf, || open_file(&source.name)) };
    }
    let set = |inactive: &mut Inactive| {
        inactive.config.snaplen = snaplen;
        inactive.config.promisc = flags & PROMISCUOUS != 0;
        inactive.config.immediate = flags & MAX_RESPONSIVENESS != 0;
        inactive.config.timeout_ms = read_timeout;
    };
    // SAFETY: as the caller vouches.
    unsafe { open_live(&source.name, set, errbuf) }
}

fn open_file(path: &[u8]) -> Result<Handle, Error> {
    // A C string's bytes have no NUL.
    let path = CString::new(path).unwrap_or_default();
    Ok(Handle::Offline(Box::new(Offline::new(Reader::open_path(&path, 0)?))))
}

/// `pcap_findalldevs_ex`: the devices (`rpcap://`), or the savefiles of a folder (`file://FOLDER/`),
/// as sources. To be freed by `pcap_freealldevs`.
///
/// # Safety
/// `source` is NULL or a string, `alldevs` writable, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes. `auth`
/// is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_findalldevs_ex(
    source: *const c_char,
    _auth: *mut pcap_rmtauth,
    alldevs: *mut *mut pcap_if,
    errbuf: *mut c_char,
) -> c_int {
    let list = || {
        // SAFETY: NULL or a string, says the caller.
        let text = unsafe { c_bytes(source) }.unwrap_or(b"rpcap://");
        if let Some(found) = plugin_devices(text)? {
            // SAFETY: NULL or writable, says the caller.
            return unsafe { give_devices(&found, alldevs) };
        }
        let source = Source::parse(text)?;
        source.check_local()?;
        let found = match source.kind {
            SourceKind::File => savefiles(&source.name)?,
            _ => local_devices()?,
        };
        // SAFETY: NULL or writable, says the caller.
        unsafe { give_devices(&found, alldevs) }
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, list) }
}

/// The devices of `SCHEME://` where a plug-in has the scheme (`dpdk://`), under the names that
/// `pcap_create` takes.
fn plugin_devices(source: &[u8]) -> Result<Option<Vec<Device>>, Error> {
    let scheme = source.strip_suffix(b"://").and_then(|s| std::str::from_utf8(s).ok());
    let Some(scheme) = scheme.filter(|s| dpdk::is_plugin_device(format!("{s}:").as_bytes())) else {
        return Ok(None);
    };
    let device = |listed: Listed| Device {
        name: listed.name,
        description: listed.description,
        addresses: Vec::new(),
        flags: Flags(listed.flags),
    };
    Ok(Some(dpdk::list(scheme)?.into_iter().map(device).collect()))
}

fn local_devices() -> Result<Vec<Device>, Error> {
    let mut devices = device::list()?;
    for device in &mut devices {
        let what = device.description.as_deref().unwrap_or(&device.name);
        device.description = Some(described(b"Network adapter", what));
        device.name = [b"rpcap://", device.name.as_slice()].concat();
    }
    Ok(devices)
}

fn described(kind: &[u8], what: &[u8]) -> Vec<u8> {
    [kind, b" '", what, b"' on local host"].concat()
}

/// The regular files of a folder that are savefiles, by name.
fn savefiles(folder: &[u8]) -> Result<Vec<Device>, Error> {
    let path = Path::new(OsStr::from_bytes(folder));
    let no_folder = |_| SourceError::NoFolder(path.to_string_lossy().into_owned());
    let mut paths: Vec<_> = fs::read_dir(path)
        .map_err(no_folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        // Opening a pipe could wait for ever.
        .filter(|path| path.is_file())
        .map(|path| path.into_os_string().into_vec())
        .filter(|path| open_file(path).is_ok())
        .collect();
    paths.sort();
    let device = |path: Vec<u8>| Device {
        description: Some(described(b"File", &path)),
        name: [b"file://", path.as_slice()].concat(),
        addresses: Vec::new(),
        flags: Flags(0),
    };
    Ok(paths.into_iter().map(device).collect())
}

/// `pcap_setsampling`: where the program puts how to sample; without effect on local sources.
///
/// # Safety
/// `p` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_setsampling(p: *mut pcap_t) -> *mut pcap_samp {
    if p.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: an open handle; only a pointer is made.
    unsafe { &raw mut (*p).core.sampling }
}
