//! A stream while it comes: what must not go on to the client is seen in the piece that brings it.
//!
//! Each text is looked at from its newest piece back as far as a planted text may reach, so that
//! the pieces show what the whole would. What needs the whole answer – the prompt's echo, personal
//! data – is looked for once it has ended, by [`Detectors::inspect`].

use super::said::{Part, Said};
use super::{Detectors, Place, RiskEvent, Signal, planted, signals};
use crate::text::{folded, is_invisible};
use std::collections::BTreeMap;

/// Letters that one letter may take where JSON escapes it (`\u7d2b`).
const ESCAPED_CHARS: usize = 6;
/// Furthest look back, bytes: what is invisible is not counted, and must not make it endless.
const LOOK_BACK_MAX: usize = 1 << 16;

/// What the newest piece of a stream shows.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Planted texts, and tools that are surely not allowed.
    pub events: Vec<RiskEvent>,
    /// Words of the project's list.
    pub signals: Vec<Signal>,
}

/// What of a stream has been looked at.
#[derive(Debug, Clone, Default)]
pub struct StreamWatch {
    texts: BTreeMap<(u64, Part), usize>,
    /// By choice and place among its calls.
    arguments: BTreeMap<(u64, usize), usize>,
    reach: Option<usize>,
}

impl StreamWatch {
    /// What the newest piece shows that must not go on. `said` is all that has come so far.
    pub fn look(&mut self, detectors: &Detectors, said: &Said<'_>) -> Seen {
        let mut seen = Seen::default();
        let Detectors { planted, words, .. } = detectors;
        if !planted.is_empty() || !words.is_empty() {
            let longest = || {
                let chars = planted.iter().map(|text| folded(text).chars().count());
                // One more, so that where a word begins is seen.
                (chars.max().unwrap_or(0) * ESCAPED_CHARS).max(words.longest_chars() + 1)
            };
            let reach = *self.reach.get_or_insert_with(longest);
            let fresh = self.fresh(said, reach);
            seen.events = planted::look(planted, fresh.iter().copied());
            if !words.is_empty() {
                seen.signals = signals(fresh.into_iter().map(|t| (Place::Answer, t)), words);
            }
        }
        let forbidden = detectors.forbidden(said, true).take(1);
        seen.events.extend(forbidden.map(|name| detectors.unauthorised_tool(name)));
        seen
    }

    /// The newest piece of each text that grew, with as much before it as the reach asks for.
    fn fresh<'a>(&mut self, said: &Said<'a>, reach: usize) -> Vec<&'a str> {
        let mut fresh = Vec::new();
        fresh.extend(said.windows.iter().copied());
        for text in &said.texts {
            let seen = self.texts.entry((text.choice, text.part)).or_default();
            fresh.extend(tail(text.text, seen, reach));
        }
        let mut place = (0, 0);
        for call in &said.calls {
            place = if call.choice == place.0 { place } else { (call.choice, 0) };
            let seen = self.arguments.entry(place).or_default();
            place.1 += 1;
            fresh.extend(tail(call.arguments, seen, reach));
            fresh.push(call.name);
        }
        fresh
    }
}

/// The text from so many visible characters before what was seen; `None` where nothing is new.
fn tail<'a>(text: &'a str, seen: &mut usize, reach: usize) -> Option<&'a str> {
    if text.len() == *seen {
        return None;
    }
    let mut from = (*seen).min(text.len());
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let (end, mut visible, mut was_space) = (from, 0, false);
    for (at, c) in text[..end].char_indices().rev() {
        if visible >= reach || end - at > LOOK_BACK_MAX {
            break;
        }
        from = at;
        let is_space = c.is_whitespace();
        let is_counted = !is_invisible(c) && (!is_space || !was_space);
        visible += usize::from(is_counted);
        was_space = is_space;
    }
    *seen = text.len();
    Some(&text[from..])
}
