//! Lists of addresses wider than a word: Ethernet and IPv6.

use super::Lowerer;
use super::code::{Base, Cmp, Size, Steps};
use super::element::{Ends, Key, Wide};
use super::error::LowerError;
use super::numbers::ethertype;
use crate::filter::cond::CondId;

type Lowered = Result<CondId, LowerError>;

/// Lists of up to so many addresses at one end are one row of tests, as libpcap's are.
const ROW: usize = 320;
/// The same at either end, where libpcap's are longer.
const SHORT_ROW: usize = 32;
/// Values of a word that are tested one after the other in a larger list.
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
    /// A list of Ethernet addresses, first bytes first where fewer of these differ; `first` is not
    /// looked up before anything that reaches farther into the packet.
    pub(super) fn mac_list(
        &mut self,
        ends: Ends,
        first: Option<Wide>,
        mut keys: Vec<Wide>,
    ) -> Lowered {
        const WHAT: &str = "link host XX:XX:XX:XX:XX:XX";
        let Some(fields) = self.mac_fields(WHAT)? else {
            return Ok(self.constant(false));
        };
        let swap = |keys: &mut [Wide]| keys.iter_mut().for_each(|wide| wide.key.swap(0, 1));
        let distinct = |keys: &mut Vec<Wide>| {
            keys.sort_unstable();
            keys.chunk_by(|a, b| a.key[0] == b.key[0]).count()
        };
        let by_low = distinct(&mut keys);
        swap(&mut keys);
        let swapped = distinct(&mut keys) < by_low;
        if !swapped {
            swap(&mut keys);
        }
        // The last four bytes reach farthest: where loading them does not fail, nothing will.
        let before = match first {
            Some(first) if swapped => Some(self.mac_host(key_mac(first.key), ends.dir(), WHAT)?),
            first => {
                keys.extend(first);
                None
            }
        };
        let header = self.prev_link_check_of_ethernet()?;
        let list = self.wide_list(ends, keys, [fields.src, fields.dst], |this, at| {
            let low = this.load(Base::Link, at + 2, Size::W)?;
            let high = this.load(Base::Link, at, Size::H)?;
            Ok(if swapped { vec![high, low] } else { vec![low, high] })
        })?;
        let list = self.guarded(header, list);
        Ok(match before {
            Some(first) => self.or(first, list),
            None => list,
        })
    }

    /// A list of IPv6 addresses and networks.
    pub(super) fn v6_list(&mut self, ends: Ends, keys: Vec<Wide>) -> Lowered {
        let carried = self.link_type(ethertype::IPV6)?;
        let list = self.wide_list(ends, keys, [8, 24], |this, at| {
            (0..4).map(|word| this.load(Base::Net, at + 4 * word, Size::W)).collect()
        })?;
        Ok(self.and(carried, list))
    }

    fn wide_list(
        &mut self,
        ends: Ends,
        mut keys: Vec<Wide>,
        [src, dst]: [u32; 2],
        load: impl Fn(&mut Self, u32) -> Result<Vec<Steps>, LowerError>,
    ) -> Lowered {
        keys.sort_unstable();
        keys.dedup();
        let row = if ends == Ends::Either { SHORT_ROW } else { ROW };
        let leaf = if keys.len() > row { LEAF } else { ROW };
        let places = match ends {
            Ends::Src => vec![src],
            Ends::Dst => vec![dst],
            Ends::Either => vec![src, dst],
        };
        let mut terms = Vec::with_capacity(places.len());
        for place in places {
            let words = load(self, place)?;
            terms.push(self.lookup(&words, 0, &keys, leaf));
        }
        Ok(self.any(&terms))
    }

    /// Whether the words from `word` on are those of one of the keys, which are sorted and have
    /// the words before in common. `words` are the steps that load them.
    fn lookup(&mut self, words: &[Steps], word: usize, keys: &[Wide], leaf: usize) -> CondId {
        let load = &words[word];
        let ranges: Vec<_> = keys.iter().filter_map(|wide| wide.range(word, words.len())).collect();
        if let [(low, high)] = ranges[..]
            && low == high
            && keys.len() == 1
        {
            return self.compare(load, Cmp::Eq, low);
        }
        let whole = ranges.len() == keys.len();
        let ends = (!ranges.is_empty()).then(|| self.tree.add_set(ranges));
        let hit = ends.map(|set| self.tree.set(load, set));
        let rest = (!whole).then(|| {
            let deeper: Vec<_> = keys
                .iter()
                .copied()
                .filter(|wide| wide.range(word, words.len()).is_none())
                .filter(|wide| !ends.is_some_and(|set| self.tree.contains(set, wide.key[word])))
                .collect();
            let groups: Vec<_> = deeper.chunk_by(|a, b| a.key[word] == b.key[word]).collect();
            self.choose(words, word, &groups, leaf)
        });
        match (hit, rest) {
            (Some(hit), Some(rest)) => self.or(hit, rest),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.constant(false),
        }
    }

    /// A decision tree over the values of one word, each leading to the words behind it. As deep
    /// as the binary logarithm of the number of groups.
    fn choose(&mut self, words: &[Steps], word: usize, groups: &[&[Wide]], leaf: usize) -> CondId {
        let load = &words[word];
        if groups.len() <= leaf {
            let mut terms = Vec::with_capacity(groups.len());
            for group in groups {
                let hit = self.compare(load, Cmp::Eq, group[0].key[word]);
                let rest = self.lookup(words, word + 1, group, leaf);
                terms.push(self.and(hit, rest));
            }
            return self.any(&terms);
        }
        let (left, right) = groups.split_at(groups.len() / 2);
        let bound = right[0][0].key[word];
        let above = self.compare(load, Cmp::Ge, bound);
        let right = self.choose(words, word, right, leaf);
        let right = self.and(above, right);
        let below = self.compare(load, Cmp::Lt, bound);
        let left = self.choose(words, word, left, leaf);
        let left = self.and(below, left);
        self.or(right, left)
    }
}
