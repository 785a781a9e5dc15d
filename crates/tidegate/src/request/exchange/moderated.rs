//! What a guard outside of this process says of a request and its answer.

use super::Exchange;
use crate::config::{Block, Side};
use crate::guard::{asked_in, ends, withheld_for};
use crate::request::problem::Problem;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::guard::{Place, Signal, SignalKind};
use tidegate_wire::{AnswerFacts, TextKind};

impl Exchange {
    /// Asks the moderation endpoint about what the request brings; gives the request back where it
    /// may be sent.
    pub(super) async fn moderated(mut self) -> Result<Exchange, Problem> {
        let texts = self.query.body.values().map(asked_in).unwrap_or_default();
        let texts: Vec<&str> = texts.into_iter().map(|(_, text)| text).collect();
        let seen = self.moderation(Side::Requests, Place::User, &texts);
        let asking = Instant::now();
        let seen = seen.await;
        // The endpoint's time is not ours.
        self.upstream += asking.elapsed();
        let Some(seen) = seen else { return Ok(self) };
        self.signals.push(seen);
        self.or_refused()
    }

    /// Asks it about a whole answer. What it says is there when the answer is looked at.
    pub(in crate::request) async fn moderate_answer(&mut self, facts: &AnswerFacts) {
        if let Some(seen) = self.moderation_of_answer(facts, Vec::new()).await {
            self.moderated_so(seen);
        }
    }

    /// What it says of an answer that has ended, and of more texts of it.
    pub(in crate::request) fn moderation_of_answer<'a>(
        &self,
        facts: &'a AnswerFacts,
        mut texts: Vec<&'a str>,
    ) -> impl Future<Output = Option<Signal>> + use<> {
        let is_said = |kind| matches!(kind, TextKind::Answer | TextKind::Refusal);
        let said = facts.texts().filter(|(kind, _)| is_said(*kind));
        texts.extend(said.flat_map(|(_, text)| ends(text)));
        self.moderation_of_texts(&texts)
    }

    /// What it says of texts of an answer.
    pub(in crate::request) fn moderation_of_texts(
        &self,
        texts: &[&str],
    ) -> impl Future<Output = Option<Signal>> + use<> {
        self.moderation(Side::Answers, Place::Answer, texts)
    }

    /// Whether it is asked about answers.
    pub(in crate::request) fn moderates_answers(&self) -> bool {
        let is_asked = self.degraded != Some(DegradeLevel::FixedText);
        is_asked && self.set.moderation.as_ref().is_some_and(|it| it.is_asked(Side::Answers))
    }

    /// It said this of the answer, which counts once however often it was asked: what it flags
    /// the answer for are all categories together.
    pub(in crate::request) fn moderated_so(&mut self, seen: Signal) {
        match self.said_signals.iter_mut().find(|before| before.kind == seen.kind) {
            None => self.said_signals.push(seen),
            Some(before) if seen.kind == SignalKind::Moderation => {
                let all = before.detail.split(", ").chain(seen.detail.split(", "));
                let all: BTreeSet<&str> = all.collect();
                before.detail = all.into_iter().collect::<Vec<_>>().join(", ");
            }
            Some(_) => {}
        }
    }

    /// For what the answer is kept from the client, by what it said so far.
    pub(in crate::request) fn moderated_away(&self) -> Option<Block> {
        withheld_for(&self.set.block, &[], &self.said_signals, false)
    }

    /// What it says of texts; `None` for nothing.
    fn moderation(
        &self,
        side: Side,
        place: Place,
        texts: &[&str],
    ) -> impl Future<Output = Option<Signal>> + use<> {
        let set = Arc::clone(&self.set);
        let is_asked = self.degraded != Some(DegradeLevel::FixedText);
        let asked = set.moderation.as_ref().filter(|_| is_asked);
        let texts = asked.and_then(|moderation| moderation.texts(side, texts));
        let left = self.left();
        async move {
            let moderation = set.moderation.as_ref()?;
            let (kind, detail) = match moderation.look(texts?, left).await {
                Ok(flagged) if flagged.is_empty() => return None,
                Ok(flagged) => (SignalKind::Moderation, flagged),
                Err(why) => (SignalKind::ModerationUnreachable, why),
            };
            Some(Signal { kind, place, detail })
        }
    }
}
