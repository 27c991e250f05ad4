//! The C ABI between oxpcap and a capture plug-in, in Rust's types.
//!
//! The same ABI for C is `include/pcap/oxpcap-plugin.h`, whose comments are the contract; here each
//! item says only what Rust adds. Layouts are asserted on both sides.
//!
//! A plug-in is a shared object `libpcap-SCHEME.so` that exports one data symbol,
//! [`SYMBOL`], of type [`Table`].

use core::ffi::{c_char, c_int, c_void};

/// Version of the ABI. A plug-in is loaded only if its [`Table::abi`] is the same.
pub const ABI: u32 = 2;

/// Name of the exported [`Table`].
pub const SYMBOL: &str = "pcapx_plugin";

/// Bytes of [`ErrorText::text`], its terminating NUL included.
pub const ERROR_TEXT: usize = 512;

/// Where a failing function leaves its message.
#[repr(C)]
pub struct ErrorText {
    /// NUL-terminated.
    pub text: [c_char; ERROR_TEXT],
}

/// What `pcap_set_*` asked for.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// `sizeof` this structure as the caller knows it.
    pub size: u32,
    /// Bytes wanted of each packet, 1 to 262,144.
    pub snaplen: u32,
    /// Not 0: promiscuous mode.
    pub promisc: c_int,
    /// `PCAP_TSTAMP_*`.
    pub tstamp_type: c_int,
    /// Bytes of buffering asked for; 0 is the plug-in's default.
    pub buffer_size: u32,
    /// Unit of the time stamps to give: [`MICROSECONDS`] or [`NANOSECONDS`].
    pub precision: u32,
}

/// Of [`Config::precision`].
pub const MICROSECONDS: u32 = 0;
/// Of [`Config::precision`].
pub const NANOSECONDS: u32 = 1;

/// What opening a source gave.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Opened {
    /// `sizeof` this structure as the caller knows it.
    pub size: u32,
    /// Link-layer type, a `DLT_` value.
    pub linktype: c_int,
    /// The source, given to every other function.
    pub source: *mut c_void,
    /// Most packets one [`Table::receive`] gives, 1 to 1,024.
    pub burst: u32,
    /// A descriptor that is readable when packets wait, or -1: the caller polls.
    pub fd: c_int,
}

/// One received packet. Its bytes stay valid until the next `receive` or `close` of the source.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Packet {
    /// Seconds since the Unix epoch.
    pub sec: i64,
    /// Microseconds or nanoseconds, see [`Config::precision`].
    pub frac: i64,
    /// Bytes present.
    pub caplen: u32,
    /// Bytes the packet had on the wire.
    pub len: u32,
    /// First of `caplen` contiguous bytes.
    pub data: *const u8,
}

/// One eBPF instruction, as in the kernel's and DPDK's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EbpfInsn {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub regs: u8,
    /// Signed offset.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

/// One classic BPF instruction, `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CbpfInsn {
    /// Operation.
    pub code: u16,
    /// Jump when true.
    pub jt: u8,
    /// Jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// The plug-in decides whether to take a filter.
pub const FILTER_AUTO: c_int = 0;
/// The plug-in's own interpreter must take it.
pub const FILTER_INTERPRETER: c_int = 1;
/// The plug-in's own JIT must take it.
pub const FILTER_JIT: c_int = 2;
/// The caller filters: the plug-in drops what it has taken.
pub const FILTER_NONE: c_int = 3;

/// Of [`Table::receive`]: packets came, the plug-in's filter wanted none.
pub const REJECTED: c_int = 0x10000;

/// A filter offered to a source.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Filter {
    /// `sizeof` this structure as the caller knows it.
    pub size: u32,
    /// `FILTER_*`.
    pub how: c_int,
    /// The classic program.
    pub cbpf: *const CbpfInsn,
    /// The same as eBPF over a packet context in R1, or null where it could not be converted.
    pub ebpf: *const EbpfInsn,
    /// Instructions in `cbpf`.
    pub cbpf_len: u32,
    /// Instructions in `ebpf`.
    pub ebpf_len: u32,
}

