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

/// Where a savefile's packets were captured, as far as filters care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Savefile {
    /// On a host of the other byte order, which wrote some headers (`NULL`, `ENC`) in its own.
    pub swapped: bool,
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
    /// Set where the packets come from a savefile.
    pub savefile: Option<Savefile>,
    /// Set where the program is for a live capture.
    pub live: Option<LiveTarget>,
}

impl Options {
    /// For an optimized program that takes whole packets (tcpdump's 262,144 bytes), whatever
    /// they come from.
    pub fn new(linktype: Dlt) -> Self {
        let (snaplen, netmask, optimize) = (262_144, None, true);
        Self { linktype, snaplen, netmask, optimize, savefile: None, live: None }
    }
}
