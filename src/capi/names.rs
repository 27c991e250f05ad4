//! Names as filters look them up: `pcap/namedb.h`.

use super::boundary::{c_bytes, guard_or};
use super::kept::{Kept, kept};
use super::memory::copy_slice;
use crate::ethertype::{self, EPROTO_DB_LEN, ETHERTYPES};
use crate::sys::netdb::{self, AddrInfo, Transport};
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ushort};
use std::net::IpAddr;
use std::ptr;

/// `PROTO_UNDEF`.
const PROTO_UNDEF: c_int = -1;

/// An entry of [`eproto_db`].
#[repr(C)]
pub struct eproto {
    s: *const c_char,
    p: c_ushort,
}

// SAFETY: the pointers are to constants.
unsafe impl Sync for eproto {}

/// Names of Ethernet types, with a NULL at the end: data that libpcap happens to export.
#[unsafe(no_mangle)]
pub static eproto_db: [eproto; EPROTO_DB_LEN + 1] = {
    let mut table = [const { eproto { s: ptr::null(), p: 0 } }; EPROTO_DB_LEN + 1];
    let mut at = 0;
    while at < EPROTO_DB_LEN {
        table[at] = eproto { s: ETHERTYPES[at].0.as_ptr(), p: ETHERTYPES[at].1 };
        at += 1;
    }
    table
};

/// Runs `f` on a name; `fallback` for NULL.
unsafe fn look_up<T: Copy>(name: *const c_char, fallback: T, f: impl FnOnce(&CStr) -> T) -> T {
    if name.is_null() {
        return fallback;
    }
    // SAFETY: a string, as all callers demand.
    let name = unsafe { CStr::from_ptr(name) };
    guard_or(fallback, || f(name))
}

/// Stores a result, unless the caller does not want it.
unsafe fn store(out: *mut c_int, value: c_int) {
    if !out.is_null() {
        // SAFETY: writable, as all callers demand.
        unsafe { *out = value };
    }
}

fn proto(transport: Transport) -> c_int {
    match transport {
        Transport::Tcp => libc::IPPROTO_TCP,
        Transport::Udp => libc::IPPROTO_UDP,
        Transport::Both => PROTO_UNDEF,
    }
}

/// `pcap_nametoaddrinfo`: addresses of a host, to be freed by `freeaddrinfo`, or NULL.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoaddrinfo(name: *const c_char) -> *mut libc::addrinfo {
    let find = |name: &CStr| AddrInfo::host(name).map_or(ptr::null_mut(), AddrInfo::into_raw);
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, ptr::null_mut(), find) }
}

/// What [`pcap_nametoaddr`] returned last: addresses, and a list of pointers to them.
#[derive(Default)]
pub(super) struct HostAddresses {
    addresses: Vec<c_uint>,
    list: Vec<*mut c_uint>,
}

/// `pcap_nametoaddr`: IPv4 addresses of a host in host byte order, a list that ends in NULL and
/// lasts until the thread's next call; NULL where there are none.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoaddr(name: *const c_char) -> *mut *mut c_uint {
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, ptr::null_mut(), |name| keep_addresses(&v4_addresses(name))) }
}

fn v4_addresses(name: &CStr) -> Vec<c_uint> {
    let v4 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => Some(u32::from(ip)),
        IpAddr::V6(_) => None,
    };
    netdb::host(name).unwrap_or_default().into_iter().filter_map(v4).collect()
}

fn keep_addresses(addresses: &[c_uint]) -> *mut *mut c_uint {
    if addresses.is_empty() {
        return ptr::null_mut();
    }
    kept(|Kept { host, .. }| {
        host.addresses = addresses.to_vec();
        host.list = host.addresses.iter_mut().map(ptr::from_mut).collect();
        host.list.push(ptr::null_mut());
        host.list.as_mut_ptr()
    })
}

/// `pcap_nametonetaddr`: a network's number in host byte order, 0 for an unknown one.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametonetaddr(name: *const c_char) -> c_uint {
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, 0, |name| netdb::network(name).unwrap_or(0)) }
}

