//! A filter ready to run on many packets.

use super::decoded::Decoded;
use super::{Aux, Program, interpret};

/// A program prepared for running on many packets, by whatever engine suits it.
///
/// Strictly valid programs (see [`check`](super::check)) are decoded; others, which libpcap also
/// takes, run by [`interpret`] as they are. All engines give the same verdicts. Running allocates
/// nothing and may be done from several threads at once.
#[derive(Debug)]
pub struct Filter {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Raw(Program),
    Decoded(Decoded),
}

impl Filter {
    /// Prepares a program, whatever it is.
    pub fn new(program: &Program) -> Self {
        let engine = match Decoded::new(program.insns()) {
            Ok(decoded) => Engine::Decoded(decoded),
            Err(_) => Engine::Raw(program.clone()),
        };
        Self { engine }
    }

    /// Accepted length of a packet, 0 for a reject: see [`interpret`].
    #[inline]
    pub fn run(&self, packet: &[u8], wirelen: u32, aux: &Aux) -> u32 {
        match &self.engine {
            Engine::Decoded(decoded) => decoded.run(packet, wirelen, aux),
            Engine::Raw(program) => interpret(program.insns(), packet, wirelen, aux),
        }
    }
}
