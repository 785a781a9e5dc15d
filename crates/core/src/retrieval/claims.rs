//! What an answer claims, and what of it has a citation and support in what its model was shown.
//!
//! **A claim** is a sentence of at least [`CLAIM_LENGTH`] that is no question, no heading, no line
//! that leads to a list, and no code. A sentence ends at `.`, `!` or `?` before white space, at
//! `。`, `！`, `？`, `｡` or `…`, and at the end of a line. Of an answer that is JSON, the claims
//! are those of its texts.
//!
//! **Cited** is a claim with a [citation](super::cited) of something that was shown: in it, behind
//! it, or at the beginning of its line. A list `citations` of an answer that is JSON is for all of
//! its claims.
//!
//! **Supported** is a claim where one chunk has all of its numbers and [`SUPPORT_SHARE`] of its
//! terms: words of four letters and more without their ending, and of a script without spaces each
//! two neighbours. So a claim from elsewhere is seen, and a number that is in no source. A claim
//! that says the opposite in the same words is not seen; one that says the same in other words, or
//! a number that is written out, counts as unsupported. Both arms are measured alike: what matters
//! is the difference.

use super::chunks::{closes, sentence_ends};
use super::citations::marks;
use super::terms::{Run, runs, stem};
use super::{ChunkId, Retrieved, cited};
use crate::text::{folded, texts_in};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// Shortest claim: four words, or six characters of a script without spaces, since a word counts
/// three and such a character two. "Yes, of course." is none.
const CLAIM_LENGTH: usize = 12;
/// Which share of a claim's terms one chunk has at least.
const SUPPORT_SHARE: f64 = 0.4;
/// Shortest word that is a term, letters: shorter ones are in every text.
const TERM_LETTERS: usize = 4;
/// Of a longer text the beginning is looked at, bytes: some ten pages.
const LOOKED_AT: usize = 1 << 15;

/// How many claims an answer makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// All of them.
    pub made: u64,
    /// Those without a citation.
    pub uncited: u64,
    /// Those that nothing of what was shown supports.
    pub ungrounded: u64,
}

impl Claims {
    /// The share of an answer's claims that have no citation, thousandths; 0 without claims.
    pub fn uncited_milli(self) -> u64 {
        (self.uncited * 1000).checked_div(self.made).unwrap_or_default()
    }

    /// The share of an answer's claims that have no support, thousandths; 0 without claims.
    pub fn ungrounded_milli(self) -> u64 {
        (self.ungrounded * 1000).checked_div(self.made).unwrap_or_default()
    }
}

/// The claims of an answer, compared with what its model was shown.
pub fn claims(answer: &str, shown: &Retrieved) -> Claims {
    compared(answer, shown, &mut |_| {})
}

/// The same, with the claims that nothing of what was shown supports.
pub fn unsupported(answer: &str, shown: &Retrieved) -> (Claims, Vec<String>) {
    let mut texts = Vec::new();
    let claims = compared(answer, shown, &mut |claim| texts.push(claim.to_owned()));
    (claims, texts)
}

/// The claims of an answer; `lacks` is given each that has no support.
fn compared(answer: &str, shown: &Retrieved, lacks: &mut dyn FnMut(&str)) -> Claims {
    let mut all = Claims::default();
    let mut support = Support { shown, chunks: None };
    let json = answer.trim_start().starts_with('{').then(|| serde_json::from_str(answer));
    if let Some(Ok(Value::Object(members))) = json {
        let has_list = members.get("citations").is_some_and(Value::is_array);
        let is_cited = has_list && cited(answer, &shown.ids).shown > 0;
        for (_, value) in members.iter().filter(|(name, _)| *name != "citations") {
            for text in texts_in(value) {
                all.add(text, is_cited, &mut support, lacks);
            }
        }
    } else {
        all.add(answer, false, &mut support, lacks);
    }
    all
}

