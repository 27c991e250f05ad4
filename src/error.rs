//! What can go wrong with a handle.
//!
//! Typed here; `capi` alone turns them into a status code ([`Error::status`]) and the text of the
//! handle's error buffer (`Display`). The wording is libpcap's, since programs and people know it.

use crate::capture::CaptureError;
use crate::linktype::Dlt;

/// Status codes of the C API (`PCAP_ERROR_*`, `PCAP_WARNING_*`).
pub mod status {
    /// Any failure that has no code of its own; the text says which.
    pub const ERROR: i32 = -1;
    /// The loop was ended by `pcap_breakloop`.
    pub const BREAK: i32 = -2;
    /// The handle must be activated first.
    pub const NOT_ACTIVATED: i32 = -3;
    /// The handle must not be activated yet.
    pub const ACTIVATED: i32 = -4;
    /// No such device.
    pub const NO_SUCH_DEVICE: i32 = -5;
    /// The device has no monitor mode.
    pub const RFMON_NOTSUP: i32 = -6;
    /// Only possible in monitor mode.
    pub const NOT_RFMON: i32 = -7;
    /// No permission to capture.
    pub const PERM_DENIED: i32 = -8;
    /// The interface is down.
    pub const IFACE_NOT_UP: i32 = -9;
    /// The time stamp type cannot be set.
    pub const CANTSET_TSTAMP_TYPE: i32 = -10;
    /// No permission for promiscuous mode.
    pub const PROMISC_PERM_DENIED: i32 = -11;
    /// The time stamp precision is not supported.
    pub const TSTAMP_PRECISION_NOTSUP: i32 = -12;
    /// A warning that has no code of its own.
    pub const WARNING: i32 = 1;
    /// Promiscuous mode is not supported.
    pub const WARNING_PROMISC_NOTSUP: i32 = 2;
    /// The time stamp type is not supported.
    pub const WARNING_TSTAMP_TYPE_NOTSUP: i32 = 3;
}

/// Something that not every kind of handle can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `pcap_loop`, `pcap_dispatch`, `pcap_next`, `pcap_next_ex`.
    Read,
    /// `pcap_setfilter`.
    SetFilter,
    /// `pcap_setdirection`.
    SetDirection,
    /// `pcap_inject`, `pcap_sendpacket`.
    Inject,
    /// `pcap_stats`.
    Stats,
    /// `pcap_getnonblock`, `pcap_setnonblock`.
    Nonblock,
    /// `pcap_can_set_rfmon`.
    Rfmon,
}

impl Operation {
    /// Why a handle of `pcap_open_dead` cannot.
    const fn dead(self) -> &'static str {
        match self {
            Self::Read => "Packets aren't available from a pcap_open_dead pcap_t",
            Self::SetFilter => "A filter cannot be set on a pcap_open_dead pcap_t",
            Self::SetDirection => "The packet direction cannot be set on a pcap_open_dead pcap_t",
            Self::Inject => "Packets can't be sent on a pcap_open_dead pcap_t",
            Self::Stats => "Statistics aren't available from a pcap_open_dead pcap_t",
            Self::Nonblock => "A pcap_open_dead pcap_t does not have a non-blocking mode setting",
            Self::Rfmon => "Rfmon mode doesn't apply on a pcap_open_dead pcap_t",
        }
    }

    /// Why a savefile cannot.
    const fn savefile(self) -> &'static str {
        match self {
            Self::SetDirection => "Setting direction is not supported on savefiles",
            Self::Inject => "Sending packets isn't supported on savefiles",
            Self::Stats => "Statistics aren't available from savefiles",
            Self::Nonblock => "Savefiles cannot be put into non-blocking mode",
            Self::Read | Self::SetFilter | Self::Rfmon => "That isn't supported on savefiles",
        }
    }
}

/// A failure of an operation on a handle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operation needs an activated handle.
    #[error("This handle hasn't been activated yet")]
    NotActivated,
    /// A filter was to be compiled for a handle that has no link-layer type yet.
    #[error("not-yet-activated pcap_t passed to pcap_compile")]
    CompileNotActivated,
    /// A savefile was to be written for a handle that has no link-layer type yet.
    #[error("{0}: not-yet-activated pcap_t passed to pcap_dump_open")]
    DumpNotActivated(String),
    /// The operation needs a handle that is not activated yet. (Two spaces, as libpcap has it.)
    #[error("can't perform  operation on activated capture")]
    Activated,
    /// The operation means nothing on a handle of `pcap_open_dead`.
    #[error("{}", .0.dead())]
    OnDead(Operation),
    /// The operation means nothing on a savefile.
    #[error("{}", .0.savefile())]
    OnSavefile(Operation),
    /// The link-layer type is not one that the handle can give.
    #[error("{} is not one of the DLTs supported by this device", dlt_name(*.0))]
    UnsupportedDlt(Dlt),
    /// A `pcap_direction_t` that is none.
    #[error("Invalid direction")]
    InvalidDirection,
    /// A filter program that fails validation.
    #[error("BPF program is not valid")]
    InvalidFilter,
    /// A filter for a snapshot length of 0 could never accept.
    #[error("snaplen of 0 rejects all packets")]
    ZeroSnaplen,
    /// A frame longer than a return value can say.
    #[error("More than 2147483647 bytes cannot be injected")]
    FrameTooLong,
    /// `pcap_inject` got nothing to send.
    #[error("The number of bytes to be injected must not be zero")]
    EmptyFrame,
    /// `pcap_sendpacket` got nothing, or less, to send.
    #[error("The number of bytes to be sent must be positive")]
    NothingToSend,
    /// A savefile's path was NULL.
    #[error("A null pointer was supplied as the file name")]
    NullFileName,
    /// A savefile's stream was NULL.
    #[error("Null FILE * pointer provided to savefile open routine")]
    NullStream,
    /// `pcap_init` got something else than an encoding.
    #[error("Unknown options specified")]
    UnknownInitOptions,
    /// `pcap_init` was called before with another encoding.
    #[error("Multiple pcap_init calls with different character encodings")]
    MixedEncodings,
    /// `pcap_lookupdev` after `pcap_init`.
    #[error("pcap_lookupdev() is deprecated and is not supported in programs calling pcap_init()")]
    LookupdevUnsupported,
    /// A source string that cannot be one.
    #[error(transparent)]
    Source(#[from] crate::handle::SourceError),
    /// A C argument that may not be NULL was NULL.
    #[error("A null pointer was supplied as the {0}")]
    Null(&'static str),
    /// The filter does not compile.
    #[error(transparent)]
    Filter(#[from] crate::filter::FilterError),
    /// The savefile cannot be opened or read.
    #[error(transparent)]
    Read(#[from] crate::savefile::ReadError),
    /// The savefile cannot be written.
    #[error(transparent)]
    Dump(#[from] crate::savefile::DumpError),
    /// The devices cannot be listed or asked.
    #[error(transparent)]
    Device(#[from] crate::device::Error),
    /// No memory for what C is to own.
    #[error("malloc: {}", std::io::ErrorKind::OutOfMemory)]
    OutOfMemory,
    /// The live source failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl Error {
    /// The status code that goes with it, negative.
    pub fn status(&self) -> i32 {
        match self {
            Self::NotActivated => status::NOT_ACTIVATED,
            Self::Activated => status::ACTIVATED,
            Self::Capture(e) => e.status,
            _ => status::ERROR,
        }
    }
}

fn dlt_name(dlt: Dlt) -> String {
    dlt.name().map_or_else(|| format!("DLT {}", dlt.0), |name| name.to_string_lossy().into_owned())
}
