use super::*;
use crate::random::Random;
use proptest::prelude::*;

fn said(text: &str, correct: bool) -> Said {
    let (model, fingerprint) = (Some("m-1".to_owned()), Some("fp_a".to_owned()));
    Said { text: text.to_owned(), correct, score: f64::from(u8::from(correct)), model, fingerprint }
}

/// A run of `cases` cases, `times` times each; `answer` makes what comes of one question.
fn run(cases: usize, times: usize, mut answer: impl FnMut(usize) -> FixedAnswer) -> SentinelRun {
    let mut case = |number: usize| FixedCase {
        id: format!("case_{number}"),
        question: Digest::of(format!("question {number}").as_bytes()),
        answers: (0..times).map(|_| answer(number)).collect(),
    };
    SentinelRun {
        run_id: "sentinel-1-aaaaaa".to_owned(),
        at: UnixMs(1_000),
        set: VersionSetId::parse("vs-0123456789ab").unwrap(),
        upstream: "main".to_owned(),
        endpoint: "https://models.example/v1".to_owned(),
        model: "m-1".to_owned(),
        cases: (0..cases).map(&mut case).collect(),
        known: BTreeSet::new(),
    }
}

fn plain(number: usize) -> FixedAnswer {
    FixedAnswer::Said(said(&format!("the answer to question {number} is {}", number * 7), true))
}

fn named(model: &str, fingerprint: &str) -> impl FnMut(usize) -> FixedAnswer {
    move |number| match plain(number) {
        FixedAnswer::Said(said) => {
            let (model, fingerprint) = (model.to_owned(), fingerprint.to_owned());
            let (model, fingerprint) = (Some(model), Some(fingerprint));
            FixedAnswer::Said(Said { model, fingerprint, ..said })
        }
        missing @ FixedAnswer::Unanswered(_) => missing,
    }
}

#[test]
fn a_change_is_named_by_what_changed() {
    let reference = run(10, 3, plain);
    let check = |now: SentinelRun, expected| {
        let drift = compare(&reference, &now);
        assert_eq!(drift.verdict, expected, "{drift:?}");
        drift
    };
    check(run(10, 2, plain), DriftVerdict::Unchanged);
    let drift = check(run(10, 2, named("m-2", "fp_b")), DriftVerdict::ModelRenamed);
    assert_eq!((&*drift.models.now, drift.models.new), (&["m-2".to_owned()][..], 20));
    check(run(10, 2, named("m-1", "fp_b")), DriftVerdict::FingerprintChanged);
    // A server that stops naming itself says nothing.
    check(run(10, 2, named("", " ")), DriftVerdict::Unchanged);
    let other = |number| FixedAnswer::Said(said(&format!("换了一个模型 {number}"), true));
    let drift = check(run(10, 2, other), DriftVerdict::AnswersChanged);
    assert_eq!(drift.proven().map(|test| test.metric.as_str()), Some(LIKENESS));
    let wrong = |number| match plain(number) {
        FixedAnswer::Said(said) => FixedAnswer::Said(Said { correct: false, score: 0.5, ..said }),
        missing @ FixedAnswer::Unanswered(_) => missing,
    };
    let drift = check(run(10, 2, wrong), DriftVerdict::AnswersChanged);
    assert_eq!(drift.proven().map(|test| test.metric.as_str()), Some("accuracy"));
}

/// A run in which so many cases have other answers than the reference's.
fn moved(cases: usize) -> SentinelRun {
    let other = |number| FixedAnswer::Said(said(&format!("别的说法 {number}"), true));
    run(12, 2, |number| if number < cases { other(number) } else { plain(number) })
}

/// One more case each time: nothing against the run before, and a change against the reference.
#[test]
fn many_small_steps_are_seen_against_the_reference() {
    let reference = run(12, 3, plain);
    let longer = |run: SentinelRun| SentinelRun {
        cases: run
            .cases
            .into_iter()
            .map(|mut case| {
                case.answers.extend(case.answers.first().cloned());
                case
            })
            .collect(),
        ..run
    };
    let verdicts: Vec<(DriftVerdict, DriftVerdict)> = (1..=12)
        .map(|step| {
            let by_step = compare(&longer(moved(step - 1)), &moved(step)).verdict;
            (by_step, compare(&reference, &moved(step)).verdict)
        })
        .collect();
    let (unchanged, changed) = (DriftVerdict::Unchanged, DriftVerdict::AnswersChanged);
    assert!(verdicts.iter().all(|(by_step, _)| *by_step == unchanged), "{verdicts:?}");
    let found = verdicts.iter().position(|(_, in_all)| *in_all == changed);
    assert_eq!(found.map(|at| at + 1), Some(CASES_MIN as usize), "{verdicts:?}");
    assert!(verdicts[CASES_MIN as usize..].iter().all(|(_, in_all)| *in_all == changed));
}

