use super::*;
use crate::say::tests::examples;
use proptest::prelude::*;

#[test]
fn every_code_is_written_as_it_is_named() {
    for code in ReasonCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

#[test]
fn a_reason_is_one_flat_object_without_a_sentence() {
    for reason in examples() {
        let json = serde_json::to_value(&reason).unwrap();
        assert_eq!(json["code"], reason.code().as_str(), "{json}");
        assert!(!matches!(reason, Reason::Stored(_)) == json.get("text").is_none(), "{json}");
        assert_eq!(json.get("metric").is_some(), reason.metric().is_some(), "{json}");
        let back: Reason = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(back, reason, "{json}");
    }
}

/// What a journal of version 0.1 holds.
#[test]
fn a_reason_of_an_older_journal_keeps_its_text_and_numbers() {
    let old = r#"{"code":"over_rollback","line":"latency","metric":"latency_p95",
        "stable":909.0,"candidate":2261.0,"estimate":1.033,"threshold":0.25,"evidence":1e9,
        "needed":1000.0,"alpha":0.001,"samples_stable":8700,"samples_candidate":2400,
        "text":"latency_p95: candidate 2261 ms against stable 909 ms"}"#;
    let reason: Reason = serde_json::from_str(old).unwrap();
    assert_eq!(
        (reason.code(), reason.metric()),
        (ReasonCode::OverRollback, Some(Metric::LatencyP95))
    );
    assert_eq!(reason.line(), Some(Line::Latency));
    assert_eq!(reason.numbers().unwrap().samples_candidate, Some(2400));
    let Reason::Stored(stored) = &reason else { panic!("{reason:?}") };
    assert_eq!(stored.text, "latency_p95: candidate 2261 ms against stable 909 ms");
    let again = serde_json::to_value(&reason).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(old).unwrap());
}

#[test]
fn every_code_of_an_older_journal_is_read() {
    for code in ReasonCode::ALL {
        let old = serde_json::json!({ "code": code, "text": "what was said then" });
        let reason: Reason = serde_json::from_value(old).unwrap();
        assert_eq!(reason.code(), code);
    }
    assert!(serde_json::from_str::<Reason>(r#"{"code":"unheard_of","text":"?"}"#).is_err());
    assert!(serde_json::from_str::<Reason>(r#"{"code":"over_rollback"}"#).is_err());
}

#[test]
fn a_cause_is_a_reason_or_words() {
    let words: Cause = serde_json::from_str(r#""planted text 1 of 1""#).unwrap();
    assert_eq!(words, Cause::Words("planted text 1 of 1".to_owned()));
    for reason in examples() {
        let json = serde_json::to_string(&Cause::from(reason.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Cause>(&json).unwrap().code(), Some(reason.code()));
    }
}

proptest! {
    /// What is written is what is read, to the last bit: state must be the journal's replay.
    #[test]
    fn numbers_survive_json(estimate in proptest::num::f64::NORMAL, more in any::<u64>()) {
        for mut reason in examples() {
            if let Reason::Pass(comparison) | Reason::Uncertain(comparison) = &mut reason {
                comparison.numbers.estimate = Some(estimate);
                comparison.numbers.more_samples = Some(more);
            }
            let json = serde_json::to_string(&reason).unwrap();
            prop_assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        }
    }
}
