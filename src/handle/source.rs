//! Source strings of `pcap_open`: `file://PATH`, `rpcap://DEVICE`, `rpcap://HOST:PORT/DEVICE`, or
//! the bare name of a device.

/// What a source string names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A savefile, or a folder of them: `PCAP_SRC_FILE`.
    File = 2,
    /// A device of this host: `PCAP_SRC_IFLOCAL`.
    Local = 3,
    /// A device of another host: `PCAP_SRC_IFREMOTE`.
    Remote = 4,
}

/// The parts of a source string; absent ones are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it names.
    pub kind: SourceKind,
    /// The other host, without the brackets of an IPv6 address.
    pub host: Vec<u8>,
    /// The port there.
    pub port: Vec<u8>,
    /// Device, file or folder.
    pub name: Vec<u8>,
}

/// Why there is no such source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The string is longer than `PCAP_BUF_SIZE`.
    #[error("The source string is too long. Cannot handle it correctly.")]
    TooLong,
    /// A bracket that is never closed, before an IPv6 address.
    #[error("The host name in the source string has a '[' without a ']'.")]
    OpenBracket,
    /// A `PCAP_SRC_` that is none.
    #[error("The interface type is not valid.")]
    UnknownKind,
    /// A remote source without a host.
    #[error("The host name cannot be NULL.")]
    NoHost,
    /// A file source without a file.
    #[error("The file name cannot be NULL.")]
    NoFile,
    /// A device source without a device.
    #[error("The source string names no device.")]
    NoDevice,
    /// Capture on another host.
    #[error("rpcap: capturing on another host ({0}) is not supported by this library")]
    RemoteUnsupported(String),
    /// A folder that cannot be listed.
    #[error("Error when listing files: does folder '{0}' exist?")]
    NoFolder(String),
}

/// Longest source string.
const MAX: usize = 1024;
const FILE: &[u8] = b"file://";
const DEVICE: &[u8] = b"rpcap://";
const SECURE_DEVICE: &[u8] = b"rpcaps://";

impl Source {
    /// Takes a source string apart. What has no scheme that we know is the name of a device.
    pub fn parse(text: &[u8]) -> Result<Self, SourceError> {
        if text.len() > MAX {
            return Err(SourceError::TooLong);
        }
        if let Some(path) = strip(text, FILE) {
            return Ok(Self::local(SourceKind::File, path));
        }
        match strip(text, DEVICE).or_else(|| strip(text, SECURE_DEVICE)) {
            Some(rest) => Self::parse_rpcap(rest),
            None => Ok(Self::local(SourceKind::Local, text)),
        }
    }

    fn local(kind: SourceKind, name: &[u8]) -> Self {
        Self { kind, host: Vec::new(), port: Vec::new(), name: name.to_vec() }
    }

    /// After the scheme: a device, or a host and, behind a slash, a device there.
    fn parse_rpcap(rest: &[u8]) -> Result<Self, SourceError> {
        let Some(slash) = rest.iter().position(|&b| b == b'/') else {
            return Ok(Self::local(SourceKind::Local, rest));
        };
        let (authority, name) = (&rest[..slash], &rest[slash + 1..]);
        if authority.is_empty() {
            return Ok(Self::local(SourceKind::Local, name));
        }
        let after_user = authority.iter().position(|&b| b == b'@').map_or(0, |at| at + 1);
        let authority = &authority[after_user..];
        let (host, after) = match authority.strip_prefix(b"[") {
            Some(inner) => {
                let end = inner.iter().position(|&b| b == b']').ok_or(SourceError::OpenBracket)?;
                (&inner[..end], &inner[end + 1..])
            }
            None => {
                let end = authority.iter().position(|&b| b == b':').unwrap_or(authority.len());
                authority.split_at(end)
            }
        };
        let port = after.strip_prefix(b":").unwrap_or_default();
        let kind = SourceKind::Remote;
        Ok(Self { kind, host: host.to_vec(), port: port.to_vec(), name: name.to_vec() })
    }

    /// The source string of these parts.
    pub fn to_text(&self) -> Result<Vec<u8>, SourceError> {
        let mut text = Vec::new();
        match self.kind {
            SourceKind::File if self.name.is_empty() => return Err(SourceError::NoFile),
            SourceKind::File => text.extend(FILE),
            SourceKind::Local => text.extend(DEVICE),
            SourceKind::Remote if self.host.is_empty() => return Err(SourceError::NoHost),
            SourceKind::Remote => {
                text.extend(DEVICE);
                let is_ipv6 = self.host.contains(&b':');
                text.extend(is_ipv6.then_some(b'['));
                text.extend(&self.host);
                text.extend(is_ipv6.then_some(b']'));
                if !self.port.is_empty() {
                    text.push(b':');
                    text.extend(&self.port);
                }
                text.push(b'/');
            }
        }
        text.extend(&self.name);
        if text.len() >= MAX { Err(SourceError::TooLong) } else { Ok(text) }
    }

    /// The error for a source on another host; nothing for others.
    pub fn check_local(&self) -> Result<(), SourceError> {
        match self.kind {
            SourceKind::Remote => {
                let host = String::from_utf8_lossy(&self.host).into_owned();
                Err(SourceError::RemoteUnsupported(host))
            }
            SourceKind::File | SourceKind::Local => Ok(()),
        }
    }
}

fn strip<'a>(text: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let head = text.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (SourceKind, String, String, String) {
        let s = Source::parse(text.as_bytes()).expect("a source");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (s.kind, text(s.host), text(s.port), text(s.name))
    }

    #[test]
    fn sources_are_taken_apart_and_put_together() {
        for (text, kind, host, port, name) in [
            ("file:///a/b.pcap", SourceKind::File, "", "", "/a/b.pcap"),
            ("rpcap://eth0", SourceKind::Local, "", "", "eth0"),
            ("rpcap://", SourceKind::Local, "", "", ""),
            ("rpcap://h/eth0", SourceKind::Remote, "h", "", "eth0"),
            ("rpcap://h.x:80/eth0", SourceKind::Remote, "h.x", "80", "eth0"),
            ("rpcap://[1:2::3]:http/e", SourceKind::Remote, "1:2::3", "http", "e"),
        ] {
            assert_eq!(parts(text), (kind, host.into(), port.into(), name.into()), "{text}");
            let source = Source::parse(text.as_bytes()).expect("a source");
            assert_eq!(source.to_text().expect("a text"), text.as_bytes());
        }
        assert_eq!(parts("eth0"), (SourceKind::Local, "".into(), "".into(), "eth0".into()));
        assert_eq!(parts("rpcap:///eth0").0, SourceKind::Local);
        assert_eq!(parts("http://x/y").3, "http://x/y");
        assert_eq!(parts("rpcap://user:pw@h/e").1, "h");
        assert_eq!(Source::parse(b"rpcap://[1:2/e"), Err(SourceError::OpenBracket));
        assert_eq!(Source::parse(&[b'x'; 1025]), Err(SourceError::TooLong));
    }

    #[test]
    fn incomplete_sources_have_no_text() {
        let source = |kind| Source { kind, host: vec![], port: vec![], name: vec![] };
        assert_eq!(source(SourceKind::File).to_text(), Err(SourceError::NoFile));
        assert_eq!(source(SourceKind::Remote).to_text(), Err(SourceError::NoHost));
        assert_eq!(source(SourceKind::Local).to_text().expect("a text"), b"rpcap://");
    }
}
