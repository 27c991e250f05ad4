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
    #[error("unknown host '{0}' for specified address family")]
    UnknownHostOfFamily(String),
    #[error("unknown Ethernet-like host '{0}'")]
    UnknownEtherHost(String),
    #[error("unknown network '{0}'")]
    UnknownNetwork(String),
    #[error("unknown port '{0}'")]
    UnknownPort(String),
    #[error("port range '{0}' contains no hyphen")]
    NoHyphen(String),
    #[error("port range '{0}' contains more than one hyphen")]
    TwoHyphens(String),
    #[error("port range '{0}' has no starting port")]
    NoFirstPort(String),
    #[error("port range '{0}' has no ending port")]
    NoLastPort(String),
    #[error("'{0}' is not a valid port")]
    InvalidPort(String),
    #[error("number {0} overflows 32 bits")]
    NumberOverflow(String),
    #[error("port '{name}' is {proto}")]
    PortIs { name: String, proto: &'static str },
    #[error("port in range '{name}' is {proto}")]
    PortRangeIs { name: String, proto: &'static str },
    #[error("illegal port number {0} > 65535")]
    PortNumber(u32),
    #[error("unknown '{what}' value '{name}'")]
    UnknownValue { what: String, name: String },
    #[error("invalid DECnet address '{0}'")]
    InvalidDecnet(String),
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
    #[error("'{0}' cannot be used as an abbreviation")]
    NoAbbreviation(&'static str),
    #[error("ifname interface names can only be {0} characters")]
    PfIfname(usize),
    #[error("ruleset names can only be {0} characters")]
    PfRuleset(usize),
    #[error("unknown PF reason \"{0}\"")]
    PfReason(String),
    #[error("unknown PF action \"{0}\"")]
    PfAction(String),
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
    #[error("netmask not known, so 'ip broadcast' not supported")]
    NoNetmask,
    #[error("'protochain' not supported with variable length headers")]
    ProtoChainVariable,
    #[error("'protochain' not supported with {0}")]
    ProtoChainWith(&'static str),
    #[error("too many registers needed to evaluate expression")]
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

/// Checks a number that a filter gives.
pub(super) fn at_most(what: &'static str, value: u32, max: u32) -> Result<(), LowerError> {
    if value <= max { Ok(()) } else { Err(LowerError::TooBig { what, value, max }) }
}

/// `DLT_EN10MB (Ethernet)`, or the number of a type without a name.
fn dlt_name(dlt: Dlt) -> String {
    let Some(symbol) = dlt.symbol() else { return format!("DLT {}", dlt.0) };
    match dlt.description().and_then(|text| text.to_str().ok()) {
        Some(description) => format!("DLT_{symbol} ({description})"),
        None => format!("DLT_{symbol}"),
    }
}
