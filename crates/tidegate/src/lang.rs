//! The reader's language: `--lang`, else the environment's locale, else English.
//!
//! It is for what people read on a terminal. JSON, logs and evidence packs are in English beside
//! their codes, so that they do not depend on who ran the command.

use std::sync::OnceLock;
pub(crate) use tidegate_core::say::Lang;

static READER: OnceLock<Lang> = OnceLock::new();

/// The reader's language; English until it is set.
pub(crate) fn reader() -> Lang {
    READER.get().copied().unwrap_or_default()
}

/// Sets the reader's language once, at the start.
pub(crate) fn set_reader(given: Option<Lang>) {
    let lang = given.unwrap_or_else(|| of_locale(|name| std::env::var(name).ok()));
    let _ = READER.set(lang);
}

/// A `--lang` of the command line.
pub(crate) fn parse(text: &str) -> Result<Lang, String> {
    Lang::of_tag(text).ok_or_else(|| "it takes en, zh or ja".to_owned())
}

/// The first of POSIX's variables for messages that is set decides, as for any program.
fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Lang {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set);
    locale.and_then(|locale| Lang::of_tag(&locale)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Lang) {
        let find = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(of_locale(find), expected, "{variables:?}");
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        check(&[], Lang::En);
        check(&[("LANG", "zh_CN.UTF-8")], Lang::Zh);
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_MESSAGES", "ja_JP.UTF-8")], Lang::Ja);
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")], Lang::En);
        check(&[("LANG", "zh_TW"), ("LC_ALL", "")], Lang::Zh);
        check(&[("LANG", "de_DE.UTF-8")], Lang::En);
    }
}
