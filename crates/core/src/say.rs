//! Say: reasons and numbers → sentences, in the reader's language.
//!
//! Pure, and nothing in core uses it to decide: state and journal hold codes and numbers. Every
//! language is one file with one exhaustive match, so a new reason does not compile until each
//! language has a sentence for it. A sentence says what happened, the numbers, and what to do.

mod en;
mod ja;
mod number;
mod zh;

use crate::decide::{
    BandUnit, Cause, DecisionKind, Metric, Order, OrderKind, Phase, Reason, Signal, Unit,
};

/// A language that Tidegate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese, simplified.
    Zh,
    /// Japanese.
    Ja,
}

impl Lang {
    /// All of them.
    pub const ALL: [Lang; 3] = [Lang::En, Lang::Zh, Lang::Ja];

    /// The language of a tag or a locale (`zh`, `zh-Hans-CN`, `zh_CN.UTF-8`); `None` for one that
    /// is not spoken, and for `C` and `POSIX`.
    pub fn of_tag(tag: &str) -> Option<Lang> {
        let primary = tag.split(['_', '-', '.', '@']).next().unwrap_or_default();
        Lang::ALL.into_iter().find(|lang| lang.tag().eq_ignore_ascii_case(primary))
    }

    /// Its tag, as HTML's `lang` and `--lang` take it.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
            Lang::Ja => "ja",
        }
    }

    /// The sentence of a reason. One from an older journal keeps the sentence it was stored with.
    pub fn sentence(self, reason: &Reason) -> String {
        match self {
            Lang::En => en::sentence(reason),
            Lang::Zh => zh::sentence(reason),
            Lang::Ja => ja::sentence(reason),
        }
    }

    /// The sentence of a cause; words are given back as they are.
    pub fn cause(self, cause: &Cause) -> String {
        match cause {
            Cause::Reason(reason) => self.sentence(reason),
            Cause::Words(words) => words.clone(),
        }
    }

    /// A length of time, rounded up: `40 s`, `12 min`, `5 h`, `3 days`.
    pub fn duration(self, seconds: f64) -> String {
        number::duration(self, seconds)
    }

    /// A length of time that has passed, to the second or, from two hours on, to the minute:
    /// `4 ms`, `5 min 1 s`, `25 h`.
    pub fn span(self, seconds: f64) -> String {
        number::span(self, seconds)
    }

    /// A value in the metric's unit: `2.10 %`, `840 ms`, `212.0 tokens`, `$0.000120`.
    pub fn value(self, metric: Metric, value: f64) -> String {
        number::value(self, metric, value)
    }

    /// A fraction of harm in a band's unit, with its sign: `+3.0 %`, `-0.2 points`.
    pub fn harm(self, fraction: f64, unit: BandUnit) -> String {
        number::harm(self, fraction, unit)
    }

    /// The signal's name.
    pub fn signal(self, signal: Signal) -> &'static str {
        match self {
            Lang::En => signal.as_str(),
            Lang::Zh => zh::signal(signal),
            Lang::Ja => ja::signal(signal),
        }
    }

    /// The decision's name.
    pub fn decision(self, kind: DecisionKind) -> &'static str {
        match self {
            Lang::En => kind.as_str(),
            Lang::Zh => zh::decision(kind),
            Lang::Ja => ja::decision(kind),
        }
    }

    /// The phase's name.
    pub fn phase(self, phase: Phase) -> &'static str {
        match self {
            Lang::En => phase.as_str(),
            Lang::Zh => zh::phase(phase),
            Lang::Ja => ja::phase(phase),
        }
    }

    /// Why an order was given: the operator's words, or that there are none.
    pub fn why(self, order: &Order) -> &str {
        order.given_reason().unwrap_or(match self {
            Lang::En => "no reason given",
            Lang::Zh => "未说明原因",
            Lang::Ja => "理由の記載なし",
        })
    }

    /// What is ordered.
    pub fn order(self, kind: OrderKind) -> &'static str {
        match self {
            Lang::En => kind.words(),
            Lang::Zh => zh::order(kind),
            Lang::Ja => ja::order(kind),
        }
    }
}

/// The unit in which a band with this unit of threshold states harm.
fn band_unit(unit: Unit) -> BandUnit {
    match unit {
        Unit::Points => BandUnit::Points,
        Unit::Relative | Unit::Ceiling => BandUnit::Relative,
    }
}

#[cfg(test)]
pub(crate) mod tests;
