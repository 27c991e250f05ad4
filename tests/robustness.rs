//! Hostile filters: an error or a program, never a panic, on a thread with a stack of 256 KiB.

mod support;

use std::ffi::{CStr, CString};
use std::thread;

use fuzz::{Rng, dlt};
use pcap::bpf::{Program, validate};
use pcap::capi;
use pcap::filter::{FilterError, compile};
use pcap::linktype::Dlt;
use support::{Table, options};

/// Runs on a thread with little stack.
fn on_small_stack(body: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(256 << 10).spawn(body).unwrap();
    thread.join().unwrap();
}

fn try_compile(text: &[u8], dlt: i32, optimize: bool) -> Result<Program, FilterError> {
    let result = compile(text, &options(Dlt(dlt), optimize), &Table::default());
    match &result {
        Ok(program) => assert!(validate(program.insns()), "{}", String::from_utf8_lossy(text)),
        Err(e) => {
            assert!(!e.to_string().is_empty());
            assert!(e.span.start <= e.span.end && e.span.end <= text.len(), "{e:?}");
        }
    }
    result
}

fn test_filters() -> Vec<(i32, String)> {
    let mut all = Vec::new();
    for file in [include_str!("conformance/accept.json"), include_str!("conformance/reject.json")] {
        let entries: Vec<serde_json::Value> = serde_json::from_str(file).unwrap();
        for entry in &entries {
            let dlt = Dlt::from_symbol(entry["DLT"].as_str().unwrap()).unwrap().0;
            let one = entry["filter"].as_str();
            let many = entry["filters"].as_array().into_iter().flatten();
            let texts = one.into_iter().chain(many.map(|text| text.as_str().unwrap()));
            all.extend(texts.map(|text| (dlt, text.to_owned())));
        }
    }
    all
}

#[test]
fn every_truncation() {
    on_small_stack(|| {
        for (dlt, text) in test_filters() {
            for len in 0..=text.len() {
                if text.is_char_boundary(len) {
                    let _ = try_compile(&text.as_bytes()[..len], dlt, true);
                }
            }
        }
    });
}

#[test]
fn damaged_filters() {
    on_small_stack(|| {
        let mut rng = Rng::new(11);
        let texts = test_filters();
        for _ in 0..20_000 {
            let (dlt, text) = &texts[rng.below(texts.len() as u32) as usize];
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len() as u32 + 1) as usize;
                match rng.below(3) {
                    0 => bytes.insert(at, rng.pick(b"()!&|[]:.-/\\$x0 9\xff")),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ if at < bytes.len() => bytes[at] = rng.u8(),
                    _ => {}
                }
            }
            let _ = try_compile(&bytes, *dlt, rng.percent(50));
        }
    });
}

#[test]
fn random_bytes_and_words() {
    on_small_stack(|| {
        let mut rng = Rng::new(12);
        let words: Vec<String> = test_filters()
            .iter()
            .flat_map(|(_, text)| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            if rng.percent(20) {
                bytes.resize(rng.below(60) as usize, 0);
                rng.fill(&mut bytes);
            } else {
                for _ in 0..rng.below(10) {
                    bytes.extend(words[rng.below(words.len() as u32) as usize].as_bytes());
                    bytes.push(rng.pick(b"   ()!"));
                }
            }
            let (_, dlt) = dlt::pick(&mut rng);
            let _ = try_compile(&bytes, dlt, rng.percent(50));
        }
    });
}

#[test]
fn a_million_parentheses() {
    on_small_stack(|| {
        let n = 1_000_000;
        for (inside, prefix) in
            [("tcp", ""), ("port 80", ""), ("tcp[0] = 1", "not "), ("80", "port ")]
        {
            let text = format!("{prefix}{}{inside}{}", "(".repeat(n), ")".repeat(n));
            let plain = format!("{prefix}({inside})");
            assert_eq!(
                try_compile(text.as_bytes(), 1, true).unwrap(),
                try_compile(plain.as_bytes(), 1, true).unwrap(),
                "{inside}"
            );
        }
        for open in ["(", "not (", "tcp[", "port ("] {
            assert!(try_compile(open.repeat(n).as_bytes(), 1, true).is_err());
        }
    });
}

#[test]
fn sixteen_mebibytes() {
    const SIZE: usize = 16 << 20;
    on_small_stack(|| {
        let fill = |unit: &str| unit.repeat(SIZE / unit.len());
        for unit in
            ["(", ")", "!", "not ", "-", "1", "a", "::", "1:", "1.", "a-", "\\", "&&", "$f", " "]
        {
            let text = fill(unit);
            // Only the blanks are a filter.
            assert_eq!(try_compile(text.as_bytes(), 1, true).is_ok(), unit == " ", "{unit}");
        }
        for unit in ["ip or ", "host 1.2.3.4 or ", "tcp[0]+", "(tcp) and not (", "vlan and "] {
            let text = fill(unit) + "tcp";
            let _ = try_compile(text.as_bytes(), 1, true);
        }
        let mut bytes = vec![0; SIZE];
        Rng::new(5).fill(&mut bytes);
        assert!(try_compile(&bytes, 1, true).is_err());
    });
}

