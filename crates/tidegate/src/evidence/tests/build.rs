//! A release made by hand: 30 decisions, climbing 5 → 25 %, then what the test wants.

use crate::evidence::data::{Exposure, GateOutput, PackData};
use crate::version_set::PackedSet;
use std::collections::BTreeMap;
use tidegate_core::decide::{
    Action, Cause, Comparison, Decision, DecisionKind, Line, Metric, Numbers, Phase, Plan, Preset,
    Reason, ReleaseState, Signal, Unit,
};
use tidegate_core::evidence::{EnvInfo, GateLevel, GateStatus, Record};
use tidegate_core::gate::{
    Case, CaseResult, Checks, EvalReport, GateVerdict, Risk, Severity, Tally, WrittenGate,
    WrittenRecord,
};
use tidegate_core::ids::{ChangeId, Digest, IncidentId, ServiceName, TraceId, UnixMs};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::{Entry, Event, Release};
use tidegate_core::observe::{Feedback, Outcome as Seen, Timing, Window};
use tidegate_core::route::{Arm, Audience, Entrance, Split, Table, Weight};
use tidegate_core::version_set::{Artifact, ArtifactKind, NamedSet, VersionSet};

/// Decisions of the release.
pub(super) const DECISIONS: usize = 30;
/// 2026-11-21T00:00:00Z.
const START: UnixMs = UnixMs(1_795_219_200_000);
const MINUTE: u64 = 60_000;

/// How the release ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    RolledBack,
    Promoted,
    Open,
}

fn change_id() -> ChangeId {
    ChangeId::parse("prompt-v3-a1b2c").unwrap()
}

fn packed(version: &str, system: &str) -> PackedSet {
    let mut blobs = BTreeMap::new();
    let artifacts = ArtifactKind::REQUIRED
        .into_iter()
        .map(|kind| {
            let files: BTreeMap<String, Vec<u8>> = if kind == ArtifactKind::Prompt {
                let config = "version: \"3\"\ntemperature: 0.2\n".as_bytes().to_vec();
                let system = system.as_bytes().to_vec();
                BTreeMap::from([("system.md".into(), system), ("config.yaml".into(), config)])
            } else {
                BTreeMap::from([("a.txt".into(), b"same".to_vec())])
            };
            blobs.extend(files.values().map(|bytes| (Digest::of(bytes), bytes.clone())));
            (kind, Artifact::from_files(version, &files))
        })
        .collect();
    let label = format!("prompt {version} · qwen-max");
    PackedSet { set: VersionSet::new(artifacts).unwrap(), label, blobs }
}

fn plan(from: &PackedSet, to: &PackedSet) -> Plan {
    Plan {
        change_id: change_id(),
        service: ServiceName::parse("support-desk").unwrap(),
        from: from.set.id.clone(),
        to: to.set.id.clone(),
        salt: "s-2026-11-21".to_owned(),
        audience: Audience::Users,
        rungs: Preset::Ladder.rungs(),
        rules: tidegate_core::decide::LineRule::defaults(),
        alpha: 0.05,
        bad_budget: 20,
        hold_back: Weight::ZERO,
        min_samples: 100,
        stale_after_ms: 300_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: Default::default(),
        same_upstream: true,
        close_entrance: false,
        baseline: None,
        ab: None,
        created_at: START,
    }
}

/// Adds one minute of traffic; `bad` is how many of a hundred break the contract.
fn minute(window: &mut Window, requests: u64, bad: u64, base_ms: u64, tokens: u64, at: UnixMs) {
    for i in 0..requests {
        let outcome = Seen {
            timing: Timing { total_us: (base_ms + (i * 37) % 400) * 1000, ..Timing::default() },
            tokens_in: tokens,
            tokens_out: tokens / 2 + i % 7,
            cost_micro_usd: tokens * 2,
            contract_ok: Some(i * 100 / requests.max(1) >= bad),
            ..Seen::default()
        };
        window.add(&outcome, at);
        if i % 10 == 0 {
            window.add_feedback(Feedback::Like(i % 40 != 0), None, at);
        }
    }
}

fn compared(metric: Metric, (candidate, stable): (f64, f64), estimate: f64) -> Box<Comparison> {
    let numbers = Numbers {
        candidate: Some(candidate),
        stable: Some(stable),
        estimate: Some(estimate),
        threshold: Some(0.05),
        samples_candidate: Some(980),
        samples_stable: Some(4_900),
        ..Numbers::default()
    };
    let unit = if metric.is_rate() { Unit::Points } else { Unit::Relative };
    Box::new(Comparison::new(metric, unit, numbers))
}

