//! Look-ups in the system's name databases: hosts, services, protocols, networks, Ethernet
//! addresses.
//!
//! What `pcap_nameto…` of `pcap/namedb.h` and the filter compiler ask. All go through the C
//! library, so that `/etc/nsswitch.conf` decides where names come from.

use std::ffi::{CStr, CString, c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// Transport protocols a service name is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP only, or TCP and UDP with different numbers.
    Tcp,
    /// UDP only.
    Udp,
    /// Both, with the same number.
    Both,
}

unsafe extern "C" {
    /// `<netinet/ether.h>`; 0 when found.
    fn ether_hostton(name: *const c_char, address: *mut [u8; 6]) -> c_int;
    /// `<netdb.h>`, the reentrant form (glibc).
    fn getprotobyname_r(
        name: *const c_char,
        entry: *mut libc::protoent,
        buffer: *mut c_char,
        buffer_len: usize,
        found: *mut *mut libc::protoent,
    ) -> c_int;
}

/// A list of `getaddrinfo`, freed with it.
pub struct AddrInfo(*mut libc::addrinfo);

impl AddrInfo {
    /// Asks for a host (as `pcap_nametoaddrinfo`: one entry for each address, of type stream) or
    /// for a service.
    fn get(node: Option<&CStr>, service: Option<&CStr>, datagram: bool) -> Option<Self> {
        // SAFETY: all zeros is a valid addrinfo: no flags, no pointers.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        hints.ai_family = libc::PF_UNSPEC;
        (hints.ai_socktype, hints.ai_protocol) = if datagram {
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP)
        } else {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP)
        };
        let mut list = ptr::null_mut();
        // SAFETY: the strings end in NUL or are null, of which getaddrinfo allows one; `hints`
        // and `list` live through the call.
        let status = unsafe {
            libc::getaddrinfo(
                node.map_or(ptr::null(), CStr::as_ptr),
                service.map_or(ptr::null(), CStr::as_ptr),
                &raw const hints,
                &raw mut list,
            )
        };
        (status == 0 && !list.is_null()).then_some(Self(list))
    }

    /// Addresses of a host name or of an address's text.
    pub fn host(name: &CStr) -> Option<Self> {
        Self::get(Some(name), None, false)
    }

    /// Gives the list away; its taker calls `freeaddrinfo`.
    pub fn into_raw(self) -> *mut libc::addrinfo {
        let list = self.0;
        std::mem::forget(self);
        list
    }

    /// Addresses and ports, in the order of the list.
    fn entries(&self) -> Vec<(IpAddr, u16)> {
        let mut entries = Vec::new();
        let mut next = self.0;
        while !next.is_null() {
            // SAFETY: a non-null element of a list that getaddrinfo made and we have not freed.
            let info = unsafe { &*next };
            next = info.ai_next;
            if info.ai_addr.is_null() {
                continue;
            }
            match info.ai_family {
                libc::AF_INET => {
                    // SAFETY: an address of family AF_INET is a sockaddr_in, aligned as such.
                    let addr = unsafe { &*info.ai_addr.cast::<libc::sockaddr_in>() };
                    let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
                    entries.push((ip.into(), u16::from_be(addr.sin_port)));
                }
                libc::AF_INET6 => {
                    // SAFETY: an address of family AF_INET6 is a sockaddr_in6, aligned as such.
                    let addr = unsafe { &*info.ai_addr.cast::<libc::sockaddr_in6>() };
                    let ip = Ipv6Addr::from(addr.sin6_addr.s6_addr);
                    entries.push((ip.into(), u16::from_be(addr.sin6_port)));
                }
                _ => {}
            }
        }
        entries
    }
}

impl Drop for AddrInfo {
    fn drop(&mut self) {
        // SAFETY: the list comes from getaddrinfo and is freed once.
        unsafe { libc::freeaddrinfo(self.0) }
    }
}

/// Addresses of a host, in the system's order (`pcap_nametoaddr`, `pcap_nametoaddrinfo`).
pub fn host(name: &CStr) -> Option<Vec<IpAddr>> {
    let list = AddrInfo::host(name)?;
    Some(list.entries().into_iter().map(|(ip, _)| ip).collect())
}

