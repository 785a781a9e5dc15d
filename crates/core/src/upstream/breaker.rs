//! When an endpoint gets no calls for a while, and how it comes back.
//!
//! A breaker is **closed** while its endpoint answers. It **opens** after [`STREAK`] failures in a
//! row, or when more than [`BAD_PCT`] % of the results of the last [`WINDOW_US`] failed, of
//! [`LEAST`] or more. It is open for a second, then for twice as long each time, up to a minute.
//! After that comes **probation**: one call at first, one more for each that was answered, and
//! [`TRIALS`] answers close it; one failure opens it again.
//!
//! A result counts only in the state in which its call began: an old call that ends late says
//! nothing of an endpoint that was restarted meanwhile.

use std::collections::VecDeque;

/// Failures in a row that open a breaker.
pub const STREAK: u32 = 5;
/// How long results count, µs: ten buckets of a second.
pub const WINDOW_US: u64 = 10_000_000;
/// Results in the window below which no share is read.
pub const LEAST: u32 = 20;
/// Share of failures in the window over which a breaker opens, percent.
pub const BAD_PCT: u32 = 20;
/// How long a breaker is open the first time, µs.
pub const OPEN_FIRST_US: u64 = 1_000_000;
/// How long it is open at most, µs.
pub const OPEN_MAX_US: u64 = 60_000_000;
/// Answers in a row that end probation.
pub const TRIALS: u32 = 3;
/// Length of one bucket of the window, µs.
const BUCKET_US: u64 = 1_000_000;

/// Whether an endpoint gets calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It gets its share of calls.
    Closed,
    /// It gets none, while another can.
    Open,
    /// It gets a few, to show whether it is well again.
    Probation,
}

impl Standing {
    /// The name in output and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Closed => "closed",
            Standing::Open => "open",
            Standing::Probation => "probation",
        }
    }
}

/// What a result does to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It opened, for so many µs.
    Opened {
        /// How long it is open.
        for_us: u64,
    },
    /// It closed.
    Closed,
}

#[derive(Debug, Clone)]
enum State {
    Closed { streak: u32, window: VecDeque<Bucket> },
    Open { until_us: u64 },
    Probation { out: u32, good: u32 },
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    number: u64,
    good: u32,
    bad: u32,
}

/// The breaker of one endpoint. Times are µs since any fixed moment, and never run backwards.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    /// Grows with each change of state; a call carries the one it began in.
    era: u64,
    /// Times that it opened without a calm stretch between.
    opened: u32,
    /// When it last closed.
    closed_us: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker { state: fresh(), era: 0, opened: 0, closed_us: 0 }
    }
}

fn fresh() -> State {
    State::Closed { streak: 0, window: VecDeque::new() }
}

