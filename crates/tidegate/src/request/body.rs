//! The body of an answer, and what counts it when it has ended.

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
pub(crate) struct Body {
    content: Content,
    /// Counts the request when the body has ended; probes are not counted.
    meter: Option<Meter>,
}

enum Content {
    Full(Option<Bytes>),
    Stream(Box<dyn Stream>),
}

impl Body {
    /// A body that is there.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
        Body { content: Content::Full(Some(bytes.into())), meter: None }
    }

    /// A body that comes in pieces.
    pub(super) fn stream(stream: impl Stream + 'static) -> Body {
        Body { content: Content::Stream(Box::new(stream)), meter: None }
    }

    /// The same, counted when it has ended.
    pub(super) fn metered(mut self, meter: Option<Meter>) -> Body {
        self.meter = meter;
        self
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Content::Stream(stream) = &self.content
            && let Some(meter) = &mut self.meter
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
