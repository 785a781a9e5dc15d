//! Requests while the candidate changes hands: nobody notices a switch, a candidate that fails in
//! whatever way is taken back, and what both arms share is no verdict on it.

use super::asking::{Asked, Client, Front, Service};
use super::fault::Fault;
use crate::client::{self, CHAT, get, request};
use crate::dice::{Dice, setting};
use crate::project::wait_for;
use crate::upstream::CASES;
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A release whose first rung is this, and which does not move by passing looks.
fn releasing(weight_pct: u32, look_s: f64) -> Service {
    let service = Service::start(&format!(
        "release:\n  rungs:\n    - {{weight_pct: {weight_pct}, look_s: {look_s}}}\n    \
         - {{weight_pct: 100, look_s: {look_s}}}\n  tick_ms: 50\n  min_samples: 20\nlines:\n  \
         error_rate: {{pass: 0.0, pause: 0.2, rollback: 0.3}}\n  \
         latency_p95: {{off: true}}\n  timeout_rate: {{off: true}}\n  \
         tokens_per_request: {{off: true}}\n"
    ));
    let project = &service.project;
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    service
}

fn start(service: &Service) {
    // Each release that ends adds its cases.
    service.project.run(&["eval", "--model", "m2"]).exits(0);
    let start = ["release", "start", "--model", "m2", "--override", "--no-smoke"];
    let order = [&start[..], &["--by", "mei", "--reason", "for the test"]].concat();
    service.project.run(&order).exits(0);
}

/// What follows a release is done: its cases and its pack are written.
fn settled(service: &Service) {
    wait_for("the pack", || {
        let status = service.project.run(&["release", "status", "--json"]).exits(0).json();
        status["release"]["pack"]["path"].as_str().map(|_| ())
    });
}

/// The bytes of a user's request.
fn from_user(user: &str, stream: bool, fault: Option<Fault>) -> Vec<u8> {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}], "user": user,
                          "stream": stream});
    if let Some(fault) = fault {
        body["x_fault"] = json!(fault);
    }
    request("POST", CHAT, "", body.to_string().as_bytes())
}

/// What a user is answered, and by which arm.
fn ask(front: &Front, user: &str, stream: bool, fault: Option<Fault>) -> (client::Answer, bool) {
    let bytes = from_user(user, stream, fault);
    let answer = client::open(front.address, &bytes).and_then(client::Open::finish).unwrap();
    let is_candidate = answer.header("x-tidegate-arm") == "candidate";
    (answer, is_candidate)
}

/// Streams of as many users at once, whose first piece is here; they go on for a second.
fn open_streams(front: &Front, name: &str, users: u64) -> Vec<client::Open> {
    let open = |user: u64| {
        let bytes = from_user(&format!("{name}-{user}"), true, Some(Fault::Paced(150)));
        client::open(front.address, &bytes).unwrap()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..users).map(|user| scope.spawn(move || open(user))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// It is over when this is dropped, also where a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Users who ask until it is over, each once; every answer must be whole.
fn crowd(front: &Front, over: &AtomicBool, count: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let fault = match number % 4 {
            0 => Fault::Slow(number % 20),
            1 => Fault::ThenCloses(number % 3),
            _ => Fault::None,
        };
        let (trace, stream) = (format!("crowd-{number}"), number.is_multiple_of(2));
        front.ask(&Asked { trace, fault, stream, client: Client::Reads });
        // Room for the commands beside them.
        sleep(Duration::from_millis(4));
    }
}

/// `TIDEGATE_FAULT_SWITCHES` makes it longer, `TIDEGATE_FAULT_CROWD` larger.
#[test]
fn nobody_notices_a_rollback_and_streams_of_the_candidate_end_on_it() {
    let switches = setting("TIDEGATE_FAULT_SWITCHES", 2);
    let service = releasing(60, 3600.0);
    let front = service.front();
    let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut on_candidate = 0;
    std::thread::scope(|scope| {
        for _ in 0..setting("TIDEGATE_FAULT_CROWD", 2) {
            scope.spawn(|| crowd(&front, &over, &count));
        }
        let _ends = Ends(&over);
        for number in 0..switches {
            start(&service);
            let streams = open_streams(&front, &number.to_string(), 20);
            let order = ["rollback", "--by", "mei", "--reason", "for the test"];
            service.project.run(&order).exits(0);
            for user in 0..20 {
                let (answer, is_candidate) = ask(&front, &format!("{number}-{user}"), false, None);
                assert!(!is_candidate && answer.status == 200, "after the rollback: {answer:?}");
            }
            for stream in streams {
                let answer = stream.finish().unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
                on_candidate += u64::from(answer.header("x-tidegate-arm") == "candidate");
            }
            settled(&service);
        }
    });
    let count = count.load(Ordering::Relaxed);
    println!(
        "{switches} rollbacks, {count} requests beside them and {on_candidate} streams of the \
         candidate in the middle of one, none failed"
    );
    assert!(on_candidate > 3 * switches, "{on_candidate}");
    let records = service.stop();
    let failed: Vec<_> = records.values().filter(|record| record.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    // Each asks once, twice where the stream and the request after it are of one user.
    assert_eq!(records.len() as u64, count + 40 * switches);
}

/// Asks until no user is on the candidate; gives how many answers its users saw fail, and how long
/// it took.
fn until_taken_back(front: &Front, stream: bool) -> (u64, Duration) {
    let (began, failed) = (Instant::now(), AtomicU64::new(0));
    let next = AtomicU64::new(0);
    let of_candidate = Mutex::new(Instant::now());
    let is_over = || of_candidate.lock().unwrap().elapsed() > Duration::from_millis(500);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over() {
                    assert!(began.elapsed() < Duration::from_secs(300), "it is not taken back");
                    let user = format!("user-{}", next.fetch_add(1, Ordering::Relaxed));
                    let (answer, is_candidate) = ask(front, &user, stream, None);
                    if is_candidate {
                        *of_candidate.lock().unwrap() = Instant::now();
                        let is_whole = answer.status == 200 && !answer.body.contains("\"error\"");
                        failed.fetch_add(u64::from(!is_whole), Ordering::Relaxed);
                    } else {
                        assert_eq!(answer.status, 200, "stable: {answer:?}");
                    }
                }
            });
        }
    });
    let took = of_candidate.lock().unwrap().duration_since(began);
    (failed.load(Ordering::Relaxed), took)
}

