//! Personal data and secrets in answers, replaced where the project asks for it: in texts,
//! reasoning and refusals of every choice. Arguments of tool calls stay: a tool that gets `[email]`
//! in place of an address does something else than it was asked for.

use super::exchange::Exchange;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tidegate_core::guard::{Findings, Known, Part, RedactedStream};
use tidegate_core::text::{PrivateKind, redact_wanted};
use tidegate_wire::openai_chat::{Form, chunk_like, with_texts};
use tidegate_wire::{AnswerFacts, ChoicePiece, Piece};

/// Most texts of one stream that wait at a time; what is in more is left out. Answers have 128
/// choices at most.
const TEXTS_MAX: usize = 384;

/// A whole answer with what is wanted replaced; `None` where nothing is.
pub(super) fn whole(
    exchange: &Exchange,
    body: &[u8],
    facts: &AnswerFacts,
    found: &Findings,
) -> Option<Bytes> {
    if exchange.set.redact.is_empty() || !found.has_private {
        return None;
    }
    let known = OnceLock::new();
    let wants = wants(exchange, &known);
    let mut is_changed = false;
    let mut redacted = |text: &String| {
        let redacted = redact_wanted(text, &wants);
        is_changed |= redacted.is_some();
        redacted.unwrap_or_else(|| text.clone())
    };
    let said = facts.choices.iter().map(|choice| ChoicePiece {
        index: choice.index,
        text: redacted(&choice.text),
        reasoning: redacted(&choice.reasoning),
        refusal: redacted(&choice.refusal),
        ..ChoicePiece::default()
    });
    let said: Vec<ChoicePiece> = said.collect();
    is_changed.then(|| with_texts(body, Form::Answer, &said).map(Bytes::from)).flatten()
}

/// What is replaced: the kinds that the set names, but for what the request held. The request is
/// read again only where something is found.
fn wants<'a>(
    exchange: &'a Exchange,
    known: &'a OnceLock<Known>,
) -> impl Fn(PrivateKind, &str) -> bool + use<'a> {
    |kind, value| {
        let is_wanted = exchange.set.redact.contains(&kind);
        is_wanted && !known.get_or_init(|| exchange.known()).holds(kind, value)
    }
}

/// A stream whose texts are redacted as they come.
#[derive(Default)]
pub(super) struct Redacting {
    known: OnceLock<Known>,
    texts: BTreeMap<(u64, Part), RedactedStream>,
    /// A chunk of the stream, for one more like it.
    last: Bytes,
    /// Whether anything was replaced.
    pub(super) is_changed: bool,
}

impl Redacting {
    /// One where the version set replaces anything.
    pub(super) fn of(exchange: &Exchange) -> Option<Redacting> {
        (!exchange.set.redact.is_empty()).then(Redacting::default)
    }

    /// The chunk with what can go on of it and of those before; `None` where it has no choice.
    pub(super) fn chunk(
        &mut self,
        exchange: &Exchange,
        data: &Bytes,
        says: &Piece,
    ) -> Option<(Vec<u8>, Piece)> {
        if says.choices.is_empty() {
            return None;
        }
        self.last = data.clone();
        let choices = says.choices.iter().map(|choice| self.choice(exchange, choice));
        let shown = Piece { choices: choices.collect(), ..says.clone() };
        with_texts(data, Form::Chunk, &shown.choices).map(|data| (data, shown))
    }

    /// A chunk with what still waits at the end of the stream; `None` where nothing does.
    pub(super) fn end(&mut self, exchange: &Exchange) -> Option<(Vec<u8>, Piece)> {
        let mut choices: BTreeMap<u64, ChoicePiece> = BTreeMap::new();
        let waiting: Vec<(u64, Part)> = self.texts.keys().copied().collect();
        for (index, part) in waiting {
            let text = self.text(exchange, (index, part), "", true);
            let choice = choices.entry(index).or_default();
            choice.index = index;
            match part {
                Part::Content => choice.text = text,
                Part::Reasoning => choice.reasoning = text,
                Part::Refusal => choice.refusal = text,
            }
        }
        let choices: Vec<ChoicePiece> = choices.into_values().collect();
        let says_any = |choice: &ChoicePiece| {
            [&choice.text, &choice.reasoning, &choice.refusal].iter().any(|text| !text.is_empty())
        };
        if !choices.iter().any(says_any) {
            return None;
        }
        let data = chunk_like(&self.last, &choices)?;
        Some((data, Piece { choices, ..Piece::default() }))
    }

    /// A text ends where another begins, a tool is called, or the choice ends.
    fn choice(&mut self, exchange: &Exchange, said: &ChoicePiece) -> ChoicePiece {
        let ends = said.finish.is_some() || !said.calls.is_empty();
        let thought = ends || !said.text.is_empty() || !said.refusal.is_empty();
        let mut text = |part, piece, ends| self.text(exchange, (said.index, part), piece, ends);
        let reasoning = text(Part::Reasoning, &said.reasoning, thought);
        let content = text(Part::Content, &said.text, ends);
        let refusal = text(Part::Refusal, &said.refusal, ends);
        ChoicePiece { text: content, reasoning, refusal, ..said.clone() }
    }

    fn text(&mut self, exchange: &Exchange, at: (u64, Part), piece: &str, ends: bool) -> String {
        let is_new = !self.texts.contains_key(&at);
        if is_new && (piece.is_empty() || self.texts.len() >= TEXTS_MAX) {
            return String::new();
        }
        let wants = wants(exchange, &self.known);
        let text = self.texts.entry(at).or_default();
        let mut out = text.push(&wants, piece);
        if ends {
            out.push_str(&text.end(&wants));
        }
        self.is_changed |= text.is_changed;
        if ends {
            self.texts.remove(&at);
        }
        out
    }
}
