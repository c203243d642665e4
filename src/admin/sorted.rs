//! The first of many, in order, without putting all of them in order.

use std::cmp::Ordering;
use std::vec::IntoIter;

/// How many are put in order first; four times as many after that. A page and what its reader does
/// not see of it are among them more often than not.
const FIRST: usize = 256;

/// Yields `rows` in order. Whoever takes a few of many pays for a few: of the rest is only known that it
/// comes later.
pub(super) fn sorted<T>(rows: Vec<T>, order: fn(&T, &T) -> Ordering) -> Sorted<T> {
    Sorted {
        rest: rows,
        ready: Vec::new().into_iter(),
        next: FIRST,
        order,
    }
}

/// See [`sorted`].
pub(super) struct Sorted<T> {
    rest: Vec<T>,
    ready: IntoIter<T>,
    next: usize,
    order: fn(&T, &T) -> Ordering,
}

impl<T> Iterator for Sorted<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if let Some(row) = self.ready.next() {
            return Some(row);
        }
        let mut ready = std::mem::take(&mut self.rest);
        if self.next < ready.len() {
            ready.select_nth_unstable_by(self.next, self.order);
            self.rest = ready.split_off(self.next);
        }
        self.next = self.next.saturating_mul(4);
        ready.sort_unstable_by(self.order);
        self.ready = ready.into_iter();
        self.ready.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_in_order_and_complete() {
        for count in [0, 1, FIRST, FIRST + 1, 10_000] {
            // A step that has no divisor in common with the count meets every number once.
            let rows: Vec<usize> = (0..count).map(|at| at * 7919 % count.max(1)).collect();
            let out: Vec<_> = sorted(rows, usize::cmp).collect();
            assert!(out.into_iter().eq(0..count), "{count}");
        }
    }
}
