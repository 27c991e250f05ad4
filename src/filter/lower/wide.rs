//! Lists of addresses wider than a word: Ethernet and IPv6.

use super::Lowerer;
use super::code::{Base, Cmp, Size, Steps};
use super::error::LowerError;
use super::numbers::ethertype;
use super::sets::{Ends, Key};
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// Values of a word that are tested one after the other, as long as there are no more in all.
const ROW: usize = 32;
/// The same in a larger tree.
const LEAF: usize = 8;

/// An Ethernet address as it is compared: last four bytes, first two.
pub(super) fn mac_key([a, b, c, d, e, f]: [u8; 6]) -> Key {
    [u32::from_be_bytes([c, d, e, f]), u16::from_be_bytes([a, b]).into(), 0, 0]
}

/// The address back from its key.
pub(super) fn key_mac([low, high, ..]: Key) -> [u8; 6] {
    let ([c, d, e, f], [.., a, b]) = (low.to_be_bytes(), high.to_be_bytes());
    [a, b, c, d, e, f]
}

/// An IPv6 address by words.
pub(super) fn v6_key(addr: std::net::Ipv6Addr) -> Key {
    let bits = u128::from(addr);
    [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
}

/// The address back from its key.
pub(super) fn key_v6(key: Key) -> std::net::Ipv6Addr {
    key.iter().fold(0, |bits, &word| bits << 32 | u128::from(word)).into()
}

impl Lowerer<'_> {
    /// A list of Ethernet addresses.
    pub(super) fn mac_list(&mut self, ends: Ends, keys: Vec<Key>) -> Lowered {
        // The first load reaches farthest: where it does not fail, none will.
        let Some(fields) = self.mac_fields("link host XX:XX:XX:XX:XX:XX")? else {
            return Ok(self.constant(false));
        };
        let header = self.prev_link_check_of_ethernet()?;
        let list = self.wide_list(ends, keys, [fields.src, fields.dst], |this, at| {
            let low = this.load(Base::Link, at + 2, Size::W)?;
            let high = this.load(Base::Link, at, Size::H)?;
            Ok(vec![low, high])
        })?;
        Ok(self.guarded(header, list))
    }

    /// A list of IPv6 addresses.
    pub(super) fn v6_list(&mut self, ends: Ends, keys: Vec<Key>) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let list = self.wide_list(ends, keys, [8, 24], |this, at| {
            (0..4).map(|word| this.load(Base::Net, at + 4 * word, Size::W)).collect()
        })?;
        Ok(self.and(carried, list))
    }

    fn wide_list(
        &mut self,
        ends: Ends,
        mut keys: Vec<Key>,
        [src, dst]: [u32; 2],
        load: impl Fn(&mut Self, u32) -> Result<Vec<Steps>, LowerError>,
    ) -> Lowered {
        keys.sort_unstable();
        keys.dedup();
        let places = match ends {
            Ends::Src => vec![src],
            Ends::Dst => vec![dst],
            Ends::Either => vec![src, dst],
        };
        let mut terms = Vec::with_capacity(places.len());
        for place in places {
            let words = load(self, place)?;
            terms.push(self.lookup(&words, 0, &keys));
        }
        Ok(self.any(&terms))
    }

    /// Whether the words from `word` on are those of one of the keys, which are sorted and have
    /// the words before in common. `words` are the steps that load them.
    fn lookup(&mut self, words: &[Steps], word: usize, keys: &[Key]) -> CondId {
        let load = &words[word];
        if word + 1 == words.len() {
            let points = keys.iter().map(|key| (key[word], key[word])).collect();
            return self.in_ranges(load, points);
        }
        let groups: Vec<_> = keys.chunk_by(|a, b| a[word] == b[word]).collect();
        let leaf = if groups.len() > ROW { LEAF } else { ROW };
        self.choose(words, word, &groups, leaf)
    }

    /// A decision tree over the values of one word, each leading to the words behind it. As deep
    /// as the binary logarithm of the number of groups.
    fn choose(&mut self, words: &[Steps], word: usize, groups: &[&[Key]], leaf: usize) -> CondId {
        let load = &words[word];
        if groups.len() <= leaf {
            let mut terms = Vec::with_capacity(groups.len());
            for group in groups {
                let hit = self.compare(load, Cmp::Eq, group[0][word]);
                let rest = self.lookup(words, word + 1, group);
                terms.push(self.and(hit, rest));
            }
            return self.any(&terms);
        }
        let (left, right) = groups.split_at(groups.len() / 2);
        let bound = right[0][0][word];
        let above = self.compare(load, Cmp::Ge, bound);
        let right = self.choose(words, word, right, leaf);
        let right = self.and(above, right);
        let below = self.compare(load, Cmp::Lt, bound);
        let left = self.choose(words, word, left, leaf);
        let left = self.and(below, left);
        self.or(right, left)
    }
}
