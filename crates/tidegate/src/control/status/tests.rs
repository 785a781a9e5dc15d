//! The answer of `GET /admin/v1/status`, key by key.

use super::*;
use serde_json::Value;

/// An answer with every member that there is, also those that are usually left out.
const GOLDEN: &str = include_str!("golden.json");

/// What the server says of the process and not of the state.
const OF_PROCESS: [&str; 4] = ["pid", "state_digest", "not_written", "journal_problem"];

#[test]
fn the_answer_has_the_keys_and_values_it_always_had() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let read: Status = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), golden, "read and written again");
    assert_eq!(serde_json::to_string(&read).unwrap(), golden.to_string(), "in the same order");
    let root = read.root.clone();
    let ahead = Ahead::new(Arc::new(read.into_state()));
    let mut said = serde_json::to_value(Status::of(&ahead, &root)).unwrap();
    for key in OF_PROCESS {
        said[key] = golden[key].clone();
    }
    assert_eq!(said, golden, "from the state and back");
}

#[test]
fn status_as_json_says_a_release_as_the_admin_plane_does() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let state = serde_json::from_value::<Status>(golden.clone()).unwrap().into_state();
    let (id, release) = state.releases.first_key_value().unwrap();
    let mut said = crate::view::with_sentences(release);
    for reason in said["last_decision"]["reasons"].as_array_mut().unwrap() {
        let sentence = reason.as_object_mut().unwrap().shift_remove("text");
        assert!(sentence.is_some_and(|text| !text.as_str().unwrap().is_empty()));
    }
    assert_eq!(said, golden["releases"][id.as_str()]);
}
