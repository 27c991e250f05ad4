//! Where our verdicts may differ from libpcap 1.10's: the lines of docs/COMPAT.md, as conditions
//! that a filter or a packet must meet.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use fuzz::filters;
use fuzz::trace::{self, End};
use fuzz::{Insn, Rng, guided};
use oracle::Oracle;
use pcap::bpf::{Aux, Filter};

use crate::reference::{self, Question};
use crate::support;

/// Why it is right to accept what libpcap 1.10 refuses with this text.
pub fn may_accept(error: &str, question: &Question) -> Option<&'static str> {
    const DSA_TAGS: [i32; 2] = [281, 284];
    const BACNET_MS_TP: i32 = 165;
    let has = |words: &[&str]| words.iter().any(|word| question.text.contains(word));
    match error {
        // Libpcap takes the first number of an operand for all of it.
        "shift by more than 31 bits" if has(&["<<", ">>"]) => Some("shifts that are not constant"),
        "division by zero" if has(&["/"]) => Some("divisors that are not constant"),
        "modulus by zero" if has(&["%"]) => Some("divisors that are not constant"),
        // An unknown word, or somebody's name.
        _ if has(&["vxlan"])
            && (error.contains("syntax error")
                || error.contains("'vxlan'")
                || error.ends_with("link-level host name")) =>
        {
            Some("vxlan")
        }
        "not a broadcast link" if question.dlt == BACNET_MS_TP => Some("broadcasts of BACnet"),
        _ if DSA_TAGS.contains(&question.dlt) => Some("tags of switches"),
        _ => None,
    }
}

/// Why it is right to refuse with this text what libpcap 1.10 accepts.
pub fn may_refuse(error: &str, text: &str) -> Option<&'static str> {
    if error.contains(" greater than maximum ") {
        return Some("numbers that fit no field");
    }
    if error == "link-layer type filtering not implemented for DLT_BACNET_MS_TP (BACnet MS/TP)" {
        return Some("BACnet has no protocol field");
    }
    // Said as a comparison to libpcap, which knows no better.
    if error.starts_with("'link host $XX' not supported") {
        return Some("ARCnet addresses inside of tunnels");
    }
    // 1.10 takes the first two numbers of any more.
    if error.starts_with("invalid DECnet address") {
        return Some("DECnet addresses of more than two numbers");
    }
    // Only the kernel knows.
    let ancillary = ["inbound", "outbound", "ifindex"].iter().any(|word| text.contains(word));
    (error.starts_with("not a live capture") && ancillary)
        .then_some("direction without a live capture")
}

/// A filter, and the programs for it, not optimized and optimized: ours and libpcap's.
pub struct Case<'a> {
    filter: &'a filters::Filter,
    question: Question,
    own: &'a [Vec<Insn>; 2],
    plain: &'a [Insn],
    best: &'a [Insn],
    /// The filter or a part of it in other words, compiled when first needed.
    others: HashMap<String, Option<Rc<[Insn]>>>,
}

/// A packet as a filter gets it.
#[derive(Clone, Copy)]
struct Packet<'a> {
    bytes: &'a [u8],
    length: u32,
}

impl Packet<'_> {
    /// The verdict of an interpreter whose memory is zero at the start.
    fn verdict_with_zeros(self, program: &[Insn]) -> u32 {
        let program = support::program(program);
        Filter::new(&program).run(self.bytes, self.length, &Aux::default())
    }

    fn decides(self, program: &[Insn], rng: &mut Rng) -> bool {
        guided::bytes_decide(program, self.bytes, self.length, rng)
    }
}

impl<'a> Case<'a> {
    pub fn new(
        filter: &'a filters::Filter,
        question: Question,
        own: &'a [Vec<Insn>; 2],
        reference: &'a [Vec<Insn>; 2],
    ) -> Self {
        let [plain, best] = reference;
        Self { filter, question, own, plain, best, others: HashMap::new() }
    }

    /// Compares the verdicts of our programs, not optimized and optimized, with libpcap's.
    /// Gives libpcap's, and the rule by which ours differs; `Err` if there is none.
    pub fn judge(
        &mut self,
        bytes: &[u8],
        length: u32,
        own: [u32; 2],
        oracle: &mut Oracle,
        rng: &mut Rng,
    ) -> Result<(bool, Option<&'static str>), String> {
        let Some(shown) = self.question.show(bytes) else {
            let rule = Some("packets of PPI without 802.11");
            return if own == [0, 0] { Ok((false, rule)) } else { Err("0".to_owned()) };
        };
        let packet = Packet { bytes: &shown, length };
        let plain = end(self.plain, packet);
        let mut rule = None;
        for own in own {
            if own == verdict(plain) && plain != End::Unwritten {
                continue;
            }
            let why = self.rule(packet, plain, own, oracle, rng);
            rule = Some(why.ok_or_else(|| format!("{plain:?} {:?}", end(self.best, packet)))?);
        }
        Ok((verdict(plain) != 0, rule))
    }

