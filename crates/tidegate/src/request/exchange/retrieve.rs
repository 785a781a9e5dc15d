//! What the version set's index has for a request: searched once, before the model is asked.

use super::{Ending, Exchange};
use crate::guard::heard_in;
use crate::observe::RetrievalResult;
use crate::upstream::{Elapsed, Form, UpstreamError};
use crate::version_set::Slots;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::evidence::RecordedRetrieval;
use tidegate_core::guard::Heard;
use tidegate_core::retrieval::{Claims, Retrieved, cited, claims};
use tidegate_core::text::redact;
use tidegate_core::upstream::Failure;

impl Exchange {
    /// Searches the set's index for the last user text, where the set asks for it and the service
    /// is not degraded so far that it is switched off.
    ///
    /// # Errors
    /// The search failed, and the set wants no answer without it.
    pub(in crate::request) async fn retrieve(&mut self) -> Result<(), UpstreamError> {
        let set = Arc::clone(&self.set);
        let is_chat = matches!(self.query.form, Form::Chat | Form::Messages);
        let is_off = self.degraded >= Some(DegradeLevel::Small);
        let Some(search) = set.search.as_ref().filter(|_| is_chat && !is_off) else {
            return Ok(());
        };
        let searched = search.find(&self.query.text, self.left()).await;
        let result = match (&searched.failed, searched.found.ids.len()) {
            (Some(_), _) => RetrievalResult::Failed,
            (None, _) if searched.words_only.is_some() => RetrievalResult::WordsOnly,
            (None, 0) => RetrievalResult::Nothing,
            (None, _) => RetrievalResult::Found,
        };
        self.gateway.metrics.retrieval(self.arm, result);
        let fails = searched.failed.clone().filter(|_| searched.is_fatal);
        self.searched = Some(searched);
        match fails {
            None => Ok(()),
            Some(why) => Err(UpstreamError::new(Failure::Retrieval, why, Elapsed::default())),
        }
    }

    /// What fills the prompt's places.
    pub(super) fn slots(&self) -> Slots<'_> {
        let retrieved = self.shown().map_or("", |found| &found.text);
        Slots { user: self.query.user.as_deref(), retrieved }
    }

    /// How long the search took.
    pub(super) fn retrieval(&self) -> Duration {
        self.searched.as_ref().map_or(Duration::ZERO, |searched| searched.took)
    }

    /// What the model was shown. What is in it is not given away by an answer that repeats it: the
    /// operator wants it answered from.
    pub(super) fn heard<'a>(&'a self, asked: &'a Map<String, Value>) -> Heard<'a> {
        let mut heard = heard_in(asked, &self.set.detectors.system_prompt);
        heard.client.extend(self.shown().map(|found| found.text.as_str().into()));
        heard
    }

    /// What the record says of the search, and of what an answer cites of it, which is counted.
    pub(super) fn recorded_retrieval(
        &self,
        answer: &str,
        claims: Option<Claims>,
    ) -> Option<RecordedRetrieval> {
        let searched = self.searched.as_ref()?;
        let cited = cited(answer, &searched.found.ids);
        self.gateway.metrics.cited(self.arm, cited);
        if let Some(claims) = claims {
            self.gateway.metrics.claims(self.arm, claims);
        }
        Some(RecordedRetrieval {
            cited,
            claims,
            chunks: searched.found.ids.iter().map(|id| redact(id.as_str())).collect(),
            failed: searched.failed.clone(),
            words_only: searched.words_only.clone(),
        })
    }

    /// What an answer claims; `None` where nothing was found to compare it with, where it is not
    /// whole or was withheld, and where it is a refusal.
    pub(super) fn claims(&self, ending: &Ending, is_refusal: bool) -> Option<Claims> {
        let shown = self.shown().filter(|shown| !shown.ids.is_empty())?;
        let is_whole = ending.failure.is_none() && !ending.withheld;
        let facts = ending.facts.as_ref().filter(|_| is_whole && !is_refusal)?;
        Some(claims(facts.text(), shown))
    }

    fn shown(&self) -> Option<&Retrieved> {
        self.searched.as_ref().map(|searched| &searched.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_core::retrieval::{Chunk, ChunkId, retrieved};
    use tidegate_wire::{AnswerFacts, ChoicePiece, Piece};

    proptest! {
        #[test]
        fn however_a_stream_is_split_its_claims_are_the_same(
            text in "([a-z]{4,6} |退货五天|30|\\[1\\]|【2】|[.。?] |\n){0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let chunk = Chunk { id: ChunkId::new("a.md", 1), text: "退货五天 within 30".to_owned() };
            let shown = retrieved(vec![chunk], 1_000);
            let letters: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|at| at.index(letters.len() + 1)).collect();
            cuts.extend([0, letters.len()]);
            cuts.sort_unstable();
            let mut facts = AnswerFacts::default();
            for cut in cuts.windows(2) {
                let text = letters[cut[0]..cut[1]].iter().collect();
                let choices = vec![ChoicePiece { text, ..ChoicePiece::default() }];
                facts.push(Piece { choices, ..Piece::default() }).unwrap();
            }
            prop_assert_eq!(claims(facts.text(), &shown), claims(&text, &shown));
        }
    }
}
