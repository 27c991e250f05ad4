//! CAN frames: from the host's byte order to the one `DLT_CAN_SOCKETCAN` has.

use super::frame::Frame;
use std::ops::Range;

/// `struct can_frame` and `struct canfd_frame` begin with a 32-bit identifier.
const CAN_ID: Range<usize> = 0..4;

/// `ETH_P_CANFD`.
const CANFD: u16 = 0x000d;
/// `ETH_P_CANXL`.
const CANXL: u16 = 0x000e;
/// Offset of the FD flags, and the flag that tells FD frames from classic ones.
const FD_FLAGS: usize = 5;
const FD_FRAME: u8 = 0x04;

/// Rewrites the fields of a CAN frame in place.
pub(super) fn to_network_order(frame: &Frame) {
    let protocol = u16::from_be(super::ring::from(frame).sll_protocol);
    if protocol == CANXL {
        // Priority and identifiers stay as they are: `canxl_frame` is told by its protocol.
        return;
    }
    let bytes = super::ring::bytes_mut(frame);
    if let Some(id) = bytes.get_mut(CAN_ID)
        && cfg!(target_endian = "little")
    {
        id.reverse();
    }
    if let Some(flags) = bytes.get_mut(FD_FLAGS) {
        // In classic frames this byte is reserved and may hold anything.
        *flags = if protocol == CANFD { *flags | FD_FRAME } else { *flags & !FD_FRAME };
    }
}
