//! How much a key, a tenant or the service may use, and which numbers are bounds at all.
//!
//! The rules are the same for what is typed, what the project file says and what comes over the
//! admin plane. A bound of 0 requests would be a key that is closed: there is `revoke` for that. A
//! budget of 0 is one: it lets through only what costs nothing.

use crate::money::Money;
use thiserror::Error;

/// Highest bound of a minute: more than any service has.
pub const PER_MIN_MAX: u64 = 1_000_000_000_000;
/// Highest bound of requests at a time.
pub const CONCURRENT_MAX: u32 = 1_000_000;
/// Highest budget, US dollars: what is kept of one on disk has its bound a little above.
pub const BUDGET_USD_MAX: u64 = 9_000_000;
/// The same as an amount.
pub const BUDGET_MAX: Money = Money::of_usd(BUDGET_USD_MAX);

/// How much may be used; absent is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bounds {
    /// Requests in a minute.
    pub requests_per_min: Option<u64>,
    /// Tokens in a minute, of prompts and answers together.
    pub tokens_per_min: Option<u64>,
    /// Requests at a time.
    pub concurrent: Option<u32>,
    /// Money in a day.
    pub budget_day: Option<Money>,
    /// Money in a calendar month.
    pub budget_month: Option<Money>,
}

/// A number that is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BoundError {
    /// A count that lets no request in, or that is not counted so far.
    #[error("{what}: given {given}, allowed are 1 to {most}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The number.
        given: u64,
        /// The highest that is allowed.
        most: u64,
    },
    /// A budget that is not counted so far.
    #[error("{what}: given {given}, allowed are 0 to {BUDGET_USD_MAX} (US dollars)")]
    Budget {
        /// Which one.
        what: &'static str,
        /// The amount.
        given: Money,
    },
}

impl Bounds {
    /// Whether all of them are bounds.
    ///
    /// # Errors
    /// The first that is none.
    pub fn check(&self) -> Result<(), BoundError> {
        let Bounds { requests_per_min, tokens_per_min, concurrent, budget_day, budget_month } =
            *self;
        for (what, given, most) in [
            ("requests a minute", requests_per_min, PER_MIN_MAX),
            ("tokens a minute", tokens_per_min, PER_MIN_MAX),
            ("requests at a time", concurrent.map(u64::from), CONCURRENT_MAX.into()),
        ] {
            if let Some(given) = given.filter(|given| !(1..=most).contains(given)) {
                return Err(BoundError::Count { what, given, most });
            }
        }
        for (what, given) in [("budget of a day", budget_day), ("budget of a month", budget_month)]
        {
            if let Some(given) = given.filter(|given| *given > BUDGET_MAX) {
                return Err(BoundError::Budget { what, given });
            }
        }
        Ok(())
    }
}

/// Why a text is no budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// It is no decimal number.
    #[error("a budget is a decimal number of US dollars, such as `5usd` or `0.25`")]
    NotANumber,
    /// It is below nothing.
    #[error("a budget is not negative: 0 to {BUDGET_USD_MAX} US dollars")]
    Negative,
    /// It is in another currency.
    #[error("a budget is in US dollars, such as `5usd`: prices are too")]
    NotDollars,
    /// It is more than is counted.
    #[error("a budget is at most {BUDGET_USD_MAX} US dollars")]
    TooMuch,
}

/// Reads a budget: a decimal number of dollars, with or without `usd` behind it.
///
/// # Errors
/// [`AmountError`] where it is none.
pub fn parse_budget(text: &str) -> Result<Money, AmountError> {
    let text = text.trim();
    if text.strip_prefix(['-', '−']).is_some_and(|rest| rest.starts_with(is_part)) {
        return Err(AmountError::Negative);
    }
    let (number, unit) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    let unit = unit.trim_start();
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    match unit {
        _ if !is_number => Err(AmountError::NotANumber),
        "" | "usd" | "USD" => {
            let amount = Money::parse_usd(number).filter(|amount| *amount <= BUDGET_MAX);
            amount.ok_or(AmountError::TooMuch)
        }
        unit if unit.chars().count() == 1 || is_code(unit) => Err(AmountError::NotDollars),
        _ => Err(AmountError::NotANumber),
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// A currency's code of ISO 4217, whatever its case.
fn is_code(unit: &str) -> bool {
    unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<&str, AmountError>) {
        let found = parse_budget(text).map(|amount| amount.to_string());
        assert_eq!(found.as_deref().map_err(|e| *e), expected, "{text}");
    }

    #[test]
    fn a_budget_is_a_number_of_dollars() {
        use AmountError::{Negative, NotANumber, NotDollars, TooMuch};
        check("5usd", Ok("5.00"));
        check("0.000001", Ok("0.000001"));
        check(" 12.5 USD ", Ok("12.50"));
        check("0", Ok("0.00"));
        check(".5", Ok("0.50"));
        check("9000000", Ok("9000000.00"));
        check("9000000.000000000001", Err(TooMuch));
        check("99999999999999999999999usd", Err(TooMuch));
        check("-5", Err(Negative));
        check("-0", Err(Negative));
        check("−5usd", Err(Negative));
        for other in ["5eur", "5 JPY", "5€", "5円", "5元", "5u", "5cny"] {
            check(other, Err(NotDollars));
        }
        for wrong in
            ["", ".", "usd", "$5", "+5", "1e3", "5,5", "1.2.3", "NaN", "inf", "0x10", "５", "-"]
        {
            check(wrong, Err(NotANumber));
        }
    }

    #[test]
    fn each_bound_has_its_range() {
        let ok = Bounds {
            requests_per_min: Some(1),
            tokens_per_min: Some(PER_MIN_MAX),
            concurrent: Some(CONCURRENT_MAX),
            budget_day: Some(Money::ZERO),
            budget_month: Some(BUDGET_MAX),
        };
        assert_eq!((ok.check(), Bounds::default().check()), (Ok(()), Ok(())));
        let none = Bounds { requests_per_min: Some(0), ..ok };
        assert_eq!(
            none.check().map_err(|e| e.to_string()),
            Err("requests a minute: given 0, allowed are 1 to 1000000000000".to_owned())
        );
        assert!(Bounds { concurrent: Some(CONCURRENT_MAX + 1), ..ok }.check().is_err());
        let rich = Bounds { budget_day: Some(Money(BUDGET_MAX.0 + 1)), ..ok };
        assert_eq!(
            rich.check().map_err(|e| e.to_string()),
            Err("budget of a day: given 9000000.000000000001, allowed are 0 to 9000000 \
                 (US dollars)"
                .to_owned())
        );
    }

    proptest! {
        /// Any text is read without a panic, and what is read is a budget that fits the disk.
        #[test]
        fn what_is_read_is_within_bounds(text in r"[-+$]?[0-9.]{0,30}[ ]?\PC{0,4}") {
            if let Ok(amount) = parse_budget(&text) {
                let bounds = Bounds { budget_day: Some(amount), ..Bounds::default() };
                prop_assert_eq!(bounds.check(), Ok(()));
                prop_assert!(i64::try_from(amount.0).is_ok());
            }
        }
    }
}
