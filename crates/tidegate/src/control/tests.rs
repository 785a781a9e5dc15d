mod orders;

use super::*;
use crate::cli::init::init;
use crate::gate::{Asking, eval_project};
use crate::store::{Access, StoreOptions};
use std::path::Path;
use tidegate_core::decide::{Order, OrderKind, Phase};
use tidegate_core::guard::{RiskKind, Sighting};
use tidegate_core::ids::{ChangeId, TraceId, UnixMs};
use tidegate_core::observe::{Outcome, Timing};
use tidegate_core::route::{Arm, Entrance};
use tidegate_core::upstream::Failure;

/// A project of `tidegate init` with a control that has a data plane, on the demo's clock.
struct Scene {
    _folder: tempfile::TempDir,
    root: PathBuf,
    control: Control,
    plane: Plane,
}

fn clock() -> Clock {
    Clock::demo(UnixMs(1_767_603_600_000), 1_000)
}

async fn control_on(root: &Path, store: Store, clock: Clock) -> (Control, Plane) {
    let mut control = Control::open(root.join("tidegate.yaml"), store, clock).unwrap();
    control.adopt("test", None).await.unwrap();
    let plane = control.attach(Arc::new(Collector::default()), BTreeMap::new()).unwrap();
    (control, plane)
}

impl Scene {
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("desk");
        init(&root, false).unwrap();
        let store = Store::open(&root, Access::Exclusive).unwrap();
        let (control, plane) = control_on(&root, store, clock()).await;
        Scene { _folder: folder, root, control, plane }
    }

    /// Ends this control as a crash would and opens another on the same state.
    async fn reopened(self, pages_max: Option<u32>) -> Scene {
        let Scene { _folder, root, control, plane } = self;
        let clock = control.clock.clone();
        drop((control, plane));
        let options = StoreOptions { pages_max, ..StoreOptions::default() };
        let store = Store::open_with(&root, Access::Exclusive, options).unwrap();
        let (control, plane) = control_on(&root, store, clock).await;
        Scene { _folder, root, control, plane }
    }

    /// The same state with room on its disk.
    async fn with_room(self) -> Scene {
        self.reopened(None).await
    }

    fn overrides() -> PackOverrides {
        PackOverrides { prompt: Some("v2".to_owned()), ..Default::default() }
    }

    async fn eval(&mut self) {
        let loaded = load(&self.root.join("tidegate.yaml")).unwrap();
        let store = self.control.store.clone();
        let report =
            eval_project(&loaded, &Scene::overrides(), &Asking::default(), &store, &clock())
                .await
                .unwrap();
        assert!(report.passed, "{:?}", report.reasons);
        self.control.handle(Command::RecordEval(Box::new(report))).await.unwrap();
    }

    async fn start(&mut self) -> Result<ChangeId> {
        let request = StartRequest {
            overrides: Scene::overrides(),
            by: "mei".to_owned(),
            ..Default::default()
        };
        let answer = self.control.handle(Command::Start(Box::new(request))).await?;
        Ok(answer.change_id.unwrap())
    }

    fn feed(&self, change: &ChangeId, arm: Arm, count: u64, failure: Option<Failure>) {
        for i in 0..count {
            let timing = Timing { total_us: 700_000 + (i % 40) * 4_000, ..Timing::default() };
            let outcome = Outcome {
                failure,
                timing,
                tokens_out: 90 + i % 20,
                contract_ok: failure.is_none().then_some(true),
                ..Outcome::default()
            };
            self.plane.collector.add(arm, Some(change), &outcome, self.control.clock.now());
        }
    }

    fn is_replay(&self) -> bool {
        replay(&self.control.store).unwrap() == *self.control.state
    }
}

