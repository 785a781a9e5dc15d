//! Batches against a plain list of records, and what is done about damage.

use crate::sqlite::{Access, SqliteStore};
use crate::suite::{change_id, record, trace_id};
use crate::{RecordQuery, Records as _, StoreErrorKind, Whose};
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;
use tidegate_core::evidence::Record;
use tidegate_core::ids::{ChangeId, UnixMs};
use tidegate_core::observe::Feedback;
use tidegate_core::route::Arm;
use tidegate_core::upstream::Failure;

mod erasing;

fn open(root: &Path) -> SqliteStore {
    SqliteStore::open(root, Access::Exclusive).unwrap()
}

fn raw(root: &Path) -> Connection {
    Connection::open(root.join(".tidegate/state.db")).unwrap()
}

/// A number that a query gives.
fn number(root: &Path, sql: &str) -> i64 {
    raw(root).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// What a store is put through.
#[derive(Debug, Clone)]
enum Step {
    /// Records handed over and written in one commit.
    Write(Vec<Seed>),
    /// Deletes what is older.
    Prune(u64),
    /// Deletes someone's.
    Erase(Whose),
    /// Closes it and opens it again.
    Reopen,
    /// The process is killed: what was not committed is lost, what was is there.
    Kill(Vec<Seed>),
}

/// What differs between records.
#[derive(Debug, Clone)]
struct Seed {
    trace: u64,
    at: u64,
    tenant: Option<&'static str>,
    user: Option<&'static str>,
    release: Option<&'static str>,
    arm: Arm,
    fails: bool,
    letters: usize,
}

impl Seed {
    fn record(&self) -> Record {
        Record {
            at: UnixMs(self.at),
            change_id: self.release.map(|id| ChangeId::parse(id).unwrap()),
            failure: self.fails.then_some(Failure::ServerError),
            output: (self.letters > 0).then(|| "答".repeat(self.letters)),
            ..record(self.trace, self.arm, self.user, self.tenant)
        }
    }
}

fn seed() -> impl Strategy<Value = Seed> {
    let name = |names: &'static [&'static str]| prop::option::of(prop::sample::select(names));
    (
        0u64..40,
        0u64..1_000,
        name(&["acme", "other"]),
        name(&["mei", "bob", "acme"]),
        name(&["first-release", "second-release"]),
        prop::sample::select(&[Arm::Stable, Arm::Candidate][..]),
        prop::bool::weighted(0.1),
        prop_oneof![60 => 0usize..40, 1 => Just(30_000)],
    )
        .prop_map(|(trace, at, tenant, user, release, arm, fails, letters)| Seed {
            trace,
            at,
            tenant,
            user,
            release,
            arm,
            fails,
            letters,
        })
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    prop_oneof![
        24 => prop::collection::vec(seed(), 1..4),
        8 => prop::collection::vec(seed(), 4..40),
        1 => prop::collection::vec(seed(), 500..600),
    ]
}

fn whose() -> impl Strategy<Value = Whose> {
    let tenant = prop::option::of(prop::sample::select(&["acme", "other"][..]));
    let users = prop::sample::subsequence(&["mei", "bob", "acme", "nobody"][..], 0..3);
    (tenant, users, 0u64..1_100).prop_map(|(tenant, users, before)| Whose {
        tenant: tenant.map(str::to_owned),
        users: users.into_iter().map(str::to_owned).collect(),
        before: UnixMs(before),
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        12 => seeds().prop_map(Step::Write),
        2 => (0u64..1_000).prop_map(Step::Prune),
        2 => whose().prop_map(Step::Erase),
        1 => Just(Step::Reopen),
        1 => seeds().prop_map(Step::Kill),
    ];
    prop::collection::vec(one, 1..60)
}

/// The records that are kept, in the order that they were written.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
}

impl Model {
    fn query(&self, query: &RecordQuery) -> Vec<Record> {
        let mut found: Vec<Record> = self
            .records
            .iter()
            .filter(|r| query.change_id.is_none() || r.change_id == query.change_id)
            .filter(|r| query.arm.is_none_or(|arm| r.arm == arm))
            .filter(|r| query.since.is_none_or(|since| r.at >= since))
            .filter(|r| query.until.is_none_or(|until| r.at < until))
            .filter(|r| query.tenant.is_none() || r.tenant == query.tenant)
            .filter(|r| query.user.is_none() || r.user == query.user)
            .filter(|r| !query.failing_only || r.is_failing())
            .cloned()
            .collect();
        found.sort_by_key(|r| r.at);
        if query.newest_first {
            found.reverse();
        }
        found.truncate(query.limit);
        found
    }

