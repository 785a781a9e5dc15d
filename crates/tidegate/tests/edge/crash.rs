//! `kill -9` at random moments of a release under load (invariants 3, 7 and 10).
//!
//! After each kill the state file is read by this process, then the server is started again on what
//! the dead one left: its lock file, its address file, its write-ahead log. What must hold:
//! - every journal entry that was there when a command was acknowledged is there, byte for byte;
//! - every command that was acknowledged is in the journal;
//! - the server's state is what the journal replays to, and what an independent reader says;
//! - the weight in force is the journal's: a rung or 0, and users see the arms it gives.
//!
//! `TIDEGATE_CRASH_KILLS` and `TIDEGATE_CRASH_SEED` make it longer and another one.

use crate::audit::{AT_LEAST, AT_MOST, metric};
use crate::client;
use crate::dice::{Dice, setting};
use crate::journal;
use crate::project::{Project, Server, wait_for};
use crate::users::{Users, short};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidegate_core::ids::Digest;
use tidegate_core::journal::{ControlState, Entry, Event};
use tidegate_core::route::{Arm, Subject, Table, Weight};

/// The ladder's rungs, percent, the last less the default hold-back of 5 %; 0 is what a release
/// begins and ends with.
const RUNGS: [f64; 5] = [0.0, 10.0, 35.0, 70.0, 95.0];
/// Users whose arms are looked at after a restart.
const LOOKED_AT: usize = 40;
/// Latest moment of a kill after the orders began, ms: a release takes about this long.
const LATEST_MS: u64 = 900;

/// A command that succeeded, and the journal as it was then.
struct Acknowledged {
    what: Order,
    /// Its mark in the journal: the order's reason, or the release's change id.
    mark: String,
    journal: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Start,
    Pause,
    Resume,
    Promote,
}

impl Acknowledged {
    fn is_recorded_by(&self, event: &Event) -> bool {
        match (self.what, event) {
            (Order::Start, Event::ReleaseStarted { plan, .. }) => {
                plan.change_id.as_str() == self.mark
            }
            (_, Event::Decided { order: Some(order), .. }) => order.reason == self.mark,
            _ => false,
        }
    }
}

/// The project under test and the two version sets it is released to and fro between.
struct Stage {
    project: Project,
    sets: [String; 2],
}

impl Stage {
    fn build() -> Stage {
        let project = Project::fast();
        project.edit(
            "tidegate.yaml",
            "    - {weight_pct: 20, look_s: 0.3}\n    - {weight_pct: 50, look_s: 0.3}\n    - \
             {weight_pct: 100, look_s: 0.3}\n  tick_ms: 50\n",
            "    - {weight_pct: 10, look_s: 0.1}\n    - {weight_pct: 35, look_s: 0.1}\n    - \
             {weight_pct: 70, look_s: 0.1}\n    - {weight_pct: 100, look_s: 0.1}\n  tick_ms: 20\n",
        );
        let sets = ["v1", "v2"].map(|prompt| {
            let packed = project.run(&["version", "pack", "--prompt", prompt, "--json"]);
            project.run(&["eval", "--prompt", prompt]).exits(0);
            packed.exits(0).json()["version_set"].as_str().unwrap().to_owned()
        });
        Stage { project, sets }
    }

    fn root(&self) -> &Path {
        &self.project.root
    }
}

/// An operator who never rests: starts releases to and fro, pauses, resumes and promotes them, and
/// keeps what was acknowledged.
struct Operator {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Acknowledged>>>,
}

impl Operator {
    fn start(stage: &Arc<Stage>, round: u64, mut dice: Dice) -> Operator {
        let over = Arc::new(AtomicBool::new(false));
        let (ended, stage) = (Arc::clone(&over), Arc::clone(stage));
        let thread = std::thread::spawn(move || {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                acknowledged.extend(order(&stage, &mut dice, &format!("order {round}.{n}")));
            }
            acknowledged
        });
        Operator { over, thread: Some(thread) }
    }

    fn stop(mut self) -> Vec<Acknowledged> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The test has failed already; what the thread saw does not matter any more.
            let _ = thread.join();
        }
    }
}

