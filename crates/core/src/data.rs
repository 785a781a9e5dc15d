//! Rows of data beside each other: nearly the same text, and the text of an eval case in a row.
//!
//! Only letters and digits count, in small letters and half width: neither layout nor punctuation
//! makes another text. A *shingle* is [`SHINGLE`] bytes of that in a row, five Chinese characters
//! or three English words; texts are compared by the shingles that they share.

use crate::text::ascii_at_start;
use aho_corasick::AhoCorasick;
use std::collections::BTreeSet;

/// Bytes of a shingle.
pub const SHINGLE: usize = 16;
/// How much of the shingles of two texts is in both where they count as nearly the same, of 1.
pub const NEARLY: f64 = 0.8;
/// Hashes of a sketch.
const SKETCH: usize = 8;
/// Of these, how many look for texts that may be nearly the same. Texts that share [`NEARLY`] of
/// their shingles have none of them in common once in a hundred times or less.
pub const PROBES: usize = 3;
/// Bytes of letters from which a case is looked for within other text; a shorter one is looked for
/// as a whole text.
const CASE_MIN: usize = 20;

/// Arbitrary odd numbers, so that a shingle of few different letters has a hash like any other.
const ONE: u64 = 0xa076_1d64_78bd_642f;
const OTHER: u64 = 0xe703_7ed1_a0b4_28db;

/// The small form of each letter and digit of ASCII; 0 for any other byte.
const LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        if byte.is_ascii_alphanumeric() {
            letters[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    letters
};

/// Adds the letters and digits of a text, in small letters and half width.
pub fn push_letters(text: &str, letters: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = ascii_at_start(rest.as_bytes());
        push_ascii(&rest.as_bytes()[..ascii], letters);
        rest = &rest[ascii..];
        // Chinese characters and kana have one form, and are most of a text that has any.
        let one_form = one_form_until(rest.as_bytes());
        letters.extend_from_slice(&rest.as_bytes()[..one_form]);
        rest = &rest[one_form..];
        let mut chars = rest.chars();
        match chars.next() {
            // Full-width forms of ASCII.
            Some(c @ '\u{FF01}'..='\u{FF5E}') => {
                push_ascii(&[(c as u32 - 0xFF01 + 0x21) as u8], letters);
            }
            Some(c) if c.is_ascii() => continue,
            Some(c) if c.is_alphanumeric() => {
                for c in c.to_lowercase() {
                    letters.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Some(_) | None => {}
        }
        rest = chars.as_str();
    }
}

fn push_ascii(bytes: &[u8], letters: &mut Vec<u8>) {
    let before = letters.len();
    letters.resize(before + bytes.len(), 0);
    let mut kept = 0;
    let out = &mut letters[before..];
    for byte in bytes {
        let letter = LETTERS[usize::from(*byte)];
        out[kept] = letter;
        kept += usize::from(letter != 0);
    }
    letters.truncate(before + kept);
}

/// The end of the characters from U+5000 to U+9FFF, hiragana and katakana at the beginning.
fn one_form_until(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..) {
            Some([0xE5..=0xE9, ..]) => at += 3,
            Some([0xE4, 0xB8..=0xBF, ..]) => at += 3,
            Some([0xE3, 0x81, 0x81..=0xBF, ..] | [0xE3, 0x82, 0x80..=0x96, ..]) => at += 3,
            Some([0xE3, 0x82, 0xA1..=0xBF, ..] | [0xE3, 0x83, 0x80..=0xBA, ..]) => at += 3,
            _ => return at,
        }
    }
}

/// Gives the hash of each shingle of the letters to `each`.
fn shingles(letters: &[u8], mut each: impl FnMut(u64)) {
    for shingle in letters.windows(SHINGLE).filter_map(|window| window.try_into().ok()) {
        let both = u128::from_le_bytes(shingle);
        let (one, other) = (both as u64 ^ ONE, (both >> 64) as u64 ^ OTHER);
        let product = u128::from(one) * u128::from(other);
        each(product as u64 ^ (product >> 64) as u64);
    }
}

