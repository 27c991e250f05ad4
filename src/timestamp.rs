//! Time stamps as packets and savefiles carry them.

/// Unit of the sub-second part of a time stamp.
///
/// The values are libpcap's `PCAP_TSTAMP_PRECISION_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Precision {
    /// Microseconds, libpcap's default.
    #[default]
    Micro = 0,
    /// Nanoseconds.
    Nano = 1,
}

impl Precision {
    /// Units per second.
    pub const fn units_per_second(self) -> u64 {
        match self {
            Self::Micro => 1_000_000,
            Self::Nano => 1_000_000_000,
        }
    }
}

/// A point in time: seconds since the Unix epoch and a fraction in the unit of a [`Precision`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub sec: i64,
    /// Microseconds or nanoseconds, as the owner of the time stamp says. Files may hold more
    /// than a second's worth here; it is passed on as found, as libpcap does.
    pub frac: i64,
}