#[test]
fn without_answers_nothing_is_said() {
    let reference = run(10, 3, plain);
    let down = |_| FixedAnswer::Unanswered("unreachable: connection refused".to_owned());
    let drift = compare(&reference, &run(10, 2, down));
    assert_eq!(
        (drift.verdict, drift.unclear),
        (DriftVerdict::CannotTell, Some(Unclear::NoAnswers))
    );
    assert_eq!((drift.asked, drift.unanswered), (20, 20));
    assert!(drift.error.unwrap().contains("refused"));
    let mut count = 0;
    let flaky = |number| {
        count += 1;
        if count % 10 == 0 {
            FixedAnswer::Unanswered("status 503".to_owned())
        } else {
            plain(number)
        }
    };
    let drift = compare(&reference, &run(10, 2, flaky));
    assert_eq!((drift.verdict, drift.unanswered), (DriftVerdict::Unchanged, 2));
    let drift = compare(&run(8, 3, plain), &run(8, 2, plain));
    assert_eq!(drift.unclear, Some(Unclear::TooFewCases));
    // The name alone is enough with few cases, and while most of them fail.
    let drift = compare(&run(2, 3, plain), &run(2, 2, named("m-2", "fp_a")));
    assert_eq!(drift.verdict, DriftVerdict::ModelRenamed);
    assert!(!run(0, 2, plain).is_good());
}

/// With fewer cases even the strongest difference proves nothing; with so many it does.
#[test]
fn the_least_number_of_cases_is_the_least() {
    let other = |number| FixedAnswer::Said(said(&format!("其他 {number}"), true));
    let proven = |cases: u64| {
        let cases = cases as usize;
        compare(&run(cases, 2, plain), &run(cases, 1, other)).proven().is_some()
    };
    assert!(proven(CASES_MIN) && !proven(CASES_MIN - 1));
}

#[test]
fn a_case_that_asks_something_else_is_not_compared() {
    let reference = run(12, 3, plain);
    let mut now = run(12, 2, plain);
    for case in now.cases.iter_mut().take(4) {
        case.question = Digest::of(b"something else");
    }
    let drift = compare(&reference, &now);
    assert_eq!((drift.cases, drift.unclear), (8, Some(Unclear::TooFewCases)));
}

#[test]
fn a_part_of_the_traffic_on_another_model_is_seen() {
    let reference = run(10, 3, plain);
    let mixed = |every: usize| {
        let mut count = 0;
        run(10, 2, move |number| {
            count += 1;
            let model = if count % every == 0 { "m-2" } else { "m-1" };
            named(model, "fp_a")(number)
        })
    };
    assert_eq!(compare(&reference, &mixed(4)).verdict, DriftVerdict::ModelRenamed);
    assert_eq!(compare(&reference, &mixed(10)).verdict, DriftVerdict::Unchanged);
}

#[test]
fn a_name_for_each_answer_is_no_name() {
    let counted = |from: u32| {
        let mut count = from;
        move |number| {
            count += 1;
            named("m-1", &format!("fp_{count}"))(number)
        }
    };
    let drift = compare(&run(10, 3, counted(0)), &run(10, 2, counted(1_000)));
    assert_eq!(drift.verdict, DriftVerdict::Unchanged, "{drift:?}");
    // A hostile server's names do not fill a finding.
    let long = "x".repeat(1_000_000);
    let drift = compare(&run(10, 3, plain), &run(10, 2, named(&long, "fp")));
    assert_eq!(drift.models.now[0].len(), 128);
    assert!(drift.fingerprints.now.len() <= 8);
}

