//! Translations, case by case: in `golden/<pair>/<what>`, `<case>.in` goes in and `<case>.out` is
//! what must come out, byte for byte, line breaks between members aside. `TIDEGATE_ACCEPT=1` writes
//! an `.out` that is missing.

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Map, Value};
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tidegate_wire::parse_json_object;
    use tidegate_wire::translate::{Warnings, anthropic_out};

    type Members = BTreeMap<String, Box<RawValue>>;

    fn cases(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut cases: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "in")).collect();
        cases.sort();
        assert!(!cases.is_empty(), "{}", folder.display());
        cases
    }

    /// Runs every case of a folder.
    fn check(folder: &str, translate: impl Fn(&str) -> String) {
        for case in cases(folder) {
            let got = translate(&fs::read_to_string(&case).unwrap());
            let expected = case.with_extension("out");
            if !expected.exists() && std::env::var("TIDEGATE_ACCEPT").is_ok() {
                fs::write(&expected, &got).unwrap();
            }
            let text = fs::read_to_string(&expected).unwrap_or_default();
            assert!(got == text, "{} has:\n{text}\nand not:\n{got}", expected.display());
        }
    }

    /// JSON with a line for every member, and not a byte changed otherwise.
    fn lines(json: &[u8]) -> String {
        let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
        let json = std::str::from_utf8(json).unwrap();
        let mut last = ' ';
        for c in json.chars() {
            let opens = !in_text && matches!(last, '{' | '[' | ',') && !matches!(c, '}' | ']');
            let closes = !in_text && matches!(c, '}' | ']') && !matches!(last, '{' | '[');
            if !in_text {
                depth -= usize::from(matches!(c, '}' | ']'));
            }
            if opens || closes {
                out.push('\n');
                out.push_str(&"  ".repeat(depth));
            }
            if !in_text {
                depth += usize::from(matches!(c, '{' | '['));
            }
            out.push(c);
            match c {
                '"' if !escaped => in_text = !in_text,
                _ => {}
            }
            escaped = in_text && c == '\\' && !escaped;
            last = if in_text || c == '"' { ' ' } else { c };
        }
        out.push('\n');
        out
    }

    fn with_warnings(warnings: &Warnings, body: &[u8]) -> String {
        let said: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        format!("{said}{}", lines(body))
    }

    fn options(members: &Members) -> Map<String, Value> {
        let given = members.get("options").map(|raw| serde_json::from_str(raw.get()).unwrap());
        given.unwrap_or_default()
    }

    fn anthropic_options(options: &Map<String, Value>) -> anthropic_out::Options {
        let flag = |key| options.get(key).and_then(Value::as_bool).unwrap_or(false);
        let thinking = match options.get("thinking").and_then(Value::as_str) {
            None => anthropic_out::Thinking::Adaptive,
            Some("budget") => anthropic_out::Thinking::Budget,
            Some("never") => anthropic_out::Thinking::Never,
            Some(other) => panic!("{other}"),
        };
        anthropic_out::Options {
            max_tokens_default: 4096,
            sampling: flag("sampling"),
            thinking,
            system_later: flag("system_later"),
        }
    }

    #[test]
    fn requests_to_anthropic() {
        check("anthropic_out/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let request = parse_json_object(members["request"].get().as_bytes()).unwrap();
            let options = anthropic_options(&options(&members));
            match anthropic_out::request(&request, &options) {
                Ok(out) => with_warnings(&out.warnings, &out.body),
                Err(error) => format!("error: {error}\n"),
            }
        });
    }
}
