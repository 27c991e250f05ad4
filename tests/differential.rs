//! The compiler against the system's libpcap: generated filters, packets that steer through the
//! programs of both, verdicts compared wherever libpcap's own two programs agree.
//!
//! `OXPCAP_FUZZ_SECONDS` makes it run that long with seeds of its own (`make fuzz`);
//! `OXPCAP_FUZZ_SEED` starts at a seed; `OXPCAP_FUZZ_LONGER` lists the programs that are longer
//! than libpcap's. A failure names the seed that repeats it.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use fuzz::{Rng, dlt, filters, guided, packets, trace};
use oracle::{CompileOptions, Insn as TheirInsn, Oracle};
use pcap::bpf::{Filter, Insn, Program, has_backward_jump};
use pcap::linktype::Dlt;
use support::{Table, build, fuzz_insns, hex, options, verdict};

/// Filters in an ordinary run, and packets for each.
const FILTERS: u64 = 20_000;
const PACKETS: usize = 200;

/// Failures after which a run stops.
const ENOUGH: usize = 40;

/// What came of the filters of a run.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
    /// Filters whose programs are longer than libpcap's.
    longer: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }
}

#[test]
fn verdicts_equal_libpcaps() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("OXPCAP_FUZZ_SECONDS");
    let clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos() as u64);
    let first = number("OXPCAP_FUZZ_SEED").unwrap_or(if seconds.is_some() { clock() } else { 1 });
    let filters = number("OXPCAP_FUZZ_FILTERS").unwrap_or(FILTERS);
    let end = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut oracle = Oracle::start();
    let mut tally = Tally::default();
    for i in 0u64.. {
        let more = match end {
            Some(end) => Instant::now() < end,
            None => i < filters,
        };
        if !more || tally.failures.len() >= ENOUGH {
            break;
        }
        one(first.wrapping_add(i), &mut oracle, &mut tally);
    }
    println!("first seed {first}: {:#?}", tally.counts);
    if std::env::var_os("OXPCAP_FUZZ_LONGER").is_some() {
        println!("{}", tally.longer.join("\n"));
    }
    // Ours are shorter by a third in all; the few longer ones must stay few.
    let longer = tally.longer.len() as u64;
    let filters = tally.counts.get("filters").copied().unwrap_or_default();
    assert!(longer <= 5 + filters / 500, "{longer} longer:\n{}", tally.longer.join("\n"));
    let failures = tally.failures.len();
    assert!(failures == 0, "{failures} failures:\n{}", tally.failures.join("\n"));
}

/// One filter and its packets.
fn one(seed: u64, oracle: &mut Oracle, tally: &mut Tally) {
    let mut rng = Rng::new(seed);
    let (name, dlt) = dlt::pick(&mut rng);
    let filter = filters::write(&mut rng, dlt);
    tally.count("filters", 1);
    let text = &filter.text;
    if let Err(failure) = compare(&filter, dlt, &mut rng, oracle, tally) {
        tally.failures.push(format!("seed {seed}, {name}, {text:?}: {failure}"));
    }
}

fn theirs(insns: &[TheirInsn]) -> Program {
    let insn = |i: &TheirInsn| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Program::from_insns(insns.iter().map(insn).collect::<Vec<_>>())
}

fn compare(
    filter: &filters::Filter,
    dlt: i32,
    rng: &mut Rng,
    oracle: &mut Oracle,
    tally: &mut Tally,
) -> Result<(), String> {
    let names = Table::default();
    let mut programs = Vec::new();
    for optimize in [false, true] {
        let ask = CompileOptions { dlt, optimize, ..CompileOptions::ethernet() };
        let Some(reference) = oracle.try_compile(&filter.reference, &ask) else {
            tally.count("libpcap crashed", 1);
            return Ok(());
        };
        let own =
            build(&filter.text, &options(Dlt(dlt), optimize), &names).map_err(|e| e.to_string());
        match (rejects_all(reference.map(|r| theirs(&r))), rejects_all(own)) {
            (Ok(reference), Ok(own)) => match changed(&filter.text, dlt) {
                Some(why) => {
                    tally.count(why, 1);
                    programs.push((own.clone(), own));
                }
                None => programs.push((reference, own)),
            },
            (Err(reference), Err(own)) => {
                tally.count(if reference == own { "same error" } else { "other error" }, 1);
                return Ok(());
            }
            (Ok(_), Err(own)) => match excuse_own(&own) {
                Some(why) => {
                    tally.count(why, 1);
                    return Ok(());
                }
                None => return Err(format!("refused: {own}")),
            },
            (Err(reference), Ok(own)) => match excuse(&reference, dlt) {
                // Without a reference ours still agree with each other.
                Some(why) => {
                    tally.count(why, 1);
                    programs.push((own.clone(), own));
                }
                None => return Err(format!("accepted; libpcap says {reference}")),
            },
        }
    }
    let [(plain, own_plain), (best, own_best)] = &programs[..] else { return Ok(()) };
    let (shortest, own_shortest) = (best.insns().len() as u64, own_best.insns().len() as u64);
    tally.count("instructions of libpcap", shortest);
    tally.count("instructions", own_shortest);
    if own_shortest > shortest {
        tally.count("longer programs", 1);
        tally.longer.push(format!("{own_shortest} for {shortest}: {dlt} {:?}", filter.text));
    }
    verdicts(&filter.text, &[plain, best, own_plain, own_best], dlt, rng, tally)
}

