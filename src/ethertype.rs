//! Names of Ethernet types and LLC service access points (`pcap/namedb.h`).

use std::ffi::CStr;

/// Ethernet types with names, as `pcap_nametoeproto` knows them: those of libpcap 1.10, and
/// `slow` (IEEE 802.3 clause 57 and others) of its next version.
pub const ETHERTYPES: [(&CStr, u16); 13] = [
    (c"aarp", 0x80f3),
    (c"arp", 0x0806),
    (c"atalk", 0x809b),
    (c"decnet", 0x6003),
    (c"ip", 0x0800),
    (c"ip6", 0x86dd),
    (c"lat", 0x6004),
    (c"loopback", 0x9000),
    (c"mopdl", 0x6001),
    (c"moprc", 0x6002),
    (c"rarp", 0x8035),
    (c"sca", 0x6007),
    (c"slow", 0x8809),
];

/// Entries of [`ETHERTYPES`] in the `eproto_db` array that libpcap 1.10 exports.
pub const EPROTO_DB_LEN: usize = 12;

/// Ethernet type of a name, which is in lower case (`pcap_nametoeproto`).
pub fn ethertype(name: &[u8]) -> Option<u16> {
    ETHERTYPES.iter().find(|(known, _)| known.to_bytes() == name).map(|&(_, value)| value)
}

/// LLC service access point of a name, which is in lower case (`pcap_nametollc`).
pub fn llc_sap(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"iso" => 0xfe,
        b"stp" => 0x42,
        b"ipx" => 0xe0,
        b"netbeui" => 0xf0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(ethertype(b"ip6"), Some(0x86dd));
        assert_eq!(ethertype(b"slow"), Some(0x8809));
        assert_eq!(ethertype(b"IP"), None);
        assert_eq!(llc_sap(b"netbeui"), Some(0xf0));
        assert_eq!(llc_sap(b"ip"), None);
        assert!(ETHERTYPES[..EPROTO_DB_LEN].iter().all(|(name, _)| *name != c"slow"));
    }
}
