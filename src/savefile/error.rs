//! What can go wrong with a savefile, in libpcap's words.

use crate::raw_text;
use crate::sys::os_error::OsError;
use std::ffi::CString;

/// Why a savefile cannot be opened or read further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The texts say what each is; the fields are the numbers in them.
pub enum ReadError {
    #[error("{}: {cause}", raw_text::keep(path.to_bytes()))]
    Open { path: CString, cause: OsError },
    #[error("The standard input is not open")]
    NoStandardInput,
    #[error("error reading dump file: {0}")]
    Io(#[from] OsError),
    #[error("truncated dump file; tried to read {wanted} file header bytes, only got {got}")]
    TruncatedFileHeader { wanted: usize, got: usize },
    #[error("unknown file format")]
    UnknownFormat,
    #[error("unknown time stamp resolution {0}")]
    UnknownPrecision(u32),
    #[error(transparent)]
    Pcap(#[from] PcapError),
    #[error(transparent)]
    PcapNg(#[from] PcapNgError),
    /// A packet of a pcapng file, or of a pcap file whose limit is the snapshot length.
    #[error("invalid packet capture length {caplen}, bigger than snaplen of {snaplen}")]
    LongerThanSnaplen { caplen: u32, snaplen: i32 },
}

/// What is wrong with a pcap file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PcapError {
    #[error("archaic pcap savefile format")]
    Archaic,
    #[error("unsupported pcap savefile version {major}.{minor}")]
    Version { major: u16, minor: u16 },
    #[error("savefile linktype reserved bits not zero (0x{0:08x})")]
    ReservedBits(u32),
    #[error("truncated dump file; tried to read {wanted} header bytes, only got {got}")]
    TruncatedPacketHeader { wanted: usize, got: usize },
    #[error("truncated dump file; tried to read {wanted} captured bytes, only got {got}")]
    TruncatedPacket { wanted: u32, got: usize },
    #[error("invalid packet capture length {caplen}, bigger than maximum of {max}")]
    LongerThanMaximum { caplen: u32, max: u32 },
}

/// What is wrong with a pcapng file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PcapNgError {
    #[error("truncated pcapng dump file; tried to read {wanted} bytes, only got {got}")]
    Truncated { wanted: usize, got: usize },
    #[error(
        "Section Header Block in pcapng dump file has invalid length {min} < _{length}_ < {max} \
         (BT_SHB_INSANE_MAX)"
    )]
    SectionLength { min: usize, length: u32, max: u32 },
    #[error("unsupported pcapng savefile version {major}.{minor}")]
    Version { major: u16, minor: u16 },
    #[error("unknown pcapng savefile major version number {0}")]
    LaterMajorVersion(u16),
    #[error("the file has sections with different byte orders")]
    MixedByteOrder,
    #[error("the file has a section with a bad byte order magic field")]
    BadByteOrderMagic,
    #[error("block in pcapng dump file has a length of {0} < 12")]
    BlockTooShort(u32),
    #[error("block in pcapng dump file has a length of {0} that is not a multiple of 4")]
    BlockNotPadded(u32),
    #[error("pcapng block size {length} > maximum {max}")]
    BlockTooLong { length: u32, max: u32 },
    #[error("block total length in header and trailer don't match")]
    TrailerMismatch,
    #[error("block of type {0} in pcapng dump file is too short")]
    BlockContents(u32),
    #[error("the capture file has no Interface Description Blocks")]
    NoInterface,
    #[error("the capture file has a packet block before any Interface Description Blocks")]
    PacketBeforeInterface,
    #[error(
        "a packet arrived on interface {0}, but there's no Interface Description Block for that \
         interface"
    )]
    UnknownInterface(u32),
    #[error("an interface has a type {0} different from the type of the first interface")]
    MixedLinktypes(u16),
    #[error(
        "an interface has a snapshot length {0} different from the snapshot length of the first \
         interface"
    )]
    MixedSnaplens(u32),
    #[error("Interface Description Block has {option} option with length {length} != {expected}")]
    OptionLength { option: &'static str, length: u16, expected: u16 },
    #[error("Interface Description Block has more than one {0} option")]
    RepeatedOption(&'static str),
    #[error(
        "Interface Description Block if_tsresol option resolution {base}^-{exponent} is too high"
    )]
    Resolution { base: u8, exponent: u8 },
}

/// Why a savefile cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", raw_text::keep(path.to_bytes()))]
pub struct AppendError {
    /// The file.
    pub path: CString,
    /// What is wrong with it.
    pub reason: AppendReason,
}

/// Why nothing can be appended to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AppendReason {
    #[error("truncated pcap file header")]
    TruncatedHeader,
    #[error("different time stamp precision, cannot append to file")]
    Precision,
    #[error("different byte order, cannot append to file")]
    ByteOrder,
    #[error("not a pcap file to which we can append")]
    OtherFormat,
    #[error("not a pcap file")]
    NotPcap,
    #[error("version is {major}.{minor}, cannot append to file")]
    Version { major: u16, minor: u16 },
    #[error("different linktype, cannot append to file")]
    Linktype,
    #[error("different snaplen, cannot append to file")]
    Snaplen,
}

/// Why a savefile cannot be opened for writing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DumpError {
    #[error("{}: link-layer type {dlt} isn't supported in savefiles", raw_text::keep(name.to_bytes()))]
    Linktype { name: CString, dlt: i32 },
    #[error("{}: {cause}", raw_text::keep(path.to_bytes()))]
    Open { path: CString, cause: OsError },
    #[error("The standard output is not open")]
    NoStandardOutput,
    #[error("Can't write to {}: {cause}", raw_text::keep(name.to_bytes()))]
    Write { name: CString, cause: OsError },
    #[error("Can't seek to the {place} of {}: {cause}", raw_text::keep(path.to_bytes()))]
    Seek { place: &'static str, path: CString, cause: OsError },
    #[error(transparent)]
    Append(#[from] AppendError),
}
