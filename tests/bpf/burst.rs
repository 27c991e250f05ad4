//! Bursts: as single runs, in groups of every kind, and never a byte outside of a packet.

use super::generate::{Generator, Rng};
use super::{Engines, check_burst, listing};
use fuzz::filters::everyday;
use oracle::{CompileOptions, Oracle};
use pcap::bpf::{Aux, Burst, Insn, op};
use std::ptr;

/// Beside those of every day.
const FILTERS: [&str; 7] = [
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "ip[2:2] > 40 and ip[8] * 3 % 8 != 2 and len >= 60",
    "ether[0] & 1 = 0 and ip[16] >= 224",
    "icmp[icmptype] = icmp-echo or udp[4:2] < 100 or arp[6:2] = 1",
    "ip6 host fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd and not tcp port 443",
    "(ether[len - 1] = 0 and greater 50) or pppoes or mpls",
    "src port 53 or dst portrange 5000-9000 or ip proto 47 or ether broadcast",
];

fn filters() -> impl Iterator<Item = &'static str> {
    everyday().chain(FILTERS)
}

fn compile(oracle: &mut Oracle, filter: &str) -> Vec<Insn> {
    let theirs = oracle.compile(filter, &CompileOptions::ethernet()).expect(filter);
    theirs.iter().map(|i| Insn { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

/// An Ethernet packet that filters look into; one in eight has IPv4 options, one in four is cut.
fn traffic(rng: &mut Rng) -> Vec<u8> {
    let mut packet = vec![2; 6];
    packet.extend(rng.pick(&[[2; 6], [0x00, 0x11, 0x22, 0x33, 0x44, 0x55], [0xff; 6]]));
    if rng.below(6) == 0 {
        packet.extend([0x81, 0, 0, 7]);
    }
    let protocol = rng.pick(&[6, 6, 6, 17, 17, 1, 58, 47, 132]);
    match rng.below(8) {
        0 => packet.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]),
        1 | 2 => {
            packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 6, protocol, 64]);
            packet.extend([0xfd; 32]);
        }
        _ => {
            let words = rng.pick(&[5, 5, 5, 5, 5, 5, 6, 15]);
            let fragment = rng.pick(&[0x40, 0, 0, 0x20, 1]);
            packet.extend([8, 0, 0x40 | words, 0, 0, 46, 0, 0, fragment, 0, 64, protocol, 0, 0]);
            for _ in 0..2 {
                let hosts = [[1, 2, 3, 4], [10, 0, 0, 1], [192, 168, 1, 7], [255, 255, 255, 255]];
                packet.extend(rng.pick(&hosts));
            }
            packet.resize(packet.len() + 4 * usize::from(words - 5), 1);
        }
    }
    for _ in 0..2 {
        packet.extend(rng.pick(&[80u16, 443, 8888, 22, 53, 1500, 40_000]).to_be_bytes());
    }
    packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, rng.pick(&[2, 0x10, 0x11]), 0, 0]);
    let len = rng.pick(&[60, 64, 64, 128]);
    packet.resize(len, rng.below(2) as u8);
    if rng.below(4) == 0 {
        packet.truncate(rng.below(len as u32) as usize);
    }
    packet
}

#[test]
fn everyday_filters() {
    let mut oracle = Oracle::start();
    for filter in filters() {
        let engines = Engines::new(&compile(&mut oracle, filter));
        let mut rng = Rng::new(5);
        let mut passed = 0;
        for round in 0..200 {
            let mut packets: Vec<_> = (0..1 + rng.below(192)).map(|_| traffic(&mut rng)).collect();
            if round % 2 == 0 {
                // Whole groups of packets of the usual kind.
                packets.retain(|packet| packet.len() >= 60);
            }
            let wire = |packet: &Vec<u8>| engines.native.run(packet, 64, &Aux::NONE) != 0;
            passed += packets.iter().filter(|packet| wire(packet)).count();
            let packets: Vec<_> = packets.into_iter().map(|p| (p, 64)).collect();
            check_burst(&engines, &packets);
        }
        assert!(passed > 0, "{filter} is never true here");
    }
}

