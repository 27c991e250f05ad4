//! Random programs that are valid, and packets for them.

use pcap::bpf::{Insn, op};

/// A small generator of numbers (xorshift64*): failures are repeated by their seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// Bytes of a packet, most of them small numbers, and its length on the wire.
    pub fn packet(&mut self) -> (Vec<u8>, u32) {
        let len = self.pick(&[0, 1, 14, 33, 34, 60, 64, 64, 64, 90, 128]);
        let bytes: Vec<u8> = (0..len)
            .map(|_| match self.below(4) {
                0 => self.next() as u8,
                _ => self.pick(&[0, 1, 4, 6, 8, 17, 0x45, 80, 0xff]),
            })
            .collect();
        let wirelen = bytes.len() as u32 + self.pick(&[0, 0, 0, 1400]);
        (bytes, wirelen)
    }

    /// An Ethernet packet with a chain of IPv6 extension or IPv4 authentication headers.
    pub fn extension_headers(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 12];
        let next = |rng: &mut Self| rng.pick(&[0, 43, 44, 50, 51, 60, 59, 6, 17]);
        if self.below(2) == 0 {
            packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, next(self), 64]);
            packet.extend([1; 32]);
        } else {
            packet.extend([
                8,
                0,
                0x45,
                0,
                0,
                40,
                0,
                0,
                0,
                0,
                64,
                self.pick(&[51, 51, 6, 17]),
                0,
                0,
            ]);
            packet.extend([1; 8]);
        }
        for _ in 0..self.below(6) {
            let units = self.pick(&[0, 0, 1, 2]);
            packet.extend([next(self), units]);
            packet.extend(vec![7; 6 + 8 * usize::from(units)]);
        }
        packet
    }
}

/// Makes valid programs: known codes, forward jumps, no scratch word read before it is written.
pub struct Generator<'a> {
    rng: &'a mut Rng,
    insns: Vec<Insn>,
}

/// Scratch words that programs use; all are written first.
const WORDS: u32 = 3;

impl<'a> Generator<'a> {
    pub fn new(rng: &'a mut Rng) -> Self {
        Self { rng, insns: Vec::new() }
    }

    /// A program of up to 40 instructions or so.
    pub fn program(mut self) -> Vec<Insn> {
        for word in 0..WORDS {
            let k = self.constant();
            self.insns.push(Insn::stmt(op::LD | op::IMM, k));
            self.insns.push(Insn::stmt(op::ST, word));
        }
        let body = 2 + self.rng.below(34);
        for left in (0..body).rev() {
            let insn = self.insn(left);
            self.insns.push(insn);
        }
        let ends = [Insn::stmt(op::RET | op::A, 0), Insn::stmt(op::RET | op::K, self.constant())];
        let end = self.rng.pick(&ends);
        self.insns.push(end);
        self.insns
    }

    fn insn(&mut self, left: u32) -> Insn {
        match self.rng.below(16) {
            0..=3 => self.load(),
            4 | 5 => self.load_index(),
            6 => Insn::stmt(self.rng.pick(&[op::ST, op::STX]), self.rng.below(WORDS)),
            7..=9 => self.arithmetic(),
            10 => Insn::stmt(op::MISC | self.rng.pick(&[op::TAX, op::TXA]), 0),
            11 if left > 0 => Insn::stmt(op::JMP | op::JA, self.rng.below(left.min(4))),
            12 if left < 4 => Insn::stmt(op::RET | self.rng.pick(&[op::A, op::K]), 96),
            _ if left > 0 => self.jump(left),
            _ => self.arithmetic(),
        }
    }

    fn load(&mut self) -> Insn {
        let size = self.rng.pick(&[op::W, op::H, op::B]);
        match self.rng.below(8) {
            0 => Insn::stmt(op::LD | op::IMM, self.constant()),
            1 => Insn::stmt(op::LD | op::LEN, 0),
            2 => Insn::stmt(op::LD | op::MEM, self.rng.below(WORDS)),
            3 | 4 => Insn::stmt(op::LD | op::IND | size, self.offset()),
            _ => Insn::stmt(op::LD | op::ABS | size, self.offset()),
        }
    }

    fn load_index(&mut self) -> Insn {
        match self.rng.below(6) {
            0 => Insn::stmt(op::LDX | op::LEN, 0),
            1 => Insn::stmt(op::LDX | op::MEM, self.rng.below(WORDS)),
            2 | 3 => {
                let k = self.offset();
                Insn::stmt(op::LDX | op::MSH | op::B, k)
            }
            _ => {
                let k = self.rng.pick(&[0, 1, 2, 20, 31, 32, 33, u32::MAX]);
                Insn::stmt(op::LDX | op::IMM, k)
            }
        }
    }

    fn arithmetic(&mut self) -> Insn {
        let operation = self.rng.pick(&[
            op::ADD,
            op::SUB,
            op::MUL,
            op::DIV,
            op::OR,
            op::AND,
            op::LSH,
            op::RSH,
            op::NEG,
            op::MOD,
            op::XOR,
        ]);
        let src = if operation == op::NEG { op::K } else { self.rng.pick(&[op::K, op::X]) };
        let k = match operation {
            op::LSH | op::RSH => self.rng.pick(&[0, 1, 2, 8, 16, 31, 31, 31, 32, 40]),
            op::DIV | op::MOD => self.constant().max(1),
            _ => self.constant(),
        };
        Insn::stmt(op::ALU | operation | src, k)
    }

    fn jump(&mut self, left: u32) -> Insn {
        let operation = self.rng.pick(&[op::JEQ, op::JGT, op::JGE, op::JSET]);
        let src = self.rng.pick(&[op::K, op::K, op::K, op::X]);
        let reach = left.min(12);
        let (jt, jf) = (self.rng.below(reach) as u8, self.rng.below(reach) as u8);
        Insn::jump(op::JMP | operation | src, self.constant(), jt, jf)
    }

    fn constant(&mut self) -> u32 {
        match self.rng.below(8) {
            0 => self.rng.next(),
            _ => self.rng.pick(&[
                0,
                1,
                2,
                4,
                6,
                7,
                15,
                16,
                17,
                64,
                80,
                0xff,
                0x100,
                0x800,
                0x1fff,
                0xffff,
                0x0001_0000,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_fffe,
                0xffff_ffff,
            ]),
        }
    }

    fn offset(&mut self) -> u32 {
        match self.rng.below(24) {
            0 => self.rng.pick(&[0x7fff_fffe, 0x8000_0000, 0xffef_ffff, 0xffff_efff, u32::MAX]),
            1 => 120 + self.rng.below(20),
            _ => self.rng.below(64),
        }
    }
}
