use super::*;
use crate::gate::panel::tests::{about, case};
use proptest::prelude::*;

fn share(found: Found) -> Option<f64> {
    match found {
        Found::Share(share, _) => Some(share),
        Found::Holds | Found::Wrong(_) | Found::Edits(..) | Found::Unknown(_) => None,
    }
}

#[test]
fn likeness_of_meaning_is_that_to_the_nearest_reference() {
    let case = case(Some("十四天"));
    let check = |value: Value| Check::new(CheckKind::Similar, value);
    let asked = need(&check(Value::Null), &about(&case, "两周"));
    assert_eq!(asked, Some(Need::Vectors(vec!["两周".into(), "十四天".into()])));
    let asked = need(&check(json!(["a", "b"])), &about(&case, "両方"));
    assert_eq!(asked, Some(Need::Vectors(vec!["両方".into(), "a".into(), "b".into()])));
    let of = |vectors: Vec<Vec<f32>>| found(&check(Value::Null), &Brought::Vectors(vectors));
    let best = share(of(vec![vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 3.0]])).unwrap();
    assert!((best - 0.5_f64.sqrt()).abs() < 1e-9, "{best}");
    assert_eq!(share(of(vec![vec![1.0, 0.0], vec![-1.0, 0.0]])), Some(0.0), "never below 0");
    for nonsense in [
        vec![],
        vec![vec![1.0]],
        vec![vec![1.0], vec![1.0, 2.0]],
        vec![vec![0.0, 0.0], vec![1.0, 2.0]],
        vec![vec![f32::NAN], vec![1.0]],
        vec![vec![f32::INFINITY], vec![1.0]],
    ] {
        assert!(matches!(of(nonsense.clone()), Found::Unknown(_)), "{nonsense:?}");
    }
}

fn preferred(said: &[&str]) -> Found {
    let check = Check::new(CheckKind::Prefers, Value::Null);
    found(&check, &Brought::Judgements(said.iter().map(|s| (*s).to_owned()).collect()))
}

#[test]
fn a_judge_that_goes_by_the_place_says_a_tie() {
    let better = |word: &str| format!(r#"{{"reason": "理由", "better": "{word}"}}"#);
    let both = |one: &str, two: &str| share(preferred(&[&better(one), &better(two)]));
    assert_eq!(both("first", "second"), Some(1.0));
    assert_eq!(both("second", "first"), Some(0.0));
    assert_eq!(both("first", "first"), Some(0.5));
    assert_eq!(both("second", "second"), Some(0.5));
    assert_eq!(both("tie", "tie"), Some(0.5));
    assert_eq!(both("first", "tie"), Some(0.75));
    for bad in ["A", "", "First"] {
        assert_eq!(both("first", bad), None, "{bad}");
    }
    assert!(matches!(preferred(&[&better("first")]), Found::Unknown(_)), "one order alone");
    assert!(matches!(preferred(&[]), Found::Unknown(_)));
}

#[test]
fn what_came_for_another_check_is_no_verdict() {
    let check = Check::new(CheckKind::Rubric, json!("polite"));
    let vectors = Brought::Vectors(vec![vec![1.0], vec![1.0]]);
    assert!(matches!(found(&check, &vectors), Found::Unknown(_)));
    let twice = Brought::Judgements(vec![String::new(), String::new()]);
    assert!(matches!(found(&check, &twice), Found::Unknown(_)));
}

#[test]
fn a_program_reads_the_case_and_the_answer() {
    let (mut case, calls) =
        (case(Some("十四天")), [CalledTool { name: "f".into(), ..CalledTool::default() }]);
    case.handling.tags = vec!["退款".to_owned()];
    let check = Check::new(CheckKind::Command, json!("tone"));
    let about =
        About { calls: &calls, retrieved: "[1] a\n两周", ..about(&case, "两周\n\u{1f600}") };
    let Some(Need::Printed { program, input }) = need(&check, &about) else { panic!() };
    assert_eq!(program, "tone");
    assert_eq!(input["answer"], "两周\n\u{1f600}");
    assert_eq!((&input["case_id"], &input["expected"]), (&json!("退款-1"), &json!("十四天")));
    assert_eq!((&input["tags"][0], &input["tool_calls"][0]["name"]), (&json!("退款"), &json!("f")));
}

proptest! {
    #[test]
    fn whatever_a_judge_or_a_program_says_is_a_share_or_nothing(said in ".{0,60}") {
        for kind in [CheckKind::Rubric, CheckKind::Prefers, CheckKind::Command] {
            let check = Check::new(kind, json!("x"));
            for brought in [
                Brought::Judgements(vec![said.clone()]),
                Brought::Judgements(vec![said.clone(), said.clone()]),
                Brought::Printed(said.clone()),
            ] {
                match found(&check, &brought) {
                    Found::Share(share, _) => prop_assert!((0.0..=1.0).contains(&share)),
                    Found::Unknown(why) => prop_assert!(why.chars().count() < 300),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