/// Types one command; `Some` when it was acknowledged. Where the server is gone the command does
/// the work itself, and what it acknowledges counts as much.
fn order(stage: &Stage, dice: &mut Dice, mark: &str) -> Option<Acknowledged> {
    let status = stage.project.run(&["release", "status", "--json"]).exits(0).json();
    let phase = status["release"]["state"]["phase"].as_str().unwrap_or("none");
    let over = !["running", "paused"].contains(&phase);
    let next = usize::from(status["table"]["stable"] == stage.sets[0].as_str());
    let (what, name) = match dice.below(4) {
        _ if over => (Order::Start, "start"),
        0 => (Order::Promote, "promote"),
        1 => (Order::Pause, "pause"),
        _ => (Order::Resume, "resume"),
    };
    let mut args = vec!["release", name, "--json", "--by", "crash"];
    match what {
        Order::Start => args.extend(["--version-set", &stage.sets[next]]),
        Order::Pause | Order::Resume | Order::Promote => args.extend(["--reason", mark]),
    }
    let output = stage.project.run(&args);
    assert!(!output.err.contains("panicked"), "{output:?}");
    if output.code != 0 {
        // A release that ended wrote cases, so the eval is older than they are.
        if output.err.contains("the cases have changed") {
            stage.project.run(&["eval", "--prompt", ["v1", "v2"][next]]);
        }
        return None;
    }
    let mark = match what {
        Order::Start => output.json()["change_id"].as_str().unwrap().to_owned(),
        Order::Pause | Order::Resume | Order::Promote => mark.to_owned(),
    };
    Some(Acknowledged { what, mark, journal: journal::read(stage.root()) })
}

/// What the dead server left: a whole chain with everything in it that was acknowledged.
fn check_left(stage: &Stage, earlier: &[Entry], acknowledged: &[Acknowledged]) -> Vec<Entry> {
    let entries = journal::read(stage.root());
    let state = ControlState::replay(&entries).unwrap();
    check_weight(state.table.as_ref());
    let events: Vec<Event> = entries.iter().map(|entry| entry.event().unwrap()).collect();
    assert!(entries.starts_with(earlier), "entries of an earlier round are lost or changed");
    for command in acknowledged {
        let kept = entries.starts_with(&command.journal);
        assert!(kept, "entries are lost or changed that were there at {}", command.mark);
        let recorded = events.iter().any(|event| command.is_recorded_by(event));
        assert!(recorded, "{:?} `{}` was acknowledged and is lost", command.what, command.mark);
    }
    for event in &events {
        match event {
            Event::Decided { table, .. } => check_weight(table.as_ref()),
            Event::ReleaseStarted { table, .. } => check_weight(Some(table)),
            _ => {}
        }
    }
    entries
}

fn check_weight(table: Option<&Table>) {
    let weight = table.and_then(|table| table.split.as_ref()).map_or(Weight::ZERO, |s| s.weight);
    assert!(RUNGS.contains(&weight.pct()), "{weight} is no rung");
}

/// A server that was started on what a dead one left.
fn check_restarted(stage: &Stage, server: &Server, left: &[Entry]) {
    for _ in 0..3 {
        let answer = client::chat(server.address, None, "hello").unwrap();
        assert_eq!(answer.status, 200, "{answer:?} {}", server.log());
    }
    check_state(stage, left);
    check_arms(stage, server);
}

/// The server's state is what the journal replays to, and what another process makes of it.
fn check_state(stage: &Stage, left: &[Entry]) {
    let (state, status) = wait_for("a state that does not change while it is read twice", || {
        let before = Server::admin_status(stage.root());
        let status = stage.project.run(&["release", "status", "--json"]).exits(0).json();
        (before == Server::admin_status(stage.root())).then_some((before, status))
    });
    let entries = journal::read(stage.root());
    assert!(entries.starts_with(left), "a restart changed what was there");
    let replayed = journal::replay(&entries, state["seq"].as_u64().unwrap());
    let digest = Digest::of(&serde_json::to_vec(&replayed).unwrap());
    assert_eq!(state["state_digest"], digest.as_str());
    assert_eq!(state["not_written"], serde_json::Value::Null, "{state}");
    assert_eq!(status["table"], state["table"]);
    assert_eq!(status["service"], state["service"]);
    if let Some(change_id) = status["release"]["plan"]["change_id"].as_str() {
        // The status has the sentences of the last decision's reasons beside what is in the state.
        let mut shown = status["release"].clone();
        if let Some(reasons) = shown.pointer_mut("/last_decision/reasons") {
            for reason in reasons.as_array_mut().unwrap() {
                reason.as_object_mut().unwrap().remove("text");
            }
        }
        assert_eq!(shown, state["releases"][change_id]);
    }
}

