//! Callers that are refused for some time after a forbidden tool call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tidegate_core::ids::UnixMs;

/// Most callers that are refused at a time; beyond it the one whose time ends first is let in
/// again. A pseudonym takes some 40 bytes.
const BANS_MAX: usize = 65_536;

/// Who is refused, by pseudonym, and until when.
#[derive(Default)]
pub(crate) struct Bans {
    until: Mutex<HashMap<String, UnixMs>>,
}

impl Bans {
    /// Refuses a caller for so many seconds from now.
    pub(crate) fn add(&self, caller: &str, now: UnixMs, seconds: u64) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= BANS_MAX {
            until.retain(|_, end| *end > now);
        }
        if until.len() >= BANS_MAX {
            let first = until.iter().min_by_key(|(_, end)| **end).map(|(name, _)| name.clone());
            first.and_then(|name| until.remove(&name));
        }
        let end = UnixMs(now.0.saturating_add(seconds.saturating_mul(1000)));
        let known = until.entry(caller.to_owned()).or_insert(end);
        *known = end.max(*known);
    }

    /// For how many seconds more the caller is refused; `None` for one that is not. The name is
    /// only made where anybody is refused: it takes a hash.
    pub(crate) fn left_s(
        &self,
        caller: impl FnOnce() -> Option<String>,
        now: UnixMs,
    ) -> Option<u64> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_empty() {
            return None;
        }
        let caller = caller()?;
        let end = *until.get(&caller)?;
        let left = end.0.saturating_sub(now.0).div_ceil(1000);
        if left == 0 {
            until.remove(&caller);
            return None;
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(bans: &Bans, caller: &str, now: UnixMs) -> Option<u64> {
        bans.left_s(|| Some(caller.to_owned()), now)
    }

    #[test]
    fn a_ban_ends_by_itself_and_is_never_shortened() {
        let bans = Bans::default();
        bans.add("caller-1", UnixMs(1_000), 60);
        bans.add("caller-1", UnixMs(2_000), 1);
        assert_eq!(left(&bans, "caller-1", UnixMs(2_001)), Some(59));
        assert_eq!(left(&bans, "caller-2", UnixMs(2_001)), None);
        assert_eq!(left(&bans, "caller-1", UnixMs(61_000)), None);
        assert!(bans.until.lock().unwrap().is_empty());
    }

    #[test]
    fn there_are_never_more_bans_than_the_bound() {
        let bans = Bans::default();
        for n in 0..=BANS_MAX as u64 {
            bans.add(&format!("caller-{n}"), UnixMs(0), 60 + n);
        }
        assert_eq!(bans.until.lock().unwrap().len(), BANS_MAX);
        assert_eq!(left(&bans, "caller-0", UnixMs(0)), None);
        assert!(left(&bans, "caller-1", UnixMs(0)).is_some());
    }
}
