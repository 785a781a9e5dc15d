//! What clients and model servers send, damaged: every golden input of every pair, with bytes
//! changed, left out, doubled and moved, with huge numbers, other types and deep nesting, goes
//! through every translation. Each gives bytes that its own reader reads, or a named problem.

#[cfg(test)]
#[path = "../../../fuzz/src/wire.rs"]
mod targets;

#[cfg(test)]
mod tests {
    use super::targets;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use std::fs;
    use std::path::Path;

    fn inputs() -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "in") {
                    found.push(fs::read(path).unwrap());
                }
            }
        }
        found.sort();
        assert!(found.len() > 80, "{}", found.len());
        found
    }

    /// One way to damage bytes.
    #[derive(Debug, Clone)]
    enum Damage {
        Change(Index, u8),
        Cut(Index, Index),
        Double(Index, Index),
        Value(Index, &'static str),
        Deep(Index),
        End(Index),
    }

    fn damage() -> impl Strategy<Value = Damage> {
        let at = any::<Index>;
        let value = prop::sample::select(vec![
            "null",
            "7",
            "-1",
            "1e999",
            "18446744073709551617",
            "\"x\"",
            "[]",
            "{}",
            "[{}]",
            "true",
            "\"\\ud83d\"",
            "{\"type\":\"text\",\"text\":7}",
        ]);
        prop_oneof![
            1 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
            1 => (at(), at()).prop_map(|(from, to)| Damage::Cut(from, to)),
            1 => (at(), at()).prop_map(|(from, to)| Damage::Double(from, to)),
            4 => (at(), value).prop_map(|(at, value)| Damage::Value(at, value)),
            1 => at().prop_map(Damage::Deep),
            1 => at().prop_map(Damage::End),
        ]
    }

    /// Where values of members begin.
    fn values(bytes: &[u8]) -> Vec<usize> {
        (1..bytes.len()).filter(|at| bytes[at - 1] == b':').collect()
    }

    fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
        if bytes.is_empty() {
            return;
        }
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            from.min(to)..from.max(to).min(from.min(to) + 200)
        };
        match damage {
            Damage::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Cut(from, to) => drop(bytes.drain(range(from, to))),
            Damage::Double(from, to) => {
                let range = range(from, to);
                let copy = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, copy);
            }
            Damage::Value(at, value) => {
                let places = values(bytes);
                if !places.is_empty() {
                    let from = places[at.index(places.len())];
                    let rest = &bytes[from..];
                    let end = rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b'\n'));
                    bytes.splice(from..from + end.unwrap_or(0), value.bytes());
                }
            }
            Damage::Deep(at) => {
                let deep = [b"[".repeat(5_000), b"]".repeat(5_000)].concat();
                let places = values(bytes);
                if !places.is_empty() {
                    let from = places[at.index(places.len())];
                    bytes.splice(from..from, deep);
                }
            }
            Damage::End(at) => bytes.truncate(at.index(bytes.len())),
        }
    }

    /// The corpus of libFuzzer: what it found once.
    #[test]
    fn the_corpus_holds() {
        for (name, target) in targets::TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
            let found: Vec<_> = fs::read_dir(&folder).unwrap().collect();
            assert!(!found.is_empty(), "{}", folder.display());
            found.into_iter().for_each(|file| target(&fs::read(file.unwrap().path()).unwrap()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn damage_is_a_problem_and_never_a_panic(
            case in any::<Index>(),
            damages in prop::collection::vec(damage(), 0..4),
        ) {
            let inputs = inputs();
            let mut bytes = inputs[case.index(inputs.len())].clone();
            damages.iter().for_each(|damage| apply(&mut bytes, damage));
            for (_, target) in targets::TARGETS {
                target(&bytes);
            }
        }
    }
}
