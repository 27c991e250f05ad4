//! Programs as `bpf_dump(program, 1)` prints them, blanks collapsed.

use crate::Insn;

/// Reads a listing.
///
/// # Errors
/// The first line that is no instruction.
pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Vec<Insn>, String> {
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| insn(line.as_ref(), i).ok_or_else(|| line.as_ref().to_owned()))
        .collect()
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<i32>().ok().map(|n| n as u32)),
    }
}

fn insn(line: &str, at: usize) -> Option<Insn> {
    let mut words = line.split_whitespace();
    words.next()?;
    let name = words.next()?;
    let rest: Vec<&str> = words.collect();
    if name.starts_with('j') {
        return jump(name, &rest, at);
    }
    let operand = rest.join(" ");
    let (code, k) = load_or_store(name, &operand).or_else(|| alu(name, &operand))?;
    Some(Insn { code, jt: 0, jf: 0, k })
}

/// Jump targets are printed as instruction numbers.
fn jump(name: &str, rest: &[&str], at: usize) -> Option<Insn> {
    if name == "ja" {
        let target = number(rest.first()?)?;
        return Some(Insn { code: 0x05, jt: 0, jf: 0, k: target.wrapping_sub(at as u32 + 1) });
    }
    let operation = match name {
        "jeq" => 0x10,
        "jgt" => 0x20,
        "jge" => 0x30,
        "jset" => 0x40,
        _ => return None,
    };
    let [operand, "jt", jt, "jf", jf] = rest else { return None };
    let skip = |target: &str| u8::try_from(number(target)?.checked_sub(at as u32 + 1)?).ok();
    let (source, k) = match operand.strip_prefix('#') {
        Some(k) => (0, number(k)?),
        None => (0x08, 0),
    };
    Some(Insn { code: 0x05 | operation | source, jt: skip(jt)?, jf: skip(jf)?, k })
}

fn load_or_store(name: &str, operand: &str) -> Option<(u16, u32)> {
    let bracket = operand.strip_prefix('[').and_then(|o| o.strip_suffix(']'));
    let memory = operand.strip_prefix("M[").and_then(|o| o.strip_suffix(']'));
    let indirect = bracket.and_then(|b| b.strip_prefix("x + "));
    let immediate = operand.strip_prefix('#');
    let size = match name {
        "ldh" => 0x08,
        "ldb" => 0x10,
        "ld" => 0x00,
        "ldx" => return ldx(memory, immediate),
        "ldxb" => {
            let k = operand.strip_prefix("4*([")?.strip_suffix("]&0xf)")?;
            return Some((0xb1, number(k)?));
        }
        "st" => return Some((0x02, number(memory?)?)),
        "stx" => return Some((0x03, number(memory?)?)),
        "ret" if operand.is_empty() || operand == "a" => return Some((0x16, 0)),
        "ret" => return Some((0x06, number(immediate?)?)),
        "tax" => return Some((0x07, 0)),
        "txa" => return Some((0x87, 0)),
        _ => return None,
    };
    Some(match (memory, indirect, bracket, immediate) {
        (Some(k), ..) => (0x60, number(k)?),
        (_, Some(k), ..) => (0x40 | size, number(k)?),
        (_, _, Some(k), _) => (0x20 | size, number(k)?),
        (.., Some("pktlen")) => (0x80, 0),
        (.., Some(k)) => (0x00, number(k)?),
        _ => return None,
    })
}

fn ldx(memory: Option<&str>, immediate: Option<&str>) -> Option<(u16, u32)> {
    Some(match (memory, immediate) {
        (Some(k), _) => (0x61, number(k)?),
        (_, Some("pktlen")) => (0x81, 0),
        (_, Some(k)) => (0x01, number(k)?),
        _ => return None,
    })
}

fn alu(name: &str, operand: &str) -> Option<(u16, u32)> {
    let operation = match name {
        "add" => 0x00,
        "sub" => 0x10,
        "mul" => 0x20,
        "div" => 0x30,
        "or" => 0x40,
        "and" => 0x50,
        "lsh" => 0x60,
        "rsh" => 0x70,
        "neg" => return Some((0x84, 0)),
        "mod" => 0x90,
        "xor" => 0xa0,
        _ => return None,
    };
    match operand.strip_prefix('#') {
        Some(k) => Some((0x04 | operation, number(k)?)),
        None if operand == "x" => Some((0x0c | operation, 0)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let program = parse(&[
            "(000) ldh [12]",
            "(001) jeq #0x86dd jt 2 jf 4",
            "(002) ldb [x + 14]",
            "(003) ldxb 4*([14]&0xf)",
            "(004) jset #0x1fff jt 6 jf 5",
            "(005) ja 6",
            "(006) ret #262144",
        ]);
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        assert_eq!(
            program.unwrap(),
            [
                insn(0x28, 0, 0, 12),
                insn(0x15, 0, 2, 0x86dd),
                insn(0x50, 0, 0, 14),
                insn(0xb1, 0, 0, 14),
                insn(0x45, 1, 0, 0x1fff),
                insn(0x05, 0, 0, 0),
                insn(0x06, 0, 0, 262_144),
            ]
        );
        assert_eq!(parse(&["(000) frob"]), Err("(000) frob".to_owned()));
    }
}
