//! The [`Backend`] over a plug-in's source: bursts, filtering, waiting.
//!
//! Packets stay where the plug-in put them; only their descriptions are kept here.

use super::dpdk::call_failure;
use super::{
    Backend, CaptureError, Config, Direction, Fill, FilterMode, Placement, Progress, Stats, Waker,
};
use crate::bpf::{Aux, Burst, EbpfInsn, Filter, Preference, Program, Target, op, to_ebpf};
use crate::filter::LiveTarget;
use crate::linktype::Dlt;
use crate::packet::RawPacket;
use crate::sys::clock;
use crate::sys::plugin::Source;
use crate::sys::poll::{Wait, Woken};
use crate::timestamp::Precision;
use oxpcap_plugin::{CbpfInsn, FILTER_AUTO, FILTER_INTERPRETER, FILTER_JIT, FILTER_NONE};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest snapshot length.
const MAXIMUM_SNAPLEN: u32 = 262_144;
/// Empty polls before the first sleep.
const SPINS: u32 = 8;
/// First and longest sleep between polls; a queue of 1,024 descriptors holds more than the
/// longest one brings at 3 million packets a second.
const FIRST_NAP: Duration = Duration::from_micros(5);
const LONGEST_NAP: Duration = Duration::from_micros(250);
/// Bursts, all rejected, between two looks at the deadline.
const DEADLINE_EVERY: u32 = 16;
/// How often `pcap_get_required_select_timeout` tells a program to look.
const SELECT_TIMEOUT_US: i64 = 1000;

/// The snapshot length asked for, as libpcap reads it.
pub(super) fn snaplen(config: &Config) -> u32 {
    match u32::try_from(config.snaplen) {
        Ok(len) if (1..=MAXIMUM_SNAPLEN).contains(&len) => len,
        _ => MAXIMUM_SNAPLEN,
    }
}

/// Ends a wait; the waits are so short that a flag does.
#[derive(Default)]
struct Flag(AtomicBool);

impl Waker for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Who filters.
enum Filtering {
    /// Nobody: all packets are wanted.
    Off,
    /// The plug-in; [`Source::receive`] gives only accepted packets.
    Plugin,
    /// This library.
    Here(Userland),
}

/// A filter that runs here.
struct Userland {
    filter: Filter,
    /// [`Filter::burst_limit`].
    burst_limit: u32,
}

impl Userland {
    /// For a port, which brings packets enough for compiling to pay at once.
    fn new(program: &Program, engine: Engine) -> Self {
        let preference = match engine {
            Engine::Interpreter => Preference::Interpreter,
            _ => Preference::Native,
        };
        let filter = Filter::with_preference(program, preference);
        filter.prepare_bursts();
        let burst_limit = if filter.is_native() { filter.burst_limit() } else { 0 };
        Self { filter, burst_limit }
    }

    /// Keeps, from index `from` on, the packets that it accepts.
    fn run(&self, source: &mut Source, from: usize) {
        let Self { filter, burst_limit } = self;
        let run_burst = |burst: Burst<'_>| {
            let mut mask = [0];
            filter.run_burst(burst, &mut mask);
            mask[0]
        };
        if *burst_limit > 0 && source.filter_bursts(from, *burst_limit, run_burst) {
            return;
        }
        // Tags lie in the packets themselves.
        let mut aux = Aux::NONE;
        aux.set_vlan(None);
        source.filter_packets(from, |bytes, len| filter.run(bytes, len, &aux));
    }
}

/// Which engine must filter, `PCAPX_DPDK_FILTER`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// The plug-in where it wants to, else this library's JIT.
    Best,
    /// This library's JIT.
    Jit,
    /// This library's interpreter.
    Interpreter,
    /// The plug-in's interpreter.
    PluginInterpreter,
    /// The plug-in's JIT.
    PluginJit,
}

/// What a poll brought.
#[derive(PartialEq, Eq)]
enum Poll {
    Nothing,
    AllRejected,
    Packets,
}

