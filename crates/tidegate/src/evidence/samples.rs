//! `samples/`: failing and representative records, each with a minimal reproduction.

use super::error::{EvidenceError, Result};
use crate::clock::rfc3339;
use serde_json::json;
use std::collections::BTreeMap;
use tidegate_core::evidence::Record;
use tidegate_core::ids::{Digest, ServiceName};

/// Longest trace id used unchanged as a file name, in characters.
const NAME_MAX: usize = 64;
/// Where the reproduction goes when the configured address is not a plain URL.
const DEFAULT_URL: &str = "http://127.0.0.1:8787";

/// One record in the pack.
pub(super) struct Sample<'a> {
    /// The record.
    pub(super) record: &'a Record,
    /// Its files without their endings: `samples/failing/<trace>`.
    pub(super) stem: String,
    /// Whether it failed.
    pub(super) failing: bool,
}

/// Where a reproduction is sent, and as what.
pub(super) struct Origin<'a> {
    /// The service, which clients name as the model.
    pub(super) service: &'a ServiceName,
    /// Where the data plane listens.
    pub(super) base_url: &'a str,
}

/// All samples with their names; no two names are equal, also where case does not count.
pub(super) fn samples<'a>(failing: &'a [Record], representative: &'a [Record]) -> Vec<Sample<'a>> {
    let both = failing.iter().map(|r| (r, true)).chain(representative.iter().map(|r| (r, false)));
    let mut taken: Vec<String> = Vec::new();
    both.enumerate()
        .map(|(i, (record, failing))| {
            let folder = if failing { "failing" } else { "representative" };
            let mut stem = format!("samples/{folder}/{}", file_name(record));
            if taken.contains(&stem.to_ascii_lowercase()) {
                stem = format!("{stem}-{}", i + 1);
            }
            taken.push(stem.to_ascii_lowercase());
            Sample { record, stem, failing }
        })
        .collect()
}

/// The trace id, which is checked to be harmless in a path; by its digest when it is long or
/// starts like a hidden file or an option.
fn file_name(record: &Record) -> String {
    let id = record.trace_id.as_str();
    if id.len() <= NAME_MAX && id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        id.to_owned()
    } else {
        format!("trace-{}", Digest::of(id.as_bytes()).short(12))
    }
}

/// The files of `samples/`.
pub(super) fn files(
    origin: &Origin<'_>,
    samples: &[Sample<'_>],
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for sample in samples {
        let mut json =
            serde_json::to_vec_pretty(sample.record).map_err(EvidenceError::part("a record"))?;
        json.push(b'\n');
        files.insert(format!("{}.json", sample.stem), json);
        if let Some(script) = curl(origin, sample.record) {
            files.insert(format!("{}.curl.sh", sample.stem), script.into_bytes());
        }
    }
    Ok(files)
}

/// The minimal reproduction as a POSIX shell script; `None` where the input was not kept, because
/// a request without it reproduces nothing.
pub(super) fn curl(origin: &Origin<'_>, record: &Record) -> Option<String> {
    let input = record.input.as_deref()?;
    let body = json!({
        "model": origin.service.as_str(),
        "messages": [{ "role": "user", "content": input }],
        "stream": record.streamed,
    });
    let body = no_bidi(&body.to_string());
    let url = if is_plain_url(origin.base_url) { origin.base_url } else { DEFAULT_URL };
    Some(format!(
        "#!/bin/sh\n\
         # Minimal reproduction of trace {trace}: {arm} arm, {set}, {at}, answered {status}.\n\
         # The text is redacted. What it gets depends on the version set that serves it now.\n\
         : \"${{TIDEGATE_URL:={url}}}\"\n\
         curl -sS \"$TIDEGATE_URL/v1/chat/completions\" \\\n  \
         -H 'content-type: application/json' \\\n  \
         -H \"authorization: Bearer ${{TIDEGATE_KEY:-}}\" \\\n  \
         --data-raw {body}\n",
        trace = record.trace_id,
        arm = record.arm.as_str(),
        set = record.set.id,
        at = rfc3339(record.at),
        status = record.status,
        body = shell_quoted(&body),
    ))
}

/// The text as one word of a POSIX shell: in single quotes, in which only the quote itself needs
/// care.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// JSON with characters that turn the reading direction written as escapes: a reviewer must see
/// the script as the shell does.
fn no_bidi(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if super::html::is_deceptive(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_plain_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".:-_/[]".contains(&b);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_word_is_one_word() {
        fn check(text: &str, quoted: &str) {
            assert_eq!(shell_quoted(text), quoted);
        }
        check("退货", "'退货'");
        check("it's $(rm) `x` \"y\" \\", "'it'\\''s $(rm) `x` \"y\" \\'");
    }

    #[test]
    fn only_plain_urls_go_into_a_script() {
        fn check(url: &str, plain: bool) {
            assert_eq!(is_plain_url(url), plain, "{url}");
        }
        check("http://127.0.0.1:8787", true);
        check("https://[::1]:8787/base", true);
        check("http://x$(id)", false);
        check("http://x}\"; rm", false);
        check("file:///etc", false);
    }

    #[test]
    fn direction_marks_are_escaped() {
        assert_eq!(no_bidi("a\u{202e}b退"), "a\\u202eb退");
    }
}
