use super::*;
use tidegate_core::gate::adversarial_cases;

fn set(n: u8) -> VersionSetId {
    VersionSetId::parse(&format!("vs-0f3a9c21d4e{n}")).unwrap()
}

fn answer(text: &str) -> Outcome {
    (Ok(Asked { text: text.to_owned(), latency_ms: 7, ..Asked::default() }), 1)
}

fn no_answer() -> Outcome {
    let message = "down".to_owned();
    let failure = Some(Failure::Unreachable);
    (Err(AskError { message, failure, again: None, is_busy: false }), 3)
}

fn kept(resume: bool) -> TapeOptions {
    TapeOptions { keep: true, resume, ..TapeOptions::default() }
}

/// The text that is known for a case.
fn known(tape: &Tape, case: &Case, nth: u32) -> Option<String> {
    tape.known(case, nth, 2).unwrap()?.0.ok().map(|asked| asked.text)
}

#[test]
fn a_run_goes_on_from_whole_lines_and_asks_again_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, three] = &adversarial_cases(false)[..] else { panic!() };
    let open = |resume| Tape::open(folder.path(), &set(1), false, &kept(resume));
    {
        let tape = open(false).unwrap();
        tape.keep(one, 0, &answer("一")).unwrap();
        tape.keep(one, 1, &answer("二")).unwrap();
        tape.keep(two, 0, &no_answer()).unwrap();
        assert!(matches!(open(true), Err(TapeError::InUse { .. })), "one run at a time");
    }
    let path = path_of(folder.path(), &set(1), false, KEPT);
    let whole = std::fs::read_to_string(&path).unwrap();
    // A kill in the middle of the next line.
    std::fs::write(&path, format!("{whole}{}", &whole[..40])).unwrap();
    {
        let tape = open(true).unwrap();
        assert_eq!(known(&tape, one, 0).as_deref(), Some("一"));
        assert_eq!(known(&tape, one, 1).as_deref(), Some("二"));
        assert_eq!(
            [known(&tape, two, 0), known(&tape, three, 0), known(&tape, one, 2)],
            [const { None }; 3]
        );
        tape.keep(one, 0, &answer("一")).unwrap();
        tape.keep(two, 0, &answer("三")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    let other = Case { input: "another question".to_owned(), ..one.clone() };
    let checks = tidegate_core::gate::Checks::default();
    let unchecked = Case { checks, ..one.clone() };
    let tape = open(true).unwrap();
    assert_eq!(known(&tape, &other, 0), None);
    assert!(known(&tape, &unchecked, 0).is_some(), "checks are no part of what is asked");
    drop(tape);
    let again = open(false).unwrap();
    assert!(again.dropped && known(&again, one, 0).is_none());
}

#[test]
fn recorded_answers_are_of_their_set_and_their_missing_ones_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let cases = adversarial_cases(false);
    let options = TapeOptions { record: Some(path.clone()), ..TapeOptions::default() };
    let recording = Tape::open(folder.path(), &set(1), false, &options).unwrap();
    recording.keep(&cases[0], 0, &answer("好")).unwrap();
    recording.keep(&cases[1], 0, &no_answer()).unwrap();
    let options = TapeOptions { replay: Some(path.clone()), ..TapeOptions::default() };
    let replay = |n| Tape::open(folder.path(), &set(n), false, &options);
    let tape = replay(1).unwrap();
    assert_eq!(known(&tape, &cases[0], 0).as_deref(), Some("好"));
    let (missing, tries) = tape.known(&cases[1], 0, 1).unwrap().unwrap();
    assert_eq!((missing.unwrap_err().message.as_str(), tries), ("down", 3));
    let unknown = tape.known(&cases[2], 0, 1).unwrap().unwrap().0.unwrap_err();
    assert_eq!(unknown.failure, Some(Failure::Unreachable), "inconclusive, no wrong answer");
    assert!(matches!(replay(2), Err(TapeError::OtherSet { .. })));
    std::fs::write(&path, "{\"prompt\": \"q\"}\n").unwrap();
    assert!(matches!(replay(1), Err(TapeError::Line { line: 1, .. })));
    std::fs::write(&path, "\n").unwrap();
    assert!(matches!(replay(1), Err(TapeError::Empty { .. })));
}

#[test]
fn an_answer_is_used_again_for_one_asking_that_measures_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = TapeOptions { reuse: true, ..kept(false) };
    let open = |as_served| Tape::open(folder.path(), &set(1), as_served, &options).unwrap();
    let [plain, timed, served] = &mut adversarial_cases(false)[..] else { panic!() };
    timed.checks.max_latency_ms = Some(500);
    served.handling.as_served = true;
    let first = open(false);
    for case in [&*plain, timed, served] {
        first.keep(case, 0, &answer("好")).unwrap();
    }
    drop(first);
    close(folder.path(), &set(1), false, &options).unwrap();
    let tape = open(false);
    assert!(tape.known(plain, 0, 1).unwrap().is_some());
    for (case, repeats) in [(&*plain, 2), (timed, 1), (served, 1)] {
        assert!(tape.known(case, 0, repeats).unwrap().is_none(), "{} {repeats}", case.id);
    }
    assert!(open(true).known(plain, 0, 1).unwrap().is_none());
    drop(tape);
    close(folder.path(), &set(1), false, &kept(false)).unwrap();
    assert!(!path_of(folder.path(), &set(1), false, KEPT).exists());
}
