//! Damaged files: cut short, with flipped bytes, with numbers that lie.

use crate::read::unsign;
use crate::support::{TempFile, pcaps, read_file};
use oracle::{FileContents, Oracle};

/// Deterministic numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }
}

const NUMBERS: [u32; 12] = [
    0,
    1,
    12,
    0xffff,
    262_144,
    262_145,
    0x0100_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
    0x0a0d_0d0a,
];

fn mutate(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = original.to_vec();
    // Headers are at the front, and there are more of them in small files.
    let reach = if random.below(2) == 0 { file.len().min(120) } else { file.len() };
    for _ in 0..=random.below(3) {
        let at = random.below(reach);
        match random.below(4) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file[at] = random.next() as u8,
            2 => {
                let number = NUMBERS[random.below(NUMBERS.len())];
                let number = if random.below(2) == 0 { number } else { number.swap_bytes() };
                let at = at & !3;
                let end = file.len().min(at + 4);
                file[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            _ => {
                file.truncate(at.max(1));
                break;
            }
        }
    }
    file
}

/// Where we differ on purpose; see docs/COMPAT.md.
fn differs_on_purpose(
    ours: &Result<FileContents, String>,
    theirs: &Result<FileContents, String>,
) -> bool {
    if ours.as_ref().is_err_and(|e| e.contains("reserved bits not zero")) {
        return true;
    }
    // Fractions of high binary resolutions overflow in libpcap.
    let close = |a: &FileContents, b: &FileContents| {
        a.version.0 == 1
            && a.error == b.error
            && a.packets.len() == b.packets.len()
            && a.packets.iter().zip(&b.packets).all(|(a, b)| {
                (a.sec, a.caplen, a.len, &a.data) == (b.sec, b.caplen, b.len, &b.data)
            })
    };
    matches!((ours, theirs), (Ok(a), Ok(b)) if close(a, b))
        // A second interface whose LINKTYPE_ and DLT_ values are not the same number.
        || theirs.as_ref().is_ok_and(|t| {
            t.error.contains("different from the type of the first") && t.dlt == 12
        })
}

#[test]
fn damaged_files_give_the_same_packets_and_errors() {
    let mut oracle = Oracle::start();
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let (mut files, mut errors, mut purpose) = (0, 0, 0);
    let rounds = if std::env::var_os("OXPCAP_MORE_MUTANTS").is_some() { 400 } else { 20 };
    for path in pcaps() {
        let original = std::fs::read(&path).expect("read a savefile");
        if original.len() > 20_000 {
            continue;
        }
        for round in 0..rounds {
            let file = TempFile::with("mutant", &mutate(&original, &mut random));
            let nano = round % 4 == 0;
            let ours = read_file(&file.0, nano);
            let mut theirs = oracle.read_file(&file.0, nano);
            if let (Ok(ours), Ok(theirs)) = (&ours, &mut theirs) {
                unsign(theirs, ours);
            }
            files += 1;
            errors += u32::from(!ours.as_ref().is_ok_and(|o| o.error.is_empty()));
            if ours != theirs {
                if differs_on_purpose(&ours, &theirs) {
                    purpose += 1;
                    continue;
                }
                let kept = std::env::temp_dir().join("oxpcap-mutant");
                let _ = std::fs::copy(&file.0, &kept);
                assert_eq!(ours, theirs, "{} as {}", path.display(), kept.display());
            }
        }
    }
    assert!(errors * 5 > files, "only {errors} of {files} files were found damaged");
    assert!(purpose * 30 < files, "{purpose} of {files} files differ on purpose");
}
