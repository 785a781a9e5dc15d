use super::*;
use crate::decide::{
    Beside, Changed, Comparison, Failures, FaultSeen, Gap, LargerShare, Line, ModelDrift,
    ModelOutage, More, Numbers, Order, OverBudget, PauseEnd, PauseLimit, PauseSoFar, PausedBy,
    ReasonCode, Reported, StoredReason, TooFew, Yardstick,
};
use crate::guard::{RiskEvent, RiskKind};
use crate::route::Weight;
use crate::upstream::Failure;
use std::collections::BTreeSet;

fn comparison(metric: Metric, unit: Unit, beside: Beside, more: Option<More>) -> Box<Comparison> {
    let numbers = Numbers {
        stable: Some(909.0),
        candidate: Some(2261.0),
        estimate: Some(1.033),
        low: Some(0.777),
        high: Some(1.444),
        threshold: Some(if unit == Unit::Ceiling { 2000.0 } else { 0.25 }),
        odds: Some(625.0),
        needed: Some(1000.0),
        alpha: Some(0.001),
        design_effect: None,
        users: None,
        more_samples: more.map(|_| 4321),
        more_s: more.map(|_| 720),
        samples_stable: Some(8700),
        samples_candidate: Some(2400),
    };
    Box::new(Comparison { beside, more, ..Comparison::new(metric, unit, numbers) })
}

/// A reason of every kind, and of every form that its sentence takes.
pub(crate) fn examples() -> Vec<Reason> {
    let mut all = about_lines();
    all.extend(about_data());
    all.extend(about_release());
    all
}

fn about_lines() -> Vec<Reason> {
    let of = |unit| comparison(Metric::LatencyP95, unit, Beside::Stable, None);
    let (relative, points) = (of(Unit::Relative), of(Unit::Points));
    let beside = |beside| comparison(Metric::LatencyP95, Unit::Relative, beside, None);
    let leads = |more| comparison(Metric::LatencyP95, Unit::Relative, Beside::Stable, Some(more));
    let with = |change: &dyn Fn(&mut Numbers)| {
        let mut changed = of(Unit::Relative);
        change(&mut changed.numbers);
        changed
    };
    let by = |yardstick, reported| {
        let yardstick = Some(yardstick);
        Reason::Skipped(Box::new(Comparison { yardstick, reported, ..*of(Unit::Relative) }))
    };
    let slow = |larger| {
        let mut shown = Comparison { larger, ..*leads(More::Passes) };
        shown.numbers.more_s = Some(36_000);
        Box::new(shown)
    };
    let shown = relative.clone();
    vec![
        Reason::OverRollback(relative.clone()),
        Reason::OverRollback(points),
        Reason::OverRollback(beside(Beside::StableBefore)),
        Reason::OverRollback(with(&|n| n.threshold = Some(1.5))),
        Reason::OverRollback(with(&|n| (n.design_effect, n.users) = (Some(40.0), Some(32)))),
        Reason::OverRollback(with(&|n| (n.design_effect, n.users) = (Some(40.0), Some(1)))),
        Reason::OverRollback(with(&|n| n.design_effect = Some(40.0))),
        Reason::OverRollback(Box::new(Comparison { multiple: Some(2.0), ..*relative.clone() })),
        Reason::OverBudget(Box::new(OverBudget {
            budget: 20,
            spoilt: 33.0,
            shown: relative.clone(),
        })),
        Reason::OverCeiling(of(Unit::Ceiling)),
        Reason::OverPause(relative.clone()),
        Reason::OverPause(beside(Beside::Baseline { days: 7 })),
        Reason::PauseLimit(Box::new(PauseLimit { lasted_s: 611, limit_s: 600, shown })),
        Reason::BetweenPassAndPause(relative.clone()),
        Reason::Uncertain(of(Unit::Ceiling)),
        Reason::Uncertain(leads(More::RollsBack)),
        Reason::Uncertain(leads(More::Passes)),
        Reason::Uncertain(leads(More::SettlesNothing)),
        Reason::Uncertain(slow(None)),
        Reason::Uncertain(slow(Some(LargerShare {
            weight_pct: Weight::from_pct(50.0).unwrap_or_default(),
            more_s: 14_400,
        }))),
        Reason::Uncertain(with(&|n| n.odds = None)),
        Reason::Uncertain(with(&|n| (n.odds, n.stable) = (None, Some(0.0)))),
        Reason::Skipped(relative.clone()),
        by(Yardstick::Unpriced, None),
        by(Yardstick::Unlike, Some(Reported { stable: 0.125, candidate: 0.875 })),
        Reason::Pass(Box::new(Comparison {
            yardstick: Some(Yardstick::Estimated),
            ..*relative.clone()
        })),
        Reason::Pass(relative.clone()),
        Reason::Pass(of(Unit::Ceiling)),
        Reason::Pass(Box::new(Comparison { within: Some(3000.0), ..*relative.clone() })),
        Reason::BaselineDrift(beside(Beside::Baseline { days: 7 })),
        Reason::Stored(Box::new(StoredReason {
            code: ReasonCode::Pass,
            line: Some(Line::Latency),
            metric: Some(Metric::LatencyP95),
            numbers: relative.numbers,
            text: "as it was stored".to_owned(),
        })),
    ]
}

