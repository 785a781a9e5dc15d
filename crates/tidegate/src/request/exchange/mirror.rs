//! The shadow's part of a request: once its answer has ended, it may be sent to the candidate as
//! well. What comes back is compared with the answer that the user got and goes nowhere else: no
//! record, no window of an arm, no budget, no cache.
//!
//! Mirrored are requests of the set that the shadow compares with, whose answer came or failed by
//! its model server's fault. Left out is what no comparison is fair for (answers of the cache, a
//! degraded service, a client that left) and what may be sent to no other server than was written
//! down before (tenants that are audited).

mod ask;

use super::said::{answer_length, is_refusal};
use super::spent::Spent;
use super::{Checked, Ending, Exchange};
use crate::request::gateway::Gateway;
use crate::route::Shadowing;
use crate::upstream::Form;
use crate::version_set::LiveSet;
use ask::shown;
pub(crate) use ask::{Asker, NoPair, Question, Stable};
use std::pin::pin;
use std::sync::Arc;
use tidegate_core::route::Arm;
use tidegate_core::shadow::Side;
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::{Failure, FaultOwner};
use tidegate_core::version_set::ArtifactKind;
use tidegate_wire::AnswerFacts;
use tokio::sync::OwnedSemaphorePermit;

/// Longest body that is mirrored, bytes: with 8 at a time all of them hold 8 MiB at most.
const BODY_MAX: usize = 1024 * 1024;

/// A request on its way to the candidate.
pub(super) struct Mirror {
    gateway: Arc<Gateway>,
    shadow: Arc<Shadowing>,
    question: Question,
    stable: Stable,
    _place: OwnedSemaphorePermit,
}

impl Mirror {
    /// The mirror of a request that has ended, where it has one.
    pub(super) fn of(
        exchange: &Exchange,
        ending: &Ending,
        contract: &Checked,
        spent: &Spent,
    ) -> Option<Mirror> {
        // Most of the time there is no shadow.
        let shadow = exchange.gateway.parts.router.shadow()?;
        if !exchange.is_mirrored(ending) {
            return None;
        }
        let place = shadow.place(&exchange.set.set.id)?;
        let query = &exchange.query;
        let index = |set: &LiveSet| set.set.artifacts.get(&ArtifactKind::Index).cloned();
        let is_same_index = index(&exchange.set) == index(&shadow.candidate);
        let searched = exchange.searched.as_ref().filter(|_| is_same_index);
        let texts = ending.facts.iter().flat_map(AnswerFacts::texts);
        Some(Mirror {
            gateway: Arc::clone(&exchange.gateway),
            question: Question {
                form: query.form,
                text: query.body.text.clone(),
                user: query.user.clone(),
                words: query.text.clone(),
                streamed: query.stream,
                found: searched.map(|searched| searched.found.clone()),
            },
            stable: Stable {
                side: exchange.side(ending, contract, spent),
                set: Arc::clone(&exchange.set),
                estimated_out: texts.map(|(_, text)| estimate_tokens(text)).sum(),
                is_reported: !spent.estimated,
                is_one_call: exchange.repair.is_none(),
                at: exchange.arrival.at,
                said: ending.facts.as_ref().filter(|_| shadow.comparer.is_some()).map(shown),
            },
            shadow,
            _place: place,
        })
    }

    /// Sends it, beside whatever its user does.
    pub(super) fn begin(self) {
        tokio::spawn(self.run());
    }

    /// It is given up where a user has to wait or the service stops.
    async fn run(self) {
        let (gateway, shadow) = (&self.gateway, &self.shadow);
        let (mut crowded, mut ended) = (pin!(gateway.admission.crowded()), pin!(shadow.ending()));
        crowded.as_mut().enable();
        ended.as_mut().enable();
        let is_over = gateway.is_stopping() || gateway.admission.is_crowded() || shadow.is_over();
        let (prices, clock) = (&gateway.prices, &gateway.parts.clock);
        let asker = Asker { shadow, prices, clock };
        let pair = async {
            match is_over {
                true => Err(NoPair::GivenUp),
                false => asker.ask(&self.question, &self.stable).await,
            }
        };
        let pair = tokio::select! {
            biased;
            () = crowded.as_mut() => Err(NoPair::GivenUp),
            () = ended.as_mut() => Err(NoPair::GivenUp),
            pair = pair => pair,
        };
        let answers = match pair {
            Ok(pair) => {
                shadow.ledger().pair(&pair.stable, &pair.candidate);
                pair.answers
            }
            Err(NoPair::GivenUp) => {
                shadow.ledger().dropped();
                None
            }
            // The ledger has counted it.
            Err(NoPair::Capped) => None,
        };
        let Some(answers) = answers else { return };
        tokio::select! {
            biased;
            () = crowded => {}
            () = ended => {}
            () = asker.compare(&answers) => {}
        }
    }
}

impl Exchange {
    fn is_mirrored(&self, ending: &Ending) -> bool {
        let (gateway, query) = (&self.gateway, &self.query);
        let is_form = match query.form {
            Form::Chat | Form::Messages => true,
            Form::Completions | Form::Embeddings => false,
        };
        let translates = query.message.as_ref().is_none_or(|it| it.untranslatable.is_none());
        let is_theirs = |failure: Failure| failure.fault() == FaultOwner::Upstream;
        is_form
            && translates
            && self.arm == Arm::Stable
            && self.table.table.split.is_none()
            && !self.is_cached
            && self.degraded.is_none()
            && ending.failure.is_none_or(is_theirs)
            && query.body.text_bytes() <= BODY_MAX
            && !gateway.records.audits(self.arrival.caller.tenant.as_deref())
            && !gateway.is_stopping()
            && !gateway.admission.is_crowded()
    }

    /// What is compared of the answer, by what the set's own model said first.
    fn side(&self, ending: &Ending, contract: &Checked, spent: &Spent) -> Side {
        let none = AnswerFacts::default();
        let facts = ending.facts.as_ref().unwrap_or(&none);
        let is_broken = self.repair.is_some() || contract.problem.is_some();
        let refused = self.repair.as_ref().map(|repair| repair.refused);
        let is_checked = self.repair.is_some() || contract.is_checked;
        Side {
            failed: ending.failure.is_some() || self.fell_back.is_some(),
            contract_ok: is_checked.then_some(!is_broken),
            refused: refused.unwrap_or_else(|| is_refusal(facts)),
            tools: facts.tool_names().into_iter().map(str::to_owned).collect(),
            chars: answer_length(facts),
            tokens: Some(spent.tokens_in.saturating_add(spent.tokens_out)),
            cost: spent.known_cost(),
            latency_us: ask::latency_us(&ending.elapsed, self.query.stream),
        }
    }
}