    fn exposure(&self, change_id: &ChangeId, arm: Arm) -> (u64, u64) {
        let of = |r: &&Record| r.change_id.as_ref() == Some(change_id) && r.arm == arm;
        let seen: Vec<&Record> = self.records.iter().filter(of).collect();
        let whose = |r: &&Record| match (&r.user, &r.tenant) {
            (Some(user), tenant) => (0, tenant.clone(), user.clone()),
            (None, Some(tenant)) => (1, Some(tenant.clone()), String::new()),
            (None, None) => (2, None, r.trace_id.to_string()),
        };
        let subjects: BTreeSet<_> = seen.iter().map(whose).collect();
        (seen.len() as u64, subjects.len() as u64)
    }

    fn erase(&mut self, whose: &Whose) -> u64 {
        let count = self.records.len();
        self.records.retain(|r| {
            let of_tenant = whose.tenant.is_none() || r.tenant == whose.tenant;
            let of_user =
                whose.users.is_empty() || r.user.as_ref().is_some_and(|u| whose.users.contains(u));
            !(of_tenant && of_user && r.at < whose.before)
        });
        (count - self.records.len()) as u64
    }

    fn prune(&mut self, before: u64) -> u64 {
        let count = self.records.len();
        self.records.retain(|r| r.at.0 >= before);
        (count - self.records.len()) as u64
    }
}

/// The query itself; one of a few records also for a part of the time, a tenant or a user.
fn narrower(all: RecordQuery) -> Vec<RecordQuery> {
    if all.limit != 7 {
        return vec![all];
    }
    let (since, until) = (Some(UnixMs(300)), Some(UnixMs(700)));
    let (tenant, user) = (Some("acme".to_owned()), Some("mei".to_owned()));
    vec![
        RecordQuery { since, ..all.clone() },
        RecordQuery { since, until, user: user.clone(), ..all.clone() },
        RecordQuery { until, tenant: tenant.clone(), ..all.clone() },
        RecordQuery { tenant, user, ..all.clone() },
        all,
    ]
}

fn same(store: &SqliteStore, model: &Model) -> Result<(), TestCaseError> {
    let releases = ["first-release", "second-release", "no-release"];
    let releases: Vec<ChangeId> = releases.iter().map(|id| id.parse().unwrap()).collect();
    for release in &releases {
        for arm in [Arm::Stable, Arm::Candidate] {
            let (found, kept) =
                (store.exposure(release, arm).unwrap(), model.exposure(release, arm));
            prop_assert_eq!(found, kept, "{} {:?}", release, arm);
        }
    }
    for change_id in std::iter::once(None).chain(releases.into_iter().map(Some)) {
        for arm in [None, Some(Arm::Candidate)] {
            for (failing_only, newest_first) in [(false, false), (false, true), (true, true)] {
                for limit in [0, 7, 10_000] {
                    let change_id = change_id.clone();
                    let all = RecordQuery {
                        change_id,
                        arm,
                        failing_only,
                        newest_first,
                        limit,
                        ..RecordQuery::default()
                    };
                    for query in narrower(all) {
                        let (found, kept) = (store.records(&query).unwrap(), model.query(&query));
                        prop_assert!(found == kept, "{:?}: {} {}", query, found.len(), kept.len());
                    }
                }
            }
        }
    }
    for trace in 0..40 {
        let of = |r: &&Record| r.trace_id == trace_id(trace);
        for tenant in [None, Some("acme"), Some("other")] {
            let of_tenant = |r: &&Record| of(r) && r.tenant.as_deref() == tenant;
            let latest = model.records.iter().filter(of_tenant).max_by_key(|r| r.at);
            let found = store.trace(tenant, &trace_id(trace)).unwrap();
            prop_assert!(found.as_ref() == latest, "trace {} of {:?}", trace, tenant);
        }
        let tenants: BTreeSet<_> =
            model.records.iter().filter(of).map(|r| r.tenant.clone()).collect();
        let found = store.traces(&trace_id(trace)).unwrap();
        prop_assert!(found.is_sorted_by(|a, b| a.at >= b.at));
        let found: BTreeSet<_> = found.into_iter().map(|r| r.tenant).collect();
        prop_assert_eq!(found, tenants);
    }
    prop_assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
    Ok(())
}

/// An image of the state as a killed process leaves it: the file and its log.
fn image(root: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join(".tidegate")).unwrap();
    for name in ["state.db", "state.db-wal"] {
        let path = |root: &Path| root.join(".tidegate").join(name);
        std::fs::copy(path(root), path(to.path())).unwrap();
    }
    to
}