/// The program that a filter stands for which was refused because it accepts nothing.
fn rejects_all(result: Result<Program, String>) -> Result<Program, String> {
    match result {
        Err(e) if e == "expression rejects all packets" => {
            Ok(Program::from_insns([Insn::stmt(0x06, 0)]))
        }
        other => other,
    }
}

/// Why it is right to accept what libpcap 1.10 refuses with this text; see docs/COMPAT.md.
fn excuse(error: &str, dlt: i32) -> Option<&'static str> {
    const DSA_TAG_BRCM: i32 = 281;
    const DSA_TAG_DSA: i32 = 284;
    const PPI: i32 = 192;
    let llc = error.starts_with("'llc' not supported for Ethernet with Hilscher");
    if matches!(dlt, DSA_TAG_BRCM | DSA_TAG_DSA | PPI)
        || llc
        || error == "aid supported only on ARCnet"
        || error.starts_with("unknown data link type")
        || (dlt == 165 && error == "not a broadcast link")
    {
        return Some("link-layer types of newer versions");
    }
    let arithmetic = ["shift by more than 31 bits", "division by zero", "modulus by zero"];
    arithmetic.contains(&error).then_some("arithmetic that libpcap misjudges")
}

/// Why it is right to refuse with this text what libpcap 1.10 accepts; see docs/COMPAT.md.
fn excuse_own(error: &str) -> Option<&'static str> {
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
    // After `geneve`, whose payload is Ethernet, on a dead handle.
    error.starts_with("not a live capture").then_some("direction without a live capture")
}

/// Why the meaning of a filter is another since libpcap 1.10; see docs/COMPAT.md.
fn changed(text: &str, dlt: i32) -> Option<&'static str> {
    let has = |words: &[&str]| {
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word))
    };
    if has(&["isis", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp"]) {
        return Some("IS-IS PDU types are five bits");
    }
    if matches!(dlt, 281 | 284) && has(&["inbound", "outbound"]) {
        return Some("direction in DSA tags");
    }
    if matches!(dlt, 139 | 140 | 197) && has(&["dpc", "hdpc"]) {
        return Some("MTP3 destinations are two bytes");
    }
    let juniper = matches!(dlt, 130..=138 | 164 | 167 | 168 | 174 | 178..=183 | 194);
    // Nor can BACnet's link layer tell them apart.
    let vague = juniper || dlt == 165;
    if vague && ["tcp[", "udp[", "sctp[", "pim["].iter().any(|index| text.contains(index)) {
        return Some("headers after IPv4 are not looked for after IPv6");
    }
    None
}

