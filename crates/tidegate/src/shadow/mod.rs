//! A shadow over recorded requests: what users asked before is asked of a candidate, and each
//! answer is put beside the recorded one. Who asks is a command; the caps, the pairs and the
//! verdict are those of a shadow that mirrors requests as they come, and control keeps it as it
//! keeps that.
//!
//! A record keeps the last text of a user, in which personal data is replaced, and not the whole
//! request. What can be asked again is therefore a request that was one text and nothing else, of
//! which nothing was replaced; all others are counted by why they were left out ([`Left`]).

mod recorded;

use crate::clock::Clock;
use crate::config::{Prices, Records};
use crate::interrupt::interrupted;
use crate::output;
use crate::request::{Asker, NoPair};
use crate::route::{MIRRORS_MAX, Shadowing};
use crate::store::{Store, StoreError};
use crate::version_set::LiveSet;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
pub(crate) use recorded::Left;
use recorded::RecordedRequests;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::shadow::{EndReason, Missed, PairCounts, Shadow, ShadowPlan, Used};

/// A shadow over recorded requests that has ended, for control to keep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShadowResult {
    /// What it did.
    pub(crate) plan: ShadowPlan,
    /// Who started it.
    pub(crate) by: String,
    /// The pairs.
    pub(crate) pairs: PairCounts,
    /// What was used.
    pub(crate) used: Used,
    /// Why it ended.
    pub(crate) why: EndReason,
}

/// The same with what is for its reader alone.
pub(crate) struct Ran {
    pub(crate) result: ShadowResult,
    pub(crate) missed: Missed,
    /// Records that were left out, by why.
    pub(crate) left: BTreeMap<Left, u64>,
    /// Whether somebody ended it.
    pub(crate) is_interrupted: bool,
}

/// What it needs.
pub(crate) struct By<'a> {
    pub(crate) store: &'a Store,
    pub(crate) stable: &'a Arc<LiveSet>,
    pub(crate) records: &'a Records,
    pub(crate) prices: &'a Prices,
    pub(crate) clock: &'a Clock,
    /// Who starts it.
    pub(crate) operator: &'a str,
}

/// Asks recorded requests, the newest first, until the verdict is known, a cap is reached, somebody
/// ends it, or there are no more.
///
/// # Errors
/// The records cannot be read.
pub(crate) async fn over_records(shadowing: &Shadowing, by: &By<'_>) -> Result<Ran, StoreError> {
    let plan = &shadowing.plan;
    let asker = Asker { shadow: shadowing, prices: by.prices, clock: by.clock };
    let shadow = Shadow::begin(plan.clone(), by.operator);
    let mut requests = RecordedRequests::new(by, plan);
    let mut asking = FuturesUnordered::new();
    let bar = output::progress(plan.most.requests, "asking {wide_bar} {pos}/{len} at most");
    let stop = interrupted();
    tokio::pin!(stop);
    let (mut has_more, mut is_full, mut is_interrupted) = (true, false, false);
    let why = loop {
        while has_more && !is_full && asking.len() < MIRRORS_MAX {
            match requests.next()? {
                Some((question, stable)) => {
                    let asker = &asker;
                    asking.push(async move {
                        let pair = asker.ask(&question, &stable).await?;
                        shadowing.ledger().pair(&pair.stable, &pair.candidate);
                        if let Some(answers) = &pair.answers {
                            asker.compare(answers).await;
                        }
                        Ok(())
                    });
                }
                None => has_more = false,
            }
        }
        let pair = tokio::select! {
            biased;
            () = &mut stop => {
                is_interrupted = true;
                let (by, reason) = (by.operator.to_owned(), "interrupted".to_owned());
                break EndReason::Order { by, reason };
            }
            pair = asking.next() => pair,
        };
        let Some(pair) = pair else {
            break if is_full { EndReason::Caps } else { EndReason::AllAsked };
        };
        let mut ledger = shadowing.ledger();
        match pair {
            Ok(()) => {}
            Err(NoPair::GivenUp) => ledger.dropped(),
            Err(NoPair::Capped) => is_full = true,
        }
        let (red, is_spent, fresh) = (ledger.red(), ledger.is_spent(), ledger.fresh().clone());
        drop(ledger);
        bar.inc(1);
        if let Some(why) = shadow.ends(&fresh, red, is_spent, by.clock.now()) {
            break why;
        }
    };
    // What is under way is given up, and what was held for it counts as used.
    drop(asking);
    bar.finish_and_clear();
    let ledger = shadowing.ledger();
    let result = ShadowResult {
        plan: plan.clone(),
        by: by.operator.to_owned(),
        pairs: ledger.fresh().clone(),
        used: ledger.taken(),
        why,
    };
    Ok(Ran { result, missed: ledger.missed(), left: requests.left(), is_interrupted })
}
