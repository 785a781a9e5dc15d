//! Which of several endpoints gets a call.
//!
//! Order of checks: an endpoint that was tried for this request comes last; one on probation that
//! wants a call gets it, unless it is a retry; of the others, two are drawn and the one with the
//! lower cost is taken (Mitzenmacher, "The power of two choices", 2001). Where none is well, all
//! are: the last endpoint is never taken away. The cost is latency times calls in flight, by
//! weight. Latency is a peak EWMA, as Finagle and Linkerd have it: a slow answer counts at once,
//! and is forgotten over [`TAU_US`]. A failure is no latency: what fails fast never looks
//! fast.

use super::Failure;
use super::breaker::{Breaker, Change, Standing};
use crate::random::Random;

/// Time after which a latency counts by 1/e, µs.
pub const TAU_US: u64 = 10_000_000;
/// Smallest weight of an endpoint.
pub const WEIGHT_MIN: f64 = 0.01;
/// What a call is taken to last where nothing is known, µs.
const UNKNOWN_US: f64 = 1_000_000.0;

/// A call that an endpoint has; given back by [`Pool::end`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a pick that is not ended counts as in flight for ever"]
pub struct Pick {
    /// The endpoint.
    pub index: usize,
    era: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was answered.
    Answered,
    /// It was not.
    Failed(Failure),
    /// Nothing is known: whoever asked has left, or had less patience than the limits.
    Left,
}

/// One endpoint as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Its breaker.
    pub standing: Standing,
    /// How long it is still open, µs.
    pub open_us: u64,
    /// Whether the last health checks failed.
    pub is_down: bool,
    /// Calls in flight.
    pub in_flight: u32,
    /// Latency of the first byte as it counts now, µs; `None` before the first answer.
    pub latency_us: Option<f64>,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that failed by the endpoint's fault.
    pub failed: u64,
    /// Times that its breaker opened.
    pub opened: u64,
}

impl View {
    /// Whether it gets its share of calls.
    pub fn is_well(&self) -> bool {
        !self.is_down && self.standing == Standing::Closed
    }
}

#[derive(Debug, Clone)]
struct Endpoint {
    weight: f64,
    breaker: Breaker,
    is_down: bool,
    in_flight: u32,
    latency: Option<Latency>,
    answered: u64,
    failed: u64,
    opened: u64,
}

#[derive(Debug, Clone, Copy)]
struct Latency {
    us: f64,
    at_us: u64,
}

impl Latency {
    fn kept(self, now_us: u64) -> f64 {
        (-(now_us.saturating_sub(self.at_us) as f64) / TAU_US as f64).exp()
    }
}

impl Endpoint {
    fn is_well(&self, now_us: u64) -> bool {
        !self.is_down && self.breaker.standing(now_us) == Standing::Closed
    }

    fn wants_trial(&self, now_us: u64) -> bool {
        !self.is_down && self.breaker.wants_trial(now_us)
    }

    /// The latency as it counts now. It is forgotten only while nothing is in flight: else the
    /// first call after a pause would draw all others with it before its answer is there.
    fn latency_us(&self, now_us: u64) -> Option<f64> {
        self.latency.map(|latency| match self.in_flight {
            0 => latency.us * latency.kept(now_us),
            _ => latency.us,
        })
    }

    fn cost(&self, now_us: u64) -> f64 {
        let latency = match self.latency_us(now_us) {
            Some(latency) => latency,
            None if self.in_flight == 0 => 0.0,
            None => UNKNOWN_US,
        };
        latency * (f64::from(self.in_flight) + 1.0) / self.weight
    }

    fn observe(&mut self, us: f64, now_us: u64) {
        let us = match self.latency {
            Some(before) if us <= before.us * before.kept(now_us) => {
                let kept = before.kept(now_us);
                before.us * kept + us * (1.0 - kept)
            }
            Some(_) | None => us,
        };
        self.latency = Some(Latency { us, at_us: now_us });
    }
}

/// The endpoints of one upstream. Times are µs since any fixed moment, and never run backwards.
#[derive(Debug, Clone)]
pub struct Pool(Vec<Endpoint>);

