//! Scenarios: a release as a text file, played through `decide`, twice, byte for byte.
//!
//! `rung <weight> <seconds>` and `min <n>` make the plan; `at mm:ss observe stable|candidate ok=…
//! bad=… p95_ms=… tokens=… likes=… dislikes=…` feeds outcomes; `at mm:ss
//! red|gap|drift|accept|order <kind>` says other things; `at mm:ss tick` decides and prints a line;
//! `expect <text>` must be in that line.
//! The printed lines are compared with the `.out` file beside the scenario; to accept new ones, run
//! with `TIDEGATE_ACCEPT=1`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what it cannot read or check stops it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tidegate_core::decide::{
    Action, Changed, Gap, LineRule, ModelDrift, Observation, Order, OrderKind, Plan, ReleaseState,
    Rung, SharedFault, decide,
};
use tidegate_core::guard::{RiskEvent, RiskKind};
use tidegate_core::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use tidegate_core::observe::{Feedback, Outcome, Timing, Window};
use tidegate_core::route::{Audience, Weight};
use tidegate_core::say::Lang;
use tidegate_core::upstream::Failure;

#[test]
fn every_scenario_ends_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut played = 0;
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "txt")) {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let output = play(&name, &text);
        assert_eq!(output, play(&name, &text), "{name} plays differently the second time");
        let golden = path.with_extension("out");
        if std::env::var_os("TIDEGATE_ACCEPT").is_some() {
            std::fs::write(&golden, &output).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(output, expected, "{name} does not print what {} says", golden.display());
        played += 1;
    }
    assert!(played >= 8, "only {played} scenarios were found");
}

fn play(name: &str, text: &str) -> String {
    let mut plan = plan();
    let mut state = ReleaseState::start(UnixMs(0));
    let mut seen = Observation::default();
    let mut output = String::new();
    let mut last = String::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["rung", weight, seconds] => {
                let weight = Weight::from_pct(weight.parse().expect(&place)).expect(&place);
                let look_ms = seconds.parse::<u64>().expect(&place) * 1000;
                plan.rungs.push(Rung { weight, look_ms });
            }
            ["min", n] => plan.min_samples = n.parse().expect(&place),
            ["at", time, "observe", arm, values @ ..] => {
                let window = match *arm {
                    "stable" => &mut seen.stable,
                    "candidate" => &mut seen.candidate,
                    other => panic!("{place}: no arm `{other}`"),
                };
                feed(window, values, moment(time, &place), &place);
            }
            ["at", _, "gap"] => seen.gap = Some(Gap::NoMetrics),
            ["at", _, "drift"] => seen.drift = Some(Box::new(drift())),
            ["at", _, "accept"] => seen.drift = None,
            ["at", _, "red"] => {
                let detail = "planted text 1 of 1".to_owned();
                seen.red_events = vec![RiskEvent { kind: RiskKind::Leak, detail }];
            }
            ["at", _, "order", kind] => {
                let kind = match *kind {
                    "pause" => OrderKind::Pause,
                    "resume" => OrderKind::Resume,
                    "promote" => OrderKind::Promote,
                    "promote_fully" => OrderKind::PromoteFully,
                    "roll_back" => OrderKind::RollBack,
                    other => panic!("{place}: no order `{other}`"),
                };
                let (by, reason) = ("mei".to_owned(), "scenario".to_owned());
                seen.order = Some(Order { kind, by, reason });
            }
            ["at", time, "tick"] => {
                plan.check().expect(&place);
                let decision = decide(&plan, &state, &seen, moment(time, &place));
                seen = Observation { order: None, gap: None, red_events: vec![], ..seen };
                state = decision.state;
                let actions: Vec<String> = decision.actions.iter().map(action).collect();
                last = format!(
                    "{time} {} {} {} [{}] {}",
                    decision.signal.as_str(),
                    decision.kind.as_str(),
                    state.phase.as_str(),
                    actions.join(", "),
                    Lang::En.sentence(&decision.reasons[0])
                );
                writeln!(output, "{last}").unwrap();
            }
            ["expect", ..] => {
                let wanted = line.trim().trim_start_matches("expect").trim();
                assert!(last.contains(wanted), "{place}: `{wanted}` is not in `{last}`");
            }
            other => panic!("{place}: cannot read {other:?}"),
        }
    }
    output
}

