//! What the variables of a matched template stand for, as offsets in the request's path.

use crate::limits::VARIABLES_MAX;

/// The variables' values of one match, in the template's order. Reused between requests; never on the heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Captures {
    spans: [(u16, u16); VARIABLES_MAX],
    len: u8,
    slash: bool,
}

const _: () = assert!(size_of::<Captures>() <= 68);

impl Captures {
    /// No captures.
    pub const fn new() -> Self {
        Self { spans: [(0, 0); VARIABLES_MAX], len: 0, slash: false }
    }

    /// How many variables the matched template has.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the matched template has no variable (or nothing matched).
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes `start..end` of the path that variable `i` stands for, as received. A greedy variable keeps its trailing slash here:
    /// this is what an upstream's URI gets.
    #[inline]
    pub fn get(&self, i: usize) -> Option<(u16, u16)> {
        self.spans[..self.len()].get(i).copied()
    }

    /// The same as `pathParameters` shows it: one trailing slash of a greedy variable is dropped (RT-05).
    pub fn parameter(&self, i: usize) -> Option<(u16, u16)> {
        let (start, end) = self.get(i)?;
        let last = i + 1 == self.len();
        Some((start, end - u16::from(last && self.slash)))
    }

    /// The bytes of `path` that variable `i` stands for; `path` is the one that was asked for.
    pub fn of<'a>(&self, i: usize, path: &'a [u8]) -> Option<&'a [u8]> {
        let (start, end) = self.get(i)?;
        path.get(start as usize..end as usize)
    }

    /// Forgets everything.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.slash = false;
    }

    /// Adds a variable. Templates have at most `VARIABLES_MAX`, so the array is never too short.
    #[inline]
    pub(crate) fn push(&mut self, start: usize, end: usize) {
        if let Some(span) = self.spans.get_mut(self.len as usize) {
            *span = (start as u16, end as u16);
            self.len += 1;
        } else {
            debug_assert!(false, "a template has more variables than Template::parse allows");
        }
    }

    /// Adds the greedy variable of a template, always its last.
    pub(crate) fn push_greedy(&mut self, start: usize, path: &[u8]) {
        self.push(start, path.len());
        self.slash = path.last() == Some(&b'/');
    }

    /// Back to the first `len` variables: a branch of the tree that led nowhere is left.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        debug_assert!(len <= self.len());
        self.len = len as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_back_in_order() {
        let path = b"/pets/7/a/b/";
        let mut captures = Captures::new();
        assert!(captures.is_empty());
        captures.push(6, 7);
        captures.push_greedy(8, path);
        assert_eq!(captures.len(), 2);
        assert_eq!(captures.get(0), Some((6, 7)));
        assert_eq!(captures.get(2), None);
        assert_eq!(captures.of(0, path), Some(&b"7"[..]));
        assert_eq!(captures.of(1, path), Some(&b"a/b/"[..]));
        captures.clear();
        assert_eq!(captures.get(0), None);
    }

    #[test]
    fn only_a_greedy_parameter_loses_its_slash() {
        let mut captures = Captures::new();
        captures.push(1, 3);
        captures.push_greedy(4, b"/ab/cd/");
        assert_eq!(captures.get(1), Some((4, 7)));
        assert_eq!(captures.parameter(1), Some((4, 6)));
        assert_eq!(captures.parameter(0), Some((1, 3)));
        captures.clear();
        captures.push(1, 3);
        assert_eq!(captures.parameter(0), Some((1, 3)));
    }

    #[test]
    fn leaving_a_branch_forgets_its_variables() {
        let mut captures = Captures::new();
        captures.push(1, 3);
        captures.push(4, 5);
        captures.truncate(1);
        assert_eq!(captures.get(0), Some((1, 3)));
        assert_eq!(captures.get(1), None);
    }
}
