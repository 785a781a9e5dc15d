//! English.

use super::Lang;
use super::number::{Shown, Takes, duration};
use crate::decide::{
    Beside, Changed, Comparison, FaultSeen, Gap, ModelDrift, ModelOutage, More, OverBudget,
    PauseEnd, PauseLimit, PauseSoFar, Reason, Reported, TooFew, Unit, Yardstick,
};
use crate::guard::RiskEvent;
use crate::upstream::Failure;

pub(super) fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Order(order) => {
            format!("{} ordered: {} ({})", order.by, order.kind.words(), Lang::En.why(order))
        }
        Reason::RedLine { events } => red_line(events),
        Reason::Gap { gap } => gap_text(*gap).to_owned(),
        Reason::SharedFault(fault) => shared_fault(fault),
        Reason::OverRollback(c) => over_rollback(c),
        Reason::OverCeiling(c) => over_ceiling(c),
        Reason::OverBudget(budget) => over_budget(budget),
        Reason::OverPause(c) => over_pause(c),
        Reason::PauseLimit(limit) => pause_limit(limit),
        Reason::BetweenPassAndPause(c) => between(c),
        Reason::Uncertain(c) => uncertain(c),
        Reason::Skipped(c) => skipped(c),
        Reason::Pass(c) => pass(c),
        Reason::BaselineDrift(c) => drift(c),
        Reason::AllPass { looked_s } => {
            format!("every line passes on enough data after {looked_s} s")
        }
        Reason::Looking { looked_s, look_s } => {
            format!("every line passes; this rung was watched for {looked_s} of {look_s} s")
        }
        Reason::AbRuns { left_s } => format!(
            "the A/B test goes on for {} at most; `tidegate ab stop` ends it",
            duration(Lang::En, *left_s as f64)
        ),
        Reason::AbOver { lasted_s } => {
            format!("the A/B test has lasted its time, {}", duration(Lang::En, *lasted_s as f64))
        }
        Reason::TooFewSamples(few) => too_few(few),
        Reason::NoData { silent_s, candidate_requests } => format!(
            "no request has ended for {silent_s} s; the release waits for data{}",
            unsplit(*candidate_requests)
        ),
        Reason::SampleRatio { share, weight_pct, samples_candidate, samples_stable } => format!(
            "the traffic split is off: the candidate gets {:.1} % of requests, its weight is \
             {weight_pct} ({samples_candidate} candidate and {samples_stable} stable requests); \
             check the router before you trust a comparison",
            share * 100.0
        ),
        Reason::Clean { samples_candidate, high } => format!(
            "no red-line event in {samples_candidate} answers: with 95 % confidence at most \
             {:.2} % of answers have one",
            percent_up(*high)
        ),
        Reason::ColdStart => {
            "cold start: no earlier days of stable are stored, so only the concurrent stable arm \
             is compared"
                .to_owned()
        }
        Reason::Decided => "a decision was already made at this moment".to_owned(),
        Reason::Final { phase } => format!("the release is over: {}", phase.as_str()),
        Reason::PausedByLines(pause) => paused_by_lines(pause),
        Reason::Outage(seen) => outage(seen),
        Reason::Drift(drift) => model_drift(drift),
        Reason::Paused => {
            "an operator paused the release; `tidegate release resume` continues it".to_owned()
        }
        Reason::Stored(reason) => reason.text.clone(),
    }
}

/// Percent of a share, rounded up to two digits after the point.
fn percent_up(share: f64) -> f64 {
    (share * 10_000.0).ceil() / 100.0
}

fn red_line(events: &[RiskEvent]) -> String {
    let seen: Vec<String> =
        events.iter().map(|event| format!("{} ({})", event.kind.as_str(), event.detail)).collect();
    let events = if seen.len() == 1 { "event" } else { "events" };
    format!("{} red-line {events}, one is enough to act: {}", seen.len(), seen.join(", "))
}

fn over_ceiling(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!("{name} is proven over its ceiling of {}: {values}; {samples}", shown.threshold)
}

