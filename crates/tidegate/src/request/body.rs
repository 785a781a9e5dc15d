//! The body of an answer, with what must happen at its end.

use super::conn::InWork;
use super::meter::Meter;
use crate::observe::StatusClass;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer that comes in pieces.
pub(super) trait Stream: Send {
    /// The next bytes; `None` when nothing follows.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
    /// Whether nothing follows.
    fn is_ended(&self) -> bool;
    /// How it ended; a client error until it did.
    fn status(&self) -> StatusClass;
}

/// A response's body.
pub(super) struct Body {
    content: Content,
    at_end: Option<AtEnd>,
}

enum Content {
    Full(Option<Bytes>),
    Stream(Box<dyn Stream>),
}

/// What is dropped with the body: the connection waits again, the request is counted.
pub(super) struct AtEnd {
    /// The request is in work until the body ends.
    pub(super) _in_work: InWork,
    /// Counts the request; probes are not counted.
    pub(super) meter: Option<Meter>,
}

impl Body {
    /// A body that is there.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
        Body { content: Content::Full(Some(bytes.into())), at_end: None }
    }

    /// A body that comes in pieces.
    pub(super) fn stream(stream: impl Stream + 'static) -> Body {
        Body { content: Content::Stream(Box::new(stream)), at_end: None }
    }

    /// The same, with what must happen at its end.
    pub(super) fn then(mut self, at_end: AtEnd) -> Body {
        self.at_end = Some(at_end);
        self
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Content::Stream(stream) = &self.content
            && let Some(AtEnd { _in_work: _, meter: Some(meter) }) = &mut self.at_end
        {
            meter.set(stream.status());
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream(stream) => {
                stream.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Stream(stream) => stream.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
