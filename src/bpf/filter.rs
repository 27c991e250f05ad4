//! A filter ready to run on many packets.

use super::decoded::Decoded;
use super::jit::Code;
use super::{Aux, Program, interpret};
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
pub(super) fn runs_before_compiling(len: usize) -> u32 {
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
        Self { native, decoded, program: program.clone(), runs_left }
    }

    /// Accepted length of a packet, 0 for a reject: see [`interpret`].
    #[inline]
    pub fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        match self.native.get() {
            Some(Some(code)) => code.run(packet, wirelen, aux),
            native => self.run_portably(native.is_none(), packet, wirelen, aux),
        }
    }

    #[inline(never)]
    fn run_portably(&self, undecided: bool, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        if undecided {
            self.warm_up();
        }
        match &self.decoded {
            Some(decoded) => decoded.run(packet, wirelen, aux),
            None => interpret(self.program.insns(), packet, wirelen, aux),
        }
    }

    /// Threads may race here and count too little: compiling comes later then.
    fn warm_up(&self) {
        let left = self.runs_left.load(Ordering::Relaxed);
        self.runs_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 {
            self.native.get_or_init(|| Code::compile(self.program.insns()));
        }
    }

    /// Runs it on complete packets without ancillary data. Bit `i % 64` of `mask[i / 64]` becomes
    /// 1 where packet `i` is accepted, all other bits become 0; packets that `mask` has no room
    /// for are not looked at. Returns how many were accepted.
    pub fn run_burst<'a>(
        &self,
        packets: impl IntoIterator<Item = &'a [u8]>,
        mask: &mut [u64],
    ) -> u32 {
        match self.native.get() {
            Some(Some(code)) => burst(packets, mask, |p| code.run(p, p.len() as u32, &Aux::NONE)),
            _ => burst(packets, mask, |p| self.run(p, p.len() as u32, &Aux::NONE)),
        }
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

#[inline(always)]
fn burst<'a>(
    packets: impl IntoIterator<Item = &'a [u8]>,
    mask: &mut [u64],
    run: impl Fn(&[u8]) -> u32,
) -> u32 {
    let mut packets = packets.into_iter();
    let mut accepted = 0;
    for word in mask {
        let mut bits = 0;
        for (bit, packet) in packets.by_ref().take(64).enumerate() {
            bits |= u64::from(run(packet) != 0) << bit;
        }
        *word = bits;
        accepted += bits.count_ones();
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Insn;

    #[test]
    fn bursts_fill_the_whole_mask() {
        let insns = [Insn::stmt(0x30, 0), Insn::stmt(0x16, 0)];
        let packets: Vec<[u8; 1]> = (0..130).map(|n| [u8::from(n % 3 == 0)]).collect();
        for preference in [Preference::Native, Preference::Interpreter] {
            let filter = Filter::with_preference(&Program::from_insns(insns), preference);
            let mut mask = [u64::MAX; 3];
            let accepted = filter.run_burst(packets.iter().map(|p| &p[..]), &mut mask);
            assert_eq!(accepted, 44);
            for bit in 0..192 {
                let expected = bit < 130 && bit % 3 == 0;
                assert_eq!(mask[bit / 64] >> (bit % 64) & 1 == 1, expected, "{bit}");
            }
            assert_eq!(filter.run_burst(packets.iter().map(|p| &p[..]), &mut mask[..1]), 22);
        }
    }
}
