//! Which words the development line has where libpcap 1.10 has others, and what else it accepts or
//! refuses. Test data for the whole language: tests/conformance/reject.json has a part of these.

/// What stands for the text of no error.
pub const ACCEPTED: &str = "accepted";

/// Texts of 1.10 and of the development line. `*` is anything.
#[rustfmt::skip]
const CHANGES: &[(&str, &str)] = &[
    // Qualifiers.
    ("* modifier applied to host", "'*' is not a valid qualifier for 'host <*>'"),
    ("* host filtering not implemented", "'*' is not a valid qualifier for '*'"),
    ("* modifier applied to net", "'*' is not a valid qualifier for 'net <*>'"),
    ("'*' modifier applied to ip host", "'*' is not a valid qualifier for '* <IPv4 *>'"),
    ("'*' modifier applied to ip host", "'*' qualifier applied to IPv4 address*"),
    ("* modifier applied to ip6 host", "'*' is not a valid qualifier for 'host <IPv6 address>'"),
    ("* modifier applied to ip6 net", "'*' is not a valid qualifier for 'net <IPv6 prefix>'"),
    ("illegal qualifier of 'port*'", "'*' is not a valid qualifier for 'port*'"),
    ("illegal link layer address", "'link' is not a valid qualifier for '* <IPv4 address>'"),
    ("invalid qualifier against IPv6 address", "'*' is not a valid qualifier for '*'"),
    ("invalid qualifier against IPv6 address", "'*' qualifier applied to IPv6 address*"),
    ("mask length must be *", "'*' qualifier applied to IPv* address and prefix length"),
    ("non-network bits set in *", "'*' qualifier applied to IPv* address and *"),
    ("invalid IPv4 address '*'", "'*' qualifier applied to IPv4 address*"),
    ("Mask syntax for networks only", "'*' is not a valid qualifier for '*'"),
    ("Mask syntax for networks only", "'*' qualifier applied to IPv4 address and *"),
    ("bad protocol applied for 'protochain'", "'*' is not a valid qualifier for 'protochain'"),
    ("'* proto' is bogus", "'*' is not a valid qualifier for 'proto'"),
    ("'* proto' is not supported", "'*' is not a valid qualifier for 'proto'"),
    ("* does not encapsulate another protocol", "'*' is not a valid qualifier for 'proto'"),
    ("* encapsulation is not specifiable", "'*' is not a valid qualifier for 'proto'"),
    ("unsupported index operation", "'*' does not support the index operation"),
    ("link layer applied in wrong context", "'link' cannot be used as an abbreviation"),
    ("'radio' is not a valid protocol type", "'radio' cannot be used as an abbreviation"),
    // Addresses that take their qualifiers from a term that has none (docs/COMPAT.md).
    ("invalid qualifier against IPv6 address", "syntax error in filter expression"),
    ("Mask syntax for networks only", "syntax error in filter expression"),
    ("non-network bits set in *", "syntax error in filter expression"),
    ("mask length must be *", "syntax error in filter expression"),
    ("invalid IPv4 address '*'", "syntax error in filter expression"),
    // Two errors in one place.
    ("number *", "'*' qualifier applied to IPv*"),
    ("too many registers needed *", "can't parse filter expression: syntax error"),
    ("too many registers needed *", "number *"),
    ("can't parse filter expression: syntax error", "too many registers needed *"),
    // Directions of 802.11.
    ("'*are only supported on 802.11*", "'*' is valid for 802.11 syntax only"),
    ("* link-layer type filtering not implemented", "'*' is not a valid qualifier for 'port*'"),
    ("'*' is only supported on 802.11*", "'*' is valid for 802.11 syntax only"),
    ("'*for addresses other than 802.11 MAC addresses", "'*' is valid for 802.11 syntax only"),
    ("'*for addresses other than 802.11 MAC addresses", "link-layer type filtering not implemented for *"),
    ("'* for port*s", "'*' is not a valid qualifier for 'port*'"),
    // Names are looked up after qualifiers.
    ("unknown host '*'", "'*' is not a valid qualifier for 'host <Internet hostname>'"),
    ("unknown network '*'", "'*' is not a valid qualifier for 'net <IPv4 network name>'"),
    ("unknown ether proto '*'", "unknown 'link proto*' value '*'"),
    ("unknown ip proto '*'", "unknown '*proto*' value '*'"),
    ("unknown osi proto '*'", "unknown 'iso proto*' value '*'"),
    ("unknown protocol: *", "unknown '*proto*' value '*'"),
    ("unknown ether host '*'", "unknown Ethernet-like host '*'"),
    ("unknown FDDI host '*'", "unknown Ethernet-like host '*'"),
    ("unknown token ring host '*'", "unknown Ethernet-like host '*'"),
    ("unknown 802.11 host '*'", "unknown Ethernet-like host '*'"),
    ("unknown Fibre Channel host '*'", "unknown Ethernet-like host '*'"),
    ("only * supports link-level host name", "'link host NAME' not supported on *"),
    ("ethernet addresses supported only on *", "'link host XX:XX:XX:XX:XX:XX' not supported on *"),
    // Gateways are supported.
    ("'gateway' not supported in this configuration", "'gateway' not supported on *"),
    ("'gateway' not supported in this configuration", "'*' is not a valid qualifier for 'gateway'"),
    ("'gateway' not supported in this configuration", "unknown Ethernet-like host '*'"),
    ("'gateway' requires a name", "'gateway' is not a valid qualifier for '*'"),
    // DECnet: hosts with an area and a node.
    ("*", "'decnet' is not a valid qualifier for '*'"),
    ("*", "invalid DECnet address '*'"),
    // Port ranges.
    ("*", "port range '*' contains *"),
    // (1.10 reads numbers as far as they go.)
    ("*", "'*' is not a valid port"),
    ("unknown port in range '*0x*'", "*"),
    ("unknown port in range '*'", "illegal port number *"),
    ("unknown port in range '*'", "number * overflows 32 bits"),
    ("unknown port in range '*'", "port range '*' has no * port"),
    ("illegal port number *", "number * overflows 32 bits"),
    // Link-layer types.
    ("* link-layer type filtering not implemented", "link-layer type filtering not implemented for *"),
    ("'llc' not supported for *", "'llc' not supported on *"),
    ("no VLAN support for *", "'vlan' not supported on *"),
    ("no MPLS support for *", "'mpls' not supported on *"),
    ("not a broadcast link", "'broadcast' not supported on *"),
    ("link-layer multicast filters supported only on *", "'multicast' not supported on *"),
    ("link-layer multicast filters supported only on *", "'*' is not a valid qualifier for 'multicast'"),
    ("only link-layer/IP broadcast filters supported", "'*' is not a valid qualifier for 'broadcast'"),
    ("802.11 link-layer types supported only on 802.11", "'type/subtype' not supported on *"),
    ("frame direction supported only with 802.11 headers", "'dir' not supported on *"),
    ("* supported only on PF linktype", "'*' supported only on PFLOG linktype"),
    ("'*' supported only on raw ATM", "'*' supported only on SUNATM"),
    ("aid supported only on ARCnet", "'*' is not a valid qualifier for '$XX'"),
    ("aid supported only on ARCnet", "'link' is the only valid proto qualifier for 'host $XX'"),
    ("aid supported only on ARCnet", "'link host $XX' not supported on *"),
    ("ARCnet address used in non-arc expression", "'*' is not a valid qualifier for '$XX'"),
    ("ARCnet address used in non-arc expression", "'link' is the only valid proto qualifier for 'host $XX'"),
    ("'*' supported only on MTP2*", "'*' supported only on SS7"),
    ("'*' supported only on SS7", "'h*' supported only on SS7"),
    // Limits that 1.10 does not have.
    ("*", "byte argument * greater than maximum 255"),
    ("*", "protocol number * greater than maximum 255"),
    ("*", "ISO protocol * greater than maximum 255"),
    ("*", "IS-IS PDU type * greater than maximum 31"),
    ("*", "LLC DSAP * greater than maximum 255"),
    ("*", "EtherType * greater than maximum 65535"),
    ("*", "HDLC protocol * greater than maximum 65535"),
    ("*", "PPP protocol * greater than maximum 65535"),
    ("*", "VPI * greater than maximum 255"),
    ("*", "VCI * greater than maximum 65535"),
    ("* value * too big; max value = *", "* greater than maximum *"),
    // Words of the lexer.
    ("ethernet address used in non-ether expression", "Ethernet address used in non-ether expression"),
    ("bogus ethernet address *", "invalid Ethernet address '*'"),
    ("bogus IPv6 address *", "invalid IPv6 address '*'"),
    // Live captures only.
    ("*", "not a live capture, '*' not supported on *"),
    // Looked at by libpcap's optimizer; or taken for constant by it (docs/COMPAT.md).
    ("division by zero", "accepted"),
    ("modulus by zero", "accepted"),
    ("shift by more than 31 bits", "accepted"),
    ("shift by more than 31 bits", "can't parse filter expression: syntax error"),
    // Numbers of any form are ports of a range.
    ("unknown port in range '*'", "accepted"),
    ("unknown port in range '*'", "'*' is not a valid qualifier for 'portrange'"),
    ("unknown port in range '*'", "link-layer type filtering not implemented for *"),
    ("illegal port number *", "'*' is not a valid qualifier for 'portrange'"),
    ("illegal port number *", "link-layer type filtering not implemented for *"),
];

