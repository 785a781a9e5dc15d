//! Check digits: what makes a number a card, an account or an identity number.

/// Whether digits are a payment card's: an issuer's prefix with a length it uses, and the Luhn
/// check (ISO/IEC 7812-1). Longer ones than 16 are UnionPay's, and older ones of Chinese banks.
pub(super) fn is_card(digits: &[u8]) -> bool {
    let start = |n: usize| digits[..n].iter().fold(0u32, |sum, d| sum * 10 + u32::from(d - b'0'));
    if digits.len() < 13 {
        return false;
    }
    let known = match digits.len() {
        13 => digits[0] == b'4',
        14 => matches!(start(2), 30 | 36 | 38 | 39),
        15 => matches!(start(2), 34 | 37),
        16 => {
            matches!(digits[0], b'4' | b'6')
                || matches!(start(2), 35 | 51..=55)
                || (2221..=2720).contains(&start(4))
        }
        17 | 18 => start(2) == 62,
        19 => matches!(start(2), 60 | 62 | 64 | 65) || matches!(start(4), 9558 | 9559),
        _ => false,
    };
    known && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let value = u32::from(digit - b'0') * if i % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|d| *d != b'0')
}

/// Whether 18 characters are a Chinese resident identity number: a date of birth and the check
/// character of ISO 7064 MOD 11-2 (GB 11643-1999).
pub(super) fn is_resident_id(id: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [u8; 11] = *b"10X98765432";
    if id.len() != 18 || !id[..17].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |range: &[u8]| range.iter().fold(0u32, |sum, d| sum * 10 + u32::from(d - b'0'));
    let (year, month, day) = (number(&id[6..10]), number(&id[10..12]), number(&id[12..14]));
    let born =
        (1850..=2199).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let sum: u32 = WEIGHTS.iter().zip(id).map(|(w, d)| w * u32::from(d - b'0')).sum();
    born && CHECKS[(sum % 11) as usize] == id[17].to_ascii_uppercase()
}

/// Whether letters and digits without spaces are an IBAN: 15 to 34 long, MOD 97-10 gives 1
/// (ISO 13616).
pub(super) fn is_iban(text: &[u8]) -> bool {
    if !(15..=34).contains(&text.len()) {
        return false;
    }
    let (country, account) = text.split_at(4);
    let rest = account.iter().chain(country).try_fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' | b'a'..=b'z' => {
            Some((rest * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97)
        }
        _ => None,
    });
    rest == Some(1)
}

/// Whether 12 digits are a Japanese individual number (My Number), by its check digit
/// (Ministry of Internal Affairs order no. 85 of 2014, article 5).
pub(super) fn is_my_number(digits: &[u8]) -> bool {
    if digits.len() != 12 {
        return false;
    }
    let sum: u32 = digits[..11]
        .iter()
        .rev()
        .zip(1u32..)
        .map(|(digit, n)| u32::from(digit - b'0') * if n <= 6 { n + 1 } else { n - 5 })
        .sum();
    let check = match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    u32::from(digits[11] - b'0') == check
}

/// Whether digits are a social security number as they were ever given out (SSA, areas 001 to 899
/// without 666).
pub(super) fn is_ssn(digits: &[u8]) -> bool {
    if digits.len() != 9 {
        return false;
    }
    let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
    !matches!(area, b"000" | b"666") && area[0] != b'9' && group != b"00" && serial != b"0000"
}

/// Whether letters and digits are a Hong Kong identity card's: one or two letters, six digits and
/// the check character, MOD 11.
pub(super) fn is_hong_kong_id(id: &[u8]) -> bool {
    let value = |c: u8| match c {
        b'0'..=b'9' => u32::from(c - b'0'),
        _ => u32::from(c - b'A') + 10,
    };
    let full: Vec<u32> = match id.len() {
        8 => std::iter::once(36).chain(id.iter().map(|c| value(*c))).collect(),
        9 => id.iter().map(|c| value(*c)).collect(),
        _ => return false,
    };
    let weighted: u32 = full.iter().zip((1..=9).rev()).map(|(value, weight)| value * weight).sum();
    weighted.is_multiple_of(11)
}

/// Whether a capital and nine digits are a Taiwanese identity number, by its check digit.
pub(super) fn is_taiwan_id(id: &[u8]) -> bool {
    const ORDER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(place) = ORDER.iter().position(|letter| Some(letter) == id.first()) else {
        return false;
    };
    if id.len() != 10 {
        return false;
    }
    let letter = place as u32 + 10;
    let digits = id[1..].iter().map(|c| u32::from(c - b'0'));
    let weighted: u32 =
        digits.zip([8, 7, 6, 5, 4, 3, 2, 1, 1]).map(|(digit, weight)| digit * weight).sum();
    (letter / 10 + letter % 10 * 9 + weighted).is_multiple_of(10)
}