fn drift() -> ModelDrift {
    let text = |text: &str| text.to_owned();
    let changed = Changed::Model { before: text("m-1"), now: text("m-2") };
    let (upstream, endpoint) = (text("main"), text("https://models.example/v1"));
    ModelDrift { upstream, endpoint, model: text("m-1"), changed }
}

fn action(action: &Action) -> String {
    match action {
        Action::SetWeight { weight } => format!("weight {weight}"),
        Action::Promote => "promote".to_owned(),
        Action::End => "end".to_owned(),
        Action::RollBack => "roll back".to_owned(),
        Action::CloseEntrance { .. } => "close entrance".to_owned(),
        Action::OpenIncident { signal, .. } => format!("open {} incident", signal.as_str()),
    }
}

fn moment(time: &str, place: &str) -> UnixMs {
    let (minutes, seconds) = time.split_once(':').expect(place);
    let minutes: u64 = minutes.parse().expect(place);
    UnixMs((minutes * 60 + seconds.parse::<u64>().expect(place)) * 1000)
}

fn feed(window: &mut Window, values: &[&str], at: UnixMs, place: &str) {
    let values: BTreeMap<&str, u64> = values
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').expect(place);
            (key, value.parse().expect(place))
        })
        .collect();
    let known = ["ok", "bad", "down", "broken", "pii", "p95_ms", "tokens", "likes", "dislikes"];
    assert!(values.keys().all(|key| known.contains(key)), "{place}: keys are {known:?}");
    let value = |key: &str, default| values.get(key).copied().unwrap_or(default);
    let (p95_ms, tokens) = (value("p95_ms", 900), value("tokens", 200));
    for i in 0..value("ok", 0) {
        // Latencies run evenly from 54 to 103 % of p95; one in twenty lies above it.
        let part = 54 + (i * 37) % 50;
        let timing = Timing { total_us: p95_ms * 10 * part, ..Timing::default() };
        let tokens_out = tokens * (50 + (i * 13) % 101) / 100;
        let contract_ok = Some(i >= value("broken", 0));
        let pii = i < value("pii", 0);
        let outcome = Outcome { timing, tokens_out, contract_ok, pii, ..Outcome::default() };
        window.add(&outcome, at);
    }
    for (count, failure) in
        [(value("bad", 0), Failure::Malformed), (value("down", 0), Failure::Unreachable)]
    {
        for _ in 0..count {
            window.add(&Outcome { failure: Some(failure), ..Outcome::default() }, at);
        }
    }
    (0..value("likes", 0)).for_each(|_| window.add_feedback(Feedback::Like(true), None, at));
    (0..value("dislikes", 0)).for_each(|_| window.add_feedback(Feedback::Like(false), None, at));
}

fn plan() -> Plan {
    Plan {
        change_id: ChangeId::parse("prompt-v3-a1b2c").unwrap(),
        service: ServiceName::parse("desk").unwrap(),
        from: VersionSetId::parse("vs-000000000000").unwrap(),
        to: VersionSetId::parse("vs-111111111111").unwrap(),
        salt: "salt".to_owned(),
        audience: Audience::Users,
        rungs: vec![],
        rules: LineRule::defaults(),
        alpha: 0.01,
        bad_budget: 20,
        hold_back: Weight::ZERO,
        min_samples: 50,
        stale_after_ms: 120_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: SharedFault::default(),
        same_upstream: true,
        close_entrance: true,
        baseline: None,
        ab: None,
        created_at: UnixMs(0),
    }
}
