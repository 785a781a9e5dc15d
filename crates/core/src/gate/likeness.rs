//! How like a reference an answer is: measures that other tools report, with the same numbers.
//!
//! Each follows one published implementation: BLEU and chrF sacrebleu's, GLEU NLTK's, ROUGE
//! rouge-score's, exact match and token F1 SQuAD's, or CMRC 2018's for Chinese. `bench/metrics.py`
//! computes what those packages say, and a test compares every number. Two things have no such
//! counterpart: ROUGE over characters, since rouge-score sees only `a` to `z` and digits, and
//! CMRC's parts in Latin script, which are split at white space and not by NLTK's tokeniser.
//!
//! Where a check names no way of splitting texts, the reference decides: with kana or hangul
//! `char`, with Chinese characters `zh` (or `char` and `cmrc`), otherwise `13a` (or `en`). What was
//! used is part of what a result says.

mod ngrams;
mod qa;
mod split;

pub use ngrams::{bleu, chrf, gleu, rouge_l, rouge_n};
pub use qa::{exact_match, token_f1};

use super::kind::{CheckKind, Tokens};

/// Longest text of a measure that takes the product of two lengths, characters: two of them take
/// half a second.
pub(super) const COMPARED_CHARS_MAX: usize = 20_000;

/// A measure, 0 to 1, and how texts were split for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// 0 to 1; the best of the references.
    pub share: f64,
    /// How texts were split.
    pub tokens: Tokens,
}

/// What a kind of check measures of an answer; `None` for a kind that measures no likeness. The
/// error is the length of a text that is too long to compare, characters.
pub fn measure(
    kind: CheckKind,
    tokens: Option<Tokens>,
    answer: &str,
    references: &[&str],
) -> Option<Result<Measure, usize>> {
    let tokens = tokens.unwrap_or_else(|| split::for_reference(kind, references));
    let best = |score: &dyn Fn(&str) -> f64| {
        references.iter().map(|reference| score(reference)).fold(0.0, f64::max)
    };
    let is_squared = kind == CheckKind::RougeL || tokens == Tokens::Cmrc;
    let long = references.iter().chain([&answer]).map(|text| text.chars().count()).max();
    let share = match kind {
        _ if !kind.row().tokens.contains(&tokens) => return None,
        _ if is_squared && long.is_some_and(|long| long > COMPARED_CHARS_MAX) => {
            return Some(Err(long.unwrap_or_default()));
        }
        CheckKind::Bleu => bleu(answer, references, tokens) / 100.0,
        CheckKind::Chrf => best(&|reference| chrf(answer, reference)) / 100.0,
        CheckKind::Gleu => best(&|reference| gleu(answer, reference, tokens)),
        CheckKind::Rouge1 => best(&|reference| rouge_n(answer, reference, 1, tokens)),
        CheckKind::Rouge2 => best(&|reference| rouge_n(answer, reference, 2, tokens)),
        CheckKind::RougeL => best(&|reference| rouge_l(answer, reference, tokens)),
        CheckKind::ExactMatch => {
            best(&|reference| f64::from(u8::from(exact_match(answer, reference, tokens))))
        }
        CheckKind::TokenF1 => best(&|reference| token_f1(answer, reference, tokens)),
        _ => return None,
    };
    Some(Ok(Measure { share, tokens }))
}

#[cfg(test)]
#[path = "likeness/tests.rs"]
mod tests;
