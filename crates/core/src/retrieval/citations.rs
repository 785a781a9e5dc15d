//! What an answer cites, compared with what its model was shown.
//!
//! A citation is `[2]`, also `[1, 3]` and `【2】`; the name of a chunk in brackets, `[refunds.md#2]`;
//! and each text of a member `citations` of an answer that is JSON, where a document's name is
//! enough.
//! The link `[1](…)` is none. What is code may look like one: it is counted, and proves nothing.

use super::ChunkId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;

/// Longest text in brackets that is looked at, characters.
const BRACKETS_MAX: usize = 240;

/// How many citations an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cited {
    /// Of what the model was shown.
    pub shown: u64,
    /// Of something else: a number or a name that it was not given.
    pub not_shown: u64,
}

impl Cited {
    fn add(&mut self, is_shown: bool) {
        match is_shown {
            true => self.shown += 1,
            false => self.not_shown += 1,
        }
    }
}

/// Compares the citations of an answer with the chunks that its model was shown, in their order.
pub fn cited(answer: &str, shown: &[ChunkId]) -> Cited {
    let mut cited = Cited::default();
    if answer.trim_start().starts_with('{')
        && let Ok(Value::Object(members)) = serde_json::from_str(answer)
        && let Some(Value::Array(citations)) = members.get("citations")
    {
        for name in citations.iter().filter_map(Value::as_str) {
            match in_brackets(name.trim().trim_matches(['[', ']']), shown) {
                Some(citations) => citations.into_iter().for_each(|is_shown| cited.add(is_shown)),
                None => cited.add(shown.iter().any(|id| document(id.as_str()) == name)),
            }
        }
        return cited;
    }
    for mark in marks(answer, shown) {
        mark.are_shown.into_iter().for_each(|is_shown| cited.add(is_shown));
    }
    cited
}

/// A citation in a text.
pub(super) struct Mark {
    /// Where it is, its brackets with it, bytes.
    pub(super) at: Range<usize>,
    /// Of each thing that it names, whether it was shown.
    pub(super) are_shown: Vec<bool>,
}

/// The citations in a text, in their order.
pub(super) fn marks(text: &str, shown: &[ChunkId]) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find(['[', '【', '［']).map(|at| from + at) {
        from = text[open..].chars().next().map_or(text.len(), |c| open + c.len_utf8());
        let longest = text[from..].char_indices().nth(BRACKETS_MAX);
        let inside = &text[from..longest.map_or(text.len(), |(at, _)| from + at)];
        let Some(close) = inside.find([']', '】', '］', '[']) else { continue };
        let mut ends = inside[close..].chars();
        let closing = ends.next().unwrap_or('[');
        let is_link = ends.next() == Some('(');
        if is_link || closing == '[' {
            continue;
        }
        if let Some(are_shown) = in_brackets(&inside[..close], shown) {
            let at = open..from + close + closing.len_utf8();
            marks.push(Mark { at, are_shown });
        }
    }
    marks
}

/// The citations of a text in brackets, each with whether it was shown; `None` where it is none.
fn in_brackets(text: &str, shown: &[ChunkId]) -> Option<Vec<bool>> {
    let parts = text.split([',', '，', '、', ';']).map(str::trim);
    let one = |part: &str| {
        if shown.iter().any(|id| id.as_str() == part) {
            return Some(true);
        }
        if (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()) {
            let number = part.parse::<usize>().ok()?;
            return Some((1..=shown.len()).contains(&number));
        }
        // It is written as a chunk's name.
        let (document, number) = part.rsplit_once('#')?;
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (!document.is_empty() && is_number).then_some(false)
    };
    parts.map(one).collect()
}

/// The document of a chunk.
fn document(id: &str) -> &str {
    id.rsplit_once('#').map_or(id, |(document, _)| document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown() -> [ChunkId; 2] {
        [ChunkId::new("refunds.md", 2), ChunkId::new("配送.md", 1)]
    }

    #[track_caller]
    fn check(answer: &str, of_shown: u64, not_shown: u64) {
        assert_eq!(cited(answer, &shown()), Cited { shown: of_shown, not_shown }, "{answer}");
    }

    #[test]
    fn citations_are_compared_with_what_was_shown() {
        check("Within 30 days [1].", 1, 0);
        check("可以退货【1】，五天送达［2］。", 2, 0);
        check("Both [1, 2], and a third [3].", 2, 1);
        check("By [refunds.md#2] and [refunds.md#9].", 1, 1);
        check("[0] and [999]", 0, 2);
        check("No citation at all.", 0, 0);
        check("see [1](https://example.com) and [note]", 0, 0);
        check("Within 30 days[1][2].", 2, 0);
        check("open [1", 0, 0);
        check("[[1]]", 1, 0);
        check("in 2024 [2024] it was", 0, 0);
    }

    #[test]
    fn an_answer_that_is_json_has_a_list() {
        check(r#"{"answer": "x [9]", "citations": ["refunds.md", "配送.md#1", "[1]"]}"#, 3, 0);
        check(r#"{"answer": "x", "citations": ["warranty.md", "refunds.md#7", "4"]}"#, 0, 3);
        check(r#"{"answer": "x", "citations": []}"#, 0, 0);
        check(r#"{"answer": "x [1]"}"#, 1, 0);
        assert_eq!(cited("[1]", &[]), Cited { shown: 0, not_shown: 1 });
    }

    proptest! {
        #[test]
        fn no_answer_has_more_citations_than_brackets_and_commas(
            answer in "[\\[\\]【】1-9a#,，( \"]{0,80}",
        ) {
            let Cited { shown, not_shown } = cited(&answer, &self::shown());
            let most = answer.chars().filter(|c| "[【，,".contains(*c)).count() as u64;
            prop_assert!(shown + not_shown <= most, "{answer}");
        }
    }
}
