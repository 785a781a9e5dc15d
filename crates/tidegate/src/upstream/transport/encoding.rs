//! Bodies that come compressed although nobody asked for it, as some CDNs send them.

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Write as _;

/// How much is decompressed at a time, bytes: deflate makes at most about a thousand times as much
/// of it, and the bound is looked at in between.
const SLICE: usize = 4096;

/// Takes the encoding off a body, piece by piece.
#[derive(Debug, Default)]
pub(super) enum Decoder {
    /// There is none.
    #[default]
    Plain,
    /// `gzip`.
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate` before its first byte, which says whether it has the zlib header it should have.
    Deflate,
    /// `deflate` with it.
    Zlib(ZlibDecoder<Vec<u8>>),
    /// `deflate` without it.
    Raw(DeflateDecoder<Vec<u8>>),
}

/// The bytes are not what the encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Decoder {
    /// The decoder that an answer's headers ask for.
    ///
    /// # Errors
    /// The name of an encoding that is not known, or several of them.
    pub(super) fn of(headers: &HeaderMap) -> Result<Decoder, String> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
        let names: Vec<String> = names
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(Decoder::Plain),
            ["gzip" | "x-gzip"] => Ok(Decoder::Gzip(MultiGzDecoder::new(Vec::new()))),
            ["deflate"] => Ok(Decoder::Deflate),
            _ => Err(names.join(", ").chars().take(40).filter(|c| !c.is_control()).collect()),
        }
    }

    /// Decodes the next bytes; stops soon after more than `max` bytes have come out.
    pub(super) fn push(&mut self, bytes: Bytes, max: usize) -> Result<Bytes, Broken> {
        if let (Decoder::Deflate, Some(first)) = (&self, bytes.first()) {
            // The method is the low half of a zlib header's first byte, and 8 is the only one.
            *self = match first & 0x0f {
                8 => Decoder::Zlib(ZlibDecoder::new(Vec::new())),
                _ => Decoder::Raw(DeflateDecoder::new(Vec::new())),
            };
        }
        let mut out = Vec::new();
        for slice in bytes.chunks(SLICE) {
            match self {
                Decoder::Plain => return Ok(bytes),
                Decoder::Deflate => {}
                Decoder::Gzip(inner) => {
                    inner.write_all(slice).and_then(|()| inner.flush()).map_err(|_| Broken)?;
                    out.append(inner.get_mut());
                }
                Decoder::Zlib(inner) => {
                    inner.write_all(slice).and_then(|()| inner.flush()).map_err(|_| Broken)?;
                    out.append(inner.get_mut());
                }
                Decoder::Raw(inner) => {
                    inner.write_all(slice).and_then(|()| inner.flush()).map_err(|_| Broken)?;
                    out.append(inner.get_mut());
                }
            }
            if out.len() > max {
                break;
            }
        }
        Ok(out.into())
    }

    /// Whether the encoded body has come to its end.
    pub(super) fn is_done(&mut self) -> bool {
        match self {
            Decoder::Plain | Decoder::Deflate => true,
            Decoder::Gzip(inner) => inner.try_finish().is_ok(),
            Decoder::Zlib(inner) => inner.try_finish().is_ok(),
            Decoder::Raw(inner) => inner.try_finish().is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn decoder(encoding: &str) -> Result<Decoder, String> {
        Decoder::of(&HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]))
    }

    /// Checks that a body is read the same in whatever pieces it comes.
    fn check(encoding: &str, body: &[u8], text: &str) {
        for size in [1, 7, 100_000] {
            let mut decoder = decoder(encoding).unwrap();
            let mut out = Vec::new();
            for piece in body.chunks(size) {
                out.extend(decoder.push(Bytes::copy_from_slice(piece), usize::MAX).unwrap());
            }
            assert!(decoder.is_done(), "{encoding}");
            assert_eq!(String::from_utf8(out).unwrap(), text, "{encoding} by {size}");
        }
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_usual_encodings_are_read_in_any_pieces() {
        let text = "灯は七日以内に返品できます。".repeat(50);
        check("identity", text.as_bytes(), &text);
        check("gzip", &gzip(&text), &text);
        check("X-GZip", &[gzip("a"), gzip("b")].concat(), "ab");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text.as_bytes()).unwrap();
        check("deflate", &zlib.finish().unwrap(), &text);
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(text.as_bytes()).unwrap();
        check("deflate", &raw.finish().unwrap(), &text);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(decoder("br").unwrap_err(), "br");
        assert_eq!(decoder("gzip, gzip").unwrap_err(), "gzip, gzip");
        let mut plain = decoder("gzip").unwrap();
        assert_eq!(plain.push(Bytes::from_static(b"{\"a\":1}    "), 100), Err(Broken));
    }

    #[test]
    fn a_cut_body_is_not_done_and_a_bomb_stops_early() {
        let whole = gzip(&"0".repeat(50_000_000));
        let mut cut = decoder("gzip").unwrap();
        let out = cut.push(Bytes::copy_from_slice(&whole), 1_000).unwrap();
        assert!((1_000..10_000_000).contains(&out.len()), "{}", out.len());
        assert!(!cut.is_done());
    }
}