/// An activated source of a plug-in.
pub(super) struct Polled {
    source: Source,
    linktypes: [Dlt; 1],
    snaplen: u32,
    timeout: Option<Duration>,
    precision: Precision,
    nonblock: bool,
    direction: Direction,
    engine: Engine,
    filtering: Filtering,
    /// What the plug-in says about the filter, for people.
    note: String,
    /// Indices, in the burst at hand, of the next packet and of the first one that was taken last.
    next: usize,
    first: usize,
    accepted: u64,
    wake: Arc<Flag>,
    /// The pace of the wait that is going on.
    pace: Option<Pace>,
}

impl Polled {
    pub(super) fn new(source: Source, config: &Config) -> Result<Self, CaptureError> {
        let timeout = u64::try_from(config.timeout_ms).ok().filter(|&ms| ms > 0);
        Ok(Self {
            engine: Engine::from_environment()?,
            linktypes: [Dlt(source.linktype)],
            snaplen: snaplen(config),
            timeout: timeout.map(Duration::from_millis),
            precision: config.precision,
            // A negative timeout as in AF_PACKET captures.
            nonblock: config.nonblock || config.timeout_ms < 0,
            direction: Direction::default(),
            filtering: Filtering::Off,
            note: String::new(),
            next: 0,
            first: 0,
            accepted: 0,
            wake: Arc::default(),
            pace: None,
            source,
        })
    }

    /// Takes one burst and filters it.
    fn poll(&mut self) -> Result<Poll, CaptureError> {
        self.next = 0;
        if !self.source.receive().map_err(call_failure)? {
            return Ok(Poll::Nothing);
        }
        if self.direction == Direction::Out {
            // A port shows what it receives; nothing it sends comes back.
            self.source.forget_packets();
        }
        if let Filtering::Here(filter) = &self.filtering {
            filter.run(&mut self.source, 0);
        }
        self.cut();
        let wanted = self.source.packets().len();
        self.accepted += wanted as u64;
        Ok(if wanted == 0 { Poll::AllRejected } else { Poll::Packets })
    }

    /// Cuts the packets at hand to the snapshot length.
    fn cut(&mut self) {
        if self.snaplen < MAXIMUM_SNAPLEN {
            self.source.cut(self.snaplen);
        }
    }

    fn woken(&self) -> bool {
        // The plain load first: this is looked at once a burst.
        self.wake.0.load(Ordering::Relaxed) && self.wake.0.swap(false, Ordering::Acquire)
    }

    /// Polls until a burst has wanted packets or it is time to sleep.
    fn poll_on(&mut self, pace: &mut Pace) -> Result<Progress, CaptureError> {
        loop {
            let poll = self.poll()?;
            if poll == Poll::Packets {
                return Ok(Progress::Done(Fill::Ready));
            }
            if self.woken() {
                return Ok(Progress::Done(Fill::Interrupted));
            }
            let step = pace.step(poll == Poll::Nothing);
            if self.nonblock {
                match step {
                    Step::PollAgain if poll == Poll::AllRejected => continue,
                    _ => return Ok(Progress::Done(Fill::Empty)),
                }
            }
            match step {
                Step::PollAgain => {}
                Step::Sleep(pause) => return Ok(Progress::Wait(Wait::Nap(pause, self.source.fd))),
                Step::Expired => return Ok(Progress::Done(Fill::Empty)),
            }
        }
    }

    /// Offers `program` to the plug-in; whether it took it, and what it says.
    fn offer(&mut self, how: i32, program: &Program) -> Result<(bool, String), CaptureError> {
        let cbpf: Vec<CbpfInsn> = program
            .insns()
            .iter()
            .map(|i| CbpfInsn { code: i.code, jt: i.jt, jf: i.jf, k: i.k })
            .collect();
        let ebpf = match to_ebpf(program.insns(), Target::Dpdk) {
            Ok(ebpf) => Some(ebpf.iter().map(plugin_insn).collect::<Vec<_>>()),
            Err(error) if how == FILTER_INTERPRETER || how == FILTER_JIT => {
                let message = format!("this filter has no eBPF form: {error}");
                return Err(CaptureError { status: -1, message });
            }
            Err(_) => None,
        };
        self.source.set_filter(how, &cbpf, ebpf.as_deref()).map_err(call_failure)
    }
}

