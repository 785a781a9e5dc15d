//! Rows of data beside each other: nearly the same text, and the text of an eval case in a row.
//!
//! Only letters and digits count, in small letters and half width: neither layout nor punctuation
//! makes another text. A *shingle* is [`SHINGLE`] bytes of that in a row, five Chinese characters
//! or three English words; texts are compared by the shingles that they share.

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

const BASE: u64 = 0x0100_0000_01b3;

/// Adds the letters and digits of a text, in small letters and half width.
pub fn push_letters(text: &str, letters: &mut Vec<u8>) {
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => letters.push(c.to_ascii_lowercase() as u8),
            c if c.is_ascii() => {}
            // Chinese characters and kana have one form, and are most of a text that has any.
            '\u{4E00}'..='\u{9FFF}' | '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FA}' => {
                letters.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // Full-width forms of ASCII.
            '\u{FF01}'..='\u{FF5E}' => {
                let narrow = (c as u32 - 0xFF01 + 0x21) as u8;
                if narrow.is_ascii_alphanumeric() {
                    letters.push(narrow.to_ascii_lowercase());
                }
            }
            c if c.is_alphanumeric() => {
                for c in c.to_lowercase() {
                    letters.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            _ => {}
        }
    }
}

/// Gives the hash of each shingle of the letters to `each`.
fn shingles(letters: &[u8], mut each: impl FnMut(u64)) {
    let leaving = (0..SHINGLE).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut rolling = 0_u64;
    for (at, byte) in letters.iter().enumerate() {
        let gone = at.checked_sub(SHINGLE).map_or(0, |gone| u64::from(letters[gone]) + 1);
        let change = (u64::from(*byte) + 1).wrapping_sub(gone.wrapping_mul(leaving));
        rolling = rolling.wrapping_mul(BASE).wrapping_add(change);
        if at + 1 >= SHINGLE {
            each(mixed(rolling));
        }
    }
}

/// Every bit of the result hangs on every bit of `hash` (the end of `splitmix64`).
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
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
            if hash < smallest[SKETCH - 1] && !smallest.contains(&hash) {
                smallest[SKETCH - 1] = hash;
                smallest.sort_unstable();
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
