//! Relations between arithmetic expressions, and lengths.

use super::{ALONE, Filters, standing_alone, two_texts, words};

const INDEXABLE: [&str; 32] = [
    "ether", "link", "ip", "ip", "ip6", "ip6", "tcp", "tcp", "udp", "udp", "icmp", "icmp6", "sctp",
    "arp", "rarp", "igmp", "igrp", "pim", "vrrp", "carp", "atalk", "decnet", "lat", "sca", "moprc",
    "mopdl", "wlan", "fddi", "tr", "ppp", "slip", "radio",
];

impl Filters<'_> {
    pub(super) fn length(&mut self) -> String {
        let n = self.rng.pick(&[0, 14, 34, 60, 64, 100, 1500]);
        match self.rng.below(4) {
            0 => format!("less {n}"),
            1 => format!("greater {n}"),
            2 => {
                let op = self.rng.pick(&["<", "<=", ">", ">=", "=", "!="]);
                self.arithmetic(format!("len {op} {n}"))
            }
            _ => {
                // Not 2 and 4, where ARCnet has its type.
                let (at, value) = (n % 64, self.rng.below(256));
                match self.rng.pick(&["=", "<", ">", "&", "|"]) {
                    // Without the load before 1.11.
                    op @ ("&" | "|") => {
                        self.scribbled |= self.moved;
                        two_texts(
                            &format!("byte {at} {op} {value}"),
                            &format!("{ALONE}(link[{at}] {op} {value} != 0)"),
                        )
                    }
                    op => format!("byte {at} {op} {value}"),
                }
            }
        }
    }

    /// In 1.10, arithmetic writes registers that geneve's and the like read when they were not
    /// entered, and the registers of the link layer's length: it is to be asked separately where
    /// that can happen.
    pub(super) fn arithmetic(&mut self, text: String) -> String {
        if self.moved {
            self.scribbled = true;
            return text;
        }
        let variable = matches!(self.dlt, 105 | 117 | 119 | 127 | 163 | 192);
        if self.tunnels || variable { standing_alone(&text) } else { text }
    }

    pub(super) fn relation(&mut self) -> String {
        if self.rng.percent(25) {
            return self
                .rng
                .pick(&[
                    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
                    "tcp[tcpflags] == tcp-syn",
                    "tcp[13] & 0x12 = 0x12",
                    "icmp[icmptype] = icmp-echo",
                    "icmp[icmptype] != icmp-echoreply",
                    "icmp6[icmp6type] = icmp6-neighborsolicit",
                    "ip[6:2] & 0x1fff = 0",
                    "ip[0] & 0xf != 5",
                    "ether[0] & 1 = 0",
                    "ether[12:2] > 1500",
                    "ip[2:2] - ((ip[0]&0xf)<<2) != 0",
                    "ip[8] < 5",
                    "tcp[((tcp[12]&0xf0)>>2):4] = 0x47455420",
                    "udp[4:2] > 512",
                    "ip6[6] = 6",
                    "ip[12:4] = ip[16:4]",
                    "tcp[0:2] = tcp[2:2]",
                    "link[0] != 0",
                    "icmp[icmpcode] = 1",
                    "icmp6[icmp6code] != 0",
                ])
                .to_owned();
        }
        let op = self.rng.pick(&["=", "==", "!=", "<", "<=", ">", ">="]);
        if self.rng.percent(10) {
            let (field, names) = self.rng.pick(&words::NAMED);
            let name = self.rng.pick(names);
            let and = self.rng.pick(&["", "& 0x3f ", "& 0xff "]);
            return format!("{field} {and}{op} {name}");
        }
        let (left, right) = (self.arith(0), self.arith(2));
        format!("{left} {op} {right}")
    }

    fn arith(&mut self, depth: u32) -> String {
        const NUMBERS: [&str; 14] = [
            "0",
            "1",
            "2",
            "0xf",
            "0xff",
            "0x0f00",
            "6",
            "17",
            "255",
            "1500",
            "0xffff",
            "0xffffffff",
            "4",
            "0x80000000",
        ];
        match self.rng.below(10) {
            0..=3 => {
                let proto = self.rng.pick(&INDEXABLE);
                let at = match self.rng.below(8) {
                    0 if depth < 2 => self.arith(depth + 2),
                    _ => self.rng.below(24).to_string(),
                };
                let size = self.rng.pick(&["", "", ":1", ":2", ":4"]);
                format!("{proto}[{at}{size}]")
            }
            4..=6 if depth < 3 => {
                let op =
                    self.rng.pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "&", "+"]);
                let left = self.arith(depth + 1);
                // Divisors and shifts are mostly constants: zero is an error when known.
                let right = if "/%<>".contains(&op[..1]) && self.rng.percent(80) {
                    self.rng.pick(&["1", "2", "3", "8", "31"]).to_owned()
                } else {
                    self.arith(depth + 1)
                };
                if self.rng.percent(50) {
                    format!("({left} {op} {right})")
                } else {
                    format!("{left} {op} {right}")
                }
            }
            7 if depth < 3 => format!("- {}", self.arith(depth + 1)),
            8 => "len".to_owned(),
            _ => self.rng.pick(&NUMBERS).to_owned(),
        }
    }
}