/// Bursts of which none, few or many packets are accepted: few are packed together.
#[test]
fn any_number_of_packets_may_pass() {
    let mut oracle = Oracle::start();
    let mut rng = Rng::new(23);
    let all: Vec<_> = (0..6000).map(|_| traffic(&mut rng)).collect();
    for filter in filters() {
        let engines = Engines::new(&compile(&mut oracle, filter));
        let passes =
            |packet: &&Vec<u8>| engines.decoded.run(packet, packet.len() as u32, &Aux::NONE) != 0;
        let (passed, rejected): (Vec<_>, Vec<_>) = all.iter().partition(passes);
        // Long ones alone, or shorter ones here and there, which takes other ways.
        for least in [60, 60, 60, 44, 0] {
            for share in 0..=64 {
                let count = 32 + rng.below(33);
                let mut packets = Vec::new();
                while packets.len() < count as usize {
                    let from = if rng.below(64) < share { &passed } else { &rejected };
                    let packet = from[rng.below(from.len() as u32) as usize];
                    if packet.len() >= least {
                        packets.push((packet.clone(), packet.len() as u32));
                    }
                }
                check_burst(&engines, &packets);
            }
        }
    }
}

/// One packet of a burst that is NULL, or short, at every place.
#[test]
fn one_packet_may_be_odd_anywhere() {
    let mut oracle = Oracle::start();
    let mut rng = Rng::new(29);
    let mut traffic: Vec<_> = (0..400).map(|_| traffic(&mut rng)).collect();
    traffic.retain(|packet| packet.len() >= 60);
    for filter in filters() {
        let engines = Engines::new(&compile(&mut oracle, filter));
        for count in 8..=64 {
            for (place, odd) in (0..count).flat_map(|place| [(place, None), (place, Some(50))]) {
                let odd = if rng.below(2) == 0 { odd } else { odd.map(|_| rng.below(44)) };
                let first = rng.below((traffic.len() - count) as u32) as usize;
                let packets = &traffic[first..first + count];
                let mut starts: Vec<_> = packets.iter().map(|packet| packet.as_ptr()).collect();
                let mut lens: Vec<_> = packets.iter().map(|packet| packet.len() as u32).collect();
                match odd {
                    None => starts[place] = ptr::null(),
                    Some(len) => lens[place] = len,
                }
                // SAFETY: packets that live, and perhaps NULL.
                let burst = unsafe { Burst::new(&starts, &lens) };
                let mut mask = [0];
                let accepted = engines.native.run_burst(burst, &mut mask);
                assert_eq!(accepted, mask[0].count_ones());
                for (n, packet) in burst.iter().enumerate() {
                    let len = packet.len() as u32;
                    let expected = engines.decoded.run(packet, len, &Aux::NONE) != 0;
                    assert_eq!(mask[0] >> n & 1 == 1, expected, "{filter}: {n} of {count}");
                }
            }
        }
    }
}

/// Random programs on groups of packets that are all long, or all of nearly one length.
#[test]
fn random_programs_on_groups() {
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let insns = Generator::new(&mut rng).program();
        let engines = Engines::new(&insns);
        let mut packets: Vec<_> = (0..150).map(|_| rng.packet()).collect();
        packets.sort_by_key(|(bytes, _)| bytes.len());
        check_burst(&engines, &packets);
        for (bytes, _) in &mut packets {
            let len = 40 + rng.below(30) as usize;
            bytes.resize(len, 0x45);
        }
        check_burst(&engines, &packets);
        packets.truncate(rng.below(20) as usize);
        check_burst(&engines, &packets);
    }
}

/// Three pages, of which only the middle one may be touched.
struct Fenced(*mut u8);

const PAGE: usize = 4096;