#[test]
fn deep_and_alternating() {
    on_small_stack(|| {
        let n = 20_000;
        let nested = |unit: &str, end: &str| unit.repeat(n) + "tcp" + &end.repeat(n);
        for text in [
            nested("ip and (", ")"),
            nested("ip or (", ")"),
            nested("ip and (udp or (", "))"),
            nested("not (", ")"),
            nested("not (ip and ", ")"),
            nested("tcp and udp or ", ""),
            nested("tcp or udp and ", ""),
            nested("port 80 and ", ""),
            nested("tcp[0] = 1 or ", ""),
        ] {
            let result = try_compile(text.as_bytes(), 1, true);
            if let Err(e) = result {
                assert_eq!(e.to_string(), "expression rejects all packets", "{}", &text[..30]);
            }
        }
    });
}

/// `pcap_compile` on a dead handle, on little stack: status and error text.
fn compile_c(dlt: i32, snaplen: i32, text: Option<&[u8]>, netmask: u32) -> (i32, Vec<u8>) {
    let text = text.map(|bytes| CString::new(bytes).unwrap());
    let text = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    let mut program = capi::bpf_program { bf_len: 0, bf_insns: std::ptr::null_mut() };
    let handle = capi::pcap_open_dead(dlt, snaplen);
    // SAFETY: an open handle, a program to fill, NULL or a string; freed and closed once.
    unsafe {
        let status = capi::pcap_compile(handle, &mut program, text, 1, netmask);
        let error = CStr::from_ptr(capi::pcap_geterr(handle)).to_bytes().to_vec();
        capi::pcap_freecode(&mut program);
        capi::pcap_close(handle);
        (status, error)
    }
}

#[test]
fn through_the_c_abi() {
    on_small_stack(|| {
        let ok = (0, Vec::new());
        assert_eq!(compile_c(1, 65_535, None, 0), ok);
        assert_eq!(compile_c(1, 65_535, Some(b""), u32::MAX), ok);
        let zero = b"snaplen of 0 rejects all packets".to_vec();
        assert_eq!(compile_c(1, 0, Some(b"tcp"), 0), (-1, zero));
        for number in [i32::MIN, -1, 1 << 20, i32::MAX] {
            assert_eq!(compile_c(1, number, Some(b"tcp"), number as u32), ok);
            assert_eq!(compile_c(number, 65_535, Some(b"tcp"), 0).0, -1);
        }
        for text in ["(", "not ", "tcp or ", "port 80 and ", "len+"] {
            let text = text.repeat((16 << 20) / text.len());
            let (status, error) = compile_c(1, 65_535, Some(text.as_bytes()), 0);
            assert!(status == -1 && !error.is_empty() && error.len() < 256);
        }
        let parentheses = format!("{}tcp{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        assert_eq!(compile_c(1, 65_535, Some(parentheses.as_bytes()), 0), ok);
    });
}

/// What is not UTF-8 is in error texts as it was given.
#[test]
fn bytes_in_error_texts() {
    for (filter, wanted) in [
        (b"net \\a\xff\xfe.b".as_slice(), b"unknown network 'a\xff\xfe.b'".as_slice()),
        (b"port \\\xc3(", b"unknown port '\xc3'"),
        (b"port \\\xf4\x8f\xbf\xbf", b"unknown port '\xf4\x8f\xbf\xbf'"),
        (b"port \\a\x01\x7fb", b"unknown port 'a\x01\x7fb'"),
        (b"\xff", b"can't parse filter expression: syntax error"),
    ] {
        assert_eq!(compile_c(1, 65_535, Some(filter), 0), (-1, wanted.to_vec()));
    }
    let long = [b"port \\".as_slice(), &[0xa9; 1000]].concat();
    let (_, error) = compile_c(1, 65_535, Some(&long), 0);
    assert_eq!(error, [b"unknown port '".as_slice(), &[0xa9; 241]].concat());
    let mut errbuf = [0; 256];
    // SAFETY: a string and a buffer of PCAP_ERRBUF_SIZE bytes.
    let error = unsafe {
        let path = c"/nonexistent/a\xff".as_ptr();
        assert!(capi::pcap_open_offline(path, errbuf.as_mut_ptr()).is_null());
        CStr::from_ptr(errbuf.as_ptr()).to_bytes()
    };
    assert_eq!(error, b"/nonexistent/a\xff: No such file or directory");
}