#[test]
fn accepted_fingerprints_may_take_turns() {
    let first = run(10, 3, plain);
    let mut second = run(10, 2, named("m-1", "fp_b"));
    second.join(run(10, 2, named("m-1", "fp_b")));
    let reference = second.accepted_after(&first);
    assert!(reference.cases.iter().all(|case| case.answers.len() == 4));
    let check = |fingerprint: &str, expected| {
        let now = run(10, 2, named("m-1", fingerprint));
        assert_eq!(compare(&reference, &now).verdict, expected, "{fingerprint}");
    };
    check("fp_a", DriftVerdict::Unchanged);
    check("fp_b", DriftVerdict::Unchanged);
    check("fp_c", DriftVerdict::FingerprintChanged);
}

proptest! {
    /// A server that gives the same answers again raises no alarm, whatever they are, however many
    /// questions it does not answer and however often it is asked.
    #[test]
    fn the_same_answers_never_alarm(
        answers in prop::collection::vec(
            (".{0,40}", any::<bool>(), 0.0..=1.0_f64, any::<bool>()),
            0..30,
        ),
        names in prop::collection::vec((0..3_u8, 0..3_u8), 30),
        times in 1_usize..4,
    ) {
        let answer = |number: usize| {
            let (text, correct, score, is_there) = &answers[number];
            let (model, fingerprint) = names[number];
            if !is_there {
                return FixedAnswer::Unanswered("status 500".to_owned());
            }
            FixedAnswer::Said(Said {
                text: text.clone(),
                correct: *correct,
                score: *score,
                model: Some(format!("m-{model}")),
                fingerprint: Some(format!("fp-{fingerprint}")),
            })
        };
        let reference = run(answers.len(), times + 1, answer);
        let drift = compare(&reference, &run(answers.len(), times, answer));
        prop_assert!(!drift.verdict.is_change(), "{:?}", drift);
    }

    /// What comes is read back as it was written.
    #[test]
    fn a_run_reads_back(texts in prop::collection::vec(".{0,20}", 1..5)) {
        let written = run(texts.len(), 2, |number| FixedAnswer::Said(said(&texts[number], true)));
        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<SentinelRun>(&json).unwrap(), written);
    }
}

/// A noisy model: each case has its own share of correct answers and its own few wordings, and
/// answers come from servers with three fingerprints.
fn noisy(random: &mut Random, times: usize, skill: f64) -> SentinelRun {
    run(12, times, |number| {
        let correct = random.unit() < (0.3 + 0.06 * number as f64) * skill;
        let wording = ["is", "may well be", "would have to be", "was, by all accounts,"];
        let wording = wording[random.index(1 + number % 4)];
        let text =
            format!("the answer {number} {wording} {}", if correct { "so" } else { "not so" });
        let fingerprint = ["fp_a", "fp_b", "fp_c"][random.index(3)].to_owned();
        FixedAnswer::Said(Said { fingerprint: Some(fingerprint), ..said(&text, correct) })
    })
}

/// The same noisy model over and over: no more alarms than alpha allows, also without asking
/// again, and fewer with it.
#[test]
fn noise_alarms_as_often_as_alpha_at_most() {
    const ROUNDS: u64 = 300;
    let (mut once, mut twice) = (0, 0);
    for round in 0..ROUNDS {
        let mut random = Random::nth(20_261_129, round);
        let reference = noisy(&mut random, 3, 1.0);
        if compare(&reference, &noisy(&mut random, 2, 1.0)).verdict.is_change() {
            once += 1;
            let again = compare(&reference, &noisy(&mut random, 2, 1.0));
            twice += u32::from(again.verdict.is_change());
        }
    }
    // Three standard errors above 300 x 0.01.
    assert!(once <= 8, "{once} of {ROUNDS}");
    assert!(twice <= 2, "{twice} of {ROUNDS}");
}

/// A model that is much worse is seen in most runs, though twelve noisy cases are few.
#[test]
fn a_worse_model_is_seen_through_the_noise() {
    let seen = (0..60_u64).filter(|round| {
        let mut random = Random::nth(20_261_130, *round);
        let reference = noisy(&mut random, 4, 1.3);
        compare(&reference, &noisy(&mut random, 3, 0.3)).verdict.is_change()
    });
    let seen = seen.count();
    assert!(seen >= 40, "{seen} of 60");
}
