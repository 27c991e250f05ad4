//! Reads programs in the form that `bpf_dump` prints.

use pcap::bpf::{Insn, op};

/// A listing, white space collapsed, one line per instruction.
pub fn parse<S: AsRef<str>>(lines: &[S]) -> Vec<Insn> {
    lines.iter().enumerate().map(|(at, line)| parse_line(at, line.as_ref())).collect()
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|_| panic!("number {text:?}"))
}

fn parse_line(at: usize, line: &str) -> Insn {
    let mut words = line.split_whitespace().skip(1);
    let name = words.next().unwrap_or_else(|| panic!("line {line:?}"));
    let rest: Vec<&str> = words.collect();
    match name {
        "ret" if rest[0].starts_with('#') => Insn::stmt(op::RET | op::K, number(&rest[0][1..])),
        "tax" => Insn::stmt(op::MISC | op::TAX, 0),
        "txa" => Insn::stmt(op::MISC | op::TXA, 0),
        "ja" => Insn::stmt(op::JMP | op::JA, number(rest[0]).wrapping_sub(at as u32 + 1)),
        "jeq" | "jgt" | "jge" | "jset" => jump(at, name, &rest),
        "ldxb" => {
            let offset = rest[0].strip_prefix("4*([").and_then(|text| text.strip_suffix("]&0xf)"));
            Insn::stmt(op::LDX | op::MSH | op::B, number(offset.expect("ldxb")))
        }
        "ld" | "ldh" | "ldb" | "ldx" | "st" | "stx" => memory(name, &rest.concat()),
        _ => arithmetic(name, rest.first().copied().unwrap_or("")),
    }
}

fn jump(at: usize, name: &str, rest: &[&str]) -> Insn {
    let operation = match name {
        "jeq" => op::JEQ,
        "jgt" => op::JGT,
        "jge" => op::JGE,
        _ => op::JSET,
    };
    let (source, k) = operand(rest[0]);
    let skip = |text: &str| u8::try_from(number(text) as usize - at - 1).expect("short jump");
    Insn::jump(op::JMP | operation | source, k, skip(rest[2]), skip(rest[4]))
}

fn operand(text: &str) -> (u16, u32) {
    if text == "x" { (op::X, 0) } else { (op::K, number(&text[1..])) }
}

fn memory(name: &str, text: &str) -> Insn {
    let class = match name {
        "ldx" => op::LDX,
        "st" => op::ST,
        "stx" => op::STX,
        _ => op::LD,
    };
    let size = match name {
        "ldh" => op::H,
        "ldb" => op::B,
        _ => op::W,
    };
    let inner = |open: &str| text.strip_prefix(open).and_then(|text| text.strip_suffix(']'));
    if let Some(word) = inner("M[") {
        let mode = if matches!(class, op::ST | op::STX) { 0 } else { op::MEM };
        return Insn::stmt(class | mode, number(word));
    }
    if text == "#pktlen" {
        return Insn::stmt(class | op::LEN, 0);
    }
    if let Some(offset) = inner("[x+") {
        return Insn::stmt(class | size | op::IND, number(offset));
    }
    match inner("[") {
        Some(offset) => Insn::stmt(class | size | op::ABS, number(offset)),
        None => Insn::stmt(class | op::IMM, number(&text[1..])),
    }
}

fn arithmetic(name: &str, text: &str) -> Insn {
    let operation = match name {
        "add" => op::ADD,
        "sub" => op::SUB,
        "mul" => op::MUL,
        "div" => op::DIV,
        "mod" => op::MOD,
        "or" => op::OR,
        "and" => op::AND,
        "xor" => op::XOR,
        "lsh" => op::LSH,
        "rsh" => op::RSH,
        "neg" => return Insn::stmt(op::ALU | op::NEG, 0),
        _ => panic!("instruction {name:?}"),
    };
    let (source, k) = operand(text);
    Insn::stmt(op::ALU | operation | source, k)
}
