//! Huge pages for tests that need them.

use super::setup::say_skipped;
use std::sync::{Mutex, MutexGuard};

const PAGES: &str = "/proc/sys/vm/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn number(path: &str) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Free huge pages of 2 MB.
pub fn free() -> u32 {
    number(FREE).unwrap_or(0)
}

/// A number of huge pages of the machine; as before when dropped. One test at a time has it.
pub struct HugePages {
    before: Option<u32>,
    _turn: MutexGuard<'static, ()>,
}

impl HugePages {
    /// At least `wanted` are free; `None` where that cannot be had.
    pub fn at_least(wanted: u32) -> Option<Self> {
        let mut pages = Self::as_they_are();
        if free() < wanted {
            pages.set(number(PAGES)? + wanted - free());
        }
        if free() < wanted {
            say_skipped(format_args!("needs {wanted} free huge pages of 2 MB, has {}", free()));
            return None;
        }
        Some(pages)
    }

    /// None are; `None` where somebody uses some.
    pub fn none() -> Option<Self> {
        let mut pages = Self::as_they_are();
        if number(PAGES) != Some(0) {
            pages.set(0);
        }
        if number(PAGES) != Some(0) {
            say_skipped("needs a machine without huge pages in use");
            return None;
        }
        Some(pages)
    }

    fn as_they_are() -> Self {
        Self { before: None, _turn: ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner()) }
    }

    fn set(&mut self, pages: u32) {
        self.before = self.before.or_else(|| number(PAGES));
        // The check that follows tells.
        let _ = std::fs::write(PAGES, pages.to_string());
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = std::fs::write(PAGES, before.to_string());
        }
    }
}
