//! A client's body, with its share of the memory budget.

use super::admission::{Admission, Overload, Share};
use super::bounds::BODY_FREE;
use super::code::Code;
use super::dialect::Dialect;
use super::problem::{Next, Problem};
use crate::http::{BodyError, UnreadBody};
use bytes::Bytes;
use http::StatusCode;
use std::net::IpAddr;
use tidegate_wire::{openai_embeddings, tree_bytes};

/// A body with its share of the memory budget, held as long as the body is.
pub(super) struct RequestBody {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The share.
    pub(super) share: Share,
}

impl RequestBody {
    /// Whether reading it takes so long that a worker's other connections would wait for it.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() as u64 > BODY_FREE
    }

    /// The same with a share for what it takes while it is read and sent on: itself, its values,
    /// and what is written of them.
    pub(super) fn weighed(mut self, dialect: Dialect) -> Result<RequestBody, Overload> {
        let values = match dialect {
            Dialect::Embeddings => openai_embeddings::tree_bytes(&self.bytes),
            Dialect::OpenAi
            | Dialect::Completions
            | Dialect::Anthropic
            | Dialect::Responses
            | Dialect::Google(_) => tree_bytes(&self.bytes),
        };
        self.share.grow(kept(self.bytes.len()) + values)?;
        Ok(self)
    }
}

/// What a request of so many bytes takes until it is answered: itself, and what was sent of it.
pub(super) fn kept(bytes: usize) -> usize {
    2 * bytes
}

/// Reads a body of not more than `max` bytes, as long as there is room for it.
pub(super) async fn read(
    body: UnreadBody,
    max: u64,
    admission: &Admission,
    peer: IpAddr,
) -> Result<RequestBody, Problem> {
    let mut share = admission.body_share(peer);
    let bytes = body.read(max, |bytes| share.grow(bytes).map_err(Problem::from)).await?;
    Ok(RequestBody { bytes, share })
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Problem {
        let (status, code) = match error {
            BodyError::Compressed => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedEncoding)
            }
            BodyError::TooLarge { max: _ } => {
                (StatusCode::PAYLOAD_TOO_LARGE, Code::RequestTooLarge)
            }
            BodyError::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout),
            BodyError::Broken => (StatusCode::BAD_REQUEST, Code::BadBody),
        };
        Problem::client(status, code, error.to_string()).next(Next::Close)
    }
}
