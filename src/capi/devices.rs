//! Devices: pcap_findalldevs(3PCAP), pcap_lookupdev(3PCAP), pcap_lookupnet(3PCAP).

use super::boundary::{c_bytes, guard, set_errbuf};
use super::init;
use super::kept::kept;
use super::memory::{copy_slice, copy_string};
use super::types::{pcap_addr, pcap_if};
use crate::device::{self, Address, Device, SockAddr};
use crate::error::{Error, status};
use crate::raw_text;
use libc::sockaddr;
use std::ffi::{CString, c_char, c_int, c_uint};
use std::ptr;

/// Runs `f`; its error or panic goes to `errbuf`, its status to the caller.
///
/// # Safety
/// `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes.
pub(super) unsafe fn report(errbuf: *mut c_char, f: impl FnOnce() -> Result<(), Error>) -> c_int {
    let text = match guard(|| f().map_err(|e| e.to_string())) {
        Ok(Ok(())) => return 0,
        Ok(Err(text)) | Err(text) => text,
    };
    // SAFETY: as the caller vouches.
    unsafe { set_errbuf(errbuf, &raw_text::restore(&text)) };
    status::ERROR
}

/// `pcap_findalldevs`: the devices that can be opened; the list is the caller's, to be freed by
/// [`pcap_freealldevs`].
///
/// # Safety
/// `alldevs` is writable, `errbuf` NULL or `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_findalldevs(
    alldevs: *mut *mut pcap_if,
    errbuf: *mut c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, || give_devices(&device::list()?, alldevs)) }
}

/// Hands a list over to C.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn give_devices(devices: &[Device], out: *mut *mut pcap_if) -> Result<(), Error> {
    if out.is_null() {
        return Err(Error::Null("device list"));
    }
    // From the last to the first, each before the ones that are there.
    let mut list = ptr::null_mut();
    for device in devices.iter().rev() {
        let item = pcap_if {
            next: list,
            name: copy_string(&device.name),
            description: device.description.as_deref().map_or(ptr::null_mut(), copy_string),
            addresses: addresses(&device.addresses),
            flags: device.flags.0,
        };
        let has_name = !item.name.is_null();
        list = into_malloc(item);
        if list.is_null() || !has_name {
            // SAFETY: made here, and nobody else's.
            unsafe { pcap_freealldevs(list) };
            return Err(Error::OutOfMemory);
        }
    }
    // SAFETY: not NULL, so writable.
    unsafe { *out = list };
    Ok(())
}

fn addresses(addresses: &[Address]) -> *mut pcap_addr {
    let mut list = ptr::null_mut();
    for address in addresses.iter().rev() {
        list = into_malloc(pcap_addr {
            next: list,
            addr: socket_address(address.addr.as_ref()),
            netmask: socket_address(address.netmask.as_ref()),
            broadaddr: socket_address(address.broadaddr.as_ref()),
            dstaddr: socket_address(address.dstaddr.as_ref()),
        });
    }
    list
}

fn socket_address(address: Option<&SockAddr>) -> *mut sockaddr {
    address.map_or(ptr::null_mut(), |a| copy_slice(a.bytes()).cast())
}

fn into_malloc<T>(item: T) -> *mut T {
    // SAFETY: malloc gives memory aligned for any type, as large as is asked for.
    unsafe {
        let memory: *mut T = libc::malloc(size_of::<T>()).cast();
        if !memory.is_null() {
            memory.write(item);
        }
        memory
    }
}

/// `pcap_freealldevs`.
///
/// # Safety
/// `alldevs` is NULL or a list of [`pcap_findalldevs`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_freealldevs(alldevs: *mut pcap_if) {
    let mut device = alldevs;
    while !device.is_null() {
        // SAFETY: all of the list comes from malloc, and each part is freed once, after it was
        // read.
        unsafe {
            let next = (*device).next;
            free_addresses((*device).addresses);
            libc::free((*device).name.cast());
            libc::free((*device).description.cast());
            libc::free(device.cast());
            device = next;
        }
    }
}

unsafe fn free_addresses(list: *mut pcap_addr) {
    let mut address = list;
    while !address.is_null() {
        // SAFETY: as in pcap_freealldevs.
        unsafe {
            let next = (*address).next;
            for part in
                [(*address).addr, (*address).netmask, (*address).broadaddr, (*address).dstaddr]
            {
                libc::free(part.cast());
            }
            libc::free(address.cast());
            address = next;
        }
    }
}

/// `pcap_lookupdev`: the first device, unless that is a loopback device.
///
/// # Safety
/// `errbuf` is NULL or has `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_lookupdev(errbuf: *mut c_char) -> *mut c_char {
    let mut name = ptr::null_mut();
    let look = || {
        if init::is_new_api() {
            return Err(Error::LookupdevUnsupported);
        }
        let found = CString::new(device::lookup_default()?).unwrap_or_default();
        name = kept(|kept| {
            kept.device = found;
            kept.device.as_ptr().cast_mut()
        });
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, look) };
    name
}

/// `pcap_lookupnet`: network number and netmask of a device, in network byte order.
///
/// # Safety
/// `device` is NULL or a string, `netp` and `maskp` are writable, `errbuf` is NULL or has
/// `PCAP_ERRBUF_SIZE` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcap_lookupnet(
    device: *const c_char,
    netp: *mut c_uint,
    maskp: *mut c_uint,
    errbuf: *mut c_char,
) -> c_int {
    let look = || {
        if netp.is_null() || maskp.is_null() {
            return Err(Error::Null("network number"));
        }
        // SAFETY: writable, and NULL or a string, says the caller.
        unsafe {
            (*netp, *maskp) = (0, 0);
            let network = device::lookupnet(c_bytes(device))?;
            (*netp, *maskp) = (network.net, network.mask);
        }
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { report(errbuf, look) }
}
