//! A client's body, read in time and within bounds.

use super::bounds::Bounds;
use super::conn::Watch;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::time::timeout;

/// Why a body was not read. The rest of it is still to come, so the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BodyError {
    /// It has an encoding, which could hide any size.
    #[error("compressed request bodies are not supported; send plain JSON")]
    Compressed,
    /// It is larger than allowed.
    #[error("the request's body is larger than {max} bytes, which is the limit")]
    TooLarge {
        /// Most bytes that are allowed.
        max: u64,
    },
    /// It came too slowly.
    #[error(
        "the request's body came too slowly: {} s a piece, {} s in all, after {} s {rate} bytes/s",
        idle.as_secs_f64(), total.as_secs_f64(), grace.as_secs_f64()
    )]
    TooSlow {
        /// Longest wait for a piece.
        idle: Duration,
        /// Longest wait for the whole.
        total: Duration,
        /// From then on, the rate is asked for.
        grace: Duration,
        /// Bytes a second, on average.
        rate: u32,
    },
    /// The connection ended in the middle of it.
    #[error("the request's body could not be read to its end")]
    Broken,
}

/// The body of a request, none of which is read yet.
pub(crate) struct UnreadBody {
    incoming: Incoming,
    /// The connection that waits for its end; with HTTP/2 none does.
    watch: Option<Watch>,
    compressed: bool,
    bounds: Bounds,
}

impl UnreadBody {
    pub(super) fn new(
        incoming: Incoming,
        headers: &HeaderMap,
        watch: Option<Watch>,
        bounds: Bounds,
    ) -> UnreadBody {
        if let (Some(watch), true) = (&watch, incoming.is_end_stream()) {
            watch.body_done();
        }
        let encoding = headers.get(header::CONTENT_ENCODING);
        let compressed = encoding.is_some_and(|encoding| encoding.as_bytes() != b"identity");
        UnreadBody { incoming, watch, compressed, bounds }
    }

    /// How large it may become, bytes: what it announces, else `max`.
    ///
    /// # Errors
    /// Where that alone is reason not to read it.
    pub(crate) fn announced(&self, max: u64) -> Result<u64, BodyError> {
        let size = self.incoming.size_hint();
        match self.compressed {
            true => Err(BodyError::Compressed),
            false if size.lower() > max => Err(BodyError::TooLarge { max }),
            false => Ok(size.upper().unwrap_or(max)),
        }
    }

    /// Reads all of it: not more than `max` bytes, not slower than the bounds say. `room` is asked
    /// with the number of bytes before more are held.
    pub(crate) async fn read<E: From<BodyError>>(
        mut self,
        max: u64,
        mut room: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        self.announced(max)?;
        let is_empty = self.incoming.is_end_stream();
        let began = Instant::now();
        let mut read = Collected::new(self.incoming.size_hint().lower() as usize);
        loop {
            let left = self.bounds.body_left(began.elapsed(), read.len());
            let frame = match timeout(left, self.incoming.frame()).await {
                Err(_elapsed) => return Err(self.bounds.body_too_slow().into()),
                Ok(None) => break,
                Ok(Some(Err(_broken))) => return Err(BodyError::Broken.into()),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            let bytes = read.len() + data.len();
            if bytes as u64 > max {
                return Err(BodyError::TooLarge { max }.into());
            }
            room(bytes)?;
            read.push(data);
        }
        if let (Some(watch), false) = (&self.watch, is_empty) {
            watch.body_done();
        }
        Ok(read.into_bytes())
    }
}

impl Bounds {
    /// How long the next piece of a body may take, after so long and so many bytes.
    fn body_left(&self, elapsed: Duration, bytes: usize) -> Duration {
        let paid = Duration::from_secs_f64(bytes as f64 / f64::from(self.body_rate.max(1)));
        let until = self.body_total.min(self.body_grace + paid);
        self.body_idle.min(until.saturating_sub(elapsed))
    }

    fn body_too_slow(&self) -> BodyError {
        let Bounds { body_idle: idle, body_total: total, .. } = *self;
        BodyError::TooSlow { idle, total, grace: self.body_grace, rate: self.body_rate }
    }
}

/// A body as far as it came. Most bodies come in one piece, which is not copied.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    first: Bytes,
    rest: BytesMut,
    expected: usize,
}

impl Collected {
    /// Nothing yet; `expected` bytes are made room for when a second piece comes.
    pub(crate) fn new(expected: usize) -> Collected {
        Collected { expected, ..Collected::default() }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// One more piece. The caller has compared the size with what is allowed.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if !self.first.is_empty() {
            self.rest.reserve(self.expected.max(self.first.len() + piece.len()));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&piece);
    }

    /// All of it.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A body at twice the rate is never cut by the rate; one at half of it always is.
        #[test]
        fn the_rate_is_asked_for_after_the_grace(second in 0_u64..60) {
            let seconds = Duration::from_secs;
            let bounds = Bounds {
                max_connections: 1,
                streams: 0,
                head_max: 8192,
                first_byte: seconds(1),
                head: seconds(1),
                idle: None,
                body_total: seconds(60),
                body_idle: seconds(10),
                body_grace: seconds(5),
                body_rate: 1024,
                write_stall: seconds(1),
                connection: seconds(100),
                stop_notice: seconds(0),
                drain: seconds(0),
            };
            let left = |bytes| bounds.body_left(seconds(second), bytes as usize);
            prop_assert!(left(second * 2048) >= seconds(5).min(seconds(60 - second)));
            prop_assert_eq!(left(second * 512).is_zero(), second >= 10);
        }
    }

    #[test]
    fn pieces_are_put_together_and_one_piece_is_not_copied() {
        let one = Bytes::from_static(b"whole");
        let mut read = Collected::new(5);
        read.push(one.clone());
        assert_eq!(read.into_bytes().as_ptr(), one.as_ptr());
        let mut read = Collected::default();
        for piece in ["", "退", "货", "", "政策"] {
            read.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(read.len(), "退货政策".len());
        assert_eq!(read.into_bytes(), "退货政策".as_bytes());
        assert_eq!(Collected::default().into_bytes(), Bytes::new());
    }
}
