//! What a set's id covers, on projects drawn at random: the content, all of what is served, and
//! nothing else. `keys` says the same of each key of the project file by itself.

use super::*;
use crate::config::load;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Map;
use tidegate_store::{Access, Sets as _, SqliteStore};

/// Any JSON value a person could write into a project file.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|n| json!(f64::from(n) / 8.0)),
        "[a-z客気 ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("x_[a-c]{1,2}", value, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

/// A project file whose open members hold anything, and its system prompt.
fn drawn() -> impl Strategy<Value = (Value, String)> {
    let free = (members(value()), members(value()), members(value()));
    let plain = (1_u64..60_000, 0_u64..9, prop::collection::vec("[A-Z]{9,12}", 0..3));
    (free, plain, "[a-z客気]{1,40}").prop_map(|(free, plain, system)| {
        let ((parameters, retrieval, note), (idle_ms, retries, planted)) = (free, plain);
        let yaml = json!({
            "service": "support",
            "upstreams": {"main": {"kind": "simulated", "seed": 3}},
            "artifacts": {
                "model": {"name": "m", "parameters": parameters},
                "index": {"version": "i1", "retrieval": retrieval, "send_as": "retrieval"},
            },
            "contract": {"output": {"type": "object", "x-note": note}, "stop_path": "the phone"},
            "limits": {"idle_ms": idle_ms, "retries": retries, "max_concurrent": 9},
            "risk": {"planted": planted},
            "release": {"alpha": 0.02},
            "records": {"retention_days": 3},
        });
        (yaml, system)
    })
}

/// The same value with the members of every object in another order.
fn shuffled(value: &Value, draws: &mut impl Iterator<Item = usize>) -> Value {
    match value {
        Value::Object(members) => {
            let mut left: Vec<_> = members.iter().collect();
            let mut out = Map::new();
            while !left.is_empty() {
                let (name, value) = left.swap_remove(draws.next().unwrap_or(0) % left.len());
                out.insert(name.clone(), shuffled(value, draws));
            }
            out.into()
        }
        Value::Array(items) => items.iter().map(|item| shuffled(item, draws)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Packs a project whose file is this text: JSON is YAML.
fn packed(text: &str, system: &str) -> (Project, PackedSet) {
    let project = Project::new();
    project.write("prompts/v1/system.md", system);
    project.write("tidegate.yaml", text);
    let loaded = load(&project.folder.path().join("tidegate.yaml")).unwrap();
    let packed = pack(&loaded, &PackOverrides::default()).unwrap();
    (project, packed)
}

/// What a release must carry.
const SERVED: [&str; 8] = [
    "/artifacts/model/name",
    "/artifacts/model/parameters",
    "/artifacts/index/version",
    "/artifacts/index/retrieval",
    "/contract/output/x-note",
    "/limits/idle_ms",
    "/risk/planted",
    "/upstreams/main/seed",
];
/// What only the process or the next release reads.
const NOT_SERVED: [&str; 4] =
    ["/limits/max_concurrent", "/contract/stop_path", "/release/alpha", "/records/retention_days"];

/// Another value of the same kind.
fn other(value: &Value, by: u16) -> Value {
    let by = u64::from(by) + 1;
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(number) => json!(number + by),
            None => json!(0.02 + by as f64 / 1e6),
        },
        Value::String(text) => json!(format!("{text}{by}")),
        Value::Array(items) => {
            let more = json!(format!("TG-CANARY-{by:05}"));
            items.iter().cloned().chain([more]).collect()
        }
        Value::Object(members) => {
            let mut members = members.clone();
            members.insert("x_more".to_owned(), json!(by));
            members.into()
        }
        Value::Null | Value::Bool(_) => panic!("{value} is at none of the places"),
    }
}

fn changed(yaml: &Value, at: &str, by: u16) -> String {
    let mut yaml = yaml.clone();
    let place = yaml.pointer_mut(at).unwrap();
    *place = other(place, by);
    yaml.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_keys_and_the_layout_change_nothing(
        (yaml, system) in drawn(),
        draws in prop::collection::vec(any::<usize>(), 40),
    ) {
        let again = shuffled(&yaml, &mut draws.into_iter());
        prop_assert_eq!(&again, &yaml);
        let (_, first) = packed(&yaml.to_string(), &system);
        let (_, second) = packed(&serde_json::to_string_pretty(&again).unwrap(), &system);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn what_is_packed_is_what_is_stored_and_served((yaml, system) in drawn()) {
        let (project, set) = packed(&yaml.to_string(), &system);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Access::Exclusive).unwrap();
        runtime.block_on(store.put_set(&set, UnixMs(1))).unwrap();
        let stored = store.set(&set.set.id).unwrap();
        prop_assert_eq!(&stored, &set);
        let live = project.live_of(&stored).unwrap();
        prop_assert_eq!(&live.set.id, &set.set.id);
        prop_assert_eq!(&live.detectors.system_prompt, &system);
        prop_assert_eq!(json!(live.detectors.planted), yaml["risk"]["planted"].clone());
        prop_assert_eq!(json!(live.limits.idle_ms), yaml["limits"]["idle_ms"].clone());
        let request = json!({"messages": [{"role": "user", "content": "hello"}]});
        let body = live.render(request.as_object().unwrap().clone(), None).unwrap().body;
        for (name, value) in yaml["artifacts"]["model"]["parameters"].as_object().unwrap() {
            prop_assert_eq!(&body[name], value);
        }
        for (name, value) in yaml["artifacts"]["index"]["retrieval"].as_object().unwrap() {
            prop_assert_eq!(&body["retrieval"][name], value);
        }
    }

    #[test]
    fn a_change_of_what_is_served_is_another_set_and_any_other_is_not(
        (yaml, system) in drawn(),
        served in any::<Index>(),
        not_served in any::<Index>(),
        by in any::<u16>(),
    ) {
        let id = |text: &str, system: &str| packed(text, system).1.set.id;
        let before = id(&yaml.to_string(), &system);
        let at = served.get(&SERVED);
        prop_assert_ne!(&id(&changed(&yaml, at, by), &system), &before, "{}", at);
        prop_assert_ne!(&id(&yaml.to_string(), &format!("{system}.")), &before);
        let at = not_served.get(&NOT_SERVED);
        prop_assert_eq!(&id(&changed(&yaml, at, by % 900), &system), &before, "{}", at);
    }
}
