//! From a real store to a pack on disk.

use super::build::{Outcome, record, release};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};
use crate::evidence::{JournalCheck, PackInputs, verify, write_pack};
use crate::store::{Access, Evals as _, Journal as _, Records as _, Sets as _, Store, StoreError};
use std::path::Path;
use tidegate_core::evidence::{PackRef, VerdictDecision};
use tidegate_core::ids::{ChangeId, Digest, UnixMs};
use tidegate_core::journal::{ControlState, Entry, Event};
use tidegate_core::route::Table;

const NOW: UnixMs = UnixMs(1_795_222_800_000);

async fn append(
    store: &Store,
    at: UnixMs,
    event: Event,
) -> std::result::Result<Vec<Entry>, StoreError> {
    let after = store.journal(1)?.len() as u64;
    store.append(after, store.epoch(), at, vec![event]).await
}

/// A store in which the release of [`release`] happened.
async fn store(root: &Path) -> Store {
    let data = release(Outcome::RolledBack);
    let store = Store::open(root, Access::Exclusive).unwrap();
    let plan = &data.release.plan;
    let adopted = Event::ServiceAdopted {
        service: plan.service.clone(),
        set: plan.from.clone(),
        label: "v2".to_owned(),
        table: Table::first(plan.from.clone()),
        by: "韩梅梅".to_owned(),
    };
    append(&store, plan.created_at, adopted).await.unwrap();
    for entry in &data.entries {
        append(&store, entry.at, entry.event().unwrap()).await.unwrap();
    }
    store.put_set(data.from.as_ref().unwrap(), plan.created_at).await.unwrap();
    store.put_set(data.to.as_ref().unwrap(), plan.created_at).await.unwrap();
    store.put_eval(data.eval.as_ref().unwrap()).await.unwrap();
    for i in 0..12 {
        assert!(store.record(store.begin(), record(&format!("bad-{i}"), true)));
        assert!(store.record(store.begin(), record(&format!("good-{i}"), false)));
    }
    store
}

/// Writes the pack of a release as the store has it.
async fn pack_of(store: &Store, root: &Path, change_id: &str) -> Result<PackRef> {
    let inputs = PackInputs {
        store,
        state: &ControlState::replay(&store.journal(1).unwrap()).unwrap(),
        change_id: &ChangeId::parse(change_id).unwrap(),
        root,
        clock: &Clock::demo(NOW, 1),
        base_url: "http://127.0.0.1:8787",
        gap: None,
    };
    store.flush().await.unwrap();
    Ok(write_pack(&inputs).await?)
}

#[tokio::test]
async fn a_release_in_the_store_becomes_a_pack_that_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let pack = pack_of(&store, dir.path(), "prompt-v3-a1b2c").await.unwrap();
    assert_eq!(pack.path, "reports/2026-11-21/prompt-v3-a1b2c");
    let folder = dir.path().join(&pack.path);
    let outcome = verify(&folder).unwrap().into_result().unwrap();
    assert_eq!(outcome.manifest, pack.manifest);
    assert_eq!(outcome.verdict, Some(VerdictDecision::Rollback));
    let count = |sub: &str| std::fs::read_dir(folder.join("samples").join(sub)).unwrap().count();
    assert_eq!((count("failing"), count("representative")), (20, 10));
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("The candidate got 24 requests of 24 users."));
    assert!(page.contains("A simulation") && !page.contains("This pack has gaps"));
}

#[tokio::test]
async fn an_unknown_release_names_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let error = pack_of(&store, dir.path(), "prompt-v9-fffff").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.hints[0].contains("prompt-v3-a1b2c"), "{error:?}");
    assert!(!dir.path().join("reports").exists());
}

#[tokio::test]
async fn the_journal_shows_that_a_pack_was_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let pack = pack_of(&store, dir.path(), "prompt-v3-a1b2c").await.unwrap();
    let folder = dir.path().join(&pack.path);
    let check = || {
        let mut outcome = verify(&folder).unwrap();
        outcome.compare_with_journal(&folder);
        outcome
    };
    let none = check();
    assert!(matches!(&none.journal, JournalCheck::NotCompared { why } if why.contains("no pack")));
    assert!(none.problems.is_empty());
    for (manifest, same) in [(Digest::of(b"another pack"), false), (pack.manifest, true)] {
        let change_id = ChangeId::parse("prompt-v3-a1b2c").unwrap();
        let path = pack.path.clone();
        let event = Event::PackWritten { change_id, path, manifest };
        append(&store, NOW, event).await.unwrap();
        let outcome = check();
        assert_eq!(matches!(outcome.journal, JournalCheck::Same { .. }), same);
        assert_eq!(outcome.into_result().is_ok(), same);
    }
    let copy = tempfile::tempdir().unwrap();
    let away = copy.path().join("pack");
    std::fs::rename(&folder, &away).unwrap();
    let mut outcome = verify(&away).unwrap();
    outcome.compare_with_journal(&away);
    assert!(outcome.problems.is_empty(), "no journal at hand is no problem");
    assert!(matches!(outcome.journal, JournalCheck::NotCompared { .. }));
}

#[tokio::test]
async fn a_pack_whose_entry_comes_after_it_was_not_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let written = |path: &str, manifest| Event::PackWritten {
        change_id: ChangeId::parse("prompt-v3-a1b2c").unwrap(),
        path: path.to_owned(),
        manifest,
    };
    let pack = pack_of(&store, dir.path(), "prompt-v3-a1b2c").await.unwrap();
    append(&store, NOW, written(&pack.path, Digest::of(b"the pack before"))).await.unwrap();
    let folder = dir.path().join(&pack.path);
    let check = tokio::task::spawn_blocking(move || {
        let mut outcome = verify(&folder).unwrap();
        outcome.compare_with_journal(&folder);
        outcome
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    append(&store, NOW, written(&pack.path, pack.manifest)).await.unwrap();
    let outcome = check.await.unwrap();
    assert!(matches!(outcome.journal, JournalCheck::Same { .. }), "{:?}", outcome.journal);
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
}