fn between(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name} is proven worse than its pass limit of {}, but not over its pause limit: \
         {values}, {}; {samples}",
        shown.threshold,
        difference(c, &shown)
    )
}

fn over_budget(budget: &OverBudget) -> String {
    let OverBudget { budget, spoilt, shown: c } = budget;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name}: the candidate has spoilt about {spoilt:.0} answers that stable would not have \
         spoilt, more than the harm budget of {budget}: {values}, {}{}; {samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn over_multiple(c: &Comparison, multiple: f64) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name} is proven more than {multiple} times stable's rate: {values}{}; {samples}",
        odds(&shown)
    )
}

fn skipped(c: &Comparison) -> String {
    let Head { name, shown, .. } = Head::of(c);
    let off = format!("set `lines.{name}.required: false` to continue without it");
    match (c.yardstick, c.reported) {
        (Some(Yardstick::Unpriced), _) => format!(
            "{name} is not compared: a model without a price would look free; add its price under \
             `prices:` in tidegate.yaml, or {off}"
        ),
        (Some(Yardstick::Unlike), Some(Reported { candidate, stable })) => format!(
            "{name} is not compared: the upstream reports usage for {:.0} % of the candidate's \
             answers and {:.0} % of stable's, the rest is estimated; {off}",
            candidate * 100.0,
            stable * 100.0
        ),
        (Some(_) | None, _) => format!(
            "{name} has no data to compare: {} candidate and {} stable samples",
            shown.samples_candidate, shown.samples_stable
        ),
    }
}

fn drift(c: &Comparison) -> String {
    let Head { name, values, shown, .. } = Head::of(c);
    format!(
        "{name} is worse than in the days before on both arms: {values}, difference {}, limit {}; \
         this is drift and does not count against the candidate",
        shown.estimate, shown.threshold
    )
}

fn gap_text(gap: Gap) -> &'static str {
    match gap {
        Gap::NoServer => {
            "the numbers may be incomplete: no server is running; start it with `tidegate serve`"
        }
        Gap::NoMetrics => "the numbers may be incomplete: no metrics come in",
        Gap::CountFell => {
            "the numbers may be incomplete: a count went down, so they are not from this release \
             alone"
        }
    }
}

fn shared_fault(fault: &FaultSeen) -> String {
    let FaultSeen { for_s, is_over, is_alone, stable, candidate } = fault;
    let judged = if *is_alone { candidate } else { stable };
    if judged.requests + candidate.requests == 0 {
        return format!(
            "the upstream fault that both arms share has lasted {} and no request ended since \
             the last look; nothing counts until it is over",
            duration(Lang::En, *for_s as f64)
        );
    }
    let failed = format!("{:.0} % of {} requests", judged.rate() * 100.0, judged.requests);
    let beside = match candidate.requests {
        0 => String::new(),
        _ if *is_alone => String::new(),
        n => format!(", the candidate's {:.0} % of {n}", candidate.rate() * 100.0),
    };
    let whose = match is_alone {
        true => "the upstream that both sets use, with no traffic on stable to compare with,",
        false => "stable's upstream",
    };
    match is_over {
        true => format!(
            "the shared upstream fault is over: {whose} fails {failed}{beside}; requests during \
             the fault count for neither arm"
        ),
        false => format!(
            "{whose} fails {failed}{beside}: a shared fault, which does not count against the \
             candidate"
        ),
    }
}

/// What most sentences about a line begin and end with.
struct Head {
    name: &'static str,
    values: String,
    samples: String,
    shown: Shown,
}

impl Head {
    fn of(c: &Comparison) -> Head {
        let shown = Shown::of(Lang::En, c);
        let beside = match c.beside {
            Beside::Stable => format!("stable {}", shown.stable),
            Beside::StableBefore => format!("stable {} before it lost its traffic", shown.stable),
            Beside::Baseline { days } => format!("{days}-day baseline {}", shown.stable),
        };
        let how = match c.yardstick {
            Some(Yardstick::Estimated) => " (both estimated, since an upstream reports no usage)",
            Some(Yardstick::Reported | Yardstick::Unlike | Yardstick::Unpriced) | None => "",
        };
        Head {
            name: c.metric.as_str(),
            values: format!("candidate {}, {beside}{how}", shown.candidate),
            samples: format!(
                "{} candidate and {} stable samples{}",
                shown.samples_candidate,
                shown.samples_stable,
                worth(&shown)
            ),
            shown,
        }
    }
}

