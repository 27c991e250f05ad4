//! What libpcap is asked, and what it answers.

use fuzz::Insn;
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{self, Program};

use crate::rules;

/// Where a link-layer type is new, libpcap is asked for the same filter on one that differs by a
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The packet as it is.
    Whole,
    /// Without its first bytes.
    From(usize),
    /// Without the tag between addresses and type.
    WithoutTag,
    /// As it is, if it announces an 802.11 frame; otherwise no packet of the filter's.
    Wlan,
}

/// A filter for a link-layer type, and what part of a packet to show it.
#[derive(Clone, Debug)]
pub struct Question {
    pub text: String,
    pub dlt: i32,
    pub view: View,
    pub netmask: Option<u32>,
}

/// Programs unoptimized and optimized, or an error text.
pub enum Answer {
    Programs([Vec<Insn>; 2]),
    Error(String),
    Crash,
}

const LDB_ABS: u16 = 0x30;
const JEQ: u16 = 0x15;

const EN10MB: i32 = 1;
const ARCNET: i32 = 7;
const ARCNET_LINUX: i32 = 129;
const IEEE802_11_RADIO: i32 = 127;
const PPI: i32 = 192;
const NETANALYZER: i32 = 240;
const NETANALYZER_TRANSPARENT: i32 = 241;
const DSA_TAG_BRCM: i32 = 281;
const DSA_TAG_DSA: i32 = 284;
/// Known to libpcap, which knows nothing about its headers.
const USB_LINUX: i32 = 189;

impl Question {
    /// The same on a link-layer type of which libpcap knows more.
    fn elsewhere(&self, error: &str) -> Option<Self> {
        let (dlt, view) = match self.dlt {
            PPI if !self.text.contains("radio[") => (IEEE802_11_RADIO, View::Wlan),
            NETANALYZER => (EN10MB, View::From(4)),
            NETANALYZER_TRANSPARENT => (EN10MB, View::From(12)),
            DSA_TAG_BRCM | DSA_TAG_DSA if !shows_tag(&self.text) => (EN10MB, View::WithoutTag),
            _ if error.starts_with("unknown data link type") => (USB_LINUX, View::Whole),
            _ => return None,
        };
        Some(Self { dlt, view, ..self.clone() })
    }

    /// The same in other words.
    pub fn in_other_words(&self, text: String) -> Self {
        Self { text, ..self.clone() }
    }

    /// The part of a packet to show; `None` for a packet that is to be rejected.
    pub fn show(&self, packet: &[u8]) -> Option<Vec<u8>> {
        match self.view {
            View::Whole => Some(packet.to_vec()),
            View::From(start) => Some(packet.get(start..).unwrap_or_default().to_vec()),
            View::WithoutTag => {
                let (addresses, rest) = packet.split_at(packet.len().min(12));
                Some([addresses, rest.get(4..).unwrap_or_default()].concat())
            }
            View::Wlan => {
                packet.get(4..8).is_some_and(|dlt| dlt == [105, 0, 0, 0]).then(|| packet.to_vec())
            }
        }
    }
}

/// Whether a filter looks at bytes by their position in the packet.
fn shows_tag(text: &str) -> bool {
    const WORDS: [&str; 8] = ["link[", "ether[", "fddi[", "tr[", "wlan[", "ppp[", "slip[", "byte "];
    WORDS.iter().any(|word| text.contains(word))
}

/// Asks; if libpcap refuses the link-layer type, again in another way. Returns what it was that
/// got the answer.
pub fn ask(question: Question, oracle: &mut Oracle) -> (Question, Answer) {
    let dsa = matches!(question.dlt, DSA_TAG_BRCM | DSA_TAG_DSA);
    if dsa && question.text.contains("bound") {
        // Not refused, but taken for what only the kernel knows.
        return (question, Answer::Error("not a live capture".to_owned()));
    }
    let answer = compile(&question, oracle);
    if let Answer::Error(error) = &answer
        && let Some(other) = question.elsewhere(error)
    {
        let second = compile(&other, oracle);
        if matches!(second, Answer::Programs(_)) || other.dlt == USB_LINUX {
            return (other, second);
        }
        // Refused there, too, for what is right to accept: the packets stay as they are for our own programs.
        let acceptable = |error: &String| rules::may_accept(error, &other).is_some();
        if other.text.contains("vxlan") || matches!(&second, Answer::Error(e) if acceptable(e)) {
            return (question, second);
        }
    }
    (question, answer)
}

/// The program that libpcap makes of a filter without optimizing it.
pub fn plain(question: &Question, oracle: &mut Oracle) -> Option<Vec<Insn>> {
    match compile(question, oracle) {
        Answer::Programs([plain, _]) => Some(plain),
        Answer::Error(_) | Answer::Crash => None,
    }
}

fn compile(question: &Question, oracle: &mut Oracle) -> Answer {
    let mut programs = Vec::with_capacity(2);
    for optimize in [false, true] {
        let netmask = question.netmask.unwrap_or(u32::MAX);
        let ask =
            CompileOptions { dlt: question.dlt, netmask, optimize, ..CompileOptions::ethernet() };
        let Some(program) = oracle.try_compile(&question.text, &ask) else { return Answer::Crash };
        match program {
            Ok(program) => programs.push(program.iter().map(insn).collect()),
            Err(error) if error == REJECTS_ALL => programs.push(vec![REJECT]),
            // What only the optimizer refuses has a meaning nevertheless.
            Err(_) if optimize => programs.extend(programs.first().cloned()),
            Err(error) => return Answer::Error(error),
        }
    }
    let arcnet_type = match question.dlt {
        ARCNET => Some(2),
        ARCNET_LINUX => Some(4),
        _ => None,
    };
    if let Some(type_at) = arcnet_type {
        programs.iter_mut().for_each(|program| forget_rfc1051(program, type_at));
    }
    match <[Vec<Insn>; 2]>::try_from(programs) {
        Ok(programs) => Answer::Programs(programs),
        Err(_) => Answer::Crash,
    }
}

/// Whether a link-layer type is one of ARCnet's.
pub fn is_arcnet(dlt: i32) -> bool {
    matches!(dlt, ARCNET | ARCNET_LINUX)
}

/// Makes a program's tests for ARCnet's protocols of RFC 1051 fail always: since 1.11 there are
/// none.
fn forget_rfc1051(program: &mut [Insn], type_at: u32) {
    for at in 1..program.len() {
        // Optimized programs load once for several tests.
        let load = program[..at].iter().rfind(|insn| insn.code & 0x07 != 0x05);
        let tests_type = load.is_some_and(|load| (load.code, load.k) == (LDB_ABS, type_at));
        let test = &mut program[at];
        if tests_type && test.code == JEQ && test.k & !1 == 0xf0 {
            test.k = u32::MAX;
        }
    }
}

fn insn(insn: &oracle::Insn) -> Insn {
    Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k }
}

const REJECTS_ALL: &str = "expression rejects all packets";
const REJECT: Insn = Insn { code: 0x06, jt: 0, jf: 0, k: 0 };

/// The program that a filter stands for which was refused because it accepts nothing.
pub fn rejects_all(result: Result<Program, String>) -> Result<Program, String> {
    match result {
        Err(e) if e == REJECTS_ALL => Ok(Program::from_insns([bpf::Insn::stmt(0x06, 0)])),
        other => other,
    }
}
