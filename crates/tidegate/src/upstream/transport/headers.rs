//! What the headers of an answer say: its content type, and when to come back.

use crate::clock::Clock;
use crate::upstream::bounds;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What some servers send beside `Retry-After`, and OpenAI's SDKs prefer.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// What a content type says, in as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    /// `application/json` and its relatives.
    Json,
    /// `text/event-stream`.
    Events,
    /// `text/html`.
    Html,
    /// Something else, or nothing.
    Unknown,
}

impl ContentKind {
    /// Reads the `content-type` header.
    pub(super) fn of(headers: &HeaderMap) -> ContentKind {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" | "application/vnd.amazon.eventstream" => ContentKind::Events,
            "text/html" | "application/xhtml+xml" => ContentKind::Html,
            kind if kind.ends_with("/json") || kind.ends_with("+json") => ContentKind::Json,
            _ => ContentKind::Unknown,
        }
    }
}

/// How long the upstream asks to be left alone: `retry-after-ms`, else `Retry-After` in seconds,
/// with a fraction or not, or as a date. A date is compared with the answer's own `Date`, so that a
/// difference of clocks does not matter, and against our clock where there is none. Of two that
/// differ the longer counts: a client must not retry sooner than either says. At most
/// [`bounds::RETRY_AFTER_MAX`].
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let ms = text(RETRY_AFTER_MS).and_then(|value| duration(value, 0.001));
    let seconds = text(RETRY_AFTER.as_str()).and_then(|value| {
        duration(value, 1.0).or_else(|| {
            let until = http_date(value)?;
            let now = text(DATE.as_str()).and_then(http_date).or_else(now)?;
            Some(Duration::try_from(until - now).unwrap_or(Duration::ZERO))
        })
    });
    let wait = ms.into_iter().chain(seconds).max()?;
    Some(wait.min(bounds::RETRY_AFTER_MAX))
}

/// A number that is not negative, in units of so many seconds; one too large is the longest.
fn duration(text: &str, unit: f64) -> Option<Duration> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    Some(Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::MAX))
}

fn now() -> Option<OffsetDateTime> {
    let seconds = Clock::Real.now().0 / 1000;
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

/// A date of HTTP: the form of today, and the two older ones that must be read too.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(date) = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822) {
        return Some(date);
    }
    // `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`, put into the first form.
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let modern = match words[..] {
        [_, day, month, year, time, "GMT"] if year.len() == 2 => {
            format!("{day} {month} 20{year} {time} +0000")
        }
        [_, month, day, time, year] => format!("{day:0>2} {month} {year} {time} +0000"),
        _ => return None,
    };
    OffsetDateTime::parse(&modern, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "Fri, 20 Nov 2026 12:00:00 GMT";

    fn wait(lines: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = lines.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().unwrap())
        });
        retry_after(&pairs.collect())
    }

    fn check_wait(retry_after: &str, expected_ms: Option<u64>) {
        let got = wait(&[("retry-after", retry_after), ("date", NOON)]);
        assert_eq!(got, expected_ms.map(Duration::from_millis), "{retry_after}");
    }

    #[test]
    fn waits_in_seconds_fractions_and_dates() {
        check_wait("7", Some(7_000));
        check_wait("0", Some(0));
        check_wait("1.5", Some(1_500));
        check_wait("300", Some(300_000));
        check_wait("301", Some(300_000));
        check_wait("86400", Some(300_000));
        check_wait("99999999999999999999999", Some(bounds::RETRY_AFTER_MAX.as_millis() as u64));
        check_wait("-1", None);
        check_wait("1e9", None);
        check_wait("inf", None);
        check_wait("soon", None);
        check_wait("", None);
        check_wait("Fri, 20 Nov 2026 12:00:30 GMT", Some(30_000));
        check_wait("Friday, 20-Nov-26 12:00:30 GMT", Some(30_000));
        check_wait("Fri Nov 20 12:00:30 2026", Some(30_000));
        check_wait("Fri, 20 Nov 2026 11:00:00 GMT", Some(0));
    }

    #[test]
    fn of_two_waits_the_longer_counts() {
        let ms = Duration::from_millis;
        assert_eq!(wait(&[("retry-after-ms", "1500")]), Some(ms(1_500)));
        assert_eq!(wait(&[("retry-after-ms", "20000"), ("retry-after", "1")]), Some(ms(20_000)));
        assert_eq!(wait(&[("retry-after-ms", "x"), ("retry-after", "2")]), Some(ms(2_000)));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_without_a_date_is_held_against_our_clock() {
        let far = wait(&[("retry-after", "Fri, 20 Nov 2090 12:00:00 GMT")]).unwrap();
        assert_eq!(far, bounds::RETRY_AFTER_MAX);
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(Duration::ZERO));
    }
}
