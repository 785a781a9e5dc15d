//! Time, as the rest of the binary sees it. Only this file reads the clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidegate_core::ids::UnixMs;

/// The shortest wait that Tokio's timer can make.
const TICK: Duration = Duration::from_millis(1);

/// The real clock, or the demo's, which is moved on by the demo and labelled as such.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The system's.
    Real,
    /// A clock that is moved by hand; `speed` says how much faster than real time waiting is.
    Demo {
        /// Milliseconds since the epoch.
        now_ms: Arc<AtomicU64>,
        /// How many times faster than real time simulated waiting passes.
        speed: u32,
    },
}

impl Clock {
    /// A demo clock that starts at `start`.
    pub(crate) fn demo(start: UnixMs, speed: u32) -> Clock {
        Clock::Demo { now_ms: Arc::new(AtomicU64::new(start.0)), speed: speed.max(1) }
    }

    /// Now.
    pub(crate) fn now(&self) -> UnixMs {
        match self {
            Clock::Real => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMs(since.as_millis() as u64)
            }
            Clock::Demo { now_ms, speed: _ } => UnixMs(now_ms.load(Ordering::SeqCst)),
        }
    }

    /// Moves a demo clock on; the real one moves by itself.
    pub(crate) fn advance(&self, ms: u64) {
        match self {
            Clock::Real => {}
            Clock::Demo { now_ms, speed: _ } => {
                now_ms.fetch_add(ms, Ordering::SeqCst);
            }
        }
    }

    /// Whether latencies are measured (real) or taken from the simulation (demo).
    pub(crate) fn is_demo(&self) -> bool {
        matches!(self, Clock::Demo { .. })
    }

    /// Lets simulated time pass: at once divided by the demo's speed, or in full.
    pub(crate) async fn simulate(&self, duration: Duration) {
        self.simulate_until(Instant::now(), duration).await;
    }

    /// Lets simulated time pass until `at` after `started`; short waits in a row do not add up to
    /// a longer one. What is less than a timer's tick is not waited for on a demo's clock.
    pub(crate) async fn simulate_until(&self, started: Instant, at: Duration) {
        let (real, least) = match self {
            Clock::Real => (at, Duration::ZERO),
            Clock::Demo { now_ms: _, speed } => (at / *speed, TICK),
        };
        let left = real.saturating_sub(started.elapsed());
        if left > least {
            tokio::time::sleep(left).await;
        }
    }
}

/// A moment as RFC 3339 in UTC, for people and files: to the millisecond, or to the second where it
/// is a whole one.
pub(crate) fn rfc3339(at: UnixMs) -> String {
    let (seconds, ms) = (at.0 / 1_000, at.0 % 1_000);
    let text = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok());
    match text {
        Some(text) if ms > 0 => text.replace('Z', &format!(".{ms:03}Z")),
        Some(text) => text,
        None => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at: u64, expected: &str) {
        assert_eq!(rfc3339(UnixMs(at)), expected);
    }

    #[test]
    fn a_moment_is_whole_seconds_or_three_digits() {
        check(0, "1970-01-01T00:00:00Z");
        check(1_795_859_971_240, "2026-11-28T09:59:31.240Z");
        check(1_795_859_971_007, "2026-11-28T09:59:31.007Z");
        check(u64::MAX, "18446744073709551615");
    }
}
