//! Activation, in the order of libpcap's.

use super::arphrd::{self, LinkKind};
use super::drops::InterfaceDrops;
use super::kernel_filter::{Cooked, Installed};
use super::live::{Live, MOST, Marks, View};
use super::selection::UserlandFilter;
use super::socket::{self, Buffers};
use super::{
    CaptureError, Config, PCAP_ERROR_IFACE_NOT_UP, PCAP_ERROR_NO_SUCH_DEVICE,
    PCAP_ERROR_PERM_DENIED, PCAP_ERROR_RFMON_NOTSUP, PCAP_WARNING, PCAP_WARNING_PROMISC_NOTSUP,
    cooked, failure, failure_with, status, tstamp, vlan,
};
use crate::capture::breakloop::EventWaker;
use crate::capture::{Activated, Direction, StatsCounter};
use crate::linktype::Dlt;
use crate::packet::RawPacket;
use crate::sys::netdev;
use crate::sys::packet::{ETH_P_ALL, PacketSocket};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

/// How packets are to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// As libpcap chooses: TPACKET_V3, TPACKET_V2 in immediate mode; whatever works where the
    /// kernel has less.
    #[default]
    Auto,
    /// TPACKET_V3 or failure.
    V3,
    /// TPACKET_V2 or failure.
    V2,
    /// recvmmsg(2), no ring.
    Receive,
}

impl Method {
    /// What `PCAPX_LINUX_CAPTURE` asks for: `v3`, `v2` or `recv`; anything else is an error.
    pub(super) fn from_environment() -> Result<Self, CaptureError> {
        let value = std::env::var_os("PCAPX_LINUX_CAPTURE").unwrap_or_default();
        match value.to_str() {
            Some("") => Ok(Self::Auto),
            Some("v3") => Ok(Self::V3),
            Some("v2") => Ok(Self::V2),
            Some("recv") => Ok(Self::Receive),
            _ => Err(failure(&format!(
                "PCAPX_LINUX_CAPTURE={}: not one of v3, v2, recv",
                value.to_string_lossy()
            ))),
        }
    }
}

/// A warning that grows worse: the last one told stays.
#[derive(Default)]
pub(super) struct Warning {
    pub status: i32,
    pub message: String,
}

impl Warning {
    pub fn set(&mut self, status: i32, message: impl Into<String>) {
        (self.status, self.message) = (status, message.into());
    }
}

/// Opens and activates an interface, or all of them, by a given method.
///
/// # Errors
/// As [`crate::capture::open`].
pub fn activate_by(config: &Config, method: Method) -> Result<Activated, CaptureError> {
    let device = config.device.as_deref().unwrap_or(b"any");
    let mut warning = Warning::default();
    let waker = EventWaker::new().map_err(|e| failure_with("could not open eventfd", e))?;
    let promisc = config.promisc && device != b"any";
    if config.promisc && !promisc {
        warning.set(
            PCAP_WARNING_PROMISC_NOTSUP,
            "Promiscuous mode not supported on the \"any\" device",
        );
    }
    let drops = if promisc { InterfaceDrops::of(device) } else { InterfaceDrops::none() };
    let opened = open(config, device, promisc, &mut warning)?;
    let mut live = assemble(config, opened, drops, waker, method)?;
    let protocol = match config.protocol {
        0 => ETH_P_ALL,
        protocol => protocol as u16,
    };
    bind(&live.socket, live.ifindex, protocol)?;
    live.nonblock = config.nonblock || config.timeout_ms < 0;
    Ok(Activated { backend: Box::new(live), warning: warning.status, message: warning.message })
}

/// A socket that is set up but for its buffers.
pub(super) struct Opened {
    pub socket: PacketSocket,
    pub ifindex: i32,
    pub lo_ifindex: i32,
    pub kind: LinkKind,
    pub host_clock: bool,
}

/// Makes the socket and sets what must be set before its ring.
fn open(
    config: &Config,
    device: &[u8],
    promisc: bool,
    warning: &mut Warning,
) -> Result<Opened, CaptureError> {
    let any = device == b"any";
    if device.len() >= libc::IFNAMSIZ {
        return Err(status(PCAP_ERROR_NO_SUCH_DEVICE));
    }
    let mut socket = new_socket(any)?;
    // Containers may have no loopback interface.
    let lo_ifindex = netdev::index(socket.as_fd(), b"lo").unwrap_or(-1);
    let mut kind = LinkKind::any();
    let mut ifindex = 0;
    if config.rfmon {
        return Err(status(PCAP_ERROR_RFMON_NOTSUP));
    }
    if !any {
        kind = link_kind(&socket, device, warning)?;
        if kind.cooked {
            socket = new_socket(true)?;
        }
        ifindex = netdev::index(socket.as_fd(), device)
            .map_err(|e| no_such_device_or("SIOCGIFINDEX", e))?;
        // Bound to the interface, and to no protocol: nothing comes in before all is set.
        bind(&socket, ifindex, 0)?;
    }
    let host_clock = tstamp::request(&socket, device, config.tstamp_type, warning)?;
    if promisc {
        socket
            .add_promiscuous(ifindex)
            .map_err(|e| failure_with("setsockopt (PACKET_ADD_MEMBERSHIP)", e))?;
    }
    socket.set_auxdata().map_err(|e| failure_with("setsockopt (PACKET_AUXDATA)", e))?;
    Ok(Opened { socket, ifindex, lo_ifindex, kind, host_clock })
}

