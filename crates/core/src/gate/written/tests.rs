use super::*;
use proptest::prelude::*;

fn known() -> Known {
    Known {
        now: UnixMs(1_000),
        protection: Some("it asks for a key".to_owned()),
        cases: Ok(7),
        stop_path: true,
        failing: ["a".to_owned(), "b".to_owned()].into(),
    }
}

fn tried(words: &[&str]) -> BTreeMap<String, String> {
    words.iter().map(|word| ((*word).to_owned(), "v3, no change".to_owned())).collect()
}

fn all_tried(words: &[&str], failures: &[&str]) -> Until {
    let failures = failures.iter().map(|id| (*id).to_owned()).collect();
    Until::AllTried { tried: tried(words), failures }
}

fn check(gate: WrittenGate, until: &Until, known: &Known, says: &str) {
    let answer = until.judge(gate, known);
    assert_eq!(answer.why, says);
    assert_eq!(answer.holds, says.contains(" holds: "));
}

#[test]
fn the_endpoint_is_protected_or_not_shared() {
    let until = Until::ProtectedEndpoint;
    check(WrittenGate::Share, &until, &known(), "gate_1 holds: it asks for a key");
    let open = Known { protection: None, ..known() };
    let says = "gate_1: do not share the service until the endpoint has authentication or a \
                private network: other machines reach the endpoint and it asks for no key";
    check(WrittenGate::Share, &until, &open, says);
}

#[test]
fn an_hour_is_rented_once_cases_and_stop_time_are_written() {
    let at = |ms: Option<u64>| Until::CasesAndStopTime { stop_at: ms.map(UnixMs) };
    let says = |what: &str| {
        format!(
            "gate_2: do not rent the next GPU hour until the eval cases and the stop time are \
             written: {what}"
        )
    };
    let gate = WrittenGate::Rent;
    check(
        gate,
        &at(Some(2_000)),
        &known(),
        "gate_2 holds: 7 eval cases and a stop time are written",
    );
    check(gate, &at(Some(1_000)), &known(), &says("the stop time is over"));
    check(gate, &at(None), &known(), &says("no stop time is written"));
    let none = Known { cases: Err("no class `safety`".to_owned()), ..known() };
    check(gate, &at(Some(2_000)), &none, &says("no class `safety`"));
    let no_way = Known { stop_path: false, ..known() };
    check(gate, &at(Some(2_000)), &no_way, &says("the contract does not say how it is stopped"));
}

#[test]
fn fine_tuning_waits_for_all_five_and_for_failures_that_remain() {
    let says = |what: &str| {
        format!(
            "gate_3: do not fine-tune until prompt, RAG, schema, decoding and runtime were all \
             tried and failures remain: {what}"
        )
    };
    let gate = WrittenGate::FineTune;
    let holds = "gate_3 holds: all five were tried, and 2 cases still fail";
    check(gate, &all_tried(&TRIED_BEFORE, &["a", "b"]), &known(), holds);
    let some = says("not tried yet: rag, decoding");
    check(gate, &all_tried(&["prompt", "schema", "runtime"], &["a"]), &known(), &some);
    check(
        gate,
        &all_tried(&TRIED_BEFORE, &[]),
        &known(),
        &says("no case is named that still fails"),
    );
    let gone = says("these did not fail in the latest eval run: `c`");
    check(gate, &all_tried(&TRIED_BEFORE, &["a", "c"]), &known(), &gone);
}

#[test]
fn a_condition_in_own_words_holds_once_somebody_wrote_it_is_met() {
    let own = |met: Option<&str>| Until::Own {
        condition: "TLS is on".to_owned(),
        met: met.map(str::to_owned),
    };
    let says = "gate_1: do not share the service until TLS is on: nobody wrote that it is met";
    check(WrittenGate::Share, &own(None), &known(), says);
    check(WrittenGate::Share, &own(Some(" ")), &known(), says);
    let met = own(Some("ann, 2026-11-29"));
    check(WrittenGate::Share, &met, &known(), "gate_1 holds: ann, 2026-11-29");
}

proptest! {
    #[test]
    fn what_is_not_known_does_not_hold(
        words in proptest::sample::subsequence(TRIED_BEFORE.to_vec(), 0..=5),
        stop_at in proptest::option::of(0u64..2_000),
    ) {
        let nothing = Known {
            protection: None,
            cases: Err("none".to_owned()),
            stop_path: false,
            failing: BTreeSet::new(),
            ..known()
        };
        let tried = all_tried(&words, &["a"]);
        let rent = Until::CasesAndStopTime { stop_at: stop_at.map(UnixMs) };
        for until in [Until::ProtectedEndpoint, tried, rent] {
            prop_assert!(!until.judge(WrittenGate::Share, &nothing).holds);
        }
    }
}
