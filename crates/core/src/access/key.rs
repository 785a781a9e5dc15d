//! The text of a key: `tg-`, 8 hex digits that name it, a dash, 64 that keep it secret, and 8 that
//! find typing errors.
//!
//! The name is no secret: people and logs name a key by it, and it is how a key is looked up. The
//! secret has 256 bits, so that a hash of the whole text can be stored as it is. The last digits
//! are the first of the SHA-256 of what is before them: that a key was cut or mistyped is seen
//! without looking it up.

use crate::ids::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What every key starts with: secret scanners find it by that.
pub const PREFIX: &str = "tg-";
/// Random bytes of a key: 4 for its name, 32 for its secret.
pub const RANDOM_BYTES: usize = 36;
const ID_DIGITS: usize = 8;
const SECRET_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;
const REST: usize = ID_DIGITS + 1 + SECRET_DIGITS + CHECK_DIGITS;
const LENGTH: usize = PREFIX.len() + REST;

/// What is wrong with a key's text. It never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not have a key's form.
    #[error("this is no key of Tidegate: one is `tg-` and {REST} more characters")]
    Form,
    /// The last digits do not fit the others.
    #[error("the key has a typing error, or was not copied whole: its checksum does not fit")]
    Checksum,
}

/// The name of a key, `tg-` and 8 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Reads a key's name.
    ///
    /// # Errors
    /// [`KeyError::Form`] when it is none. A whole key is none: its secret does not belong where
    /// names are given.
    pub fn parse(text: &str) -> Result<KeyId, KeyError> {
        let digits = text.strip_prefix(PREFIX).ok_or(KeyError::Form)?;
        if digits.len() == ID_DIGITS && is_hex(digits) {
            Ok(KeyId(text.to_owned()))
        } else {
            Err(KeyError::Form)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;
    fn try_from(text: String) -> Result<KeyId, KeyError> {
        KeyId::parse(&text)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0
    }
}

/// A whole key, whose form and checksum are right. It is shown once, when it is made; its `Debug`
/// shows the name alone.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The key of these random bytes.
    pub fn of(random: &[u8; RANDOM_BYTES]) -> KeyText {
        let (id, secret) = random.split_at(ID_DIGITS / 2);
        let text = format!("{PREFIX}{}-{}", hex(id), hex(secret));
        KeyText(format!("{text}{}", checksum(&text)))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError`], which does not hold the text.
    pub fn parse(text: &str) -> Result<KeyText, KeyError> {
        let digits = text.strip_prefix(PREFIX).ok_or(KeyError::Form)?;
        let (id, rest) = digits.split_at_checked(ID_DIGITS).ok_or(KeyError::Form)?;
        let rest = rest.strip_prefix('-').ok_or(KeyError::Form)?;
        // A key that was cut has a form too, as far as it goes.
        if !is_hex(id) || !is_hex(rest) || rest.is_empty() {
            return Err(KeyError::Form);
        }
        if text.len() != LENGTH {
            return Err(KeyError::Checksum);
        }
        let (start, check) = text.split_at(LENGTH - CHECK_DIGITS);
        if checksum(start) != check {
            return Err(KeyError::Checksum);
        }
        Ok(KeyText(text.to_owned()))
    }

    /// What it is looked up by.
    pub fn id(&self) -> KeyId {
        KeyId(self.0[..PREFIX.len() + ID_DIGITS].to_owned())
    }

    /// The whole key, to be shown once or hashed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}…)", self.id())
    }
}

fn checksum(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..CHECK_DIGITS / 2])
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> String {
        KeyText::of(&[byte; RANDOM_BYTES]).reveal().to_owned()
    }

    fn check(text: &str, expected: Result<(), KeyError>) {
        assert_eq!(KeyText::parse(text).map(|_| ()), expected, "{text}");
    }

    #[test]
    fn a_key_reads_back() {
        check(&key(0), Ok(()));
        check(&key(0xff), Ok(()));
        assert_eq!(KeyText::parse(&key(0xab)).unwrap().id().as_str(), "tg-abababab");
        assert_eq!(key(7).len(), LENGTH);
    }

    #[test]
    fn what_is_no_key_differs_from_what_is_mistyped() {
        check("", Err(KeyError::Form));
        check("sk-0123456789abcdef", Err(KeyError::Form));
        check("tg-", Err(KeyError::Form));
        check("tg-0123456", Err(KeyError::Form));
        check("tg-01234567", Err(KeyError::Form));
        check("tg-01234567-", Err(KeyError::Form));
        check("tg-01234567-' OR pg_sleep(8)--", Err(KeyError::Form));
        check("tg-Ａ1234567-00", Err(KeyError::Form));
        check(&key(1).to_uppercase(), Err(KeyError::Form));
        check(&key(1)[..60], Err(KeyError::Checksum));
        check(&format!("{}0", key(1)), Err(KeyError::Checksum));
    }

    #[test]
    fn nothing_but_the_name_is_shown() {
        let key = KeyText::of(&[0x5a; RANDOM_BYTES]);
        assert_eq!(format!("{key:?}"), "KeyText(tg-5a5a5a5a…)");
        assert!(KeyId::parse(key.reveal()).is_err());
    }

    proptest! {
        #[test]
        fn any_one_wrong_character_is_found(
            random in prop::array::uniform32(any::<u8>()), at in 0..LENGTH, other in any::<char>(),
        ) {
            let mut bytes = [7; RANDOM_BYTES];
            bytes[4..].copy_from_slice(&random);
            let good = KeyText::of(&bytes).reveal().to_owned();
            let bad: String =
                good.chars().enumerate().map(|(i, c)| if i == at { other } else { c }).collect();
            prop_assert_eq!(KeyText::parse(&bad).is_ok(), bad == good);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,120}") {
            let _ = (KeyText::parse(&text), KeyId::parse(&text));
        }
    }
}
