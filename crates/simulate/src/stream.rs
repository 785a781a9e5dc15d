//! Stream: a scenario and a seed → its requests, each with what either arm would make of it.
//!
//! Every request's draws depend on the seed alone, whatever is asked and whoever is served: all
//! engines see the same requests, and only the arm differs (common random numbers). What was drawn
//! for one engine is kept for the next: at most four hours' requests, some 30 MB.

use super::clusters;
use super::scenario::{Behaviour, Bursts, LATENCY_US, Scenario, TOKENS};
use tidegate_core::random::Random;
use tidegate_core::route::{Arm, Cohort};

/// Users of a simulated service, where a scenario does not say.
pub(super) const USERS: u32 = 20_000;
/// An answer is cut here, as `max_tokens` does.
const TOKENS_MAX: f64 = 4096.0;
/// The standard normal's 99th percentile: beyond it begins the tail of latencies.
const TAIL_FROM: f64 = 2.326_347_874;
/// The one leak hits a user in the first share of any ladder.
const LEAK_BELOW: f64 = 0.01;

/// One request with everything that is drawn for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draws {
    /// When it comes, ms after the release began.
    pub(crate) at_ms: u64,
    /// Who asks, below [`Scenario::users`].
    pub(crate) user: u32,
    /// The user's place in the split, 0 to 1: below the weight it is the candidate's.
    pub(crate) position: f64,
    /// The user's cohort in this release.
    pub(crate) cohort: Cohort,
    /// The user's place among all, 0 to 1: below a group's share it is in the group.
    kin: f64,
    /// Whether a burst of shared errors is on.
    burst: bool,
    /// Whether the candidate leaks a planted text here.
    leak: bool,
    /// Uniform draws, 0 to 1.
    fails: f64,
    label: f64,
    heard: f64,
    flag: f64,
    pick: f64,
    /// Standard normal draws.
    latency: f64,
    tokens: f64,
}

/// What one arm makes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Served {
    /// Whether it failed by the upstream's fault.
    pub(crate) failed: bool,
    /// End-to-end time, µs.
    pub(crate) latency_us: u64,
    /// Tokens of the answer.
    pub(crate) tokens: u64,
    /// Whether the user's task failed.
    pub(crate) task_failed: bool,
    /// Whether a probabilistic detector went off.
    pub(crate) flagged: bool,
    /// Whether the answer contains a planted text.
    pub(crate) leaked: bool,
}

/// The requests of one repetition.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    scenario: &'a Scenario,
    random: Random,
    seed: u64,
    now_s: f64,
    /// Each user's own share of errors, where users differ.
    rates: Vec<f64>,
    burst: BurstState,
    leaked: bool,
    /// Where in the trace of real arrivals it goes on.
    arrival: usize,
    /// What was drawn so far.
    tape: Vec<Draws>,
    /// Where on it the reader is.
    at: usize,
}

