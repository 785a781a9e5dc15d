//! Recorded requests that can be asked again, each with what stable's answer was.

use super::By;
use crate::request::{Question, Stable};
use crate::store::{RecordQuery, Records as _, StoreError};
use crate::upstream::Form;
use crate::version_set::LiveSet;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tidegate_core::evidence::Record;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Basis, Money, PriceTable};
use tidegate_core::route::Arm;
use tidegate_core::shadow::{Recorded, ShadowPlan, Side};
use tidegate_core::text::{estimate_tokens, redact};
use tidegate_core::upstream::FaultOwner;

/// Records that are read at a time.
const PAGE: usize = 200;

/// Why a record is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// Another version set answered.
    OtherSet,
    /// No model answered it, or its failure was not the model server's: it came from the cache, the
    /// service was degraded, the client left.
    NoAnswer,
    /// Its tenant is audited.
    Audited,
    /// Its text was not kept.
    NoText,
    /// Personal data or a secret in its text was replaced, or the text is cut.
    Replaced,
    /// It brought more than one text, such as other turns or tools, or it was recorded by a
    /// tidegate that did not note that.
    More,
}

impl Left {
    /// The name in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Left::OtherSet => "other_set",
            Left::NoAnswer => "no_answer",
            Left::Audited => "audited",
            Left::NoText => "no_text",
            Left::Replaced => "replaced",
            Left::More => "more",
        }
    }
}

/// The newest first.
pub(super) struct RecordedRequests<'a> {
    by: &'a By<'a>,
    plan: &'a ShadowPlan,
    page: VecDeque<Record>,
    /// Where the next page begins: before this moment.
    until: UnixMs,
    /// How many of the moment before that were given already.
    given: usize,
    is_over: bool,
    drawn: u64,
    left: BTreeMap<Left, u64>,
}