fn about_data() -> Vec<Reason> {
    let fault = |stable, candidate, is_over, is_alone| {
        let of = |requests| Failures { requests, errors: requests / 2 };
        let (stable, candidate) = (of(stable), of(candidate));
        Reason::SharedFault(FaultSeen { for_s: 77, is_over, is_alone, stable, candidate })
    };
    let few = |candidate_requests, needed_stable, more_s| {
        let (samples_candidate, needed_candidate, samples_stable) = (48, 51, 1180);
        Reason::TooFewSamples(TooFew {
            samples_candidate,
            needed_candidate,
            samples_stable,
            needed_stable,
            candidate_requests,
            more_s,
        })
    };
    let mut all = vec![
        fault(900, 50, false, false),
        fault(900, 0, false, false),
        fault(9000, 900, true, false),
        fault(0, 0, false, false),
        fault(0, 500, false, true),
        fault(0, 500, true, true),
        few(100, 52, Some(12)),
        few(0, 0, None),
        Reason::NoData { silent_s: 601, candidate_requests: 3 },
        Reason::NoData { silent_s: 601, candidate_requests: 0 },
        Reason::SampleRatio {
            share: 0.312,
            weight_pct: Weight::from_pct(20.0).unwrap_or_default(),
            samples_candidate: 312,
            samples_stable: 688,
        },
        Reason::Clean { samples_candidate: 1234, high: 0.00321 },
        Reason::ColdStart,
    ];
    all.extend([Gap::NoServer, Gap::NoMetrics, Gap::CountFell].map(|gap| Reason::Gap { gap }));
    all
}

