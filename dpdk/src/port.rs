//! Sources on ports: `dpdk:…`.

use crate::eal::{self, Eal, Turn, Wanted};
use crate::error::{Failure, PCAP_ERROR_PERM_DENIED, PCAP_WARNING, PCAP_WARNING_PROMISC_NOTSUP};
use crate::ffi::{self, OxPort, PortConfig, PortFacts};
use crate::flow::{self, Offload};
use crate::name::Target;
use oxpcap_plugin::{CbpfInsn, Config, EbpfInsn, NANOSECONDS, Packet, Stats};
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::sync::Mutex;

/// Ports that a source of ours has open.
static OPEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// A claim to a port; given up when dropped.
struct Claim(u16);

impl Claim {
    fn new(port: u16) -> Result<Self, Failure> {
        let mut open = OPEN.lock().unwrap_or_else(|e| e.into_inner());
        if open.contains(&port) {
            return Err(Failure::new(format!(
                "DPDK port {port} is already open in this process; its queues serve one reader"
            )));
        }
        open.push(port);
        Ok(Self(port))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(|e| e.into_inner());
        open.retain(|&port| port != self.0);
    }
}

/// A device that was plugged in for a source; unplugged when dropped.
struct Plugged {
    bus: CString,
    name: CString,
    generation: u32,
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // SAFETY: valid strings; a forked child leaves the parent's devices alone.
        unsafe {
            if self.generation == ffi::ox_fork_generation() {
                ffi::ox_unplug(self.bus.as_ptr(), self.name.as_ptr());
            }
        }
    }
}

/// An open port.
pub struct PortSource {
    raw: NonNull<OxPort>,
    offload: Offload,
    plugged: Option<Plugged>,
    claim: Option<Claim>,
    /// Before it was opened.
    forks: u32,
}

/// A warning that goes with an opened source.
pub type Warning = Option<(c_int, String)>;

impl PortSource {
    /// Opens what `name` (without `dpdk:`) stands for.
    pub fn open(name: &str, config: &Config) -> Result<(Self, Warning), Failure> {
        let target = Target::parse(name)?;
        match eal::ensure(&Wanted::Primary { pci: target.needs_pci() })? {
            Eal::OurSecondary => {
                return Err(Failure::new(
                    "this process is attached to another DPDK program (dpdk-pdump:); \
                     open ports in a process of their own",
                ));
            }
            Eal::Ours | Eal::Adopted => {}
        }
        let _turn = Turn::take()?;
        let (port, plugged) = find(&target)?;
        let claim = Claim::new(port)?;
        let only = match &target {
            Target::Port { queue: Some(queue), .. } => c_int::from(*queue),
            _ => -1,
        };
        let request = PortConfig {
            port,
            rx_queues: receive_queues()?,
            first_queue: only,
            promisc: config.promisc,
            descriptors: config.buffer_size / 2048,
            nanoseconds: c_int::from(config.precision == NANOSECONDS),
        };
        let wanted = flow::wanted()?;
        let raw = open_port(name, &request)?;
        // SAFETY: no conditions.
        let forks = unsafe { ffi::ox_fork_generation() };
        let mut source = Self { raw, offload: Offload::Off, plugged, claim: Some(claim), forks };
        if wanted {
            source.offload = source.prepare_offload()?;
        }
        let warning = source.warning(port, only);
        Ok((source, warning))
    }

    /// Only where the port is ours: on others a rule would take packets from the program.
    fn prepare_offload(&self) -> Result<Offload, Failure> {
        let port = self.raw.as_ptr();
        // SAFETY: the port is open, and freed after its rules.
        unsafe {
            if ffi::ox_port_joined(port) != 0 { Ok(Offload::Joined) } else { Offload::on(port) }
        }
    }

    /// Gives the port the rules that go with `program`, see [`Offload::apply`].
    pub fn offload(&mut self, program: &[CbpfInsn]) -> Result<String, Failure> {
        self.offload.apply(program)
    }

    fn warning(&self, port: u16, only: c_int) -> Warning {
        // SAFETY: the port is open.
        let (joined, promisc) = unsafe {
            (ffi::ox_port_joined(self.raw.as_ptr()), ffi::ox_port_promisc_result(self.raw.as_ptr()))
        };
        if joined != 0 {
            let queues =
                if only < 0 { "its receive queues".into() } else { format!("queue {only}") };
            let text = format!(
                "DPDK port {port} is run by this program: left as configured; packets read here \
                 are taken from {queues}, and cannot be sent"
            );
            return Some((PCAP_WARNING, text));
        }
        if promisc != 0 {
            let text = format!("DPDK port {port}: its driver has no promiscuous mode");
            return Some((PCAP_WARNING_PROMISC_NOTSUP, text));
        }
        None
    }

    /// For tests.
    #[cfg(test)]
    pub fn raw(&self) -> *const OxPort {
        self.raw.as_ptr()
    }

