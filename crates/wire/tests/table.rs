//! The table of translations in `docs/providers.md`: each cell names cases that there are, or says
//! in words what happens, and each case of a translation to a model server is in a cell.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The columns, each of which the table must have.
    const COLUMNS: [&str; 10] = [
        "plain",
        "tools",
        "parallel calls",
        "tool results",
        "vision",
        "JSON schema",
        "reasoning",
        "cached",
        "errors",
        "streamed",
    ];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The lines of the table below a heading, each as its cells.
    fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
        let (_, below) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
        let lines = below.lines().skip_while(|line| !line.starts_with('|'));
        let lines = lines.take_while(|line| line.starts_with('|'));
        let cells = |line: &str| {
            let line = line.trim_matches('|');
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        lines.map(cells).collect()
    }

    /// The cases of a translation, as the table names them.
    fn cases(pair: &str) -> BTreeSet<String> {
        let folder = root().join("crates/wire/tests/golden").join(pair);
        let mut cases = BTreeSet::new();
        for kind in ["request", "answer", "stream"] {
            for file in fs::read_dir(folder.join(kind)).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                cases.insert(format!("{kind}/{name}"));
            }
        }
        cases
    }

    /// What a cell names between backticks.
    fn named(cell: &str) -> impl Iterator<Item = &str> {
        let names = cell.split('`').skip(1).step_by(2);
        names.filter(|name| name.contains('/'))
    }

    #[test]
    fn every_cell_has_its_case_or_a_word() {
        let page = fs::read_to_string(root().join("docs/providers.md")).unwrap();
        let table = table(&page, "## What is held by what");
        let [head, _, rows @ ..] = table.as_slice() else { panic!("no table") };
        assert_eq!(head[0], "");
        let columns: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(columns, COLUMNS);
        for (at, pair) in head.iter().enumerate().skip(1) {
            let pair = pair.trim_matches('`');
            let is_pair = root().join("crates/wire/tests/golden").join(pair).is_dir();
            let known = if is_pair { cases(pair) } else { BTreeSet::new() };
            let mut seen = BTreeSet::new();
            for row in rows {
                let cell = &row[at];
                let names: Vec<&str> = named(cell).collect();
                assert!(!cell.is_empty(), "{pair}: {} says nothing", row[0]);
                for name in &names {
                    assert!(known.contains(*name), "{pair}: there is no case `{name}`");
                    seen.insert((*name).to_owned());
                }
                let says = cell.split('`').step_by(2).collect::<String>();
                let has_words = says.chars().any(char::is_alphabetic);
                assert!(!names.is_empty() || has_words, "{pair}: {}: {cell}", row[0]);
            }
            let missing: Vec<_> = known.difference(&seen).collect();
            assert!(missing.is_empty(), "{pair}: no cell names {missing:?}");
        }
    }
}
