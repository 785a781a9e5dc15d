//! Streamed answers and a guard outside of this process. It is asked about the whole answer before
//! the stream's end goes on. Where what it flags is blocked, it is asked window by window as well,
//! and nothing of a text goes to the client that it has not seen.

use super::bounds::HELD_MAX;
use super::exchange::Exchange;
use crate::config::Block;
use crate::guard::said_in;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};
use tidegate_core::guard::{Signal, SignalKind, TextId, Window, Windows};
use tidegate_wire::AnswerFacts;

/// What is known of one stream.
#[derive(Default)]
pub(super) struct Moderating {
    /// Whether texts wait until they have been looked at.
    holds: bool,
    windows: Windows,
    /// Windows that the guard was not asked about yet, and where they end.
    full: Vec<(TextId, String, usize)>,
    /// What it is asked.
    asking: Option<Asking>,
    /// How far each text has been looked at, bytes.
    seen: BTreeMap<TextId, usize>,
    held: VecDeque<Waiting>,
    held_bytes: usize,
    end: End,
    /// How long the texts are with all pieces so far, bytes.
    said: BTreeMap<TextId, usize>,
}

/// Events that wait.
struct Waiting {
    events: Vec<u8>,
    /// How far these texts must have been looked at, bytes.
    texts: Vec<(TextId, usize)>,
}

/// How far the end of the answer is.
#[derive(Default, PartialEq, Eq)]
enum End {
    /// It goes on.
    #[default]
    Ahead,
    /// It has come.
    Here,
    /// The guard was asked about all of it.
    Asked,
}

/// A call to the guard.
struct Asking {
    verdict: Pin<Box<dyn Future<Output = Option<Signal>> + Send>>,
    /// What has been looked at once it answers.
    of: Vec<(TextId, usize)>,
}

impl Moderating {
    /// One where the guard is asked about answers.
    pub(super) fn of(exchange: &Exchange) -> Option<Moderating> {
        let block = &exchange.set.block;
        let blocks = [Block::Moderation, Block::ModerationUnreachable];
        let holds = blocks.iter().any(|by| block.contains(by));
        exchange.moderates_answers().then(|| Moderating { holds, ..Moderating::default() })
    }

    /// Takes the events of the newest piece. What may go on is put behind `out`.
    pub(super) fn take(&mut self, facts: &AnswerFacts, events: &mut Vec<u8>, out: &mut Vec<u8>) {
        if !self.holds {
            return out.append(events);
        }
        let said = said_in(facts);
        let mut texts = Vec::new();
        for text in &said.texts {
            let id = (text.choice, text.part);
            let before = self.said.insert(id, text.text.len()).unwrap_or_default();
            if text.text.len() > before && Windows::is_cut(text.part) {
                texts.push((id, text.text.len()));
            }
        }
        // What says nothing waits for what came before it.
        self.held_bytes += events.len();
        self.held.push_back(Waiting { events: std::mem::take(events), texts });
        let windows = match self.held_bytes > HELD_MAX {
            // Events that say little must not take more memory than the windows need.
            true => self.windows.rest(&said),
            false => self.windows.full(&said),
        };
        let owned = |Window { of, text, end }| (of, str::to_owned(text), end);
        self.full.extend(windows.into_iter().map(owned));
        self.release(out);
    }

    /// Whether as much waits as may: no more of the stream is read until the guard has answered.
    pub(super) fn is_full(&self) -> bool {
        self.asking.is_some() && self.held_bytes > HELD_MAX
    }

    /// The answer has ended: the guard is asked about all of it.
    pub(super) fn end(&mut self) {
        self.end = End::Here;
    }

    /// Goes on until the guard is waited for, or there is nothing to ask. What may go on is put
    /// behind `out`; what the guard says is the exchange's to know.
    pub(super) fn poll(
        &mut self,
        exchange: &mut Exchange,
        facts: &AnswerFacts,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<()> {
        loop {
            if self.asking.is_none() {
                self.asking = self.ask(exchange, facts);
            }
            let Some(asking) = &mut self.asking else { return Poll::Ready(()) };
            let Poll::Ready(seen) = asking.verdict.as_mut().poll(cx) else { return Poll::Pending };
            self.seen.extend(std::mem::take(&mut asking.of));
            self.asking = None;
            if let Some(seen) = seen {
                // It is not waited for once more before the end: each window would take as long.
                self.holds &= seen.kind != SignalKind::ModerationUnreachable;
                exchange.moderated_so(seen);
            }
            if exchange.moderated_away().is_some() {
                return Poll::Ready(());
            }
            if !self.holds {
                self.full.clear();
            }
            self.release(out);
        }
    }

    /// The next call, where there is something to ask.
    fn ask(&mut self, exchange: &Exchange, facts: &AnswerFacts) -> Option<Asking> {
        let is_last = self.end == End::Here;
        if !is_last && self.full.is_empty() {
            return None;
        }
        let full = std::mem::take(&mut self.full);
        let mut of: Vec<(TextId, usize)> = full.iter().map(|(id, _, end)| (*id, *end)).collect();
        let windows: Vec<&str> = full.iter().map(|(_, text, _)| &**text).collect();
        if !is_last {
            return Some(Asking { verdict: Box::pin(exchange.moderation_of_texts(&windows)), of });
        }
        // Windows that were not asked about yet as well: so what it says does not hang on which of
        // the two was faster.
        self.end = End::Asked;
        of.extend(self.said.iter().map(|(id, length)| (*id, *length)));
        let verdict = Box::pin(exchange.moderation_of_answer(facts, windows));
        Some(Asking { verdict, of })
    }

    /// What of the waiting events may go on.
    fn release(&mut self, out: &mut Vec<u8>) {
        let is_seen = |(id, length): &(TextId, usize)| self.seen.get(id) >= Some(length);
        while let Some(first) = self.held.front() {
            if self.holds && !first.texts.iter().all(is_seen) {
                return;
            }
            let Some(Waiting { events, texts: _ }) = self.held.pop_front() else { return };
            self.held_bytes -= events.len();
            out.extend_from_slice(&events);
        }
    }
}
