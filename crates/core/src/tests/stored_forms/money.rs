//! A key's grant and a record's charge in which every member is there.

use crate::access::key::RANDOM_BYTES;
use crate::access::{Grant, KeyText, Priority, Role};
use crate::calendar::Day;
use crate::ids::{Digest, UnixMs};
use crate::journal::Event;
use crate::money::{Basis, Bill, Charge, Metered, Money, Pricing};

pub(super) fn grant() -> Grant {
    let key = KeyText::of(&[7; RANDOM_BYTES]);
    Grant {
        key: key.id(),
        name: "app".to_owned(),
        hash: Digest::of(key.reveal().as_bytes()),
        tenant: Some("acme".to_owned()),
        role: Role::Call,
        models: ["desk".to_owned()].into(),
        expires_at: Some(UnixMs(9)),
        priority: Some(Priority::High),
        requests_per_min: Some(60),
        tokens_per_min: Some(1000),
        concurrent: Some(2),
        budget_day: Some(Money(7)),
        budget_month: Some(Money(8)),
    }
}

pub(super) fn repriced() -> Event {
    let text = || "1.5".to_owned();
    Event::Repriced { from: Day(20_000), before: text(), after: text(), by: text() }
}

pub(super) fn charge() -> Charge {
    Charge {
        other_model: Some("m".to_owned()),
        tier: Some("flex".to_owned()),
        used: Metered::of_totals([10, 2, 3, 4], [18, 6, 7], 8),
        bill: Bill { input_cost: Money(1), output_cost: Money(2), compute_cost: Money(3) },
        basis: Basis::Estimated,
        pricing: Pricing::OtherTier,
    }
}
