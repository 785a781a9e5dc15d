//! A client's body, with its share of the memory budget.

use super::admission::Admission;
use super::code::Code;
use super::problem::{Next, Problem};
use crate::http::{BodyError, UnreadBody};
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

/// A body with its share of the memory budget, held as long as the body is.
pub(super) struct RequestBody {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The share; small bodies need none.
    pub(super) share: Option<OwnedSemaphorePermit>,
}

/// Reads a body of not more than `max` bytes, once there is room for it.
pub(super) async fn read(
    body: UnreadBody,
    max: u64,
    admission: &Admission,
) -> Result<RequestBody, Problem> {
    let share = admission.body_share(body.announced(max)?)?;
    Ok(RequestBody { bytes: body.read(max).await?, share })
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
            BodyError::TooSlow { idle: _, total: _ } => {
                (StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout)
            }
            BodyError::Broken => (StatusCode::BAD_REQUEST, Code::BadBody),
        };
        Problem::client(status, code, error.to_string()).next(Next::Close)
    }
}
