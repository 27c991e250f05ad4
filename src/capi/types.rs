//! The structures of `pcap/pcap.h`, as C lays them out.
//!
//! `ctests/layout.c` checks the same against the system's headers.

use crate::packet::PacketHeader;
use libc::{sockaddr, timeval};
use std::ffi::{c_char, c_int, c_uchar, c_uint};
use std::mem::offset_of;

/// `struct pcap_pkthdr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcap_pkthdr {
    /// Time stamp; `tv_usec` counts nanoseconds where the handle's precision says so.
    pub ts: timeval,
    /// Bytes present.
    pub caplen: c_uint,
    /// Bytes on the wire.
    pub len: c_uint,
}

impl pcap_pkthdr {
    /// All zero.
    pub const ZERO: Self = Self { ts: timeval { tv_sec: 0, tv_usec: 0 }, caplen: 0, len: 0 };
}

impl From<PacketHeader> for pcap_pkthdr {
    #[inline(always)]
    fn from(h: PacketHeader) -> Self {
        let ts = timeval { tv_sec: h.ts.sec as _, tv_usec: h.ts.frac as _ };
        Self { ts, caplen: h.caplen, len: h.len }
    }
}

impl From<pcap_pkthdr> for PacketHeader {
    fn from(h: pcap_pkthdr) -> Self {
        let ts = crate::timestamp::Timestamp { sec: h.ts.tv_sec as _, frac: h.ts.tv_usec as _ };
        Self { ts, caplen: h.caplen, len: h.len }
    }
}

/// `struct pcap_stat`.
#[repr(C)]
pub struct pcap_stat {
    /// Packets received.
    pub ps_recv: c_uint,
    /// Packets dropped for want of buffer space.
    pub ps_drop: c_uint,
    /// Packets dropped by the interface.
    pub ps_ifdrop: c_uint,
}

/// `struct pcap_if`: one device of a list.
#[repr(C)]
pub struct pcap_if {
    /// Next device or NULL.
    pub next: *mut pcap_if,
    /// Name, for `pcap_create`.
    pub name: *mut c_char,
    /// What it is, or NULL.
    pub description: *mut c_char,
    /// Its addresses, or NULL.
    pub addresses: *mut pcap_addr,
    /// `PCAP_IF_*`.
    pub flags: c_uint,
}

/// `struct pcap_addr`: one address of a device.
#[repr(C)]
pub struct pcap_addr {
    /// Next address or NULL.
    pub next: *mut pcap_addr,
    /// The address, or NULL.
    pub addr: *mut sockaddr,
    /// Its netmask, or NULL.
    pub netmask: *mut sockaddr,
    /// Its broadcast address, or NULL.
    pub broadaddr: *mut sockaddr,
    /// The other end of a point-to-point link, or NULL.
    pub dstaddr: *mut sockaddr,
}

/// `struct bpf_program`: `bf_insns` comes from `malloc`.
#[repr(C)]
pub struct bpf_program {
    /// Number of instructions.
    pub bf_len: c_uint,
    /// The instructions, or NULL.
    pub bf_insns: *mut crate::bpf::Insn,
}

/// `struct pcap_rmtauth`: credentials for a remote source.
#[repr(C)]
pub struct pcap_rmtauth {
    /// `RPCAP_RMTAUTH_*`.
    pub type_: c_int,
    /// User name or NULL.
    pub username: *mut c_char,
    /// Password or NULL.
    pub password: *mut c_char,
}

/// `struct pcap_samp`: sampling of a remote source.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcap_samp {
    /// `PCAP_SAMP_*`.
    pub method: c_int,
    /// Its parameter.
    pub value: c_int,
}

/// `pcap_handler`: the program's callback. It may throw (C++), unwind (`pthread_exit`) or `longjmp`.
pub type pcap_handler =
    Option<unsafe extern "C-unwind" fn(*mut c_uchar, *const pcap_pkthdr, *const c_uchar)>;

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<pcap_pkthdr>() == 24 && offset_of!(pcap_pkthdr, caplen) == 16);
    assert!(offset_of!(pcap_pkthdr, len) == 20);
    assert!(size_of::<pcap_if>() == 40 && offset_of!(pcap_if, flags) == 32);
    assert!(offset_of!(pcap_if, name) == 8 && offset_of!(pcap_if, description) == 16);
    assert!(offset_of!(pcap_if, addresses) == 24);
    assert!(size_of::<pcap_addr>() == 40 && offset_of!(pcap_addr, dstaddr) == 32);
    assert!(offset_of!(pcap_addr, addr) == 8 && offset_of!(pcap_addr, netmask) == 16);
    assert!(offset_of!(pcap_addr, broadaddr) == 24);
    assert!(size_of::<bpf_program>() == 16 && offset_of!(bpf_program, bf_insns) == 8);
    assert!(size_of::<pcap_rmtauth>() == 24 && offset_of!(pcap_rmtauth, username) == 8);
};
const _: () = {
    assert!(size_of::<pcap_stat>() == 12 && offset_of!(pcap_stat, ps_drop) == 4);
    assert!(offset_of!(pcap_stat, ps_ifdrop) == 8);
    assert!(size_of::<pcap_samp>() == 8 && offset_of!(pcap_samp, value) == 4);
};
