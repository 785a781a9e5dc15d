//! The way to one upstream: how many calls it gets at a time, and when it is left alone.
//!
//! An upstream that says 429, or 503, is asked too much: all calls to it wait for as long as it
//! asks for, not the refused one alone, and half as many go at a time from then on. Each full round
//! of answers lets one more go again. Were each call to wait by itself, the others would use up the
//! tries of all (promptfoo #1612, #7727).

use crate::clock::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::random::Random;
use tokio::sync::Notify;

/// The first wait of a refused call where the upstream names none; it doubles with each try.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait, whatever the upstream asks for.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);
/// Cases in a row without an answer after which the upstream counts as down, and what is left is
/// tried once instead of again and again.
const DOWN_AFTER: u32 = 20;

/// The way to one upstream.
#[derive(Debug)]
pub(crate) struct Lane {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Calls that may be under way.
    limit: usize,
    /// Calls that are.
    under_way: usize,
    /// Answers since the limit changed.
    answers: usize,
    /// How often it was halved: a call that began before the last time halves it no more.
    halved: u64,
    /// Since when the upstream is left alone, and for how long.
    pause: Option<(Instant, Duration)>,
    /// Cases in a row that got no answer.
    unanswered: u32,
    jitter: Random,
}

/// A call under way; dropped, it makes room for the next.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    lane: &'a Lane,
    halved: u64,
}

impl Lane {
    /// A way for so many calls at a time, at least 1.
    pub(super) fn new(most: usize) -> Lane {
        let most = most.max(1);
        let state = State {
            limit: most,
            under_way: 0,
            answers: 0,
            halved: 0,
            pause: None,
            unanswered: 0,
            jitter: Random::new(most as u64, "waits of a lane"),
        };
        Lane { most, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the lock is let go.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may go.
    pub(super) async fn enter(&self, clock: &Clock) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.state();
                match state.pause {
                    None if state.under_way < state.limit => {
                        state.under_way += 1;
                        return Pass { lane: self, halved: state.halved };
                    }
                    pause => pause,
                }
            };
            match pause {
                None => changed.await,
                Some((since, wait)) => {
                    clock.simulate_until(since, wait).await;
                    let mut state = self.state();
                    if state.pause == Some((since, wait)) {
                        state.pause = None;
                    }
                    drop(state);
                    // Those that wait for room looked before there was a pause.
                    self.changed.notify_waiters();
                }
            }
        }
    }

    /// Whether so many cases in a row got no answer that another try is no help.
    pub(super) fn is_down(&self) -> bool {
        self.state().unanswered >= DOWN_AFTER
    }

    /// A case is over: with an answer, or without one.
    pub(super) fn over(&self, answered: bool) {
        let mut state = self.state();
        state.unanswered = if answered { 0 } else { state.unanswered.saturating_add(1) };
    }
}

impl Pass<'_> {
    /// The upstream answered.
    pub(super) fn answered(self) {
        let mut state = self.lane.state();
        state.answers += 1;
        if state.answers >= state.limit && state.limit < self.lane.most {
            state.limit += 1;
            state.answers = 0;
            drop(state);
            self.lane.changed.notify_one();
        }
    }

    /// The upstream said that it is asked too much, in the call's try of this number, from 1; it
    /// may have named a time.
    pub(super) fn refused(self, asked_for: Option<Duration>, tries: u32) {
        let mut state = self.lane.state();
        // Up to a quarter more: what waits together does not come back together.
        let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(8));
        let wait = asked_for.unwrap_or_else(|| doubled.mul_f64(1.0 + state.jitter.unit() / 4.0));
        let wait = wait.min(WAIT_MAX);
        let now = Instant::now();
        let ends = |(since, wait): (Instant, Duration)| since + wait;
        if state.pause.is_none_or(|pause| ends(pause) < now + wait) {
            state.pause = Some((now, wait));
        }
        if self.halved == state.halved {
            state.halved += 1;
            state.limit = (state.limit / 2).max(1);
            state.answers = 0;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.lane.state().under_way -= 1;
        self.lane.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::ids::UnixMs;

    fn clock() -> Clock {
        Clock::demo(UnixMs(1_700_000_000_000), 1_000_000)
    }

    /// How many calls may go at once.
    async fn room(lane: &Lane) -> usize {
        let mut passes = vec![lane.enter(&clock()).await];
        let limit = lane.state().limit;
        while passes.len() < limit {
            passes.push(lane.enter(&clock()).await);
        }
        passes.len()
    }

    #[tokio::test]
    async fn what_was_under_way_together_halves_the_limit_once() {
        let lane = Lane::new(8);
        let together = [lane.enter(&clock()).await, lane.enter(&clock()).await];
        for pass in together {
            pass.refused(None, 1);
        }
        assert_eq!(room(&lane).await, 4);
        lane.enter(&clock()).await.refused(Some(Duration::from_secs(3)), 1);
        assert_eq!(room(&lane).await, 2);
        for _ in 0..5 {
            lane.enter(&clock()).await.refused(None, 9);
        }
        assert_eq!(room(&lane).await, 1, "one always goes");
    }

    #[tokio::test]
    async fn each_full_round_of_answers_lets_one_more_go() {
        let lane = Lane::new(4);
        lane.enter(&clock()).await.refused(None, 1);
        for (answers, expected) in [(1, 2), (1, 3), (2, 3), (1, 4), (9, 4)] {
            for _ in 0..answers {
                lane.enter(&clock()).await.answered();
            }
            assert_eq!(room(&lane).await, expected, "after {answers} more");
        }
    }

    #[tokio::test]
    async fn a_pause_is_as_long_as_is_asked_for_and_never_longer_than_a_minute() {
        let lane = Lane::new(4);
        let pause = || lane.state().pause.map(|(_, wait)| wait);
        let pass =
            [lane.enter(&clock()).await, lane.enter(&clock()).await, lane.enter(&clock()).await];
        let [long, short, longest] = pass;
        long.refused(Some(Duration::from_secs(7)), 1);
        short.refused(Some(Duration::from_secs(2)), 1);
        assert_eq!(pause(), Some(Duration::from_secs(7)), "a shorter one does not end it");
        longest.refused(Some(Duration::from_secs(3_600)), 1);
        assert_eq!(pause(), Some(WAIT_MAX));
        lane.enter(&clock()).await.answered();
        assert_eq!(pause(), None);
    }

    #[tokio::test]
    async fn waits_double_and_differ() {
        let lane = Lane::new(1);
        let mut waits = Vec::new();
        for tries in [1, 1, 2, 3] {
            lane.enter(&clock()).await.refused(None, tries);
            waits.push(lane.state().pause.map(|(_, wait)| wait.as_millis()).unwrap());
        }
        assert_ne!(waits[0], waits[1]);
        for (wait, least) in waits.into_iter().zip([250, 250, 500, 1_000]) {
            assert!((least..=least * 5 / 4).contains(&wait), "{wait} for {least}");
        }
    }

    #[test]
    fn an_upstream_is_down_until_it_answers() {
        let lane = Lane::new(1);
        (1..DOWN_AFTER).for_each(|_| lane.over(false));
        assert!(!lane.is_down());
        lane.over(false);
        assert!(lane.is_down());
        lane.over(true);
        assert!(!lane.is_down());
    }
}