/// The smallest hashes of a text's shingles: two texts share about as much of them as of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sketch([u32; SKETCH]);

impl Sketch {
    /// Of letters as [`push_letters`] gives them; `None` where there are too few shingles to
    /// compare.
    pub fn of(letters: &[u8]) -> Option<Sketch> {
        let mut smallest = [u32::MAX; SKETCH];
        shingles(letters, |hash| {
            let hash = (hash >> 32) as u32;
            if hash < smallest[SKETCH - 1] {
                insert(&mut smallest, hash);
            }
        });
        (smallest[SKETCH - 1] != u32::MAX).then_some(Sketch(smallest))
    }

    /// Hashes by which texts that may be nearly the same are found: those have one in common.
    pub fn probes(&self) -> &[u32] {
        &self.0[..PROBES]
    }

    /// Whether the texts may be nearly the same; [`shared`] says whether they are.
    pub fn is_like(&self, other: &Sketch) -> bool {
        // Of the smallest hashes of both together, those that both have.
        let mut all = [self.0, other.0].concat();
        all.sort_unstable();
        all.dedup();
        let both = |hash: &&u32| self.0.contains(hash) && other.0.contains(hash);
        2 * all.iter().take(SKETCH).filter(both).count() >= SKETCH
    }
}

/// Puts a hash among the smallest, in order, where it is not there yet.
#[inline(never)]
fn insert(smallest: &mut [u32; SKETCH], hash: u32) {
    if smallest.contains(&hash) {
        return;
    }
    let mut place = SKETCH - 1;
    while place > 0 && smallest[place - 1] > hash {
        smallest[place] = smallest[place - 1];
        place -= 1;
    }
    smallest[place] = hash;
}

/// How much of the shingles of two texts both have, of 1.
pub fn shared(one: &[u8], other: &[u8]) -> f64 {
    let all = |letters: &[u8]| {
        let mut hashes = Vec::with_capacity(letters.len());
        shingles(letters, |hash| hashes.push(hash));
        BTreeSet::from_iter(hashes)
    };
    let (one, other) = (all(one), all(other));
    let both = one.intersection(&other).count();
    let either = one.len() + other.len() - both;
    if either == 0 { 0.0 } else { both as f64 / either as f64 }
}

/// Eval cases, to be found in other data.
#[derive(Debug)]
pub struct CaseTexts {
    within: AhoCorasick,
    /// For each text that is looked for within others, its case.
    long: Vec<usize>,
    /// Texts that are looked for as wholes, and their cases.
    short: Vec<(Vec<u8>, usize)>,
}

impl CaseTexts {
    /// Of the inputs of cases, in order. One without a letter is found nowhere.
    ///
    /// # Errors
    /// More text than an automaton can be built of.
    pub fn new<'a>(inputs: impl Iterator<Item = &'a str>) -> Result<CaseTexts, String> {
        let (mut texts, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new());
        for (case, input) in inputs.enumerate() {
            let mut letters = Vec::new();
            push_letters(input, &mut letters);
            if letters.len() >= CASE_MIN {
                texts.push(letters);
                long.push(case);
            } else if !letters.is_empty() {
                short.push((letters, case));
            }
        }
        short.sort();
        let within = AhoCorasick::new(&texts).map_err(|error| error.to_string())?;
        Ok(CaseTexts { within, long, short })
    }

    /// The case whose input a text holds, as letters of [`push_letters`]; the first of several.
    pub fn in_text(&self, letters: &[u8]) -> Option<usize> {
        if letters.len() < CASE_MIN {
            let at = self.short.binary_search_by(|(short, _)| short.as_slice().cmp(letters));
            return at.ok().map(|at| self.short[at].1);
        }
        if self.long.is_empty() {
            return None;
        }
        self.within.find(letters).map(|found| self.long[found.pattern().as_usize()])
    }
}

#[cfg(test)]
mod tests;