fn about_release() -> Vec<Reason> {
    let event = |kind| RiskEvent { kind, detail: "planted text 1 of 1".to_owned() };
    let tools = vec![event(RiskKind::UnauthorisedTool), event(RiskKind::PromptEcho)];
    let mut all = vec![
        Reason::RedLine { events: vec![event(RiskKind::Leak)] },
        Reason::RedLine { events: tools },
        Reason::AllPass { looked_s: 301 },
        Reason::Looking { looked_s: 41, look_s: 300 },
        Reason::AbRuns { left_s: 77 },
        Reason::AbOver { lasted_s: 66 },
        Reason::Decided,
        Reason::Paused,
    ];
    let ends = [PauseEnd::GoesBack, PauseEnd::GoesBackIfWorse, PauseEnd::Stays];
    all.extend(ends.map(|leads_to| {
        Reason::PausedByLines(PauseSoFar { lasted_s: 44, limit_s: 600, leads_to })
    }));
    all.extend(ORDERS.map(|kind| {
        let (by, reason) = ("mei".to_owned(), "投诉".to_owned());
        Reason::Order(Order { kind, by, reason })
    }));
    let (by, reason) = ("mei".to_owned(), String::new());
    all.push(Reason::Order(Order { kind: OrderKind::Pause, by, reason }));
    all.extend([Failure::Unreachable, Failure::AccountLimit, Failure::Credential].map(|failure| {
        let upstream = "main".to_owned();
        Reason::Outage(ModelOutage { upstream, failure, requests: 9173, failed: 8641 })
    }));
    all.extend(PHASES.map(|phase| Reason::Final { phase }));
    let (before, now) = ("m-1".to_owned(), "m-2".to_owned());
    let names = (before.clone(), now.clone());
    let answers = Changed::Answers {
        measure: "accuracy".to_owned(),
        mean_before: 0.95,
        mean_now: 0.7,
        p: 0.0021,
        cases: 12,
    };
    let changes = [
        Changed::Model { before, now },
        Changed::Fingerprint { before: names.0, now: names.1 },
        answers,
    ];
    all.extend(changes.map(|changed| {
        let endpoint = "https://models.example/v1".to_owned();
        let (upstream, model) = ("main".to_owned(), "m".to_owned());
        Reason::Drift(Box::new(ModelDrift { upstream, endpoint, model, changed }))
    }));
    all
}

const ORDERS: [OrderKind; 6] = [
    OrderKind::Pause,
    OrderKind::Resume,
    OrderKind::Promote,
    OrderKind::PromoteFully,
    OrderKind::RollBack,
    OrderKind::End,
];
const PHASES: [Phase; 7] = [
    Phase::Running,
    Phase::Ended,
    Phase::Paused(PausedBy::Operator),
    Phase::Paused(PausedBy::Lines),
    Phase::RolledBack,
    Phase::ShutOff,
    Phase::Promoted,
];

#[test]
fn the_examples_have_every_code() {
    let codes: BTreeSet<ReasonCode> = examples().iter().map(Reason::code).collect();
    assert_eq!(codes, ReasonCode::ALL.into());
}

