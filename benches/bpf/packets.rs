//! Packets for the benchmark.

/// 64-byte TCP packets of one connection, to port 80 of 1.2.3.4.
pub fn flow() -> Vec<Vec<u8>> {
    (0..100)
        .map(|n| {
            let mut packet = ethernet(false);
            ipv4(&mut packet, 6, [1, 2, 3, 4], 80, 0x10);
            packet[41] = n;
            packet.resize(64, 0);
            packet
        })
        .collect()
}

/// 64-byte packets of many protocols, hosts and ports in random order.
pub fn varied() -> Vec<Vec<u8>> {
    packets(&[64])
}

/// The same in many sizes.
pub fn mixed() -> Vec<Vec<u8>> {
    packets(&[60, 64, 64, 128, 576, 1514])
}

fn packets(lens: &[usize]) -> Vec<Vec<u8>> {
    let mut random = Random(0x1234_5678_9abc_def1);
    (0..1000)
        .map(|_| {
            let mut packet = random.packet();
            packet.resize(random.pick(lens), 0);
            packet
        })
        .collect()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// 60 % TCP, 20 % UDP, 5 % ICMP, 5 % ARP, 10 % IPv6; a tenth of all tagged, a tenth of all
    /// from 00:11:22:33:44:55.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = ethernet(self.below(10) == 0);
        if self.below(10) == 0 {
            packet.extend([0x81, 0, 0, 7]);
        }
        let host = self.pick(&[[1, 2, 3, 4], [10, 0, 0, 1], [192, 168, 1, 7], [8, 8, 8, 8]]);
        let port = self.pick(&[80, 443, 8888, 22, 53, 1500]);
        let flags = self.pick(&[0x02, 0x10, 0x10, 0x18, 0x18, 0x11]);
        match self.below(20) {
            0 => packet.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]),
            1 => ipv4(&mut packet, 1, host, port, flags),
            n @ 2..=3 => ipv6(&mut packet, [6, 17, 58][(n + port as usize) % 3], port, flags),
            4..=7 => ipv4(&mut packet, 17, host, port, flags),
            _ => ipv4(&mut packet, 6, host, port, flags),
        }
        packet
    }
}

fn ethernet(from_the_host: bool) -> Vec<u8> {
    let mut packet = vec![2; 6];
    packet.extend(if from_the_host { [0x00, 0x11, 0x22, 0x33, 0x44, 0x55] } else { [2; 6] });
    packet
}

fn ipv4(packet: &mut Vec<u8>, protocol: u8, host: [u8; 4], port: u16, flags: u8) {
    packet.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, protocol, 0, 0, 172, 16, 0, 9]);
    packet.extend(host);
    transport(packet, port, flags);
}

fn ipv6(packet: &mut Vec<u8>, protocol: u8, port: u16, flags: u8) {
    packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 6, protocol, 64]);
    packet.extend([0xfd; 32]);
    transport(packet, port, flags);
}

fn transport(packet: &mut Vec<u8>, port: u16, flags: u8) {
    packet.extend(40_000u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0, 0]);
}
