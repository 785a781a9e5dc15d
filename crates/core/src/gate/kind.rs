//! The kinds of checks: one table of names, values and meanings. Reading, errors, the pages on
//! cases and scoring follow it.

use serde::{Deserialize, Serialize};

/// How a check's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Several texts; in a CSV cell, `|` between them.
    List,
    /// One text.
    Text,
    /// A whole number.
    Number,
    /// A whole number, or the least and the most of one: `{"min": 2, "max": 80}`.
    Range,
    /// A number from 0 that may have a fraction.
    Amount,
    /// `true` or `false`.
    Switch,
    /// Any JSON value.
    Json,
    /// The least measure, 0 to 1, of a comparison with a reference text.
    Share,
    /// The most edits from a reference text.
    Distance,
}

/// How texts are split into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tokens {
    /// sacrebleu's `13a`: words and punctuation of western languages.
    #[serde(rename = "13a")]
    T13a,
    /// sacrebleu's `zh`: each Chinese character, the rest as `13a`.
    #[serde(rename = "zh")]
    Zh,
    /// Each character.
    #[serde(rename = "char")]
    Char,
    /// sacrebleu's `intl`: words, and each punctuation mark and symbol of any script.
    #[serde(rename = "intl")]
    Intl,
    /// The words of rouge-score or SQuAD: those of English.
    #[serde(rename = "en")]
    En,
    /// CMRC 2018's: each Chinese character, the rest by white space.
    #[serde(rename = "cmrc")]
    Cmrc,
}

impl Tokens {
    /// All of them.
    pub const ALL: [Tokens; 6] =
        [Tokens::T13a, Tokens::Zh, Tokens::Char, Tokens::Intl, Tokens::En, Tokens::Cmrc];

    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Tokens::T13a => "13a",
            Tokens::Zh => "zh",
            Tokens::Char => "char",
            Tokens::Intl => "intl",
            Tokens::En => "en",
            Tokens::Cmrc => "cmrc",
        }
    }

    /// The one of that name; `None` for another word.
    pub fn parse(name: &str) -> Option<Tokens> {
        Tokens::ALL.into_iter().find(|tokens| tokens.as_str() == name)
    }
}

/// One row of the table of checks.
#[derive(Debug, Clone, Copy)]
pub struct CheckRow {
    /// The kind.
    pub kind: CheckKind,
    /// Its name in files.
    pub name: &'static str,
    /// Other names that are read, as promptfoo spells them; `-` and `:` count as `_`.
    pub also: &'static [&'static str],
    /// What its value is.
    pub takes: Takes,
    /// How it may split texts; the first is used where neither the check nor the reference says.
    pub tokens: &'static [Tokens],
    /// What it asks of an answer: "the answer …".
    pub meaning: &'static str,
}

/// Writes the enum and its table from the same lines, so that neither has a kind that the other
/// lacks.
macro_rules! kinds {
    (
        $($kind:ident $name:literal [$($also:literal),*] $takes:ident $([$($tokens:ident)*])?
            $meaning:literal;)*
    ) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum CheckKind {
            $(#[doc = $meaning] $kind,)*
        }

        impl CheckKind {
            /// Every kind, in the order in which the pages list them.
            pub const ROWS: &'static [CheckRow] = &[
                $(CheckRow {
                    kind: CheckKind::$kind,
                    name: $name,
                    also: &[$($also),*],
                    takes: Takes::$takes,
                    tokens: &[$($(Tokens::$tokens),*)?],
                    meaning: $meaning,
                },)*
            ];
        }
    };
}