fn holds(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let runtime = runtime();
    let mut root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    let mut model = Model::default();
    let write = |store: &SqliteStore, seeds: &[Seed]| {
        seeds.iter().for_each(|seed| assert!(store.record(store.begin(), seed.record())));
    };
    for step in steps {
        match step {
            Step::Write(seeds) => {
                write(&store, &seeds);
                runtime.block_on(store.flush()).unwrap();
                model.records.extend(seeds.iter().map(Seed::record));
            }
            Step::Prune(before) => {
                let pruned = runtime.block_on(store.prune_records(UnixMs(before))).unwrap();
                prop_assert_eq!(pruned, model.prune(before));
            }
            Step::Erase(whose) => {
                let counted = store.count_of(&whose).unwrap();
                let erased = runtime.block_on(store.erase(&whose)).unwrap();
                prop_assert_eq!((counted, erased), (erased, model.erase(&whose)));
                prop_assert_eq!(store.count_of(&whose).unwrap(), 0);
            }
            Step::Reopen => {
                drop(store);
                store = open(root.path());
            }
            Step::Kill(seeds) => {
                let left = image(root.path());
                // Written after the image was made, so that they are lost with it.
                write(&store, &seeds);
                drop(store);
                root = left;
                store = open(root.path());
            }
        }
    }
    same(&store, &model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_answer_as_a_plain_list_does(steps in steps()) {
        holds(steps)?;
    }
}

/// One record a commit, as at little traffic.
fn trickle(root: &Path, count: u64) -> SqliteStore {
    let (store, runtime) = (open(root), runtime());
    for n in 0..count {
        assert!(store.record(store.begin(), record(n, Arm::Stable, Some("mei"), Some("acme"))));
        runtime.block_on(store.flush()).unwrap();
    }
    store
}

#[test]
fn tiny_batches_are_merged_and_stay_findable() {
    let root = tempfile::tempdir().unwrap();
    let store = trickle(root.path(), 520);
    let batches = number(root.path(), "SELECT count(*) FROM record_batches");
    assert!(batches < 50, "{batches} batches of 520 records");
    let most = number(root.path(), "SELECT max(count) FROM record_batches");
    assert!(most > 200, "tiny ones are merged twice, {most}");
    for n in 0..520 {
        assert_eq!(store.trace(Some("acme"), &trace_id(n)).unwrap().unwrap().at, UnixMs(n));
    }
    assert_eq!(store.exposure(&change_id(), Arm::Stable).unwrap(), (520, 1));
}

/// Enough records for two segments of the index, none of which is looked for in vain.
#[test]
fn full_batches_are_indexed_and_their_segments_go_with_them() {
    let root = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(root.path()), runtime());
    let total = 140_000;
    for n in 0..total {
        let record = Record {
            trace_id: format!("t-{n}").parse().unwrap(),
            input: None,
            output: None,
            ..record(n, Arm::Stable, None, None)
        };
        assert!(store.record(store.begin(), record));
        if n % 4_000 == 0 {
            runtime.block_on(store.flush()).unwrap();
        }
    }
    runtime.block_on(store.flush()).unwrap();
    // Each write takes one step of what is due.
    for n in 0..4 {
        assert!(store.record(store.begin(), record(n, Arm::Stable, None, None)));
        runtime.block_on(store.flush()).unwrap();
    }
    let segments = || super::index::segments(&raw(root.path()));
    assert_eq!(segments().len(), 2, "{:?}", segments());
    let waiting = number(root.path(), "SELECT sum(length(names)) / 6 FROM record_names");
    assert!(waiting < 65_536, "{waiting}");
    for n in (0..total).step_by(997) {
        let id = format!("t-{n}").parse().unwrap();
        assert_eq!(store.trace(None, &id).unwrap().unwrap().at, UnixMs(n));
        assert_eq!(store.trace(Some("acme"), &id).unwrap(), None);
    }
    assert_eq!(runtime.block_on(store.prune_records(UnixMs(70_000))).unwrap(), 70_004);
    assert_eq!(segments().len(), 1, "{:?}", segments());
    assert_eq!(store.trace(None, &"t-69999".parse().unwrap()).unwrap(), None);
    assert!(store.trace(None, &"t-70000".parse().unwrap()).unwrap().is_some());
    let entries = "SELECT sum(length(entries)) / 10 FROM record_index";
    assert!(number(root.path(), entries) < 66_000);
}

