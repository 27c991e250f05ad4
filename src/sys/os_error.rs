//! Operating system errors as text.

use std::fmt;
use std::io;

/// An `errno` value; displayed as `strerror` puts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError(pub i32);

impl OsError {
    /// The calling thread's `errno`.
    pub fn last() -> Self {
        io::Error::last_os_error().into()
    }
}

impl From<io::Error> for OsError {
    /// Errors that did not come from the system become `EIO`.
    fn from(e: io::Error) -> Self {
        Self(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::error::Error for OsError {}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The standard library appends the number to strerror's text.
        let text = io::Error::from_raw_os_error(self.0).to_string();
        f.write_str(text.strip_suffix(&format!(" (os error {})", self.0)).unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_strerrors_text() {
        assert_eq!(OsError(libc::ENOENT).to_string(), "No such file or directory");
        assert_eq!(OsError(987).to_string(), "Unknown error 987");
    }
}
