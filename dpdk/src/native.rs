//! Which programs DPDK's x86 JIT compiles rightly.
//!
//! Its passes stop when two of them give code of the same size; jump distances of the last may
//! then be stale, and a short jump backwards is chosen by the wrong end of its range. Neither can
//! be seen in its result. So its layout is computed here, instruction by instruction as
//! lib/bpf/bpf_jit_x86.c lays code out, and a program is let through only if in the last pass
//! every jump gets the distance it needs. That the computation speaks of the JIT at hand is
//! checked by the size of the code it makes.

use crate::error::Failure;
use oxpcap_plugin::EbpfInsn;

const RAX: u32 = 0;
const RDX: u32 = 2;
const RBX: u32 = 3;
const RSP: u32 = 4;
const RBP: u32 = 5;
const RSI: u32 = 6;
const R9: u32 = 9;
const TMP0: u32 = 11;
const TMP1: u32 = 10;
/// eBPF registers 0 to 10 on the machine.
const MACHINE: [u32; 11] = [RAX, 7, RSI, RDX, 1, 8, RBX, 13, 14, 15, RBP];
const CALLEE_SAVED: u32 = 1 << RBX | 0xf << 12 | 1 << RBP;
const RCX: u32 = 1;

// Operations, as in linux/bpf.h.
const ALU: u8 = 0x04;
const ALU64: u8 = 0x07;
const X: u8 = 0x08;
const JMP_JA: u8 = 0x05;
const EXIT: u8 = 0x95;

/// An offset far away, which targets have before the first pass.
const FAR: i64 = i32::MAX as i64;
/// More passes than any program that converges needs.
const MOST_PASSES: usize = 64;

/// Bytes of machine code DPDK's JIT makes of `program`.
///
/// # Errors
/// Where it would be wrong, or it is not known to be right.
pub fn size(program: &[EbpfInsn]) -> Result<usize, Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Err(refused("this machine's JIT is not known to be right"));
    }
    let mut layout = Layout {
        program,
        used: 0,
        at: 0,
        offsets: vec![FAR; program.len()],
        exit: FAR,
        checking: false,
    };
    let mut last = 0;
    for _ in 0..MOST_PASSES {
        layout.pass()?;
        if layout.at == last {
            layout.check_last()?;
            return Ok(last as usize);
        }
        last = layout.at;
    }
    Err(refused("its layout does not settle"))
}

fn refused(why: &str) -> Failure {
    Failure::new(format!(
        "DPDK's JIT is not safe for this filter ({why}); use PCAPX_DPDK_FILTER=rte_bpf or jit"
    ))
}

struct Layout<'a> {
    program: &'a [EbpfInsn],
    /// Machine registers seen so far, over all passes.
    used: u32,
    at: i64,
    /// Where each instruction began in the last pass, or begins in this one if laid out already.
    offsets: Vec<i64>,
    exit: i64,
    checking: bool,
}

fn imm(value: i64) -> i64 {
    if (-128..=127).contains(&value) { 1 } else { 4 }
}