fn new_socket(cooked: bool) -> Result<PacketSocket, CaptureError> {
    PacketSocket::new(cooked).map_err(|e| match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => CaptureError {
            status: PCAP_ERROR_PERM_DENIED,
            message: "Attempt to create packet socket failed - CAP_NET_RAW may be required".into(),
        },
        _ => failure_with("socket", e),
    })
}

fn no_such_device_or(what: &str, error: io::Error) -> CaptureError {
    match error.raw_os_error() {
        Some(libc::ENODEV) => status(PCAP_ERROR_NO_SUCH_DEVICE),
        _ => failure_with(what, error),
    }
}

fn link_kind(
    socket: &PacketSocket,
    device: &[u8],
    warning: &mut Warning,
) -> Result<LinkKind, CaptureError> {
    let hatype = netdev::hardware_type(socket.as_fd(), device)
        .map_err(|e| no_such_device_or("SIOCGIFHWADDR", e))?;
    let mut kind = arphrd::link_kind(device, hatype);
    if kind.linktypes[0] == Dlt::EN10MB
        && let Some(tagging) = netdev::read_sysfs(device, "dsa/tagging")
    {
        let linktype = arphrd::dsa_linktype(&tagging)
            .map_err(|()| failure(&format!("unsupported DSA tag: {tagging}")))?;
        if linktype != Dlt::EN10MB {
            kind.linktypes = vec![linktype];
        }
    }
    if kind.unknown {
        let message =
            format!("arptype {hatype} not supported by libpcap - falling back to cooked socket");
        warning.set(PCAP_WARNING, message);
    }
    Ok(kind)
}

/// Binds, and looks at what the socket has to say of it.
fn bind(socket: &PacketSocket, ifindex: i32, protocol: u16) -> Result<(), CaptureError> {
    socket.bind(ifindex, protocol).map_err(|e| match e.raw_os_error() {
        Some(libc::ENETDOWN) => status(PCAP_ERROR_IFACE_NOT_UP),
        Some(libc::ENODEV) => status(PCAP_ERROR_NO_SUCH_DEVICE),
        _ => failure_with("bind", e),
    })?;
    match socket.take_error().map_err(|e| failure_with("getsockopt (SO_ERROR)", e))? {
        0 => Ok(()),
        libc::ENETDOWN => Err(status(PCAP_ERROR_IFACE_NOT_UP)),
        errno => Err(failure_with("bind", io::Error::from_raw_os_error(errno))),
    }
}

/// Makes the buffers and puts everything together.
fn assemble(
    config: &Config,
    opened: Opened,
    drops: InterfaceDrops,
    waker: EventWaker,
    method: Method,
) -> Result<Live, CaptureError> {
    let vlan_aux = opened.socket.filters_see_vlan_tags();
    let linktype = opened.kind.linktypes[0];
    let cooked = if opened.kind.cooked { cooked::form(linktype) } else { Cooked::No };
    let mut snaplen = super::snaplen(config);
    if cooked != Cooked::No {
        // Room for the header and a byte.
        snaplen = snaplen.max(cooked::V1_LEN as u32 + 1);
    }
    let device = config.device.as_deref().unwrap_or(b"any");
    let Buffers { source, bufsize } = socket::buffers(
        &opened,
        &socket::Wanted {
            device,
            snaplen,
            buffer_size: config.buffer_size,
            timeout_ms: config.timeout_ms,
            immediate: config.immediate,
        },
        method,
    )?;
    Ok(Live {
        socket: opened.socket,
        source,
        view: View {
            direction: Direction::InOut,
            lo_ifindex: opened.lo_ifindex,
            cooked,
            tag_offset: vlan::tag_offset(linktype),
            snaplen,
            precision: config.precision,
            userland: UserlandFilter::off(),
        },
        ifindex: opened.ifindex,
        linktypes: opened.kind.linktypes,
        linktype,
        bufsize: i32::try_from(bufsize).unwrap_or(i32::MAX),
        nonblock: true,
        vlan_aux,
        host_clock: opened.host_clock,
        installed: Installed::default(),
        counter: StatsCounter::default(),
        drops,
        waker: Arc::new(waker),
        down: false,
        corrupt: None,
        packets: [RawPacket::NONE; MOST].into(),
        marks: Marks::NONE,
        detached: vec![0; snaplen as usize].into(),
    })
}