/// Chinese characters or kana.
fn is_east_asian(text: &str) -> bool {
    text.chars()
        .any(|c| ('\u{3040}'..='\u{30ff}').contains(&c) || ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_reason_has_a_sentence_in_each_language() {
    for reason in examples() {
        let sentences = Lang::ALL.map(|lang| lang.sentence(&reason));
        for (lang, sentence) in Lang::ALL.into_iter().zip(&sentences) {
            for wrong in ["  ", "{", "None", "NaN", "inf"] {
                assert!(!sentence.contains(wrong), "{lang:?}: {sentence}");
            }
            assert!(!sentence.ends_with(['.', '。', ';', '；']), "{lang:?}: {sentence}");
        }
        if matches!(reason, Reason::Stored(_)) {
            assert!(sentences.iter().all(|sentence| sentence == "as it was stored"));
            continue;
        }
        let ours = matches!(reason, Reason::Order(_));
        assert!(ours || !is_east_asian(&sentences[0]), "{}", sentences[0]);
        assert!(is_east_asian(&sentences[1]) && is_east_asian(&sentences[2]), "{sentences:?}");
        assert!(sentences[1] != sentences[2], "{}", sentences[1]);
    }
}

/// The numbers that a reader must find in a sentence, as they are written in it.
fn numbers_of(reason: &Reason) -> Vec<&'static str> {
    match reason {
        Reason::Order(order) if order.given_reason().is_none() => vec!["mei"],
        Reason::Order(_) => vec!["mei", "投诉"],
        Reason::RedLine { events } if events.len() == 1 => vec!["1", "planted text 1 of 1"],
        Reason::RedLine { .. } => vec!["2", "planted text 1 of 1"],
        Reason::PauseLimit(_) => vec!["611", "600", "2261 ms", "909 ms", "625 : 1"],
        Reason::PausedByLines(_) => vec!["44", "600"],
        Reason::OverBudget(_) => vec!["33", "20", "2261 ms", "625 : 1", "2400"],
        Reason::OverRollback(c) if c.multiple.is_some() => vec!["2", "2261 ms", "625 : 1"],
        Reason::OverRollback(c) if c.numbers.users == Some(32) => vec!["32", "2400", "60"],
        Reason::OverRollback(c) if c.numbers.design_effect.is_some() => vec!["2400", "60"],
        Reason::OverRollback(_) => {
            vec!["2261 ms", "909 ms", "+103.3", "625 : 1", "1000 : 1", "2400"]
        }
        Reason::OverCeiling(_) => vec!["2261 ms", "2000 ms", "2400", "8700"],
        Reason::OverPause(_) => vec!["2261 ms", "909 ms", "+103.3 %", "+25.0 %"],
        Reason::BetweenPassAndPause(_) => vec!["2261 ms", "909 ms", "+103.3 %", "+25.0 %", "2400"],
        Reason::Uncertain(c) if c.unit == Unit::Ceiling => vec!["2261 ms", "2000 ms", "2400"],
        Reason::Uncertain(c) if c.numbers.stable == Some(0.0) => vec!["`ceiling`", "0 ms"],
        Reason::Uncertain(c) => match c.more {
            _ if c.larger.is_some() => vec!["4321", "10", "50 %", "4"],
            Some(More::RollsBack | More::Passes) if c.numbers.more_s > Some(3_600) => {
                vec!["4321", "10"]
            }
            Some(More::RollsBack | More::Passes) => vec!["625 : 1", "+25.0 %", "4321", "12"],
            Some(More::SettlesNothing) => vec!["625 : 1", "1000 : 1", "+25.0 %"],
            None => vec!["2261 ms", "909 ms", "2400", "8700"],
        },
        Reason::Skipped(c) if c.yardstick == Some(Yardstick::Unpriced) => vec!["`prices:`"],
        Reason::Skipped(c) if c.reported.is_some() => vec!["88 %", "12 %"],
        Reason::Skipped(_) => vec!["2400", "8700"],
        Reason::Pass(c) if c.within.is_some() => vec!["3000 ms", "99 %"],
        Reason::Pass(c) if c.unit == Unit::Ceiling => vec!["2261 ms", "2000 ms"],
        Reason::Pass(_) => vec!["2261 ms", "909 ms", "+103.3 %", "+25.0 %", "+144.4 %", "625 : 1"],
        Reason::BaselineDrift(_) => vec!["2261 ms", "909 ms", "7", "+103.3 %", "+25.0 %"],
        Reason::AllPass { .. } => vec!["301"],
        Reason::Looking { .. } => vec!["41", "300"],
        Reason::AbRuns { .. } => vec!["77", "`tidegate ab stop`"],
        Reason::AbOver { .. } => vec!["66"],
        Reason::TooFewSamples(few) if few.needed_stable == 0 => vec!["48", "51"],
        Reason::TooFewSamples(_) => vec!["48", "51", "1180", "52", "12"],
        Reason::NoData { .. } => vec!["601"],
        Reason::SampleRatio { .. } => vec!["31.2 %", "20 %", "312", "688"],
        Reason::Clean { .. } => vec!["1234", "0.33 %", "95 %"],
        Reason::SharedFault(seen) if seen.stable.requests + seen.candidate.requests == 0 => {
            vec!["77"]
        }
        Reason::SharedFault(seen) if seen.is_alone => vec!["50 %", "500"],
        Reason::SharedFault(seen) if seen.is_over => vec!["50 %", "9000", "900"],
        Reason::SharedFault(_) => vec!["50 %", "900"],
        Reason::Paused => vec!["`tidegate release resume`"],
        Reason::Outage(_) => vec!["`main`", "9173", "8641"],
        Reason::Drift(drift) => match drift.changed {
            Changed::Model { .. } | Changed::Fingerprint { .. } => {
                vec!["`main`", "https://models.example/v1", "`m`", "`m-1`", "`m-2`"]
            }
            Changed::Answers { .. } => vec!["`main`", "accuracy", "0.950", "0.700", "0.0021", "12"],
        },
        Reason::Gap { .. }
        | Reason::ColdStart
        | Reason::Decided
        | Reason::Final { .. }
        | Reason::Stored(_) => vec![],
    }
}

#[test]
fn a_sentence_has_the_numbers_of_its_reason() {
    for reason in examples() {
        for lang in Lang::ALL {
            let sentence = lang.sentence(&reason);
            for number in numbers_of(&reason) {
                assert!(sentence.contains(number), "{lang:?}: `{number}` is not in: {sentence}");
            }
        }
    }
}

#[test]
fn two_forms_of_a_reason_are_told_apart() {
    for lang in Lang::ALL {
        let all: BTreeSet<String> = examples().iter().map(|reason| lang.sentence(reason)).collect();
        assert_eq!(all.len(), examples().len(), "{lang:?}");
    }
}

#[test]
fn every_name_differs_from_the_others_of_its_kind() {
    let signals = [Signal::Green, Signal::Yellow, Signal::Red, Signal::Black];
    let kinds = [
        DecisionKind::Advance,
        DecisionKind::Hold,
        DecisionKind::Pause,
        DecisionKind::RollBack,
        DecisionKind::ShutOff,
    ];
    for lang in Lang::ALL {
        assert_eq!(BTreeSet::from(signals.map(|s| lang.signal(s))).len(), signals.len());
        assert_eq!(BTreeSet::from(kinds.map(|kind| lang.decision(kind))).len(), kinds.len());
        assert_eq!(BTreeSet::from(PHASES.map(|phase| lang.phase(phase))).len(), PHASES.len());
        assert_eq!(BTreeSet::from(ORDERS.map(|kind| lang.order(kind))).len(), ORDERS.len());
    }
}

#[test]
fn a_language_is_found_by_tag_and_by_locale() {
    for (tag, expected) in [
        ("en", Some(Lang::En)),
        ("en_US.UTF-8", Some(Lang::En)),
        ("zh", Some(Lang::Zh)),
        ("zh_CN.UTF-8", Some(Lang::Zh)),
        ("zh-Hans-CN", Some(Lang::Zh)),
        ("ZH", Some(Lang::Zh)),
        ("ja_JP.eucJP", Some(Lang::Ja)),
        ("C", None),
        ("C.UTF-8", None),
        ("POSIX", None),
        ("", None),
        ("zhx", None),
        ("中文", None),
    ] {
        assert_eq!(Lang::of_tag(tag), expected, "{tag}");
    }
}

#[test]
fn durations_round_up() {
    for (seconds, en, zh) in [
        (0.0, "0 s", "0 秒"),
        (39.2, "40 s", "40 秒"),
        (90.0, "2 min", "2 分钟"),
        (5_400.0, "2 h", "2 小时"),
        (172_800.0, "2 days", "2 天"),
    ] {
        assert_eq!(
            (Lang::En.duration(seconds), Lang::Zh.duration(seconds)),
            (en.into(), zh.into())
        );
    }
}

#[test]
fn what_has_passed_is_to_the_second() {
    let texts = [0.004, 45.0, 300.0, 301.0, 90_000.0].map(|s| Lang::En.span(s)).join(", ");
    assert_eq!(texts, "4 ms, 45 s, 5 min, 5 min 1 s, 25 h");
    assert_eq!(Lang::Zh.span(301.0), "5 分 1 秒");
    assert_eq!(Lang::Ja.span(7_260.0), "2 時間 1 分");
}

#[test]
fn an_order_without_a_reason_says_so_in_the_readers_language() {
    let order = |reason: &str| Order {
        kind: OrderKind::Pause,
        by: "mei".to_owned(),
        reason: reason.to_owned(),
    };
    // The last is what older journals hold.
    for none in ["", "  ", "no reason given"] {
        assert_eq!(order(none).given_reason(), None);
        let said = Lang::ALL.map(|lang| lang.why(&order(none)).to_owned());
        assert_eq!(said, ["no reason given", "未说明原因", "理由の記載なし"]);
    }
    assert_eq!(Lang::Ja.why(&order(" 投诉 ")), "投诉");
}
