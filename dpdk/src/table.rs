//! The exported table: C's arguments to safe calls, panics to errors.

use crate::eal::{self, Wanted};
use crate::error::{Failure, put_text};
use crate::ffi;
use crate::pdump::PdumpSource;
use crate::port::{self, PortSource};
use crate::{native, verifier};
use oxpcap_plugin::{
    ABI, Config, Device, EbpfInsn, ErrorText, FILTER_INTERPRETER, FILTER_JIT, FILTER_NONE, Filter,
    Opened, Packet, Stats, Table, Visit,
};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `DLT_EN10MB`.
const DLT_EN10MB: c_int = 1;
/// `PCAP_IF_UP | PCAP_IF_RUNNING`.
const IF_UP_RUNNING: u32 = 0x2 | 0x4;
/// `PCAP_IF_CONNECTION_STATUS_CONNECTED`, `…_DISCONNECTED`.
const IF_CONNECTED: u32 = 0x10;
const IF_DISCONNECTED: u32 = 0x20;

/// What oxpcap looks for.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static pcapx_plugin: Table = Table {
    abi: ABI,
    size: size_of::<Table>() as u32,
    name: c"dpdk".as_ptr(),
    version: concat!("oxpcap DPDK plug-in ", env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast(),
    list: Some(list),
    open: Some(open),
    close: Some(close),
    receive: Some(receive),
    inject: Some(inject),
    stats: Some(stats),
    set_filter: Some(set_filter),
};

/// Runs `body`; an error or a panic becomes a status and a text.
fn guard(error: *mut ErrorText, body: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) => failure.put(error),
        Err(_) => Failure::new("internal error in the DPDK plug-in").put(error),
    }
}

/// # Safety
/// `text` is NUL-terminated and outlives the result.
unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::no_device("the device name is not UTF-8"))
}

/// What `open` made.
enum Source {
    Port(PortSource),
    Pdump(PdumpSource),
}

/// # Safety
/// `source` came from `open`, is not closed, and nobody else uses it meanwhile.
unsafe fn source<'a>(source: *mut c_void) -> &'a mut Source {
    // SAFETY: the caller's promise.
    unsafe { &mut *source.cast::<Source>() }
}

unsafe extern "C" fn open(
    device: *const c_char,
    config: *const Config,
    opened: *mut Opened,
    error: *mut ErrorText,
) -> c_int {
    guard(error, || {
        // SAFETY: the ABI gives valid pointers.
        let (device, config, opened) = unsafe { (text(device)?, &*config, &mut *opened) };
        let (scheme, name) = device.split_once(':').unwrap_or(("", device));
        let (source, warning) = match scheme {
            "dpdk" => {
                let (port, warning) = PortSource::open(name, config)?;
                (Source::Port(port), warning)
            }
            "dpdk-pdump" => (Source::Pdump(PdumpSource::open(name, config)?), None),
            _ => return Err(Failure::no_device(format!("{device}: not a DPDK device"))),
        };
        opened.linktype = DLT_EN10MB;
        opened.burst = ffi::BURST as u32;
        opened.fd = -1;
        opened.source = Box::into_raw(Box::new(source)).cast();
        Ok(match warning {
            Some((status, message)) => {
                put_text(&message, error);
                status
            }
            None => 0,
        })
    })
}

unsafe extern "C" fn close(source: *mut c_void) {
    // SAFETY: made by `open`, not used again.
    let source = unsafe { Box::from_raw(source.cast::<Source>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(source)));
}

unsafe extern "C" fn receive(
    raw: *mut c_void,
    packets: *mut Packet,
    max: u32,
    error: *mut ErrorText,
) -> c_int {
    guard(error, || {
        if (max as usize) < ffi::BURST {
            return Err(Failure::new("no room for a burst"));
        }
        // SAFETY: the ABI gives an open source, and room for `max` packets.
        match unsafe { source(raw) } {
            Source::Port(port) => port.receive(packets),
            Source::Pdump(tap) => tap.receive(packets),
        }
    })
}

