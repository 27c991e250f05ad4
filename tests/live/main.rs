//! Live capture in network namespaces that these tests make. Without root they are skipped, or fail in CI.

mod capture;
mod filters;
mod interface;
mod link_layer;
mod netfilter;
mod netns;
mod packets;
mod waiting;

use netns::number;
use std::time::Duration;

/// How long packets that must come are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The numbers in frames of [`netns::udp`].
fn numbers(packets: &[capture::Packet]) -> Vec<u32> {
    packets.iter().map(|p| number(&p.bytes)).collect()
}

/// A change to a value, as an expression.
trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for pcap::capture::Config {}
