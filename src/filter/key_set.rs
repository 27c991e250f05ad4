//! Sets that answer quickly, and sometimes wrongly, that something is in them.

/// Which keys there are, by a bit that few others share.
pub(super) struct KeySet {
    words: Vec<u64>,
}

impl KeySet {
    /// A set of about `count` keys.
    pub fn new(count: usize, keys: impl Iterator<Item = u32>) -> Self {
        const BITS_PER_KEY: usize = 8;
        let words = vec![0; (count * BITS_PER_KEY).div_ceil(64).next_power_of_two()];
        let mut set = Self { words };
        for key in keys {
            set.insert(key);
        }
        set
    }

    /// Those of about `count` keys that come more than once, and a few others; and how many come again.
    pub fn of_repeated(count: usize, keys: impl Iterator<Item = u32>) -> (Self, usize) {
        let mut once = Self::new(count, std::iter::empty());
        let mut repeated = Self::new(count / 2, std::iter::empty());
        let mut again = 0;
        for key in keys {
            if !once.insert(key) {
                repeated.insert(key);
                again += 1;
            }
        }
        (repeated, again)
    }

    /// Adds a key; false when it, or one that shares its bit, is there already.
    pub fn insert(&mut self, key: u32) -> bool {
        let (word, bit) = Self::place(key, self.words.len());
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// False for most keys that are not in the set.
    pub fn may_hold(&self, key: u32) -> bool {
        let (word, bit) = Self::place(key, self.words.len());
        self.words[word] & bit != 0
    }

    fn place(key: u32, words: usize) -> (usize, u64) {
        (key as usize >> 6 & (words - 1), 1 << (key & 63))
    }
}
