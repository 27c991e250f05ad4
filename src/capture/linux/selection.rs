//! Which packets are shown: direction, and filtering in userland.

use super::frame::Frame;
use crate::bpf::{Ancillary, Aux, Filter, Preference, Program};
use crate::capture::Direction;

/// Protocols of CAN frames (linux/if_ether.h: `ETH_P_CAN`, `ETH_P_CANFD`, `ETH_P_CANXL`).
const CAN: std::ops::RangeInclusive<u16> = 0x000c..=0x000e;

/// Whether a CAN frame, classic, FD or XL.
#[inline]
pub(super) fn is_can(from: &libc::sockaddr_ll) -> bool {
    CAN.contains(&u16::from_be(from.sll_protocol))
}

/// Whether a packet goes the way that is wanted, and is not one that comes twice.
#[inline]
pub(super) fn wants(direction: Direction, from: &libc::sockaddr_ll, lo_ifindex: i32) -> bool {
    if from.sll_pkttype != libc::PACKET_OUTGOING {
        return direction != Direction::Out;
    }
    // What is sent on the loopback device is received there too.
    if from.sll_ifindex == lo_ifindex {
        return false;
    }
    // CAN drivers loop sent frames back.
    if is_can(from) && direction != Direction::Out {
        return false;
    }
    direction != Direction::In
}

/// What runs in userland, and on which packets.
pub(super) enum Selection {
    /// Everything is shown.
    All,
    /// The program.
    Program(Filter),
    /// Nothing: no program is known that could tell (an eBPF filter's stale packets).
    Nothing,
}

impl Selection {
    /// What a program accepts, run in a way that is known now (see [`UserlandFilter::always`]).
    pub fn program(program: &Program, preference: Preference) -> Self {
        Self::Program(Filter::with_preference(program, preference))
    }
}

/// Filtering in userland, of packets up to a unit of the source.
pub(super) struct UserlandFilter {
    selection: Selection,
    /// Last unit to filter: 0 for none, `u64::MAX` for all that come.
    until: u64,
    /// Real time, in nanoseconds, from which packets are known to have passed the new filter.
    settled_ns: i64,
}

/// How long packets that passed the old filter may be on their way, in nanoseconds.
const SETTLING_NS: i64 = 50_000_000;

impl UserlandFilter {
    /// None.
    pub const fn off() -> Self {
        Self { selection: Selection::All, until: 0, settled_ns: i64::MAX }
    }

    /// For all packets, where the kernel cannot filter. Compiled now: later, the process may have
    /// confined itself so that making memory executable is its end.
    pub fn always(program: &Program) -> Self {
        let selection = Selection::program(program, Preference::Native);
        Self { selection, until: u64::MAX, settled_ns: i64::MAX }
    }

    /// For packets that may have come in before the filter was changed at `now_ns`.
    pub fn until(unit: u64, selection: Selection, now_ns: i64) -> Self {
        Self { selection, until: unit, settled_ns: now_ns.saturating_add(SETTLING_NS) }
    }

    /// Whether packets of a unit must be [`UserlandFilter::passes`]ed.
    #[inline]
    pub fn applies(&self, unit: u64) -> bool {
        unit <= self.until
    }

    /// Whether the packet, with its cooked header and without its VLAN tag, is accepted.
    pub fn passes(&self, frame: &Frame, packet: &[u8], wirelen: u32) -> bool {
        let filter = match &self.selection {
            Selection::All => return true,
            Selection::Nothing => return self.came_after(frame),
            Selection::Program(filter) => filter,
        };
        if filter.run(packet, wirelen, &aux(frame)) != 0 {
            return true;
        }
        // The kernel saw all of the packet; where only a part was kept, its verdict counts for
        // what can only have come through the new filter.
        packet.len() < wirelen as usize && self.came_after(frame)
    }

    fn came_after(&self, frame: &Frame) -> bool {
        let stamp = frame.sec.saturating_mul(1_000_000_000) + i64::from(frame.nsec);
        stamp >= self.settled_ns
    }
}

/// What the kernel's filter could ask beside the packet's bytes.
fn aux(frame: &Frame) -> Aux {
    let (from, tag) = (super::ring::from(frame), frame.tag());
    let mut aux = Aux::NONE
        .with(Ancillary::Protocol, u16::from_be(from.sll_protocol).into())
        .with(Ancillary::PktType, from.sll_pkttype.into())
        .with(Ancillary::IfIndex, from.sll_ifindex as u32)
        .with(Ancillary::HaType, from.sll_hatype.into())
        .with(Ancillary::VlanTpid, tag.map_or(0, |tag| tag.tpid.into()));
    aux.set_vlan(tag.map(|tag| tag.tci));
    aux
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Insn;

    fn from(pkttype: u8, ifindex: i32, protocol: u16) -> libc::sockaddr_ll {
        libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: ifindex,
            sll_hatype: 1,
            sll_pkttype: pkttype,
            sll_halen: 6,
            sll_addr: [0; 8],
        }
    }

    #[test]
    fn directions() {
        let (sent, received) = (libc::PACKET_OUTGOING, libc::PACKET_HOST);
        let cases = [
            (Direction::InOut, from(sent, 2, 0x800), true),
            (Direction::In, from(sent, 2, 0x800), false),
            (Direction::Out, from(sent, 2, 0x800), true),
            (Direction::Out, from(received, 2, 0x800), false),
            (Direction::In, from(received, 2, 0x800), true),
            (Direction::InOut, from(sent, 1, 0x800), false),
            (Direction::Out, from(sent, 1, 0x800), false),
            (Direction::InOut, from(received, 1, 0x800), true),
            (Direction::InOut, from(sent, 3, 0x0c), false),
            (Direction::Out, from(sent, 3, 0x0d), true),
        ];
        for (direction, from, expected) in cases {
            assert_eq!(wants(direction, &from, 1), expected, "{direction:?} {}", from.sll_pkttype);
        }
    }

    #[test]
    fn truncated_packets_are_judged_by_the_kernel_once_settled() {
        // ldb [60]; ret a: rejects what has less than 61 bytes.
        let program = Program::from_insns([Insn::stmt(0x30, 60), Insn::stmt(0x16, 0)]);
        let selection = Selection::program(&program, Preference::Interpreter);
        let filter = UserlandFilter::until(3, selection, 1_000_000_000);
        assert!(filter.applies(3) && !filter.applies(4));
        let (mut bytes, from) = ([1u8; 20], from(0, 2, 0x800));
        let mut frame = Frame {
            data: bytes.as_mut_ptr(),
            caplen: 20,
            len: 100,
            sec: 1,
            nsec: 10,
            vlan: (0, 0, 0),
            from: &raw const from,
        };
        assert!(!filter.passes(&frame, &bytes, 100));
        frame.sec = 2;
        assert!(filter.passes(&frame, &bytes, 100));
        assert!(!filter.passes(&frame, &bytes, 20));
    }
}
