//! What is kept while another model answers than the version set's own. The arm is counted as if
//! there were none: what its own model did is its failure, whatever a fallback makes of it.

use super::{Ending, Exchange, account};
use crate::observe::FeedbackOn;
use crate::request::relief;
use crate::upstream::{Form, UpstreamError, UpstreamSaid};
use crate::version_set::Fallback;
use std::borrow::Cow;
use tidegate_core::evidence::RecordedFallback;
use tidegate_core::observe::{Outcome, Timing};
use tidegate_core::upstream::{Failure, FaultOwner};

/// How the version set's own model failed, and which fallback is asked.
pub(super) struct FellBack {
    index: usize,
    pub(super) failure: Failure,
    pub(super) said: Box<UpstreamSaid>,
    timing: Timing,
}

impl Exchange {
    /// Whether another model may be asked: the failure is the model server's, no byte has gone to
    /// the client, and the request is not one that ends its server. Other forms than chat are asked
    /// for one model: the embeddings of another fit no index.
    pub(in crate::request) fn may_fall_back(&self, error: &UpstreamError) -> bool {
        let is_theirs = error.failure.fault() == FaultOwner::Upstream && !error.sent_twice;
        is_theirs && self.query.form == Form::Chat
    }

    /// The fallback of this number is asked from now on, since the own model failed so.
    pub(in crate::request) fn falls_back(&mut self, index: usize, error: &UpstreamError) {
        let failure = self.charged(error.failure);
        let ending = Ending { failure: Some(failure), elapsed: error.elapsed, ..Ending::default() };
        let timing = account::time(self, &ending);
        let said = error.said.clone();
        self.fell_back = Some(FellBack { index, failure, said, timing });
        self.first_token = None;
    }

    /// The fallback did not answer either.
    pub(in crate::request) fn fallback_failed(&mut self) {
        if let Some(fallback) = self.fallback() {
            let model = fallback.model.clone();
            self.gateway.metrics.fallback(self.arm, &model, false);
        }
        self.fell_back = None;
    }

    /// The fallback that answers.
    pub(in crate::request) fn fallback(&self) -> Option<&Fallback> {
        self.set.fallbacks.get(self.fell_back.as_ref()?.index)
    }

    /// The model that answers, by the name its upstream has for it.
    pub(super) fn model(&self) -> &str {
        let (form, config) = (self.query.form, &self.gateway.degrade);
        let smaller = relief::model(self.degraded, form, config);
        let own = || smaller.unwrap_or_else(|| self.set.model_of(form));
        self.fallback().map_or_else(own, |fallback| &fallback.model)
    }

    /// The upstream of the model that answers, by its name in the project.
    pub(super) fn upstream_name(&self) -> &str {
        self.fallback().map_or(&self.set.upstream_name, |fallback| &fallback.upstream_name)
    }

    /// What the own model's server said of its fault.
    pub(super) fn own_said<'a>(&'a self, ending: &'a Ending) -> Option<&'a UpstreamSaid> {
        let own = self.fell_back.as_ref().map(|own| &*own.said);
        own.or(ending.said.as_deref())
    }

    /// Remembers what answered, for what users will say of it.
    pub(super) fn remember(&self) {
        let Exchange { arrival, set, .. } = self;
        self.gateway.parts.collector.remember(
            &arrival.ids.trace,
            FeedbackOn {
                arm: self.arm,
                cohort: self.cohort,
                change_id: self.compared_in().cloned(),
                tenant: arrival.caller.tenant.clone(),
                model: set.keys.model.as_str().into(),
                is_others: self.fell_back.is_some() || self.is_repaired() || self.is_cached,
            },
        );
    }

    /// What the arm is counted with.
    pub(super) fn counted<'a>(&self, outcome: &'a Outcome) -> Cow<'a, Outcome> {
        match &self.fell_back {
            Some(FellBack { failure, timing, .. }) => {
                Cow::Owned(outcome.without_fallback(*failure, *timing))
            }
            None => match &self.repair {
                Some(repair) => Cow::Owned(outcome.by_first(repair.refused)),
                None => Cow::Borrowed(outcome),
            },
        }
    }

    /// What a record says of the fallback, whose answer ended so.
    pub(super) fn recorded_fallback(&self, failure: Option<Failure>) -> Option<RecordedFallback> {
        let Fallback { model, upstream_name, .. } = self.fallback()?;
        let (upstream, model) = (upstream_name.clone(), model.clone());
        Some(RecordedFallback { upstream, model, failure })
    }
}
