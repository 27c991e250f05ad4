//! Bytes from outside in texts: names in filters, paths, devices, which need not be UTF-8.
//!
//! Error types hold and print Rust strings. A byte that is no UTF-8 is a character of its own in
//! them, from the end of the last private use area; at the C ABI it is that byte again, as
//! libpcap's texts have it.

use std::borrow::Cow;

/// The characters that stand for the bytes 0 to 255.
const FIRST: u32 = 0x10_ff00;

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A text of bytes, from which [`restore`] makes the same bytes.
pub fn keep(bytes: &[u8]) -> String {
    text(bytes).into_owned()
}

/// The same, borrowed where the bytes are ASCII.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let (true, Ok(plain)) = (bytes.is_ascii(), std::str::from_utf8(bytes)) {
        return Cow::Borrowed(plain);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if u32::from(c) < FIRST {
                text.push(c);
            } else {
                text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(stand_in));
            }
        }
        text.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    Cow::Owned(text)
}

/// The bytes of a text that [`keep`] made, or of one that has parts of such.
pub fn restore(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|c| u32::from(c) >= FIRST) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(FIRST) {
            Some(byte) => bytes.push(byte.to_le_bytes()[0]),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [
            b"plain".as_slice(),
            "größer \u{10ff41}\u{10ffff}".as_bytes(),
            b"\xff",
            b"a\xc3(\xe2\x82 \xf4\x8f\xbf",
            &all,
        ] {
            assert_eq!(restore(&keep(bytes)), bytes);
        }
        assert_eq!(keep("größer".as_bytes()), "größer");
    }
}