/// Every user sees the arm and the version set that the table in the state gives them.
fn check_arms(stage: &Stage, server: &Server) {
    let table = || -> Table {
        let state = Server::admin_status(stage.root());
        serde_json::from_value(state["table"].clone()).unwrap()
    };
    let (table, seen) = wait_for("a table that does not change while users look at it", || {
        let before = table();
        let seen: Vec<_> = (0..LOOKED_AT)
            .map(|n| {
                let user = format!("user-0-{n}");
                let answer = server.chat(&user, "hello");
                let arm = answer.header("x-tidegate-arm").to_owned();
                (user, arm, answer.header("x-tidegate-version-set").to_owned())
            })
            .collect();
        (before == table()).then_some((before, seen))
    });
    check_weight(Some(&table));
    for (user, arm, set) in seen {
        let subject = Subject { user: Some(&user), ..Subject::default() };
        let expected: Arm = table.arm(&subject);
        assert_eq!(arm, expected.as_str(), "{user} on {table:?}");
        assert_eq!(set, table.set(expected).as_str(), "{user} on {table:?}");
    }
}

/// Every pack that has its place verifies: none is half-written.
fn check_packs(stage: &Stage) -> usize {
    let entries = journal::read(stage.root());
    let state = journal::replay(&entries, entries.len() as u64);
    let mut packs = 0;
    for day in std::fs::read_dir(stage.root().join("reports")).unwrap() {
        let day = day.unwrap().path();
        for pack in day.is_dir().then(|| std::fs::read_dir(&day).unwrap()).into_iter().flatten() {
            let path = pack.unwrap().path();
            if path.join("manifest.json").exists() {
                stage.project.run(&["verify", &path.display().to_string()]).exits(0);
                packs += 1;
            }
        }
    }
    for (change_id, release) in &state.releases {
        let undone = release.state.phase.is_final() && release.pack.is_none();
        assert!(!undone, "release {change_id} is over and has no evidence pack");
    }
    packs
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    let kills = setting("TIDEGATE_CRASH_KILLS", 10);
    let seed = setting("TIDEGATE_CRASH_SEED", 0x7164_6567);
    // Shown when it fails: the same orders and the same moments again.
    println!("TIDEGATE_CRASH_SEED={seed} TIDEGATE_CRASH_KILLS={kills} runs the same kills again");
    let mut dice = Dice::new(seed);
    let stage = Arc::new(Stage::build());
    let users = Users::start(3, short);
    let (mut left, mut orders, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut server = stage.project.serve();
    for round in 0..kills {
        users.turn_to(Some(server.address));
        let operator = Operator::start(&stage, round, Dice::new(dice.below(u64::MAX)));
        // The moment is what is tested; nothing waits for it to have an effect.
        std::thread::sleep(Duration::from_millis(dice.below(LATEST_MS)));
        server.kill();
        users.turn_to(None);
        let acknowledged = operator.stop();
        orders += acknowledged.len();
        left = check_left(&stage, &left, &acknowledged);
        if dice.below(4) == 0 {
            // One that is killed while it starts; it may not have come to anything.
            let starting = Server::spawn(stage.root(), &[]);
            std::thread::sleep(Duration::from_millis(dice.below(60)));
            starting.kill();
            left = check_left(&stage, &left, &[]);
        }
        let began = Instant::now();
        server = stage.project.serve();
        slowest = slowest.max(began.elapsed());
        check_restarted(&stage, &server, &left);
    }
    let lost = (metric(&server, AT_LEAST), metric(&server, AT_MOST));
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let counts = users.counts();
    assert_eq!(counts.refused, 0, "{counts:?}");
    let packs = check_packs(&stage);
    // Without orders nothing is tested: half of the kills come in the middle of one at least.
    let enough = orders as u64 * 2 >= kills;
    assert!(enough && counts.answered > 0, "{orders} orders in {kills} kills, {counts:?}");
    println!(
        "crash: {kills} kills, {orders} acknowledged orders kept, {} journal entries, {packs} \
         packs verify, {} requests answered, {} cut off by a kill, {} to {} without a record, \
         slowest restart {} ms",
        journal::read(stage.root()).len(),
        counts.answered,
        counts.lost,
        lost.0,
        lost.1,
        slowest.as_millis()
    );
}

/// What a server that died in the middle of writing its address leaves must not stop a later one.
#[test]
fn half_an_address_file_stops_no_later_server() {
    let project = Project::fast();
    let server = project.serve();
    server.kill();
    let whole = project.read(".tidegate/admin.json");
    for left in ["", "{", &whole[..whole.len() / 2], &whole] {
        project.write(".tidegate/admin.json", left);
        project.run(&["version", "pack", "--prompt", "v2"]).exits(0);
    }
    project.write(".tidegate/admin.json", &whole[..10]);
    let server = project.serve();
    project.run(&["version", "pack"]).exits(0);
    server.chat("mei", "hello");
}
