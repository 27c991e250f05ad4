//! A handle without packets: for compiling filters and writing savefiles.

use crate::linktype::Dlt;
use crate::timestamp::Precision;

/// What `pcap_open_dead` was told.
#[derive(Clone, Copy, Debug)]
pub struct Dead {
    /// Link-layer type; may carry the FCS bits of `LT_FCS_DATALINK_EXT`.
    pub linktype: Dlt,
    /// Snapshot length as given, any value.
    pub snaplen: i32,
    /// Time stamp precision of the savefiles it will write.
    pub precision: Precision,
}
