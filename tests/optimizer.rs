//! The optimizer against libpcap's: unoptimized listings in, libpcap's optimized ones or shorter out.

#[path = "common/listing.rs"]
mod listing;

use std::collections::BTreeMap;

use pcap::bpf::{Aux, Insn, check, image, interpret, op};
use pcap::filter::cfg::{Block, BlockId, Cfg, Term, TestOp};
use pcap::filter::cond::Compare;
use pcap::filter::{emit, optimize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    name: String,
    optimized: Option<Vec<String>>,
    unoptimized: Vec<String>,
}

fn entries() -> Vec<Entry> {
    serde_json::from_str(include_str!("conformance/accept.json")).unwrap()
}

/// The graph of a program.
fn graph(insns: &[Insn]) -> Cfg {
    let jump = |insn: &Insn| op::class(insn.code) == op::JMP;
    let targets = |at: usize, insn: &Insn| match op::operation(insn.code) {
        op::JA => [at + 1 + insn.k as usize; 2],
        _ => [at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf)],
    };
    let mut block_at: BTreeMap<usize, BlockId> = BTreeMap::from([(0, BlockId(0))]);
    for (at, insn) in insns.iter().enumerate() {
        let leaders = if jump(insn) { targets(at, insn).to_vec() } else { Vec::new() };
        for leader in leaders {
            block_at.insert(leader, BlockId(0));
        }
    }
    for (id, block) in (0..).zip(block_at.values_mut()) {
        *block = BlockId(id);
    }
    let mut blocks = Vec::new();
    for &start in block_at.keys() {
        let end = (start..insns.len())
            .find(|&at| jump(&insns[at]) || op::class(insns[at].code) == op::RET)
            .unwrap();
        let next = block_at.range(start + 1..).next().filter(|&(&at, _)| at <= end);
        let (len, term) = match next {
            Some((&at, &id)) => (at - start, Term::Goto(id)),
            None => {
                let last = insns[end];
                let [jt, jf] = if jump(&last) { targets(end, &last) } else { [0; 2] };
                let term = match last.code {
                    code if op::class(code) == op::RET => Term::Ret(last.k),
                    code if code == op::JMP | op::JA => Term::Goto(block_at[&jt]),
                    code => Term::If {
                        test: TestOp::Compare(Compare { code, k: last.k }),
                        jt: block_at[&jt],
                        jf: block_at[&jf],
                    },
                };
                (end - start, term)
            }
        };
        blocks.push(Block { start: start as u32, len: len as u32, term });
    }
    Cfg { blocks, insns: insns.to_vec(), sets: Vec::new(), root: BlockId(0), inner_jumps: false }
}

fn show(insns: &[Insn]) -> String {
    let line = |(at, insn)| format!("{}\n", image(insn, at));
    (0..).zip(insns).map(line).collect()
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}

/// A packet on which the program's tests succeed now and then.
fn packet_for(insns: &[Insn], random: &mut Random) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..256).map(|_| (random.next() >> 8) as u8 & 0x45).collect();
    for _ in 0..2 {
        let mut load = None;
        let chance = random.next() % 8;
        for insn in insns {
            let mode = op::mode(insn.code);
            match op::class(insn.code) {
                op::LD if mode == op::ABS || mode == op::IND => {
                    let base = if mode == op::IND {
                        [0, 20, 24, 4][random.next() as usize % 4]
                    } else {
                        0
                    };
                    load = Some((insn.k as usize + base, op::size(insn.code)));
                }
                op::JMP => {
                    let near = [0, 0, 0, 0, 1, u32::MAX][random.next() as usize % 6];
                    let value = insn.k.wrapping_add(near).to_be_bytes();
                    let Some((at, size)) = load else { continue };
                    let bytes = match size {
                        op::B => &value[3..],
                        op::H => &value[2..],
                        _ => &value[..],
                    };
                    if random.next() % 8 > chance && at + 4 <= packet.len() {
                        packet[at..at + bytes.len()].copy_from_slice(bytes);
                    }
                }
                _ => {}
            }
        }
    }
    if random.next().is_multiple_of(3) {
        packet.truncate(random.next() as usize % 80);
    }
    packet
}

/// Where libpcap's two programs agree, ours must agree with them.
fn same_verdicts(name: &str, original: &[Insn], theirs: &[Insn], ours: &[Insn]) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let run = |program: &[Insn], packet: &[u8]| {
        interpret(program, packet, packet.len() as u32, &Aux::default())
    };
    for _ in 0..2000 {
        let packet = packet_for(original, &mut random);
        let expected = run(original, &packet);
        if expected == run(theirs, &packet) {
            assert_eq!(run(ours, &packet), expected, "{name}: {packet:x?}\n{}", show(ours));
        }
    }
}

#[test]
fn listings_are_libpcaps_or_shorter() {
    let (mut same, mut shorter, mut bad) = (0, 0, Vec::new());
    let (mut our_sum, mut their_sum) = (0, 0);
    for entry in entries() {
        let Some(optimized) = entry.optimized else { continue };
        let theirs = listing::parse(&optimized);
        let original = listing::parse(&entry.unoptimized);
        if entry.name == "protochain" {
            continue;
        }
        let mut cfg = graph(&original);
        optimize::run(&mut cfg);
        let program = emit::emit(&cfg).unwrap();
        let ours = program.insns();
        check(ours).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        our_sum += ours.len();
        their_sum += theirs.len();
        if ours == theirs {
            same += 1;
        } else if ours.len() < theirs.len() {
            shorter += 1;
        } else {
            bad.push(format!("{}:\n{}theirs:\n{}", entry.name, show(ours), show(&theirs)));
        }
        same_verdicts(&entry.name, &original, &theirs, ours);
    }
    println!(
        "{same} listings are the same, {shorter} shorter; {our_sum} instructions for {their_sum}"
    );
    assert!(bad.is_empty(), "{} are not:\n{}", bad.len(), bad.join("\n"));
}