impl Fenced {
    fn new() -> Self {
        let (none, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, of which the middle page is opened.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), 3 * PAGE, none, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let middle = start.byte_add(PAGE);
            let status = libc::mprotect(middle, PAGE, libc::PROT_READ | libc::PROT_WRITE);
            assert_eq!(status, 0);
            Self(middle.cast())
        }
    }

    /// The packet at the very start or end of the page.
    fn place(&self, packet: &[u8], at_end: bool) -> &[u8] {
        let offset = if at_end { PAGE - packet.len() } else { 0 };
        // SAFETY: within the page, which lives as long as `self`.
        unsafe {
            let place = self.0.add(offset);
            place.copy_from(packet.as_ptr(), packet.len());
            std::slice::from_raw_parts(place, packet.len())
        }
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.0.sub(PAGE).cast(), 3 * PAGE) };
    }
}

/// A read outside of a packet ends this process.
fn check_fenced(engines: &Engines, pages: &[Fenced], packets: &[Vec<u8>], at_end: bool) {
    let placed: Vec<_> =
        pages.iter().zip(packets).map(|(page, packet)| page.place(packet, at_end)).collect();
    let starts: Vec<_> = placed.iter().map(|p| p.as_ptr()).collect();
    let lens: Vec<_> = placed.iter().map(|p| p.len() as u32).collect();
    // SAFETY: addresses and lengths of packets that live.
    let burst = unsafe { Burst::new(&starts, &lens) };
    let mut mask = [0];
    engines.native.run_burst(burst, &mut mask);
    for (n, packet) in placed.iter().enumerate() {
        let len = packet.len() as u32;
        let expected = engines.decoded.run(packet, len, &Aux::NONE);
        let single = engines.native.run(packet, len, &Aux::NONE);
        assert_eq!(single, expected, "{packet:02x?}\n{}", listing(engines.program.insns()));
        let got = mask[0] >> n & 1 == 1;
        assert_eq!(got, expected != 0, "{packet:02x?}\n{}", listing(engines.program.insns()));
    }
}

#[test]
fn nothing_outside_of_packets_is_read() {
    let pages: Vec<_> = (0..40).map(|_| Fenced::new()).collect();
    let mut oracle = Oracle::start();
    let mut programs: Vec<_> = filters().map(|f| compile(&mut oracle, f)).collect();
    let mut rng = Rng::new(17);
    programs.extend((0..300).map(|_| Generator::new(&mut rng).program()));
    for insns in programs {
        let engines = Engines::new(&insns);
        for len in 0..72 {
            let resized = |mut packet: Vec<u8>, len| {
                packet.resize(len, 0);
                packet
            };
            // Of one length; and of lengths around it, whole groups and not, few and many.
            let count = rng.pick(&[16, 40]);
            let same: Vec<_> = (0..count).map(|_| resized(traffic(&mut rng), len)).collect();
            let near = |rng: &mut Rng| {
                let len = len + rng.below(5) as usize;
                resized(traffic(rng), len)
            };
            let near: Vec<_> = (0..count - rng.below(8)).map(|_| near(&mut rng)).collect();
            for at_end in [false, true] {
                check_fenced(&engines, &pages, &same, at_end);
                check_fenced(&engines, &pages, &near, at_end);
            }
        }
    }
}

/// NULL is an empty packet, whatever its length is said to be.
#[test]
fn null_packets_are_empty() {
    let accept_all = [Insn::stmt(op::RET | op::K, 1)];
    let first_byte = [Insn::stmt(0x30, 0), Insn::stmt(op::RET | op::K, 1)];
    let packet = [7u8; 64];
    for (insns, accepts) in [(&accept_all[..], true), (&first_byte[..], false)] {
        let engines = Engines::new(insns);
        for null in 0..20 {
            let mut starts = [packet.as_ptr(); 20];
            starts[null] = ptr::null();
            // SAFETY: packets that live, and NULL.
            let burst = unsafe { Burst::new(&starts, &[64; 20]) };
            let mut mask = [0];
            engines.native.run_burst(burst, &mut mask);
            let all = (1 << 20) - 1;
            assert_eq!(mask[0], if accepts { all } else { all & !(1 << null) });
        }
    }
}
