//! What a compilation depends on besides the text.

use crate::linktype::Dlt;

/// Properties of the live handle a filter is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveTarget {
    /// The kernel strips VLAN tags and offers them as auxiliary data (`SKF_AD_VLAN_TAG*`), so
    /// `vlan` must test both places (libpcap's `BPF_SPECIAL_VLAN_HANDLING`).
    pub vlan_aux: bool,
    /// `inbound`, `outbound` and `ifindex` may use the kernel's ancillary loads
    /// (`SKF_AD_PKTTYPE`, `SKF_AD_IFINDEX`).
    pub kernel_extensions: bool,
}

/// What a compilation depends on besides the text.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Link-layer type of the packets.
    pub linktype: Dlt,
    /// Value returned for accepted packets.
    pub snaplen: u32,
    /// IPv4 netmask of the capture network in host order, for `ip broadcast`;
    /// `None` is `PCAP_NETMASK_UNKNOWN`.
    pub netmask: Option<u32>,
    /// Run the optimizer.
    pub optimize: bool,
    /// The packets come from a savefile of the other byte order, as do the headers that the host
    /// wrote in its own (`NULL`, `ENC`).
    pub swapped: bool,
    /// Set where the program is for a live capture.
    pub live: Option<LiveTarget>,
}
