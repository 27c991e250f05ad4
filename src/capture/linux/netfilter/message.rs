//! Messages of nfnetlink: what is asked for, and packets.
//!
//! Numbers and layouts of linux/netlink.h and linux/netfilter/nfnetlink{,_log,_queue}.h.

use super::Kind;

/// `struct nlmsghdr`: length, type, flags, sequence, port; then `struct nfgenmsg`: family,
/// version, resource.
const HEADER: usize = 16;
const GENERIC: usize = 4;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const NLMSG_MIN_TYPE: u16 = 0x10;

/// What is asked of the log or the queue. All configure it, but for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Take the packet handler of a protocol family away from whoever has it.
    Unbind,
    /// Be the packet handler of a protocol family.
    Bind,
    /// Listen to a group, or be the one who handles a queue.
    Listen(u16),
    /// Have up to so many bytes of every packet of a group or queue.
    CopyPackets(u16, u32),
    /// Let all packets of a queue go on, up to an identifier.
    AcceptUpTo(u16, u32),
}

impl Request {
    /// The message.
    pub fn encode(self, kind: Kind, family: u8, sequence: u32) -> Vec<u8> {
        let (resource, attribute, value) = self.attribute(kind, family);
        let message = match self {
            Self::AcceptUpTo(..) => kind.subsystem() | 3, // NFQNL_MSG_VERDICT_BATCH
            _ => kind.subsystem() | kind.config_message(),
        };
        let len = HEADER + GENERIC + 4 + value.len();
        let flags = match self {
            Self::AcceptUpTo(..) => NLM_F_REQUEST,
            _ => NLM_F_REQUEST | NLM_F_ACK,
        };
        let mut out = Vec::with_capacity(len.next_multiple_of(4));
        out.extend((len.next_multiple_of(4) as u32).to_ne_bytes());
        out.extend(message.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]);
        // Commands for all groups and queues name a family, others a group or queue.
        let for_all = matches!(self, Self::Unbind | Self::Bind) && kind == Kind::Log;
        out.extend([if for_all { family } else { 0 }, 0]);
        out.extend(resource.to_be_bytes());
        out.extend((4 + value.len() as u16).to_ne_bytes());
        out.extend(attribute.to_ne_bytes());
        out.extend(value);
        out.resize(len.next_multiple_of(4), 0);
        out
    }

    /// Group or queue, attribute type and value.
    fn attribute(self, kind: Kind, family: u8) -> (u16, u16, Vec<u8>) {
        const CMD: u16 = 1;
        const PARAMS: u16 = 2;
        const COPY_PACKET: u8 = 2;
        let command = |command: u8| match kind {
            Kind::Log => vec![command],
            Kind::Queue => vec![command, 0, 0, family],
        };
        match self {
            Self::Unbind => (0, CMD, command(4)),
            Self::Bind => (0, CMD, command(3)),
            Self::Listen(group) => match kind {
                Kind::Log => (group, CMD, vec![1]),
                Kind::Queue => (group, CMD, vec![1, 0, 0, 0]),
            },
            Self::CopyPackets(group, len) => {
                let mut value = len.to_be_bytes().to_vec();
                value.push(COPY_PACKET);
                if kind == Kind::Log {
                    value.push(0);
                }
                (group, PARAMS, value)
            }
            Self::AcceptUpTo(queue, id) => {
                const VERDICT: u16 = 2;
                const NF_ACCEPT: u32 = 1;
                let mut value = NF_ACCEPT.to_be_bytes().to_vec();
                value.extend(id.to_be_bytes());
                (queue, VERDICT, value)
            }
        }
    }

    /// libpcap's name for it in an error.
    pub fn name(self, kind: Kind) -> String {
        let prefix = match kind {
            Kind::Log => "NFULNL",
            Kind::Queue => "NFQNL",
        };
        match self {
            Self::Unbind => format!("{prefix}_CFG_CMD_PF_UNBIND"),
            Self::Bind => format!("{prefix}_CFG_CMD_PF_BIND"),
            Self::Listen(_) => "Can't listen on group index".to_owned(),
            Self::CopyPackets(..) => format!("{prefix}_COPY_PACKET"),
            Self::AcceptUpTo(..) => "can't accept packets".to_owned(),
        }
    }
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

impl<'a> Message<'a> {
    /// The message at offset `at` of a datagram, and where the next one begins; `None` at the
    /// end, or where what is left is no message.
    pub fn at(datagram: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let rest = datagram.get(at..)?;
        let len = u32_at(rest, 0)? as usize;
        let body = rest.get(HEADER..len)?;
        let message = Self { kind: u16_at(rest, 4)?, sequence: u32_at(rest, 8)?, body };
        Some((message, at + len.next_multiple_of(4)))
    }

    /// The error an acknowledgment tells of, 0 for none; `None` for other messages.
    pub fn acknowledged(&self) -> Option<i32> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        u32_at(self.body, 0).map(|code| -(code as i32))
    }

    /// Whether it is a packet of the log or the queue.
    pub fn is_packet(&self, kind: Kind) -> bool {
        self.kind >= NLMSG_MIN_TYPE && self.kind == kind.subsystem() && self.body.len() >= GENERIC
    }

    /// Group or queue of a packet.
    pub fn resource(&self) -> u16 {
        self.body.get(2..4).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
    }

    /// Value of an attribute of a packet.
    pub fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.body.get(GENERIC..)?;
        loop {
            let len = usize::from(u16_at(rest, 0)?);
            // The two upper bits are flags.
            let kind = u16_at(rest, 2)? & 0x3fff;
            let value = rest.get(4..len)?;
            if kind == wanted {
                return Some(value);
            }
            rest = rest.get(len.next_multiple_of(4)..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_libpcaps() {
        let body = |r: Request, kind| r.encode(kind, 2, 7)[16..].to_vec();
        let (log, queue) = (Kind::Log, Kind::Queue);
        assert_eq!(body(Request::Unbind, log), [2, 0, 0, 0, 5, 0, 1, 0, 4, 0, 0, 0]);
        assert_eq!(body(Request::Listen(5), log), [0, 0, 0, 5, 5, 0, 1, 0, 1, 0, 0, 0]);
        let copy = Request::CopyPackets(5, 0x40000);
        assert_eq!(body(copy, log), [0, 0, 0, 5, 10, 0, 2, 0, 0, 4, 0, 0, 2, 0, 0, 0]);
        assert_eq!(body(copy, queue), [0, 0, 0, 5, 9, 0, 2, 0, 0, 4, 0, 0, 2, 0, 0, 0]);
        assert_eq!(body(Request::Bind, queue), [0, 0, 0, 0, 8, 0, 1, 0, 3, 0, 0, 2]);
        assert_eq!(body(Request::Listen(3), queue), [0, 0, 0, 3, 8, 0, 1, 0, 1, 0, 0, 0]);
        let header = Request::Unbind.encode(queue, 2, 7);
        assert_eq!(header[..12], [28, 0, 0, 0, 2, 3, 5, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn hostile_datagrams_end() {
        let mut datagram = Request::Listen(5).encode(Kind::Log, 2, 7);
        assert!(Message::at(&datagram, 0).is_some());
        assert!(Message::at(&datagram, datagram.len()).is_none());
        for len in [0u32, 3, 15, 29, u32::MAX] {
            datagram[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(Message::at(&datagram, 0), None, "{len}");
        }
        let body = [0, 0, 0, 0, 0, 0, 9, 0];
        let message = Message { kind: 0x400, sequence: 0, body: &body };
        assert_eq!(message.attribute(9), None);
    }
}
