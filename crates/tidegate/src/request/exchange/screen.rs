//! What guards see: in a request before it is sent, in an answer before it goes on; and how it is
//! counted.

use super::{Ending, Exchange};
use crate::config::Block;
use crate::guard::{asked_in, block_of, block_of_signal, refused_for, withheld_for};
use crate::request::problem::Problem;
use crate::upstream::Form;
use tidegate_core::guard::{Findings, signals};
use tidegate_core::upstream::Failure;
use tidegate_wire::AnswerFacts;

/// Why an answer is kept from the client.
pub(in crate::request) struct Withheld {
    pub(in crate::request) why: Block,
    /// How it breaks the contract, where that is why.
    pub(in crate::request) contract: Option<String>,
}

impl Exchange {
    /// Looks at what the request brings; gives it back where it may be sent. One that may not has
    /// its record and is over.
    pub(super) fn screened(mut self) -> Result<Exchange, Problem> {
        if let Some(body) = self.query.body.values() {
            self.signals = signals(asked_in(body), &self.set.detectors.words);
        }
        let Some(why) = refused_for(&self.set.block, &self.signals) else { return Ok(self) };
        let problem = Problem::blocked(why);
        let (status, failure) = (problem.status, Some(Failure::Blocked));
        self.close(Ending { status, failure, ..Ending::default() });
        Err(problem)
    }

    /// Whether an answer that has ended is kept from the client.
    pub(in crate::request) fn withheld(
        &self,
        facts: &AnswerFacts,
        found: &Findings,
    ) -> Option<Withheld> {
        let block = &self.set.block;
        let Findings { events, signals, gives_away, has_private: _ } = found;
        if let Some(why) = withheld_for(block, events, signals, *gives_away) {
            return Some(Withheld { why, contract: None });
        }
        let why = match facts.tool_calls().next() {
            None => Block::Contract,
            Some(_) => Block::Arguments,
        };
        // Embeddings say nothing that could keep a contract.
        if !block.contains(&why) || self.query.form == Form::Embeddings {
            return None;
        }
        let (_, problem) = self.keeps_contract(facts);
        problem.map(|problem| Withheld { why, contract: Some(problem) })
    }

    /// Counts what guards saw and what was done.
    pub(super) fn count_guards(&self, ending: &Ending, found: &Findings) {
        let metrics = &self.gateway.metrics;
        let is_refused = ending.failure == Some(Failure::Blocked);
        let count = |guard, is_stopped: bool, by: Option<Block>| {
            let is_blocked = is_stopped && by.is_some_and(|by| self.set.block.contains(&by));
            metrics.guard(guard, if is_blocked { "blocked" } else { "counted" });
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
    }
}
