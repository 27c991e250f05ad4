//! Packets of the protocols that filters speak of, with tunnels, fragments and options, cut off
//! anywhere.

use crate::Rng;

/// A packet of a link-layer type; most are whole, some end early.
pub fn build(rng: &mut Rng, dlt: i32) -> Vec<u8> {
    let mut packet = Packet { bytes: Vec::with_capacity(160), rng, depth: 0 };
    packet.link(dlt);
    let mut bytes = packet.bytes;
    if rng.percent(20) {
        bytes.truncate(rng.below(bytes.len() as u32 + 1) as usize);
    }
    bytes
}

struct Packet<'a> {
    bytes: Vec<u8>,
    rng: &'a mut Rng,
    /// Headers within headers so far.
    depth: u32,
}

const MACS: [[u8; 6]; 6] = [
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55],
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x56],
    [0xff; 6],
    [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01],
    [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff],
    [0xaa, 0x00, 0x04, 0x00, 0x02, 0x04],
];
const V4: [[u8; 4]; 8] = [
    [10, 0, 0, 1],
    [10, 0, 0, 2],
    [10, 0, 0, 255],
    [192, 168, 1, 1],
    [192, 168, 1, 2],
    [1, 2, 3, 4],
    [224, 0, 0, 1],
    [255; 4],
];
const PORTS: [u16; 12] = [80, 443, 53, 22, 0, 65535, 8080, 85, 90, 6081, 4789, 1024];