/// The difference between the arms over the same periods. The two values before it are of the whole
/// release, in which the arms had different shares of traffic at different times.
fn difference(c: &Comparison, shown: &Shown) -> String {
    match c.beside {
        Beside::Stable => format!("difference {} over the same periods", shown.estimate),
        Beside::StableBefore | Beside::Baseline { .. } => format!("difference {}", shown.estimate),
    }
}

fn odds(shown: &Shown) -> String {
    let odds = shown.odds.as_ref();
    odds.map_or(String::new(), |(odds, needed)| format!("; odds {odds} : 1, needed {needed} : 1"))
}

/// What the candidate's samples count as, where users' answers are alike.
fn worth(shown: &Shown) -> String {
    let Some((worth, users)) = shown.worth else { return String::new() };
    let of = match users {
        Some(1) => " from 1 user".to_owned(),
        Some(users) => format!(" from about {users} users"),
        None => String::new(),
    };
    format!(
        "; answers to one user are alike, so the candidate's {}{of} count as about {worth}",
        shown.samples_candidate
    )
}

fn over_rollback(c: &Comparison) -> String {
    if let Some(multiple) = c.multiple {
        return over_multiple(c, multiple);
    }
    let Head { name, values, samples, shown } = Head::of(c);
    let (limit, difference, odds) = (&shown.threshold, difference(c, &shown), odds(&shown));
    // What is proven of the whole release says little of what came late.
    if shown.is_late {
        let all = &shown.estimate;
        return format!(
            "{name} went over its rollback limit of {limit} recently: {values}, difference {all} \
             over the whole release{odds}; {samples}"
        );
    }
    let proven = shown.at_least.map_or(String::new(), |low| format!(", at least {low} proven"));
    format!(
        "{name} is over its rollback limit of {limit}: {values}, {difference}{proven}{odds}; \
         {samples}"
    )
}

fn over_pause(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let (limit, difference, odds) = (&shown.threshold, difference(c, &shown), odds(&shown));
    match c.beside {
        Beside::Stable | Beside::StableBefore => format!(
            "{name} is over its pause limit of {limit}, but not proven over its rollback limit: \
             {values}, {difference}; {samples}"
        ),
        Beside::Baseline { .. } => format!(
            "{name} is over its rollback limit of {limit} compared with the days before: {values}, \
             {difference}{odds}; find out what else changed, then resume or roll back"
        ),
    }
}

fn pause_limit(limit: &PauseLimit) -> String {
    let PauseLimit { lasted_s, limit_s, shown: c } = limit;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "the release was paused for {lasted_s} s, over the limit of {limit_s} s, and {name} is \
         proven worse than stable: {values}, {}{}; {samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn outage(seen: &ModelOutage) -> String {
    let ModelOutage { upstream, failure, requests, failed } = seen;
    let means = match failure {
        Failure::AccountLimit => ": the account's credit or spend limit is used up",
        Failure::Credential => ": the model server refuses the key",
        _ => "",
    };
    let failure = failure.as_str();
    format!("upstream `{upstream}` fails: {failed} of {requests} requests ({failure}{means})")
}

fn model_drift(drift: &ModelDrift) -> String {
    let ModelDrift { upstream, endpoint, model, changed } = drift;
    let at = if endpoint.is_empty() { String::new() } else { format!(" at {endpoint}") };
    let what = match changed {
        Changed::Model { before, now } => format!("it names itself `{now}`, before `{before}`"),
        Changed::Fingerprint { before, now } => {
            format!("its fingerprint is `{now}`, before `{before}`")
        }
        Changed::Answers { measure, mean_before, mean_now, p, cases } => format!(
            "its answers to the fixed cases are others: {measure} {mean_before:.3} before, \
             {mean_now:.3} now, over {cases} cases (p {p:.4})"
        ),
    };
    format!(
        "the model `{model}` of upstream `{upstream}`{at} changed without a release: {what}; no \
         candidate is judged by it until `tidegate sentinel accept`, or until it is as before"
    )
}

