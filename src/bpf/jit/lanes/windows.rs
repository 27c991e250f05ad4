//! Which parts of a packet are loaded whole, to be cut into columns.

use super::Node;
use std::cmp::Reverse;

/// Bytes of a window: one vector register's half.
pub(super) const WINDOW: u32 = 16;

/// Fields are loaded in windows up to here; packets that are shorter are rare, and are not worth
/// a bounds check in each of the others.
pub(super) const USUAL: u32 = 42;

/// As far as Ethernet's shortest packets have bytes.
pub(super) const LONG: u32 = 60;

/// Most columns that windows give; they are all in registers at first.
const MAX_COLUMNS: u32 = 7;

/// Sixteen bytes of each packet, of which some words of four are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bpf::jit) struct Window {
    /// Where it starts.
    pub start: u32,
    /// Bit n: the n-th four bytes are wanted.
    pub columns: u8,
}

impl Window {
    /// The column, and where in it a field begins that lies in this window. It may end in the
    /// next column.
    fn place(start: u32, (offset, size): (u32, u32)) -> Option<(u32, u32)> {
        let from = offset.checked_sub(start)?;
        (from + size <= WINDOW).then_some((from / 4, from % 4))
    }

    /// Whether it gives the column at an offset.
    fn has(self, offset: u32) -> bool {
        (0..4).any(|n| self.columns >> n & 1 == 1 && self.start + 4 * n == offset)
    }

    /// The same columns out of 16 bytes that begin at a multiple of 16, if possible: packets are
    /// often aligned so that these lie in one cache line.
    pub(super) fn aligned(self, min_len: u32) -> Self {
        let wanted = (0..4).filter(|n| self.columns >> n & 1 == 1).map(|n| self.start + 4 * n);
        let wanted: Vec<_> = wanted.collect();
        let start = wanted[0] / WINDOW * WINDOW;
        let fits = |&offset: &u32| offset % 4 == 0 && offset < start + WINDOW;
        if !wanted.iter().all(fits) || start + WINDOW > min_len {
            return self;
        }
        let columns =
            wanted.iter().fold(0, |columns, offset| columns | 1 << ((offset - start) / 4));
        Self { start, columns }
    }

    /// The columns that a field takes, as in `columns`.
    fn columns(start: u32, field: (u32, u32)) -> Option<u8> {
        let (column, at) = Self::place(start, field)?;
        let is_split = at + field.1 > 4;
        Some(if is_split { 3 << column } else { 1 << column })
    }
}

/// The windows of a program.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) windows: Vec<Window>,
    /// Bytes that packets must have.
    pub(super) min_len: u32,
}

impl Windows {
    /// Chooses windows for fields, given by offset and size, that end before `limit`.
    pub(super) fn new(mut fields: Vec<(u32, u32)>, limit: u32) -> Self {
        fields.retain(|&(offset, size)| offset.checked_add(size).is_some_and(|end| end <= limit));
        fields.sort_unstable();
        fields.dedup();
        let Some(end) = fields.iter().map(|(offset, size)| offset + size).max() else {
            return Self { windows: Vec::new(), min_len: 4 };
        };
        // A little more makes room for windows that hold more fields.
        let min_len = end.next_multiple_of(4).clamp(WINDOW, limit);
        let mut chosen = Self { windows: Vec::new(), min_len };
        while let Some(window) = chosen.best(&fields) {
            fields.retain(|&field| Window::place(window.start, field).is_none());
            let columns = chosen.windows.iter().map(|w| w.columns.count_ones()).sum::<u32>();
            if columns + window.columns.count_ones() > MAX_COLUMNS {
                break;
            }
            chosen.windows.push(window);
        }
        chosen
    }

    /// The window with the first field that has most others as well.
    fn best(&self, fields: &[(u32, u32)]) -> Option<Window> {
        let &(first, _) = fields.first()?;
        let starts = first.saturating_sub(WINDOW - 1)..=first.min(self.min_len - WINDOW);
        let candidates = starts.filter_map(|start| {
            Window::place(start, fields[0])?;
            let held = fields.iter().filter_map(|&field| Window::columns(start, field));
            let add = |(fields, splits, columns), more: u8| {
                (fields + 1, splits + more.count_ones() - 1, columns | more)
            };
            let (held, splits, columns) = held.fold((0u32, 0, 0u8), add);
            Some((held, splits, Window { start, columns }))
        });
        let best = candidates.max_by_key(|(held, splits, window)| {
            (*held, Reverse(*splits), Reverse(window.columns.count_ones()))
        })?;
        Some(best.2)
    }

    /// The windows with only the columns that live nodes want, each once; none without any.
    pub(super) fn wanted(windows: &[Window], nodes: &[Node], live: &[bool]) -> Vec<Window> {
        let lives = |wanted: &Node| {
            nodes.iter().zip(live).any(|(node, &is_live)| is_live && node == wanted)
        };
        let mut wanted: Vec<Window> = Vec::new();
        for &Window { start, .. } in windows {
            let is_new = |offset: u32| !wanted.iter().any(|window| window.has(offset));
            let adds = |n: &u32| lives(&Node::Column(start + 4 * n)) && is_new(start + 4 * n);
            let columns = (0..4).filter(adds).fold(0, |columns, n| columns | 1 << n);
            wanted.push(Window { start, columns });
        }
        wanted.retain(|window| window.columns != 0);
        wanted
    }

    /// The offset of the column in which a field begins, and where in it. The rest of the field
    /// may be in the next column.
    pub(super) fn find(&self, offset: u32, size: u32) -> Option<(u32, u8)> {
        self.windows.iter().find_map(|window| {
            let (column, at) = Window::place(window.start, (offset, size))?;
            let columns = Window::columns(window.start, (offset, size))?;
            let are_wanted = window.columns & columns == columns;
            are_wanted.then_some((window.start + 4 * column, at as u8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_ipv4_take_two_windows() {
        let fields = vec![(12, 2), (14, 1), (20, 2), (23, 1), (26, 4), (30, 4), (54, 2)];
        let windows = Windows::new(fields.clone(), USUAL);
        assert_eq!(windows.min_len, 36);
        assert_eq!(windows.windows.len(), 2);
        for &(offset, size) in &fields[..6] {
            let (column, at) = windows.find(offset, size).expect("a place");
            assert_eq!(column + u32::from(at), offset);
            assert!(u32::from(at) + size <= 4 && column + 4 <= windows.min_len);
        }
        assert_eq!(windows.find(54, 2), None);
    }

    #[test]
    fn a_field_may_lie_in_two_columns() {
        let windows = Windows::new(vec![(0, 2), (2, 4), (6, 2), (8, 4), (12, 2)], USUAL);
        assert_eq!(windows.windows, [Window { start: 0, columns: 15 }]);
        assert_eq!(windows.find(2, 4), Some((0, 2)));
    }

    #[test]
    fn windows_end_with_the_packet() {
        for end in 1..=USUAL {
            let windows = Windows::new(vec![(end - 1, 1), (0, 1)], USUAL);
            assert!(windows.min_len >= end && windows.min_len <= USUAL);
            assert!(windows.windows.iter().all(|w| w.start + WINDOW <= windows.min_len));
            assert!(windows.find(end - 1, 1).is_some());
        }
    }
}
