//! Instructions as text, in the words of `bpf_image`.

use super::{Insn, aux::is_absolute_load, op, validate::is_known};
use std::fmt::{self, Display};

/// The text of one instruction at position `index`: what `bpf_image` returns.
///
/// Never longer than 80 bytes, so that a fixed buffer will do where the heap must not be used.
///
/// ```
/// use pcap::bpf::{Insn, image};
/// assert_eq!(image(&Insn::stmt(0x28, 12), 0).to_string(), "(000) ldh      [12]");
/// ```
pub fn image(insn: &Insn, index: i32) -> Image {
    Image { insn: *insn, index }
}

/// Text of an instruction; made by [`image`].
#[derive(Clone, Copy, Debug)]
pub struct Image {
    insn: Insn,
    index: i32,
}

impl Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insn { code, jt, jf, .. } = self.insn;
        let mnemonic = mnemonic(code);
        let operand = Operand(self.insn, self.index);
        let next = self.index.wrapping_add(1);
        // C's "%03d" counts the sign; so does Rust's.
        write!(f, "({:03}) {mnemonic:<8} ", self.index)?;
        if op::class(code) != op::JMP || op::operation(code) == op::JA {
            return write!(f, "{operand}");
        }
        let (jt, jf) = (next.wrapping_add(jt.into()), next.wrapping_add(jf.into()));
        write!(f, "{operand:<16} jt {jt}\tjf {jf}")
    }
}

/// Whether libpcap has words for it: it runs `ldx #pktlen` but prints it as unknown.
fn is_printable(code: u16) -> bool {
    is_known(code) && code != op::LDX | op::LEN
}

fn mnemonic(code: u16) -> &'static str {
    if !is_printable(code) {
        return "unimp";
    }
    match op::class(code) {
        op::LD => match op::size(code) {
            op::H => "ldh",
            op::B => "ldb",
            _ => "ld",
        },
        op::LDX if op::mode(code) == op::MSH => "ldxb",
        op::LDX => "ldx",
        op::ST => "st",
        op::STX => "stx",
        op::ALU => {
            const NAMES: [&str; 11] =
                ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
            NAMES[usize::from(op::operation(code) >> 4)]
        }
        op::JMP => ["ja", "jeq", "jgt", "jge", "jset"][usize::from(op::operation(code) >> 4)],
        op::RET => "ret",
        _ if code == op::MISC | op::TAX => "tax",
        _ => "txa",
    }
}

/// The operand column: instruction and its position.
struct Operand(Insn, i32);

impl Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Formatted into a small buffer first, so that the column can be padded.
        let mut text = Text::default();
        self.write(&mut text)?;
        f.pad(text.as_str())
    }
}

impl Operand {
    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let Insn { code, k, .. } = self.0;
        // libpcap prints most operands as C's int.
        let signed = k as i32;
        if !is_printable(code) {
            return write!(out, "0x{code:x}");
        }
        match op::class(code) {
            op::LD | op::LDX => match op::mode(code) {
                op::IMM => write!(out, "#0x{k:x}"),
                op::LEN => out.write_str("#pktlen"),
                op::MEM => write!(out, "M[{signed}]"),
                op::IND => write!(out, "[x + {signed}]"),
                op::MSH => write!(out, "4*([{signed}]&0xf)"),
                _ => match ancillary_name(code, k) {
                    Some(name) => write!(out, "[{name}]"),
                    None => write!(out, "[{signed}]"),
                },
            },
            op::ST | op::STX => write!(out, "M[{signed}]"),
            op::ALU if op::operation(code) == op::NEG => Ok(()),
            op::ALU | op::JMP if op::src(code) == op::X => out.write_str("x"),
            op::ALU => match op::operation(code) {
                op::AND | op::OR | op::XOR => write!(out, "#0x{k:x}"),
                _ => write!(out, "#{signed}"),
            },
            op::JMP if op::operation(code) == op::JA => {
                write!(out, "{}", self.1.wrapping_add(1).wrapping_add(signed))
            }
            op::JMP => write!(out, "#0x{k:x}"),
            op::RET if code == op::RET | op::K => write!(out, "#{signed}"),
            _ => Ok(()),
        }
    }
}

fn ancillary_name(code: u16, k: u32) -> Option<&'static str> {
    const NAMES: [&str; 16] = [
        "proto",
        "type",
        "ifidx",
        "nla",
        "nlan",
        "mark",
        "queue",
        "hatype",
        "rxhash",
        "cpu",
        "xor_x",
        "vlan_tci",
        "vlanp",
        "poff",
        "random",
        "vlan_tpid",
    ];
    is_absolute_load(code).then(|| super::aux::slot(k).map(|slot| NAMES[slot]))?
}

/// A few bytes of text without a heap; what does not fit is an error.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// How `bpf_dump` prints a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpStyle {
    /// One [`image`] a line (`tcpdump -d`).
    Images,
    /// A C initializer a line (`tcpdump -dd`).
    CInitializer,
    /// The count, then four decimal numbers a line (`tcpdump -ddd`).
    Decimal,
}

impl DumpStyle {
    /// The style for `bpf_dump`'s `option`.
    pub fn from_option(option: i32) -> Self {
        match option {
            3.. => Self::Decimal,
            2 => Self::CInitializer,
            _ => Self::Images,
        }
    }
}

/// Writes a program as `bpf_dump` prints it.
pub fn dump(insns: &[Insn], style: DumpStyle, out: &mut impl fmt::Write) -> fmt::Result {
    if style == DumpStyle::Decimal {
        writeln!(out, "{}", insns.len())?;
    }
    for (index, insn) in insns.iter().enumerate() {
        let Insn { code, jt, jf, k } = insn;
        match style {
            DumpStyle::Images => writeln!(out, "{}", image(insn, index as i32))?,
            DumpStyle::CInitializer => writeln!(out, "{{ 0x{code:x}, {jt}, {jf}, 0x{k:08x} }},")?,
            DumpStyle::Decimal => writeln!(out, "{code} {jt} {jf} {k}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let text = |insn, index| image(&insn, index).to_string();
        assert_eq!(
            text(Insn::jump(0x15, 0x800, 3, 5), 7),
            "(007) jeq      #0x800           jt 11\tjf 13"
        );
        assert_eq!(text(Insn::stmt(0x16, 0), -5), "(-05) ret      ");
        assert_eq!(text(Insn::stmt(0x05, u32::MAX), 12345), "(12345) ja       12345");
        assert_eq!(text(Insn::stmt(0x81, 0), 1), "(001) unimp    0x81");
        assert_eq!(text(Insn::stmt(0x02, 0x8000_0012), 1), "(001) st       M[-2147483630]");
        assert_eq!(text(Insn::stmt(0x28, 0xffff_f02c), 0), "(000) ldh      [vlan_tci]");
    }

    #[test]
    fn no_image_is_longer_than_promised() {
        for code in 0..=u16::MAX {
            let insn = Insn { code, jt: 255, jf: 255, k: 0x8000_0000 };
            assert!(image(&insn, i32::MIN).to_string().len() <= 80);
        }
    }

    #[test]
    fn dumps() {
        let text = |option| {
            let mut out = String::new();
            dump(&[Insn::jump(6, 64, 1, 2)], DumpStyle::from_option(option), &mut out).unwrap();
            out
        };
        assert_eq!(text(1), "(000) ret      #64\n");
        assert_eq!(text(2), "{ 0x6, 1, 2, 0x00000040 },\n");
        assert_eq!(text(3), "1\n6 1 2 64\n");
    }
}
