//! Terms that only some link-layer types have.

use super::{Family, Filters, MACS, standing_alone, two_texts, words};

/// Which address of an 802.11 header.
const WLAN_ADDRESSES: [&str; 15] = [
    "",
    "src ",
    "dst ",
    "src or dst ",
    "src and dst ",
    "addr1 ",
    "addr2 ",
    "addr3 ",
    "addr4 ",
    "address1 ",
    "address2 ",
    "address3 ",
    "address4 ",
    "ra ",
    "ta ",
];

impl Filters<'_> {
    pub(super) fn of_family(&mut self) -> String {
        match self.family {
            Family::Plain => "ip".to_owned(),
            Family::Ethernet => match self.rng.below(4) {
                0 => format!(
                    "ether {}host {}",
                    self.direction(),
                    self.values(|r| r.pick(&MACS).to_owned())
                ),
                1 => self.casts(),
                2 => self.proto_number(),
                _ => self
                    .rng
                    .pick(&["llc", "llc ui", "stp", "iso", "ipx", "atalk", "arp"])
                    .to_owned(),
            },
            Family::Wlan => self.wlan(),
            Family::Atm => self.atm(),
            Family::Mtp => match self.rng.below(3) {
                0 => self
                    .rng
                    .pick(&["fisu", "lssu", "msu", "hfisu", "hlssu", "hmsu", "lsu"])
                    .to_owned(),
                1 => {
                    let field = self.rng.pick(&["sio", "hsio"]);
                    self.value_test(field)
                }
                _ => {
                    let field = self.rng.pick(&["opc", "dpc", "hopc", "hdpc", "sls", "hsls"]);
                    match self.rng.pick(&["1", "> 2", "!= 7", "(1 or 2)", "<= 3"]) {
                        "!= 7" => two_texts(&format!("{field} != 7"), &format!("(not {field} 7)")),
                        value => format!("{field} {value}"),
                    }
                }
            },
            Family::Pflog => self.pflog(),
            Family::Arcnet => self.station(),
            Family::Directed => match self.rng.below(8) {
                0..=5 => self.sent_or_received(),
                6 => format!("ifindex {}", self.rng.pick(&[1, 2, 7])),
                _ => self.rng.pick(&["ip", "ether multicast"]).to_owned(),
            },
        }
    }

    fn sent_or_received(&mut self) -> String {
        let (word, outbound) = self.rng.pick(&[("inbound", false), ("outbound", true)]);
        // Of switches' tags, 1.10 knows nothing.
        let (mask, sent) = match self.dlt {
            281 => (0xe0, 0x20),
            284 => (0x40, 0x40),
            _ => return word.to_owned(),
        };
        if self.moved {
            return word.to_owned();
        }
        let value = if outbound { sent } else { 0 };
        two_texts(word, &format!("(link[12] & {mask} = {value})"))
    }

    fn atm(&mut self) -> String {
        let moved = self.moved;
        let text = match self.rng.below(3) {
            0 => self
                .rng
                .pick(&[
                    "metac",
                    "bcc",
                    "sc",
                    "ilmic",
                    "oam",
                    "oamf4",
                    "oamf4ec",
                    "oamf4sc",
                    "connectmsg",
                    "metaconnect",
                    "lane",
                    "lane",
                ])
                .to_owned(),
            1 => self.value_test("vpi"),
            _ => self.value_test("vci"),
        };
        match &*text {
            // To libpcap a second one is behind the first.
            "lane" if moved => standing_alone("metac"),
            "lane" => {
                self.moved = true;
                text
            }
            _ if moved && !text.contains(super::START) => standing_alone(&text),
            // Said in other words already.
            _ if moved => "ip".to_owned(),
            _ => text,
        }
    }

    fn pflog(&mut self) -> String {
        match self.rng.below(3) {
            0 => format!("reason {}", self.rng.pick(&words::REASONS)),
            1 => format!("action {}", self.rng.pick(&words::ACTIONS)),
            _ => self
                .rng
                .pick(&[
                    "on em0",
                    "ifname em1",
                    "rset x",
                    "ruleset foo",
                    "rnr 5",
                    "rulenum 7",
                    "srnr 3",
                    "subrulenum 0",
                    "inbound",
                    "outbound",
                ])
                .to_owned(),
        }
    }

    /// ARCnet's and BACnet's addresses of one byte.
    fn station(&mut self) -> String {
        if self.dlt == 165 && self.rng.percent(20) {
            return self.broadcast();
        }
        let dir = self.rng.pick(&["", "src ", "dst ", "src or dst ", "src and dst "]);
        if self.dlt != 165 {
            // 1.10 takes the `$` for a digit, 0xd, and forgets the last one.
            let low = self.rng.pick(&["2", "9", "a", "f"]);
            return two_texts(
                &format!("link {dir}host $d{low}"),
                &format!("link {dir}host ${low}0"),
            );
        }
        // After a preamble and a type: destination, source. New in 1.11.
        let address = self.rng.pick(&["ff", "0", "a9", "1"]);
        let (src, dst) = (format!("link[4] = 0x{address}"), format!("link[3] = 0x{address}"));
        let reference = match dir {
            "src " => format!("({src})"),
            "dst " => format!("({dst})"),
            "src and dst " => format!("({src} and {dst})"),
            _ => format!("({src} or {dst})"),
        };
        two_texts(&format!("link {dir}host ${address}"), &reference)
    }

    fn value_test(&mut self, field: &str) -> String {
        let n = self.rng.below(256);
        match self.rng.below(3) {
            0 => format!("{field} {n}"),
            1 => match self.rng.pick(&["=", "!=", "<", "<=", ">", ">="]) {
                // The opposite before 1.11.
                "!=" => two_texts(&format!("{field} != {n}"), &format!("(not {field} {n})")),
                op => format!("{field} {op} {n}"),
            },
            _ => format!("{field} ({n} or {})", self.rng.below(200)),
        }
    }

    fn wlan(&mut self) -> String {
        let dir = self.rng.pick(&WLAN_ADDRESSES);
        match self.rng.below(6) {
            0..=2 => {
                // `wlan host`, but `wlan addr1`.
                let kind = if dir.is_empty() { "host " } else { "" };
                format!("wlan {dir}{kind}{}", self.values(|r| r.pick(&MACS).to_owned()))
            }
            3 => {
                let ty =
                    self.rng.pick(&["mgt", "ctl", "data", "0", "4", "8", "management", "control"]);
                let wlan = self.rng.pick(&["", "wlan "]);
                format!("{wlan}type {ty}")
            }
            4 => self.subtype(),
            _ => self
                .rng
                .pick(&[
                    "dir nods",
                    "dir tods",
                    "dir fromds",
                    "dir dstods",
                    "dir 3",
                    "direction tods",
                    "dir 0",
                    "wlan multicast",
                    "wlan broadcast",
                    "multicast",
                    "llc",
                ])
                .to_owned(),
        }
    }

    fn subtype(&mut self) -> String {
        let (ty, names) = self.rng.pick(&words::SUBTYPES);
        let name = self.rng.pick(names);
        match self.rng.below(8) {
            0..=2 => format!("type {ty} subtype {name}"),
            // New in 1.11.
            3 => {
                let (name, number) = self.rng.pick(&[("bar", 0x80), ("ba", 0x90)]);
                two_texts(&format!("subtype {name}"), &format!("type ctl subtype {number}"))
            }
            _ => format!("subtype {name}"),
        }
    }
}
