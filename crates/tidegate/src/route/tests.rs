use super::*;
use crate::cli::init::init;
use crate::clock::Clock;
use crate::config::load;
use crate::version_set::{PackOverrides, pack};
use proptest::prelude::*;
use std::sync::LazyLock;
use tidegate_core::ids::ChangeId;
use tidegate_core::route::{Audience, Split, Weight};

/// The sets of two prompts.
static SETS: LazyLock<[Arc<LiveSet>; 2]> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("desk");
    init(&root, false).unwrap();
    let loaded = load(&root.join("tidegate.yaml")).unwrap();
    ["v1", "v2"].map(|prompt| {
        let prompt = Some(prompt.to_owned());
        let packed = pack(&loaded, &PackOverrides { prompt, ..Default::default() }).unwrap();
        Arc::new(LiveSet::new(&packed, &root, &Clock::Real).unwrap())
    })
});

#[derive(Debug, Clone)]
enum Step {
    /// A table that control decided on: who is stable, the candidate's weight, the entrance.
    Swap {
        promoted: bool,
        weight: Option<f64>,
        closed: bool,
        newer: bool,
    },
    Retreat {
        closed: bool,
    },
    Open,
    Settled,
}

fn step() -> impl Strategy<Value = Step> {
    let weight = prop::option::of(prop::sample::select(vec![1.0, 10.0, 100.0]));
    let swap = (any::<bool>(), weight, any::<bool>(), prop::bool::weighted(0.8));
    prop_oneof![
        6 => swap.prop_map(|(promoted, weight, closed, newer)| {
            Step::Swap { promoted, weight, closed, newer }
        }),
        2 => any::<bool>().prop_map(|closed| Step::Retreat { closed }),
        1 => Just(Step::Open),
        1 => Just(Step::Settled),
    ]
}

fn table(generation: Generation, step: &Step) -> Option<LiveTable> {
    let Step::Swap { promoted, weight, closed, newer } = step else { return None };
    let [from, to] = &*SETS;
    let stable = if *promoted { to } else { from };
    let mut table = Table::first(stable.set.id.clone());
    table.generation = if *newer { generation.next() } else { generation };
    let weight = weight.filter(|_| !promoted);
    table.split = weight.map(|pct| Split {
        change_id: ChangeId::parse("prompt-v2-a1b2c").unwrap(),
        candidate: to.set.id.clone(),
        weight: Weight::from_pct(pct).unwrap(),
        salt: "salt".to_owned(),
        audience: Audience::Users,
    });
    if *closed {
        table.entrance = Entrance::Closed { reason: "red line".to_owned() };
    }
    Some(LiveTable { candidate: weight.map(|_| Arc::clone(to)), stable: Arc::clone(stable), table })
}

proptest! {
    /// From a retreat until the journal has it no table brings the candidate back, as either arm;
    /// the entrance stays as it was put; stable is always ready; generations only rise.
    #[test]
    fn inv5_inv10_what_is_held_bends_every_table(steps in prop::collection::vec(step(), 0..40)) {
        let [from, to] = &*SETS;
        let first = LiveTable {
            table: Table::first(from.set.id.clone()),
            stable: Arc::clone(from),
            candidate: None,
        };
        let router = Router::new(first);
        let (mut out, mut entrance) = (false, None);
        for step in steps {
            let before = router.load().table.generation;
            match &step {
                Step::Swap { newer, .. } => {
                    let swapped = router.swap(table(before, &step).unwrap());
                    prop_assert_eq!(swapped.is_ok(), *newer, "a stale table is refused");
                }
                Step::Retreat { closed } => {
                    let closed = closed.then_some("black");
                    router.retreat(&to.set.id, Some(Arc::clone(from)), closed);
                    out = true;
                    entrance = closed.map(|_| true).or(entrance);
                }
                Step::Open => {
                    router.open_entrance();
                    entrance = Some(false);
                }
                Step::Settled => {
                    router.settled();
                    (out, entrance) = (false, None);
                }
            }
            let live = router.load();
            prop_assert!(live.table.generation >= before);
            prop_assert_eq!(&live.stable.set.id, &live.table.stable);
            prop_assert_eq!(live.table.split.is_some(), live.candidate.is_some());
            for arm in [Arm::Stable, Arm::Candidate] {
                let (_, set) = live.set(arm);
                prop_assert!(!out || set.set.id == from.set.id, "{arm:?} is back after {step:?}");
            }
            let is_shut = matches!(live.table.entrance, Entrance::Closed { .. });
            prop_assert!(entrance.is_none_or(|shut| shut == is_shut), "{step:?}");
        }
    }
}