/// Why ours is the right verdict although libpcap's is another; see docs/COMPAT.md.
fn excuse_packet(
    text: &str,
    dlt: i32,
    packet: &[u8],
    filters: &[Filter; 4],
) -> Option<&'static str> {
    let same = |packet: &[u8]| {
        let all = filters.each_ref().map(|f| verdict(f, packet));
        // Where libpcap's own differ, as with `not net A or A`, nothing can be said either.
        all[0] != all[1] || all.iter().all(|v| *v == all[0])
    };
    let mut longer = packet.to_vec();
    longer.resize(packet.len() + 64, 0);
    let protocol = match dlt {
        7 => packet.get(2),
        129 => packet.get(4),
        _ => None,
    };
    if matches!(protocol, Some(240 | 241)) {
        return Some("packets of old ARCnet protocols");
    }
    // On link layers of variable length, arithmetic that does not look behind the link layer.
    let arithmetic = text.contains(['<', '>', '=', '[']) || text.contains("byte ");
    if matches!(dlt, 105 | 117 | 119 | 127 | 163 | 192) && arithmetic {
        return Some("scratch registers that are used twice");
    }
    let tunnelled = ["pppoes", "geneve", "vxlan"].iter().any(|word| text.contains(word));
    // Libpcap forgets, once a primitive moved the headers, that PPI is to carry 802.11.
    if dlt == 192 && tunnelled && packet.get(4..8) != Some(&[105, 0, 0, 0]) {
        return Some("PPI without 802.11");
    }
    // Said in arithmetic to 1.10, which writes the registers of a tunnel that was not entered.
    let said_in_arithmetic = text.contains("host $") || text.contains("ip multicast");
    if tunnelled && said_in_arithmetic {
        return Some("scratch registers that are used twice");
    }
    // Having looked behind IPv6 too, 1.10 does not know that two protocols exclude each other.
    let indexed = ["tcp[", "udp[", "sctp["].iter().any(|index| text.contains(index));
    if dlt == 16 && indexed && same(&longer) {
        return Some("headers after IPv4 are not looked for after IPv6");
    }
    // An outbound packet is taken for an inbound one when 1.10 knows the direction.
    let juniper = matches!(dlt, 130..=138 | 164 | 167 | 168 | 174 | 178..=183 | 194);
    if juniper && text.contains("bound") && same(&longer) {
        return Some("directions of Juniper's that are known already");
    }
    if dlt == 123 && atm_after_headers_moved(text) {
        return Some("ATM fields behind another header");
    }
    // Words of which the mask leaves nothing are not loaded, nor is what only a test for an old
    // protocol of ARCnet made necessary: packets that end before it.
    let loads_less = text.contains("net ") || matches!(dlt, 7 | 129);
    if loads_less && same(&longer) {
        return Some("packets cut off before words that do not matter");
    }
    // One question each in newer versions, two that know nothing of each other in 1.10.
    let one_question = text.contains("mpls") || has_range_of_one(text);
    if one_question && same(&longer) {
        return Some("packets cut off before what is decided already");
    }
    // Link layers that cannot carry some protocols: terms that a constant decides are not there.
    let constants = matches!(dlt, 0 | 8 | 12 | 15 | 107..=109 | 114 | 117 | 226 | 228 | 229);
    (constants && same(&longer)).then_some("packets cut off before terms that do not matter")
}

/// Whether an ATM primitive comes after one that moves the headers.
fn atm_after_headers_moved(text: &str) -> bool {
    const MOVERS: [&str; 4] = ["lane", "pppoes", "geneve", "vxlan"];
    const ATM: [&str; 13] = [
        "lane",
        "vpi",
        "vci",
        "metac",
        "bcc",
        "sc",
        "ilmic",
        "oamf4ec",
        "oamf4sc",
        "oam",
        "oamf4",
        "connectmsg",
        "metaconnect",
    ];
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .skip_while(|word| !MOVERS.contains(word))
        .skip(1)
        .any(|word| ATM.contains(&word))
}

/// Whether a range of ports holds one port.
fn has_range_of_one(text: &str) -> bool {
    text.contains("portrange")
        && text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter_map(|word| word.split_once('-'))
            .any(|(low, high)| !low.is_empty() && low == high)
}

fn verdicts(
    text: &str,
    programs: &[&Program; 4],
    dlt: i32,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let filters = programs.map(Filter::new);
    let guides = programs.map(fuzz_insns);
    let loops = programs.map(|p| has_backward_jump(p.insns()));
    let loop_dropped = loops[0] && !loops[2];
    for i in 0..PACKETS {
        let mut packet = packets::build(rng, dlt);
        if i % 4 != 0 {
            packet = guided::steer(&guides[i % 3], &packet, rng);
        }
        if i % 8 == 7 {
            packet.truncate(rng.below(packet.len() as u32 + 1) as usize);
        }
        let [plain, best, own_plain, own_best] = filters.each_ref().map(|f| verdict(f, &packet));
        tally.count("packets", 1);
        if plain != best {
            tally.count("packets on which libpcap differs from itself", 1);
            continue;
        }
        tally.count("packets accepted", u64::from(plain != 0));
        if (own_plain, own_best) != (plain, plain) {
            if trace::reads_unwritten(&guides[0], &packet) {
                tally.count("packets on which libpcap uses what it never wrote", 1);
                continue;
            }
            if loop_dropped {
                tally.count("packets on which protochains decide nothing", 1);
                continue;
            }
            if let Some(why) = excuse_packet(text, dlt, &packet, &filters) {
                tally.count(why, 1);
                continue;
            }
            let packet = hex(&packet);
            return Err(format!("{plain} by libpcap, {own_plain} {own_best} on {packet}"));
        }
    }
    Ok(())
}
