//! The books: what all requests used and cost, added up by day and by what distinguishes them. What
//! Tidegate asks for itself is in them as well, apart from what users asked: [`Purpose`].
//!
//! Costs are linear in what was used, so a line is priced again as a whole, exactly, when a price
//! turns out to have been wrong: [`Sums::reprice`].

use super::{Bill, Metered, PriceTable};
use crate::calendar::Day;
use crate::evidence::Record;
use crate::ids::VersionSetId;
use crate::route::Arm;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How it is known what a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The model server reported it.
    #[default]
    Reported,
    /// It is an estimate of the texts that were sent and came.
    Estimated,
    /// Nothing came, and the call may have to be paid for: the prompt is an estimate, and what the
    /// model made is not known.
    Unknown,
}

/// How a call was priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// By its own price.
    #[default]
    Listed,
    /// By the standard price: the table does not have its tier.
    OtherTier,
    /// The table does not have its model. The cost is not 0, it is not known.
    Unpriced,
}

/// What a call was made for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A request of a user.
    #[default]
    Serve,
    /// A request of a user once more, or a recorded one, of a candidate whose answer no user gets.
    Shadow,
    /// A judge model.
    Judge,
    /// Embeddings that answers are compared by.
    Embeddings,
    /// The fixed cases, asked of the model behind stable.
    Sentinel,
    /// A case of an eval.
    Eval,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 6] = [
        Purpose::Serve,
        Purpose::Shadow,
        Purpose::Judge,
        Purpose::Embeddings,
        Purpose::Sentinel,
        Purpose::Eval,
    ];

    /// The name in the books, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Serve => "serve",
            Purpose::Shadow => "shadow",
            Purpose::Judge => "judge",
            Purpose::Embeddings => "embeddings",
            Purpose::Sentinel => "sentinel",
            Purpose::Eval => "eval",
        }
    }

    /// The purpose of this name.
    pub fn parse(name: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// What is kept of what one call used and cost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Charge {
    /// The model that answered, where it is not the version set's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_model: Option<String>,
    /// The tier that the model server says it answered in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What was used.
    pub used: Metered,
    /// What it cost.
    #[serde(flatten)]
    pub bill: Bill,
    /// How it is known what was used.
    pub basis: Basis,
    /// How it was priced.
    pub pricing: Pricing,
}

/// What distinguishes requests in the books.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineKey {
    /// When they came in, UTC.
    pub day: Day,
    /// What they were made for.
    pub purpose: Purpose,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// The name of the caller's key.
    pub key: Option<String>,
    /// The version set that answered, or whose answers were compared.
    pub set: VersionSetId,
    /// Its arm; absent where it was asked for no user.
    pub arm: Option<Arm>,
    /// The model.
    pub model: String,
    /// The tier that the model server says it answered in.
    pub tier: Option<String>,
}

/// What requests used and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Requests that reached a model server.
    pub requests: u64,
    /// Of them, whose usage is an estimate.
    pub estimated: u64,
    /// Of them, whose usage is not known.
    pub unknown: u64,
    /// Of them, priced as standard though they are of another tier.
    pub other_tier: u64,
    /// Of them, without a price.
    pub unpriced: u64,
    /// What they used.
    pub used: Metered,
    /// What they cost.
    pub bill: Bill,
}

impl Sums {
    /// Those of one request.
    pub fn of(charge: &Charge) -> Sums {
        let Charge { other_model: _, tier: _, used, bill, basis, pricing } = *charge;
        let one = u64::from;
        Sums {
            requests: 1,
            estimated: one(basis == Basis::Estimated),
            unknown: one(basis == Basis::Unknown),
            other_tier: one(pricing == Pricing::OtherTier),
            unpriced: one(pricing == Pricing::Unpriced),
            used,
            bill,
        }
    }

    /// The sum of both; what does not fit stays at the largest number.
    #[must_use]
    pub fn plus(self, other: Sums) -> Sums {
        Sums {
            requests: self.requests.saturating_add(other.requests),
            estimated: self.estimated.saturating_add(other.estimated),
            unknown: self.unknown.saturating_add(other.unknown),
            other_tier: self.other_tier.saturating_add(other.other_tier),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            used: self.used.plus(other.used),
            bill: self.bill.plus(other.bill),
        }
    }

    /// The same by another table, of a line; what the table does not price costs nothing that is
    /// known.
    #[must_use]
    pub fn reprice(self, line: &LineKey, table: &PriceTable) -> Sums {
        let found = table.find_line(&line.model, line.tier.as_deref(), line.day.begins());
        let (bill, other_tier, unpriced) = match found {
            Some(priced) => {
                let other_tier = if priced.is_of_other_tier { self.requests } else { 0 };
                (priced.rates.bill(&self.used), other_tier, 0)
            }
            None => (Bill::default(), 0, self.requests),
        };
        Sums { bill, other_tier, unpriced, ..self }
    }
}

/// The lines that these records belong to. A request that reached no model server is in none.
pub fn lines<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeMap<LineKey, Sums> {
    let mut lines: BTreeMap<LineKey, Sums> = BTreeMap::new();
    for record in records {
        let Some(charge) = &record.charge else { continue };
        let line = LineKey {
            day: Day::of(record.at),
            purpose: Purpose::Serve,
            tenant: record.tenant.clone(),
            key: record.key.clone(),
            set: record.set.id.clone(),
            arm: Some(record.arm),
            model: charge.other_model.as_ref().unwrap_or(&record.set.keys.model).clone(),
            tier: charge.tier.clone(),
        };
        let sums = lines.entry(line).or_default();
        *sums = sums.plus(Sums::of(charge));
    }
    lines
}