#[tokio::test]
async fn a_release_needs_its_eval_then_climbs_and_replays_to_the_same_state() {
    let mut scene = Scene::new().await;
    let refused = scene.start().await.unwrap_err();
    assert!(refused.to_string().contains("has no eval run"), "{refused}");
    scene.eval().await;
    let change = scene.start().await.unwrap();
    assert!(scene.start().await.unwrap_err().to_string().contains("still running"));
    for _ in 0..40 {
        scene.feed(&change, Arm::Stable, 900, None);
        scene.feed(&change, Arm::Candidate, 300, None);
        scene.control.clock.advance(60_000);
        scene.control.tick().await.unwrap();
    }
    let release = &scene.control.state.releases[&change];
    assert_eq!(release.state.phase, Phase::Promoted);
    assert!(release.pack.is_some());
    assert!(scene.is_replay());
    let (from, to) = (release.plan.from.clone(), release.plan.to.clone());
    let table = scene.plane.router.load().table.clone();
    assert_eq!((table.stable, table.split), (to.clone(), None));
    // What was promoted is taken back too, by its name: a command typed twice must not do it.
    let back = || {
        let (kind, by, reason) = (OrderKind::RollBack, "mei".to_owned(), "complaints".to_owned());
        Command::Order { order: Order { kind, by, reason }, release: None, anyway: false }
    };
    let named = |release: &ChangeId| match back() {
        Command::Order { order, release: None, anyway } => {
            Command::Order { order, release: Some(release.clone()), anyway }
        }
        other => other,
    };
    scene.control.clock.advance(1_000);
    let asked = crate::error::CliError::from(scene.control.handle(back()).await.unwrap_err());
    assert!(asked.hints[0].contains(&format!("tidegate rollback {change}")), "{asked:?}");
    assert_eq!(scene.plane.router.load().table.stable, to);
    scene.control.handle(named(&change)).await.unwrap();
    assert_eq!(scene.plane.router.load().table.stable, from);
    assert!(scene.control.state.blocked.contains_key(&to) && scene.is_replay());
    assert!(scene.control.handle(named(&change)).await.is_err());
}

#[tokio::test]
async fn after_a_crash_a_release_goes_on_with_its_numbers() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    scene.feed(&change, Arm::Stable, 900, None);
    scene.feed(&change, Arm::Candidate, 60, None);
    scene.control.clock.advance(10_000);
    scene.control.tick().await.unwrap();
    let before = scene.control.state.clone();
    let mut scene = scene.reopened(None).await;
    assert_eq!(scene.control.state, before);
    assert!(scene.plane.router.load().candidate.is_some());
    scene.feed(&change, Arm::Candidate, 40, None);
    scene.control.clock.advance(10_000);
    scene.control.tick().await.unwrap();
    let state = &scene.control.state.releases[&change].state;
    assert_eq!((state.candidate().requests, state.stable().requests), (100, 900));
}

#[tokio::test]
async fn a_red_line_event_shuts_the_entrance_and_an_operator_opens_it() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    scene.plane.collector.red_event(leak(&change));
    scene.control.tick().await.unwrap();
    let closed =
        |scene: &Scene| matches!(scene.plane.router.load().table.entrance, Entrance::Closed { .. });
    assert!(closed(&scene) && scene.plane.router.load().candidate.is_none());
    let (by, reason) = ("mei".to_owned(), "looked at it".to_owned());
    scene.control.handle(Command::Reopen { by, reason }).await.unwrap();
    assert!(!closed(&scene) && scene.is_replay());
}

/// A defect in control must not leave a candidate that nobody steers.
#[tokio::test]
async fn a_control_that_breaks_off_takes_the_candidate_out() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    scene.start().await.unwrap();
    let ahead = Arc::clone(&scene.control.ahead);
    let owner = tokio::spawn(async { panic!("a defect") });
    run::watch_over(owner, Arc::clone(&ahead), scene.control.clock.clone()).await;
    let table = scene.plane.router.load();
    assert!(table.candidate.is_none() && table.table.split.is_none());
    let why = ahead.not_written().unwrap();
    assert!(why.contains("control broke off") && why.contains("a defect"), "{why}");
}

