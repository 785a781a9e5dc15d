//! What tokens and time cost, in whole numbers.
//!
//! An amount is kept in trillionths of a US dollar ([`Money`]): a price of so many millionths of a
//! dollar for a million tokens is a whole number of them for one token, so that a sum of costs is
//! the cost of the sum, to the last digit. Nothing here is a fraction; what does not fit stays at
//! the largest amount, and never wraps around to a small one.

pub mod books;
mod price;

pub use books::{Basis, Charge, LineKey, Pricing, Purpose, Sums};
pub use price::{Bill, Metered, PriceTable, Priced, Rates, tier_name};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::Sum;

/// Trillionths of a dollar in a dollar.
const PER_USD: u64 = 1_000_000_000_000;
/// Digits behind the point of an amount in dollars.
const DIGITS: usize = 12;

/// An amount of money, in trillionths of a US dollar: up to 18 million dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub u64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);
    /// The largest amount.
    pub const MAX: Money = Money(u64::MAX);

    /// So many whole dollars.
    pub const fn of_usd(dollars: u64) -> Money {
        Money(dollars.saturating_mul(PER_USD))
    }

    /// Reads dollars as a decimal number, such as `5`, `0.25` or `.5`; digits behind the twelfth
    /// round it to the nearest. `None` where it is none, is negative, or does not fit.
    pub fn parse_usd(text: &str) -> Option<Money> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let kept = &fraction[..fraction.len().min(DIGITS)];
        let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<u64>().ok() };
        let whole = number(whole)?.checked_mul(PER_USD)?;
        let part = number(kept)? * 10_u64.pow(u32::try_from(DIGITS - kept.len()).ok()?);
        let rounded = u64::from(fraction.as_bytes().get(DIGITS).is_some_and(|next| *next >= b'5'));
        whole.checked_add(part)?.checked_add(rounded).map(Money)
    }

    /// So many dollars, to the precision of a floating-point number.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / PER_USD as f64
    }

    /// The sum; the largest amount where it does not fit.
    #[must_use]
    pub const fn plus(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }

    /// What is left after taking so much; nothing where it is more.
    #[must_use]
    pub const fn less(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    /// In millionths of a dollar, to the nearest.
    pub const fn micro_usd(self) -> u64 {
        let micro = self.0 / 1_000_000;
        if self.0 % 1_000_000 >= 500_000 { micro + 1 } else { micro }
    }

    /// A wide number of trillionths; the largest amount where it does not fit.
    pub fn of_wide(trillionths: u128) -> Money {
        Money(u64::try_from(trillionths).unwrap_or(u64::MAX))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Money::plus)
    }
}

/// Dollars, exactly: as many digits as are needed, two at least.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_usd(f, self.0 / PER_USD, self.0 % PER_USD)
    }
}

/// So many trillionths as dollars, exactly: for sums that are larger than any amount.
pub fn usd(trillionths: u128) -> String {
    struct Wide(u128);
    impl fmt::Display for Wide {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let per_usd = u128::from(PER_USD);
            // What is left of a dollar fits.
            let fraction = u64::try_from(self.0 % per_usd).unwrap_or_default();
            write_usd(f, self.0 / per_usd, fraction)
        }
    }
    Wide(trillionths).to_string()
}

/// Each record has four amounts: nothing is made beside the text.
fn write_usd(
    f: &mut fmt::Formatter<'_>,
    dollars: impl fmt::Display,
    mut trillionths: u64,
) -> fmt::Result {
    let mut digits = [b'0'; DIGITS];
    let mut kept = 2;
    for (i, digit) in digits.iter_mut().enumerate().rev() {
        let last = (trillionths % 10) as u8;
        trillionths /= 10;
        *digit += last;
        if last != 0 {
            kept = kept.max(i + 1);
        }
    }
    write!(f, "{dollars}.")?;
    f.write_str(str::from_utf8(&digits[..kept]).unwrap_or_default())
}

/// Dollars as text: a number of JSON is read as a fraction of two by most who read it.
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        let text = String::deserialize(from)?;
        let amount = Money::parse_usd(&text);
        amount.ok_or_else(|| serde::de::Error::custom("an amount is a decimal number of dollars"))
    }
}

#[cfg(test)]
mod tests;