/// `TIDEGATE_FAULT_CANDIDATES` makes it longer, to all eleven ways.
#[test]
fn a_candidate_that_fails_in_whatever_way_is_taken_back_by_itself() {
    let seed = setting("TIDEGATE_FAULT_SEED", 0x7164_6567);
    let mut ways = vec![
        (Fault::Status(500), false),
        (Fault::Status(529), true),
        (Fault::Cut(3), true),
        (Fault::Unended(5), true),
        (Fault::NoJson(2), true),
        (Fault::Error(1), true),
        (Fault::Html, false),
        (Fault::NoText, false),
        (Fault::Close, false),
        (Fault::RateLimited(60), false),
        (Fault::Account, false),
    ];
    let count = setting("TIDEGATE_FAULT_CANDIDATES", 2) as usize;
    println!("TIDEGATE_FAULT_SEED={seed} takes the same {count} ways");
    let mut dice = Dice::new(seed);
    let service = releasing(60, 3600.0);
    let front = service.front();
    for _ in 0..count.min(ways.len()) {
        let (fault, stream) = ways.swap_remove(dice.below(ways.len() as u64) as usize);
        start(&service);
        front.model.fails_as_m2(Some(fault));
        let (failed, took) = until_taken_back(&front, stream);
        service.project.wait_for_phase("rolled_back");
        println!(
            "{fault:?}: taken back after {took:?}, {failed} answers failed, {} tries",
            front.model.failed_by_m2(),
        );
        front.model.fails_as_m2(None);
        settled(&service);
    }
}

/// What both arms meet is no verdict on the candidate. `TIDEGATE_FAULT_SHARED` makes it longer.
#[test]
fn a_rate_limit_that_both_arms_meet_takes_nothing_back() {
    let count = setting("TIDEGATE_FAULT_SHARED", 600);
    let service = releasing(50, 3600.0);
    let front = service.front();
    start(&service);
    let (next, limited) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (next, limited, front) = (&next, &limited, &front);
            scope.spawn(move || {
                let mut dice = Dice::new(thread);
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let is_limited = dice.below(10) < 3;
                    let fault = is_limited.then_some(Fault::RateLimited(60));
                    let user = format!("user-{thread}-{}", dice.below(1 << 30));
                    let (answer, _) = ask(front, &user, false, fault);
                    assert_eq!(answer.status, if is_limited { 429 } else { 200 }, "{answer:?}");
                    limited.fetch_add(u64::from(is_limited), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(service.project.phase(), "running");
    println!("{count} requests, {limited:?} limited, the release runs on");
}

#[test]
fn a_candidate_that_is_asked_nothing_does_not_climb() {
    let service = releasing(20, 0.1);
    let front = service.front();
    start(&service);
    let weight = || {
        let page = get(front.address, "/metrics", "").unwrap().body;
        let line = page.lines().find_map(|l| l.strip_prefix("tidegate_release_weight_pct "));
        line.unwrap().parse::<f64>().unwrap()
    };
    wait_for("the first rung", || (weight() > 0.0).then_some(()));
    let first = weight();
    // A picture from nobody in particular stays on stable, look after look.
    let picture =
        json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    let body = json!({ "messages": [{ "role": "user", "content": [picture] }] });
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        let answer = client::post(front.address, CHAT, &body).unwrap();
        assert_eq!((answer.status, answer.header("x-tidegate-arm")), (200, "stable"), "{answer:?}");
    }
    assert_eq!((weight(), service.project.phase().as_str()), (first, "running"));
}

#[test]
fn no_gate_passes_on_answers_that_break_or_never_come() {
    let service = releasing(20, 3600.0);
    let front = service.front();
    let project = &service.project;
    project.edit("tidegate.yaml", "limits:\n", "limits:\n  first_byte_ms: 300\n");
    for fault in [Fault::CutGzip, Fault::Silent(0)] {
        front.model.fails_as_m2(Some(fault));
        let eval = project.run(&["eval", "--model", "m2"]);
        assert!([1, 3].contains(&eval.code), "{fault:?}: {eval:?}");
        let start = project.run(&["release", "start", "--model", "m2", "--no-smoke"]);
        assert_eq!(start.code, 1, "{fault:?}: {start:?}");
    }
    front.model.fails_as_m2(None);
    assert_eq!(project.phase(), "none");
}

#[test]
fn streams_that_run_when_the_server_is_stopped_end_whole() {
    let service = Service::start("");
    let streams = open_streams(&service.front(), "user", 50);
    let reading = std::thread::spawn(move || {
        for stream in streams {
            let answer = stream.finish().unwrap();
            assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"), "{answer:?}");
        }
    });
    let records = service.stop();
    reading.join().unwrap();
    let failed: Vec<_> = records.values().filter(|record| record.failure.is_some()).collect();
    assert!(failed.is_empty() && records.len() == 50, "{} {failed:?}", records.len());
}
