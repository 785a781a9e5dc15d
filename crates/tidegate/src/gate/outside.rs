//! What checks ask of the world: embeddings, a judge model, a program. Core says what is asked and
//! reads what comes; here it is asked, each within `evals.check_timeout_ms`. Whatever goes wrong is
//! a reason for an inconclusive check, never a failure of the answer.

use super::ask::Asked;
use super::error::{CasesError, GateError};
use super::judge::Judge;
use super::program::Programs;
use crate::clock::Clock;
use crate::config::{EmbeddingService, Loaded, Scoring};
use crate::spending::Account;
use crate::upstream::{Embedder, Endpoints, SetupError, UpstreamError, cost};
use crate::version_set::SetError;
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tidegate_core::gate::{
    About, Brought, Case, Check, Found, JudgeRecord, Labelled, Need, RowError, Rows, Source, found,
    need, source,
};
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Money, PriceTable, Purpose};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::Usage;
use tokio::time::{sleep, timeout};

/// What errors call the service.
const EMBEDDINGS: &str = "evals.embeddings";
/// How often a service is asked where another time may do.
const TRIES: u32 = 3;
/// Tokens that a model server adds around what it is sent, at most.
const AROUND: u64 = 1_024;
/// How long the first retry waits; each later one twice as long as the one before.
const BACKOFF: Duration = Duration::from_millis(500);

/// What checks may ask.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Where what is asked is booked.
    account: Option<Account>,
    embedder: Option<Embedder>,
    judge: Option<Judge>,
    programs: Programs,
    within: Duration,
    prices: PriceTable,
    /// The moment of the run, ms; prices change.
    at: u64,
}

impl Outside {
    /// Gets ready what these cases ask, as the project says.
    ///
    /// # Errors
    /// What they ask is not set up, or cannot be asked: no key, no address.
    pub(crate) fn new(
        loaded: &Loaded,
        cases: &Rows<Case>,
        clock: &Clock,
        account: Option<Account>,
    ) -> Result<Outside, GateError> {
        let (evals, upstreams) = (&loaded.project.evals, &loaded.project.upstreams);
        let asked = asked(cases)?;
        let asks = |wanted| asked.contains(&wanted);
        let is_formula = evals.scoring != Scoring::Mean && evals.embeddings.is_some();
        let service = service(loaded).filter(|_| asks(Source::Embeddings) || is_formula);
        let embedder = service.map(|service| Embedder::named(EMBEDDINGS, service)).transpose();
        let judge = evals.judge.as_ref().filter(|_| asks(Source::Judge));
        let judge = judge.and_then(|config| Some((config, upstreams.get(&config.upstream)?)));
        let judge = judge.map(|(config, upstream)| {
            let upstream = Endpoints::new(&config.upstream, upstream, &loaded.root, clock)?;
            Ok(Judge::new(config.clone(), upstream))
        });
        Ok(Outside {
            account,
            embedder: embedder.map_err(SetError::from)?,
            judge: judge.transpose().map_err(|error: SetupError| SetError::from(error))?,
            programs: Programs::new(&evals.commands, &loaded.root),
            within: Duration::from_millis(evals.check_timeout_ms),
            prices: loaded.project.all_prices().table,
            at: clock.now().0,
        })
    }

    /// Where calls for a purpose are booked, if they are.
    pub(crate) fn account(&self, purpose: Purpose) -> Option<Account> {
        self.account.as_ref().map(|account| account.of(purpose))
    }

    /// Whether there are embeddings.
    pub(crate) fn embeds(&self) -> bool {
        self.embedder.is_some()
    }

    /// What an answer costs, by today's prices; `None` where the model server reports
    /// no usage, or the model has no price.
    pub(crate) fn cost(&self, asked: &Asked) -> Option<Money> {
        let compute_us = asked.latency_ms.saturating_mul(1_000);
        cost(&self.prices, &asked.model, UnixMs(self.at), (asked.usage.as_ref()?, compute_us))
    }

    /// What a check finds with what it asks; `None` for a check that asks nothing.
    pub(crate) async fn judge(&self, check: &Check, about: &About<'_>) -> Option<Found> {
        self.judge_on(check, about, self.account.as_ref()).await
    }

    /// The same, booked on another account.
    pub(crate) async fn judge_on(
        &self,
        check: &Check,
        about: &About<'_>,
        account: Option<&Account>,
    ) -> Option<Found> {
        let need = need(check, about)?;
        Some(match timeout(self.within, self.bring(need, account)).await {
            Ok(Ok(brought)) => found(check, &brought),
            Ok(Err(why)) => Found::Unknown(why),
            Err(_) => Found::Unknown(format!("no verdict within {} ms", self.within.as_millis())),
        })
    }