/// Counters since the source was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// `sizeof` this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Packets lost for want of buffers, because the caller was slow.
    pub dropped: u64,
    /// Packets lost in the device or its driver for other reasons.
    pub if_dropped: u64,
    /// Packets the plug-in's own filter accepted; `u64::MAX` where the caller counts.
    pub accepted: u64,
}

/// One device of a listing; the strings are valid during the visit.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Device {
    /// `sizeof` this structure as the plug-in knows it.
    pub size: u32,
    /// `PCAP_IF_*`.
    pub flags: u32,
    /// Name that `open` takes, scheme included.
    pub name: *const c_char,
    /// Text for people, or null.
    pub description: *const c_char,
}

/// Visits one device of a listing.
pub type Visit = unsafe extern "C" fn(user: *mut c_void, device: *const Device);

/// What a plug-in exports as [`SYMBOL`].
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Table {
    /// [`ABI`].
    pub abi: u32,
    /// `sizeof` the table as the plug-in knows it; later versions only append.
    pub size: u32,
    /// Name of the plug-in.
    pub name: *const c_char,
    /// What it runs on, for people (`"DPDK 22.11.11"`).
    pub version: *const c_char,
    /// Lists devices; 0 or `PCAP_ERROR_*`.
    pub list: Option<
        unsafe extern "C" fn(
            scheme: *const c_char,
            visit: Visit,
            user: *mut c_void,
            error: *mut ErrorText,
        ) -> c_int,
    >,
    /// Opens a device; 0, a `PCAP_WARNING_*` with a text, or `PCAP_ERROR_*`.
    pub open: Option<
        unsafe extern "C" fn(
            device: *const c_char,
            config: *const Config,
            opened: *mut Opened,
            error: *mut ErrorText,
        ) -> c_int,
    >,
    /// Closes a source.
    pub close: Option<unsafe extern "C" fn(source: *mut c_void)>,
    /// Frees the last burst, takes the next: packets written, 0 for none,
    /// [`REJECTED`], or `PCAP_ERROR_*`.
    pub receive: Option<
        unsafe extern "C" fn(
            source: *mut c_void,
            packets: *mut Packet,
            max: u32,
            error: *mut ErrorText,
        ) -> c_int,
    >,
    /// Sends one frame; bytes sent or `PCAP_ERROR_*`.
    pub inject: Option<
        unsafe extern "C" fn(
            source: *mut c_void,
            frame: *const u8,
            len: u32,
            error: *mut ErrorText,
        ) -> c_int,
    >,
    /// Reads the counters; 0 or `PCAP_ERROR_*`.
    pub stats: Option<
        unsafe extern "C" fn(
            source: *mut c_void,
            stats: *mut Stats,
            error: *mut ErrorText,
        ) -> c_int,
    >,
    /// Offers a filter; 1 taken, 0 left to the caller, perhaps with a sentence on what else was
    /// done about it; or `PCAP_ERROR_*`.
    pub set_filter: Option<
        unsafe extern "C" fn(
            source: *mut c_void,
            filter: *const Filter,
            error: *mut ErrorText,
        ) -> c_int,
    >,
}

// SAFETY: the pointers in a table are to constants of the plug-in, which is never unloaded.
unsafe impl Sync for Table {}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Config>() == 24);
    assert!(size_of::<Opened>() == 24);
    assert!(size_of::<Packet>() == 32);
    assert!(size_of::<EbpfInsn>() == 8);
    assert!(size_of::<CbpfInsn>() == 8);
    assert!(size_of::<Filter>() == 32);
    assert!(size_of::<Stats>() == 32);
    assert!(size_of::<Device>() == 24);
    assert!(size_of::<Table>() == 80);
};