impl Packet<'_> {
    fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_be_bytes());
    }
    fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }
    fn random(&mut self, count: usize) {
        for _ in 0..count {
            let byte = self.rng.u8();
            self.bytes.push(byte);
        }
    }
    fn pick_u8(&mut self, list: &[u8]) {
        let value = self.rng.pick(list);
        self.u8(value);
    }
    fn pick_u16(&mut self, list: &[u16]) {
        let value = self.rng.pick(list);
        self.u16(value);
    }
    fn mac(&mut self) {
        let mac = self.rng.pick(&MACS);
        self.bytes.extend(mac);
    }

    fn link(&mut self, dlt: i32) {
        match dlt {
            0 | 108 | 109 => {
                let family = self.rng.pick(&[2u32, 2, 10, 24, 28, 30, 0, 7]);
                let swapped = dlt != 108 && self.rng.percent(50);
                self.u32(if swapped { family.swap_bytes() } else { family });
                self.zeros(if dlt == 109 { 8 } else { 0 });
                self.ip_any();
            }
            1 => self.ethernet(),
            6 => {
                self.pick_u8(&[0x40, 0x10]);
                self.pick_u8(&[0x00, 0x40]);
                self.mac();
                self.mac();
                self.llc();
            }
            10 => {
                self.pick_u8(&[0x50, 0x51, 0x57, 0x41]);
                self.mac();
                self.mac();
                self.llc();
            }
            7 => {
                self.random(2);
                self.pick_u8(&[212, 213, 214, 240, 241]);
                self.ip_any();
            }
            129 => {
                self.random(4);
                self.pick_u8(&[212, 213, 214, 240, 241]);
                self.random(1);
                self.ip_any();
            }
            8 => {
                self.pick_u8(&[0, 1]);
                self.zeros(15);
                self.ip_any();
            }
            9 | 16 | 50 | 51 | 166 => self.ppp(dlt),
            11 | 19 => self.llc(),
            12 | 228 | 229 => self.ip_any(),
            99 => {
                self.random(6);
                self.payload_by_ethertype(30);
            }
            104 => {
                self.pick_u8(&[0x0f, 0x8f, 0x00]);
                self.u8(0);
                self.payload_by_ethertype(0);
            }
            105 => self.wlan(),
            107 => {
                self.random(2);
                self.pick_u8(&[0x03]);
                self.pick_u8(&[0xcc, 0x8e, 0x80, 0x81]);
                self.ip_any();
            }
            113 => {
                self.pick_u16(&[0, 1, 2, 3, 4]);
                self.u16(1);
                self.u16(6);
                self.mac();
                self.zeros(2);
                self.payload_by_ethertype(0);
            }
            276 => self.sll2(),
            117 => self.pflog(),
            119 => {
                self.prism();
                self.wlan();
            }
            163 => {
                self.u32(0x8021_1001);
                self.u32(64);
                self.zeros(56);
                self.wlan();
            }
            127 => {
                let extra = self.rng.pick(&[0usize, 4, 12, 18]);
                self.bytes.extend([0, 0, 8 + extra as u8, 0]);
                self.random(4 + extra);
                self.wlan();
            }
            192 => {
                let extra = self.rng.pick(&[0usize, 24]);
                self.bytes.extend([0, 0, 8 + extra as u8, 0]);
                let inner = self.rng.pick(&[[105u8, 0, 0, 0], [1, 0, 0, 0]]);
                self.bytes.extend(inner);
                self.zeros(extra);
                self.wlan();
            }
            122 => {
                self.u16(0);
                self.mac();
                self.u16(0);
                self.mac();
                self.llc();
            }
            123 => {
                self.pick_u8(&[0x01, 0x02, 0x05, 0x06, 0x81, 0x82]);
                self.pick_u8(&[0, 1, 5, 100]);
                self.pick_u16(&[0, 1, 2, 3, 4, 5, 16, 100]);
                self.llc();
            }
            138 => {
                self.random(16);
                self.payload_by_ethertype(0);
            }
            139..=141 => {
                if dlt == 139 {
                    self.random(4);
                }
                self.random(2);
                self.pick_u8(&[0, 1, 2, 3, 5, 40]);
                self.random(12);
            }
            130..=137 | 164 | 167 | 168 | 174 | 178..=183 | 194 => self.juniper(),
            165 => self.random(40),
            226 => {
                self.random(2);
                self.pick_u8(&[1, 2]);
                self.random(1);
                self.random(20);
                self.ip_any();
            }
            240 | 241 => {
                self.zeros(4);
                if dlt == 241 {
                    self.bytes.extend([0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5]);
                }
                self.ethernet();
            }
            281 | 284 => {
                self.mac();
                self.mac();
                let tag = self.rng.pick(&[
                    [0x00, 0, 0, 0],
                    [0x40, 0, 0, 1],
                    [0xc0, 0, 0, 5],
                    [0x60, 1, 2, 3],
                ]);
                self.bytes.extend(tag);
                self.payload_by_ethertype(0);
            }
            _ => {
                self.random(4);
                self.ip_any();
            }
        }
    }

    fn ethernet(&mut self) {
        self.mac();
        self.mac();
        if self.rng.percent(15) {
            self.pick_u16(&[3, 38, 100, 1500]);
            self.llc();
        } else {
            self.payload_by_ethertype(0);
        }
    }

    /// An Ethernet type, `gap` bytes, and what the type announces.
    fn payload_by_ethertype(&mut self, gap: usize) {
        let ethertype = self.rng.pick(&[
            0x0800u16, 0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x86dd, 0x0806, 0x8035, 0x8100,
            0x8100, 0x88a8, 0x9100, 0x8847, 0x8863, 0x8864, 0x809b, 0x80f3, 0x6003, 0x6004, 0x6001,
            0x6002, 0x6007, 0x8137, 0x88cc, 0x8809, 0x0004, 0x05dc, 0x6558,
        ]);
        self.u16(ethertype);
        self.zeros(gap);
        self.depth += 1;
        if self.depth > 5 {
            return self.random(8);
        }
        match ethertype {
            0x0800 => self.ipv4(),
            0x86dd => self.ipv6(),
            0x0806 | 0x8035 => self.arp(),
            0x8100 | 0x88a8 | 0x9100 => {
                self.pick_u16(&[5, 100, 0, 4095, 0x2005, 0xf064]);
                self.payload_by_ethertype(0);
            }
            0x8847 => self.mpls(),
            0x8863 => self.random(12),
            0x8864 => {
                self.u8(0x11);
                self.u8(0);
                self.pick_u16(&[5, 100, 0, 0xffff]);
                self.u16(40);
                self.ppp_payload();
            }
            0x6003 => {
                let padded = self.rng.percent(50);
                self.u16(40);
                if padded {
                    self.u8(0x81);
                }
                self.pick_u8(&[0x02, 0x06, 0x26]);
                self.random(30);
            }
            0x05dc | 0x0004 => self.llc(),
            0x6558 => self.ethernet(),
            _ => self.random(24),
        }
    }

    fn mpls(&mut self) {
        let labels = 1 + self.rng.below(3);
        for i in 1..=labels {
            let label = self.rng.pick(&[5u32, 100, 0, 4095, 1_048_575]);
            self.u32(label << 12 | u32::from(i == labels) << 8 | 64);
        }
        self.ip_any();
    }

    fn ppp(&mut self, dlt: i32) {
        match dlt {
            51 => {
                self.u32(0x1100_0005);
                self.u16(30);
            }
            166 => self.pick_u8(&[0, 1]),
            16 => self.random(2),
            _ => {
                self.pick_u8(&[0xff, 0x0f, 0x8f]);
                self.u8(3);
            }
        }
        self.ppp_payload();
    }

    fn ppp_payload(&mut self) {
        let protocol = self.rng.pick(&[0x21u16, 0x21, 0x57, 0x57, 0x281, 0x23, 0x2b, 0xc021]);
        self.u16(protocol);
        match protocol {
            0x21 => self.ipv4(),
            0x57 => self.ipv6(),
            0x281 => self.mpls(),
            _ => self.random(24),
        }
    }

    fn llc(&mut self) {
        match self.rng.below(5) {
            0..=1 => {
                self.bytes.extend([0xaa, 0xaa, 0x03]);
                let oui = self.rng.pick(&[[0, 0, 0], [0, 0, 0], [8, 0, 7], [0, 0x80, 0xc2]]);
                self.bytes.extend(oui);
                self.payload_by_ethertype(0);
            }
            2 => {
                self.bytes.extend([0xfe, 0xfe, 0x03]);
                self.iso();
            }
            _ => {
                let sap = self.rng.pick(&[0x42, 0xe0, 0xf0, 0xff, 0x06, 0x00]);
                self.bytes.extend([sap, sap]);
                self.pick_u8(&[
                    0x03, 0x00, 0x01, 0x05, 0x09, 0x63, 0x0f, 0x43, 0x6f, 0xe3, 0xaf, 0x87,
                ]);
                self.random(24);
            }
        }
    }

    fn iso(&mut self) {
        self.pick_u8(&[0x81, 0x82, 0x83, 0x83]);
        self.random(3);
        self.pick_u8(&[15, 16, 17, 18, 20, 24, 25, 26, 27]);
        self.random(20);
    }

    fn wlan(&mut self) {
        let kind = self
            .rng
            .pick(&[0x08u8, 0x08, 0x88, 0x48, 0x80, 0x40, 0xc0, 0xd4, 0xb4, 0xc4, 0xa4, 0x84]);
        let flags = self.rng.pick(&[0u8, 1, 2, 3, 0x41, 0x43]);
        self.u8(kind);
        self.u8(flags);
        self.random(2);
        self.mac();
        if kind & 0x0c == 0x04 {
            if matches!(kind, 0xb4 | 0xa4 | 0x84) {
                self.mac();
            }
            return self.random(4);
        }
        self.mac();
        self.mac();
        self.random(2);
        if kind & 0x0c == 0x08 {
            if flags & 3 == 3 {
                self.mac();
            }
            if kind & 0x80 != 0 {
                self.random(2);
            }
            self.llc();
        } else {
            self.random(24);
        }
    }

    fn prism(&mut self) {
        if self.rng.percent(50) {
            self.u32(0x8021_1001);
            self.u32(144);
        } else {
            self.bytes.extend([0x44, 0, 0, 0, 144, 0, 0, 0]);
        }
        self.zeros(136);
    }

    fn sll2(&mut self) {
        let at = self.bytes.len();
        self.payload_by_ethertype(18);
        let kind = self.rng.pick(&[0u8, 1, 2, 3, 4]);
        let index = self.rng.pick(&[0u8, 1, 2, 7]);
        let mac = self.rng.pick(&MACS);
        let header = &mut self.bytes[at + 4..at + 20];
        header[3] = index;
        header[6] = kind;
        header[7] = 6;
        header[8..14].copy_from_slice(&mac);
    }

    fn pflog(&mut self) {
        let at = self.bytes.len();
        let length = self.rng.pick(&[61u8, 64, 100]);
        let family = self.rng.pick(&[2u8, 10, 24, 28, 30]);
        let action = self.rng.below(14) as u8;
        let reason = self.rng.below(15) as u8;
        self.bytes.extend([length, family, action, reason]);
        let name = self.rng.pick(&[*b"em0\0", *b"em1\0", *b"lo0\0"]);
        self.bytes.extend(name);
        self.zeros(12);
        let ruleset = self.rng.pick(&[*b"foo\0", *b"x\0\0\0"]);
        self.bytes.extend(ruleset);
        self.zeros(12);
        self.pick_u16(&[0]);
        self.pick_u16(&[5, 7, 0]);
        self.pick_u16(&[0]);
        self.pick_u16(&[3, 0]);
        self.zeros(16);
        self.pick_u8(&[1, 2]);
        self.zeros(3);
        let end = at + ((usize::from(length) + 3) & !3);
        self.zeros(end.saturating_sub(self.bytes.len()));
        self.ip_any();
    }

    fn juniper(&mut self) {
        self.bytes.extend([0x4d, 0x47, 0x43]);
        self.pick_u8(&[0, 1, 2, 3, 0x80]);
        self.pick_u8(&[2, 6, 10]);
        self.random(3);
        self.ip_any();
    }

    fn ip_any(&mut self) {
        match self.rng.below(10) {
            0..=5 => self.ipv4(),
            6..=8 => self.ipv6(),
            _ => self.llc(),
        }
    }

    fn arp(&mut self) {
        self.bytes.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        self.mac();
        self.v4();
        self.mac();
        self.v4();
    }

    fn v4(&mut self) {
        let address = self.rng.pick(&V4);
        self.bytes.extend(address);
    }

    fn v6(&mut self) {
        let high = self.rng.pick(&[
            0x2001_0db8_0000_0000u64,
            0x2001_0db8_0000_0001,
            0xfe80 << 48,
            0xff02 << 48,
            0,
        ]);
        let low = self.rng.pick(&[1u64, 2, 0x0002_0003_0004_0005, 0x8000_0000_0000_0000]);
        self.bytes.extend(high.to_be_bytes());
        self.bytes.extend(low.to_be_bytes());
    }

    fn ipv4(&mut self) {
        self.depth += 1;
        let words = self.rng.pick(&[5u8, 5, 5, 5, 6, 8, 15, 0]);
        let protocol = self.protocol();
        self.u8(0x40 | words);
        self.u8(0);
        self.pick_u16(&[40, 60, 1500]);
        self.random(2);
        self.pick_u16(&[0, 0, 0, 0x4000, 0x2000, 0x2001, 0x1fff, 1]);
        self.pick_u8(&[64, 4, 255]);
        self.u8(protocol);
        self.u16(0);
        self.v4();
        self.v4();
        self.zeros(usize::from(words.saturating_sub(5)) * 4);
        self.transport(protocol);
    }

    fn ipv6(&mut self) {
        self.depth += 1;
        let mut next = if self.rng.percent(25) {
            self.rng.pick(&[0u8, 43, 44, 51, 60, 59, 50])
        } else {
            self.protocol()
        };
        self.u32(0x6000_0000);
        self.u16(40);
        self.u8(next);
        self.u8(64);
        self.v6();
        self.v6();
        for _ in 0..4 {
            if !matches!(next, 0 | 43 | 44 | 51 | 60) {
                break;
            }
            let after = if self.rng.percent(30) {
                self.rng.pick(&[0u8, 43, 44, 51, 60])
            } else {
                self.protocol()
            };
            self.u8(after);
            if next == 44 {
                self.u8(0);
                self.pick_u16(&[0, 0, 1, 8, 0xfff9]);
                self.random(4);
            } else {
                let words = self.rng.pick(&[0u8, 1, 2]);
                self.u8(words);
                // AH counts words of four bytes less two, the others of eight less one.
                let length = if next == 51 {
                    (usize::from(words) + 2) * 4
                } else {
                    (usize::from(words) + 1) * 8
                };
                self.random(length - 2);
            }
            next = after;
        }
        self.transport(next);
    }

    fn protocol(&mut self) -> u8 {
        self.rng.pick(&[6, 6, 6, 17, 17, 17, 132, 1, 58, 2, 9, 103, 112, 50, 51, 4, 41, 0, 255])
    }

    fn transport(&mut self, protocol: u8) {
        if self.depth > 6 {
            return self.random(8);
        }
        match protocol {
            6 => {
                self.pick_u16(&PORTS);
                self.pick_u16(&PORTS);
                self.random(8);
                self.pick_u8(&[0x50, 0x80, 0xf0, 0x00]);
                self.pick_u8(&[0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x00, 0xff]);
                self.random(6);
                self.bytes.extend(b"GET / HTTP");
            }
            17 => self.udp(),
            132 => {
                self.pick_u16(&PORTS);
                self.pick_u16(&PORTS);
                self.random(12);
            }
            1 | 58 => {
                self.pick_u8(&[8, 0, 3, 128, 129, 135, 136]);
                self.pick_u8(&[0, 1]);
                self.random(10);
            }
            4 => self.ipv4(),
            41 => self.ipv6(),
            51 => {
                self.pick_u8(&[6, 17, 50]);
                self.pick_u8(&[4, 2, 0]);
                self.random(22);
            }
            _ => self.random(16),
        }
    }

    fn udp(&mut self) {
        self.pick_u16(&PORTS);
        let port = self.rng.pick(&PORTS);
        self.u16(port);
        self.u16(40);
        self.u16(0);
        match port {
            6081 => {
                let words = self.rng.pick(&[0u8, 1, 3]);
                self.u8(words);
                self.u8(0);
                self.pick_u16(&[0x6558, 0x0800, 0x86dd, 0x8847]);
                self.pick_u16(&[0, 1]);
                self.pick_u8(&[5, 100, 0]);
                self.u8(0);
                self.random(usize::from(words) * 4);
                self.depth += 1;
                if self.rng.percent(60) { self.ethernet() } else { self.ip_any() }
            }
            4789 => {
                self.pick_u8(&[8, 0]);
                self.zeros(5);
                self.pick_u8(&[5, 100, 0]);
                self.u8(0);
                self.depth += 1;
                self.ethernet();
            }
            _ => self.random(12),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_type() {
        let mut rng = Rng::new(3);
        for (name, dlt) in crate::dlt::KNOWN {
            let longest = (0..50).map(|_| build(&mut rng, dlt).len()).max();
            assert!(longest >= Some(12), "{name}");
        }
    }
}