impl Layout<'_> {
    fn pass(&mut self) -> Result<(), Failure> {
        self.at = 0;
        self.prologue();
        for (index, insn) in self.program.iter().enumerate() {
            self.offsets[index] = self.at;
            self.instruction(index, insn)?;
        }
        Ok(())
    }

    /// The pass that writes code: every jump must use the offset its target gets.
    fn check_last(&mut self) -> Result<(), Failure> {
        let before = (self.offsets.clone(), self.exit);
        self.checking = true;
        self.pass()?;
        match before == (self.offsets.clone(), self.exit) {
            true => Ok(()),
            false => Err(refused("its jumps would be stale")),
        }
    }

    fn emit(&mut self, bytes: i64) {
        self.at += bytes;
    }

    /// A REX prefix if there is one; marks the registers.
    fn rex(&mut self, wide: bool, reg: u32, rm: u32) {
        self.used |= 1 << reg | 1 << rm;
        self.emit(i64::from(wide || reg >= 8 || rm >= 8));
    }

    fn saved(&self) -> i64 {
        i64::from((self.used & CALLEE_SAVED).count_ones())
    }

    fn prologue(&mut self) {
        let saved = self.saved();
        if saved == 0 {
            return;
        }
        self.used |= 1 << RAX | 1 << RSP;
        self.emit(4 + saved * 5);
        if self.used & (1 << RBP) != 0 {
            self.emit(3 + 4);
        }
    }

    fn epilogue(&mut self) {
        self.exit = self.at;
        let saved = self.saved();
        if saved > 0 {
            self.used |= 1 << RAX | 1 << RSP;
            let frame = if self.used & (1 << RBP) != 0 { 3 } else { 0 };
            self.emit(frame + saved * 5 + 4);
        }
        self.emit(1);
    }

    fn jump(&mut self, target: i64, short: i64, long: i64) -> Result<(), Failure> {
        let distance = target - self.at;
        let wide = imm(distance).max(imm(distance + long)) == 4;
        if self.checking && !wide && imm(distance - short) != 1 {
            return Err(refused("a jump would be cut short"));
        }
        self.emit(if wide { long } else { short });
        Ok(())
    }

    fn jump_to(&mut self, index: usize, off: i16) -> Result<i64, Failure> {
        let target = index as i64 + 1 + i64::from(off);
        let target = usize::try_from(target).ok().filter(|&t| t > index);
        let target = target.and_then(|t| self.offsets.get(t));
        target.copied().ok_or_else(|| refused("it has a jump backwards"))
    }

    fn mov_reg(&mut self, wide: bool, from: u32, to: u32) {
        if from != to || !wide {
            self.rex(wide, from, to);
            self.emit(2);
        }
    }

    fn mov_imm(&mut self, wide: bool, to: u32, value: i32) {
        if value == 0 {
            self.rex(wide, to, to);
            self.emit(2);
        } else {
            self.rex(wide, 0, to);
            self.emit(6);
        }
    }

    fn instruction(&mut self, index: usize, insn: &EbpfInsn) -> Result<(), Failure> {
        let register = |n: u8| MACHINE.get(usize::from(n)).copied();
        let (Some(dst), Some(src)) = (register(insn.regs & 0x0f), register(insn.regs >> 4)) else {
            return Err(refused("a register that does not exist"));
        };
        match insn.code & 0x07 {
            ALU | ALU64 => self.arithmetic(insn, src, dst),
            0x00 => self.packet_load(insn, src),
            0x01 => self.load(insn.code, src, dst, insn.off),
            0x02 | 0x03 => self.store(insn, src, dst),
            0x05 => self.branch(index, insn, src, dst),
            _ => Err(refused("an instruction it does not have")),
        }
    }

    fn arithmetic(&mut self, insn: &EbpfInsn, src: u32, dst: u32) -> Result<(), Failure> {
        let wide = insn.code & 0x07 == ALU64;
        let by_register = insn.code & X != 0;
        match insn.code & 0xf0 {
            // add, sub, or, and, xor
            0x00 | 0x10 | 0x40 | 0x50 | 0xa0 => {
                self.rex(wide, if by_register { src } else { 0 }, dst);
                self.emit(if by_register { 2 } else { 2 + imm(insn.imm.into()) });
            }
            // shifts
            0x60 | 0x70 => {
                let swap = by_register && src != RCX;
                for _ in 0..2 * i64::from(swap) {
                    self.rex(true, RCX, src);
                    self.emit(2);
                }
                self.rex(wide, 0, dst);
                self.emit(if by_register { 2 } else { 2 + imm(insn.imm.into()) });
            }
            0x80 => {
                self.rex(wide, 0, dst);
                self.emit(2);
            }
            0xb0 if by_register => self.mov_reg(wide, src, dst),
            0xb0 => self.mov_imm(wide, dst, insn.imm),
            0x20 => self.multiply(insn, src, dst),
            0x30 | 0x90 => self.divide(insn, src, dst)?,
            _ => return Err(refused("an instruction it is not known to compile rightly")),
        }
        Ok(())
    }

    fn multiply(&mut self, insn: &EbpfInsn, src: u32, dst: u32) {
        self.mov_reg(true, RAX, TMP0);
        self.mov_reg(true, RDX, TMP1);
        self.mov_reg(true, dst, RAX);
        if insn.code & X != 0 {
            self.mov_reg(true, if src == RAX { TMP0 } else { src }, RDX);
        } else {
            self.mov_imm(true, RDX, insn.imm);
        }
        self.rex(insn.code & 0x07 == ALU64, RAX, RDX);
        self.emit(2);
        self.restore(dst);
        if dst != RAX {
            self.mov_reg(true, RAX, dst);
        }
    }

    /// RDX and RAX after a multiplication or division, unless they hold the result.
    fn restore(&mut self, dst: u32) {
        if dst != RDX {
            self.mov_reg(true, TMP1, RDX);
        }
        if dst != RAX {
            self.mov_reg(true, TMP0, RAX);
        }
    }

    fn divide(&mut self, insn: &EbpfInsn, src: u32, dst: u32) -> Result<(), Failure> {
        let wide = insn.code & 0x07 == ALU64;
        let by_register = insn.code & X != 0;
        if by_register {
            self.rex(wide, src, src);
            self.emit(2);
            self.rex(wide, RAX, src);
            self.emit(3);
            self.jump(self.exit, 2, 6)?;
        }
        if dst != RAX {
            self.mov_reg(true, RAX, TMP0);
        }
        if dst != RDX {
            self.mov_reg(true, RDX, TMP1);
        }
        self.mov_reg(true, dst, RAX);
        self.mov_imm(true, RDX, 0);
        let divisor = match (by_register, src) {
            (true, RAX) => TMP0,
            (true, RDX) => TMP1,
            (true, _) => src,
            (false, _) => {
                self.mov_imm(true, R9, insn.imm);
                R9
            }
        };
        self.rex(wide, 0, divisor);
        self.emit(2);
        self.mov_reg(true, if insn.code & 0xf0 == 0x30 { RAX } else { RDX }, dst);
        self.restore(dst);
        Ok(())
    }

    fn load(&mut self, code: u8, base: u32, dst: u32, off: i16) -> Result<(), Failure> {
        let (wide, opcode) = match code & 0x18 {
            0x00 => (false, 1),
            0x18 => (true, 1),
            _ => (true, 2),
        };
        self.rex(wide, dst, base);
        let sib = i64::from(base == RSP || base == 12);
        self.emit(opcode + 1 + sib + imm(off.into()));
        Ok(())
    }

    fn store(&mut self, insn: &EbpfInsn, src: u32, dst: u32) -> Result<(), Failure> {
        if insn.code & 0x18 != 0x00 {
            return Err(refused("a store it is not known to compile rightly"));
        }
        let by_register = insn.code & 0x07 == 0x03;
        self.rex(false, if by_register { src } else { 0 }, dst);
        let sib = i64::from(dst == RSP || dst == 12);
        let value = if by_register { 0 } else { 4 };
        self.emit(2 + sib + imm(insn.off.into()) + value);
        Ok(())
    }

    fn branch(&mut self, index: usize, insn: &EbpfInsn, src: u32, dst: u32) -> Result<(), Failure> {
        match insn.code {
            EXIT if index + 1 == self.program.len() => {
                self.epilogue();
                return Ok(());
            }
            EXIT => return Err(refused("an exit before its end")),
            JMP_JA => {
                let target = self.jump_to(index, insn.off)?;
                return self.jump(target, 2, 5);
            }
            0x85 => return Err(refused("a call")),
            // A test against an immediate is encoded wrongly.
            0x45 => return Err(refused("jset with an immediate")),
            _ => {}
        }
        let by_register = insn.code & X != 0;
        self.rex(true, if by_register { src } else { 0 }, dst);
        self.emit(if by_register { 2 } else { 2 + imm(insn.imm.into()) });
        let target = self.jump_to(index, insn.off)?;
        self.jump(target, 2, 6)
    }

    fn packet_load(&mut self, insn: &EbpfInsn, src: u32) -> Result<(), Failure> {
        let (mode, size) = (insn.code & 0xe0, insn.code & 0x18);
        if !matches!(mode, 0x20 | 0x40) || size == 0x18 || src == RSI {
            return Err(refused("a load it is not known to compile rightly"));
        }
        self.used |= 1 << RBX | 1 << RBP | 1 << RAX | 1 << RDX | 1 << RSI;
        self.mov_imm(true, RSI, insn.imm);
        if mode == 0x40 {
            self.rex(true, src, RSI);
            self.emit(2);
        }
        // Fast path: data_len, sub, cmp, jl, data_off, buf_addr, add, add, jmp.
        self.emit(5 + 3 + 4 + 2 + 5 + 4 + 3 + 3 + 2);
        // Slow path: mov, mov, sub, mov, movabs, call, test.
        self.emit(7 + 3 + 4 + 3 + 10 + 2 + 3);
        self.jump(self.exit, 2, 6)?;
        self.emit(match size {
            0x00 => 3 + 2,
            0x08 => 5 + 7,
            _ => 5,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> EbpfInsn {
        EbpfInsn { code, regs: dst | src << 4, off, imm }
    }

    #[test]
    fn refusals() {
        let exit = insn(EXIT, 0, 0, 0, 0);
        let jset = [insn(0xb4, 0, 0, 0, 1), insn(0x45, 0, 0, 0, 2), exit];
        assert!(size(&jset).unwrap_err().text.contains("jset"));
        let early = [insn(0xb4, 0, 0, 0, 1), exit, insn(0xb4, 0, 0, 0, 2), exit];
        assert!(size(&early).is_err());
        let back = [insn(0xb4, 0, 0, 0, 1), insn(0x05, 0, 0, -2, 0), exit];
        assert!(size(&back).is_err());
        let unknown = [insn(0xff, 0, 0, 0, 0), exit];
        assert!(size(&unknown).is_err());
    }

    #[test]
    fn small_layouts() {
        let exit = insn(EXIT, 0, 0, 0, 0);
        // mov eax, 1; ret
        assert_eq!(size(&[insn(0xb4, 0, 0, 0, 1), exit]).unwrap(), 6 + 1);
        // xor eax, eax; jmp +0; ret
        assert_eq!(
            size(&[insn(0xb4, 0, 0, 0, 0), insn(0x05, 0, 0, 0, 0), exit]).unwrap(),
            2 + 2 + 1
        );
    }
}