fn plugin_insn(insn: &EbpfInsn) -> oxpcap_plugin::EbpfInsn {
    let EbpfInsn { code, registers, off, imm } = *insn;
    oxpcap_plugin::EbpfInsn { code, regs: registers, off, imm }
}

impl Engine {
    fn from_environment() -> Result<Self, CaptureError> {
        let value = std::env::var_os("PCAPX_DPDK_FILTER").unwrap_or_default();
        match value.to_str() {
            Some("") => Ok(Self::Best),
            Some("jit") => Ok(Self::Jit),
            Some("interpreter") => Ok(Self::Interpreter),
            Some("rte_bpf") => Ok(Self::PluginInterpreter),
            Some("rte_bpf_jit") => Ok(Self::PluginJit),
            _ => Err(CaptureError {
                status: -1,
                message: format!(
                    "PCAPX_DPDK_FILTER={}: not one of jit, interpreter, rte_bpf, rte_bpf_jit",
                    value.to_string_lossy()
                ),
            }),
        }
    }
}

/// Whether `program` accepts every packet whole.
fn accepts_all(program: &Program, snaplen: u32) -> bool {
    matches!(program.insns(), [only] if only.code == op::RET | op::K && only.k >= snaplen)
}

impl Backend for Polled {
    fn linktype(&self) -> Dlt {
        self.linktypes[0]
    }

    fn linktypes(&self) -> &[Dlt] {
        &self.linktypes
    }

    fn set_linktype(&mut self, _dlt: Dlt) -> Result<(), CaptureError> {
        Ok(())
    }

    fn snaplen(&self) -> i32 {
        self.snaplen as i32
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn live_target(&self) -> LiveTarget {
        LiveTarget::default()
    }

    fn advance(&mut self, woken: Option<Woken>) -> Result<Progress, CaptureError> {
        // Another failure than by a signal only makes the nap shorter.
        if woken == Some(Woken::Signal) {
            self.pace = None;
            return Ok(Progress::Done(Fill::Interrupted));
        }
        let going_on = self.pace.take().filter(|_| woken.is_some());
        let mut pace = going_on.unwrap_or_else(|| Pace::new(self.timeout));
        let progress = self.poll_on(&mut pace)?;
        if matches!(progress, Progress::Wait(_)) {
            self.pace = Some(pace);
        }
        Ok(progress)
    }

    fn take(&mut self) -> &[RawPacket] {
        let packets = self.source.packets();
        self.first = self.next.min(packets.len());
        self.next = packets.len();
        &packets[self.first..]
    }

    fn put_back(&mut self, handed_out: usize) {
        self.next = self.next.min(self.first + handed_out);
    }

    fn inject(&mut self, frame: &[u8]) -> Result<usize, CaptureError> {
        self.source.inject(frame).map_err(call_failure)
    }

    fn stats(&mut self) -> Result<Stats, CaptureError> {
        let stats = self.source.stats().map_err(call_failure)?;
        let received = if stats.accepted == u64::MAX { self.accepted } else { stats.accepted };
        // `struct pcap_stat` has 32 bits: they wrap.
        Ok(Stats {
            received: received as u32,
            dropped: stats.dropped as u32,
            if_dropped: stats.if_dropped as u32,
        })
    }

    fn set_filter(&mut self, program: &Program) -> Result<(), CaptureError> {
        let all = accepts_all(program, self.snaplen);
        let how = match self.engine {
            _ if all => FILTER_NONE,
            Engine::Best => FILTER_AUTO,
            Engine::Jit | Engine::Interpreter => FILTER_NONE,
            Engine::PluginInterpreter => FILTER_INTERPRETER,
            Engine::PluginJit => FILTER_JIT,
        };
        let (taken, note) = self.offer(how, program)?;
        let filter = Userland::new(program, self.engine);
        let before = self.source.packets().len();
        filter.run(&mut self.source, self.next);
        self.cut();
        self.accepted -= (before - self.source.packets().len()) as u64;
        self.filtering = match (taken, all) {
            (true, _) => Filtering::Plugin,
            (_, true) => Filtering::Off,
            _ => Filtering::Here(filter),
        };
        self.note = note;
        Ok(())
    }

    fn filter_placement(&self) -> Placement {
        match self.filtering {
            Filtering::Off => Placement::default(),
            Filtering::Plugin => Placement { mode: FilterMode::Dpdk, reason: self.note.clone() },
            Filtering::Here(_) => Placement::userland(self.note.clone()),
        }
    }

    fn set_direction(&mut self, direction: Direction) -> Result<(), CaptureError> {
        self.direction = direction;
        Ok(())
    }

    fn nonblock(&self) -> Result<bool, CaptureError> {
        Ok(self.nonblock)
    }

    fn set_nonblock(&mut self, on: bool) -> Result<(), CaptureError> {
        self.nonblock = on;
        Ok(())
    }

    fn fileno(&self) -> RawFd {
        -1
    }

    fn selectable_fd(&self) -> RawFd {
        self.source.fd.unwrap_or(-1)
    }

    fn required_select_timeout(&self) -> Option<i64> {
        self.source.fd.is_none().then_some(SELECT_TIMEOUT_US)
    }

    fn waker(&self) -> Arc<dyn Waker> {
        self.wake.clone()
    }
}

/// What to do after a poll that brought nothing wanted.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    PollAgain,
    Sleep(Duration),
    Expired,
}

