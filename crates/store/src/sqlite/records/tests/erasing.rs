//! What is deleted by order is gone: from the answers, from merges that run beside, from the files.

use super::*;
use tidegate_core::evidence::Admission;

fn of(user: &str) -> Whose {
    Whose { tenant: None, users: vec![user.to_owned()], before: UnixMs(u64::MAX >> 1) }
}

fn said(n: u64, user: &'static str, text: &str) -> Record {
    let record = record(n, Arm::Stable, Some(user), Some("acme"));
    Record { input: Some(text.to_owned()), output: Some(text.to_owned()), ..record }
}

/// A text that looks like nothing else, so that a part of it is found wherever it is.
fn noise(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    });
    letters.take(300).collect()
}

/// Every byte of the state's folder.
fn files(root: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(root.join(".tidegate")).unwrap();
    entries.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap_or_default()).collect()
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The bodies of all batches, as they are compressed.
fn bodies(root: &Path) -> Vec<Vec<u8>> {
    let db = raw(root);
    let mut select = db.prepare("SELECT body FROM record_batches").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Compressed texts do not look like themselves, so the batches as they were before are looked for
/// as well. Merges and prunings leave copies in free pages: this goes through all of them.
#[tokio::test]
async fn nothing_of_what_was_deleted_is_left_in_the_files() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    for round in 0..80 {
        // One that is alone in its batch is stored nearly as it is; most share it with another.
        let _ = store.record(store.begin(), said(round, "canary", &noise(round)));
        if round % 3 == 0 {
            let _ = store.record(store.begin(), said(1_000 + round, "other", "hello"));
        }
        store.flush().await.unwrap();
        seen.extend(bodies(root.path()));
    }
    let admission = Admission {
        trace_id: trace_id(7),
        request_id: "r".to_owned(),
        at: UnixMs(5),
        tenant: None,
        user: Some("canary".to_owned()),
        arm: Arm::Stable,
        set: record(1, Arm::Stable, None, None).set,
        change_id: None,
    };
    let _ticket = store.admit(admission).await.unwrap();
    let (tenant, trace) = (Some("acme"), trace_id(3));
    store.put_feedback(tenant, &trace, UnixMs(9), Feedback::Like(true)).await.unwrap();
    let before = files(root.path());
    assert!(has(&before, b"canary"), "the test can see what it looks for");
    let traces = [(Some("acme".to_owned()), trace_id(3))];
    assert_eq!(store.feedback_on(&traces).unwrap().len(), 1);
    // The admission's process has to end: what runs keeps its own.
    drop(store);
    let store = open(root.path());
    assert_eq!(store.erase(&of("canary")).await.unwrap(), 80);
    store.scrub().await.unwrap();
    assert!(store.feedback_on(&traces).unwrap().is_empty());
    assert_eq!(store.unrecorded(&trace_id(7)).unwrap(), Vec::new());
    let kept: Vec<Record> =
        store.records(&RecordQuery { limit: 1_000, ..RecordQuery::default() }).unwrap();
    assert_eq!(kept.len(), 27);
    assert!(kept.iter().all(|record| record.user.as_deref() == Some("other")));
    let after = files(root.path());
    let left = bodies(root.path());
    assert!(!has(&after, b"canary"), "the user's name");
    for round in 0..80 {
        let text = noise(round);
        assert!(!has(&after, &text.as_bytes()[100..112]), "a text of round {round}");
    }
    for body in seen {
        let Some(middle) = body.get(body.len() / 2..).and_then(|rest| rest.get(..16)) else {
            continue;
        };
        let is_kept = left.iter().any(|kept| has(kept, middle));
        assert!(is_kept || !has(&after, middle), "a batch as it was before");
    }
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
}

/// Small batches are merged between two steps of a deletion.
#[tokio::test]
async fn merges_beside_a_deletion_hide_nothing_from_it() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for n in 0..150 {
        let _ = store.record(store.begin(), said(n, ["mei", "bob"][n as usize % 2], "hello"));
        store.flush().await.unwrap();
    }
    let whose = Whose { before: UnixMs(10_000), ..of("mei") };
    let writing = async {
        for n in 0..200 {
            let late = Record { at: UnixMs(20_000), ..said(10_000 + n, "mei", "later") };
            let _ = store.record(store.begin(), late);
            store.flush().await.unwrap();
        }
    };
    let (erased, ()) = tokio::join!(store.erase(&whose), writing);
    assert_eq!(erased.unwrap(), 75);
    assert_eq!(store.count_of(&whose).unwrap(), 0);
    assert_eq!(store.count_of(&of("mei")).unwrap(), 200, "what came later is kept");
    assert_eq!(store.count_of(&of("bob")).unwrap(), 75);
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
}

/// A batch that cannot be read may hold what is to go.
#[tokio::test]
async fn a_damaged_batch_goes_with_what_it_may_hold() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for n in 0..3 {
        let _ = store.record(store.begin(), said(n, "bob", "hello"));
        store.flush().await.unwrap();
    }
    raw(root.path())
        .execute("UPDATE record_batches SET body = x'00112233' WHERE id = 2", [])
        .unwrap();
    assert_eq!(store.erase(&of("mei")).await.unwrap(), 1);
    assert_eq!(store.count_of(&of("bob")).unwrap(), 2);
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
}
