//! `bluetooth-monitor`: what passes between the host and its Bluetooth adapters.

use super::messages::{self, Message, MessageSource};
use super::{PCAP_ERROR_RFMON_NOTSUP, failure, failure_with, status};
use crate::capture::{Activated, CaptureError, Config};
use crate::linktype::Dlt;
use crate::sys::bluetooth::MonitorSocket;
use crate::sys::clock;
use std::os::fd::{AsFd, BorrowedFd};

/// Name of the device.
pub(super) const DEVICE: &[u8] = b"bluetooth-monitor";
/// Bytes of the kernel's header (opcode, adapter, length; little-endian), and of ours in front
/// of the same message (adapter, opcode; big-endian).
const KERNEL_HEADER: usize = 6;
const HEADER: usize = 4;

/// Opens and activates it.
pub(super) fn activate(config: &Config) -> Result<Activated, CaptureError> {
    if config.rfmon {
        return Err(status(PCAP_ERROR_RFMON_NOTSUP));
    }
    let socket = MonitorSocket::new().map_err(|e| failure_with("Can't create raw socket", e))?;
    socket.attach().map_err(|e| failure_with("Can't attach to interface", e))?;
    socket.set_timestamps().map_err(|e| failure_with("Can't enable time stamp", e))?;
    messages::activate(config, Monitor(socket))
}

struct Monitor(MonitorSocket);

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl MessageSource for Monitor {
    /// `DLT_BLUETOOTH_LINUX_MONITOR`.
    const LINKTYPE: Dlt = Dlt(254);
    const NO_KERNEL_FILTER: &'static str = "Bluetooth's monitor has no filter in the kernel";

    fn receive(&mut self, room: &mut [u8]) -> Result<Option<Message>, CaptureError> {
        let mut head = [0; KERNEL_HEADER];
        // A snapshot shorter than the header still takes the header.
        let mut short = [0; HEADER];
        let (header, body) = match room.split_at_mut_checked(HEADER) {
            Some((header, body)) => (header, body),
            None => (&mut short[..], &mut [][..]),
        };
        let (len, stamp) = match self.0.receive(&mut head, body) {
            Ok(received) => received,
            Err(e) => match e.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => return Ok(None),
                _ => return Err(failure_with("Can't receive packet", e)),
            },
        };
        if len < KERNEL_HEADER {
            return Err(failure("Short message of Bluetooth's monitor"));
        }
        let [opcode_low, opcode_high, adapter_low, adapter_high, ..] = head;
        header.copy_from_slice(&[adapter_high, adapter_low, opcode_high, opcode_low]);
        if room.len() < HEADER {
            room.copy_from_slice(&short[..room.len()]);
        }
        let len = len - KERNEL_HEADER + HEADER;
        let time_ns = stamp.unwrap_or_else(clock::realtime_ns);
        Ok(Some(Message { time_ns, caplen: len.min(room.len()), len }))
    }

    fn send(&mut self, _message: &[u8]) -> Result<usize, CaptureError> {
        Err(failure("Packet injection is not supported yet on Bluetooth monitor devices"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::bluetooth::pair;

    fn received(room: &mut [u8], messages: &[&[u8]]) -> Vec<Result<(usize, usize), String>> {
        let (kernel, socket) = pair();
        messages.iter().for_each(|m| assert_eq!(kernel.send(m).unwrap(), m.len()));
        let mut monitor = Monitor(socket);
        let mut next = || monitor.receive(room).map_err(|e| e.message).transpose();
        std::iter::from_fn(|| next().map(|m| m.map(|m| (m.caplen, m.len)))).collect()
    }

    #[test]
    fn header_is_turned_to_network_order() {
        let mut room = [0; 16];
        let message = [0x02, 0x01, 0x04, 0x03, 3, 0, 7, 8, 9];
        assert_eq!(received(&mut room, &[&message]), [Ok((7, 7))]);
        assert_eq!(room[..7], [3, 4, 1, 2, 7, 8, 9]);
    }

    #[test]
    fn snapshots_are_cut() {
        let message = [1, 0, 2, 0, 3, 0, 7, 8, 9];
        assert_eq!(received(&mut [0; 5], &[&message]), [Ok((5, 7))]);
        let mut room = [0; 2];
        assert_eq!(received(&mut room, &[&message, &message]), [Ok((2, 7)), Ok((2, 7))]);
        assert_eq!(room, [0, 2]);
    }

    #[test]
    fn short_messages_are_an_error() {
        let result = received(&mut [0; 16], &[&[1, 2, 3]]);
        assert_eq!(result, [Err("Short message of Bluetooth's monitor".into())]);
    }
}
