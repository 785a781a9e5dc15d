//! What came lately: the counts of some seconds ago, for what must be seen at once.

use std::collections::VecDeque;
use tidegate_core::ids::UnixMs;
use tidegate_core::observe::{Counts, Window};

/// How long ago, ms: some requests come in that time, and a fault is most of it soon.
const LATELY_MS: u64 = 15_000;

/// The counts of both arms at the looks of the last seconds.
#[derive(Default)]
pub(crate) struct Lately {
    looks: VecDeque<(UnixMs, Box<(Counts, Counts)>)>,
}

impl Lately {
    /// Notes what is seen now, and gives what was seen [`LATELY_MS`] ago or, if nothing was yet, at
    /// first; `None` at the first look.
    pub(crate) fn note(
        &mut self,
        now: UnixMs,
        stable: &Window,
        candidate: &Window,
    ) -> Option<Box<(Counts, Counts)>> {
        let is_old = |look: &(UnixMs, _)| now.since(look.0) >= LATELY_MS;
        while self.looks.get(1).is_some_and(is_old) {
            self.looks.pop_front();
        }
        let before = self.looks.front().map(|(_, counts)| counts.clone());
        let counts = (stable.counts.clone(), candidate.counts.clone());
        self.looks.push_back((now, Box::new(counts)));
        before
    }

    /// A release begins: what was before is of another.
    pub(crate) fn clear(&mut self) {
        self.looks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_some_seconds_ago() {
        let mut lately = Lately::default();
        let window = |requests| {
            let counts = Counts { requests, ..Counts::default() };
            Window { counts, ..Window::default() }
        };
        let mut look = |second: u64| {
            let before = lately.note(UnixMs(second * 1_000), &window(second), &window(0));
            before.map(|counts| counts.0.requests)
        };
        assert_eq!(look(0), None);
        assert_eq!((1..20).map(|second| look(second).unwrap()).max(), Some(4));
        assert_eq!(look(20), Some(5));
        assert_eq!(look(100), Some(20));
        assert_eq!(look(101), Some(20));
        assert_eq!(look(120), Some(101));
    }
}
