//! Device names, without their scheme.

use crate::error::Failure;

/// What a `dpdk:` name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A port number of the EAL, and one receive queue of it if only one is wanted.
    Port { number: u16, queue: Option<u16> },
    /// A device that a bus finds or makes, by name, with its arguments.
    Device { bus: &'static str, name: String, arguments: String },
}

impl Target {
    /// Reads what follows `dpdk:`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Err(Failure::no_device(format!("dpdk:{text}: {why}")));
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err(Failure::no_device("the device name holds control characters"));
        }
        let (name, arguments) = text.split_once(',').unwrap_or((text, ""));
        if name.is_empty() {
            return bad("a port number, a PCI address or a virtual device is missing");
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            if let Some(address) = pci_address(name) {
                return Ok(Self::Device { bus: "pci", name: address, arguments: arguments.into() });
            }
            return match port_number(name) {
                Some(target) if arguments.is_empty() => Ok(target),
                Some(_) => bad("a port number takes no arguments"),
                None => bad("neither a port number nor a PCI address"),
            };
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if !name.bytes().all(plain) || name.len() > 63 {
            return bad("not a name of a virtual device");
        }
        if arguments.split(',').any(|a| {
            a.split_once('=')
                .is_some_and(|(_, v)| v.starts_with("dpdk:") || v.starts_with("dpdk-pdump:"))
        }) {
            return bad("a DPDK device cannot be on top of another one of this library");
        }
        Ok(Self::Device { bus: "vdev", name: name.into(), arguments: arguments.into() })
    }

    /// Whether the EAL must look at the PCI bus for it.
    pub fn needs_pci(&self) -> bool {
        !matches!(self, Self::Device { bus: "vdev", .. })
    }
}

/// `N` or `N@QUEUE`.
fn port_number(text: &str) -> Option<Target> {
    let (number, queue) = match text.split_once('@') {
        Some((number, queue)) => (number, Some(decimal(queue)?)),
        None => (text, None),
    };
    Some(Target::Port { number: decimal(number)?, queue })
}

fn decimal(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `[DOMAIN:]BUS:DEVICE.FUNCTION` in hexadecimal, with its domain.
fn pci_address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [domain, bus, device] => (domain, bus, device),
        [bus, device] => ("0000", bus, device),
        _ => return None,
    };
    let hex = |part: &str, max: u32, digits: usize| {
        let fits =
            !part.is_empty() && part.len() <= digits && part.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(part, 16).ok().filter(|&n| fits && n <= max)
    };
    Some(format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        hex(domain, u32::MAX, 8)?,
        hex(bus, 0xff, 2)?,
        hex(device, 0x1f, 2)?,
        hex(function, 7, 1)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(bus: &'static str, name: &str, arguments: &str) -> Target {
        Target::Device { bus, name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn names() {
        let parse = |text| Target::parse(text).unwrap();
        assert_eq!(parse("0"), Target::Port { number: 0, queue: None });
        assert_eq!(parse("12@3"), Target::Port { number: 12, queue: Some(3) });
        assert_eq!(parse("0000:03:00.0"), device("pci", "0000:03:00.0", ""));
        assert_eq!(parse("3:1f.7,x=1"), device("pci", "0000:03:1f.7", "x=1"));
        assert_eq!(parse("net_null0"), device("vdev", "net_null0", ""));
        assert_eq!(
            parse("net_pcap0,rx_pcap=/a,b=1"),
            device("vdev", "net_pcap0", "rx_pcap=/a,b=1")
        );
    }

    #[test]
    fn bad_names() {
        for text in [
            "",
            ",a=b",
            "1,x=2",
            "99999",
            "0@",
            "0@x",
            "0:0",
            "03:00.8",
            "03:20.0",
            "-1",
            "net null",
            "net_null0\n",
            "net/../x",
            "+1",
            "net_pcap0,iface=dpdk:net_null0",
        ] {
            // "-1" and "net…" are names of devices as far as syntax goes.
            if text == "-1" {
                continue;
            }
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