/// Invariant 10: a journal that cannot be written neither keeps a bad candidate in nor stops
/// stable traffic.
#[tokio::test]
async fn inv10_a_full_store_does_not_keep_a_bad_candidate_in() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    // A first look, that the second is compared with.
    scene.feed(&change, Arm::Stable, 100, None);
    scene.feed(&change, Arm::Candidate, 5, None);
    scene.control.clock.advance(1_000);
    scene.control.tick().await.unwrap();
    let mut scene = scene.reopened(Some(1)).await;
    scene.feed(&change, Arm::Stable, 900, None);
    scene.feed(&change, Arm::Candidate, 200, Some(Failure::Malformed));
    scene.control.clock.advance(10_000);
    scene.control.tick().await.unwrap();
    let table = scene.plane.router.load();
    assert!(table.candidate.is_none() && table.table.split.is_none());
    assert_eq!(table.table.entrance, Entrance::Open);
    // What could not be journalled is not in the journal's state, and is in force all the same.
    assert_eq!(scene.control.state.active.as_ref(), Some(&change));
    let effective = scene.control.ahead.effective();
    assert_eq!(effective.releases[&change].state.phase, Phase::RolledBack);
    assert!(scene.control.ahead.not_written().unwrap().contains("no room"));
    // An operator's rollback says so, and is no failure; looks that follow change nothing.
    let said = scene.control.handle(roll_back()).await.unwrap().text;
    assert!(said.contains("everyone is on") && said.contains("not yet written to disk"), "{said}");
    scene.control.tick().await.unwrap();
    // Once there is room it is written as it was decided, with its reason once.
    let decided = effective.releases[&change].last_decision.clone().unwrap();
    let mut scene = scene.with_room().await;
    scene.control.ahead.take_back(
        &scene.control.state.releases[&change].plan.clone(),
        &decided,
        None,
    );
    scene.control.tick().await.unwrap();
    assert_eq!(scene.control.state.releases[&change].last_decision.as_ref(), Some(&decided));
    assert!(scene.control.ahead.not_written().is_none() && scene.is_replay());
}

/// A planted text in an answer that was on its way when the candidate was rolled back in memory
/// shuts the entrance, though the journal has neither.
#[tokio::test]
async fn inv10_a_late_red_line_shuts_the_entrance_of_a_full_store() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let mut scene = scene.reopened(Some(1)).await;
    scene.control.handle(roll_back()).await.unwrap();
    let entrance = |scene: &Scene| scene.plane.router.load().table.entrance.clone();
    assert!(scene.plane.router.load().candidate.is_none());
    assert_eq!(entrance(&scene), Entrance::Open);
    scene.plane.collector.red_event(leak(&change));
    scene.control.tick().await.unwrap();
    assert!(matches!(entrance(&scene), Entrance::Closed { .. }), "{:?}", entrance(&scene));
    let effective = scene.control.ahead.effective();
    assert_eq!(effective.releases[&change].state.phase, Phase::ShutOff);
    let reasons = &effective.releases[&change].last_decision.as_ref().unwrap().reasons;
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().as_str()).collect();
    assert_eq!(codes[..2], ["red_line", "order"], "both are reported");
}

/// The same while the rollback is being written: what is journalled then is the rollback, and the
/// entrance stays shut.
#[tokio::test]
async fn inv10_a_red_line_during_the_write_of_a_rollback_shuts_the_entrance() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let (ahead, plane) = (scene.control.ahead.clone(), scene.plane.clone());
    let (now, order) = (scene.control.clock.now(), roll_back());
    let Command::Order { order, release, anyway: _ } = order else { unreachable!() };
    ahead.order(&order, release, now).unwrap();
    // The first is polled first, until it waits for the store.
    let (ticked, ()) = tokio::join!(scene.control.tick(), async {
        plane.collector.red_event(leak(&change));
        ahead.look(now);
        assert!(matches!(plane.router.load().table.entrance, Entrance::Closed { .. }));
    });
    ticked.unwrap();
    let entrance = |scene: &Scene| scene.plane.router.load().table.entrance.clone();
    assert!(matches!(entrance(&scene), Entrance::Closed { .. }), "{:?}", entrance(&scene));
    assert_eq!(scene.control.ahead.effective().releases[&change].state.phase, Phase::ShutOff);
    scene.control.tick().await.unwrap();
    assert!(scene.control.ahead.not_written().is_none() && scene.is_replay());
    assert!(matches!(entrance(&scene), Entrance::Closed { .. }), "{:?}", entrance(&scene));
    let state = scene.control.state.clone();
    assert_eq!(state.releases[&change].state.phase, Phase::ShutOff);
    assert_eq!(state.table.as_ref(), Some(&scene.plane.router.load().table));
    assert_eq!(state.incident_of(&change).unwrap().signal, tidegate_core::decide::Signal::Black);
}

