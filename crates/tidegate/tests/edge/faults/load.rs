//! More of everything than there is room for: requests, connections, time.

use super::asking::{Asked, Client, Front, Service};
use super::fault::Fault;
use crate::client::{self, CHAT, request};
use serde_json::json;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Requests in flight at a time, in the tests of overload.
const PERMITS: usize = 8;
/// How long the model server takes then, ms.
const WORK_MS: u64 = 100;

/// What came of the requests of some time.
#[derive(Default)]
struct Load {
    answered: u64,
    /// How long each refusal took.
    shed: Vec<Duration>,
}

/// Clients that ask for so long; whoever is refused asks again after the time of an answer, which
/// is less than is asked for.
fn load(front: &Front, clients: usize, lasts: Duration) -> Load {
    let all = Mutex::new(Load::default());
    let until = Instant::now() + lasts;
    std::thread::scope(|scope| {
        for client in 0..clients {
            let all = &all;
            scope.spawn(move || {
                let body = json!({"messages": [{"role": "user", "content": "hi"}],
                                  "user": format!("user-{client}"),
                                  "x_fault": Fault::Slow(WORK_MS)});
                let bytes = request("POST", CHAT, "", body.to_string().as_bytes());
                while Instant::now() < until {
                    let asked = Instant::now();
                    let answer = client::open(front.address, &bytes).unwrap().finish().unwrap();
                    if answer.status == 200 {
                        all.lock().unwrap().answered += 1;
                        continue;
                    }
                    answer.check_error(503, "overloaded", &[]);
                    assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
                    all.lock().unwrap().shed.push(asked.elapsed());
                    std::thread::sleep(Duration::from_millis(WORK_MS));
                }
            });
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn ten_times_too_many_requests_leave_the_answers_that_there_is_room_for() {
    let limits = format!("  max_concurrent: {PERMITS}\n  queue_ms: 40\n");
    let service = Service::start(&limits);
    let front = service.front();
    let lasts = Duration::from_millis(1_000);
    let alone = load(&front, PERMITS, lasts);
    assert!(alone.shed.is_empty(), "{} of as many as there is room for", alone.shed.len());
    let before = service.memory_kib();
    // Each takes a place, or comes again as soon as one would be done.
    let mut crowded = load(&front, 10 * PERMITS, lasts);
    let more = service.memory_kib().saturating_sub(before);
    crowded.shed.sort();
    let shed = crowded.shed.len();
    assert!(shed as u64 > 3 * crowded.answered, "{shed} shed, {} answered", crowded.answered);
    println!(
        "{} answers of as many clients as there is room for, {} of ten times as many; {shed} shed \
         after {:?} (median), {:?} (99 %); {more} KiB more",
        alone.answered,
        crowded.answered,
        crowded.shed[shed / 2],
        crowded.shed[shed * 99 / 100],
    );
    // 90 % and more on a quiet machine; others may be busy on this one.
    assert!(crowded.answered * 2 >= alone.answered, "{} of {}", crowded.answered, alone.answered);
    assert!(more < 32 * 1024, "{more} KiB");
    // It is over once they are gone.
    let asked = |n: usize| Asked {
        trace: format!("after-{n}"),
        fault: Fault::None,
        stream: false,
        client: Client::Reads,
    };
    let after: Vec<Asked> = (0..20).map(asked).collect();
    front.ask_all(&after, PERMITS);
    let records = service.stop();
    let refused = records.values().filter(|record| record.failure.is_some()).count();
    assert_eq!(refused, 0, "what is shed is no failure of an arm");
    assert_eq!(records.len() as u64, alone.answered + crowded.answered + 20);
}
