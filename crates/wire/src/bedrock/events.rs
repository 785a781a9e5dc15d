//! AWS's event stream: frames of a length, headers and a payload, each with a checksum.
//!
//! A frame is four bytes of its length, four of its headers' length, the CRC-32 of those eight, the
//! headers, the payload, and the CRC-32 of all before. What a checksum does not hold is an error:
//! nothing after it can be read either.

use crate::members::Members;
use serde_json::json;
use serde_json::value::RawValue;
use thiserror::Error;

/// Largest frame, bytes; Bedrock's are a few KiB, and AWS's own readers take 16 MiB.
pub const FRAME_MAX: usize = 1024 * 1024;
/// Lengths and their checksum, bytes.
const PRELUDE: usize = 12;
/// The checksum of a frame, bytes.
const CRC: usize = 4;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// A checksum is not that of its bytes.
    #[error("a checksum of the event stream does not fit")]
    Checksum,
    /// A frame is longer than any.
    #[error("a frame of the event stream is over {FRAME_MAX} bytes")]
    TooLong,
    /// Lengths that do not fit each other, or headers that are none.
    #[error("the event stream has a frame that is none")]
    NoFrame,
}

/// One frame of a stream as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// JSON: the payload as the one member of an object, named as the event is; of an exception, an
    /// object with `error`.
    pub data: Vec<u8>,
    /// Whether it is an exception.
    pub is_error: bool,
}

/// Reads frames out of bytes that come in any pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How much of them was read.
    at: usize,
}

impl Decoder {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.at));
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the bytes end where a frame does.
    pub fn is_between(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next event; `None` where more bytes must come first.
    ///
    /// # Errors
    /// [`Broken`]; nothing follows.
    pub fn next_event(&mut self) -> Result<Option<Event>, Broken> {
        let rest = &self.bytes[self.at..];
        let Some(prelude) = rest.get(..PRELUDE) else { return Ok(None) };
        if crc(&prelude[..PRELUDE - CRC]) != number(prelude, PRELUDE - CRC) {
            return Err(Broken::Checksum);
        }
        let (length, headers) = (number(prelude, 0) as usize, number(prelude, 4) as usize);
        if length > FRAME_MAX {
            return Err(Broken::TooLong);
        }
        if length < PRELUDE + CRC || headers > length - PRELUDE - CRC {
            return Err(Broken::NoFrame);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let (content, sum) = frame.split_at(length - CRC);
        if crc(content) != number(sum, 0) {
            return Err(Broken::Checksum);
        }
        let (headers, payload) = content[PRELUDE..].split_at(headers);
        let event = event(&Names::of(headers)?, payload);
        self.at += length;
        Ok(Some(event))
    }
}

/// What the headers say of a frame.
#[derive(Default)]
struct Names {
    message: String,
    event: String,
    exception: String,
}

impl Names {
    fn of(mut headers: &[u8]) -> Result<Names, Broken> {
        let mut names = Names::default();
        while !headers.is_empty() {
            let name = with_length(&mut headers, 1)?;
            let kind = take(&mut headers, 1)?[0];
            let value = match kind {
                0 | 1 => &[],
                2 => take(&mut headers, 1)?,
                3 => take(&mut headers, 2)?,
                4 => take(&mut headers, 4)?,
                5 | 8 => take(&mut headers, 8)?,
                6 | 7 => with_length(&mut headers, 2)?,
                9 => take(&mut headers, 16)?,
                _ => return Err(Broken::NoFrame),
            };
            let text = match kind {
                7 => std::str::from_utf8(value).map_err(|_| Broken::NoFrame)?,
                _ => continue,
            };
            match name {
                b":message-type" => text.clone_into(&mut names.message),
                b":event-type" => text.clone_into(&mut names.event),
                b":exception-type" | b":error-code" => text.clone_into(&mut names.exception),
                _ => {}
            }
        }
        Ok(names)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Broken> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Broken::NoFrame)?;
    *bytes = rest;
    Ok(taken)
}

/// As many bytes as a number before them says, which has `width` bytes.
fn with_length<'a>(bytes: &mut &'a [u8], width: usize) -> Result<&'a [u8], Broken> {
    let length = take(bytes, width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    take(bytes, length)
}

fn event(names: &Names, payload: &[u8]) -> Event {
    let is_error = names.message != "event";
    if !is_error {
        let name = serde_json::to_string(&names.event).unwrap_or_default();
        let data = [b"{", name.as_bytes(), b":", payload, b"}"].concat();
        return Event { data, is_error };
    }
    let raw: Option<&RawValue> = serde_json::from_slice(payload).ok();
    let said = raw.and_then(Members::of).unwrap_or_default();
    let message = said.text("message").or_else(|| said.text("Message"));
    let error = json!({ "error": { "type": names.exception, "message": message } });
    Event { data: error.to_string().into_bytes(), is_error }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// CRC-32 as of zlib, a nibble at a time.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..2 {
            sum = sum >> 4 ^ TABLE[(sum & 15) as usize];
        }
    }
    !sum
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut at = 0;
    while at < 16 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