impl Pool {
    /// One endpoint for each weight: what it can take beside the others, [`WEIGHT_MIN`] or more.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Pool {
        let endpoint = |weight: f64| Endpoint {
            // Whatever is no number is the least too.
            weight: weight.max(WEIGHT_MIN),
            breaker: Breaker::default(),
            is_down: false,
            in_flight: 0,
            latency: None,
            answered: 0,
            failed: 0,
            opened: 0,
        };
        Pool(weights.into_iter().map(endpoint).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The endpoint for a call, which it has from now on; `None` only of an empty pool. `tried` are
    /// those that the request was sent to before.
    pub fn pick(&mut self, now_us: u64, random: &mut Random, tried: &[usize]) -> Option<Pick> {
        let index = self.choose(now_us, random, tried)?;
        let endpoint = self.0.get_mut(index)?;
        endpoint.in_flight += 1;
        Some(Pick { index, era: endpoint.breaker.begin(now_us) })
    }

    fn choose(&self, now_us: u64, random: &mut Random, tried: &[usize]) -> Option<usize> {
        let fresh: Vec<usize> = (0..self.0.len()).filter(|index| !tried.contains(index)).collect();
        let of = |is: fn(&Endpoint, u64) -> bool| -> Vec<usize> {
            fresh.iter().copied().filter(|index| is(&self.0[*index], now_us)).collect()
        };
        let trials = of(Endpoint::wants_trial);
        let trial = trials.get(random.index(trials.len())).copied();
        if tried.is_empty() && trial.is_some() {
            return trial;
        }
        let well = self.cheaper(&of(Endpoint::is_well), now_us, random);
        let any = || self.cheaper(&fresh, now_us, random);
        well.or(trial).or_else(any).or_else(|| {
            // All were tried.
            (!tried.is_empty()).then(|| self.choose(now_us, &mut random.clone(), &[])).flatten()
        })
    }

    /// The cheaper of two that are drawn.
    fn cheaper(&self, among: &[usize], now_us: u64, random: &mut Random) -> Option<usize> {
        let first = *among.get(random.index(among.len()))?;
        if among.len() < 2 {
            return Some(first);
        }
        let others: Vec<usize> = among.iter().copied().filter(|index| *index != first).collect();
        let second = *others.get(random.index(others.len()))?;
        let cost = |index: usize| self.0[index].cost(now_us);
        Some(if cost(second) < cost(first) { second } else { first })
    }

    /// A call is over. `latency_us` is the time to its first byte, or until it failed.
    pub fn end(
        &mut self,
        pick: Pick,
        ended: Ended,
        latency_us: u64,
        now_us: u64,
    ) -> Option<Change> {
        let endpoint = self.0.get_mut(pick.index)?;
        endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        let good = match ended {
            Ended::Answered => Some(true),
            Ended::Failed(failure) if failure.blames_endpoint() => Some(false),
            Ended::Failed(_) | Ended::Left => None,
        };
        let is_late = matches!(ended, Ended::Failed(failure) if failure.is_timeout());
        if good == Some(true) || is_late {
            endpoint.observe(latency_us as f64, now_us);
        }
        match good {
            Some(true) => endpoint.answered += 1,
            Some(false) => endpoint.failed += 1,
            None => {}
        }
        let change = endpoint.breaker.end(pick.era, good, now_us);
        endpoint.opened += u64::from(matches!(change, Some(Change::Opened { .. })));
        change
    }

    /// What the health checks of an endpoint say; true where that is new.
    pub fn checked(&mut self, index: usize, is_up: bool) -> bool {
        let Some(endpoint) = self.0.get_mut(index) else { return false };
        std::mem::replace(&mut endpoint.is_down, !is_up) == is_up
    }

    /// The endpoints as they are shown, in order.
    pub fn views(&self, now_us: u64) -> Vec<View> {
        let view = |endpoint: &Endpoint| View {
            standing: endpoint.breaker.standing(now_us),
            open_us: endpoint.breaker.left_us(now_us),
            is_down: endpoint.is_down,
            in_flight: endpoint.in_flight,
            latency_us: endpoint.latency_us(now_us),
            answered: endpoint.answered,
            failed: endpoint.failed,
            opened: endpoint.opened,
        };
        self.0.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests;
