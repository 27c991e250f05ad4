//! Sending frames.

use super::kernel_filter::Cooked;
use super::{failure, failure_with};
use crate::capture::CaptureError;
use crate::sys::packet::PacketSocket;

/// Sends `frame`, which begins with its link-layer header, out of the interface.
pub(super) fn inject(
    socket: &PacketSocket,
    ifindex: i32,
    cooked: Cooked,
    frame: &[u8],
) -> Result<usize, CaptureError> {
    if ifindex == 0 {
        return Err(failure("Sending packets isn't supported on the \"any\" device"));
    }
    if cooked != Cooked::No {
        return Err(failure("Sending packets isn't supported in cooked mode"));
    }
    socket.send(frame).map_err(|e| failure_with("send", e))
}
