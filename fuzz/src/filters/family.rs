//! Terms that only some link-layer types have.

use super::{Family, Filters, MACS, two_texts};

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
                1 => self
                    .rng
                    .pick(&["multicast", "broadcast", "ether multicast", "ether broadcast"])
                    .to_owned(),
                2 => self.proto_number(),
                _ => self
                    .rng
                    .pick(&["llc", "llc ui", "stp", "iso", "ipx", "atalk", "arp"])
                    .to_owned(),
            },
            Family::Wlan => self.wlan(),
            Family::Atm => match self.rng.below(3) {
                0 => self
                    .rng
                    .pick(&[
                        "lane",
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
                    ])
                    .to_owned(),
                1 => self.value_test("vpi"),
                _ => self.value_test("vci"),
            },
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
            Family::Pflog => self
                .rng
                .pick(&[
                    "on em0",
                    "ifname em1",
                    "rset x",
                    "ruleset foo",
                    "rnr 5",
                    "rulenum 7",
                    "srnr 3",
                    "reason match",
                    "reason short",
                    "action pass",
                    "action block",
                    "action rdr",
                    "inbound",
                    "outbound",
                    "reason 3",
                ])
                .to_owned(),
            Family::Arcnet => {
                // Before 1.11 the `$` was taken for a digit.
                let address = self.rng.pick(&["ff", "0", "a9", "1"]);
                let relation = |at: u32| format!("link[{at}] = 0x{address}");
                // ARCnet: source, destination; BACnet after a preamble and a type: destination, source.
                let (src, dst) = match self.dlt {
                    165 => (relation(4), relation(3)),
                    _ => (relation(0), relation(1)),
                };
                let (dir, reference) = self.rng.pick(&[
                    ("", "or"),
                    ("src ", "src"),
                    ("dst ", "dst"),
                    ("src or dst ", "or"),
                    ("src and dst ", "and"),
                ]);
                let reference = match reference {
                    "src" => format!("({src})"),
                    "dst" => format!("({dst})"),
                    both => format!("({src} {both} {dst})"),
                };
                two_texts(&format!("link {dir}host ${address}"), &reference)
            }
            Family::Directed => {
                self.rng.pick(&["inbound", "outbound", "ip", "ether multicast"]).to_owned()
            }
        }
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
        let dir = self
            .rng
            .pick(&["", "src ", "dst ", "addr1 ", "addr2 ", "addr3 ", "addr4 ", "ra ", "ta "]);
        match self.rng.below(6) {
            0..=2 => {
                // `wlan host`, but `wlan addr1`.
                let kind = if dir.is_empty() { "host " } else { "" };
                format!("wlan {dir}{kind}{}", self.values(|r| r.pick(&MACS).to_owned()))
            }
            3 => format!(
                "type {}",
                self.rng.pick(&["mgt", "ctl", "data", "0", "4", "8", "management"])
            ),
            4 => format!(
                "subtype {}",
                self.rng.pick(&[
                    "beacon",
                    "ack",
                    "rts",
                    "data",
                    "qos-data",
                    "null",
                    "probe-req",
                    "deauth",
                    "ps-poll"
                ])
            ),
            _ => self
                .rng
                .pick(&[
                    "dir nods",
                    "dir tods",
                    "dir fromds",
                    "dir dstods",
                    "dir 3",
                    "type mgt subtype probe-resp",
                    "type data subtype qos",
                    "type ctl subtype cts",
                    "wlan multicast",
                    "wlan broadcast",
                    "multicast",
                    "llc",
                ])
                .to_owned(),
        }
    }
}
