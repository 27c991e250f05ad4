//! Classes of bytes, and names, which consist of those that are in one.

/// `0` to `9`.
pub(super) const DIGIT: u8 = 1;
/// `a` to `f`, `A` to `F`.
pub(super) const HEX_LETTER: u8 = 2;
/// Other letters.
const LETTER: u8 = 4;
/// `.`.
const DOT: u8 = 8;
/// `-` and `_`.
const MARK: u8 = 16;
/// Between tokens; in no name.
pub(super) const BLANK: u8 = 32;
/// All letters.
pub(super) const LETTERS: u8 = HEX_LETTER | LETTER;
const IN_NAMES: u8 = DIGIT | HEX_LETTER | LETTER | DOT | MARK;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX_LETTER,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'.' => DOT,
            b'-' | b'_' => MARK,
            b' ' | b'\r' | b'\n' | b'\t' => BLANK,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The class of a byte, 0 for those in none.
pub(super) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// A name at the start of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) len: usize,
    /// Classes of its bytes, and of marks that follow.
    classes: u8,
}

impl Name {
    /// Its bytes are all of these classes.
    pub(super) fn within(self, classes: u8) -> bool {
        self.classes & !classes == 0
    }
}

/// The name at the start: letters, digits, `-`, `_`, `.`, of which the last is neither `-` nor `_`.
/// The first byte is a letter or a digit.
pub(super) fn name(text: &[u8]) -> Name {
    let mut len = 0;
    let mut classes = 0;
    for &byte in text {
        let class = class(byte);
        if class & IN_NAMES == 0 {
            break;
        }
        classes |= class;
        len += 1;
    }
    if classes & MARK != 0 {
        len -= text[..len].iter().rev().take_while(|&&byte| class(byte) == MARK).count();
    }
    Name { len, classes }
}
