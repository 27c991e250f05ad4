//! Capturing on a D-Bus bus of our own. Needs dbus-daemon and dbus-send (Debian: dbus-daemon,
//! dbus-bin); is skipped without them, or fails in CI.

#[path = "support/skip.rs"]
mod skip;

use pcap::capture::{self, Backend, Config, Fill};
use pcap::linktype::Dlt;
use skip::skip;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::slice;

/// A bus that ends with the test.
struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    fn start() -> Option<Self> {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .arg(format!("--address=unix:dir={}", std::env::temp_dir().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .inspect_err(|e| skip(format_args!("dbus-daemon: {e}")))
            .ok()?;
        let mut address = String::new();
        BufReader::new(daemon.stdout.take()?).read_line(&mut address).ok()?;
        Some(Self { daemon, address: address.trim().to_owned() })
    }

    fn signal(&self, text: &str) {
        let status = Command::new("dbus-send")
            .args([&format!("--bus={}", self.address), "--type=signal", "/org/oxpcap/Test"])
            .args(["org.oxpcap.Test.Said", &format!("string:{text}")])
            .status()
            .expect("dbus-send");
        assert!(status.success());
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn open(device: &str, snaplen: i32) -> Result<Box<dyn Backend>, String> {
    let config = Config {
        device: Some(device.into()),
        snaplen,
        promisc: false,
        rfmon: false,
        timeout_ms: 100,
        immediate: false,
        buffer_size: 0,
        tstamp_type: 0,
        precision: Default::default(),
        protocol: 0,
        nonblock: false,
    };
    capture::open(&config).map(|a| a.backend).map_err(|e| e.message)
}

/// Messages that come until one has `text`; that one, and its length.
fn await_text(live: &mut dyn Backend, text: &str) -> (Vec<u8>, u32) {
    for _ in 0..100 {
        if live.fill().unwrap() != Fill::Ready {
            continue;
        }
        while let Some(packet) = live.next_packet() {
            let len = packet.header.caplen as usize;
            // SAFETY: valid until the next read.
            let data = unsafe { slice::from_raw_parts(packet.data, len) }.to_vec();
            if data.windows(text.len()).any(|w| w == text.as_bytes()) {
                return (data, packet.header.len);
            }
        }
    }
    panic!("no message with {text}");
}

#[test]
fn messages_of_a_bus_are_captured() {
    let Some(bus) = Bus::start() else { return };
    let device = format!("dbus://{}", bus.address);
    let mut live = open(&device, 0).unwrap();
    assert_eq!(live.linktype(), Dlt(231));
    bus.signal("hello from the bus");
    let (message, len) = await_text(&mut *live, "hello from the bus");
    assert_eq!(message.len(), len as usize);
    // D-Bus's byte order mark and the type "signal".
    assert!(matches!(message[..2], [b'l' | b'B', 4]));

    let mut short = open(&device, 100).unwrap();
    bus.signal(&"long ".repeat(50));
    let (message, len) = await_text(&mut *short, "/org/oxpcap/Test");
    assert!(message.len() == 100 && len > 250, "{} of {len}", message.len());

    let refused = live.set_nonblock(true).unwrap_err().message;
    assert_eq!(refused, "Non-blocking mode isn't supported for capturing on D-Bus");
    // What was captured can be sent; what is no message cannot.
    let refused = live.inject(b"nonsense").unwrap_err().message;
    assert!(refused.starts_with("dbus_message_demarshal() failed: "), "{refused}");
}

#[test]
fn the_end_of_a_bus_is_an_error() {
    let Some(bus) = Bus::start() else { return };
    let mut live = open(&format!("dbus://{}", bus.address), 0).unwrap();
    drop(bus);
    let end = (0..100).find_map(|_| match live.fill() {
        Ok(_) => {
            while live.next_packet().is_some() {}
            None
        }
        Err(e) => Some(e.message),
    });
    assert!(matches!(end.as_deref(), Some("Disconnected" | "Connection closed")), "{end:?}");
}

#[test]
fn a_bus_that_is_not_there() {
    let error = open("dbus://unix:path=/nowhere", 0).err().expect("no such bus");
    if error.contains("libdbus") {
        return skip(error);
    }
    let text = "Failed to open connection to: unix:path=/nowhere: Failed to connect to socket";
    assert!(error.starts_with(text), "{error}");
}
