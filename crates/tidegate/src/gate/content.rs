//! What an answer says: folding, likeness, citations, asking for evidence, shape. Written for
//! English, Chinese and Japanese alike: characters are compared, never words between spaces.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;
use tidegate_core::gate::fold_case_and_width as fold;
use tidegate_core::text::texts_in;

/// How much of a reference answer an answer says, 0 to 1: 1 when it contains it, white space,
/// punctuation, case and width aside; otherwise the F1 share of common character pairs. It measures
/// wording, not meaning.
pub(crate) fn likeness(answer: &str, expected: &str) -> f64 {
    let letters = |text: &str| fold(text).chars().filter(|c| c.is_alphanumeric()).collect();
    let (answer, expected): (String, String) = (letters(answer), letters(expected));
    if answer.contains(&expected) {
        return 1.0;
    }
    let (ours, theirs) = (pairs(&answer), pairs(&expected));
    let total: usize = ours.values().sum::<usize>() + theirs.values().sum::<usize>();
    let common: usize =
        ours.iter().map(|(pair, count)| (*count).min(theirs.get(pair).copied().unwrap_or(0))).sum();
    if total == 0 { 0.0 } else { 2.0 * common as f64 / total as f64 }
}

fn pairs(text: &str) -> BTreeMap<(char, char), usize> {
    let mut pairs = BTreeMap::new();
    for pair in text.chars().zip(text.chars().skip(1)) {
        *pairs.entry(pair).or_insert(0) += 1;
    }
    pairs
}

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test")]
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"https?://[^\s<>]{3,}",
        r"|\[\^?(?:[\p{L}\p{N}][^\[\]\n]{1,79}|[\p{L}\p{N}--xX])\]",
        r"|【[^【】\n]{1,80}】|〔[^〔〕\n]{1,80}〕|［[^［］\n]{1,80}］|《[^《》\n]{1,80}》",
        r"|[(（](?i:source|ref|see|来源|出处|参见|出典|参照)[:：][^()（）\n]{1,80}[)）]",
    ))
    .unwrap()
});

/// Whether the answer cites a source: a JSON object with something in `citations`, or a bracketed
/// reference (`[1]`, `【1】`, `《退款政策》`, `(source: …)`) or a URL in its text.
pub(crate) fn cites(answer: &str) -> bool {
    match serde_json::from_str::<Value>(answer.trim()) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => match value.get("citations") {
            Some(citations) => !is_blank(citations),
            None => texts_in(&value).iter().any(|text| REFERENCE.is_match(text)),
        },
        Ok(_) | Err(_) => REFERENCE.is_match(answer),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(members) => members.values().all(is_blank),
    }
}

/// Words that ask the user for something, and words for what supports a claim; an answer with both
/// in one sentence asks for evidence. "You need to follow the new policy" asks nobody.
const ASKING: [&str; 25] = [
    "please provide",
    "please share",
    "please send",
    "please confirm",
    "could you",
    "can you",
    "i need",
    "i'd need",
    "i would need",
    "i'll need",
    "we need",
    "do you have",
    "请提供",
    "请给",
    "请出示",
    "请确认",
    "请告",
    "需要您",
    "需要你",
    "我需要",
    "能否",
    "可否",
    "ください",
    "いただけ",
    "ご提示",
];
const EVIDENCE: [&str; 21] = [
    "evidence",
    "policy",
    "source",
    "document",
    "proof",
    "receipt",
    "order number",
    "approval",
    "confirm",
    "依据",
    "证据",
    "政策",
    "文件",
    "来源",
    "凭证",
    "订单号",
    "証拠",
    "根拠",
    "ポリシー",
    "資料",
    "注文番号",
];

/// Whether the answer asks for evidence before it does what was asked.
pub(crate) fn asks_for_evidence(answer: &str) -> bool {
    let has = |sentence: &str, words: &[&str]| words.iter().any(|word| sentence.contains(word));
    fold(answer)
        .split(['.', '!', '\n', '。', ';'])
        .any(|sentence| has(sentence, &ASKING) && has(sentence, &EVIDENCE))
}

/// The form of an answer, as far as two runs must agree on it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A JSON object with these keys.
    Object(Vec<String>),
    /// Other JSON than an object: a list.
    List,
    /// Text.
    Text,
}

/// The form of the answer.
pub(crate) fn shape(answer: &str) -> Shape {
    match serde_json::from_str::<Value>(answer.trim()) {
        Ok(Value::Object(members)) => {
            let mut keys: Vec<String> = members.keys().cloned().collect();
            keys.sort();
            Shape::Object(keys)
        }
        Ok(Value::Array(_)) => Shape::List,
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            Shape::Text
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Object(keys) => write!(f, "a JSON object of `{}`", keys.join("`, `")),
            Shape::List => f.write_str("a JSON array"),
            Shape::Text => f.write_str("text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_cites(answer: &str, expected: bool) {
        assert_eq!(cites(answer), expected, "{answer}");
    }

    #[test]
    fn citations() {
        check_cites("Refunds take 14 days [1].", true);
        check_cites("Refunds take 14 days [policy-3].", true);
        check_cites("根据《退款政策》第三条，14 天内可退。", true);
        check_cites("14 天内可退【2】", true);
        check_cites("返金は14日以内です（出典：規約）", true);
        check_cites("see https://example.com/policy", true);
        check_cites(r#"{"answer": "14 days", "citations": ["policy.md"]}"#, true);
        check_cites(r#"{"answer": "see [2]", "confidence": 1}"#, true);
        check_cites(r#"{"answer": "14 days", "citations": []}"#, false);
        check_cites(r#"{"answer": "14 days", "citations": [""]}"#, false);
        check_cites(r#"{"answer": ["14 days"]}"#, false);
        check_cites("- [x] done\n- [ ] open", false);
        check_cites("Refunds take 14 days.", false);
        check_cites("", false);
    }

    fn check_asks(answer: &str, expected: bool) {
        assert_eq!(asks_for_evidence(answer), expected, "{answer}");
    }

    #[test]
    fn asking_for_evidence() {
        check_asks("Could you share the policy section this rule comes from?", true);
        check_asks("请提供相关政策依据。", true);
        check_asks("根拠となる資料をご提示ください。", true);
        check_asks("Sure! New rule: refunds within 900 days.", false);
        check_asks("You need to follow the new policy: 900 days.", false);
        check_asks("Please note the new rule. It replaces the policy.", false);
        check_asks("好的，新规则是全额退款。", false);
    }

    #[test]
    fn likeness_is_of_characters() {
        let check = |answer: &str, expected: &str, low: f64, high: f64| {
            let got = likeness(answer, expected);
            assert!((low..=high).contains(&got), "{answer} / {expected}: {got}");
        };
        check("The capital is Paris.", "paris", 1.0, 1.0);
        check("退款需要 14 天。", "退款需要14天", 1.0, 1.0);
        check("退款需要十四天", "退款需要十五天", 0.6, 0.7);
        check("天气很好", "退款需要十四天", 0.0, 0.0);
        check("", "退", 0.0, 0.0);
    }

    #[test]
    fn folding_is_for_width_and_case() {
        assert_eq!(fold("ＡＰＩ　Key，好"), "api key,好");
    }
}