#[test]
fn what_is_pruned_is_in_no_body_any_more() {
    let root = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(root.path()), runtime());
    for n in 0..10 {
        let output = Some(format!("answer number {n}"));
        assert!(
            store.record(store.begin(), Record { output, ..record(n, Arm::Stable, None, None) })
        );
    }
    runtime.block_on(store.flush()).unwrap();
    assert_eq!(runtime.block_on(store.prune_records(UnixMs(5))).unwrap(), 5);
    let db = raw(root.path());
    let (body, raw): (Vec<u8>, usize) = db
        .query_row("SELECT body, raw FROM record_batches", [], |row| {
            Ok((row.get(0)?, row.get(1).map(|n: i64| n as usize)?))
        })
        .unwrap();
    let text = String::from_utf8_lossy(&zstd::bulk::decompress(&body, raw).unwrap()).into_owned();
    assert!(text.contains("answer number 5") && !text.contains("answer number 4"), "{text}");
    assert_eq!(store.trace(None, &trace_id(4)).unwrap(), None);
    assert_eq!(store.exposure(&change_id(), Arm::Stable).unwrap(), (5, 5));
}

#[test]
fn a_damaged_batch_is_named_and_loses_only_itself() {
    for damage in [
        "UPDATE record_batches SET body = zeroblob(length(body)) WHERE id = 2",
        "UPDATE record_batches SET raw = 1 << 40 WHERE id = 2",
        "UPDATE record_batches SET count = 3 WHERE id = 2",
        "UPDATE record_batches SET body = substr(body, 1, length(body) - 1) WHERE id = 2",
    ] {
        let root = tempfile::tempdir().unwrap();
        let store = trickle(root.path(), 3);
        raw(root.path()).execute_batch(damage).unwrap();
        let named = |error: crate::StoreError| {
            assert_eq!(error.kind, StoreErrorKind::Damaged, "{damage}: {error}");
            assert!(error.message.contains("record batch 2 "), "{damage}: {error}");
        };
        named(store.trace(Some("acme"), &trace_id(1)).unwrap_err());
        named(store.records(&RecordQuery { limit: 9, ..RecordQuery::default() }).unwrap_err());
        assert!(store.trace(Some("acme"), &trace_id(0)).unwrap().is_some());
        assert!(store.trace(Some("acme"), &trace_id(2)).unwrap().is_some());
        let problems = store.integrity().unwrap();
        assert_eq!(problems.len(), 1, "{damage}: {problems:?}");
        assert!(problems[0].contains("record batch 2 "), "{problems:?}");
        drop(store);
        // It is not merged, and does not keep the others from it.
        let store = trickle(root.path(), 200);
        assert_eq!(store.integrity().unwrap().len(), 1);
        assert_eq!(store.exposure(&change_id(), Arm::Stable).unwrap().0, 203);
        let newest = RecordQuery { limit: 3, newest_first: true, ..RecordQuery::default() };
        assert_eq!(store.records(&newest).unwrap().len(), 3);
        runtime().block_on(store.prune_records(UnixMs(1_000))).unwrap();
        assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn tenants_may_use_one_trace_id() {
    let root = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(root.path()), runtime());
    let mut later = record(1, Arm::Candidate, None, Some("other"));
    later.at = UnixMs(5);
    let first = record(1, Arm::Stable, None, Some("acme"));
    for record in [&first, &later] {
        assert!(store.record(store.begin(), record.clone()));
    }
    let id = trace_id(1);
    let put = |tenant, feedback| {
        runtime.block_on(store.put_feedback(tenant, &id, UnixMs(9), feedback)).unwrap()
    };
    runtime.block_on(store.flush()).unwrap();
    assert!(put(Some("acme"), Feedback::Like(true)));
    assert!(put(Some("other"), Feedback::Like(false)), "the other's is another trace");
    assert!(!put(Some("acme"), Feedback::Like(false)));
    let whose = ["acme", "other"].map(|tenant| (Some(tenant.to_owned()), id.clone()));
    let said = store.feedback_on(&whose).unwrap();
    assert_eq!(said[&whose[0]], [Feedback::Like(true)]);
    assert_eq!(said[&whose[1]], [Feedback::Like(false)]);
    assert_eq!(store.trace(Some("acme"), &id).unwrap(), Some(first.clone()));
    assert_eq!(store.trace(Some("other"), &id).unwrap(), Some(later.clone()));
    assert_eq!(store.trace(None, &id).unwrap(), None);
    assert_eq!(store.traces(&id).unwrap(), [later, first]);
}