fn paused_by_lines(pause: &PauseSoFar) -> String {
    let PauseSoFar { lasted_s, limit_s, leads_to } = pause;
    match leads_to {
        PauseEnd::GoesBack => format!(
            "paused for {lasted_s} of {limit_s} s; then the release rolls back, unless the lines \
             recover or a person resumes it"
        ),
        PauseEnd::GoesBackIfWorse => format!(
            "paused for {lasted_s} of {limit_s} s; then the release rolls back if the proof that \
             a line is worse than stable is strong enough"
        ),
        PauseEnd::Stays => format!(
            "paused for {lasted_s} s, over the limit of {limit_s} s; it stays paused because the \
             proof that a line is worse than stable is too weak to roll back; resume it or roll it \
             back"
        ),
    }
}

fn uncertain(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    let more = match (c.more, shown.more_samples) {
        (Some(More::SettlesNothing), _) => "; more samples will not settle this, only a larger \
                                            difference or less noise"
            .to_owned(),
        (Some(more @ (More::RollsBack | More::Passes)), Some(samples)) => {
            let leads_to = if more == More::Passes { "let it pass" } else { "roll it back" };
            let after = shown.takes.as_ref().map_or(String::new(), takes);
            format!("; about {samples} more samples like these would {leads_to}{after}")
        }
        (Some(More::RollsBack | More::Passes) | None, _) => String::new(),
    };
    if c.unit == Unit::Ceiling {
        return format!(
            "{name} is not yet proven within {limit}, which the next rung needs: {values}; \
             {samples}{more}"
        );
    }
    if shown.odds.is_none() && shown.is_undefined {
        return format!(
            "{name}: stable is 0, so a relative limit is undefined ({values}; {samples}); set a \
             `ceiling`"
        );
    }
    if shown.odds.is_none() {
        return format!(
            "{name} has too few samples from the same periods to compare yet: {values}; {samples}"
        );
    }
    format!(
        "{name} is not yet decided against its limit of {limit}: {values}, {}{}; {samples}{more}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn takes(takes: &Takes) -> String {
    match takes {
        Takes::In(after) => format!(", in {after} at this traffic"),
        Takes::TooLong(after, larger) => {
            let larger = larger.as_ref().map_or(String::new(), |(weight, there)| {
                format!("; at {weight} it would take about {there}")
            });
            format!("; at this traffic that takes {after}, too long to wait for{larger}")
        }
    }
}

fn pass(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    if c.unit == Unit::Ceiling {
        return format!("{name} passes, within its ceiling of {limit}: {values}; {samples}");
    }
    let (difference, odds) = (difference(c, &shown), odds(&shown));
    let within = shown.within.as_ref();
    let within = within.map_or(String::new(), |within| {
        format!(", the value at most {within} with 99 % confidence")
    });
    let proven = shown.at_most.map_or(String::new(), |high| format!(", at most {high} proven"));
    format!(
        "{name} passes, within {limit}: {values}, {difference}{proven}{within}{odds}; {samples}"
    )
}

fn too_few(few: &TooFew) -> String {
    let TooFew { samples_candidate, needed_candidate, samples_stable, needed_stable, .. } = few;
    let stable = match needed_stable {
        0 => String::new(),
        needed => format!(", {samples_stable} stable ({needed} needed)"),
    };
    let more = few.more_s.map_or(String::new(), |s| {
        format!(", {} more at this traffic", duration(Lang::En, s as f64))
    });
    format!(
        "too little data at this rung: {samples_candidate} candidate answers ({needed_candidate} \
         needed){stable}{more}{}",
        unsplit(few.candidate_requests)
    )
}

/// What to check when the candidate never got a request.
fn unsplit(candidate_requests: u64) -> &'static str {
    match candidate_requests {
        0 => "; no request reached the candidate: only requests with a user or a key are split",
        _ => "",
    }
}