    /// One burst; `packets` has room for [`ffi::BURST`].
    pub fn receive(&mut self, packets: *mut Packet) -> Result<c_int, Failure> {
        // SAFETY: the port is open; the caller made room.
        let rc = unsafe { ffi::ox_port_receive(self.raw.as_ptr(), packets) };
        if rc < 0 { Err(call_failed("receiving", rc)) } else { Ok(rc) }
    }

    /// Gives the port a filter of DPDK's machine (`native_size` not 0: as machine code of that
    /// size), or takes it away.
    pub fn set_filter(&mut self, filter: Option<(&[EbpfInsn], usize)>) -> Result<(), Failure> {
        let mut raw = std::ptr::null_mut();
        if let Some((program, native_size)) = filter {
            let mark = ffi::log_mark();
            let (first, len) = (program.as_ptr(), program.len() as u32);
            // SAFETY: the program is read during the call only.
            let rc = unsafe { ffi::ox_filter_load(first, len, native_size, &mut raw) };
            if rc != 0 {
                let log = ffi::log_since(mark);
                return Err(Failure::errno("rte_bpf does not take this filter", rc, &log));
            }
        }
        // SAFETY: the port is open and owns the filter from here on.
        unsafe { ffi::ox_port_set_filter(self.raw.as_ptr(), raw) };
        Ok(())
    }

    /// Sends one frame.
    pub fn inject(&mut self, frame: *const u8, len: u32) -> Result<c_int, Failure> {
        // SAFETY: the port is open; the caller gives `len` bytes.
        match unsafe { ffi::ox_port_inject(self.raw.as_ptr(), frame, len) } {
            0 => Ok(len as c_int),
            rc if -rc == libc::EPERM => {
                Err(Failure::new("the port is run by the program itself: send through DPDK"))
            }
            rc if -rc == libc::ENOBUFS => Err(Failure::new("sending: no free buffer")),
            rc if -rc == libc::EAGAIN => Err(Failure::new(
                "sending: the port did not take the frame (queue full or link down)",
            )),
            rc => Err(call_failed("sending", rc)),
        }
    }

    /// Counters since it was opened.
    pub fn stats(&mut self, stats: &mut Stats) -> Result<(), Failure> {
        // SAFETY: the port is open.
        match unsafe { ffi::ox_port_stats(self.raw.as_ptr(), stats) } {
            0 => Ok(()),
            rc => Err(call_failed("reading the counters", rc)),
        }
    }
}

impl Drop for PortSource {
    fn drop(&mut self) {
        // SAFETY: no conditions.
        let forked = unsafe { ffi::ox_fork_generation() } != self.forks;
        if forked {
            // Locks may be held for ever by threads that are not in this process.
            std::mem::forget(self.claim.take());
        }
        // A failing open has it already.
        let _turn = if forked { None } else { Turn::take().ok() };
        // Before the port stops.
        self.offload = Offload::Off;
        // The pool can be freed only when the unplugged device has given its buffers back.
        // SAFETY: the port is open, and not used again.
        unsafe {
            ffi::ox_port_stop(self.raw.as_ptr());
            // Another device may get the number once this one is unplugged.
            self.claim = None;
            self.plugged = None;
            ffi::ox_port_free(self.raw.as_ptr());
        }
    }
}

fn call_failed(what: &str, rc: c_int) -> Failure {
    match -rc {
        libc::ECHILD => {
            Failure::new("this handle was opened before a fork; DPDK devices belong to the parent")
        }
        libc::ENODEV => Failure { status: -1, text: "the DPDK device is gone".into() },
        _ => Failure::errno(what, rc, ""),
    }
}

fn open_port(name: &str, request: &PortConfig) -> Result<NonNull<OxPort>, Failure> {
    let mark = ffi::log_mark();
    let mut raw = std::ptr::null_mut();
    let mut step: *const c_char = c"opening".as_ptr();
    // SAFETY: all pointers are valid over the call.
    let rc = unsafe { ffi::ox_port_open(request, &mut raw, &mut step) };
    NonNull::new(raw).filter(|_| rc == 0).ok_or_else(|| {
        // SAFETY: the shim sets it to string constants.
        let step = unsafe { CStr::from_ptr(step) }.to_string_lossy();
        let mut failure =
            Failure::errno(&format!("dpdk:{name}: {step}"), rc, &ffi::log_since(mark));
        if -rc == libc::ENOMEM {
            let hint = "; give DPDK more memory (PCAPX_DPDK_EAL='-m MEGABYTES', more huge pages)";
            failure.text.push_str(hint);
        }
        failure
    })
}