/// `pcap_nametoport`: 1 for a known service, with its port and its protocol (`IPPROTO_*` or
/// `PROTO_UNDEF`), else 0.
///
/// # Safety
/// `name` is NULL or a string; the others are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoport(
    name: *const c_char,
    port: *mut c_int,
    proto_out: *mut c_int,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let Some((number, transport)) = look_up(name, None, netdb::port) else { return 0 };
        store(port, number.into());
        store(proto_out, proto(transport));
    }
    1
}

/// `pcap_nametoportrange`: 1 for a range of known ports, else 0.
///
/// # Safety
/// As for [`pcap_nametoport`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoportrange(
    name: *const c_char,
    port1: *mut c_int,
    port2: *mut c_int,
    proto_out: *mut c_int,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe {
        let Some((low, high, transport)) = look_up(name, None, netdb::port_range) else { return 0 };
        store(port1, low.into());
        store(port2, high.into());
        store(proto_out, proto(transport));
    }
    1
}

/// `pcap_nametoproto`: an IP protocol's number, or `PROTO_UNDEF`.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoproto(name: *const c_char) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, PROTO_UNDEF, |name| netdb::ip_protocol(name).unwrap_or(PROTO_UNDEF)) }
}

/// `pcap_nametoeproto`: an Ethernet type, or `PROTO_UNDEF`.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametoeproto(name: *const c_char) -> c_int {
    let find = |name: &CStr| ethertype::ethertype(name.to_bytes()).map_or(PROTO_UNDEF, c_int::from);
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, PROTO_UNDEF, find) }
}

/// `pcap_nametollc`: an LLC service access point, or `PROTO_UNDEF`.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_nametollc(name: *const c_char) -> c_int {
    let find = |name: &CStr| ethertype::llc_sap(name.to_bytes()).map_or(PROTO_UNDEF, c_int::from);
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, PROTO_UNDEF, find) }
}

/// `pcap_ether_hostton`: the address of a name in /etc/ethers, from `malloc`, or NULL.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_ether_hostton(name: *const c_char) -> *mut c_uchar {
    let find = |name: &CStr| netdb::ether_host(name).map_or(ptr::null_mut(), |a| copy_slice(&a));
    // SAFETY: as the caller vouches.
    unsafe { look_up(name, ptr::null_mut(), find) }
}

/// `pcap_ether_aton`: the address that a text spells, from `malloc`.
///
/// # Safety
/// `s` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_ether_aton(s: *const c_char) -> *mut c_uchar {
    // SAFETY: NULL or a string, says the caller.
    let text = unsafe { c_bytes(s) };
    guard_or(ptr::null_mut(), || {
        text.map_or(ptr::null_mut(), |text| copy_slice(&netdb::ether_aton(text)))
    })
}

/// `struct pcap_etherent`: a line of /etc/ethers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcap_etherent {
    /// The address.
    pub addr: [c_uchar; 6],
    /// The name, with a NUL at its end.
    pub name: [c_char; 122],
}

const _: () = assert!(size_of::<pcap_etherent>() == 128);

/// `pcap_next_etherent`: the next entry of an open file like /etc/ethers, until the thread asks for
/// another one; NULL at the end.
///
/// # Safety
/// `fp` is NULL or an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_next_etherent(fp: *mut libc::FILE) -> *mut pcap_etherent {
    if fp.is_null() {
        return ptr::null_mut();
    }
    guard_or(ptr::null_mut(), || {
        // SAFETY: an open stream, says the caller. EOF is negative, so not a byte.
        let next_byte = || u8::try_from(unsafe { libc::fgetc(fp) }).ok();
        let Some(found) = netdb::next_etherent(next_byte) else { return ptr::null_mut() };
        kept(|Kept { etherent: entry, .. }| {
            entry.addr = found.address;
            entry.name = [0; 122];
            for (to, &from) in entry.name[..121].iter_mut().zip(&found.name) {
                *to = from as c_char;
            }
            ptr::from_mut(entry)
        })
    })
}
