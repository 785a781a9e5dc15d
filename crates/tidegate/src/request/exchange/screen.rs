//! What guards see: in a request before it is sent, in an answer before it goes on; and how it is
//! counted.

use super::{Ending, Exchange};
use crate::config::Block;
use crate::guard::{asked_in, block_of, block_of_signal, refused_for, said_in, withheld_for};
use crate::request::problem::Problem;
use crate::upstream::Form;
use crate::version_set::LiveSet;
use std::cell::OnceCell;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::guard::{Findings, Known, Said, signals};
use tidegate_core::text::PrivateKind;
use tidegate_core::upstream::Failure;
use tidegate_wire::AnswerFacts;

/// Why an answer is kept from the client.
pub(in crate::request) struct Withheld {
    pub(in crate::request) why: Block,
    /// How it compares with the contract, where that is why.
    pub(in crate::request) contract: Checked,
}

/// How an answer compares with the contract, or its calls with their tools' schemas.
#[derive(Debug, Clone, Default)]
pub(in crate::request) struct Checked {
    /// Whether it was compared.
    pub(in crate::request) is_checked: bool,
    /// How it breaks it.
    pub(in crate::request) problem: Option<String>,
}

impl Checked {
    /// An answer that breaks it so.
    pub(in crate::request) fn broken(problem: String) -> Checked {
        Checked { is_checked: true, problem: Some(problem) }
    }
}

impl Exchange {
    /// Looks at what the request brings; gives it back where it may be sent. One that may not has
    /// its record and is over.
    pub(super) fn screened(mut self) -> Result<Exchange, Problem> {
        if let Some(body) = self.query.body.values() {
            self.signals = signals(asked_in(body), &self.set.detectors.words);
        }
        self.or_refused()
    }

    /// The request where it may be sent, by what was seen in it so far.
    pub(super) fn or_refused(self) -> Result<Exchange, Problem> {
        let Some(why) = refused_for(&self.set.block, &self.signals) else { return Ok(self) };
        let problem = Problem::blocked(why);
        let (status, failure) = (problem.status, Some(Failure::Blocked));
        self.close(Ending { status, failure, ..Ending::default() });
        Err(problem)
    }

    /// What the answer holds that it should not.
    pub(in crate::request) fn look(&self, facts: &AnswerFacts, is_cut: bool) -> Findings {
        let detectors = &self.set.detectors;
        let asked = OnceCell::new();
        let heard = || {
            let asked = asked.get_or_init(|| self.query.body.again());
            self.heard(asked)
        };
        let mut found = detectors.inspect(&Said { is_cut, ..said_in(facts) }, heard);
        found.signals.extend(self.said_signals.iter().cloned());
        found
    }

    /// What the request said, for what an answer may repeat.
    pub(in crate::request) fn known(&self) -> Known {
        Known::of(&self.heard(&self.query.body.again()))
    }

    /// How an answer that has ended compares with the contract.
    ///
    /// # Errors
    /// Why it is kept from the client. What is kept back for what it holds is not compared.
    pub(in crate::request) fn checked(
        &self,
        facts: &AnswerFacts,
        found: &Findings,
    ) -> Result<Checked, Withheld> {
        let block = &self.set.block;
        let Findings { events, signals, gives_away, has_private: _ } = found;
        if let Some(why) = withheld_for(block, events, signals, *gives_away) {
            return Err(Withheld { why, contract: Checked::default() });
        }
        let contract = self.contract.clone().unwrap_or_else(|| self.compared(facts));
        let why = match facts.tool_calls().next() {
            None => Block::Contract,
            Some(_) => Block::Arguments,
        };
        match contract.problem.is_some() && block.contains(&why) {
            true => Err(Withheld { why, contract }),
            false => Ok(contract),
        }
    }

    /// Compares an answer with the contract. One that calls tools has no text that could keep it:
    /// its arguments are compared with the tools' schemas. Embeddings say nothing.
    pub(super) fn compared(&self, facts: &AnswerFacts) -> Checked {
        let is_fixed = self.degraded == Some(DegradeLevel::FixedText);
        if is_fixed || self.query.form == Form::Embeddings {
            return Checked::default();
        }
        compared(&self.set, facts)
    }

    /// Whether what is blocked by this is replaced where it is not blocked.
    fn replaces(&self, by: Block) -> bool {
        let is_replaced = |kind| self.set.redact.contains(&kind);
        match by {
            Block::Secrets => is_replaced(PrivateKind::Key),
            Block::Ids => is_replaced(PrivateKind::Card),
            Block::Personal => !self.set.redact.is_empty(),
            Block::Planted
            | Block::Tools
            | Block::Prompt
            | Block::Words
            | Block::Injection
            | Block::HiddenText
            | Block::Contract
            | Block::Arguments
            | Block::Moderation
            | Block::ModerationUnreachable => false,
        }
    }

    /// Counts what guards saw and what was done.
    pub(super) fn count_guards(&self, ending: &Ending, found: &Findings, is_refusal: bool) {
        let metrics = &self.gateway.metrics;
        let is_refused = ending.failure == Some(Failure::Blocked);
        let count = |guard, is_stopped: bool, by: Option<Block>| {
            let is_blocked = is_stopped && by.is_some_and(|by| self.set.block.contains(&by));
            let is_replaced = || ending.redacted && by.is_some_and(|by| self.replaces(by));
            let action = match is_blocked {
                true => "blocked",
                false if is_replaced() => "redacted",
                false => "counted",
            };
            metrics.guard(guard, action);
        };
        for signal in &self.signals {
            count(signal.kind.as_str(), is_refused, Some(block_of_signal(signal.kind)));
        }
        for signal in &found.signals {
            count(signal.kind.as_str(), ending.withheld, Some(block_of_signal(signal.kind)));
        }
        for event in &found.events {
            count(event.kind.as_str(), ending.withheld, block_of(event.kind));
        }
        if found.gives_away {
            count("personal_data", ending.withheld, Some(Block::Personal));
        }
        if is_refusal {
            count("refusal", ending.withheld, None);
        }
    }
}

/// The same of an answer of a set.
pub(super) fn compared(set: &LiveSet, facts: &AnswerFacts) -> Checked {
    if facts.tool_calls().next().is_none() {
        let is_checked = set.contract.is_some();
        let mut texts = facts.choice_texts();
        let problem = texts.find_map(|(_, text)| set.contract_problem(text));
        return Checked { is_checked, problem };
    }
    let calls = facts.tool_calls();
    let problems = calls.filter_map(|call| set.arguments_problem(&call.name, &call.arguments));
    problems.fold(Checked::default(), |all, problem| Checked {
        is_checked: true,
        problem: all.problem.or(problem),
    })
}