/// The port, and the device if it had to be plugged in for it.
fn find(target: &Target) -> Result<(u16, Option<Plugged>), Failure> {
    match target {
        Target::Port { number, .. } => {
            // SAFETY: no conditions.
            if unsafe { ffi::ox_port_exists(*number) } == 0 {
                return Err(Failure::no_device(format!(
                    "there is no DPDK port {number}; {}",
                    known_ports()
                )));
            }
            Ok((*number, None))
        }
        // net_pcap writes files.
        Target::Device { bus: "vdev", arguments, .. }
            if !arguments.is_empty() && eal::privileged() =>
        {
            Err(Failure {
                status: PCAP_ERROR_PERM_DENIED,
                text: "a program with privileges of its own takes no arguments of virtual devices"
                    .into(),
            })
        }
        Target::Device { bus, name, arguments } => find_device(bus, name, arguments),
    }
}

fn find_device(bus: &str, name: &str, arguments: &str) -> Result<(u16, Option<Plugged>), Failure> {
    let c_string = |text: &str| {
        CString::new(text).map_err(|_| Failure::no_device("the device name holds a NUL"))
    };
    let (c_bus, c_name, c_arguments) = (c_string(bus)?, c_string(name)?, c_string(arguments)?);
    let mut port = 0;
    // SAFETY: valid strings and a writable port.
    let mut lookup = || match unsafe { ffi::ox_port_find(c_name.as_ptr(), &mut port) } {
        0 => Some(port),
        _ => None,
    };
    if let Some(port) = lookup() {
        if !arguments.is_empty() && bus == "vdev" {
            return Err(Failure::new(format!(
                "the DPDK device {name} exists already (port {port}); its arguments cannot be changed"
            )));
        }
        return Ok((port, None));
    }
    let mark = ffi::log_mark();
    // SAFETY: valid strings.
    let (rc, generation) = unsafe {
        let rc = ffi::ox_plug(c_bus.as_ptr(), c_name.as_ptr(), c_arguments.as_ptr());
        (rc, ffi::ox_fork_generation())
    };
    if rc != 0 {
        return Err(plug_failed(bus, name, rc, &ffi::log_since(mark)));
    }
    let plugged = Plugged { bus: c_bus, name: c_name.clone(), generation };
    match lookup() {
        Some(port) => Ok((port, Some(plugged))),
        None => Err(Failure::no_device(format!("the DPDK device {name} has no Ethernet port"))),
    }
}

fn plug_failed(bus: &str, name: &str, rc: c_int, log: &str) -> Failure {
    let hint = match bus {
        "pci" => {
            "; is it bound to vfio-pci (dpdk-devbind.py --status), and was the EAL started \
             with the PCI bus (the first DPDK device opened was not a virtual one)?"
        }
        _ if log.contains("no driver") || rc == -libc::ENODEV || rc == -libc::ENOENT => {
            "; its name must begin with that of a driver (net_null0, net_pcap0, \
             net_af_packet0,iface=…)"
        }
        _ => "",
    };
    let mut failure = Failure::errno(&format!("DPDK cannot make the device {name}"), rc, log);
    failure.text.push_str(hint);
    failure
}

fn known_ports() -> String {
    let names: Vec<String> = ports()
        .map(|port| format!("{port} ({})", facts(port).map_or("?".into(), |f| f.0)))
        .collect();
    if names.is_empty() {
        "DPDK has none: bind a card to vfio-pci, or give a virtual device (dpdk:net_null0)".into()
    } else {
        format!("there are {}", names.join(", "))
    }
}

/// All ports of the EAL.
pub fn ports() -> impl Iterator<Item = u16> {
    let next = |from: u16| {
        // SAFETY: no conditions.
        u16::try_from(unsafe { ffi::ox_port_next(from) }).ok()
    };
    std::iter::successors(next(0), move |&port| next(port.checked_add(1)?))
}

/// Device name, driver, MAC address and link state of a port.
pub fn facts(port: u16) -> Option<(String, String, [u8; 6], bool)> {
    let mut facts =
        PortFacts { name: [0; ffi::NAME], driver: [0; ffi::NAME], mac: [0; 6], link_up: 0 };
    // SAFETY: `facts` is writable.
    if unsafe { ffi::ox_port_facts(port, &mut facts) } != 0 {
        return None;
    }
    let text = |field: &[c_char]| {
        let bytes: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Some((text(&facts.name), text(&facts.driver), facts.mac, facts.link_up != 0))
}

/// `PCAPX_DPDK_RX_QUEUES`: receive queues of a port, read in turn; 1 unless set.
fn receive_queues() -> Result<u16, Failure> {
    let Some(value) = std::env::var_os("PCAPX_DPDK_RX_QUEUES") else { return Ok(1) };
    value.to_str().and_then(|text| text.parse().ok()).filter(|n| (1..=1024).contains(n)).ok_or_else(
        || {
            let value = value.to_string_lossy();
            Failure::new(format!("PCAPX_DPDK_RX_QUEUES={value}: not a number from 1 to 1024"))
        },
    )
}