    /// Why a verdict of ours is right that differs from that of libpcap's unoptimized program.
    fn rule(
        &mut self,
        packet: Packet<'_>,
        plain: End,
        own: u32,
        oracle: &mut Oracle,
        rng: &mut Rng,
    ) -> Option<&'static str> {
        if plain == End::Lost {
            return Some("libpcap follows a chain of protocols for ever");
        }
        if plain == End::Unwritten {
            // A word that was never written is zero, if anything. But not even that says where the
            // headers of a tunnel are that was not entered.
            return Some(if own == packet.verdict_with_zeros(self.plain) {
                "libpcap reads memory that it never wrote"
            } else {
                "libpcap reads memory that it never wrote, and zeros give another verdict"
            });
        }
        if own != 0 && packet.decides(self.plain, rng) {
            return Some("packets whose bytes decide before they end");
        }
        if own == verdict(end(self.best, packet)) {
            return Some(if own == 0 {
                "rejected by libpcap's optimized program only"
            } else {
                "accepted by libpcap's optimized program only"
            });
        }
        if has_lasting_registers(self.question.dlt) {
            // The length of the outer headers is computed into a register of the tunnel's, and read
            // from one that nothing writes, or only arithmetic and another tunnel do.
            if ["pppoes", "geneve"].iter().any(|word| self.question.text.contains(word)) {
                return Some("registers of tunnels behind headers of variable length");
            }
            let text = registers_first(&self.question.text);
            if self.says(text, packet, own, oracle, rng) {
                return Some("registers of link layers that arithmetic had used");
            }
        }
        if reference::is_arcnet(self.question.dlt)
            && [0, 1].map(|i| end(&self.own[i], packet)) == [plain, End::Missing]
        {
            // On other link-layer types libpcap's optimizer moves such tests, too: here a second protocol
            // number, which is gone since, stands in its way.
            return Some("rejected by the optimized program only, on ARCnet");
        }
        if self.says(tunnels_after_zero(&self.question.text), packet, own, oracle, rng) {
            return Some("registers of tunnels that arithmetic had used");
        }
        if !self.filter.alone.is_empty() && self.says_by_terms(packet, own, oracle, rng) {
            return Some("terms that mean something else in their place");
        }
        if !self.filter.alone.is_empty() && own != 0 && packet.decides(&self.own[0], rng) {
            return Some("terms that mean something else in their place, and bytes that decide");
        }
        None
    }

    /// Whether libpcap has our verdict when asked about some terms separately. A packet that ends
    /// before the fields of such a term may be rejected; if not, the term must not matter.
    fn says_by_terms(
        &mut self,
        packet: Packet<'_>,
        own: u32,
        oracle: &mut Oracle,
        rng: &mut Rng,
    ) -> bool {
        let answers: Vec<_> = self.terms(packet, oracle);
        let open: Vec<_> = (0..answers.len()).filter(|&i| answers[i].is_none()).collect();
        if own == 0 && !open.is_empty() {
            return true;
        }
        (0..1u32 << open.len().min(8)).all(|choice| {
            let truth = |i: usize| match open.iter().position(|&at| at == i) {
                Some(bit) => choice >> bit & 1 != 0,
                None => answers[i] == Some(true),
            };
            let truths: Vec<_> = (0..answers.len()).map(truth).collect();
            let text = self.filter.with_truths(&truths);
            let text = if has_lasting_registers(self.question.dlt) {
                registers_first(&text)
            } else {
                text
            };
            self.says(text, packet, own, oracle, rng)
        })
    }

    /// Whether libpcap has our verdict when asked in other words.
    fn says(
        &mut self,
        text: String,
        packet: Packet<'_>,
        own: u32,
        oracle: &mut Oracle,
        rng: &mut Rng,
    ) -> bool {
        let Some(program) = self.other(text, oracle) else { return false };
        match end(&program, packet) {
            // What it says had no meaning in the first place, and only seemed to.
            End::Unwritten => true,
            theirs => verdict(theirs) == own || own != 0 && packet.decides(&program, rng),
        }
    }

    /// The answers to the terms that stand alone; `None` where the packet is too short for one.
    fn terms(&mut self, packet: Packet<'_>, oracle: &mut Oracle) -> Vec<Option<bool>> {
        let filter = self.filter;
        let ask = |range: &Range<usize>| {
            let term = &filter.reference[range.clone()];
            let lasting = has_lasting_registers(self.question.dlt);
            let text = if lasting { registers_first(term) } else { term.to_owned() };
            match end(&self.other(text, oracle)?, packet) {
                End::Returns(verdict) => Some(verdict != 0),
                _ => None,
            }
        };
        filter.alone.iter().map(ask).collect()
    }

    fn other(&mut self, text: String, oracle: &mut Oracle) -> Option<Rc<[Insn]>> {
        if !self.others.contains_key(&text) {
            let question = self.question.in_other_words(text.clone());
            let program = reference::plain(&question, oracle).map(Rc::from);
            self.others.insert(text.clone(), program);
        }
        self.others[&text].clone()
    }
}

/// The same filter, with the registers of the link layer taken before those of any arithmetic.
fn registers_first(text: &str) -> String {
    format!("(greater 0 or host 10.0.0.1) and ({text})")
}

/// The same filter, with a comparison with 0 in front of each `geneve` (1.10 has no `vxlan`). What arithmetic, or a
/// direction on SLIP, leaves in a register is where libpcap looks for the headers of a tunnel that was not entered.
fn tunnels_after_zero(text: &str) -> String {
    const TUNNEL: &str = "geneve";
    let mut parts = text.split(TUNNEL);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let behind = part.trim_start();
        let digits = behind.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(behind.len());
        let has_number = behind.starts_with(|c: char| c.is_ascii_digit());
        let (number, rest) =
            part.split_at(if has_number { part.len() - behind.len() + digits } else { 0 });
        whole += &format!("(len >= 0 and {TUNNEL}{number}){rest}");
    }
    whole
}

/// Whether link-layer headers have a variable length, which registers hold.
fn has_lasting_registers(dlt: i32) -> bool {
    const PFLOG: i32 = 117;
    const WLAN: [i32; 5] = [105, 119, 127, 163, 192];
    dlt == PFLOG || WLAN.contains(&dlt)
}

fn verdict(end: End) -> u32 {
    match end {
        End::Returns(verdict) => verdict,
        _ => 0,
    }
}

fn end(program: &[Insn], Packet { bytes, length }: Packet<'_>) -> End {
    trace::run(program, trace::View { bytes, length, imagined: None })
}
