//! Time, as the rest of the binary sees it. Only this file reads the clocks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidegate_core::ids::UnixMs;

/// The shortest wait that Tokio's timer can make.
const TICK: Duration = Duration::from_millis(1);
/// Which part of the time that passes the clock may follow the system's by. Time servers move a
/// clock by 500 parts in a million at most.
const FOLLOWS_ONE_IN: u64 = 100;
/// Most that it follows at once, ms, where nobody asked for the time for long.
const FOLLOWS_MOST_MS: u64 = 1_000;

/// When this version's sources were made, to the day (2026-11-28): a system's clock before it is
/// wrong, as after a start without the hardware's clock. A constant, so that the same sources make
/// the same binary; each release sets it to its date in CHANGELOG.md.
pub(crate) const BUILT: UnixMs = UnixMs(1_795_824_000_000);

/// Longest span, ms: 100 years.
pub(crate) const SPAN_MAX_MS: u64 = 100 * 366 * 86_400_000;

/// A span as it is typed, in ms: a whole number and `s`, `m`, `h` or `d`.
pub(crate) fn span(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}`: a number and `s`, `m`, `h` or `d`, for example `90d`");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms: u64 = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
    (ms <= SPAN_MAX_MS).then_some(ms).ok_or_else(|| format!("`{text}`: more than 100 years"))
}

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
            Clock::Real => UnixMs(steady().now(steady().elapsed_ms(), system_ms())),
            Clock::Demo { now_ms, speed: _ } => UnixMs(now_ms.load(Ordering::SeqCst)),
        }
    }

    /// By how much the system's clock was set since the process began, ms, less what this clock has
    /// followed. 0 for a demo's.
    pub(crate) fn behind_the_system_ms(&self) -> i64 {
        match self {
            Clock::Real => steady().behind_ms(steady().elapsed_ms(), system_ms()),
            Clock::Demo { .. } => 0,
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

fn system_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

fn steady() -> &'static Steady {
    static STEADY: OnceLock<Steady> = OnceLock::new();
    STEADY.get_or_init(|| Steady::new(system_ms()))
}

/// The time of the process: the system's at its start, moved on by the monotonic clock. Where the
/// system's clock is set, this one follows by one part in [`FOLLOWS_ONE_IN`], so that no look comes
/// early and none waits: what the system's clock drifts is a twentieth of that.
struct Steady {
    began: Instant,
    began_ms: u64,
    /// How far it has followed, ms.
    followed_ms: AtomicI64,
    /// When it last did, ms after its start.
    last_ms: AtomicU64,
}

impl Steady {
    fn new(began_ms: u64) -> Steady {
        let (followed_ms, last_ms) = (AtomicI64::new(0), AtomicU64::new(0));
        Steady { began: Instant::now(), began_ms, followed_ms, last_ms }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn behind_ms(&self, elapsed_ms: u64, system_ms: u64) -> i64 {
        let own = self.began_ms.saturating_add(elapsed_ms);
        let own = own.saturating_add_signed(self.followed_ms.load(Ordering::Relaxed));
        i64::try_from(i128::from(system_ms) - i128::from(own)).unwrap_or(i64::MAX)
    }

    fn now(&self, elapsed_ms: u64, system_ms: u64) -> u64 {
        let behind = self.behind_ms(elapsed_ms, system_ms);
        let own = system_ms.saturating_add_signed(behind.saturating_neg());
        let last = self.last_ms.load(Ordering::Relaxed);
        let room = (elapsed_ms.saturating_sub(last) / FOLLOWS_ONE_IN).min(FOLLOWS_MOST_MS) as i64;
        let follows = behind.clamp(-room, room);
        let (order, last_ms) = (Ordering::Relaxed, &self.last_ms);
        // One of several threads does it.
        if follows == 0 || last_ms.compare_exchange(last, elapsed_ms, order, order).is_err() {
            return own;
        }
        self.followed_ms.fetch_add(follows, Ordering::Relaxed);
        own.saturating_add_signed(follows)
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

    /// The process's time after so many seconds, asked every 100 ms, where the system's clock was
    /// set by `step_s` after the first.
    fn after(seconds: u64, step_s: i64) -> i64 {
        let steady = Steady::new(1_000_000_000);
        let mut last = 0;
        for tick in 0..=seconds * 10 {
            let elapsed = tick * 100;
            let step = if tick > 10 { step_s * 1000 } else { 0 };
            let now = steady.now(elapsed, (1_000_000_000 + elapsed).saturating_add_signed(step));
            assert!(now >= last, "time ran backwards: {last} {now}");
            last = now;
        }
        (last - 1_000_000_000) as i64
    }

    #[test]
    fn a_step_of_the_system_is_followed_slowly() {
        assert_eq!(after(600, 0), 600_000);
        for step in [3_600, -3_600, 400 * 86_400, -400 * 86_400] {
            let off = after(600, step) - 600_000;
            assert!(off.abs() <= 6_010 && off.signum() == step.signum(), "{step}: {off}");
        }
        // What a time server does is followed at once.
        assert_eq!(after(600, 1), 601_000);
        assert_eq!(after(600, -1), 599_000);
    }

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