fn passes() -> Vec<Reason> {
    [
        (Metric::ContractBrokenRate, (0.02, 0.021), -0.001),
        (Metric::LatencyP95, (1_180.0, 1_150.0), 0.026),
        (Metric::TokensPerRequest, (630.0, 600.0), 0.05),
        (Metric::PiiRate, (0.0, 0.0), 0.0),
    ]
    .map(|(metric, values, estimate)| Reason::Pass(compared(metric, values, estimate)))
    .into()
}

/// The table with the candidate at this share; none at all when it went or came through.
fn table(plan: &Plan, generation: u64, weight: Option<Weight>, kind: DecisionKind) -> Table {
    let mut table = Table::first(plan.from.clone());
    table.generation = tidegate_core::ids::Generation(generation);
    match weight {
        Some(weight) if kind == DecisionKind::Advance && weight < Weight::FULL => {
            table.split = Some(Split {
                change_id: plan.change_id.clone(),
                candidate: plan.to.clone(),
                weight,
                salt: plan.salt.clone(),
                audience: plan.audience.clone(),
            });
        }
        Some(weight) if weight == Weight::FULL => table.stable = plan.to.clone(),
        Some(_) | None => {}
    }
    table
}

/// What is decided at step `i`: kind, signal, reasons, actions and the rung after it.
fn decided(i: usize, outcome: Outcome, state: &mut ReleaseState, at: UnixMs) -> Decision {
    let last = i == DECISIONS - 1;
    let mut decision = Decision {
        at,
        kind: DecisionKind::Hold,
        signal: Signal::Green,
        reasons: vec![Reason::Looking { looked_s: 60 * (i as u64 % 6), look_s: 300 }],
        actions: vec![],
        state: state.clone(),
    };
    decision.reasons.extend(passes());
    if i > 0 && i < 18 && i.is_multiple_of(6) {
        state.rung += 1;
        state.rung_since = at;
        let weight = Preset::Ladder.rungs()[state.rung].weight;
        decision.kind = DecisionKind::Advance;
        decision.reasons = passes();
        decision.actions = vec![Action::SetWeight { weight }];
    } else if last && outcome == Outcome::Promoted {
        state.phase = Phase::Promoted;
        decision.kind = DecisionKind::Advance;
        decision.reasons = passes();
        decision.actions = vec![Action::Promote];
    } else if outcome == Outcome::RolledBack && i >= 25 {
        let broken = Metric::ContractBrokenRate;
        let mut over = Reason::OverPause(compared(broken, (0.098, 0.02), 0.078));
        decision.kind = DecisionKind::Pause;
        decision.signal = Signal::Yellow;
        state.phase = Phase::Paused(tidegate_core::decide::PausedBy::Lines);
        if last {
            let mut worse = compared(broken, (0.143, 0.02), 0.123);
            worse.numbers.low = Some(0.091);
            over = Reason::OverRollback(worse);
            decision.kind = DecisionKind::RollBack;
            decision.signal = Signal::Red;
            state.phase = Phase::RolledBack;
            decision.actions = vec![
                Action::RollBack,
                Action::OpenIncident { signal: Signal::Red, reason: over.clone().into() },
            ];
        }
        decision.reasons = vec![over];
    }
    decision.state = state.clone();
    decision
}

fn incident() -> Incident {
    let subject = Subject::Release { change_id: change_id() };
    let reason = Cause::Words("over the rollback threshold".to_owned());
    let at = START.plus(DECISIONS as u64 * MINUTE);
    let case_ids = vec!["reg-refund-0".to_owned()];
    Incident { case_ids, ..Incident::open(subject, Signal::Red, reason, at) }
}

fn started(plan: &Plan) -> Event {
    Event::ReleaseStarted {
        plan: Box::new(plan.clone()),
        table: table(plan, 2, Some(plan.rungs[0].weight), DecisionKind::Advance),
        by: "韩梅梅".to_owned(),
        override_reason: None,
        smoke: None,
        written: vec![WrittenRecord {
            gate: WrittenGate::Share,
            holds: true,
            why: "gate_1 holds: 韩梅梅看过 TLS".to_owned(),
        }],
    }
}

/// The journal under construction.
struct Journal {
    entries: Vec<Entry>,
    generation: u64,
}

impl Journal {
    fn add(&mut self, at: UnixMs, event: Event) {
        self.entries.push(Entry::following(self.entries.last(), at, &event).unwrap());
    }