impl Breaker {
    /// Its state at `now_us`.
    pub fn standing(&self, now_us: u64) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until_us } if now_us < until_us => Standing::Open,
            State::Open { .. } | State::Probation { .. } => Standing::Probation,
        }
    }

    /// How long it is still open, µs.
    pub fn left_us(&self, now_us: u64) -> u64 {
        match self.state {
            State::Open { until_us } => until_us.saturating_sub(now_us),
            State::Closed { .. } | State::Probation { .. } => 0,
        }
    }

    /// Whether it is on probation and may get one more call.
    pub fn wants_trial(&self, now_us: u64) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until_us } => now_us >= until_us,
            State::Probation { out, good } => out <= good,
        }
    }

    /// A call begins; gives the era that its result belongs to.
    pub fn begin(&mut self, now_us: u64) -> u64 {
        if let State::Open { until_us } = self.state
            && now_us >= until_us
        {
            self.enter(State::Probation { out: 0, good: 0 });
        }
        if let State::Probation { out, .. } = &mut self.state {
            *out += 1;
        }
        self.era
    }

    /// A call of this era ended; `None` where that says nothing of the endpoint.
    pub fn end(&mut self, era: u64, good: Option<bool>, now_us: u64) -> Option<Change> {
        if era != self.era {
            return None;
        }
        if let State::Probation { out, .. } = &mut self.state {
            *out = out.saturating_sub(1);
        }
        match (&mut self.state, good?) {
            (State::Closed { streak, window }, good) => {
                *streak = if good { 0 } else { *streak + 1 };
                let is_bad = *streak >= STREAK || count(window, good, now_us);
                is_bad.then(|| self.open(now_us))
            }
            // It was called as no other could be, and it answers.
            (State::Open { .. }, true) => {
                self.enter(State::Probation { out: 0, good: 1 });
                None
            }
            (State::Open { .. }, false) => None,
            (State::Probation { good, .. }, true) => {
                *good += 1;
                if *good < TRIALS {
                    return None;
                }
                self.closed_us = now_us;
                self.enter(fresh());
                Some(Change::Closed)
            }
            (State::Probation { .. }, false) => Some(self.open(now_us)),
        }
    }

    fn open(&mut self, now_us: u64) -> Change {
        let was_closed = matches!(self.state, State::Closed { .. });
        let last_us = open_us(self.opened);
        // As long closed as it was open before: what happens now is another fault.
        if was_closed && now_us.saturating_sub(self.closed_us) >= last_us {
            self.opened = 0;
        }
        self.opened = self.opened.saturating_add(1);
        let for_us = open_us(self.opened);
        self.enter(State::Open { until_us: now_us.saturating_add(for_us) });
        Change::Opened { for_us }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

/// How long a breaker is open that opened so many times without a calm stretch, µs.
fn open_us(opened: u32) -> u64 {
    match opened.checked_sub(1) {
        None => 0,
        Some(before) => (OPEN_FIRST_US << before.min(16)).min(OPEN_MAX_US),
    }
}

/// Counts a result; gives whether too many of the window's failed.
fn count(window: &mut VecDeque<Bucket>, is_good: bool, now_us: u64) -> bool {
    let number = now_us / BUCKET_US;
    let oldest = number.saturating_sub(WINDOW_US / BUCKET_US - 1);
    while window.front().is_some_and(|bucket| bucket.number < oldest) {
        window.pop_front();
    }
    if window.back().is_none_or(|bucket| bucket.number != number) {
        window.push_back(Bucket { number, good: 0, bad: 0 });
    }
    if let Some(bucket) = window.back_mut() {
        let which = if is_good { &mut bucket.good } else { &mut bucket.bad };
        *which = which.saturating_add(1);
    }
    let sum = |of: fn(&Bucket) -> u32| window.iter().map(|b| u64::from(of(b))).sum::<u64>();
    let (good, bad) = (sum(|bucket| bucket.good), sum(|bucket| bucket.bad));
    good + bad >= u64::from(LEAST) && bad * 100 > (good + bad) * u64::from(BAD_PCT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000;

    fn call(breaker: &mut Breaker, good: Option<bool>, at: u64) -> Option<Change> {
        let era = breaker.begin(at);
        breaker.end(era, good, at)
    }

    fn fail(breaker: &mut Breaker, times: u32, at: u64) -> Option<Change> {
        (0..times).filter_map(|_| call(breaker, Some(false), at)).last()
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_three_answers_close_it() {
        let mut breaker = Breaker::default();
        assert_eq!(fail(&mut breaker, 4, 0), None);
        assert_eq!(call(&mut breaker, Some(true), 0), None);
        assert_eq!(fail(&mut breaker, 4, 0), None, "the answer between ended the row");
        assert_eq!(fail(&mut breaker, 1, 0), Some(Change::Opened { for_us: S }));
        assert_eq!((breaker.standing(S - 1), breaker.left_us(S - 1)), (Standing::Open, 1));
        assert_eq!(breaker.standing(S), Standing::Probation);
        assert_eq!(call(&mut breaker, Some(true), S), None);
        assert_eq!(call(&mut breaker, Some(true), S), None);
        assert_eq!(call(&mut breaker, Some(true), S), Some(Change::Closed));
        assert_eq!(breaker.standing(S), Standing::Closed);
    }

    #[test]
    fn a_fifth_of_twenty_is_borne_and_more_is_not() {
        let mut breaker = Breaker::default();
        for n in 0..20 {
            assert_eq!(call(&mut breaker, Some(n % 5 != 0), n * 1000), None, "{n}");
        }
        assert_eq!(fail(&mut breaker, 1, S), Some(Change::Opened { for_us: S }));
        let mut later = Breaker::default();
        fail(&mut later, 4, 0);
        for n in 0..30 {
            let at = WINDOW_US + n;
            assert_eq!(call(&mut later, Some(n % 5 != 4), at), None, "{n}: the first four are old");
        }
    }

    #[test]
    fn probation_begins_with_one_call_and_one_failure_ends_it() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, STREAK, 0);
        let first = breaker.begin(S);
        assert!(!breaker.wants_trial(S), "one is out");
        breaker.end(first, Some(true), S);
        let (second, third) = (breaker.begin(S), breaker.begin(S));
        assert!(!breaker.wants_trial(S), "one answer allows two");
        assert_eq!(breaker.end(second, Some(false), S), Some(Change::Opened { for_us: 2 * S }));
        assert_eq!(breaker.end(third, Some(true), S), None, "it belongs to the era before");
        assert_eq!(breaker.standing(S), Standing::Open);
    }

    #[test]
    fn a_calm_stretch_makes_the_next_time_short_again() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, STREAK, 0);
        assert_eq!(fail(&mut breaker, 1, S), Some(Change::Opened { for_us: 2 * S }));
        let again = |breaker: &mut Breaker, calm| {
            let at = 3 * S;
            for _ in 0..TRIALS {
                call(breaker, Some(true), at);
            }
            fail(breaker, STREAK, at + calm)
        };
        assert_eq!(again(&mut breaker.clone(), S), Some(Change::Opened { for_us: 4 * S }));
        assert_eq!(again(&mut breaker, 2 * S), Some(Change::Opened { for_us: S }));
    }

    proptest! {
        /// The time doubles and is bounded, however long an endpoint is dead.
        #[test]
        fn the_time_doubles_up_to_a_minute(times in 1_u32..200) {
            let mut breaker = Breaker::default();
            let mut at = 0;
            let mut expected = OPEN_FIRST_US;
            let turn = fail(&mut breaker, STREAK, at);
            prop_assert_eq!(turn, Some(Change::Opened { for_us: expected }));
            for _ in 0..times {
                at += expected;
                expected = (expected * 2).min(OPEN_MAX_US);
                let turn = fail(&mut breaker, 1, at);
                prop_assert_eq!(turn, Some(Change::Opened { for_us: expected }));
            }
        }

        /// What says nothing of the endpoint changes nothing, in whatever number.
        #[test]
        fn what_clients_do_opens_nothing(
            results in prop::collection::vec((any::<bool>(), 0_u64..3 * S), 0..300),
        ) {
            let mut breaker = Breaker::default();
            let mut at = 0;
            for (is_answer, later) in results {
                at += later;
                prop_assert_eq!(call(&mut breaker, is_answer.then_some(true), at), None);
                prop_assert_eq!(breaker.standing(at), Standing::Closed);
            }
        }

        /// On probation no more calls are out than were answered, and one.
        #[test]
        fn trials_are_few(steps in prop::collection::vec(any::<(bool, bool)>(), 0..200)) {
            let mut breaker = Breaker::default();
            fail(&mut breaker, STREAK, 0);
            let (mut out, mut at) = (Vec::new(), S);
            for (begins, good) in steps {
                if begins && breaker.wants_trial(at) {
                    out.push(breaker.begin(at));
                } else if let Some(era) = out.pop() {
                    match breaker.end(era, Some(good), at) {
                        Some(Change::Closed) => break,
                        Some(Change::Opened { for_us }) => (out, at) = (Vec::new(), at + for_us),
                        None => {}
                    }
                }
                prop_assert!(out.len() <= TRIALS as usize);
            }
        }
    }
}
