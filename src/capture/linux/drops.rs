//! Packets the interface itself dropped, by sysfs.

use crate::sys::netdev;
use std::fs::File;
use std::io::{Read, Seek};

/// The counters of an interface, open from activation on: programs change their root directory
/// and give up the right to open files after it.
#[derive(Debug, Default)]
pub(super) struct InterfaceDrops {
    files: Vec<File>,
    start: u64,
}

impl InterfaceDrops {
    /// Counts from now on.
    pub fn of(device: &[u8]) -> Self {
        // Both are packets the adapter saw and had no room for; libpcap adds the same two.
        let counters = ["statistics/rx_missed_errors", "statistics/rx_fifo_errors"];
        let open = |file: &&str| netdev::open_sysfs(device, file).ok();
        let mut drops = Self { files: counters.iter().filter_map(open).collect(), start: 0 };
        drops.start = drops.total();
        drops
    }

    /// Counts nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Packets dropped since the start.
    pub fn since_start(&self) -> u64 {
        self.total().wrapping_sub(self.start)
    }

    fn total(&self) -> u64 {
        self.files.iter().filter_map(read).sum()
    }
}

/// By lseek(2) and read(2), not pread(2): sandboxes made for libpcap know those.
fn read(mut file: &File) -> Option<u64> {
    let mut text = [0; 32];
    file.rewind().ok()?;
    let len = file.read(&mut text).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_drops_nothing() {
        let drops = InterfaceDrops::of(b"lo");
        assert_eq!((drops.files.len(), drops.since_start()), (2, 0));
        assert_eq!(InterfaceDrops::of(b"no/such").files.len(), 0);
    }
}