    fn decide(&mut self, plan: &Plan, decision: Decision) {
        let at = decision.at;
        let weight = decision.actions.iter().find_map(|a| match a {
            Action::SetWeight { weight } => Some(*weight),
            Action::Promote => Some(Weight::FULL),
            Action::End | Action::RollBack => Some(Weight::ZERO),
            Action::CloseEntrance { .. } | Action::OpenIncident { .. } => None,
        });
        let table = weight.map(|_| {
            self.generation += 1;
            table(plan, self.generation, weight, decision.kind)
        });
        let generation = table.as_ref().map(|t| t.generation);
        let decision = Box::new(decision);
        let change_id = plan.change_id.clone();
        self.add(at, Event::Decided { change_id, decision, order: None, table });
        if let Some(generation) = generation {
            self.add(at.plus(1), Event::Applied { generation, took_us: 412 });
        }
    }
}

/// The release as the store would give it.
pub(super) fn release(outcome: Outcome) -> PackData {
    let from =
        packed("v2", "你是客服。\n回答用 JSON。\n键：category, urgency, needs_human, reply\n");
    let to = packed(
        "v3",
        "你是客服，语气要亲切。\n键：category, urgency, needs_human, reply\n先安慰客人。\n",
    );
    let plan = plan(&from, &to);
    let mut journal = Journal { entries: Vec::new(), generation: 2 };
    journal.add(START, started(&plan));
    let mut state = ReleaseState::start(START);
    let mut last_decision = None;
    for i in 0..DECISIONS {
        let at = START.plus((i as u64 + 1) * MINUTE);
        let bad = if outcome == Outcome::RolledBack && i > 20 { 30 } else { 2 };
        let slower = if outcome == Outcome::RolledBack { i as u64 * 4 } else { 0 };
        minute(&mut state.seen_stable, 160, 2, 800, 400, at);
        minute(&mut state.seen_candidate, 10 + 14 * state.rung as u64, bad, 820 + slower, 420, at);
        let decision = decided(i, outcome, &mut state, at);
        journal.decide(&plan, decision.clone());
        last_decision = Some(decision);
    }
    let ended_at = state.phase.is_final().then(|| START.plus(DECISIONS as u64 * MINUTE));
    let head = journal.entries.last().unwrap();
    PackData {
        change_id: change_id(),
        service: plan.service.clone(),
        incident: (outcome == Outcome::RolledBack).then(incident),
        shipped_from: Some(ChangeId::parse("prompt-v2-00000").unwrap()),
        journal_head: (head.seq, head.hash.clone()),
        entries: journal.entries,
        eval: Some(eval(&to)),
        from: Some(from),
        to: Some(to),
        junit: Some("<testsuite name=\"eval\" tests=\"5\"/>".to_owned()),
        gates: vec![GateOutput {
            name: "smoke".to_owned(),
            level: GateLevel::L1,
            status: GateStatus::Pass,
            text: "3 of 3 smoke requests answered\n".to_owned(),
        }],
        failing: (0..6).map(|i| record(&format!("refund-{i}"), true)).collect(),
        representative: (0..3).map(|i| record(&format!("fine-{i}"), false)).collect(),
        buckets: Vec::new(),
        exposure: Exposure { requests: 980, users: 311 },
        base_url: "http://127.0.0.1:8787".to_owned(),
        written_at: START.plus(40 * MINUTE),
        simulated_clock: false,
        env: env(),
        gaps: Vec::new(),
        release: Release {
            approvals: Vec::new(),
            plan,
            by: "韩梅梅".to_owned(),
            started_at: START,
            state,
            last_decision,
            ended_at,
            pack: None,
            sample_ids: Vec::new(),
            ordered_rungs: Vec::new(),
            taken_back: false,
        },
    }
}

fn env() -> EnvInfo {
    EnvInfo {
        os: "linux".to_owned(),
        runtime: "tidegate 0.1.0".to_owned(),
        hardware: "x86_64, 2 processors".to_owned(),
    }
}

/// One record of the candidate.
pub(in crate::evidence) fn record(trace: &str, failing: bool) -> Record {
    let to = packed("v3", "x");
    Record {
        trace_id: TraceId::parse(trace).unwrap(),
        request_id: format!("req-{trace}"),
        traceparent: None,
        at: START.plus(25 * MINUTE),
        tenant: Some("shop-a".to_owned()),
        user: Some(format!("u-{trace}")),
        key: None,
        arm: Arm::Candidate,
        set: NamedSet { id: to.set.id.clone(), keys: to.set.keys() },
        change_id: Some(change_id()),
        cohort: None,
        status: 200,
        failure: None,
        streamed: false,
        tokens_in: 420,
        tokens_out: 96,
        tokens_estimated: false,
        cost_micro_usd: 840,
        charge: None,
        timing: Timing { total_us: 1_184_000, ..Timing::default() },
        tool_calls: vec![],
        cached: false,
        retrieval: None,
        tool_results: Vec::new(),
        finish_reason: Some("stop".to_owned()),
        upstream_model: Some("qwen-max".to_owned()),
        upstream_said: None,
        fallback: None,
        contract_problem: failing.then(|| "the answer is not JSON: expected `{` at 1:1".to_owned()),
        repair: None,
        redacted: false,
        refused: false,
        pii: false,
        risk: vec![],
        signals: vec![],
        degraded: None,
        prompt_length: 24,
        response_length: 40,
        decoding: None,
        input: Some("我要退货，订单三天前到的，能全额退款吗？".to_owned()),
        output: Some(if failing {
            "亲，别着急～我们非常理解您的心情！退货是可以的哦。".to_owned()
        } else {
            "{\"category\":\"退货\",\"urgency\":\"low\",\"needs_human\":false,\"reply\":\"可以\"}"
                .to_owned()
        }),
    }
}