unsafe extern "C" fn inject(
    raw: *mut c_void,
    frame: *const u8,
    len: u32,
    error: *mut ErrorText,
) -> c_int {
    guard(error, || {
        if len == 0 || len > 65_535 {
            return Err(Failure::new(format!("cannot send a frame of {len} bytes")));
        }
        // SAFETY: the ABI gives an open source and `len` bytes.
        match unsafe { source(raw) } {
            Source::Port(port) => port.inject(frame, len),
            Source::Pdump(_) => Err(Failure::new("a tap on another program cannot send")),
        }
    })
}

unsafe extern "C" fn stats(raw: *mut c_void, stats: *mut Stats, error: *mut ErrorText) -> c_int {
    // SAFETY: the ABI gives an open source and a writable structure.
    guard(error, || match unsafe { (source(raw), &mut *stats) } {
        (Source::Port(port), stats) => port.stats(stats).map(|()| 0),
        (Source::Pdump(tap), stats) => tap.stats(stats).map(|()| 0),
    })
}

unsafe extern "C" fn set_filter(
    raw: *mut c_void,
    filter: *const Filter,
    error: *mut ErrorText,
) -> c_int {
    guard(error, || {
        // SAFETY: the ABI gives an open source and a filter with valid programs.
        let (source, filter, cbpf, ebpf) = unsafe {
            let filter = &*filter;
            let ebpf = (!filter.ebpf.is_null())
                .then(|| std::slice::from_raw_parts(filter.ebpf, filter.ebpf_len as usize));
            let cbpf = (!filter.cbpf.is_null())
                .then(|| std::slice::from_raw_parts(filter.cbpf, filter.cbpf_len as usize));
            (source(raw), filter, cbpf.unwrap_or_default(), ebpf)
        };
        match source {
            Source::Port(port) => {
                let taken = set_port_filter(port, filter.how, ebpf)?;
                put_text(&port.offload(cbpf)?, error);
                Ok(taken)
            }
            Source::Pdump(tap) => set_tap_filter(tap, filter.how, ebpf),
        }
    })
}

fn set_port_filter(
    port: &mut PortSource,
    how: c_int,
    ebpf: Option<&[EbpfInsn]>,
) -> Result<c_int, Failure> {
    let program = || {
        let program = ebpf.ok_or_else(|| Failure::new("this filter has no eBPF form"))?;
        verifier::check(program).map(|()| program)
    };
    match how {
        FILTER_INTERPRETER => port.set_filter(Some((program()?, 0))).map(|()| 1),
        FILTER_JIT => {
            let program = program()?;
            port.set_filter(Some((program, native::size(program)?))).map(|()| 1)
        }
        // libpcap's own JIT is faster than DPDK's interpreter and right where DPDK's is not.
        _ => port.set_filter(None).map(|()| 0),
    }
}

/// The program filters before it copies, where its DPDK can load the filter.
fn set_tap_filter(
    tap: &mut PdumpSource,
    how: c_int,
    ebpf: Option<&[EbpfInsn]>,
) -> Result<c_int, Failure> {
    match ebpf.filter(|program| how != FILTER_NONE && verifier::check(program).is_ok()) {
        Some(program) => tap.set_filter(program).map(|()| 1),
        None if matches!(how, FILTER_INTERPRETER | FILTER_JIT) => {
            Err(Failure::new("this filter cannot run in the DPDK program"))
        }
        None => tap.set_filter(&[]).map(|()| 0),
    }
}

unsafe extern "C" fn list(
    scheme: *const c_char,
    visit: Visit,
    user: *mut c_void,
    error: *mut ErrorText,
) -> c_int {
    guard(error, || {
        // SAFETY: the ABI gives a valid string.
        if unsafe { text(scheme)? } != "dpdk" {
            return Ok(0);
        }
        eal::ensure(&Wanted::Primary { pci: true })?;
        for number in port::ports() {
            let Some((device, driver, mac, link)) = port::facts(number) else { continue };
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            let name = CString::new(format!("dpdk:{number}"));
            let description = CString::new(format!("DPDK {device}, driver {driver}, MAC {mac}"));
            let (Ok(name), Ok(description)) = (name, description) else { continue };
            let device = Device {
                size: size_of::<Device>() as u32,
                flags: IF_UP_RUNNING | if link { IF_CONNECTED } else { IF_DISCONNECTED },
                name: name.as_ptr(),
                description: description.as_ptr(),
            };
            // SAFETY: the caller's own function and argument; the device is valid.
            unsafe { visit(user, &device) };
        }
        Ok(0)
    })
}
