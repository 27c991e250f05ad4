#![allow(missing_docs)]
use std::ffi::CString;
use std::time::Instant;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let c = CString::new(path.clone()).unwrap();
    let mut best = 1e9f64;
    for _ in 0..9 {
        let t = Instant::now();
        let mut r = pcap::savefile::Reader::open_path(&c, 0).unwrap();
        let mut n = 0u64;
        while let Some(p) = r.next_packet().unwrap() {
            std::hint::black_box(p.header.caplen);
            n += 1;
        }
        let e = t.elapsed().as_nanos() as u64;
        best = best.min(e as f64 / n as f64);
    }
    println!("best {best} ns/pkt");
    let mut best = 1e9f64;
    let mut buf = vec![0u8; 256 * 1024];
    for _ in 0..9 {
        use std::io::Read;
        let t = Instant::now();
        let mut f = std::fs::File::open(&path).unwrap();
        let mut n = 0u64;
        loop {
            let k = f.read(&mut buf).unwrap();
            if k == 0 {
                break;
            }
            n += k as u64;
        }
        let e = t.elapsed().as_nanos() as f64;
        best = best.min(e / n as f64);
    }
    println!("raw {} ns/76 bytes", best * 76.0);
}
