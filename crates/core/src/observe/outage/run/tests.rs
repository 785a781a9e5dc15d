use super::*;
use crate::observe::Outcome;
use proptest::prelude::*;

/// A log with its clock.
struct Feed {
    log: OutageLog,
    now: UnixMs,
    n: u64,
}

impl Feed {
    fn new() -> Feed {
        Feed { log: OutageLog::default(), now: UnixMs(1_000_000_000), n: 0 }
    }

    fn one(&mut self, failure: Option<Failure>, said: &str, every_ms: u64) {
        self.now.0 += every_ms;
        self.n += 1;
        let n = self.n;
        self.log.add(&Outcome { failure, ..Outcome::default() }, self.now, || FailedRequest {
            trace_id: TraceId::parse(&format!("t-{n}")).unwrap(),
            set: VersionSetId::parse("vs-000000000001").unwrap(),
            upstream: "main".to_owned(),
            said: (!said.is_empty()).then(|| said.to_owned()),
        });
    }

    fn many(&mut self, count: u64, failure: Option<Failure>, every_ms: u64) {
        (0..count).for_each(|_| self.one(failure, "", every_ms));
    }

    fn run(&self) -> &OutageRun {
        self.log.run().unwrap()
    }
}

const DOWN: Option<Failure> = Some(Failure::Unreachable);

#[test]
fn an_outage_is_kept_from_its_first_failure_to_its_end() {
    let mut feed = Feed::new();
    feed.many(20, None, 100);
    assert_eq!(feed.log.run(), None);
    feed.one(Some(Failure::AccountLimit), "no balance", 100);
    let first = feed.now;
    (0..30).for_each(|n| feed.one(Some(Failure::AccountLimit), &format!("no {}", n % 7), 100));
    feed.many(5, DOWN, 100);
    let run = feed.run().clone();
    assert!(run.since <= first && first.since(run.since) < 1_000, "{run:?}");
    assert_eq!((run.failure(), run.failed(), run.requests), (Failure::AccountLimit, 36, 37));
    assert_eq!(run.failures[&Failure::Unreachable], 5);
    assert_eq!(run.said, ["no balance", "no 0", "no 1", "no 2", "no 3"]);
    assert_eq!((run.traces.len(), run.traces[0].as_str()), (20, "t-21"));
    assert_eq!((run.last_failed_at, run.ended_at), (feed.now, None));
    feed.many(400, None, 100);
    let run = feed.run().clone();
    let ended_at = run.ended_at.unwrap();
    assert!(run.is_over(ended_at) && run.lasted_ms(feed.now) < 40_000, "{run:?}");
    // What comes after its end is none of it.
    feed.many(100, None, 100);
    assert_eq!(*feed.run(), run);
}

#[test]
fn a_clients_fault_and_a_stop_are_no_failures_of_it() {
    let mut feed = Feed::new();
    feed.many(9, DOWN, 100);
    let before = feed.run().clone();
    feed.many(50, Some(Failure::ClientGone), 100);
    feed.many(50, Some(Failure::ServerStopping), 100);
    assert_eq!(*feed.run(), before);
}

#[test]
fn one_that_comes_again_within_ten_minutes_is_the_same() {
    let mut feed = Feed::new();
    feed.many(10, DOWN, 100);
    feed.many(400, None, 100);
    let first = feed.run().clone();
    assert!(first.is_over(feed.now));
    feed.now.0 += 300_000;
    feed.many(10, DOWN, 100);
    let again = feed.run().clone();
    assert_eq!((again.since, again.came_again, again.ended_at), (first.since, 1, None));
    assert_eq!(again.failed(), 20);
    feed.many(400, None, 100);
    // Its second end has to hold for a minute.
    let ended_at = feed.run().ended_at.unwrap();
    assert!(!feed.run().is_over(UnixMs(ended_at.0 + 59_999)));
    assert!(feed.run().is_over(UnixMs(ended_at.0 + 60_000)));
    feed.now.0 += 600_000;
    feed.many(10, DOWN, 100);
    assert!(feed.run().since > ended_at && feed.run().came_again == 0, "{:?}", feed.run());
}

#[test]
fn a_process_goes_on_from_what_the_one_before_it_saw() {
    let mut feed = Feed::new();
    feed.many(10, DOWN, 100);
    let before = feed.run().clone();
    let resumed = || {
        let mut next = Feed::new();
        next.now.0 = feed.now.0 + 5_000;
        next.log.resume(before.clone());
        next
    };
    let mut lasts = resumed();
    lasts.many(10, DOWN, 100);
    assert_eq!((lasts.run().since, lasts.run().failed()), (before.since, 20));
    assert_eq!(lasts.run().came_again, 0);
    let mut over = resumed();
    over.many(4, None, 100);
    assert_eq!(over.run().ended_at, None, "four answers prove nothing");
    over.one(None, "", 100);
    assert_eq!(over.run().ended_at, Some(over.now));
}

proptest! {
    /// Whatever comes, what is kept of it is bounded, and it counts at least as many requests as
    /// failures, all between its beginning and its end.
    #[test]
    fn a_run_is_bounded_and_adds_up(
        requests in prop::collection::vec((0_u64..40_000, 0..4_u8), 1..400),
    ) {
        let mut feed = Feed::new();
        for (after, kind) in requests {
            let failure = [None, None, DOWN, Some(Failure::ServerError)][usize::from(kind)];
            let said = format!("said {}", feed.n % 9);
            feed.one(failure, &said, after);
            let Some(run) = feed.log.run() else { continue };
            prop_assert!(run.failed() > 0 && run.failed() <= run.requests);
            prop_assert!(run.since <= run.last_failed_at && run.last_failed_at <= feed.now);
            prop_assert!(run.ended_at.is_none_or(|at| at >= run.last_failed_at));
            prop_assert!(run.said.len() <= SAID_MAX && run.traces.len() <= TRACES_MAX);
            // The watch and the log agree on whether it lasts.
            prop_assert_eq!(run.ended_at.is_none(), feed.log.outage().is_some());
        }
    }
}
