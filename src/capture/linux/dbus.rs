//! `dbus-system`, `dbus-session` and `dbus://ADDRESS`: the messages of a D-Bus bus.

use super::messages::{self, Message, MessageSource};
use super::{PCAP_ERROR_RFMON_NOTSUP, failure, status};
use crate::capture::{Activated, CaptureError, Config};
use crate::linktype::Dlt;
use crate::sys::clock;
use crate::sys::dbus::{Bus, Connection};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// libdbus holds back messages beyond this, bytes.
const MOST_QUEUED: i64 = 128 << 20;
/// All four kinds of messages, also those to others.
const RULES: [&CStr; 4] = [
    c"eavesdrop=true,type='signal'",
    c"eavesdrop=true,type='method_call'",
    c"eavesdrop=true,type='method_return'",
    c"eavesdrop=true,type='error'",
];

/// Whether a device name is of this kind.
pub(super) fn is_dbus(device: &[u8]) -> bool {
    matches!(device, b"dbus-system" | b"dbus-session") || device.starts_with(b"dbus://")
}

/// Opens and activates one.
pub(super) fn activate(config: &Config) -> Result<Activated, CaptureError> {
    let connection = connect(config.device.as_deref().unwrap_or_default())?;
    if config.rfmon {
        return Err(status(PCAP_ERROR_RFMON_NOTSUP));
    }
    connection.set_max_received(MOST_QUEUED);
    for rule in RULES {
        connection
            .add_match(rule)
            .map_err(|text| failure(&format!("Failed to add bus match: {text}")))?;
    }
    messages::activate(config, Messages(connection))
}

fn connect(device: &[u8]) -> Result<Connection, CaptureError> {
    let Some(address) = device.strip_prefix(b"dbus://") else {
        let (bus, name) = match device {
            b"dbus-system" => (Bus::System, "system"),
            _ => (Bus::Session, "session"),
        };
        return Connection::to_bus(bus)
            .map_err(|text| failure(&format!("Failed to get {name} bus: {text}")));
    };
    let shown = String::from_utf8_lossy(address);
    let told = |what: &str, text: String| failure(&format!("Failed to {what} {shown}: {text}"));
    let c_address = CString::new(address).unwrap_or_default();
    let connection =
        Connection::open(&c_address).map_err(|text| told("open connection to:", text))?;
    connection.register().map_err(|text| told("register bus", text))?;
    Ok(connection)
}

struct Messages(Connection);

impl AsFd for Messages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl MessageSource for Messages {
    /// `DLT_DBUS`.
    const LINKTYPE: Dlt = Dlt(231);
    const NO_KERNEL_FILTER: &'static str = "a bus has no filter in the kernel";
    const BLOCKS: Option<&'static str> =
        Some("Non-blocking mode isn't supported for capturing on D-Bus");
    // libdbus may have read ahead: the descriptor does not tell whether a message is there.
    const SELECTABLE: bool = false;

    fn receive(&mut self, room: &mut [u8]) -> Result<Option<Message>, CaptureError> {
        let (mut caplen, mut len) = (0, 0);
        let received = self.0.receive(&mut |bytes| {
            (caplen, len) = (bytes.len().min(room.len()), bytes.len());
            room[..caplen].copy_from_slice(&bytes[..caplen]);
        });
        let message = Message { time_ns: clock::realtime_ns(), caplen, len };
        Ok(received.map_err(failure)?.map(|()| message))
    }

    fn send(&mut self, message: &[u8]) -> Result<usize, CaptureError> {
        self.0
            .send(message)
            .map(|()| message.len())
            .map_err(|text| failure(&format!("dbus_message_demarshal() failed: {text}")))
    }
}
