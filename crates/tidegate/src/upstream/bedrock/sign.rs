//! Signatures of AWS, version 4.

use ring::hmac;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use tidegate_core::ids::hex;
use time::OffsetDateTime;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

/// What is signed of a request without a query.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    /// Names in small letters, in their order, with their values.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// A time as signatures have it: `20150830T123600Z`.
pub(super) fn timestamp(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (date, time) = (at.date(), at.time());
    Some(format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    ))
}

/// The value of `Authorization`, for a region and a service.
pub(super) fn authorization(
    request: &Signed<'_>,
    key: &Key,
    at: &str,
    (region, service): (&str, &str),
) -> String {
    let day = at.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let (canonical, names) = canonical(request);
    let text = format!("{ALGORITHM}\n{at}\n{scope}\n{}", digest(canonical.as_bytes()));
    let first = format!("AWS4{}", key.secret);
    let parts = [day, region, service, "aws4_request"];
    let signing = parts.iter().fold(first.into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&signing, &text));
    let credential = format!("{}/{scope}", key.id);
    format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}")
}

/// The request in the form that is signed, and the names of its headers.
fn canonical(request: &Signed<'_>) -> (String, String) {
    let Signed { method, path, headers, body } = request;
    let mut lines = String::new();
    for (name, value) in *headers {
        let value: Vec<&str> = value.split(' ').filter(|part| !part.is_empty()).collect();
        // Writing into a text cannot fail.
        let _ = writeln!(lines, "{name}:{}", value.join(" "));
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let (path, hash) = (escaped(path), digest(body));
    (format!("{method}\n{path}\n\n{lines}\n{names}\n{hash}"), names)
}

/// A path is escaped once more than it is sent.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            // Writing into a text cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key, the time, the region and the service of AWS's published test suite.
    fn signature(request: &Signed<'_>) -> String {
        let key = Key {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        authorization(request, &key, "20150830T123600Z", ("us-east-1", "service"))
    }

    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", "20150830T123600Z");
        let check = |method, path, headers: &[(&str, &str)], body: &str, expected: &str| {
            let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
            let request = Signed { method, path, headers, body: body.as_bytes() };
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={}, Signature={expected}",
                names.join(";")
            );
            assert_eq!(signature(&request), expected, "{method} {path} {body}");
        };
        // get-vanilla, post-vanilla, post-header-key-case
        let get = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        check("GET", "/", &[host, date], "", get);
        let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        check("POST", "/", &[host, date], "", post);
        // post-x-www-form-urlencoded
        let form = ("content-type", "application/x-www-form-urlencoded");
        let with_body = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        check("POST", "/", &[form, host, date], "Param1=value1", with_body);
        // post-sts-header-before
        let token = (
            "x-amz-security-token",
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwA\
             eMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8p\
             hUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT\
             38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabI\
             Qwj2ICCR/oLxBA==",
        );
        let session = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
        check("POST", "/", &[host, date, token], "", session);
    }

    /// The published example of a signing key's use, `iam` in `us-east-1`.
    #[test]
    fn the_signing_key_is_the_published_one() {
        let parts = ["20150830", "us-east-1", "iam", "aws4_request"];
        let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        let key = parts.iter().fold(secret, |key, part| mac(&key, part));
        let published = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        assert_eq!(hex(&key), published);
    }

    #[test]
    fn times_and_paths_have_their_form() {
        assert_eq!(timestamp(1_440_938_160).as_deref(), Some("20150830T123600Z"));
        assert_eq!(escaped("/model/a%3A0/converse"), "/model/a%253A0/converse");
    }
}
