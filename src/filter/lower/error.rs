//! What can be wrong with a filter that is grammatical.

use thiserror::Error;

use crate::linktype::Dlt;

/// Why a primitive could not be compiled. `Display` gives libpcap's wording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum LowerError {
    #[error("unknown data link type {0}")]
    UnknownLinkType(i32),
    #[error("unknown host '{0}'")]
    UnknownHost(String),
    #[error("unknown Ethernet-like host '{0}'")]
    UnknownEtherHost(String),
    #[error("unknown network '{0}'")]
    UnknownNetwork(String),
    #[error("unknown port '{0}'")]
    UnknownPort(String),
    #[error("unknown port in range '{0}'")]
    UnknownPortRange(String),
    #[error("port '{name}' is {proto}")]
    PortIs { name: String, proto: &'static str },
    #[error("port in range '{name}' is {proto}")]
    PortRangeIs { name: String, proto: &'static str },
    #[error("illegal port number {0} > 65535")]
    PortNumber(u32),
    #[error("unknown '{what}' value '{name}'")]
    UnknownValue { what: String, name: String },
    #[error("malformed decnet address '{0}'")]
    MalformedDecnet(String),
    #[error("invalid IPv4 address '{0}'")]
    InvalidIpv4(String),
    #[error("invalid IPv6 address '{0}'")]
    InvalidIpv6(String),
    #[error("mask length must be <= {0}")]
    MaskLength(u32),
    #[error("non-network bits set in \"{0}\"")]
    NonNetworkBits(String),
    #[error("'{qual}' is not a valid qualifier for '{of}'")]
    NotAQualifier { qual: String, of: String },
    #[error("'{qual}' qualifier applied to {to}")]
    QualifierApplied { qual: &'static str, to: &'static str },
    #[error("'{0}' is valid for 802.11 syntax only")]
    WlanOnly(&'static str),
    #[error("'link' is the only valid proto qualifier for 'host {0}'")]
    LinkIsTheOnly(&'static str),
    #[error("'{what}' not supported on {}", dlt_name(*.dlt))]
    NotSupportedOn { what: &'static str, dlt: Dlt },
    #[error("not a live capture, '{what}' not supported on {}", dlt_name(*.dlt))]
    NotLive { what: &'static str, dlt: Dlt },
    #[error("link-layer type filtering not implemented for {}", dlt_name(*.0))]
    NoLinkTypeFiltering(Dlt),
    #[error("LLC DSAP {0} greater than maximum 255")]
    LlcDsap(u32),
    #[error("unsupported protocol over mpls")]
    OverMpls,
    #[error("no VLAN match after MPLS")]
    VlanAfterMpls,
    #[error("{what} {value} greater than maximum {max}")]
    TooBig { what: &'static str, value: u32, max: u32 },
    #[error("'{0}' supported only on {1}")]
    OnlyOn(&'static str, &'static str),
    #[error("Ethernet address used in non-ether expression")]
    EtherOutOfPlace,
    #[error("link layer applied in wrong context")]
    LinkAlone,
    #[error("'radio' is not a valid protocol type")]
    RadioAlone,
    #[error("ifname interface names can only be {0} characters")]
    PfIfname(usize),
    #[error("ruleset names can only be {0} characters")]
    PfRuleset(usize),
    #[error("{what} value {value} too big; max value = {max}")]
    ValueTooBig { what: &'static str, value: u32, max: u32 },
    #[error("unknown PF reason \"{0}\"")]
    PfReason(String),
    #[error("unknown PF action \"{0}\"")]
    PfAction(String),
    #[error("unknown 802.11 type name \"{0}\"")]
    WlanType(String),
    #[error("unknown 802.11 subtype name \"{0}\"")]
    WlanSubtype(String),
    #[error("unknown 802.11 type name")]
    WlanSubtypeAlone,
    #[error("invalid 802.11 type value {0:#04x}")]
    InvalidWlanType(u32),
    #[error("invalid 802.11 subtype value {0:#04x}")]
    InvalidWlanSubtype(u32),
    #[error("unknown 802.11 direction")]
    WlanDir,
    #[error("unknown LLC type name \"{0}\"")]
    LlcType(String),
    #[error("'{0}' does not support the index operation")]
    NoIndex(&'static str),
    #[error("data size must be 1, 2, or 4")]
    DataSize,
    #[error("radio information not present in capture")]
    NoRadio,
    #[error("IPv6 upper-layer protocol is not supported by proto[x]")]
    Ipv6UpperLayer,
    #[error("not a broadcast link")]
    NotABroadcastLink,
    #[error("netmask not known, so 'ip broadcast' not supported")]
    NoNetmask,
    #[error("only link-layer/IP broadcast filters supported")]
    Broadcast,
    #[error(
        "link-layer multicast filters supported only on ethernet/FDDI/token ring/ARCNET/802.11/ATM LANE/Fibre Channel"
    )]
    Multicast,
    #[error("'protochain' not supported with variable length headers")]
    ProtoChainVariable,
    #[error("'protochain' not supported with {0}")]
    ProtoChainWith(&'static str),
    #[error("out of registers needed to evaluate expression")]
    OutOfRegisters,
    #[error("division by zero")]
    DivisionByZero,
    #[error("modulus by zero")]
    ModulusByZero,
    #[error("shift by more than 31 bits")]
    ShiftTooFar,
    #[error("expression rejects all packets")]
    RejectsAll,
}

/// `DLT_EN10MB`, or the number of a type without a name.
fn dlt_name(dlt: Dlt) -> String {
    match dlt.symbol() {
        Some(symbol) => format!("DLT_{symbol}"),
        None => format!("DLT {}", dlt.0),
    }
}
