//! A live capture that `pcap_create` made and `pcap_activate` has not opened yet.

use super::Live;
use crate::capture::{self, Config};
use crate::error::{Error, status};
use crate::timestamp::Precision;

/// `PCAP_TSTAMP_HOST`, which every device takes.
const TSTAMP_HOST: i32 = 0;

/// A live capture before activation: its settings.
#[derive(Clone, Debug)]
pub struct Inactive {
    /// What `pcap_set_*` have set.
    pub config: Config,
    /// Time stamp types the device offers; empty is `PCAP_TSTAMP_HOST` alone.
    pub tstamp_types: Vec<i32>,
}

/// What an activation that went well had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// 0, or a positive `PCAP_WARNING_*`.
    pub status: i32,
    /// Text that goes with it; may be empty.
    pub message: String,
}

impl Inactive {
    /// Opens the source.
    pub(super) fn activate(&self) -> Result<(Live, Warning), Error> {
        let activated = capture::open(&self.config)?;
        let waits_for_ever = self.config.timeout_ms <= 0;
        let live = Live { backend: activated.backend, waits_for_ever };
        Ok((live, Warning { status: activated.warning, message: activated.message }))
    }

    /// Settings as `pcap_create` leaves them.
    pub fn new(device: Vec<u8>, tstamp_types: Vec<i32>) -> Self {
        let config = Config {
            device: Some(device),
            snaplen: 0,
            promisc: false,
            rfmon: false,
            timeout_ms: 0,
            immediate: false,
            buffer_size: 0,
            tstamp_type: -1,
            precision: Precision::Micro,
            protocol: 0,
            nonblock: false,
        };
        Self { config, tstamp_types }
    }

    /// `pcap_set_buffer_size`: sizes that are none are ignored.
    pub fn set_buffer_size(&mut self, bytes: i32) {
        if let Some(bytes) = u32::try_from(bytes).ok().filter(|&n| n > 0) {
            self.config.buffer_size = bytes;
        }
    }

    /// `pcap_set_tstamp_type`: 0, or a warning when the device does not have it.
    pub fn set_tstamp_type(&mut self, tstamp_type: i32) -> i32 {
        let known = match self.tstamp_types.as_slice() {
            [] => tstamp_type == TSTAMP_HOST,
            types => types.contains(&tstamp_type),
        };
        if !known {
            return status::WARNING_TSTAMP_TYPE_NOTSUP;
        }
        self.config.tstamp_type = tstamp_type;
        0
    }

    /// `pcap_set_tstamp_precision`: 0 or an error status.
    pub fn set_precision(&mut self, precision: i32) -> i32 {
        self.config.precision = match precision {
            0 => Precision::Micro,
            1 => Precision::Nano,
            _ => return status::TSTAMP_PRECISION_NOTSUP,
        };
        0
    }
}
