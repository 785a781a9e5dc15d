use super::*;
use Priority::{High, Low, Normal};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Step {
    Come(Priority, u8),
    Done,
    Leave(prop::sample::Index),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.as_slice())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // One who comes more often than all others together.
        4 => priority().prop_map(|priority| Step::Come(priority, 0)),
        3 => (priority(), 1u8..5).prop_map(|(priority, who)| Step::Come(priority, who)),
        5 => Just(Step::Done),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    /// No more run than there are places, no place is free while somebody waits, no more wait
    /// than may, each line is in order, the higher priority is served first and the lowest makes
    /// way first, and every ticket has one fate.
    #[test]
    fn every_ticket_has_one_fate(steps in steps(), places in 1usize..4, most in 0usize..6) {
        let mut turns = Turns::new(places, most);
        let (mut running, mut next) = (0, 0_u64);
        let mut waits: BTreeSet<(Priority, u8, u64)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Come(priority, who) => {
                    let ticket = (priority, who, next);
                    next += 1;
                    if turns.take() {
                        prop_assert!(waits.is_empty());
                        running += 1;
                        continue;
                    }
                    let lowest = waits.iter().map(|it| it.0).min();
                    match turns.wait((priority, &who), ticket) {
                        Ok(out) => {
                            prop_assert_eq!(out.is_some(), waits.len() == most);
                            if let Some((of, out)) = out {
                                prop_assert!(waits.remove(&out) && of == out.0);
                                prop_assert!(Some(of) == lowest && of <= priority);
                                prop_assert!(of < priority || out.1 != who);
                                // The newest of its line.
                                prop_assert!(!waits.iter().any(|it| it.1 == out.1 && it.0 == of
                                    && it.2 > out.2));
                            }
                            waits.insert(ticket);
                        }
                        Err(back) => {
                            prop_assert_eq!(back, ticket);
                            prop_assert!(lowest.is_none_or(|lowest| lowest >= priority));
                        }
                    }
                }
                Step::Done if running > 0 => match turns.done() {
                    Some(ticket) => {
                        let highest = waits.iter().map(|it| it.0).max();
                        prop_assert_eq!(Some(ticket.0), highest);
                        let first = waits.range((ticket.0, ticket.1, 0)..).next().copied();
                        prop_assert_eq!(first, Some(ticket));
                        waits.remove(&ticket);
                    }
                    None => {
                        prop_assert!(waits.is_empty());
                        running -= 1;
                    }
                },
                Step::Done => {}
                Step::Leave(which) => {
                    let Some(ticket) = waits.iter().nth(which.index(waits.len().max(1))) else {
                        continue;
                    };
                    let ticket = *ticket;
                    prop_assert!(turns.leave((ticket.0, &ticket.1), |other| *other == ticket));
                    prop_assert!(!turns.leave((ticket.0, &ticket.1), |other| *other == ticket));
                    waits.remove(&ticket);
                }
            }
            prop_assert!(running <= places && turns.waiting() == waits.len());
            prop_assert!(waits.len() <= most && (waits.is_empty() || running == places));
        }
    }

    /// Among those who always have somebody in line, places go round, whatever the length of
    /// their lines.
    #[test]
    fn places_go_round(
        lines in prop::collection::vec(1usize..40, 1..6),
        served in 1usize..60,
        priority in priority(),
    ) {
        let mut turns = Turns::new(1, 1_000);
        prop_assert!(turns.take());
        for (who, length) in lines.iter().enumerate() {
            for _ in 0..*length {
                prop_assert!(turns.wait((priority, &who), who).is_ok());
            }
        }
        let mut got = vec![0; lines.len()];
        for _ in 0..served {
            if let Some(who) = turns.done() {
                got[who] += 1;
            }
        }
        for (mine, length) in got.iter().zip(&lines) {
            let most = got.iter().max().copied().unwrap_or(0);
            prop_assert!(*mine == *length || *mine + 1 >= most, "{got:?} of {lines:?}");
        }
    }

    /// Whoever has one request in line is served within as many turns as there are others of its
    /// priority, and makes way to none of them, however much these and lower ones send.
    #[test]
    fn nobody_of_the_same_or_a_lower_priority_starves_a_request(
        mine in priority(),
        floods in prop::collection::vec((priority(), 1u8..5, 1usize..6), 1..40),
        room in 6usize..20,
    ) {
        let mut turns = Turns::new(1, room);
        prop_assert!(turns.take());
        let flood = |turns: &mut Turns<u8, u8>, (of, who, count): &(Priority, u8, usize)| {
            for _ in 0..*count {
                // What has no room is refused, and that is no matter here.
                let out = turns.wait(((*of).min(mine), who), *who);
                if let Ok(Some((_, out))) = out {
                    assert_ne!(out, 0, "it made way");
                }
            }
        };
        floods.iter().for_each(|it| flood(&mut turns, it));
        prop_assert!(turns.wait((mine, &0), 0).is_ok(), "a line that is full makes room");
        let mut turns_left = 5;
        loop {
            floods.iter().for_each(|it| flood(&mut turns, it));
            turns_left -= 1;
            match turns.done() {
                Some(0) => break,
                served => prop_assert!(served.is_some() && turns_left > 0, "{served:?}"),
            }
        }
    }
}

#[test]
fn a_flood_makes_way_for_who_has_nobody_in_line() {
    let mut turns = Turns::new(1, 3);
    let of = |who| (Normal, who);
    assert!(turns.take());
    for ticket in ["a1", "a2", "a3"] {
        assert_eq!(turns.wait(of(&"a"), ticket), Ok(None));
    }
    assert_eq!(turns.wait(of(&"a"), "a4"), Err("a4"), "its own line is the longest");
    assert_eq!(turns.wait(of(&"b"), "b1"), Ok(Some((Normal, "a3"))));
    assert_eq!(turns.wait(of(&"b"), "b2"), Err("b2"), "both would be as long");
    assert_eq!([turns.done(), turns.done()], [Some("a1"), Some("b1")]);
    assert_eq!([turns.done(), turns.done()], [Some("a2"), None]);
    assert!(turns.take());
}

#[test]
fn the_higher_priority_is_served_first_and_the_lowest_makes_way_first() {
    let mut turns = Turns::new(1, 3);
    assert!(turns.take());
    assert_eq!(turns.wait((Low, &"batch"), "l1"), Ok(None));
    assert_eq!(turns.wait((Low, &"batch"), "l2"), Ok(None));
    assert_eq!(turns.wait((Normal, &"web"), "n1"), Ok(None));
    assert_eq!(turns.wait((High, &"desk"), "h1"), Ok(Some((Low, "l2"))));
    assert_eq!(turns.wait((Normal, &"web"), "n2"), Ok(Some((Low, "l1"))));
    assert_eq!(turns.wait((Low, &"other"), "l3"), Err("l3"), "all others are higher");
    assert_eq!(turns.wait((Normal, &"web"), "n3"), Err("n3"), "its own line is the longest");
    assert_eq!(turns.wait((High, &"desk"), "h2"), Ok(Some((Normal, "n2"))));
    assert_eq!(turns.waiting_by_priority(), [2, 1, 0]);
    assert_eq!([turns.done(), turns.done(), turns.done()], [Some("h1"), Some("h2"), Some("n1")]);
}