/// The pace of polling: a few polls at once, then sleeps that double.
struct Pace {
    timeout: Option<Duration>,
    /// Monotonic, set by the first look at the clock.
    deadline: Option<Duration>,
    idle: u32,
    rejected: u32,
    pause: Duration,
}

impl Pace {
    fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, deadline: None, idle: 0, rejected: 0, pause: FIRST_NAP }
    }

    /// `nothing`: the poll brought no packet at all, rather than only rejected ones.
    fn step(&mut self, nothing: bool) -> Step {
        if nothing {
            self.idle += 1;
            if self.idle <= SPINS {
                return Step::PollAgain;
            }
        } else {
            (self.idle, self.pause) = (0, FIRST_NAP);
            self.rejected += 1;
            if !self.rejected.is_multiple_of(DEADLINE_EVERY) {
                return Step::PollAgain;
            }
        }
        let Some(left) = self.left() else { return Step::Expired };
        if !nothing {
            return Step::PollAgain;
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(LONGEST_NAP);
        Step::Sleep(pause)
    }

    /// Time until the deadline; `None` once it has passed.
    fn left(&mut self) -> Option<Duration> {
        let Some(timeout) = self.timeout else { return Some(Duration::MAX) };
        let now = clock::monotonic();
        let deadline = *self.deadline.get_or_insert(now + timeout);
        deadline.checked_sub(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace() {
        let mut pace = Pace::new(None);
        for _ in 0..SPINS {
            assert_eq!(pace.step(true), Step::PollAgain);
        }
        assert_eq!(pace.step(true), Step::Sleep(FIRST_NAP));
        assert_eq!(pace.step(true), Step::Sleep(FIRST_NAP * 2));
        for _ in 0..20 {
            pace.step(true);
        }
        assert_eq!(pace.step(true), Step::Sleep(LONGEST_NAP));
        assert_eq!(pace.step(false), Step::PollAgain);
    }

    #[test]
    fn rejected_bursts_do_not_outlast_the_timeout() {
        let mut pace = Pace::new(Some(Duration::from_nanos(1)));
        let expired = (0..100_000).any(|_| pace.step(false) == Step::Expired);
        assert!(expired);
    }
}