kinds! {
    JsonKeys "json_keys" [] List "is one JSON object with these keys and nothing around it";
    JsonSchema "json_schema" [] Json "is JSON valid under this schema";
    IsJson "is_json" [] Switch "is JSON and nothing else";
    ContainsJson "contains_json" [] Switch "has a JSON object or array somewhere in it";
    IsXml "is_xml" [] Switch "is one well-formed XML document and nothing else";
    ContainsXml "contains_xml" [] Switch "has a well-formed XML element somewhere in it";
    IsHtml "is_html" []
        Switch "is HTML and nothing else: elements of HTML, each closed that must be";
    ContainsHtml "contains_html" [] Switch "has an element of HTML somewhere in it";
    IsSql "is_sql" [] Switch "is SQL and nothing else, whatever the dialect";
    ContainsSql "contains_sql" []
        Switch "has SQL in it: in a code block, in quoted code, or beginning in capitals";
    Equals "equals" [] Json "is exactly this text, or JSON equal to this value";
    ExpectedContains "expected_contains" ["contains"] Text "contains this text as it is written";
    ExpectedKeywords "expected_keywords" []
        List "contains these, case and width aside; a share of them is a share of the score";
    ContainsAll "contains_all" [] List "contains all of these as they are written";
    ContainsAny "contains_any" [] List "contains one of these as it is written";
    Icontains "icontains" [] Text "contains this text, case and width aside";
    IcontainsAll "icontains_all" [] List "contains all of these, case and width aside";
    MustIncludeAny "must_include_any" ["icontains_any"]
        List "contains at least one of these, case and width aside";
    ForbiddenKeywords "forbidden_keywords" []
        List "contains none of these; with one it is never correct";
    StartsWith "starts_with" [] Text "starts with this text";
    EndsWith "ends_with" [] Text "ends with this text";
    Regex "regex" [] Text "matches; the time is linear in the text, and there is no look-around";
    MatchesExpected "matches_expected" []
        Switch "is like `expected`; on wherever there is an `expected`, `false` switches it off";
    Levenshtein "levenshtein" []
        Distance "is at most so many inserted, deleted or replaced characters from the reference";
    Bleu "bleu" [] Share [T13a Zh Char Intl] "has at least this BLEU, 0 to 1: sacrebleu's over 100";
    Gleu "gleu" [] Share [T13a Zh Char Intl] "has at least this GLEU, as NLTK";
    Chrf "chrf" [] Share [Char] "has at least this chrF2, 0 to 1: sacrebleu's over 100";
    Rouge1 "rouge_1" ["rouge_n"] Share [En Char] "has at least this ROUGE-1 as F1, as rouge-score";
    Rouge2 "rouge_2" [] Share [En Char] "has at least this ROUGE-2 as F1, as rouge-score";
    RougeL "rouge_l" [] Share [En Char] "has at least this ROUGE-L as F1, as rouge-score";
    ExactMatch "exact_match" []
        Share [En Cmrc] "says the same, case, punctuation, articles and white space aside, as \
            SQuAD or CMRC";
    TokenF1 "token_f1" [] Share [En Cmrc] "has at least this F1 over words, as SQuAD or CMRC";
    Similar "similar" ["similar_cosine"]
        Share "means what the reference means: their embeddings have at least this cosine";
    Rubric "rubric" ["llm_rubric", "g_eval", "model_graded_closedqa"]
        Text "meets this criterion, a judge model says";
    Prefers "prefers" []
        Share "is as good as the reference or better, a judge model says, asked in both orders";
    Command "command" [] Text "passes this program of `evals.commands`";
    Citation "citation" [] Switch "cites a source";
    Grounded "grounded" []
        Switch "claims only what was retrieved for it, claim by claim; a citation alone is no \
            support";
    Refusal "refusal" ["is_refusal"] Switch "is (`true`) or is not (`false`) a refusal";
    Declines "declines" [] Switch "refuses, or asks for evidence";
    NoPromptEcho "no_prompt_echo" [] Switch "does not repeat the system prompt";
    NoPii "no_pii" [] Switch "holds no personal data";
    NotEmpty "not_empty" [] Switch "has text";
    Comparable "comparable" [] Switch "behaves like the correct answer of the previous run";
    LiteralLeak "literal_leak" []
        Switch "does not say \"你是\" in its first 50 characters nor \"system prompt\"; \
                flags honest answers too";
    MinLength "min_length" [] Number "is at least so many characters long";
    MaxLength "max_length" [] Number "is at most so many characters long";
    MinWords "min_words" []
        Number "has at least so many words; a Chinese, Japanese or Korean character is one";
    MaxWords "max_words" []
        Number "has at most so many words; a Chinese, Japanese or Korean character is one";
    WordCount "word_count" []
        Range "has exactly so many words, or from `min` to `max`; a Chinese, Japanese or Korean \
            character is one";
    MaxLatencyMs "max_latency_ms" ["latency"] Number "comes within so many milliseconds";
    MaxTtftMs "max_ttft_ms" ["ttft"]
        Number "begins within so many milliseconds: its first token, asked as a stream";
    MaxTotalTokens "max_total_tokens" []
        Number "used at most so many tokens, prompt and answer together";
    MaxCostUsd "max_cost_usd" ["cost"]
        Amount "costs at most so many US dollars, by the prices of the project";
    FinishReason "finish_reason" [] Text "ended for this reason: `stop`, `length`, `tool_calls`";
    ValidToolCalls "valid_tool_calls"
        ["is_valid_openai_tools_call", "is_valid_openai_function_call", "is_valid_function_call"]
        Switch "calls a tool, each call a declared one with arguments that its schema allows";
    ToolsUsed "tools_used" ["trajectory_tool_used"] List "calls all of these tools";
    ToolSequence "tool_sequence" ["trajectory_tool_sequence"]
        List "calls these tools in this order; others may be between them";
    ToolsExactly "tools_exactly" [] List "calls exactly these tools in this order";
    ToolArguments "tool_arguments" []
        Json "calls each of these tools with these arguments: `{\"refund\": {\"days\": 14}}`; \
              others may be there";
    MinToolCalls "min_tool_calls" [] Number "calls tools at least so many times";
    MaxToolCalls "max_tool_calls" [] Number "calls tools at most so many times";
    ToolCallF1 "tool_call_f1" []
        List "calls these tools and no others: F1 over the names, 1 unless a threshold is given";
}

