//! A stack that allocates only when it grows high.

/// A stack whose lowest `N` elements lie in place: most trees and graphs are walked with no more, and an
/// allocation is felt in a compilation that takes a few microseconds.
#[derive(Debug)]
pub(super) struct Stack<T, const N: usize> {
    near: [T; N],
    /// Those above.
    far: Vec<T>,
    /// How many of `near` there are.
    len: usize,
}

impl<T: Copy, const N: usize> Stack<T, N> {
    /// An empty stack; `filler` is any element.
    pub fn new(filler: T) -> Self {
        Self { near: [filler; N], far: Vec::new(), len: 0 }
    }

    /// Puts an element on top.
    #[inline]
    pub fn push(&mut self, item: T) {
        match self.near.get_mut(self.len) {
            Some(place) => {
                *place = item;
                self.len += 1;
            }
            None => self.far.push(item),
        }
    }

    /// Takes the element on top.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if let Some(item) = self.far.pop() {
            return Some(item);
        }
        self.len = self.len.checked_sub(1)?;
        self.near.get(self.len).copied()
    }

    /// The element on top.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut T> {
        if !self.far.is_empty() {
            return self.far.last_mut();
        }
        self.near.get_mut(self.len.wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_beyond_its_place_and_comes_back() {
        let mut stack = Stack::<u32, 2>::new(0);
        assert_eq!((stack.pop(), stack.last_mut()), (None, None));
        for round in 0..3 {
            (0..5).for_each(|item| stack.push(item + round));
            *stack.last_mut().unwrap() += 10;
            assert_eq!(stack.pop(), Some(14 + round));
            for item in (0..4).rev() {
                assert_eq!(stack.last_mut().copied(), Some(item + round));
                assert_eq!(stack.pop(), Some(item + round));
            }
            assert_eq!((stack.pop(), stack.last_mut()), (None, None));
        }
    }
}
