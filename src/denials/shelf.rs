//! A room for records: so many, so many bytes, and no caller's so many that there is no room for
//! others'.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Record;
use crate::words::UnixTime;

/// When a room is full, so much of it is made free at once, as a part of the whole: what is thrown
/// out has to be chosen, and choosing looks at everything.
const FREED_AT_ONCE: usize = 8;
/// The part of a room that one caller's records may take when there is no room for others'.
const SHARE: usize = 4;

/// What a room holds at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// A room.
#[derive(Debug)]
pub(super) struct Shelf {
    bound: Bound,
    /// Numbered in the order in which they were filed.
    records: VecDeque<(u64, Arc<Record>)>,
    bytes: usize,
}

impl Shelf {
    pub(super) fn new(bound: Bound) -> Self {
        Self {
            bound,
            records: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn put(&mut self, number: u64, record: Arc<Record>) {
        self.bytes += record.weight();
        self.records.push_back((number, record));
        if self.records.len() > self.bound.count {
            let free = (self.bound.count / FREED_AT_ONCE).max(1);
            self.make_room(free);
        }
        while self.bytes > self.bound.bytes && !self.records.is_empty() {
            let free = (self.records.len() / FREED_AT_ONCE).max(1);
            self.make_room(free);
        }
    }

    pub(super) fn let_go_before(&mut self, oldest: UnixTime) {
        // Nearly in the order of their times; one that lies behind a younger one goes with it.
        while let Some((_, record)) = self.records.front()
            && record.at < oldest
        {
            self.bytes = self.bytes.saturating_sub(record.weight());
            self.records.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter().map(|(_, record)| record)
    }

    /// What was filed as number `after` or later.
    pub(super) fn since(&self, after: u64) -> impl Iterator<Item = (u64, &Arc<Record>)> {
        let begin = self.records.partition_point(|(number, _)| *number < after);
        let new = self.records.iter().skip(begin);
        new.map(|(number, record)| (*number, record))
    }

    fn make_room(&mut self, free: usize) {
        let whose: Vec<_> = self.iter().map(|record| record.whose()).collect();
        let stay = thin(&whose, free);
        let mut stay = stay.into_iter();
        self.records.retain(|_| stay.next().unwrap_or(true));
        self.bytes = self.iter().map(|record| record.weight()).sum();
    }
}

/// Which of the records stay when `free` have to go; `whose` they are, oldest first. Those of a
/// caller who holds more than his share go first, then the oldest.
pub(crate) fn thin(whose: &[String], free: usize) -> Vec<bool> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for caller in whose {
        *count.entry(caller).or_default() += 1;
    }
    let share = whose.len() / SHARE;
    let mut left = free;
    let mut stay: Vec<bool> = whose
        .iter()
        .map(|caller| {
            let held = count.entry(caller).or_default();
            let goes = left > 0 && *held > share;
            if goes {
                *held -= 1;
                left -= 1;
            }
            !goes
        })
        .collect();
    for stays in stay.iter_mut().filter(|stays| **stays) {
        if left == 0 {
            break;
        }
        *stays = false;
        left -= 1;
    }
    stay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_caller_makes_room_and_the_others_stay() {
        let whose = |text: &str| -> Vec<String> { text.chars().map(String::from).collect() };
        let left = |text: &str, free| -> String {
            let stay = thin(&whose(text), free);
            let both = text.chars().zip(stay);
            both.filter(|(_, stays)| *stays).map(|(c, _)| c).collect()
        };
        // `a` and `b` were here first; `x` floods and pays for it.
        assert_eq!(left("abxxxxxx", 3), "abxxx");
        assert_eq!(left("abxxxxxx", 4), "abxx");
        // At its share it is as good as the others, and the oldest go.
        assert_eq!(left("abxxxxxx", 5), "bxx");
        assert_eq!(left("abcdefgh", 3), "defgh");
        assert_eq!(left("", 3), "");
    }
}
