//! Until when a certificate holds. Of X.509 (RFC 5280) only the way to that moment is read: a
//! library for all of it would be another dozen dependencies.

use tidegate_core::calendar::Day;
use tidegate_core::ids::UnixMs;

const SEQUENCE: u8 = 0x30;
/// The context tag of the version, which certificates of version 1 leave out.
const VERSION: u8 = 0xa0;
/// A moment with a year of two digits.
const UTC_TIME: u8 = 0x17;
/// A moment with a year of four digits.
const GENERALIZED_TIME: u8 = 0x18;

/// The last moment at which a certificate in DER form holds; `None` where it has another form.
pub(super) fn not_after(certificate: &[u8]) -> Option<UnixMs> {
    let (signed, _) = of_tag(SEQUENCE, certificate)?;
    let (mut rest, _) = of_tag(SEQUENCE, signed)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.rest;
    }
    // Before the validity are the serial number, the algorithm of the signature and the issuer.
    for _ in 0..3 {
        rest = element(rest)?.rest;
    }
    let (validity, _) = of_tag(SEQUENCE, rest)?;
    let not_before = element(validity)?;
    let not_after = element(not_before.rest)?;
    moment(not_after.tag, not_after.content)
}

/// An element of DER: a tag, its content, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Two bytes of length are 64 KiB; a certificate is shorter.
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

fn of_tag(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let Element { tag: found, content, rest } = element(der)?;
    (found == tag).then_some((content, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`: RFC 5280 allows no other form.
fn moment(tag: u8, text: &[u8]) -> Option<UnixMs> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // From 50 on it is the last century.
        UTC_TIME if text.len() == 12 => match text.get(..2)?.parse::<u8>().ok()? {
            0..50 => format!("20{text}"),
            50.. => format!("19{text}"),
        },
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize| text.get(from..from + 2);
    let number = |from, below| part(from)?.parse::<u64>().ok().filter(|number| *number < below);
    let day = Day::parse(&format!("{}-{}-{}", text.get(..4)?, part(4)?, part(6)?))?;
    // A leap second is the sixtieth.
    let (hours, minutes, seconds) = (number(8, 24)?, number(10, 60)?, number(12, 61)?);
    Some(day.begins().plus(((hours * 60 + minutes) * 60 + seconds) * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::rfc3339;
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    const ONE: &[u8] = include_bytes!("../../tests/edge/tls/one.pem");
    const EXPIRED: &[u8] = include_bytes!("../../tests/edge/tls/expired.pem");

    fn der(pem: &[u8]) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem).unwrap().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let check = |pem, expected: &str| {
            let found = not_after(&der(pem)).map(rfc3339).unwrap_or_default();
            assert!(found.starts_with(expected), "{found}");
        };
        // One of each form: beyond 2049 the year has four digits.
        check(ONE, "2126-11-04T18:21:58");
        check(EXPIRED, "2021-01-01T00:00:00");
    }

    #[test]
    fn a_moment_is_of_the_form_of_certificates() {
        let check = |tag, text: &str, expected: Option<&str>| {
            let found = moment(tag, text.as_bytes()).map(rfc3339);
            assert_eq!(found.as_deref().map(|text| &text[..19]), expected, "{text}");
        };
        check(UTC_TIME, "260101000000Z", Some("2026-01-01T00:00:00"));
        check(UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59"));
        check(GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59"));
        for wrong in ["2601010000Z", "260101000000", "260101000000+0100", "261301000000Z", "Z", ""]
        {
            check(UTC_TIME, wrong, None);
        }
        check(GENERALIZED_TIME, "20260101250000Z", None);
        check(SEQUENCE, "260101000000Z", None);
    }

    proptest! {
        /// Whatever the bytes are, and wherever a certificate is cut or altered, nothing panics.
        #[test]
        fn any_bytes_are_read(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = not_after(&bytes);
            let mut good = der(ONE);
            let at = at.index(good.len());
            prop_assert!(not_after(&good[..at]).is_none());
            good[at] = byte;
            let _ = not_after(&good);
        }
    }
}