/// Number of a network, in host order and not shifted (`pcap_nametonetaddr`).
pub fn network(name: &CStr) -> Option<u32> {
    let mut h_errno = 0;
    let net = with_buffer(|entry: *mut libc::netent, buffer, len, found| {
        // SAFETY: every pointer is valid for the call, `buffer` for `len` bytes.
        unsafe { libc::getnetbyname_r(name.as_ptr(), entry, buffer, len, found, &raw mut h_errno) }
    })?;
    Some(net.n_net)
}

/// Number of an IP protocol (`pcap_nametoproto`).
pub fn ip_protocol(name: &CStr) -> Option<c_int> {
    let proto = with_buffer(|entry, buffer, len, found| {
        // SAFETY: every pointer is valid for the call, `buffer` for `len` bytes.
        unsafe { getprotobyname_r(name.as_ptr(), entry, buffer, len, found) }
    })?;
    Some(proto.p_proto)
}

/// Calls one of the `get…_r` functions with a buffer that grows as far as it asks. Pointers in
/// the entry dangle: only its numbers may be used.
fn with_buffer<T: Copy>(
    mut get: impl FnMut(*mut T, *mut c_char, usize, *mut *mut T) -> c_int,
) -> Option<T> {
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<T>::uninit();
        let mut found = ptr::null_mut();
        let status = get(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if status == libc::ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if status != 0 || found.is_null() {
            return None;
        }
        // SAFETY: the call succeeded and `found` points to the entry that it has filled.
        return Some(unsafe { *found });
    }
}

/// Port of a service, or of a decimal number, and the protocols that know it by this name
/// (`pcap_nametoport`).
pub fn port(name: &CStr) -> Option<(u16, Transport)> {
    let bytes = name.to_bytes();
    if bytes.is_empty() {
        return None;
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        // The C library would cut 65536 down to 0.
        let port = name.to_str().ok()?.parse().ok()?;
        return Some((port, Transport::Both));
    }
    let ask = |datagram| {
        let list = AddrInfo::get(None, Some(name), datagram)?;
        list.entries().first().map(|&(_, port)| port)
    };
    match (ask(false), ask(true)) {
        (Some(tcp), Some(udp)) if tcp == udp => Some((tcp, Transport::Both)),
        (Some(tcp), _) => Some((tcp, Transport::Tcp)),
        (None, Some(udp)) => Some((udp, Transport::Udp)),
        (None, None) => None,
    }
}

/// Two ports with a hyphen between them, and the protocols that know both by these names
/// (`pcap_nametoportrange`). Names may have hyphens of their own: the first split that makes two
/// ports counts.
pub fn port_range(name: &CStr) -> Option<(u16, u16, Transport)> {
    let bytes = name.to_bytes();
    (0..bytes.len()).filter(|&i| bytes[i] == b'-').find_map(|i| {
        let (low, low_transport) = port(&CString::new(&bytes[..i]).ok()?)?;
        let (high, high_transport) = port(&CString::new(&bytes[i + 1..]).ok()?)?;
        let transport =
            if low_transport == high_transport { low_transport } else { Transport::Both };
        Some((low, high, transport))
    })
}

/// Ethernet address of a host (`pcap_ether_hostton`).
pub fn ether_host(name: &CStr) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    // SAFETY: `name` ends in NUL; `address` is an ether_addr, six bytes without alignment.
    let status = unsafe { ether_hostton(name.as_ptr(), &raw mut address) };
    (status == 0).then_some(address)
}

/// Ethernet address from its text: pairs of hexadecimal digits, or single ones with `:`, `.` or
/// `-` after them (`pcap_ether_aton`). What is missing is zero, and what is no digit ends it.
pub fn ether_aton(text: &[u8]) -> [u8; 6] {
    let digit = |i: usize| text.get(i).and_then(|&b| char::from(b).to_digit(16));
    let mut address = [0; 6];
    let mut pos = 0;
    for octet in &mut address {
        if text.get(pos).is_some_and(|b| b":.-".contains(b)) {
            pos += 1;
        }
        let Some(high) = digit(pos) else { break };
        pos += 1;
        let value = match digit(pos) {
            Some(low) => {
                pos += 1;
                high << 4 | low
            }
            None => high,
        };
        *octet = value.to_le_bytes()[0];
    }
    address
}

/// An entry of a file like `/etc/ethers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etherent {
    /// The address.
    pub address: [u8; 6],
    /// The name, at most 121 bytes: what `struct pcap_etherent` has room for.
    pub name: Vec<u8>,
}

