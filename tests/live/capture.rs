//! Captures for tests, and packets as values.

use pcap::bpf::{Insn, Program};
use pcap::capture::linux::{Method, activate_by};
use pcap::capture::{Backend, CaptureError, Config, Fill};
use pcap::timestamp::{Precision, Timestamp};
use std::time::{Duration, Instant};

/// Every way packets can come.
pub const METHODS: [Method; 3] = [Method::V3, Method::V2, Method::Receive];

/// A packet, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub ts: Timestamp,
    pub len: u32,
    pub bytes: Vec<u8>,
}

/// Settings for a device, with a timeout of 50 ms.
pub fn config(device: &str) -> Config {
    Config {
        device: Some(device.into()),
        snaplen: 65_535,
        promisc: false,
        rfmon: false,
        timeout_ms: 50,
        immediate: false,
        buffer_size: 0,
        tstamp_type: 0,
        precision: Precision::Micro,
        protocol: 0,
        nonblock: false,
    }
}

/// Opens a capture that must open, without a warning.
pub fn open(config: &Config, method: Method) -> Box<dyn Backend> {
    let activated = activate_by(config, method).unwrap_or_else(|e| panic!("{method:?}: {e:?}"));
    assert_eq!((activated.warning, activated.message.as_str()), (0, ""));
    activated.backend
}

/// All packets until `count` came or `patience` is over.
pub fn packets(
    capture: &mut dyn Backend,
    count: usize,
    patience: Duration,
) -> Result<Vec<Packet>, CaptureError> {
    let end = Instant::now() + patience;
    let mut got = Vec::new();
    capture.set_nonblock(true)?;
    while got.len() < count && Instant::now() < end {
        match capture.fill()? {
            Fill::Ready => {
                while let Some(packet) = capture.next_packet() {
                    // SAFETY: valid until the next call on the capture.
                    let bytes = unsafe {
                        std::slice::from_raw_parts(packet.data, packet.header.caplen as usize)
                    };
                    let (ts, len) = (packet.header.ts, packet.header.len);
                    got.push(Packet { ts, len, bytes: bytes.to_vec() });
                }
            }
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    capture.set_nonblock(false)?;
    Ok(got)
}

/// A program that accepts packets whose half-word at `offset` is `value`.
pub fn half_word_is(offset: u32, value: u16) -> Program {
    Program::from_insns([
        Insn::stmt(0x28, offset),
        Insn::jump(0x15, value.into(), 0, 1),
        Insn::stmt(0x06, 262_144),
        Insn::stmt(0x06, 0),
    ])
}

/// Accepts UDP packets to a port, as the frames of these tests have it.
pub fn to_port(port: u16) -> Program {
    half_word_is(36, port)
}
