//! A filter ready to run on many packets.

use super::decoded::Decoded;
use super::jit::{BurstCode, Code};
use super::{Aux, Burst, Insn, Program, aux, interpret, op};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A program prepared for running on many packets, by whatever engine suits it.
///
/// Strictly valid programs (see [`check`](super::check)) are decoded at once and compiled to
/// native code when they have run often enough for that to pay; others, which libpcap also takes,
/// run by [`interpret`] as they are. All engines give the same verdicts. Running may be done from
/// several threads at once and allocates nothing, but for the one run that compiles.
#[derive(Debug)]
pub struct Filter {
    /// Set once: native code, or that there is none.
    native: OnceLock<Option<Code>>,
    /// The same for bursts, once there was one.
    native_burst: OnceLock<Option<BurstCode>>,
    /// `None` for programs that only run as they are.
    decoded: Option<Decoded>,
    program: Program,
    /// Interpreted runs left until compiling pays.
    runs_left: AtomicU32,
}

/// How a [`Filter`] may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Interpreted first, native code when it pays.
    Adaptive,
    /// Native code from the start, for filters known to run on many packets.
    Native,
    /// Interpreted always.
    Interpreter,
}

/// Runs after which compiling a program of `len` instructions pays: what it costs, in packets
/// interpreted (benches/bpf.rs).
fn runs_before_compiling(len: usize) -> u32 {
    1000 + u32::try_from(len / 2).unwrap_or(u32::MAX - 1000)
}

impl Filter {
    /// Prepares a program, whatever it is.
    pub fn new(program: &Program) -> Self {
        Self::with_preference(program, Preference::Adaptive)
    }

    /// Prepares a program to be run in a certain way, where that is possible.
    pub fn with_preference(program: &Program, preference: Preference) -> Self {
        let decoded = Decoded::new(program.insns()).ok();
        let native = match preference {
            Preference::Adaptive if decoded.is_some() => OnceLock::new(),
            Preference::Native if decoded.is_some() => {
                OnceLock::from(Code::compile(program.insns()))
            }
            _ => OnceLock::from(None),
        };
        let runs_left = AtomicU32::new(runs_before_compiling(program.len()));
        Self { native, native_burst: OnceLock::new(), decoded, program: program.clone(), runs_left }
    }

    /// Accepted length of a packet, 0 for a reject: see [`interpret`].
    #[inline]
    pub fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        match self.native.get() {
            Some(Some(code)) => code.run(packet, wirelen, aux),
            Some(None) => self.interpret(packet, wirelen, aux),
            None => self.warm_up(packet, wirelen, aux),
        }
    }

    #[inline(never)]
    fn interpret(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        match &self.decoded {
            Some(decoded) => decoded.run(self.program.insns(), packet, wirelen, aux),
            None => interpret(self.program.insns(), packet, wirelen, aux),
        }
    }

    /// Interprets, and compiles when it is time for that. Threads may race here and count too
    /// little: compiling comes later then.
    #[inline(never)]
    fn warm_up(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        let left = self.runs_left.load(Ordering::Relaxed);
        self.runs_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 {
            self.native.get_or_init(|| Code::compile(self.program.insns()));
        }
        self.interpret(packet, wirelen, aux)
    }

    /// Runs it on complete packets without ancillary data. Bit `i % 64` of `mask[i / 64]` becomes
    /// 1 where packet `i` is accepted, all other bits become 0; packets that `mask` has no room
    /// for are not looked at. Returns how many were accepted.
    #[inline]
    pub fn run_burst(&self, burst: Burst<'_>, mask: &mut [u64]) -> u32 {
        if let [word] = &mut *mask
            && let Some(count) = self.run_ready(burst, word)
        {
            return count;
        }
        self.run_bursts(burst, mask)
    }

    /// The same for up to 64 packets, if that is prepared.
    #[inline]
    pub fn run_ready(&self, burst: Burst<'_>, mask: &mut u64) -> Option<u32> {
        let Some(Some(code)) = self.native_burst.get() else { return None };
        if burst.len() > 64 {
            return None;
        }
        let accepted = code.run(burst);
        *mask = accepted.bits;
        Some(accepted.count as u32)
    }

    #[inline(never)]
    fn run_bursts(&self, burst: Burst<'_>, mask: &mut [u64]) -> u32 {
        let code = match self.is_native() {
            true => self.native_burst.get_or_init(|| BurstCode::compile(self.program.insns())),
            false => &None,
        };
        let mut accepted = 0;
        let mut words = mask.iter_mut();
        for (packets, word) in burst.chunks().zip(&mut words) {
            *word = match code {
                Some(code) => code.run(packets).bits,
                None => self.bits(packets),
            };
            accepted += word.count_ones();
        }
        words.for_each(|word| *word = 0);
        accepted
    }

    /// Prepares for bursts, which the first burst does otherwise.
    pub fn prepare_bursts(&self) {
        self.run_burst(Burst::NONE, &mut []);
    }

    /// Up to which length packets are accepted whole or not at all, and by their bytes alone, so
    /// that a burst says all there is to say: 0 where it is not so.
    pub fn burst_limit(&self) -> u32 {
        let limit = |insn: &Insn| match (op::class(insn.code), insn.code) {
            (_, code) if code == op::RET | op::K && insn.k != 0 => insn.k,
            (_, code) if code == op::RET | op::A => 0,
            (op::LD, code) if op::mode(code) == op::ABS && aux::slot(insn.k).is_some() => 0,
            _ => u32::MAX,
        };
        self.program.insns().iter().map(limit).min().unwrap_or(0)
    }

    /// Which of up to 64 packets are accepted.
    fn bits(&self, packets: Burst<'_>) -> u64 {
        packets.iter().enumerate().fold(0, |bits, (bit, packet)| {
            let verdict = self.run(packet, packet.len() as u32, &Aux::NONE);
            bits | u64::from(verdict != 0) << bit
        })
    }

    /// The instructions it was made from.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether it runs as native code by now.
    pub fn is_native(&self) -> bool {
        matches!(self.native.get(), Some(Some(_)))
    }
}