impl Claims {
    /// Adds the claims of a text; `are_cited` where they all are.
    fn add(
        &mut self,
        text: &str,
        are_cited: bool,
        support: &mut Support<'_>,
        lacks: &mut dyn FnMut(&str),
    ) {
        let mut end = text.len().min(LOOKED_AT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (text, citations) = without_citations(&text[..end], &support.shown.ids);
        let claims = sentences(&text);
        let cited: BTreeSet<usize> =
            citations.into_iter().filter_map(|at| cited_by(&text, &claims, at)).collect();
        for (index, at) in claims.iter().enumerate() {
            self.made += 1;
            self.uncited += u64::from(!are_cited && !cited.contains(&index));
            if !support.is_found(&text[at.clone()]) {
                self.ungrounded += 1;
                lacks(&text[at.clone()]);
            }
        }
    }
}

/// The text without its citations, and where in it those were that name something shown.
fn without_citations(text: &str, shown: &[ChunkId]) -> (String, Vec<usize>) {
    let (mut rest, mut citations, mut from) = (String::with_capacity(text.len()), Vec::new(), 0);
    for mark in marks(text, shown) {
        rest.push_str(&text[from..mark.at.start]);
        from = mark.at.end;
        if mark.are_shown.contains(&true) {
            citations.push(rest.len());
        }
    }
    rest.push_str(&text[from..]);
    (rest, citations)
}

/// The claim that a citation at this place is for: the last one that begins before it in its line,
/// else the line's first, else the last one above.
fn cited_by(text: &str, claims: &[Range<usize>], at: usize) -> Option<usize> {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let next = claims.partition_point(|claim| claim.start < at);
    let before = next.checked_sub(1);
    let is_behind = before.is_some_and(|before| claims[before].start >= line);
    let leads = claims.get(next).is_some_and(|claim| claim.start < line_end);
    if leads && !is_behind { Some(next) } else { before }
}

/// The sentences of a text that claim something.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut claims = Vec::new();
    let (mut from, mut is_code) = (0, false);
    for line in text.split('\n') {
        let start = from;
        from += line.len() + 1;
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if is_fence || is_code || line.trim_start().starts_with('#') {
            continue;
        }
        let mut begin = start + bullet(line);
        let ends = sentence_ends(line, line.len()).map(|end| start + end);
        for end in ends.chain([start + line.len()]) {
            let sentence = text.get(begin..end).unwrap_or_default();
            let blank = sentence.len() - sentence.trim_start().len();
            if is_claim(sentence) {
                claims.push(begin + blank..end);
            }
            begin = begin.max(end);
        }
    }
    claims
}

/// How long the mark or number before an item of a list is, bytes.
fn bullet(line: &str) -> usize {
    let text = line.trim_start_matches([' ', '\t', '-', '*', '•', '・', '>', '+']);
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = number.len() < text.len() && number.starts_with(['.', ')', '、', '．']);
    let item = if is_numbered { number } else { text };
    line.len() - item.len()
}

fn is_claim(sentence: &str) -> bool {
    let body = sentence.trim_end();
    let marks: &str = &body[body.trim_end_matches(closes).len()..];
    if marks.contains(['?', '？']) || body.ends_with([':', '：']) {
        return false;
    }
    let length = runs(&folded(sentence)).into_iter().map(|run| match run {
        Run::Word(_) => 3,
        Run::Unspaced(chars) => 2 * chars.len(),
    });
    length.sum::<usize>() >= CLAIM_LENGTH
}

/// What a text is compared by.
#[derive(Default)]
struct Compared {
    terms: HashSet<String>,
    numbers: HashSet<String>,
}

impl Compared {
    fn of(text: &str) -> Compared {
        let mut of = Compared::default();
        for run in runs(&folded(text)) {
            match run {
                Run::Word(word) if word.iter().any(char::is_ascii_digit) => {
                    of.numbers.insert(word.iter().collect());
                }
                Run::Word(word) if word.len() < TERM_LETTERS => {}
                Run::Word(word) => {
                    of.terms.insert(stem(&word).iter().collect());
                }
                Run::Unspaced(chars) => {
                    of.terms.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
                }
            }
        }
        of
    }

    /// Whether this text has what a claim says.
    fn supports(&self, claim: &Compared) -> bool {
        let found = claim.terms.intersection(&self.terms).count() as f64;
        claim.numbers.is_subset(&self.numbers) && found >= SUPPORT_SHARE * claim.terms.len() as f64
    }
}

/// What was shown, read once a claim is compared with it.
struct Support<'a> {
    shown: &'a Retrieved,
    chunks: Option<Vec<Compared>>,
}

impl Support<'_> {
    fn is_found(&mut self, claim: &str) -> bool {
        let shown = self.shown;
        let chunks = self.chunks.get_or_insert_with(|| shown.chunks().map(Compared::of).collect());
        let claim = Compared::of(claim);
        chunks.iter().any(|chunk| chunk.supports(&claim))
    }
}

#[cfg(test)]
mod tests;