    /// The most that a check may cost with all its tries, by today's prices; `None` where its model
    /// has no price. A token is a byte at least.
    pub(crate) fn most(&self, check: &Check, about: &About<'_>) -> Option<Money> {
        let within_us = u64::try_from(self.within.as_micros()).unwrap_or(u64::MAX);
        let (model, asked, tokens_out) = match need(check, about)? {
            Need::Vectors(texts) => {
                let bytes: Vec<usize> = vec![texts.iter().map(String::len).sum()];
                (self.embedder.as_ref()?.model().to_owned(), bytes, 0)
            }
            Need::Judgements(questions) => {
                let judge = self.judge.as_ref()?;
                let bytes = questions.iter().map(|it| it.system.len() + it.user.len());
                (judge.model().to_owned(), bytes.collect(), judge.max_tokens())
            }
            Need::Printed { .. } => return Some(Money::ZERO),
        };
        let one = |bytes: usize| {
            let tokens_in = (bytes as u64).saturating_add(AROUND);
            self.prices.most(&model, UnixMs(self.at), [tokens_in, tokens_out, within_us])
        };
        let once: Money = asked.into_iter().map(one).sum::<Option<Money>>()?;
        Some(Money(once.0.saturating_mul(u64::from(TRIES))))
    }

    async fn bring(&self, need: Need, account: Option<&Account>) -> Result<Brought, String> {
        match need {
            Need::Vectors(texts) => {
                let embedder = self.embedder.as_ref().ok_or_else(|| is_not_set(EMBEDDINGS))?;
                self.vectors(embedder, &texts, account).await.map(Brought::Vectors)
            }
            Need::Judgements(questions) => {
                let judge = self.judge.as_ref().ok_or_else(|| is_not_set("evals.judge"))?;
                let account = account.map(|account| account.of(Purpose::Judge));
                let ask = |question| judge.ask(question, self.within, account.as_ref());
                let asking = questions.iter().map(ask);
                try_join_all(asking).await.map(Brought::Judgements)
            }
            Need::Printed { program, input } => {
                self.programs.run(&program, &input).await.map(Brought::Printed)
            }
        }
    }

    /// The vectors of some texts; asked for again where that can help. Whoever waits ends it.
    async fn vectors(
        &self,
        embedder: &Embedder,
        texts: &[String],
        account: Option<&Account>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tokens_in = texts.iter().map(|text| estimate_tokens(text)).sum();
        let account = account.map(|account| account.of(Purpose::Embeddings));
        let mut wait = BACKOFF;
        for tried in 1.. {
            // Longer than the wait for it, which says in its own words that it was too long.
            let open = account.as_ref().map(|account| account.call(embedder.model(), tokens_in));
            let begun = Instant::now();
            let asked = embedder.embed_counted(&texts, self.within + Duration::from_secs(1)).await;
            match (open, &asked) {
                (Some(open), Ok((_, counted))) => {
                    let usage = |tokens_in| Usage { tokens_in, ..Usage::default() };
                    open.used(counted.map(usage), 0, begun.elapsed());
                }
                (Some(open), Err(error)) => open.failed(error.failure),
                (None, _) => {}
            }
            match asked.map(|(vectors, _)| vectors) {
                Err(error) if tried < TRIES && may_help(&error) => {
                    sleep(wait).await;
                    wait *= 2;
                }
                asked => return asked.map_err(|error| format!("no embedding: {}", error.message)),
            }
        }
        Err("no embedding came".to_owned())
    }

    /// What is known of the judge that was asked, where one was.
    pub(crate) fn judge_record(&self, candidate: &str, labelled: Labelled) -> Option<JudgeRecord> {
        let record = self.judge.as_ref()?.record(candidate);
        Some(JudgeRecord { agreement: labelled.agreement(), ..record })
    }
}

fn is_not_set(key: &str) -> String {
    format!("`{key}` is not set")
}

fn may_help(error: &UpstreamError) -> bool {
    error.failure.retryable() || error.failure == Failure::RateLimited
}

/// The service of the evals, else that of the index.
fn service(loaded: &Loaded) -> Option<&EmbeddingService> {
    let project = &loaded.project;
    let of_index = || project.artifacts.index.search.as_ref()?.embeddings.as_ref();
    project.evals.embeddings.as_ref().or_else(of_index)
}

/// What the checks of the cases ask.
///
/// # Errors
/// A case cannot be read.
pub(super) fn asked(cases: &Rows<Case>) -> Result<BTreeSet<Source>, RowError> {
    let mut asked = BTreeSet::new();
    for case in cases.iter() {
        asked.extend(case?.checks.listed.iter().filter_map(|check| source(check.kind)));
    }
    Ok(asked)
}

/// Whether the project has what a case asks.
///
/// # Errors
/// The first check that asks what is not set up.
pub(crate) fn check_source(loaded: &Loaded, case: &Case) -> Result<(), CasesError> {
    let evals = &loaded.project.evals;
    for check in &case.checks.listed {
        let name = check.value.as_str().unwrap_or_default();
        let (is_there, key) = match source(check.kind) {
            None => continue,
            Some(Source::Embeddings) => (service(loaded).is_some(), EMBEDDINGS.to_owned()),
            Some(Source::Judge) => (evals.judge.is_some(), "evals.judge".to_owned()),
            Some(Source::Program) => {
                (evals.commands.contains_key(name), format!("evals.commands.{name}"))
            }
        };
        if !is_there {
            let (place, id, check) = (case.source.clone(), case.id.clone(), check.name());
            return Err(CasesError::NoSource { place, id, check, key });
        }
    }
    Ok(())
}
