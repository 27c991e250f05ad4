//! What libpcap 1.10 has to say about a filter of today, and where that is no reference.

use oracle::{CompileOptions, Oracle};
use pcap::bpf::Insn;

use crate::combined::Words;

const DSA_TAG_BRCM: i32 = 281;
const DSA_TAG_DSA: i32 = 284;

/// Compiles with libpcap; `None` where it refuses the filter or crashes.
pub fn compile(oracle: &mut Oracle, words: &Words, dlt: i32, optimize: bool) -> Option<Vec<Insn>> {
    // DSA tags, of which 1.10 knows little, are four bytes behind the addresses of Ethernet.
    let tagged = matches!(dlt, DSA_TAG_BRCM | DSA_TAG_DSA);
    let trade = has_any_port(&words.reference);
    let mut text = translate(&words.reference, dlt);
    if trade {
        text = trade_names(&text);
    }
    let dlt = if tagged { 1 } else { dlt };
    let options = CompileOptions { dlt, optimize, ..CompileOptions::ethernet() };
    let insns = oracle.try_compile(&text, &options)?.ok()?;
    let insn = |i: &oracle::Insn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    let mut listing: Vec<Insn> = insns.iter().map(insn).collect();
    if trade {
        listing.iter_mut().for_each(trade_numbers);
    }
    if tagged {
        listing.iter_mut().for_each(behind_tag);
    }
    Some(listing)
}

/// Fills in what the words leave to the link-layer type.
fn translate(text: &str, dlt: i32) -> String {
    // `link host $XX` in arithmetic: source and destination; `dpc`.
    let [src, dst] = if dlt == 165 { ["4", "3"] } else { ["0", "1"] };
    let dpc = match dlt {
        139 => "8",
        197 => "24",
        _ => "4",
    };
    let text = text.replace("$src", src).replace("$dst", dst).replace("$dpc", dpc);
    if !matches!(dlt, 105 | 119 | 127 | 163) {
        return text;
    }
    // On 802.11 `llc` is `type data` today, but `llc ui` and the like are not.
    let words: Vec<&str> = text.split(' ').collect();
    let alone = |at: usize| {
        let next = words.get(at + 1).copied();
        words[at].ends_with(')') || matches!(next, None | Some("and" | "or"))
    };
    let words = words.iter().enumerate().map(|(at, word)| match word.trim_matches(['(', ')']) {
        "llc" if alone(at) => word.replace("llc", "type data"),
        _ => (*word).to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `port` asks for TCP, UDP and SCTP in this order, 1.10 asks for SCTP, TCP and UDP. So 1.10 is
/// asked for a filter in which these trade names, and its answer has them trade numbers back.
const NAMES: [(&str, &str); 3] = [("tcp", "sctp"), ("udp", "tcp"), ("sctp", "udp")];
const NUMBERS: [(u32, u32); 3] = [(132, 6), (6, 17), (17, 132)];

const JEQ_K: u16 = 0x15;

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn trade_names(text: &str) -> String {
    let mut traded = String::new();
    for piece in text.split_inclusive(|c| !is_word(c)) {
        let name = piece.trim_end_matches(|c| !is_word(c));
        match NAMES.iter().find(|(today, _)| *today == name) {
            Some((_, asked)) => traded.push_str(&piece.replacen(name, asked, 1)),
            None => traded.push_str(piece),
        }
    }
    traded
}

fn trade_numbers(insn: &mut Insn) {
    if let Some((_, today)) = NUMBERS.iter().find(|(asked, _)| *asked == insn.k)
        && insn.code == JEQ_K
    {
        insn.k = *today;
    }
}

/// Whether a filter has ports without a protocol.
fn has_any_port(text: &str) -> bool {
    let words: Vec<&str> = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        let before = match &words[..at] {
            [rest @ .., "src" | "dst", "or" | "and", "src" | "dst"] => rest,
            [rest @ .., "src" | "dst"] => rest,
            all => all,
        };
        let protocol = matches!(before.last(), Some(&("tcp" | "udp" | "sctp")));
        matches!(*word, "port" | "portrange") && !protocol
    })
}

/// Moves a load from the packet behind a DSA tag.
fn behind_tag(insn: &mut Insn) {
    let from_packet = matches!(insn.code & 0xe7, 0x20 | 0x40 | 0xa1);
    if from_packet && (12..1 << 31).contains(&insn.k) {
        insn.k += 4;
    }
}

/// Whether 1.10 compiles a filter to something else than the development line does, or to a
/// program that is wrong whatever its length: docs/COMPAT.md has each of these.
pub fn is_none(text: &str, dlt: i32, listings: [&[Insn]; 2]) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // A register that arithmetic takes is also that of the header's length; never written after
    // `pppoes` and `geneve`.
    let arithmetic = ["len ", "less ", "greater ", "byte ", "link", "ether[", "wlan[", "ip mult"];
    if matches!(dlt, 105 | 117 | 119 | 127 | 163 | 192)
        && (has(&arithmetic) || has(&["pppoes", "geneve"]))
    {
        return true;
    }
    // ATM fields behind the header entered last.
    if dlt == 123 && has(&["pppoes", "geneve", "lane"]) {
        return true;
    }
    // One number for IPv4 and IPv6: transport headers are looked for behind IPv6, too.
    let vague = matches!(dlt, 16 | 130..=138 | 164 | 165 | 167 | 168 | 174 | 178..=183 | 194 | 200 | 232..=234 | 238);
    if vague && has(&["tcp[", "udp[", "sctp[", "pim[", "vrrp["]) {
        return true;
    }
    // Ports ask for protocols in another order, and these numbers mean something else here.
    let numbers = ["decnet", "\\tcp", "\\udp", "ip6 proto", "proto 6 or"];
    if has_any_port(text) && has(&numbers) {
        return true;
    }
    match dlt {
        // Two numbers for IP and two for ARP on ARCnet.
        7 | 129
            if listings[1].iter().any(|insn| matches!((insn.code, insn.k), (JEQ_K, 240 | 241))) =>
        {
            true
        }
        // `llc` and `link host` are new there, 802.11's words in arithmetic and directions on DSA.
        192 => has(&["llc"]),
        165 if has(&["link "]) => true,
        DSA_TAG_BRCM | DSA_TAG_DSA if has(&["bound", "ether[", "link["]) => true,
        // IP is always there: libpcap 1.10 tests that, too.
        228 | 229 if is_same_behind_constant(listings) => true,
        _ => is_in_arithmetic(text) || is_in_another_order(text, listings),
    }
}

