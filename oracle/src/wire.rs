//! The encoding both sides share: little-endian integers, length-prefixed byte strings.

use std::io::{self, Read, Write};

/// Builds one message.
#[derive(Default)]
pub struct Out(Vec<u8>);

impl Out {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }
    /// Appends a byte.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.0.push(v);
        self
    }
    /// Appends a 32-bit value.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.0.extend(v.to_le_bytes());
        self
    }
    /// Appends a signed 32-bit value.
    pub fn i32(&mut self, v: i32) -> &mut Self {
        self.0.extend(v.to_le_bytes());
        self
    }
    /// Appends a 64-bit value.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.0.extend(v.to_le_bytes());
        self
    }
    /// Appends a byte string.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.u32(v.len() as u32);
        self.0.extend(v);
        self
    }
    /// Writes the message with its length.
    pub fn send(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&(self.0.len() as u32).to_le_bytes())?;
        to.write_all(&self.0)?;
        to.flush()
    }
}

/// Takes one message apart. Both sides are ours, so a short message is a bug and panics.
pub struct In {
    data: Vec<u8>,
    at: usize,
}

impl In {
    /// Reads a message; `None` at the end of the stream.
    pub fn receive(from: &mut impl Read) -> Option<Self> {
        let mut len = [0; 4];
        from.read_exact(&mut len).ok()?;
        let mut data = vec![0; u32::from_le_bytes(len) as usize];
        from.read_exact(&mut data).ok()?;
        Some(Self { data, at: 0 })
    }
    fn take(&mut self, n: usize) -> &[u8] {
        self.at += n;
        &self.data[self.at - n..self.at]
    }
    /// A byte.
    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }
    /// A 32-bit value.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("four bytes"))
    }
    /// A signed 32-bit value.
    pub fn i32(&mut self) -> i32 {
        self.u32() as i32
    }
    /// A 64-bit value.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().expect("eight bytes"))
    }
    /// A byte string.
    pub fn bytes(&mut self) -> Vec<u8> {
        let n = self.u32() as usize;
        self.take(n).to_vec()
    }
    /// A byte string that is text; other bytes are replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}
