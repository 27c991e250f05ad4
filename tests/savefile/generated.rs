//! Files made for the reader: every variant of the formats, and the link-layer types whose
//! packets begin with a header in the writer's byte order.

use crate::mutants::Random;
use crate::read::unsign;
use crate::support::{TempFile, read_file};
use oracle::Oracle;

/// Appends numbers in a byte order.
struct File {
    bytes: Vec<u8>,
    big: bool,
}

impl File {
    fn u16(&mut self, n: u16) -> &mut Self {
        self.bytes.extend(if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
        self
    }

    fn u32(&mut self, n: u32) -> &mut Self {
        self.bytes.extend(if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
        self
    }

    fn u64(&mut self, n: u64) -> &mut Self {
        self.bytes.extend(if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A block around what `body` appends.
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(kind).u32(0);
        body(self);
        self.pad();
        let total = (self.bytes.len() - start + 4) as u32;
        self.u32(total);
        let bytes = if self.big { total.to_be_bytes() } else { total.to_le_bytes() };
        self.bytes[start + 4..start + 8].copy_from_slice(&bytes);
    }
}

/// Ethernet, raw, and those that `pseudo_header` deals with.
const LINKTYPES: [u32; 9] = [1, 101, 113, 117, 189, 220, 239, 276, 231];

/// A packet for a link-layer type: random, with the bytes that matter often right.
fn packet(linktype: u32, random: &mut Random) -> Vec<u8> {
    let len = random.below(200);
    let mut data: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    let mut set = |at: usize, bytes: &[u8]| {
        if let Some(to) = data.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    };
    // 1.10.3 does not know CAN XL (0x0e).
    let can = [0, 0x0c + random.below(2) as u8];
    match linktype {
        113 => set(14, &can),
        276 => set(0, &can),
        117 => set(0, &[[40, 47, 48, 61, 64, 100][random.below(6)]]),
        189 | 220 => {
            set(8, b"C");
            set(9, &[random.below(2) as u8]);
            set(10, &[0x81]);
            set(15, &[0]);
            let count = random.below(4) as u32;
            let mut both = |n: u32| [n.to_le_bytes(), n.to_be_bytes()][random.below(2)];
            set(60, &both(count));
            set(32, &both(300));
        }
        239 => {
            set(0, &[2, 0]);
            for at in [4, 12, 20, 28] {
                let size = [8u16, 5, 4, 0, 3, 9][random.below(6)];
                set(at, &[size.to_le_bytes(), size.to_be_bytes()][random.below(2)]);
            }
        }
        _ => {}
    }
    data
}

fn wire_length(data: &[u8], random: &mut Random) -> u32 {
    match random.below(4) {
        0 => 64 + 300,
        1 => random.below(80) as u32,
        2 => data.len() as u32 + 1000,
        _ => data.len() as u32,
    }
}

fn pcap(random: &mut Random) -> Vec<u8> {
    let mut file = File { bytes: Vec::new(), big: random.below(2) == 0 };
    let magic = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34][random.below(3)];
    let (major, minor) = [(2, 4), (2, 3), (2, 2), (2, 0), (543, 0), (2, 4)][random.below(6)];
    let linktype = LINKTYPES[random.below(LINKTYPES.len())];
    let snaplen = [65_535, 0, 262_144, 50, 0x7fff_ffff][random.below(5)];
    file.u32(magic).u16(major).u16(minor).u32(0).u32(0).u32(snaplen).u32(linktype);
    for _ in 0..random.below(6) {
        let data = packet(linktype, random);
        let (caplen, len) = (data.len() as u32, wire_length(&data, random));
        let (first, second) = if random.below(4) == 0 { (len, caplen) } else { (caplen, len) };
        file.u32(random.next() as u32 >> 1).u32(random.below(1_000_000_000) as u32);
        file.u32(first).u32(second);
        if magic == 0xa1b2_cd34 {
            file.u32(3).u16(8).u16(0);
        }
        file.bytes.extend(&data);
    }
    file.bytes
}

fn interface(file: &mut File, linktype: u32, snaplen: u32, random: &mut Random) {
    file.block(1, |file| {
        file.u16(linktype as u16).u16(0).u32(snaplen);
        if random.below(2) == 0 {
            // if_name
            file.u16(2).u16(5).bytes.extend(b"eth12\0\0\0");
        }
        if random.below(2) == 0 {
            // Binary ones beyond 2^-34 overflow in libpcap.
            let resolutions = [0, 3, 6, 7, 9, 12, 19, 20, 0x80, 0x8a, 0x94, 0xa2];
            let resolution = resolutions[random.below(resolutions.len())];
            file.u16(9).u16(1).bytes.extend([resolution, 0, 0, 0]);
        }
        if random.below(3) == 0 {
            file.u16(14).u16(8).u64([1, 3600, u64::MAX, 1 << 40][random.below(4)]);
        }
        if random.below(2) == 0 {
            file.u16(0).u16(0);
        }
    });
}

fn packet_block(file: &mut File, linktype: u32, random: &mut Random) {
    let data = packet(linktype, random);
    let (caplen, len) = (data.len() as u32, wire_length(&data, random));
    let interface = [0, 0, 0, 1, 2][random.below(5)];
    let (high, low) = (random.below(0x7_0000) as u32, random.next() as u32);
    match random.below(4) {
        0 => file.block(2, |file| {
            file.u16(interface).u16(7).u32(high).u32(low).u32(caplen).u32(len);
            file.bytes.extend(&data);
        }),
        1 => file.block(3, |file| {
            file.u32(caplen).bytes.extend(&data);
        }),
        _ => file.block(6, |file| {
            file.u32(interface.into()).u32(high).u32(low).u32(caplen).u32(len);
            file.bytes.extend(&data);
            file.pad();
            // epb_flags
            file.u16(2).u16(4).u32(1).u16(0).u16(0);
        }),
    }
}

fn pcapng(random: &mut Random) -> Vec<u8> {
    let mut file = File { bytes: Vec::new(), big: random.below(2) == 0 };
    // A second raw interface is refused by libpcap, which mistakes 101 for 12.
    let linktype = LINKTYPES[random.below(LINKTYPES.len())];
    let interfaces = if linktype == 101 { 1 } else { 1 + random.below(3) };
    let sections = if linktype == 101 { 1 } else { 1 + random.below(2) };
    let snaplen = [65_535, 0, 262_144, 150][random.below(4)];
    for _ in 0..sections {
        file.block(0x0a0d_0d0a, |file| {
            file.u32(0x1a2b_3c4d).u16(1).u16([0, 2][random.below(2)]).u64(u64::MAX);
        });
        for _ in 0..interfaces {
            interface(&mut file, linktype, snaplen, random);
        }
        for _ in 0..random.below(5) {
            if random.below(4) == 0 {
                // Name resolution, interface statistics, custom.
                let kind = [4, 5, 0x0bad][random.below(3)];
                file.block(kind, |file| {
                    file.u32(9);
                });
            }
            packet_block(&mut file, linktype, random);
        }
    }
    file.bytes
}

/// libpcap of this version fixes the length of USB packets whose descriptors were cut off, too.
fn cut_descriptors(ours: &oracle::FilePacket) -> bool {
    ours.data.len() >= 64
}

#[test]
fn every_variant_is_read_as_libpcap_reads_it() {
    let mut oracle = Oracle::start();
    let mut random = Random::new(0x51ab_1e5e_ed5a_1ad5);
    let (mut packets, mut usb) = (0, 0);
    for round in 0..6000 {
        let bytes = if round % 2 == 0 { pcap(&mut random) } else { pcapng(&mut random) };
        let file = TempFile::with("generated", &bytes);
        let nano = random.below(2) == 0;
        let ours = read_file(&file.0, nano);
        let mut theirs = oracle.read_file(&file.0, nano);
        if let (Ok(ours), Ok(theirs)) = (&ours, &mut theirs) {
            unsign(theirs, ours);
            packets += ours.packets.len();
            for (our, their) in ours.packets.iter().zip(&mut theirs.packets) {
                if ours.dlt == 220 && our.len != their.len && cut_descriptors(our) {
                    usb += 1;
                    their.len = our.len;
                }
            }
        }
        if ours != theirs {
            let kept = std::env::temp_dir().join("oxpcap-generated");
            let _ = std::fs::copy(&file.0, &kept);
            assert_eq!(ours, theirs, "{}", kept.display());
        }
    }
    assert!(packets > 5000, "only {packets} packets");
    assert!(usb < 50, "{usb} packets of USB captures differ in length");
}
