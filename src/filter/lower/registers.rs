//! Scratch registers `M[0]` to `M[15]`, handed out in turn as libpcap does.

use super::error::LowerError;
use crate::bpf::op;

/// Which registers are taken, and where the search for the next begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    used: [bool; op::MEMWORDS],
    current: usize,
}

impl Registers {
    /// Takes a register.
    pub(super) fn alloc(&mut self) -> Result<u8, LowerError> {
        for step in 0..op::MEMWORDS {
            let reg = (self.current + step) % op::MEMWORDS;
            if !self.used[reg] {
                self.used[reg] = true;
                self.current = reg;
                return Ok(reg as u8);
            }
        }
        Err(LowerError::OutOfRegisters)
    }

    /// Gives a register back.
    pub(super) fn free(&mut self, reg: u8) {
        if let Some(used) = self.used.get_mut(usize::from(reg)) {
            *used = false;
        }
    }
}
