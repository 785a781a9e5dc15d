//! Whose turn it is where all places are taken: who has the highest priority; among those of one
//! priority, whoever waits gets a place in turn with the others who wait, whatever the number of
//! requests that each has in line. Where too many wait, the lowest priority makes way first.

use super::Priority;
use std::collections::{BTreeMap, VecDeque};

/// So many places, and those who wait for one: a line for each priority and `W`, of tickets `T`.
#[derive(Debug, Clone)]
pub struct Turns<W, T> {
    free: usize,
    waiting_max: usize,
    /// Those who wait, by priority, the highest first.
    waits: [Lines<W, T>; Priority::ALL.len()],
}

/// Those who wait with one priority.
#[derive(Debug, Clone)]
struct Lines<W, T> {
    waiting: usize,
    lines: BTreeMap<W, VecDeque<T>>,
    /// Those who have a line, the next first.
    order: VecDeque<W>,
}

impl<W: Ord + Clone, T> Turns<W, T> {
    /// With so many places, for which so many may wait.
    pub fn new(places: usize, waiting_max: usize) -> Turns<W, T> {
        let waits = Priority::ALL.map(|_| Lines::new());
        Turns { free: places, waiting_max, waits }
    }

    /// How many wait, of all priorities.
    pub fn waiting(&self) -> usize {
        self.waits.iter().map(|lines| lines.waiting).sum()
    }

    /// How many wait with each priority, the highest first.
    pub fn waiting_by_priority(&self) -> [usize; Priority::ALL.len()] {
        self.waits.each_ref().map(|lines| lines.waiting)
    }

    /// Takes a place, where one is free. None is while somebody waits.
    pub fn take(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= usize::from(is_free);
        is_free
    }

    /// Puts a ticket in line, once no place is free. Where too many wait already, the newest ticket
    /// of the longest line of the lowest priority makes way, and is given back with its priority.
    ///
    /// # Errors
    /// The ticket itself, where too many wait, none of them with a lower priority, and no line of
    /// the same priority would be longer than the ticket's own.
    pub fn wait(
        &mut self,
        (priority, who): (Priority, &W),
        ticket: T,
    ) -> Result<Option<(Priority, T)>, T> {
        let mut out = None;
        if self.waiting() >= self.waiting_max {
            out = self.make_way(priority, who);
            if out.is_none() {
                return Err(ticket);
            }
        }
        self.waits[priority.rank()].push(who, ticket);
        Ok(out)
    }

    fn make_way(&mut self, priority: Priority, who: &W) -> Option<(Priority, T)> {
        let mut waits = self.waits.iter_mut().zip(Priority::ALL).rev();
        let (lines, lowest) = waits.find(|(lines, _)| lines.waiting > 0)?;
        if lowest > priority {
            return None;
        }
        // Of one priority, the longest line gets no longer at the cost of the others.
        let mine = if lowest == priority { lines.len_of(who) + 1 } else { 0 };
        lines.newest_of_longest(mine).map(|ticket| (lowest, ticket))
    }

    /// A place is free again: the ticket that has it now, or none where no ticket waits.
    pub fn done(&mut self) -> Option<T> {
        let next = self.waits.iter_mut().find_map(Lines::next);
        self.free += usize::from(next.is_none());
        next
    }

    /// A ticket leaves its line; false where it is in none.
    pub fn leave(&mut self, (priority, who): (Priority, &W), is_it: impl Fn(&T) -> bool) -> bool {
        self.waits[priority.rank()].leave(who, is_it)
    }
}

impl<W: Ord + Clone, T> Lines<W, T> {
    fn new() -> Lines<W, T> {
        let (waiting, lines, order) = Default::default();
        Lines { waiting, lines, order }
    }

    fn len_of(&self, who: &W) -> usize {
        self.lines.get(who).map_or(0, VecDeque::len)
    }

    fn push(&mut self, who: &W, ticket: T) {
        let line = self.lines.entry(who.clone()).or_insert_with(|| {
            self.order.push_back(who.clone());
            VecDeque::new()
        });
        line.push_back(ticket);
        self.waiting += 1;
    }

    /// The newest ticket of the longest line, where that is longer than so many.
    fn newest_of_longest(&mut self, than: usize) -> Option<T> {
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let (longest, _) = longest.filter(|(_, line)| line.len() > than)?;
        let longest = longest.clone();
        self.take_out(&longest, VecDeque::pop_back)
    }

    fn next(&mut self) -> Option<T> {
        let who = self.order.front().cloned()?;
        self.order.rotate_left(1);
        self.take_out(&who, VecDeque::pop_front)
    }

    fn leave(&mut self, who: &W, is_it: impl Fn(&T) -> bool) -> bool {
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
mod tests;
