//! Which parts of a packet are loaded whole, to be cut into columns.

/// Bytes of a window: one vector register's half.
pub(super) const WINDOW: u32 = 16;

/// Fields are loaded in windows up to here; packets that are shorter are rare, and are not worth
/// a bounds check in each of the others.
const USUAL: u32 = 42;

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
    /// The column, and where in it a field lies, if it lies in one.
    fn place(start: u32, (offset, size): (u32, u32)) -> Option<(u32, u32)> {
        let (column, at) = (offset.checked_sub(start)? / 4, offset.checked_sub(start)? % 4);
        (column < 4 && at + size <= 4).then_some((column, at))
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
    /// Chooses windows for fields, given by offset and size.
    pub(super) fn new(mut fields: Vec<(u32, u32)>) -> Self {
        fields.retain(|&(offset, size)| offset.checked_add(size).is_some_and(|end| end <= USUAL));
        fields.sort_unstable();
        fields.dedup();
        let Some(end) = fields.iter().map(|(offset, size)| offset + size).max() else {
            return Self { windows: Vec::new(), min_len: 4 };
        };
        // A little more makes room for windows that hold more fields.
        let min_len = end.next_multiple_of(4).clamp(WINDOW, USUAL);
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
            let places = fields.iter().filter_map(|&field| Window::place(start, field));
            let (held, columns) = places
                .fold((0u32, 0u8), |(n, columns), (column, _)| (n + 1, columns | 1 << column));
            Some((held, Window { start, columns }))
        });
        let best = candidates.max_by_key(|(held, w)| (*held, u32::MAX - w.columns.count_ones()))?;
        Some(best.1)
    }

    /// The offset of the column that holds a field, and where in it.
    pub(super) fn find(&self, offset: u32, size: u32) -> Option<(u32, u8)> {
        self.windows.iter().find_map(|window| {
            let (column, at) = Window::place(window.start, (offset, size))?;
            let is_wanted = window.columns >> column & 1 == 1;
            is_wanted.then_some((window.start + 4 * column, at as u8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_ipv4_take_two_windows() {
        let fields = vec![(12, 2), (14, 1), (20, 2), (23, 1), (26, 4), (30, 4), (54, 2)];
        let windows = Windows::new(fields.clone());
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
    fn windows_end_with_the_packet() {
        for end in 1..=USUAL {
            let windows = Windows::new(vec![(end - 1, 1), (0, 1)]);
            assert!(windows.min_len >= end && windows.min_len <= USUAL);
            assert!(windows.windows.iter().all(|w| w.start + WINDOW <= windows.min_len));
            assert!(windows.find(end - 1, 1).is_some());
        }
    }
}
