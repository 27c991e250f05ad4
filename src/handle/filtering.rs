//! Compiling filters for a handle.

use super::Handle;
use crate::bpf::Program;
use crate::error::Error;
use crate::filter::{Options, Savefile};

/// What `pcap_compile` is asked to compile.
#[derive(Clone, Copy, Debug)]
pub struct FilterText<'a> {
    /// The filter.
    pub text: &'a [u8],
    /// Run the optimizer.
    pub optimize: bool,
    /// IPv4 netmask of the network, in host byte order; `PCAP_NETMASK_UNKNOWN` for none.
    pub netmask: u32,
}

/// `PCAP_NETMASK_UNKNOWN`.
const NETMASK_UNKNOWN: u32 = 0xffff_ffff;

/// Compiles a filter for the packets of a handle.
pub fn compile(handle: &Handle, filter: FilterText<'_>) -> Result<Program, Error> {
    let (Some(linktype), Some(snaplen)) = (handle.linktype(), handle.snaplen()) else {
        return Err(Error::CompileNotActivated);
    };
    if snaplen == 0 {
        return Err(Error::ZeroSnaplen);
    }
    let live = match handle {
        Handle::Live(live) => Some(live.backend.live_target()),
        _ => None,
    };
    let savefile = match handle {
        Handle::Offline(offline) => Some(Savefile { swapped: offline.reader.info().swapped }),
        _ => None,
    };
    let options = Options {
        savefile,
        linktype,
        snaplen: snaplen as u32,
        netmask: (filter.netmask != NETMASK_UNKNOWN).then_some(filter.netmask),
        optimize: filter.optimize,
        live,
    };
    Ok(crate::filter::compile(filter.text, &options, &super::SystemResolver)?)
}
