//! An answer that breaks the contract is asked for once more. The arm is counted by its first
//! answer: what a repair makes of it is the clients' gain and no merit of the arm.

use super::said::is_refusal;
use super::spent::Spent;
use super::{Checked, Ending, Exchange};
use crate::guard::withheld_for;
use crate::upstream::{Answer, BODY_SMALL, Form, UpstreamError};
use serde_json::{Map, Value};
use tidegate_core::evidence::RepairResult;
use tidegate_core::guard::Findings;
use tidegate_core::money::Money;
use tidegate_wire::AnswerFacts;
use tidegate_wire::again::{ask_chat_again, ask_message_again};

/// A first answer that breaks the contract, and what became of it.
pub(super) struct Repair {
    /// How it breaks it.
    pub(super) problem: String,
    /// What became of it; until the second answer is there, as if its call had failed.
    pub(super) result: RepairResult,
    /// Whether the first answer was a refusal.
    pub(super) refused: bool,
    /// What that one of the two calls used which the client does not see.
    pub(super) unseen: Spent,
    /// What is settled for it; `None` where it is not known.
    pub(super) settles: Option<Money>,
    /// What was found in its answer.
    found: Findings,
    /// The first answer, for the second call.
    first: AnswerFacts,
}

impl Exchange {
    /// Whether this answer is asked for once more, which is waited for from here on. It has to be a
    /// whole one, since of a stream the client has a part, and of the set's own model; one choice
    /// of several would be made again with the others. While the service is degraded nothing is
    /// asked twice.
    pub(in crate::request) fn begins_repair(&mut self, answer: &Answer) -> bool {
        let is_chat = matches!(self.query.form, Form::Chat | Form::Messages);
        let is_own = self.fell_back.is_none() && self.degraded.is_none();
        // A large one is compared where no other request waits for it, and is too long to quote.
        let is_small = answer.body.len() <= BODY_SMALL;
        if !(self.set.repair && is_chat && is_own && is_small) {
            return false;
        }
        let facts = &answer.facts;
        let contract = self.compared(facts);
        let problem = contract.problem.clone();
        self.contract = Some(contract);
        let Some(problem) = problem else { return false };
        let found = self.look(facts, false);
        let Findings { events, signals, gives_away, has_private: _ } = &found;
        let is_withheld = withheld_for(&self.set.block, events, signals, *gives_away).is_some();
        let is_asked = !is_withheld && facts.is_useful() && facts.choices.len() == 1;
        if !is_asked || self.left().is_zero() || !self.gateway.admission.take_retry() {
            self.gateway.metrics.repair(self.arm, RepairResult::NotAsked);
            return false;
        }
        let unseen = Spent::of_answer(self, facts, 0);
        self.repair = Some(Repair {
            problem,
            result: RepairResult::Failed,
            refused: is_refusal(facts),
            settles: unseen.settles(None),
            unseen,
            found,
            first: facts.clone(),
        });
        true
    }

    /// Puts the first answer and what is wrong with it behind the request, where it is asked again.
    pub(in crate::request) fn correct(&self, form: Form, body: &mut Map<String, Value>) {
        if let Some(Repair { first, problem, .. }) = &self.repair {
            match form {
                Form::Messages => ask_message_again(body, first, problem),
                Form::Chat | Form::Completions | Form::Embeddings => {
                    ask_chat_again(body, first, problem);
                }
            }
        }
    }

    /// The answer that the client gets: the second where it keeps the contract, else the first.
    pub(in crate::request) fn repaired(
        &mut self,
        first: Answer,
        second: Result<Answer, UpstreamError>,
    ) -> Answer {
        let Some(mut repair) = self.repair.take() else { return first };
        let second = second.map(|second| {
            let contract = self.compared(&second.facts);
            let is_good = contract.problem.is_none() && second.facts.is_useful();
            (second, is_good.then_some(contract))
        });
        let answer = match second {
            Ok((second, Some(contract))) => {
                repair.result = RepairResult::Repaired;
                self.contract = Some(contract);
                self.failed += first.elapsed.total;
                second
            }
            Ok((second, None)) => {
                repair.result = RepairResult::Broken;
                repair.unseen = Spent::of_answer(self, &second.facts, 0);
                repair.settles = repair.unseen.settles(None);
                repair.found = self.look(&second.facts, false);
                self.failed += second.elapsed.total;
                first
            }
            Err(error) => {
                let failure = Some(error.failure);
                repair.unseen = Spent::of_nothing(self, failure, 0);
                repair.settles = repair.unseen.settles(failure);
                repair.found = Findings::default();
                self.failed += error.elapsed.total;
                first
            }
        };
        self.gateway.metrics.repair(self.arm, repair.result);
        self.repair = Some(repair);
        answer
    }

    /// Whether the client gets a second answer.
    pub(super) fn is_repaired(&self) -> bool {
        self.repair.as_ref().is_some_and(|repair| repair.result == RepairResult::Repaired)
    }

    /// How the contract was broken, as the record has it: by the first answer, and not by a
    /// fallback's.
    pub(super) fn broken(&self, last: Checked) -> Option<String> {
        match &self.repair {
            Some(repair) => Some(repair.problem.clone()),
            None => last.problem.filter(|_| self.fell_back.is_none()),
        }
    }

    /// What both calls used.
    pub(super) fn both(&self, spent: Spent) -> Spent {
        match &self.repair {
            Some(repair) => spent.plus(&repair.unseen),
            None => spent,
        }
    }

    /// What is settled with budgets for all calls together; `None` where one of them may cost what
    /// is not known.
    pub(super) fn settles(&self, last: Option<Money>) -> Option<Money> {
        let own_may_cost = self.fell_back.as_ref().is_some_and(|own| own.failure.may_cost());
        let last = last.filter(|_| !own_may_cost)?;
        match &self.repair {
            Some(repair) => Some(last.plus(repair.settles?)),
            None => Some(last),
        }
    }

    /// What was found in both answers, where there are two.
    pub(super) fn found(&self, ending: &mut Ending) {
        let Some(Repair { found: Findings { events, gives_away, has_private, signals }, .. }) =
            &self.repair
        else {
            return;
        };
        let found = ending.found.get_or_insert_default();
        found.gives_away |= gives_away;
        found.has_private |= has_private;
        for event in events {
            if !found.events.contains(event) {
                found.events.push(event.clone());
            }
        }
        for signal in signals {
            if !found.signals.contains(signal) {
                found.signals.push(signal.clone());
            }
        }
    }
}