/// Whether the second listing is the first one but for the first instruction, which loads a constant that
/// nobody reads.
fn is_same_behind_constant([own, theirs]: [&[Insn]; 2]) -> bool {
    const LD_IMM: u16 = 0;
    const LD_ABS: [u16; 3] = [0x20, 0x28, 0x30];
    theirs[0].code == LD_IMM && LD_ABS.contains(&theirs[1].code) && own[1..] == theirs[1..]
}

/// Whether two listings are of the same instructions in another order, of a filter with `=` or `!=`. 1.10
/// compares for equality by testing a difference for 0. Its optimizer's first passes move branches
/// by that difference, so they see several relations of one value as tests of two.
fn is_in_another_order(text: &str, listings: [&[Insn]; 2]) -> bool {
    let sorted = listings.map(|listing| {
        let mut insns: Vec<_> = listing.iter().map(|insn| (insn.code, insn.k)).collect();
        insns.sort_unstable();
        insns
    });
    (text.contains(" = ") || text.contains(" != ")) && sorted[0] == sorted[1]
}

/// Whether 1.10 can be told a primitive in arithmetic only, which compiles to something else where
/// values share their tests, and takes scratch registers from other arithmetic; or
/// compiles comparisons with `=` so that they test a difference for 0.
fn is_in_arithmetic(text: &str) -> bool {
    ["byte 8 & 5", "ip multicast", "dpc", "link host", "link src", "link dst", "ifindex", "bound"]
        .iter()
        .any(|word| text.contains(word))
}
