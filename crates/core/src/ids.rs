//! Names and numbers that must not be mixed up: every id is its own type.
//!
//! An id that comes from outside is checked when it is made, so that one in hand is a good one: it
//! are safe in a path, a header, a log line or a query.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest trace id accepted, in characters (`x-trace-id`).
pub const TRACE_ID_MAX: usize = 128;
/// Longest change id accepted, in characters; it names a folder under `reports/`.
pub const CHANGE_ID_MAX: usize = 80;
/// Longest incident id, in characters: `inc-` and a change id.
pub const INCIDENT_ID_MAX: usize = CHANGE_ID_MAX + 4;
/// Longest service name accepted, in characters.
pub const SERVICE_MAX: usize = 64;
/// Longest name of a subject (user, tenant or key), in characters; longer ones are hashed.
pub const SUBJECT_MAX: usize = 128;

/// What was wrong with an id, with what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{given}` is not valid: {allowed}")]
pub struct IdError {
    /// Which kind of id.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The rule it broke.
    pub allowed: &'static str,
}

impl IdError {
    fn new(what: &'static str, given: &str, allowed: &'static str) -> Self {
        let given = given.chars().take(80).flat_map(char::escape_debug).collect();
        IdError { what, given, allowed }
    }
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps the text.
            ///
            /// # Errors
            /// [`IdError`] when the text breaks the rule of this id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(IdError::new($what, text, $allowed))
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                $name::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                $name::parse(text)
            }
        }
    };
}

fn within(text: &str, max: usize, allowed: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(allowed)
}

