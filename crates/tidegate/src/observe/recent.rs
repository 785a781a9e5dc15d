//! What came last: a bounded map, the oldest out first.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map of at most `MAX` insertions; beyond it the oldest go.
#[derive(Debug)]
pub(super) struct Recent<K, V, const MAX: usize> {
    // Each with its turn, so that a key used twice is not thrown out with its first use.
    entries: HashMap<K, (u64, V)>,
    order: VecDeque<(u64, K)>,
    turn: u64,
}

impl<K, V, const MAX: usize> Default for Recent<K, V, MAX> {
    fn default() -> Self {
        Recent { entries: HashMap::new(), order: VecDeque::new(), turn: 0 }
    }
}

impl<K: Hash + Eq + Clone, V, const MAX: usize> Recent<K, V, MAX> {
    /// Remembers a value; the latest of a key counts.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.turn += 1;
        self.order.push_back((self.turn, key.clone()));
        self.entries.insert(key, (self.turn, value));
        while self.order.len() > MAX {
            let Some((turn, oldest)) = self.order.pop_front() else { return };
            if self.entries.get(&oldest).is_some_and(|(latest, _)| *latest == turn) {
                self.entries.remove(&oldest);
            }
        }
    }

    /// The value of a key, if it is still known.
    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Takes the value of a key. Its place among the last stays taken.
    pub(super) fn take<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.remove(key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_a_key_used_twice_counts_from_its_last_use() {
        let mut recent: Recent<u32, &str, 3> = Recent::default();
        for (key, value) in [(1, "a"), (2, "b"), (1, "c"), (3, "d")] {
            recent.insert(key, value);
        }
        assert_eq!(recent.get_mut(&1).copied(), Some("c"));
        recent.insert(4, "e");
        assert_eq!(recent.take(&2), None);
        assert_eq!((recent.take(&1), recent.take(&1)), (Some("c"), None));
        // What is taken leaves no hole behind, and the bound holds.
        for _ in 0..10 {
            recent.insert(5, "f");
        }
        assert_eq!((recent.order.len(), recent.entries.len()), (3, 1));
    }
}
