//! How far numbers, names and addresses reach, and their values.

fn hex_run(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_hexdigit()).count()
}

/// Length of the number at the start (decimal digits, or `0x` and hexadecimal digits), or 0.
pub(super) fn number_len(text: &[u8]) -> usize {
    if let [b'0', b'x' | b'X', hex @ ..] = text {
        let digits = hex_run(hex);
        if digits > 0 {
            return 2 + digits;
        }
    }
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Length of two to four numbers with dots between them at the start, or 0.
pub(super) fn v4_len(text: &[u8]) -> usize {
    match dotted(text) {
        (2..=4, len) => len,
        _ => 0,
    }
}

/// Up to four numbers with dots between them: how many, and how far they reach.
fn dotted(text: &[u8]) -> (u32, usize) {
    let mut len = number_len(text);
    let mut parts = u32::from(len > 0);
    while (1..4).contains(&parts) && text.get(len) == Some(&b'.') {
        let next = number_len(&text[len + 1..]);
        if next == 0 {
            break;
        }
        len += 1 + next;
        parts += 1;
    }
    (parts, len)
}

/// Length of the longest IPv6 address at the start: eight groups, or fewer around one `::`, the
/// last two perhaps as a dotted IPv4 address.
pub(super) fn v6_len(text: &[u8]) -> Option<usize> {
    let mut longest = None;
    let mut groups = 0;
    let mut pos = 0;
    let mut gap = text.starts_with(b"::");
    if gap {
        pos = 2;
        longest = Some(pos);
    }
    loop {
        if ((gap && groups <= 5) || (!gap && groups == 6))
            && let (4, len) = dotted(&text[pos..])
        {
            longest = longest.max(Some(pos + len));
        }
        let digits = hex_run(&text[pos..text.len().min(pos + 4)]);
        if digits == 0 || groups == if gap { 7 } else { 8 } {
            return longest;
        }
        pos += digits;
        groups += 1;
        if gap || groups == 8 {
            longest = longest.max(Some(pos));
        }
        match &text[pos..] {
            [b':', b':', ..] if !gap && groups < 8 => {
                gap = true;
                pos += 2;
                longest = longest.max(Some(pos));
            }
            [b':', ..] => pos += 1,
            _ => return longest,
        }
    }
}

/// One or two hexadecimal digits at the start: how many.
fn octet_len(text: &[u8]) -> usize {
    hex_run(&text[..text.len().min(2)])
}

/// Six octets with colons between them at the start, and their length.
pub(super) fn colon_mac(text: &[u8]) -> Option<([u8; 6], usize)> {
    let mut octets = [0; 6];
    let mut pos = 0;
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            if text.get(pos) != Some(&b':') {
                return None;
            }
            pos += 1;
        }
        let digits = octet_len(&text[pos..]);
        *octet = hex_octet(&text[pos..pos + digits])?;
        pos += digits;
    }
    Some((octets, pos))
}

/// Length of two or more octets at the start with one or more colons after each: what the
/// language takes for a failed attempt at an Ethernet address.
pub(super) fn bogus_mac_len(text: &[u8]) -> Option<usize> {
    let mut pos = 0;
    let mut octets = 0;
    loop {
        let digits = octet_len(&text[pos..]);
        let colons = text[pos + digits..].iter().take_while(|&&b| b == b':').count();
        if digits == 0 || colons == 0 {
            return (octets >= 2).then_some(pos);
        }
        pos += digits + colons;
        octets += 1;
    }
}

/// Length of an Ethernet address without separators.
pub(super) const PLAIN_MAC_LEN: usize = 12;

/// The Ethernet address that is exactly this text, in one of its forms without colons:
/// `1-2-3-4-5-6`, `1.2.3.4.5.6`, `0102.0304.0506`, `010203040506`.
pub(super) fn mac(text: &[u8]) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    if text.len() == PLAIN_MAC_LEN && text.iter().all(u8::is_ascii_hexdigit) {
        for (octet, pair) in octets.iter_mut().zip(text.chunks(2)) {
            *octet = hex_octet(pair)?;
        }
        return Some(octets);
    }
    if text.len() == 14 && text[4] == b'.' && text[9] == b'.' {
        for (i, quad) in text.split(|&b| b == b'.').enumerate() {
            if quad.len() != 4 {
                return None;
            }
            octets[2 * i] = hex_octet(&quad[..2])?;
            octets[2 * i + 1] = hex_octet(&quad[2..])?;
        }
        return Some(octets);
    }
    // 17 bytes at most: keep long names from being split.
    if !(11..=17).contains(&text.len()) {
        return None;
    }
    let separator = *text.iter().find(|b| b"-.".contains(b))?;
    let mut parts = text.split(|&b| b == separator);
    for octet in &mut octets {
        *octet = hex_octet(parts.next()?)?;
    }
    parts.next().is_none().then_some(octets)
}

/// The value of one or two hexadecimal digits.
fn hex_octet(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    match *text {
        [low] => digit(low),
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}