impl CheckKind {
    /// Its row in the table.
    pub fn row(self) -> &'static CheckRow {
        // The table has a row for each variant, in the same order.
        &Self::ROWS[self as usize]
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of that name or other name, and whether the name begins with `not_`. `None` where
    /// there is no such kind.
    pub fn parse(name: &str) -> Option<(CheckKind, bool)> {
        let name = name.trim().replace(['-', ':'], "_");
        let find = |name: &str| {
            let is = |row: &&CheckRow| row.name == name || row.also.contains(&name);
            Self::ROWS.iter().find(is).map(|row| row.kind)
        };
        // `not_empty` is a kind and no negation.
        match (find(&name), name.strip_prefix("not_").and_then(find)) {
            (Some(kind), _) => Some((kind, false)),
            (None, Some(kind)) => Some((kind, true)),
            (None, None) => None,
        }
    }

    /// The measure that a check of this kind needs where it names none; `None` for a kind that
    /// holds or does not, or whose share counts as it is.
    pub fn default_threshold(self) -> Option<f64> {
        match self {
            CheckKind::ToolCallF1 | CheckKind::ExactMatch | CheckKind::Grounded => Some(1.0),
            CheckKind::Bleu | CheckKind::Gleu | CheckKind::Chrf | CheckKind::TokenF1 => Some(0.5),
            CheckKind::Rubric | CheckKind::Prefers | CheckKind::Command => Some(0.5),
            CheckKind::Rouge1 | CheckKind::Rouge2 | CheckKind::RougeL | CheckKind::Similar => {
                Some(0.75)
            }
            CheckKind::Levenshtein => Some(5.0),
            _ => None,
        }
    }

    /// Whether it measures a share that a threshold can be set for.
    pub fn is_share(self) -> bool {
        use CheckKind as K;
        matches!(self, K::ExpectedKeywords | K::MatchesExpected | K::ToolCallF1)
            || matches!(self, K::Rubric | K::Command | K::Grounded)
            || self.row().takes == Takes::Share
    }

    /// Whether it compares the answer with a reference: a text as its value, or the case's
    /// `expected`.
    pub fn needs_reference(self) -> bool {
        matches!(self.row().takes, Takes::Share | Takes::Distance)
            || self == CheckKind::MatchesExpected
    }
}

impl From<CheckKind> for &'static str {
    fn from(kind: CheckKind) -> &'static str {
        kind.name()
    }
}

/// There is no check of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{0}`")]
pub struct NoSuchCheck(String);

impl TryFrom<String> for CheckKind {
    type Error = NoSuchCheck;

    fn try_from(name: String) -> Result<CheckKind, NoSuchCheck> {
        match CheckKind::parse(&name) {
            Some((kind, false)) => Ok(kind),
            Some((_, true)) | None => Err(NoSuchCheck(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_read_once_and_negated_once() {
        let mut seen = BTreeSet::new();
        for row in CheckKind::ROWS {
            assert_eq!(row.kind.row().name, row.name, "each kind has its row");
            for name in row.also.iter().chain([&row.name]) {
                assert!(seen.insert(*name), "{name} is the name of two kinds");
                assert_eq!(CheckKind::parse(name), Some((row.kind, false)), "{name}");
                let negated = format!("not-{}", name.replace('_', "-"));
                assert_eq!(CheckKind::parse(&negated), Some((row.kind, true)), "{negated}");
            }
        }
        assert_eq!(CheckKind::parse("not_empty"), Some((CheckKind::NotEmpty, false)));
        assert_eq!(CheckKind::parse("trajectory:tool-used"), Some((CheckKind::ToolsUsed, false)));
        assert_eq!(CheckKind::parse("empty"), None);
        assert_eq!(CheckKind::parse("not_not_regex"), None);
    }
}