string_id!(
    /// A version set's name: `vs-` and the first 12 hex digits of its content's hash.
    VersionSetId,
    "version set id",
    "`vs-` and 12 hex digits, for example `vs-0f3a9c21d4e7`",
    |t| t.strip_prefix("vs-").is_some_and(|hex| hex.len() == 12
        && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
);

string_id!(
    /// A release's name, `<type>-<short-desc>-<short-hash>`; it names a folder.
    ChangeId,
    "change id",
    "3 to 80 of `a-z0-9-`, starting with a letter, for example `prompt-v3-a1b2c`",
    |t| (3..=CHANGE_ID_MAX).contains(&t.len())
        && t.as_bytes()[0].is_ascii_lowercase()
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

string_id!(
    /// An incident's name, `inc-<slug>`.
    IncidentId,
    "incident id",
    "`inc-` and up to 80 of `a-z0-9-`, for example `inc-prompt-v3-a1b2c`",
    |t| (5..=INCIDENT_ID_MAX).contains(&t.len())
        && t.starts_with("inc-")
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

impl IncidentId {
    /// The incident of a release: `inc-` and its change id. A change id that begins so already is
    /// the incident's id as well.
    pub fn of_release(change_id: &ChangeId) -> IncidentId {
        let id = change_id.as_str();
        match id.starts_with("inc-") && id.len() > 4 {
            true => IncidentId(id.to_owned()),
            false => IncidentId(format!("inc-{id}")),
        }
    }

    /// The incident that a person means: by its own id, or by its release's.
    ///
    /// # Errors
    /// [`IdError`] when the text is neither.
    pub fn meant(text: &str) -> Result<IncidentId, IdError> {
        IncidentId::parse(text).or_else(|_| ChangeId::parse(text).map(|id| Self::of_release(&id)))
    }
}

string_id!(
    /// The id of one request, opaque.
    TraceId,
    "trace id",
    "1 to 128 of `A-Za-z0-9._-`",
    |t| within(t, TRACE_ID_MAX, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

string_id!(
    /// What clients call the service by (`model` in the OpenAI API).
    ServiceName,
    "service name",
    "1 to 64 letters and digits of any script, and `._/:-`",
    |t| (1..=SERVICE_MAX).contains(&t.chars().count())
        && t.chars().all(|c| c.is_alphanumeric() || "._/:-".contains(c))
);

/// A SHA-256 digest, in 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest::from_parts(&[bytes])
    }

    /// The digest of several parts, each preceded by its length so that no two lists of parts
    /// share an encoding.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        Digest::of_each(parts.iter())
    }

    /// The same digest of parts that are made one after the other.
    pub fn of_each<P: AsRef<[u8]>>(parts: impl Iterator<Item = P>) -> Self {
        let mut digester = Digester::default();
        parts.for_each(|part| digester.part(part.as_ref()));
        digester.done()
    }

    fn from_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Digest(hex(&hasher.finalize()))
    }

    /// A digest of 32 bytes that was made elsewhere, by a hash with a key.
    pub fn made(bytes: &[u8; 32]) -> Self {
        Digest(hex(bytes))
    }

    /// Its 32 bytes; `None` where what was stored is no digest.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(self.0.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(bytes)
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `n` hex digits, for people.
    pub fn short(&self, n: usize) -> &str {
        &self.0[..n.min(self.0.len())]
    }
}

/// A digest of what comes piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Adds a part, preceded by its length; see [`Digest::of_parts`].
    pub fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Adds bytes as they are; see [`Digest::of`].
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of it.
    pub fn done(self) -> Digest {
        Digest(hex(&self.0.finalize()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes as hex digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from(if four < 10 { b'0' + four } else { b'a' + four - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Milliseconds since the Unix epoch, as the caller's clock says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Milliseconds from `earlier` to here; 0 when the clock went backwards.
    pub fn since(self, earlier: UnixMs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `ms` milliseconds.
    pub fn plus(self, ms: u64) -> UnixMs {
        UnixMs(self.0.saturating_add(ms))
    }
}

/// The number of a route table; each new table has the next one, so a stale writer is seen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation that follows.
    #[must_use]
    pub fn next(self) -> Generation {
        Generation(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A subject's name in the form that is routed, counted and kept: itself, or `sha256:` and 16 hex
/// digits when it has control characters or is longer than [`SUBJECT_MAX`] characters.
pub fn subject_of(text: &str) -> String {
    if text.chars().any(char::is_control) || text.chars().count() > SUBJECT_MAX {
        format!("sha256:{}", Digest::of(text.as_bytes()).short(16))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::str::FromStr>(input: &str, ok: bool) {
        assert_eq!(input.parse::<T>().is_ok(), ok, "{input:?}");
    }

    #[test]
    fn what_was_given_is_shown_as_it_was_typed() {
        let error = ServiceName::parse("客服助手\u{202e}\n").unwrap_err().to_string();
        assert!(error.contains("`客服助手\\u{202e}\\n`"), "{error}");
    }

    #[test]
    fn ids_are_checked() {
        check::<VersionSetId>("vs-0f3a9c21d4e7", true);
        check::<VersionSetId>("vs-0F3A9C21D4E7", false);
        check::<VersionSetId>("vs-0f3a9c21d4e", false);
        check::<VersionSetId>("../etc/passwd", false);
        check::<ChangeId>("prompt-v3-a1b2c", true);
        check::<ChangeId>("../x", false);
        check::<ChangeId>("3-prompt", false);
        check::<TraceId>("canary-test-001", true);
        check::<TraceId>("a b", false);
        check::<TraceId>("a\nb", false);
        check::<TraceId>(&"x".repeat(129), false);
        check::<TraceId>("追踪", false);
        check::<ServiceName>("support-desk", true);
        check::<ServiceName>("客服", true);
        check::<ServiceName>("サポート/窓口", true);
        check::<ServiceName>(&"客".repeat(64), true);
        check::<ServiceName>(&"客".repeat(65), false);
        check::<ServiceName>("客 服", false);
        check::<ServiceName>("客\u{200b}服", false);
        check::<ServiceName>("客服\r\nx: y", false);
        check::<ServiceName>("", false);
    }

    #[test]
    fn an_incident_is_named_by_itself_or_by_its_release() {
        fn check(meant: &str, id: &str) {
            assert_eq!(IncidentId::meant(meant).unwrap().as_str(), id);
        }
        check("prompt-v3-a1b2c", "inc-prompt-v3-a1b2c");
        check("inc-prompt-v3-a1b2c", "inc-prompt-v3-a1b2c");
        check("inc-leak-0f3a9", "inc-leak-0f3a9");
        let longest = ChangeId::parse(&"a".repeat(CHANGE_ID_MAX)).unwrap();
        let id = IncidentId::of_release(&longest);
        assert_eq!(IncidentId::parse(id.as_str()), Ok(id));
        assert!(IncidentId::meant("../inc").is_err() && IncidentId::parse("inc-").is_err());
    }

    #[test]
    fn an_error_names_what_was_given_and_allowed() {
        let error = VersionSetId::parse("v3\n").unwrap_err().to_string();
        assert!(error.contains("`v3\\n`") && error.contains("12 hex digits"), "{error}");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of_parts(&[b"ab", b"c"]), Digest::of_parts(&[b"a", b"bc"]));
    }

    #[test]
    fn a_user_that_would_spoil_a_log_or_is_too_long_is_hashed() {
        // The first 16 hex digits of SHA-256 of "a\nb", from `printf 'a\nb' | sha256sum`.
        assert_eq!(subject_of("a\nb"), "sha256:7e18f737311b2dc3");
        assert_ne!(subject_of("a\nb"), subject_of("a\nc"));
        let long = "x".repeat(SUBJECT_MAX + 1);
        assert!(subject_of(&long).starts_with("sha256:") && subject_of(&long).len() == 23);
        assert_eq!(subject_of(&subject_of(&long)), subject_of(&long));
    }
}
