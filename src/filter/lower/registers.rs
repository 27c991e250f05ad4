//! Scratch registers `M[0]` to `M[15]`, handed out in turn as libpcap does.

use super::error::LowerError;
use crate::bpf::op;

/// Registers kept back from temporaries, while there are others, where lasting ones may be needed.
const LASTING: usize = 4;

/// Which registers are taken, and where the search for the next begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    used: [bool; op::MEMWORDS],
    /// Taken at some time: some step may write it.
    touched: [bool; op::MEMWORDS],
    current: usize,
    spared: usize,
}

impl Registers {
    /// None is taken; `lasting` says whether [`Registers::alloc_lasting`] may be called.
    pub(super) fn new(lasting: bool) -> Self {
        Self { spared: if lasting { LASTING } else { 0 }, ..Self::default() }
    }

    /// Takes a register.
    pub(super) fn alloc(&mut self) -> Result<u8, LowerError> {
        let free = |reg: usize| !self.used[reg];
        let plain = |reg: usize| free(reg) && reg < op::MEMWORDS - self.spared;
        let reg = self.next(plain).or_else(|| self.next(free));
        self.take(reg)
    }

    /// Takes a register that no step has written so far, for a value that is there from the start
    /// of the program.
    pub(super) fn alloc_lasting(&mut self) -> Result<u8, LowerError> {
        let reg = self.next(|reg| !self.touched[reg]);
        self.take(reg)
    }

    fn next(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        (0..op::MEMWORDS).map(|step| (self.current + step) % op::MEMWORDS).find(|&reg| fits(reg))
    }

    fn take(&mut self, reg: Option<usize>) -> Result<u8, LowerError> {
        let reg = reg.ok_or(LowerError::OutOfRegisters)?;
        self.used[reg] = true;
        self.touched[reg] = true;
        self.current = reg;
        Ok(reg as u8)
    }

    /// Gives a register back.
    pub(super) fn free(&mut self, reg: u8) {
        if let Some(used) = self.used.get_mut(usize::from(reg)) {
            *used = false;
        }
    }
}
