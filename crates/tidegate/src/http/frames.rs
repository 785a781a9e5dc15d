//! What a client of HTTP/2 sends, frame by frame, beside what hyper makes of it.
//!
//! hyper and h2 bound how much a connection may hold: headers, their continuations, streams, what
//! is not read yet. They do not bound how long a frame may take, nor how much work a client may
//! make with frames that bring nothing further: requests that are begun and cancelled
//! (CVE-2023-44487), settings, pings, data without a byte.

use super::conn::PREFACE;
use std::time::{Duration, Instant};

/// A frame's own head, bytes.
const HEAD: usize = 9;
/// What such frames may cost at once. A client that cancels a hundred requests pays 2,000.
const CREDIT_MAX: i64 = 10_000;
/// What is paid back each second.
const CREDIT_A_SECOND: i64 = 1_000;
/// Bytes of answers that pay for one more: whoever reads a stream in many pieces says so for each.
const BYTES_A_CREDIT: usize = 32;
/// Bodies come in pieces; each of those below this, bytes, costs as a frame without any.
const PIECE_SMALL: usize = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames that come in.
#[derive(Debug)]
pub(super) struct Frames {
    /// How much of the preface is still to come.
    preface: usize,
    head: [u8; HEAD],
    /// How much of the head is here.
    have: usize,
    /// How much of the frame's content is still to come.
    left: usize,
    /// Whether headers are still to be continued.
    in_headers: bool,
    /// Since when something must get done: a frame, or headers in several.
    since: Option<Instant>,
    credit: i64,
    paid_at: Instant,
    written: usize,
}

impl Frames {
    /// A connection that begins now.
    pub(super) fn new(now: Instant) -> Frames {
        Frames {
            preface: PREFACE.len(),
            head: [0; HEAD],
            have: 0,
            left: 0,
            in_headers: false,
            since: None,
            credit: CREDIT_MAX,
            paid_at: now,
            written: 0,
        }
    }