impl<'a> Stream<'a> {
    /// The stream of a scenario's repetition with this seed.
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Stream<'a> {
        let mut start = Random::new(seed, "start");
        let arrivals = scenario.content.as_ref().map_or(0, |content| content.gaps_s.len());
        let rates = match scenario.clusters {
            Some(correlation) => {
                clusters::user_rates(seed, scenario.users, scenario.stable.errors, correlation)
            }
            None => Vec::new(),
        };
        Stream {
            scenario,
            random: Random::new(seed, "requests"),
            seed,
            now_s: 0.0,
            rates,
            burst: BurstState::new(seed, scenario.bursts),
            leaked: false,
            arrival: start.index(arrivals),
            tape: Vec::new(),
            at: 0,
        }
    }

    /// Returns to the first request, for another engine.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
    }

    /// The next request; `None` when the horizon is reached.
    pub(crate) fn next(&mut self) -> Option<Draws> {
        if self.at == self.tape.len() {
            let drawn = self.draw()?;
            self.tape.push(drawn);
        }
        self.at += 1;
        self.tape.get(self.at - 1).cloned()
    }

    fn draw(&mut self) -> Option<Draws> {
        if self.scenario.rate <= 0.0 {
            return None;
        }
        self.now_s += self.gap_s();
        if self.now_s >= self.scenario.horizon_s {
            return None;
        }
        let random = &mut self.random;
        // Activity falls with the root of the rank: the first of 20,000 users sends 0.7 %.
        let activity = random.unit();
        let user = ((activity * activity) * f64::from(self.scenario.users)) as u32;
        let (latency, tokens) = random.normals();
        let mut draws = Random::nth(self.seed, u64::from(user));
        let position = draws.unit();
        let cohort = Cohort::new(draws.index(Cohort::COUNT) as u8);
        let kin = draws.unit();
        let leak = match self.scenario.leak_s {
            Some(from) => !self.leaked && self.now_s >= from && position < LEAK_BELOW,
            None => false,
        };
        self.leaked |= leak;
        Some(Draws {
            at_ms: (self.now_s * 1000.0) as u64,
            user,
            position,
            cohort,
            kin,
            burst: self.burst.is_on(self.now_s),
            leak,
            fails: random.unit(),
            label: random.unit(),
            heard: random.unit(),
            flag: random.unit(),
            pick: random.unit(),
            latency,
            tokens,
        })
    }

    /// Seconds until the next request: exponential, or as in the trace.
    fn gap_s(&mut self) -> f64 {
        if let Some(content) = &self.scenario.content
            && let Some(gap) = content.gaps_s.get(self.arrival)
        {
            self.arrival = (self.arrival + 1) % content.gaps_s.len();
            return *gap;
        }
        -(1.0 - self.random.unit()).ln() / self.scenario.rate
    }

    /// What the arm makes of the request.
    pub(crate) fn seen(&self, request: &Draws, arm: Arm) -> Served {
        let scenario = self.scenario;
        let at_s = request.at_ms as f64 / 1000.0;
        let behaviour = match arm {
            Arm::Stable => scenario.stable_at(at_s),
            Arm::Candidate => scenario.candidate_at(at_s),
        };
        let failed = request.fails < self.error_share(request, (arm, behaviour), at_s);
        let tail = if request.latency > TAIL_FROM { behaviour.tail } else { 1.0 };
        let latency = (scenario.latency_sigma * request.latency).exp() * behaviour.latency * tail;
        let (tokens, task_failed) = match &scenario.content {
            Some(content) => content.answer(arm, request.pick, request.label),
            None => {
                let sigma = scenario.tokens_sigma;
                // The mean of a lognormal is its median times exp(σ²/2).
                let spread = (sigma * request.tokens - sigma * sigma / 2.0).exp();
                let tokens = (TOKENS * behaviour.tokens * spread).clamp(1.0, TOKENS_MAX);
                (tokens as u64, request.label < behaviour.task_failed)
            }
        };
        Served {
            failed,
            latency_us: (LATENCY_US * latency) as u64,
            tokens,
            task_failed,
            flagged: request.flag < behaviour.flagged,
            leaked: request.leak && arm == Arm::Candidate,
        }
    }

    fn error_share(&self, request: &Draws, (arm, behaviour): (Arm, &Behaviour), at_s: f64) -> f64 {
        if let Some(alike) = self.scenario.alike
            && arm == Arm::Candidate
            && at_s >= self.scenario.from_s
        {
            let usual = self.scenario.stable_at(at_s).errors;
            return if request.kin < alike.users { alike.errors.max(usual) } else { usual };
        }
        let own = self.rates.get(request.user as usize).copied().unwrap_or(behaviour.errors);
        let share = match self.scenario.bursts {
            Some(bursts) if request.burst => own * bursts.factor,
            Some(_) | None => own,
        };
        match self.scenario.outage {
            Some(outage) if at_s >= outage.from_s => share.max(outage.errors),
            Some(_) | None => share,
        }
    }

    /// When the user says whether the task was done, ms; `None` when nothing is heard.
    pub(crate) fn heard_at(&self, request: &Draws) -> Option<u64> {
        let labels = self.scenario.labels?;
        let kept = 1.0 - labels.lost;
        let late = request.heard / kept;
        (late < 1.0).then(|| request.at_ms + (late * labels.delay_s * 1000.0) as u64)
    }
}

/// Whether a burst of shared errors is on, as time goes forward.
#[derive(Debug)]
struct BurstState {
    bursts: Option<Bursts>,
    random: Random,
    on: bool,
    until_s: f64,
}

impl BurstState {
    fn new(seed: u64, bursts: Option<Bursts>) -> BurstState {
        BurstState { bursts, random: Random::new(seed, "bursts"), on: true, until_s: 0.0 }
    }

    fn is_on(&mut self, now_s: f64) -> bool {
        let Some(Bursts { quiet_s, dwell_s, factor: _ }) = self.bursts else { return false };
        while now_s >= self.until_s {
            self.on = !self.on;
            let quiet = -(1.0 - self.random.unit()).ln() * quiet_s;
            self.until_s += if self.on { dwell_s } else { quiet };
        }
        self.on
    }
}

#[cfg(test)]
mod tests;