impl<'a> RecordedRequests<'a> {
    pub(super) fn new(by: &'a By<'a>, plan: &'a ShadowPlan) -> RecordedRequests<'a> {
        RecordedRequests {
            by,
            plan,
            page: VecDeque::new(),
            until: plan.recorded.map_or(UnixMs(0), |recorded| recorded.until),
            given: 0,
            is_over: plan.recorded.is_none(),
            drawn: 0,
            left: BTreeMap::new(),
        }
    }

    /// Records that were left out, by why.
    pub(super) fn left(self) -> BTreeMap<Left, u64> {
        self.left
    }

    /// The next request that can be asked again and is drawn.
    pub(super) fn next(&mut self) -> Result<Option<(Question, Stable)>, StoreError> {
        loop {
            let Some(record) = self.page.pop_front() else {
                if self.is_over {
                    return Ok(None);
                }
                self.read()?;
                continue;
            };
            match self.again(&record) {
                Err(why) => *self.left.entry(why).or_default() += 1,
                Ok(asked) => {
                    self.drawn += 1;
                    if self.plan.takes(self.drawn) {
                        return Ok(Some(asked));
                    }
                }
            }
        }
    }

    /// Reads a page. Many records may be of one moment: those that were given are passed over.
    fn read(&mut self) -> Result<(), StoreError> {
        let Some(Recorded { since, until: _ }) = self.plan.recorded else { return Ok(()) };
        let limit = PAGE + self.given;
        let records = self.by.store.records(&RecordQuery {
            arm: Some(Arm::Stable),
            since: Some(since),
            until: Some(self.until),
            newest_first: true,
            limit,
            ..RecordQuery::default()
        })?;
        self.is_over = records.len() < limit;
        let edge = records.last().map_or(self.until, |last| last.at);
        let of_edge = records.iter().filter(|record| record.at == edge).count();
        self.page = records.into_iter().skip(self.given).collect();
        self.given = of_edge;
        self.until = UnixMs(edge.0.saturating_add(1));
        Ok(())
    }

    /// What a record says was asked, and what stable made of it.
    fn again(&self, record: &Record) -> Result<(Question, Stable), Left> {
        let is_theirs = |owner| owner == FaultOwner::Upstream;
        if record.set.id != self.plan.from {
            return Err(Left::OtherSet);
        }
        let is_answered = record.failure.is_none_or(|failure| is_theirs(failure.fault()));
        if record.cached || record.degraded.is_some() || !is_answered {
            return Err(Left::NoAnswer);
        }
        if self.by.records.audits(record.tenant.as_deref()) {
            return Err(Left::Audited);
        }
        let input = record.input.as_deref().ok_or(Left::NoText)?;
        let decoding = record.decoding.as_ref().ok_or(Left::More)?;
        // The text is all that was said, and the client said all of it.
        if input.chars().count() as u64 != record.prompt_length || has_mark(input) {
            return Err(Left::Replaced);
        }
        let mut body = Map::new();
        body.insert("messages".to_owned(), json!([{"role": "user", "content": input}]));
        let numbers = decoding.iter().map(|(name, number)| (name.clone(), number.clone().into()));
        body.extend(numbers);
        let question = Question {
            form: Form::Chat,
            text: Value::Object(body).to_string().into(),
            user: record.user.clone(),
            words: input.to_owned(),
            streamed: record.streamed,
            found: None,
        };
        Ok((question, self.stable(record)))
    }

    fn stable(&self, record: &Record) -> Stable {
        let output = record.output.as_deref().unwrap_or_default();
        let estimated = record.tokens_estimated;
        Stable {
            side: side(record, self.by.stable, &self.by.prices.table, self.by.clock.now()),
            set: Arc::clone(self.by.stable),
            estimated_out: if estimated { record.tokens_out } else { estimate_tokens(output) },
            is_reported: !estimated,
            is_one_call: record.repair.is_none(),
            at: record.at,
            said: said(record),
        }
    }
}

/// What the answer said, where that is kept as it was.
fn said(record: &Record) -> Option<String> {
    let text = record.output.as_deref()?;
    let is_whole = text.chars().count() as u64 == record.response_length;
    (is_whole && record.tool_calls.is_empty() && !has_mark(text)).then(|| text.to_owned())
}

/// What is compared of a recorded answer; the cost by the prices of now, as the candidate's is.
fn side(record: &Record, set: &LiveSet, prices: &PriceTable, now: UnixMs) -> Side {
    let problem = record.contract_problem.is_some();
    // Arguments of tools are checked where a schema is known, which the record does not say.
    let is_checked = set.contract.is_some() && record.tool_calls.is_empty();
    let timing = &record.timing;
    let took = match record.streamed {
        true => timing.first_token_us,
        false => timing.first_token_us.saturating_add(timing.generation_us),
    };
    Side {
        failed: record.failure.is_some() || record.fallback.is_some(),
        contract_ok: is_checked.then_some(!problem),
        refused: record.refused,
        tools: record.tool_calls.iter().map(|call| call.name.clone()).collect(),
        chars: record.response_length,
        tokens: Some(record.tokens_in.saturating_add(record.tokens_out)),
        cost: cost(record, prices, now),
        latency_us: Some(took).filter(|took| *took > 0),
    }
}

fn cost(record: &Record, prices: &PriceTable, now: UnixMs) -> Option<Money> {
    let charge = record.charge.as_ref().filter(|charge| charge.basis != Basis::Unknown)?;
    let model = charge.other_model.as_ref().unwrap_or(&record.set.keys.model);
    let priced = prices.find_line(model, charge.tier.as_deref(), now)?;
    Some(priced.rates.bill(&charge.used).total())
}

/// Whether something may have been replaced in a text: it holds a mark of that.
fn has_mark(text: &str) -> bool {
    const MARKS: [&str; 6] = ["[email]", "[phone]", "[id]", "[card]", "[iban]", "[secret]"];
    MARKS.iter().any(|mark| text.contains(mark)) || redact(text) != text
}
