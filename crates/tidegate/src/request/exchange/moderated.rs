//! What a guard outside of this process says of a request and its answer.

use super::Exchange;
use crate::config::Side;
use crate::guard::{asked_in, ends};
use crate::request::problem::Problem;
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
        let is_said = |kind| matches!(kind, TextKind::Answer | TextKind::Refusal);
        let texts = facts.texts().filter(|(kind, _)| is_said(*kind));
        let texts: Vec<&str> = texts.flat_map(|(_, text)| ends(text)).collect();
        let seen = self.moderation(Side::Answers, Place::Answer, &texts);
        if let Some(seen) = seen.await {
            self.said_signals.push(seen);
        }
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
                Some(flagged) if flagged.is_empty() => return None,
                Some(flagged) => (SignalKind::Moderation, flagged),
                None => {
                    let waited = left.min(moderation.within).as_millis();
                    let detail = format!("no answer of the moderation endpoint within {waited} ms");
                    (SignalKind::ModerationUnreachable, detail)
                }
            };
            Some(Signal { kind, place, detail })
        }
    }
}
