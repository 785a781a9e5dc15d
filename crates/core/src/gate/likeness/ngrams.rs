//! Measures over runs of tokens: BLEU, GLEU, chrF, ROUGE.

use super::super::kind::Tokens;
use super::split::{is_space, rouge_tokens, tokens};
use std::collections::BTreeMap;

/// Longest run of tokens that BLEU and GLEU count.
const ORDER: usize = 4;
/// Longest run of characters that chrF counts.
const CHARS_ORDER: usize = 6;
/// The weight of recall over precision in chrF2, squared.
const BETA_SQUARED: f64 = 4.0;

/// How often each run of `n` tokens is there.
fn runs<T: Ord>(tokens: &[T], n: usize) -> BTreeMap<&[T], usize> {
    let mut counts = BTreeMap::new();
    for run in tokens.windows(n) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

/// How many runs two texts have in common, each as often as the text has it that has it less.
fn common<T: Ord>(one: &BTreeMap<&[T], usize>, other: &BTreeMap<&[T], usize>) -> usize {
    one.iter().map(|(run, count)| other.get(run).map_or(0, |there| *count.min(there))).sum()
}

fn total<T>(counts: &BTreeMap<&[T], usize>) -> usize {
    counts.values().sum()
}

/// BLEU of one sentence, 0 to 100, as sacrebleu's `sentence_bleu`: up to 4-grams, as far as the
/// sentence has them, exponential smoothing, and the length of the closest reference.
pub fn bleu(answer: &str, references: &[&str], by: Tokens) -> f64 {
    let answer = tokens(answer, by);
    let references: Vec<Vec<String>> = references.iter().map(|text| tokens(text, by)).collect();
    let far = |length: &usize| (length.abs_diff(answer.len()), *length);
    let length = references.iter().map(Vec::len).min_by_key(far).unwrap_or_default();
    let (mut correct, mut all) = ([0; ORDER], [0; ORDER]);
    for n in 1..=ORDER {
        let ours = runs(&answer, n);
        let mut theirs: BTreeMap<&[String], usize> = BTreeMap::new();
        for (run, count) in references.iter().flat_map(|reference| runs(reference, n)) {
            let most = theirs.entry(run).or_insert(0);
            *most = count.max(*most);
        }
        (correct[n - 1], all[n - 1]) = (common(&ours, &theirs), total(&ours));
    }
    bleu_of(&correct, &all, answer.len(), length)
}

/// BLEU from its counts.
fn bleu_of(correct: &[usize; ORDER], all: &[usize; ORDER], ours: usize, theirs: usize) -> f64 {
    if correct.iter().all(|count| *count == 0) {
        return 0.0;
    }
    let (mut smooth, mut logs, mut order) = (1.0, 0.0, 0);
    for (correct, all) in correct.iter().zip(all).take_while(|(_, all)| **all > 0) {
        order += 1;
        let precision = match correct {
            0 => {
                smooth *= 2.0;
                100.0 / (smooth * *all as f64)
            }
            correct => 100.0 * *correct as f64 / *all as f64,
        };
        logs += precision.ln();
    }
    let brevity = if ours < theirs { (1.0 - theirs as f64 / ours as f64).exp() } else { 1.0 };
    brevity * (logs / f64::from(order)).exp()
}

/// GLEU of one sentence, 0 to 1: the lesser of precision and recall of runs of one to four tokens.
pub fn gleu(answer: &str, reference: &str, by: Tokens) -> f64 {
    let (answer, reference) = (tokens(answer, by), tokens(reference, by));
    let (mut both, mut ours, mut theirs) = (0, 0, 0);
    for n in 1..=ORDER {
        let (a, r) = (runs(&answer, n), runs(&reference, n));
        (both, ours, theirs) = (both + common(&a, &r), ours + total(&a), theirs + total(&r));
    }
    let most = ours.max(theirs);
    if most == 0 { 0.0 } else { both as f64 / most as f64 }
}

/// chrF2 of one sentence, 0 to 100: runs of one to six characters, white space aside.
pub fn chrf(answer: &str, reference: &str) -> f64 {
    let chars = |text: &str| text.chars().filter(|c| !is_space(*c)).collect::<Vec<char>>();
    let (answer, reference) = (chars(answer), chars(reference));
    let (mut precision, mut recall, mut order) = (0.0, 0.0, 0);
    for n in 1..=CHARS_ORDER {
        let (a, r) = (runs(&answer, n), runs(&reference, n));
        let (ours, theirs) = (total(&a), total(&r));
        if ours > 0 && theirs > 0 {
            let both = common(&a, &r) as f64;
            precision += both / ours as f64;
            recall += both / theirs as f64;
            order += 1;
        }
    }
    if order == 0 || precision + recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / f64::from(order), recall / f64::from(order));
    let score = (1.0 + BETA_SQUARED) * precision * recall;
    100.0 * (score / (BETA_SQUARED * precision + recall))
}

/// ROUGE-N as F1, 0 to 1.
pub fn rouge_n(answer: &str, reference: &str, n: usize, by: Tokens) -> f64 {
    let (answer, reference) = (rouge_tokens(answer, by), rouge_tokens(reference, by));
    let (ours, theirs) = (runs(&answer, n), runs(&reference, n));
    f1(common(&theirs, &ours), total(&ours).max(1), total(&theirs).max(1))
}

/// ROUGE-L as F1, 0 to 1: the longest common sequence of tokens, with gaps.
pub fn rouge_l(answer: &str, reference: &str, by: Tokens) -> f64 {
    let (answer, reference) = (rouge_tokens(answer, by), rouge_tokens(reference, by));
    if answer.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let mut row = vec![0_usize; answer.len() + 1];
    for token in &reference {
        let mut diagonal = 0;
        for (at, ours) in answer.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if ours == token { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    f1(row[answer.len()], answer.len(), reference.len())
}

/// The harmonic mean of precision and recall.
pub(super) fn f1(both: usize, ours: usize, theirs: usize) -> f64 {
    let (precision, recall) = (both as f64 / ours as f64, both as f64 / theirs as f64);
    if both == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}
