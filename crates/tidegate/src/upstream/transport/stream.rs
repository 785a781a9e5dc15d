//! A stream of the upstream, read event by event under its deadlines and pumped to the reader.
//!
//! What ends well: `[DONE]`; or, since several servers never send it, a clean end of the body after
//! every choice has had its finish reason (CLIProxyAPI #5028 is the bug of asking for more). Any
//! other end is a cut, and nothing that looks like an end is ever passed on for it. A comment is a
//! sign of life: it is passed on, so that the client and whatever is between keep waiting too, but
//! the idle deadline counts on data, so that a server that only says that it lives is left.

use super::encoding::Decoder;
use super::lanes::Body;
use super::{Exchange, Late};
use crate::upstream::dialect::{Dialect, Events, Framing, Unframed};
use crate::upstream::{Elapsed, Piece, PieceSender, UpstreamError, bounds};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use std::time::{Duration, Instant};
use tidegate_core::upstream::Failure;
use tidegate_wire::sse::{LINE_MAX, SseEvent};
use tidegate_wire::{AnswerProblem, Progress};

/// What an upstream's stream gives next.
#[derive(Debug)]
pub(super) enum Step {
    /// One event with data.
    Data {
        /// The data.
        bytes: Bytes,
        /// What it says.
        says: tidegate_wire::Piece,
        /// Whether it brings the answer further.
        is_news: bool,
    },
    /// A sign of life.
    Ping,
    /// A good end.
    Done,
}

/// A stream that is being read.
#[derive(Debug)]
pub(super) struct EventStream {
    exchange: Exchange,
    body: Body,
    decoder: Decoder,
    /// What is read and not split into events yet.
    unsplit: Bytes,
    framing: Framing,
    events: Events,
    progress: Progress,
    /// Until when the next data must come.
    idle_until: Instant,
    first_token: Option<Duration>,
}

impl EventStream {
    /// Starts reading a body.
    pub(super) fn new(
        exchange: Exchange,
        body: Body,
        decoder: Decoder,
        dialect: Dialect,
    ) -> EventStream {
        EventStream {
            exchange,
            body,
            decoder,
            unsplit: Bytes::new(),
            framing: dialect.framing(),
            events: dialect.events(),
            progress: Progress::default(),
            idle_until: exchange.started + exchange.deadlines.idle,
            first_token: None,
        }
    }

    /// The first event, within the first-byte deadline. Where it is a sign of life, the first data
    /// may take until that deadline, and as long as any data may in any case.
    pub(super) async fn first(&mut self) -> Result<Step, UpstreamError> {
        let deadline = self.exchange.first_byte_deadline();
        let step = self.next_until(deadline, Late::FirstByte).await?;
        self.idle_until = Instant::now() + self.exchange.deadlines.idle;
        if !matches!(step, Step::Data { is_news: true, .. }) {
            self.idle_until = self.idle_until.max(deadline);
        }
        Ok(step)
    }

    /// The next event, within the idle deadline, which only data moves.
    async fn next(&mut self) -> Result<Step, UpstreamError> {
        let step = self.next_until(self.idle_until, Late::Idle).await?;
        let now = Instant::now();
        match step {
            Step::Done => {}
            Step::Data { is_news: true, .. } => {
                self.idle_until = now + self.exchange.deadlines.idle
            }
            // Signs of life that come without a pause are never waited for.
            Step::Data { .. } | Step::Ping if now >= self.idle_until => {
                return Err(self.exchange.timeout(Late::Idle));
            }
            Step::Data { .. } | Step::Ping => {}
        }
        Ok(step)
    }

    async fn next_until(&mut self, deadline: Instant, late: Late) -> Result<Step, UpstreamError> {
        let exchange = self.exchange;
        let step = exchange.within(deadline, late, self.read()).await??;
        if self.progress.has_token() || matches!(step, Step::Done) {
            self.first_token.get_or_insert_with(|| exchange.started.elapsed());
        }
        Ok(step)
    }

    async fn read(&mut self) -> Result<Step, UpstreamError> {
        loop {
            if let Some(step) = self.waiting() {
                return Ok(step);
            }
            match self.framing.next_event().map_err(|why| self.unframed(why))? {
                Some(SseEvent::Data { is_error, data }) => {
                    self.data(data, is_error)?;
                    // An event without news is a sign of life.
                    return Ok(self.waiting().unwrap_or(Step::Ping));
                }
                Some(SseEvent::Ping) => return Ok(Step::Ping),
                None => {}
            }
            if self.unsplit.is_empty() && !self.more().await? {
                return self.end();
            }
            let part = self.unsplit.split_to(self.unsplit.len().min(bounds::SPLIT_BYTES));
            self.framing.push(&part).map_err(|why| self.unframed(why))?;
        }
    }

