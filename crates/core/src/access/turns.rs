//! Whose turn it is where all places are taken: whoever waits gets a place in turn with the others
//! who wait, whatever the number of requests that each has in line.

use std::collections::{BTreeMap, VecDeque};

/// So many places, and those who wait for one: a line for each `W`, of tickets `T`.
#[derive(Debug, Clone)]
pub struct Turns<W, T> {
    free: usize,
    waiting: usize,
    waiting_max: usize,
    lines: BTreeMap<W, VecDeque<T>>,
    /// Those who have a line, the next first.
    order: VecDeque<W>,
}

impl<W: Ord + Clone, T> Turns<W, T> {
    /// With so many places, for which so many may wait.
    pub fn new(places: usize, waiting_max: usize) -> Turns<W, T> {
        let (lines, order) = Default::default();
        Turns { free: places, waiting: 0, waiting_max, lines, order }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a place, where one is free. None is while somebody waits.
    pub fn take(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= usize::from(is_free);
        is_free
    }

    /// Puts a ticket in line, once no place is free. Where too many wait already, the newest ticket
    /// of the longest line makes way, and is given back.
    ///
    /// # Errors
    /// The ticket itself, where too many wait and no line would be longer than its own.
    pub fn wait(&mut self, who: &W, ticket: T) -> Result<Option<T>, T> {
        let mut out = None;
        if self.waiting >= self.waiting_max {
            let mine = self.lines.get(who).map_or(0, VecDeque::len);
            let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
            let Some((longest, _)) = longest.filter(|(_, line)| line.len() > mine + 1) else {
                return Err(ticket);
            };
            let longest = longest.clone();
            out = self.take_out(&longest, VecDeque::pop_back);
        }
        let line = self.lines.entry(who.clone()).or_insert_with(|| {
            self.order.push_back(who.clone());
            VecDeque::new()
        });
        line.push_back(ticket);
        self.waiting += 1;
        Ok(out)
    }

    /// A place is free again: the ticket that has it now, or none where nobody waits.
    pub fn done(&mut self) -> Option<T> {
        let Some(who) = self.order.front().cloned() else {
            self.free += 1;
            return None;
        };
        self.order.rotate_left(1);
        self.take_out(&who, VecDeque::pop_front)
    }

    /// A ticket leaves its line; false where it is in none.
    pub fn leave(&mut self, who: &W, is_it: impl Fn(&T) -> bool) -> bool {
        let place = self.lines.get(who).and_then(|line| line.iter().position(is_it));
        place.is_some_and(|place| self.take_out(who, |line| line.remove(place)).is_some())
    }

    fn take_out(&mut self, who: &W, take: impl FnOnce(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let line = self.lines.get_mut(who)?;
        let ticket = take(line)?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(who);
            self.order.retain(|other| other != who);
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Step {
        Come(u8),
        Done,
        Leave(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            // One who comes more often than all others together.
            4 => Just(Step::Come(0)),
            3 => (1u8..5).prop_map(Step::Come),
            5 => Just(Step::Done),
            1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// No more run than there are places, no place is free while somebody waits, no more wait
        /// than may, each line is in order, and every ticket has one fate.
        #[test]
        fn every_ticket_has_one_fate(steps in steps(), places in 1usize..4, most in 0usize..6) {
            let mut turns = Turns::new(places, most);
            let (mut running, mut next) = (0, 0_u64);
            let mut waits: BTreeSet<(u8, u64)> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Come(who) => {
                        let ticket = (who, next);
                        next += 1;
                        if turns.take() {
                            prop_assert!(waits.is_empty());
                            running += 1;
                        } else {
                            match turns.wait(&who, ticket) {
                                Ok(out) => {
                                    waits.insert(ticket);
                                    if let Some(out) = out {
                                        prop_assert!(waits.remove(&out) && out.0 != who);
                                    }
                                }
                                Err(back) => prop_assert_eq!(back, ticket),
                            }
                        }
                    }
                    Step::Done if running > 0 => match turns.done() {
                        Some(ticket) => {
                            let first = waits.range((ticket.0, 0)..).next().copied();
                            prop_assert_eq!(first, Some(ticket));
                            waits.remove(&ticket);
                        }
                        None => {
                            prop_assert!(waits.is_empty());
                            running -= 1;
                        }
                    },
                    Step::Done => {}
                    Step::Leave(which) => {
                        let Some(ticket) = waits.iter().nth(which.index(waits.len().max(1))) else {
                            continue;
                        };
                        let ticket = *ticket;
                        prop_assert!(turns.leave(&ticket.0, |other| *other == ticket));
                        prop_assert!(!turns.leave(&ticket.0, |other| *other == ticket));
                        waits.remove(&ticket);
                    }
                }
                prop_assert!(running <= places && turns.waiting() == waits.len());
                prop_assert!(waits.len() <= most && (waits.is_empty() || running == places));
            }
        }

        /// Among those who always have somebody in line, places go round, whatever the length of
        /// their lines.
        #[test]
        fn places_go_round(lines in prop::collection::vec(1usize..40, 1..6), served in 1usize..60) {
            let mut turns = Turns::new(1, 1_000);
            prop_assert!(turns.take());
            for (who, length) in lines.iter().enumerate() {
                for _ in 0..*length {
                    prop_assert!(turns.wait(&who, who).is_ok());
                }
            }
            let mut got = vec![0; lines.len()];
            for _ in 0..served {
                if let Some(who) = turns.done() {
                    got[who] += 1;
                }
            }
            for (mine, length) in got.iter().zip(&lines) {
                let most = got.iter().max().copied().unwrap_or(0);
                prop_assert!(*mine == *length || *mine + 1 >= most, "{got:?} of {lines:?}");
            }
        }
    }

    #[test]
    fn a_flood_makes_way_for_who_has_nobody_in_line() {
        let mut turns = Turns::new(1, 3);
        assert!(turns.take());
        for ticket in ["a1", "a2", "a3"] {
            assert_eq!(turns.wait(&"a", ticket), Ok(None));
        }
        assert_eq!(turns.wait(&"a", "a4"), Err("a4"), "its own line is the longest");
        assert_eq!(turns.wait(&"b", "b1"), Ok(Some("a3")));
        assert_eq!(turns.wait(&"b", "b2"), Err("b2"), "both would be as long");
        assert_eq!([turns.done(), turns.done()], [Some("a1"), Some("b1")]);
        assert_eq!([turns.done(), turns.done()], [Some("a2"), None]);
        assert!(turns.take());
    }
}