    /// These bytes came.
    ///
    /// # Errors
    /// They are more than a client needs to say.
    pub(super) fn saw(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), &'static str> {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.left == 0 {
                let part = (HEAD - self.have).min(bytes.len());
                self.head[self.have..self.have + part].copy_from_slice(&bytes[..part]);
                self.have += part;
                bytes = &bytes[part..];
                self.since.get_or_insert(now);
                if self.have < HEAD {
                    break;
                }
                self.begin(now)?;
            }
            let part = self.left.min(bytes.len());
            self.left -= part;
            bytes = &bytes[part..];
            if self.left == 0 {
                self.have = 0;
                if !self.in_headers {
                    self.since = None;
                }
            }
        }
        Ok(())
    }

    /// A frame's head is here.
    fn begin(&mut self, now: Instant) -> Result<(), &'static str> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let cost = match kind {
            DATA if flags & END_STREAM != 0 || self.left >= PIECE_SMALL => 0,
            HEADERS => 0,
            RST_STREAM => 20,
            SETTINGS => 10,
            _ => 1,
        };
        match kind {
            // A body has its own deadlines.
            DATA => self.since = None,
            HEADERS | CONTINUATION => self.in_headers = flags & END_HEADERS == 0,
            _ => {}
        }
        self.pay(cost, now)
    }

    fn pay(&mut self, cost: i64, now: Instant) -> Result<(), &'static str> {
        if cost == 0 {
            return Ok(());
        }
        let seconds = now.saturating_duration_since(self.paid_at).as_secs();
        if seconds > 0 {
            self.paid_at = now;
        }
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let answers = i64::try_from(self.written / BYTES_A_CREDIT).unwrap_or(i64::MAX);
        self.written %= BYTES_A_CREDIT;
        let back = seconds.saturating_mul(CREDIT_A_SECOND).saturating_add(answers);
        self.credit = self.credit.saturating_add(back).min(CREDIT_MAX).saturating_sub(cost);
        match self.credit < 0 {
            true => Err("the client cancels, or says nothing, more often than any client needs to"),
            false => Ok(()),
        }
    }

    /// So many bytes went out.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
    }

    /// Until when what has begun must be here; `None` where nothing has.
    pub(super) fn deadline(&self, within: Duration) -> Option<Instant> {
        self.since.map(|since| since + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, content: usize) -> Vec<u8> {
        let [.., a, b, c] = content.to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + content, 0);
        frame
    }

    /// How many of these frames are taken at once, of a million.
    fn taken(kind: u8, flags: u8, content: usize) -> usize {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        frames.saw(PREFACE, now).unwrap();
        let frame = frame(kind, flags, content);
        (0..20_000).take_while(|_| frames.saw(&frame, now).is_ok()).count()
    }

    #[test]
    fn frames_that_bring_nothing_further_are_bounded() {
        assert_eq!(taken(RST_STREAM, 0, 4), 500);
        assert_eq!(taken(SETTINGS, 0, 0), 1_000);
        for (kind, content) in [(6, 8), (8, 4), (2, 5), (CONTINUATION, 0), (99, 0), (DATA, 1)] {
            assert_eq!(taken(kind, END_HEADERS & kind, content), 10_000, "kind {kind}");
        }
        assert_eq!(taken(HEADERS, END_HEADERS, 20), 20_000);
        assert_eq!(taken(DATA, END_STREAM, 0), 20_000);
        assert_eq!(taken(DATA, 0, PIECE_SMALL), 20_000);
    }

    #[test]
    fn time_and_answers_pay_for_more() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        let reset = frame(RST_STREAM, 0, 4);
        frames.saw(PREFACE, now).unwrap();
        let mut take = |count, now| {
            for number in 0..count {
                frames.saw(&reset, now).unwrap_or_else(|error| panic!("{number}: {error}"));
            }
            frames.wrote(BYTES_A_CREDIT * 100);
        };
        take(500, now);
        take(5, now);
        take(55, now + Duration::from_secs(1));
        take(5, now + Duration::from_secs(1));
        take(500, now + Duration::from_secs(100));
        assert!(frames.saw(&reset.repeat(6), now + Duration::from_secs(100)).is_err());
    }

    #[test]
    fn headers_have_a_deadline_over_all_their_frames_and_data_has_none() {
        let (now, within) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut frames = Frames::new(now);
        assert_eq!(frames.deadline(within), None);
        frames.saw(PREFACE, now).unwrap();
        frames.saw(&frame(HEADERS, 0, 5), at(1)).unwrap();
        frames.saw(&frame(CONTINUATION, 0, 5), at(3)).unwrap();
        assert_eq!(frames.deadline(within), Some(at(11)));
        frames.saw(&frame(CONTINUATION, END_HEADERS, 5), at(4)).unwrap();
        assert_eq!(frames.deadline(within), None);
        frames.saw(&frame(DATA, 0, 500)[..20], at(5)).unwrap();
        assert_eq!(frames.deadline(within), None);
        frames.saw(&frame(DATA, 0, 500)[20..], at(6)).unwrap();
        frames.saw(&frame(SETTINGS, 0, 0)[..3], at(7)).unwrap();
        assert_eq!(frames.deadline(within), Some(at(17)));
    }

    proptest! {
        /// Where the bytes are cut says nothing.
        #[test]
        fn every_split_is_read_alike(
            sent in proptest::collection::vec((0_u8..12, any::<u8>(), 0_usize..600), 1..20),
            cuts in proptest::collection::vec(1_usize..50, 1..60),
        ) {
            let now = Instant::now();
            let mut bytes = PREFACE.to_vec();
            for (kind, flags, content) in sent {
                bytes.extend(frame(kind, flags, content));
            }
            let mut whole = Frames::new(now);
            whole.saw(&bytes, now).unwrap();
            let (mut pieces, mut rest) = (Frames::new(now), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.saw(piece, now).unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(whole.credit, pieces.credit);
            prop_assert_eq!(whole.in_headers, pieces.in_headers);
            prop_assert_eq!((pieces.have, pieces.left), (0, 0));
        }
    }
}