/// Somebody else appended to the journal: control goes on from there.
#[tokio::test]
async fn a_journal_that_moved_on_is_replayed() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let store = scene.control.store.clone();
    let (after, epoch) = (scene.control.state.seq, store.epoch());
    let now = scene.control.clock.now();
    let set = scene.control.state.table.as_ref().unwrap().stable.clone();
    let (run_id, note) = ("eval-1".to_owned(), "by hand".to_owned());
    let behind = vec![Event::ServiceReleased { set, run_id, note }];
    store.append(after, epoch, now, behind).await.unwrap();
    // What was decided before is refused, and the next look decides again.
    scene.feed(&change, Arm::Stable, 100, None);
    scene.feed(&change, Arm::Candidate, 5, None);
    scene.control.clock.advance(10_000);
    let refused = scene.control.tick().await.unwrap_err();
    assert!(refused.to_string().contains("the journal ends with entry"), "{refused}");
    scene.control.clock.advance(1_000);
    scene.control.tick().await.unwrap();
    assert!(scene.is_replay() && scene.control.ahead.journal_problem().is_none());
    scene.feed(&change, Arm::Stable, 900, None);
    scene.feed(&change, Arm::Candidate, 200, Some(Failure::Malformed));
    scene.control.clock.advance(10_000);
    scene.control.tick().await.unwrap();
    assert_eq!(scene.control.state.releases[&change].state.phase, Phase::RolledBack);
    assert!(scene.is_replay() && scene.control.ahead.not_written().is_none());
    assert!(scene.plane.router.load().candidate.is_none());
}

/// A rollback was written though the answer to it was an error.
#[tokio::test]
async fn a_rollback_that_is_in_the_journal_already_is_not_owed_any_more() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let Command::Order { order, release, anyway: _ } = roll_back() else { unreachable!() };
    let now = scene.control.clock.now();
    scene.control.ahead.order(&order, release, now).unwrap();
    let owed = scene.control.ahead.owed().unwrap();
    let (state, store) = (scene.control.state.clone(), scene.control.store.clone());
    let plan = state.releases[&change].plan.clone();
    let table =
        tidegate_core::act::next_table(state.table.as_ref().unwrap(), &plan, &owed.decision);
    let decision = Box::new(owed.decision);
    let (change_id, order) = (change.clone(), owed.order);
    let written = vec![Event::Decided { change_id, decision, order, table }];
    store.append(state.seq, store.epoch(), now, written).await.unwrap();
    for _ in 0..2 {
        let _ = scene.control.tick().await;
    }
    assert!(scene.control.ahead.not_written().is_none() && scene.is_replay());
    assert_eq!(scene.control.state.releases[&change].state.phase, Phase::RolledBack);
    assert_eq!(
        Some(&scene.plane.router.load().table),
        scene.control.state.table.as_ref(),
        "the journalled table is in place"
    );
    // Another release can start.
    let request = StartRequest {
        overrides: Scene::overrides(),
        by: "mei".to_owned(),
        override_reason: Some("again".to_owned()),
        ..Default::default()
    };
    scene.control.clock.advance(1_000);
    scene.control.handle(Command::Start(Box::new(request))).await.unwrap();
    // What follows a release is done at once, and not at the next start.
    assert!(scene.control.state.releases[&change].pack.is_some());
}

/// A planted text in an answer of the candidate.
fn leak(change: &ChangeId) -> Sighting {
    Sighting {
        event: RiskEvent { kind: RiskKind::Leak, detail: "planted text 1 of 1".to_owned() },
        at: UnixMs(1),
        arm: Arm::Candidate,
        change_id: Some(change.clone()),
        trace_id: TraceId::parse("t-1").unwrap(),
        caller: None,
        blocked: true,
        banned_s: 0,
    }
}

fn roll_back() -> Command {
    let (kind, by, reason) = (OrderKind::RollBack, "mei".to_owned(), "complaints".to_owned());
    Command::Order { order: Order { kind, by, reason }, release: None, anyway: false }
}

/// Invariant 10: what was taken out in memory stays out, whatever is journalled late.
#[tokio::test]
async fn inv10_a_table_journalled_late_does_not_bring_the_candidate_back() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let plan = scene.control.state.releases[&change].plan.clone();
    let mut late = scene.control.state.table.clone().unwrap();
    late.generation = late.generation.next();
    let late = scene.control.live_table(&late).unwrap();
    assert!(late.candidate.is_some());
    scene.plane.router.retreat(&plan.to, None, None);
    scene.plane.router.swap(late).map_err(|e| e.to_string()).unwrap();
    let table = scene.plane.router.load();
    assert!(table.candidate.is_none() && table.table.split.is_none());
    assert_eq!(table.table.stable, plan.from);
}

