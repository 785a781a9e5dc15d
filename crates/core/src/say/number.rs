//! Numbers for people.

use super::{Lang, band_unit};
use crate::decide::pace::SETTLED_S;
use crate::decide::{BandUnit, Comparison, Metric, MetricUnit, Numbers, Unit};
use crate::route::Weight;

/// Odds: three digits, and a word for what is beyond doubt.
pub(super) fn odds(lang: Lang, odds: f64) -> String {
    if odds >= 1e6 {
        match lang {
            Lang::En => "over 1,000,000".to_owned(),
            Lang::Zh => "超过 1,000,000".to_owned(),
            Lang::Ja => "1,000,000 超".to_owned(),
        }
    } else if odds >= 10.0 {
        format!("{odds:.0}")
    } else {
        format!("{odds:.2}")
    }
}

/// A length of time, rounded up.
pub(super) fn duration(lang: Lang, seconds: f64) -> String {
    let [s, min, h, days] = match lang {
        Lang::En => ["s", "min", "h", "days"],
        Lang::Zh => ["秒", "分钟", "小时", "天"],
        Lang::Ja => ["秒", "分", "時間", "日"],
    };
    match seconds {
        n if n < 90.0 => format!("{:.0} {s}", n.ceil()),
        n if n < 5_400.0 => format!("{:.0} {min}", (n / 60.0).ceil()),
        n if n < 172_800.0 => format!("{:.0} {h}", (n / 3_600.0).ceil()),
        n => format!("{:.0} {days}", (n / 86_400.0).ceil()),
    }
}

/// A length of time to the second, or to the minute from two hours on.
pub(super) fn span(lang: Lang, seconds: f64) -> String {
    let [h, min, s, ms] = match lang {
        Lang::En => ["h", "min", "s", "ms"],
        Lang::Zh => ["小时", "分", "秒", "毫秒"],
        Lang::Ja => ["時間", "分", "秒", "ミリ秒"],
    };
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0 if seconds > 0.0 => format!("{} {ms}", (seconds * 1000.0).ceil()),
        0..120 => format!("{whole} {s}"),
        120..7200 => match whole % 60 {
            0 => format!("{} {min}", whole / 60),
            rest => format!("{} {min} {rest} {s}", whole / 60),
        },
        _ => match whole % 3600 / 60 {
            0 => format!("{} {h}", whole / 3600),
            rest => format!("{} {h} {rest} {min}", whole / 3600),
        },
    }
}

/// A value in the metric's unit.
pub(super) fn value(lang: Lang, metric: Metric, value: f64) -> String {
    match metric.unit() {
        MetricUnit::Share => format!("{:.2} %", value * 100.0),
        MetricUnit::Ms => format!("{value:.0} ms"),
        MetricUnit::Usd => format!("${value:.6}"),
        MetricUnit::Tokens => match lang {
            Lang::En => format!("{value:.1} tokens"),
            Lang::Zh => format!("{value:.1} 个 token"),
            Lang::Ja => format!("{value:.1} トークン"),
        },
    }
}

/// A fraction of harm in a band's unit.
pub(super) fn harm(lang: Lang, fraction: f64, unit: BandUnit) -> String {
    let unit = match (unit, lang) {
        (BandUnit::Relative, _) => "%",
        (BandUnit::Points, Lang::En) => "points",
        (BandUnit::Points, Lang::Zh) => "个百分点",
        (BandUnit::Points, Lang::Ja) => "ポイント",
    };
    format!("{:+.1} {unit}", fraction * 100.0)
}

/// The numbers of a comparison, each as it is shown; `–` for one that is not known.
pub(super) struct Shown {
    pub(super) candidate: String,
    pub(super) stable: String,
    pub(super) threshold: String,
    pub(super) estimate: String,
    /// Absent where nothing was proven.
    pub(super) at_least: Option<String>,
    /// Absent where nothing was proven.
    pub(super) at_most: Option<String>,
    /// What the odds are and what is needed; absent where no test was made.
    pub(super) odds: Option<(String, u64)>,
    /// What the value is proven within, where a line has a ceiling beside its band.
    pub(super) within: Option<String>,
    /// How many more samples would change it.
    pub(super) more_samples: Option<u64>,
    pub(super) takes: Option<Takes>,
    pub(super) samples_candidate: u64,
    pub(super) samples_stable: u64,
    /// What the candidate's samples count as, and users behind them where that is known; absent
    /// where users' answers are not alike.
    pub(super) worth: Option<(u64, Option<u64>)>,
    /// Whether only recent outcomes are over the limit, not the whole release.
    pub(super) is_late: bool,
    /// Whether a relative limit is undefined, because stable's value is 0.
    pub(super) is_undefined: bool,
}

impl Shown {
    pub(super) fn of(lang: Lang, comparison: &Comparison) -> Shown {
        let Comparison { metric, unit, numbers, .. } = comparison;
        let own = |number: Option<f64>| {
            number.map_or("–".to_owned(), |number| value(lang, *metric, number))
        };
        let band = |fraction: f64| harm(lang, fraction, band_unit(*unit));
        let threshold = match unit {
            Unit::Ceiling => own(numbers.threshold),
            Unit::Relative | Unit::Points => numbers.threshold.map_or("–".to_owned(), band),
        };
        let odds = numbers.odds.zip(numbers.needed);
        Shown {
            candidate: own(numbers.candidate),
            stable: own(numbers.stable),
            threshold,
            estimate: numbers.estimate.map_or("–".to_owned(), band),
            at_least: numbers.low.filter(|low| *low > 0.0).map(band),
            at_most: numbers.high.map(band),
            odds: odds.map(|(odds, needed)| (self::odds(lang, odds), needed.round() as u64)),
            within: comparison.within.map(|within| value(lang, *metric, within)),
            more_samples: numbers.more_samples,
            takes: takes(lang, comparison),
            samples_candidate: numbers.samples_candidate.unwrap_or(0),
            samples_stable: numbers.samples_stable.unwrap_or(0),
            worth: worth(numbers),
            is_late: numbers.estimate <= numbers.threshold,
            is_undefined: numbers.stable == Some(0.0) && *unit == Unit::Relative,
        }
    }
}

/// What the candidate's samples are worth where users' answers are alike. A tenth less is within
/// what is not known of it, and left out.
fn worth(numbers: &Numbers) -> Option<(u64, Option<u64>)> {
    let samples = numbers.samples_candidate?;
    let worth = (samples as f64 / numbers.design_effect?).round() as u64;
    (worth * 10 <= samples * 9).then_some((worth, numbers.users))
}

/// How long more samples take.
pub(super) enum Takes {
    /// So long at this traffic.
    In(String),
    /// Too long to wait for, with a larger share and how long it would take there.
    TooLong(String, Option<(Weight, String)>),
}

fn takes(lang: Lang, comparison: &Comparison) -> Option<Takes> {
    let more_s = comparison.numbers.more_s?;
    let after = duration(lang, more_s as f64);
    if more_s <= SETTLED_S {
        return Some(Takes::In(after));
    }
    let larger =
        comparison.larger.map(|larger| (larger.weight_pct, duration(lang, larger.more_s as f64)));
    Some(Takes::TooLong(after, larger))
}
