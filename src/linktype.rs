//! Link-layer types: libpcap's DLT_ values.

/// A `DLT_` value as programs see it (not the `LINKTYPE_` value of savefiles).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dlt(pub i32);

impl Dlt {
    /// BSD loopback.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const EN10MB: Self = Self(1);
    /// Raw IP, `DLT_RAW` on Linux.
    pub const RAW: Self = Self(12);
    /// Linux cooked v1.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux cooked v2.
    pub const LINUX_SLL2: Self = Self(276);
}