/// Invariants 5 and 10: while control waits for a disk that does not answer, the candidate goes
/// back on what was counted, and an operator's orders are carried out.
#[tokio::test]
async fn inv5_inv10_the_way_back_does_not_wait_for_control() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    scene.feed(&change, Arm::Stable, 100, None);
    scene.feed(&change, Arm::Candidate, 5, None);
    scene.control.clock.advance(1_000);
    scene.control.tick().await.unwrap();
    let ahead = scene.control.ahead.clone();
    let now = scene.control.clock.now();
    let order = |kind| Order { kind, by: "mei".to_owned(), reason: "look".to_owned() };
    let paused = ahead.order(&order(OrderKind::Pause), None, now).unwrap();
    assert!(paused.text.contains("paused by an operator"), "{}", paused.text);
    assert!(paused.text.contains("not yet written to disk"), "{}", paused.text);
    assert!(scene.plane.router.load().candidate.is_some());
    // Paused is not blind.
    scene.feed(&change, Arm::Stable, 900, None);
    scene.feed(&change, Arm::Candidate, 200, Some(Failure::Malformed));
    scene.control.clock.advance(10_000);
    ahead.look(scene.control.clock.now());
    assert!(scene.plane.router.load().candidate.is_none());
    let back = ahead.order(&order(OrderKind::RollBack), None, now).unwrap();
    assert!(back.text.contains("is rolled back"), "{}", back.text);
    // The loop has its disk again: the journal gets what is in force.
    scene.control.tick().await.unwrap();
    assert_eq!(scene.control.state.releases[&change].state.phase, Phase::RolledBack);
    assert!(scene.is_replay() && ahead.not_written().is_none());
}

/// A red line that a crash came between is acted on by the first look after it.
#[tokio::test]
async fn a_red_line_seen_just_before_a_crash_still_shuts_off() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let plan = scene.control.state.releases[&change].plan.clone();
    let record: tidegate_core::evidence::Record = serde_json::from_value(serde_json::json!({
        "trace_id": "t-1", "request_id": "r-1", "at": scene.control.clock.now(), "arm": "candidate",
        "version_set": plan.to, "change_id": change, "status": 502, "streamed": false,
        "keys": { "code": "dev", "prompt": "v2", "model": "sim-1", "index": "v1" },
        "tokens_in": 1, "tokens_out": 1, "tokens_estimated": false, "cost_micro_usd": 0,
        "timing": Timing::default(), "tool_calls": [], "refused": false, "pii": false,
        "risk": [{ "kind": "leak", "detail": "planted text 1 of 1" }],
        "prompt_length": 1, "response_length": 1
    }))
    .unwrap();
    // A long release has many failing records before it.
    for n in 0..2_100 {
        let before = tidegate_core::evidence::Record {
            at: UnixMs(record.at.0 - 1),
            trace_id: TraceId::parse(&format!("before-{n}")).unwrap(),
            failure: Some(Failure::ServerError),
            risk: Vec::new(),
            ..record.clone()
        };
        assert!(scene.control.store.record(crate::store::Ticket::default(), before));
    }
    scene.control.store.flush().await.unwrap();
    assert!(scene.control.store.record(crate::store::Ticket::default(), record));
    scene.control.store.flush().await.unwrap();
    let mut scene = scene.reopened(None).await;
    scene.control.tick().await.unwrap();
    assert_eq!(scene.control.state.releases[&change].state.phase, Phase::ShutOff);
}

/// A rollback that is carried out while its pack is still being written is answered as what it is,
/// not as "no release is running".
#[tokio::test]
async fn an_order_that_took_effect_before_its_answer_is_no_error() {
    let mut scene = Scene::new().await;
    scene.eval().await;
    let change = scene.start().await.unwrap();
    let before = scene.control.ahead.effective();
    let ahead = scene.control.ahead.clone();
    assert!(ahead.has_become(&before, &roll_back()).is_none(), "it is not carried out yet");
    scene.control.handle(roll_back()).await.unwrap();
    let now = scene.control.clock.now();
    let Command::Order { order, release, anyway: _ } = roll_back() else { unreachable!() };
    assert!(ahead.order(&order, release, now).is_err(), "asked again, there is nothing to do");
    let answer = ahead.has_become(&before, &roll_back()).unwrap();
    assert_eq!(answer.change_id, Some(change));
    assert!(
        answer.text.contains("is rolled back") && !answer.text.contains("not yet"),
        "{answer:?}"
    );
}