    /// Reads the next bytes; false where none follow.
    async fn more(&mut self) -> Result<bool, UpstreamError> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        let Ok(frame) = frame else {
            return Err(self.cut("the upstream's connection broke in mid-stream"));
        };
        let Ok(bytes) = frame.into_data() else { return Ok(true) };
        let Ok(bytes) = self.decoder.push(bytes, bounds::BODY_MAX) else {
            let message = "the upstream's stream is not what its content-encoding says";
            return Err(self.exchange.error(Failure::Malformed, message));
        };
        match bytes.len() > bounds::BODY_MAX {
            true => Err(self.too_long()),
            false => {
                self.unsplit = bytes;
                Ok(true)
            }
        }
    }

    fn unframed(&self, why: Unframed) -> UpstreamError {
        match why {
            Unframed::TooLong => self.too_long(),
            #[cfg(feature = "bedrock")]
            Unframed::Broken => {
                let message = "the upstream's event stream has a frame whose checksum does not fit";
                self.exchange.error(Failure::Malformed, message)
            }
        }
    }

    fn too_long(&self) -> UpstreamError {
        let message = format!("an event of the stream is over {LINE_MAX} bytes");
        self.exchange.error(Failure::TooLarge, message)
    }

    /// What has been read and not been given.
    fn waiting(&mut self) -> Option<Step> {
        match self.events.next() {
            Some((bytes, says)) => {
                let is_news = self.progress.take(&says);
                Some(Step::Data { bytes, says, is_news })
            }
            None => self.events.is_done().then_some(Step::Done),
        }
    }

    fn data(&mut self, data: Vec<u8>, is_error: bool) -> Result<(), UpstreamError> {
        self.events.event(data, is_error).map_err(|problem| match problem {
            AnswerProblem::Unended => {
                let message = "the upstream's stream has an event that is cut";
                self.exchange.error(Failure::Malformed, message)
            }
            problem => self.exchange.problem(&problem),
        })
    }

    fn end(&mut self) -> Result<Step, UpstreamError> {
        let cut = "the upstream's stream ended before it was done";
        match self.events.end(self.framing.rest(), self.progress.is_finished()) {
            Ok(()) => self.waiting().ok_or_else(|| self.cut(cut)),
            Err(AnswerProblem::Unended) => Err(self.cut(cut)),
            Err(problem) => Err(self.exchange.problem(&problem)),
        }
    }

    fn cut(&self, message: &str) -> UpstreamError {
        self.exchange.error(Failure::CutShort, message.to_owned())
    }

    fn elapsed(&self) -> Elapsed {
        let total = self.exchange.started.elapsed();
        Elapsed { first_token: self.first_token.unwrap_or(total), total }
    }

    /// Pumps the stream to the reader, `step` first. Ends at once when the reader is gone; dropping
    /// the body then closes the connection, so that the upstream stops working.
    pub(super) async fn pump(mut self, mut step: Step, sender: PieceSender) {
        loop {
            let piece = match step {
                Step::Data { bytes, says, is_news: _ } => Piece::Data { bytes, says },
                Step::Ping => Piece::Ping,
                Step::Done => break,
            };
            let late = self.exchange.total_deadline().into();
            let sending = Instant::now();
            match tokio::time::timeout_at(late, sender.send(piece)).await {
                Ok(Ok(())) => {
                    let took = sending.elapsed();
                    // Nothing is read while the reader stalls: that is no pause of the upstream.
                    if took >= bounds::READER_STALL {
                        self.idle_until += took;
                    }
                }
                Ok(Err(_gone)) => return,
                Err(_late) => {
                    let error = self.exchange.timeout(Late::Total);
                    return fail(self, error, &sender).await;
                }
            }
            let next = tokio::select! {
                biased;
                () = sender.closed() => return,
                next = self.next() => next,
            };
            step = match next {
                Ok(step) => step,
                Err(error) => return fail(self, error, &sender).await,
            };
        }
        if sender.send(Piece::Done(self.elapsed())).await.is_ok() {
            drop(sender);
            // The end of the body is read so that the connection can be used again.
            let drain = async { while let Some(Ok(_)) = self.body.frame().await {} };
            let _ = tokio::time::timeout(bounds::DRAIN_WAIT, drain).await;
        }
    }
}

/// Lets go of the upstream before waiting for the reader to take the news.
async fn fail(stream: EventStream, mut error: UpstreamError, sender: &PieceSender) {
    error.elapsed.first_token = stream.first_token.unwrap_or(error.elapsed.total);
    drop(stream);
    let _ = sender.send(Piece::Failed(error)).await;
}