fn eval(to: &PackedSet) -> EvalReport {
    let case = |id: &str, risk, score: f64| CaseResult {
        case: Case {
            id: id.to_owned(),
            input: "可以退货吗".to_owned(),
            system: None,
            expected_behavior: String::new(),
            expected: None,
            risk,
            severity: Severity::Normal,
            checks: Checks::default(),
            source: "evals/eval_cases.csv:2".to_owned(),
            handling: tidegate_core::gate::Handling::default(),
        },
        actual: Some("可以".to_owned()),
        error: None,
        unanswered: None,
        score,
        checks: vec![tidegate_core::gate::CheckResult::new(
            "citation",
            score,
            if score < 1.0 { "没有引用来源" } else { "" },
        )],
        repeats: None,
        latency_ms: 900,
        tokens: None,
        cost_usd: None,
    };
    let results = vec![
        case("fmt-1", Risk::Format, 1.0),
        case("ground-1", Risk::Grounding, 0.5),
        case("safe-1", Risk::Safety, 1.0),
        case("perf-1", Risk::Performance, 1.0),
        case("reg-1", Risk::Regression, 1.0),
    ];
    EvalReport {
        model: "qwen-max".to_owned(),
        total: 5,
        correct: 4,
        accuracy: 0.8,
        passed: true,
        threshold: 0.8,
        run_id: "run-20261120-1".to_owned(),
        at: START,
        version_set: to.set.id.clone(),
        cases_digest: Digest::of(b"cases"),
        held_to: None,
        verdict: GateVerdict::Pass,
        reasons: vec!["accuracy 0.800 is at least 0.8".to_owned()],
        failure_table: results.iter().collect::<Tally>().failure_table(),
        metrics: Default::default(),
        slices: Vec::new(),
        judge: None,
        avg_tokens: None,
        cost_per_query: None,
        model_files: None,
        comparison: None,
        results: results.into(),
    }
}

/// A journal in which another release comes before ours and something follows, and which of its
/// entries are ours.
pub(super) fn journal_with_strangers() -> (Vec<Entry>, Vec<u64>) {
    let data = release(Outcome::RolledBack);
    let plan = &data.release.plan;
    let other = ChangeId::parse("model-x-99999").unwrap();
    let mut theirs = plan.clone();
    theirs.change_id = other.clone();
    let mut journal = Journal { entries: Vec::new(), generation: 1 };
    let label = "v3".to_owned();
    journal.add(START, Event::SetPacked { set: plan.to.clone(), label: label.clone() });
    let stranger = packed("v9", "other").set.id;
    journal.add(START, Event::SetPacked { set: stranger, label });
    let decision = |kind, action: Action| Decision {
        at: START,
        kind,
        signal: Signal::Green,
        reasons: vec![],
        actions: vec![action],
        state: ReleaseState::start(START),
    };
    let weight = Weight::from_pct(10.0).unwrap();
    journal.decide(&theirs, decision(DecisionKind::Advance, Action::SetWeight { weight }));
    journal.decide(plan, decision(DecisionKind::RollBack, Action::RollBack));
    let entrance = Table { entrance: Entrance::Open, ..Table::first(plan.from.clone()) };
    let table = Table { generation: tidegate_core::ids::Generation(4), ..entrance };
    let by = "李雷".to_owned();
    journal.add(START, Event::EntranceOpened { table, by, reason: "checked".to_owned() });
    journal.add(
        START,
        Event::CasesWritten { incident: IncidentId::of_release(&other), case_ids: vec![] },
    );
    (journal.entries, vec![1, 5, 6, 7])
}

/// Every line is named, so a chart of each exists.
#[test]
fn the_lines_are_four() {
    assert_eq!(Line::ALL.map(Line::as_str), ["quality", "latency", "cost", "risk"]);
}