/// Reads lines until one is an address of six octets with colons, blanks and a name
/// (`pcap_next_etherent`); what follows the name does not matter. `next_byte` gives the bytes of
/// the file.
pub fn next_etherent(mut next_byte: impl FnMut() -> Option<u8>) -> Option<Etherent> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut at_end = true;
        while let Some(byte) = next_byte() {
            at_end = false;
            if byte == b'\n' {
                break;
            }
            // Longer lines have nothing of interest beyond it, but must be read to their end.
            if line.len() < 1024 {
                line.push(byte);
            }
        }
        if at_end {
            return None;
        }
        if let Some(entry) = etherent(&line) {
            return Some(entry);
        }
    }
}

fn etherent(line: &[u8]) -> Option<Etherent> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, name) = (words.next()?, words.next()?);
    if name[0] == b'#' {
        return None;
    }
    let mut octets = address.split(|&b| b == b':');
    let mut parsed = [0; 6];
    for octet in &mut parsed {
        let text = octets.next()?;
        if !(1..=2).contains(&text.len()) || !text.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *octet = ether_aton(text)[0];
    }
    if octets.next().is_some() {
        return None;
    }
    Some(Etherent { address: parsed, name: name[..name.len().min(121)].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_protocols() {
        assert_eq!(port(c"80"), Some((80, Transport::Both)));
        assert_eq!(port(c"65536"), None);
        assert_eq!(port(c""), None);
        assert_eq!(port(c"no-such-service"), None);
        assert_eq!(port(c"http").map(|(port, _)| port), Some(80));
        assert_eq!(port(c"tftp"), Some((69, Transport::Udp)));
        assert_eq!(port(c"domain"), Some((53, Transport::Both)));
        assert_eq!(port(c"biff"), Some((512, Transport::Udp)));
        assert_eq!(ip_protocol(c"tcp"), Some(6));
        assert_eq!(ip_protocol(c"no-such-protocol"), None);
    }

    #[test]
    fn port_ranges() {
        assert_eq!(port_range(c"25-53"), Some((25, 53, Transport::Both)));
        assert_eq!(port_range(c"53-25"), Some((53, 25, Transport::Both)));
        assert_eq!(port_range(c"bootps-bootpc"), Some((67, 68, Transport::Udp)));
        assert_eq!(port_range(c"tftp-domain"), Some((69, 53, Transport::Both)));
        assert_eq!(port_range(c"iso-tsap-tftp").map(|r| (r.0, r.1)), Some((102, 69)));
        for bad in [c"25", c"http", c"-", c"5-", c"-5", c"1-nosuch", c"25-53x"] {
            assert_eq!(port_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn hosts_and_networks() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        assert!(host(c"localhost").unwrap().contains(&localhost));
        assert_eq!(host(c"127.0.0.1"), Some(vec![localhost]));
        assert_eq!(host(c"no.such.host.invalid"), None);
        assert_eq!(network(c"no-such-network.invalid"), None);
        assert_eq!(ether_host(c"no-such-host.invalid"), None);
    }

    #[test]
    fn ethernet_addresses() {
        for text in ["1:2:3:4:5:6", "1-2-3-4-5-6", "1.2.3.4.5.6", "0102.0304.0506", "010203040506"]
        {
            assert_eq!(ether_aton(text.as_bytes()), [1, 2, 3, 4, 5, 6], "{text}");
        }
        assert_eq!(ether_aton(b"aB:C"), [0xab, 0x0c, 0, 0, 0, 0]);
        assert_eq!(ether_aton(b""), [0; 6]);
        assert_eq!(ether_aton(b"1:2:3:4:5:6:7:8:9:a:b:c"), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn ethers_file() {
        let long = "n".repeat(150);
        let text = format!(
            "# comment\n\n  \nzz foo\naa:bb:cc:dd:ee:ff host1 # junk\n 1:2:3:4:5:6\t\thost2\n\
             1:2:3 short\n11:22:33:44:55:66#x\n11:22:33:44:55:66 #c\n1:2:3:4:5:6:7 seven\n\
             11:22:33:44:55:66\nff:ff:ff:ff:ff:ff {long}\n1:2:3:4:5:7 last"
        );
        let mut bytes = text.bytes();
        let mut names = Vec::new();
        while let Some(entry) = next_etherent(|| bytes.next()) {
            names.push(String::from_utf8(entry.name).unwrap());
        }
        assert_eq!(names, ["host1", "host2", &long[..121], "last"]);
    }
}