/// Words that 1.10 does not know.
const NEW_WORDS: [&str; 8] =
    ["vxlan", "slow", "\\slow", "ba", "bar", "defer", "match", "translate"];

/// Link-layer types of which the development line knows more, or less (`BACNET_MS_TP`): whatever
/// differs, differs on purpose; tests/upstream_changes.rs.
const CHANGED_DLTS: [i32; 6] = [281, 284, 192, 165, 240, 241];

const REJECTS_ALL: &str = "expression rejects all packets";

/// The change that explains a difference, if one does.
pub fn change(dlt: i32, filter: &str, theirs: &str, ours: &str) -> Option<&'static str> {
    // A filter that accepts nothing is no error of the language.
    let (theirs, ours) = match (theirs, ours) {
        (REJECTS_ALL, ACCEPTED) | (ACCEPTED, REJECTS_ALL) => (theirs, ours),
        (REJECTS_ALL, _) => (ACCEPTED, ours),
        (_, REJECTS_ALL) => (theirs, ACCEPTED),
        _ => (theirs, ours),
    };
    let known = CHANGES.iter().find(|(old, new)| fits(old, theirs) && fits(new, ours));
    if let Some((_, new)) = known {
        return Some(new);
    }
    if CHANGED_DLTS.contains(&dlt) {
        return Some("link-layer types of which more is known");
    }
    // One question in newer versions; protocols that are no longer looked for (ARCnet's old ones, and
    // behind IPv6 where Juniper's magic number stands for both).
    let juniper =
        matches!(dlt, 130..=138 | 164 | 167 | 168 | 174 | 178..=183 | 194 | 200 | 232..=234 | 238);
    let fewer = juniper || matches!(dlt, 7 | 129) || filter.contains("mpls");
    if (theirs, ours) == (ACCEPTED, REJECTS_ALL) && fewer {
        return Some("contradictions that 1.10 does not see");
    }
    // Libpcap's optimizer loses the left side of `A & 0xffffffff`.
    if (theirs, ours) == (REJECTS_ALL, ACCEPTED) && filter.contains(['&', '-']) {
        return Some("signs of masks");
    }
    let between = |c: char| !(c.is_ascii_alphanumeric() || "-\\".contains(c));
    let words = |word: &&str| filter.split(between).any(|found| found == *word);
    NEW_WORDS.iter().any(words).then_some("new words")
}

/// Whether a text is of a pattern.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let (between, last) = others.rsplit_once('*').unwrap_or(("", others));
    for part in between.split('*') {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
