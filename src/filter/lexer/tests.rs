use super::*;

fn tokens(text: &str) -> Vec<String> {
    let mut lexer = Lexer::new(text.as_bytes());
    let piece = |span: Span| &text[std::ops::Range::from(span)];
    let mut all = Vec::new();
    loop {
        match lexer.next() {
            (Tok::End, _) => return all,
            (Tok::Bad(bad), span) => {
                let piece = piece(span);
                all.push(format!("error {} {piece}", bad.error(piece.as_bytes())));
                return all;
            }
            (tok, span) => {
                let kind = format!("{tok:?}");
                let kind = kind.split(['(', ' ']).next().unwrap_or_default().to_owned();
                all.push(format!("{kind} {}", piece(span)));
            }
        }
    }
}

#[test]
fn longest_match() {
    for (text, wanted) in [
        ("1-2", vec!["Name 1-2"]),
        ("1 -2", vec!["Num 1", "Arith -", "Num 2"]),
        (
            "a-- b_",
            vec![
                "Name a",
                "Arith -",
                "Arith -",
                "Name b",
                "error can't parse filter expression: syntax error _",
            ],
        ),
        (
            "1.2 1.2.3 1.2.3.4 1.2.3.4.5 1.2.",
            vec!["V4 1.2", "V4 1.2.3", "V4 1.2.3.4", "Name 1.2.3.4.5", "Name 1.2."],
        ),
        ("0x1.0x2", vec!["V4 0x1.0x2"]),
        ("0x", vec!["Name 0x"]),
        ("tcp tcpx TCP tcp-syn", vec!["Proto tcp", "Name tcpx", "Name TCP", "Num tcp-syn"]),
        ("1:2:3:4:5:6", vec!["Ether 1:2:3:4:5:6"]),
        (
            "1-2-3-4-5-6 1.2.3.4.5.6 0102.0304.0506 abcdef000003",
            vec![
                "Ether 1-2-3-4-5-6",
                "Ether 1.2.3.4.5.6",
                "Ether 0102.0304.0506",
                "Ether abcdef000003",
            ],
        ),
        ("123456789012", vec!["Ether 123456789012"]),
        ("1234567890123", vec!["error number 1234567890123 overflows 32 bits 1234567890123"]),
        ("1:2:3:4:5:6:7:8", vec!["V6 1:2:3:4:5:6:7:8"]),
        (
            "1:2:3:4:5:6:7:8:9",
            vec!["error invalid Ethernet address '1:2:3:4:5:6:7:8:' 1:2:3:4:5:6:7:8:"],
        ),
        ("1:2:3:4:5", vec!["error invalid Ethernet address '1:2:3:4:' 1:2:3:4:"]),
        (":: ::1 1:: 1::2 a:b::", vec!["V6 ::", "V6 ::1", "V6 1::", "V6 1::2", "V6 a:b::"]),
        ("::1:2:3:4:5:6:7", vec!["V6 ::1:2:3:4:5:6:7"]),
        ("1:2:3:4:5:6:7::", vec!["V6 1:2:3:4:5:6:7::"]),
        (
            "::1.2.3.4 1:2:3:4:5:6:1.2.3.4 fe80::1:1.2.3.4",
            vec!["V6 ::1.2.3.4", "V6 1:2:3:4:5:6:1.2.3.4", "V6 fe80::1:1.2.3.4"],
        ),
        ("[0:4]", vec!["LBracket [", "Num 0", "Colon :", "Num 4", "RBracket ]"]),
        ("$f $ff $fff", vec!["Arcnet $f", "Arcnet $ff", "Arcnet $ff", "Name f"]),
        ("\\tcp)", vec!["Name \\tcp", "RParen )"]),
        ("<<= >=!=!", vec!["Arith <<", "Rel =", "Rel >=", "Rel !=", "Not !"]),
    ] {
        assert_eq!(tokens(text), wanted, "{text}");
    }
}

/// Only those with a dot in them are parsed when they are cut.
#[test]
fn ipv6_addresses_are_such() {
    let mut state = 1_u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) % n) as usize
    };
    let mut found = 0;
    for _ in 0..200_000 {
        let text: String = (0..3 + below(18)).map(|_| char::from(b"0:1:f::"[below(7)])).collect();
        if let (Tok::V6, span) = Lexer::new(text.as_bytes()).next() {
            let address = &text[std::ops::Range::from(span)];
            assert!(address.parse::<std::net::Ipv6Addr>().is_ok(), "{address}");
            found += 1;
        }
    }
    assert!(found > 10_000, "{found}");
}
