//! Packets of the protocols that filters speak of, with tunnels, fragments and options, cut off
//! anywhere.

mod link;

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
