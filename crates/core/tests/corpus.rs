//! The corpus of libFuzzer: what it found once, and what it began with.

#[cfg(test)]
#[path = "../../../fuzz/src/core.rs"]
mod targets;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_corpus_holds() {
        for (name, target) in super::targets::TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
            let found: Vec<_> = fs::read_dir(&folder).unwrap().collect();
            assert!(!found.is_empty(), "{}", folder.display());
            found.into_iter().for_each(|file| target(&fs::read(file.unwrap().path()).unwrap()));
        }
    }
}
