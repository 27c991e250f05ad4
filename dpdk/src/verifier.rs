//! What DPDK's verifier can do in reasonable time.
//!
//! `rte_bpf_load` walks every path through a program that it cannot prune, 3 to 4 us each, and
//! cannot be interrupted.

use crate::error::Failure;
use oxpcap_plugin::EbpfInsn;

/// Paths that take it about a second.
pub const MOST_PATHS: f64 = 250_000.0;

const EXIT: u8 = 0x95;
const JA: u8 = 0x05;
/// The class of jumps.
const JMP: u8 = 0x05;

/// Number of paths from the first instruction to an exit; jumps must go forward.
pub fn paths(program: &[EbpfInsn]) -> f64 {
    let mut paths = vec![0.0; program.len() + 1];
    for (index, insn) in program.iter().enumerate().rev() {
        let target = usize::try_from(index as i64 + 1 + i64::from(insn.off)).unwrap_or(usize::MAX);
        let jumped = paths.get(target).copied().unwrap_or(0.0);
        paths[index] = match insn.code {
            EXIT => 1.0,
            JA => jumped,
            code if code & 0x07 == JMP => paths[index + 1] + jumped,
            _ => paths[index + 1],
        };
    }
    paths[0]
}

/// Refuses a program that would take too long to load.
pub fn check(program: &[EbpfInsn]) -> Result<(), Failure> {
    let paths = paths(program);
    if paths <= MOST_PATHS {
        return Ok(());
    }
    Err(Failure::new(format!(
        "DPDK's verifier would take too long over this filter ({paths:.0} paths); \
         use PCAPX_DPDK_FILTER=jit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u8, off: i16) -> EbpfInsn {
        EbpfInsn { code, off, ..EbpfInsn::default() }
    }

    #[test]
    fn paths_multiply() {
        let mut program = Vec::new();
        for _ in 0..30 {
            program.extend([insn(0x15, 1), insn(0xb4, 0)]);
        }
        program.push(insn(EXIT, 0));
        assert_eq!(paths(&program), f64::from(1 << 30));
        assert!(check(&program).is_err());
        assert!(check(&program[40..]).is_ok());
    }
}
