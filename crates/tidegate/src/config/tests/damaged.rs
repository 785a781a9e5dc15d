//! Project files that are damaged: read, or refused with their place; never a panic.

use super::read;
use proptest::prelude::*;
use proptest::sample::Index;

/// Files that people begin with.
const FILES: [&str; 2] = [
    include_str!("../../../templates/tidegate.yaml"),
    include_str!("../../../../../examples/support-desk/tidegate.yaml"),
];

/// Values that no key expects, or only one does.
const VALUES: [&str; 14] = [
    "null",
    "-1",
    "1e999",
    ".nan",
    "18446744073709551617",
    "\"\"",
    "[]",
    "{}",
    "[{}]",
    "*a",
    "&a [*a]",
    "!!binary x",
    "${NAME}",
    "|\n  - 退",
];

/// One way to damage a file, by lines: the first index is the line's.
#[derive(Debug, Clone)]
enum Damage {
    Drop(Index),
    Double(Index),
    Swap(Index, Index),
    Indent(Index),
    Value(Index, Index),
    Change(Index, Index, char),
    End(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Drop),
        1 => at().prop_map(Damage::Double),
        1 => (at(), at()).prop_map(|(a, b)| Damage::Swap(a, b)),
        1 => at().prop_map(Damage::Indent),
        4 => (at(), at()).prop_map(|(line, value)| Damage::Value(line, value)),
        2 => (at(), at(), any::<char>()).prop_map(|(line, at, c)| Damage::Change(line, at, c)),
        1 => (at(), at()).prop_map(|(line, at)| Damage::End(line, at)),
    ]
}

fn apply(lines: &mut Vec<String>, damage: &Damage) {
    if lines.is_empty() {
        return;
    }
    let of = |at: &Index| at.index(lines.len());
    match damage {
        Damage::Drop(at) => drop(lines.remove(of(at))),
        Damage::Double(at) => lines.insert(of(at), lines[of(at)].clone()),
        Damage::Swap(a, b) => {
            let (a, b) = (of(a), of(b));
            lines.swap(a, b);
        }
        Damage::Indent(at) => {
            let at = of(at);
            lines[at].insert_str(0, "  ");
        }
        Damage::Value(at, value) => {
            let at = of(at);
            if let Some((key, _)) = lines[at].clone().split_once(':') {
                lines[at] = format!("{key}: {}", VALUES[value.index(VALUES.len())]);
            }
        }
        Damage::Change(at, place, c) => {
            let at = of(at);
            let mut chars: Vec<char> = lines[at].chars().collect();
            if !chars.is_empty() {
                let place = place.index(chars.len());
                chars[place] = *c;
                lines[at] = chars.into_iter().collect();
            }
        }
        Damage::End(at, place) => {
            let at = of(at);
            lines.truncate(at + 1);
            let chars = lines[at].chars().count();
            lines[at] = lines[at].chars().take(place.index(chars + 1)).collect();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_damaged_project_file_is_read_or_refused_with_its_place(
        file in prop::sample::select(FILES.to_vec()),
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
        damages.iter().for_each(|damage| apply(&mut lines, damage));
        let text = lines.join("\n");
        if let Err(error) = read(&text, &[]) {
            let said = error.to_string();
            prop_assert!(said.starts_with("tidegate.yaml"), "{said}");
            // A value that is given may be long; what is repeated of it is not.
            prop_assert!(said.chars().count() < 1_000, "{said}");
        }
    }
}
