//! Link-layer headers.

use super::{MACS, Packet};

impl Packet<'_> {
    pub(super) fn link(&mut self, dlt: i32) {
        match dlt {
            0 | 108 | 109 => self.loopback(dlt),
            1 => self.ethernet(),
            6 => self.token_ring(),
            7 => self.arcnet(0),
            8 => self.slip(),
            9 | 16 | 50 | 51 | 166 => self.ppp(dlt),
            10 => self.fddi(),
            11 | 19 => self.llc(),
            12 | 228 | 229 => self.ip_any(),
            99 => self.symantec(),
            104 | 112 => self.c_hdlc(),
            105 => self.wlan(),
            107 => self.frame_relay(),
            113 => self.sll(),
            117 => self.pflog(),
            119 => self.prism(),
            122 => self.ip_over_fc(),
            123 => self.sunatm(),
            127 => self.radiotap(),
            129 => self.arcnet(2),
            138 => self.apple_firewire(),
            139..=141 | 197 => self.mtp(dlt),
            130..=137 | 164 | 167 | 168 | 174 | 178..=183 | 194 | 200 | 232..=234 | 238 => {
                self.juniper();
            }
            163 => self.avs(),
            165 => self.bacnet(),
            192 => self.ppi(),
            226 => self.ipnet(),
            240 | 241 => self.netanalyzer(dlt),
            276 => self.sll2(),
            281 | 284 => self.dsa(),
            _ => {
                self.random(4);
                self.ip_any();
            }
        }
    }

    fn loopback(&mut self, dlt: i32) {
        let family = self.rng.pick(&[2u32, 2, 10, 24, 28, 30, 0, 7]);
        let swapped = dlt != 108 && self.rng.percent(50);
        self.u32(if swapped { family.swap_bytes() } else { family });
        self.zeros(if dlt == 109 { 8 } else { 0 });
        self.ip_any();
    }

    fn token_ring(&mut self) {
        self.pick_u8(&[0x40, 0x10]);
        self.pick_u8(&[0x00, 0x40]);
        self.mac();
        self.mac();
        self.llc();
    }

    fn fddi(&mut self) {
        self.pick_u8(&[0x50, 0x51, 0x57, 0x41]);
        self.mac();
        self.mac();
        self.llc();
    }

    /// `extra` bytes more than BSD's on either side of the type: Linux's offset and sequence number.
    fn arcnet(&mut self, extra: usize) {
        self.random(2 + extra);
        self.pick_u8(&[212, 213, 214, 240, 241]);
        self.random(extra / 2);
        self.ip_any();
    }

    fn slip(&mut self) {
        self.pick_u8(&[0, 1]);
        self.zeros(15);
        self.ip_any();
    }

    fn symantec(&mut self) {
        self.random(6);
        self.payload_by_ethertype(30);
    }

    fn c_hdlc(&mut self) {
        self.pick_u8(&[0x0f, 0x8f, 0x00]);
        self.u8(0);
        self.payload_by_ethertype(0);
    }

    fn frame_relay(&mut self) {
        self.random(2);
        self.pick_u8(&[0x03]);
        self.pick_u8(&[0xcc, 0x8e, 0x80, 0x81]);
        self.ip_any();
    }

    fn sll(&mut self) {
        self.pick_u16(&[0, 1, 2, 3, 4]);
        self.u16(1);
        self.u16(6);
        self.mac();
        self.zeros(2);
        self.payload_by_ethertype(0);
    }

    fn avs(&mut self) {
        self.u32(0x8021_1001);
        self.u32(64);
        self.zeros(56);
        self.wlan();
    }

    fn radiotap(&mut self) {
        let extra = self.rng.pick(&[0usize, 4, 12, 18]);
        self.bytes.extend([0, 0, 8 + extra as u8, 0]);
        self.random(4 + extra);
        self.wlan();
    }

    fn ppi(&mut self) {
        let extra = self.rng.pick(&[0usize, 24]);
        self.bytes.extend([0, 0, 8 + extra as u8, 0]);
        let inner = self.rng.pick(&[[105u8, 0, 0, 0], [1, 0, 0, 0]]);
        self.bytes.extend(inner);
        self.zeros(extra);
        self.wlan();
    }

    fn ip_over_fc(&mut self) {
        self.u16(0);
        self.mac();
        self.u16(0);
        self.mac();
        self.llc();
    }

    fn sunatm(&mut self) {
        let kind = self.rng.pick(&[0x01, 0x02, 0x05, 0x06, 0x81, 0x82]);
        self.u8(kind);
        self.pick_u8(&[0, 0, 1, 5, 100]);
        self.pick_u16(&[0, 1, 2, 3, 4, 5, 5, 16, 100]);
        match kind & 0xf {
            // LAN emulation behind a client's identifier, LLC, signalling.
            1 => {
                self.random(2);
                self.ethernet();
            }
            2 => self.llc(),
            _ => {
                self.random(5);
                self.pick_u8(&[0x02, 0x05, 0x07, 0x0f, 0x4d, 0x5a, 0x00]);
                self.random(20);
            }
        }
    }

    fn apple_firewire(&mut self) {
        self.random(16);
        self.payload_by_ethertype(0);
    }

    fn mtp(&mut self, dlt: i32) {
        self.random(match dlt {
            139 => 4,
            197 => 20,
            _ => 0,
        });
        self.random(2);
        self.pick_u8(&[0, 1, 2, 3, 5, 40]);
        self.random(12);
    }

    fn bacnet(&mut self) {
        self.u16(0x55ff);
        self.pick_u8(&[0, 5, 6]);
        self.pick_u8(&[0xff, 0, 0xa9, 1]);
        self.pick_u8(&[0xff, 0, 0xa9, 1]);
        self.random(35);
    }

    fn ipnet(&mut self) {
        self.random(2);
        self.pick_u8(&[1, 2]);
        self.random(1);
        self.random(20);
        self.ip_any();
    }

    fn netanalyzer(&mut self, dlt: i32) {
        self.zeros(4);
        if dlt == 241 {
            self.bytes.extend([0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5]);
        }
        self.ethernet();
    }

    fn dsa(&mut self) {
        self.mac();
        self.mac();
        let tag =
            self.rng.pick(&[[0x00, 0, 0, 0], [0x40, 0, 0, 1], [0xc0, 0, 0, 5], [0x60, 1, 2, 3]]);
        self.bytes.extend(tag);
        self.payload_by_ethertype(0);
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
        self.wlan();
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

    pub(super) fn llc(&mut self) {
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

    pub(super) fn iso(&mut self) {
        self.pick_u8(&[0x81, 0x82, 0x83, 0x83]);
        self.random(3);
        self.pick_u8(&[15, 16, 17, 18, 20, 24, 25, 26, 27]);
        self.random(20);
    }

    pub(super) fn ppp(&mut self, dlt: i32) {
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
}
