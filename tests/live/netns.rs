//! Network namespaces that last as long as a thread, and packets inside them.
#![allow(dead_code)] // every test uses a part of it

#[path = "../support/skip.rs"]
mod skip;

use pcap::sys::packet::PacketSocket;
pub use skip::skip;
use std::process::Command;

/// Runs `test` on a thread in a network namespace of its own, with `lo` up and without IPv6's
/// chatter. The namespace has no name: it goes with the thread, whatever happens.
///
/// Skips the test where this process may not make one.
pub fn in_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // SAFETY: unshare affects this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
            let error = std::io::Error::last_os_error();
            return skip(format_args!("no network namespace without root: {error}"));
        }
        // A /sys that shows this namespace, for this thread alone.
        run("mount --make-rprivate /");
        run("mount -t sysfs none /sys");
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        run("ip link set lo up");
        test();
    });
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command that must succeed.
pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// Makes a pair of connected interfaces, up.
pub fn veth(a: &str, b: &str) {
    run(&format!("ip link add {a} type veth peer name {b}"));
    run(&format!("ip link set {a} up"));
    run(&format!("ip link set {b} up"));
    // The link is up when both ends are; what is sent before is lost.
    for name in [a, b] {
        let path = format!("/sys/class/net/{name}/operstate");
        for _ in 0..200 {
            if std::fs::read_to_string(&path).is_ok_and(|s| s.trim() == "up") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// A socket that sends frames out of an interface.
pub struct Sender(PacketSocket);

impl Sender {
    /// On interface `name`.
    pub fn on(name: &str) -> Self {
        use std::os::fd::AsFd;
        let socket = PacketSocket::new(false).unwrap();
        let index = pcap::sys::netdev::index(socket.as_fd(), name.as_bytes()).unwrap();
        socket.bind(index, 0).unwrap();
        Self(socket)
    }

    /// Sends a frame, waiting where the queue is full.
    pub fn send(&self, frame: &[u8]) {
        loop {
            match self.0.send(frame) {
                Ok(sent) => return assert_eq!(sent, frame.len()),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => std::thread::yield_now(),
                Err(e) => panic!("send: {e}"),
            }
        }
    }
}

/// A UDP packet in Ethernet with `number` in front of `payload` bytes of payload.
pub fn udp(number: u32, dport: u16, payload: usize) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00];
    let udp_len = 8 + 4 + payload;
    frame.extend([0x45, 0]);
    frame.extend((20 + udp_len as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(4000u16.to_be_bytes());
    frame.extend(dport.to_be_bytes());
    frame.extend((udp_len as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(number.to_be_bytes());
    frame.extend((0..payload).map(|i| i as u8));
    frame
}

/// Where `number` of [`udp`] lies in the frame.
pub const NUMBER: std::ops::Range<usize> = 42..46;

/// The number in a frame of [`udp`].
pub fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[NUMBER].try_into().unwrap())
}

/// The frame with a VLAN tag behind the addresses.
pub fn tagged(frame: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    out.extend(tpid.to_be_bytes());
    out.extend(tci.to_be_bytes());
    out.extend(&frame[12..]);
    out
}
