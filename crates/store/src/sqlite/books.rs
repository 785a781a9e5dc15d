//! The books: a row for each line, added up with the records that belong to it, in one commit.

use super::fault::Outcome;
use super::row::{damaged, int, uint, unreadable};
use crate::error::Result;
use rusqlite::{Connection, Row, ToSql, params};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tidegate_core::calendar::Day;
use tidegate_core::ids::VersionSetId;
use tidegate_core::money::{Bill, LineKey, Metered, Money, PriceTable, Purpose, Sums};
use tidegate_core::route::Arm;

/// What names a line.
const NAMES: [&str; 8] = ["day", "purpose", "tenant", "key", "set_id", "arm", "model", "tier"];
/// What is added up.
const COUNTS: [&str; 16] = [
    "requests",
    "estimated",
    "unknown",
    "other_tier",
    "unpriced",
    "input",
    "cache_read",
    "cache_write",
    "audio_in",
    "output",
    "reasoning",
    "audio_out",
    "compute_us",
    "input_cost",
    "output_cost",
    "compute_cost",
];

/// SQLite turns a sum beyond 2^63 − 1 into a fraction, which the column refuses: it stays there.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<&str> = NAMES.into_iter().chain(COUNTS).collect();
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let most = i64::MAX;
    let add = |count: &&str| {
        format!(
            "{count} = CASE WHEN {count} > {most} - excluded.{count} THEN {most}
             ELSE {count} + excluded.{count} END"
        )
    };
    format!(
        "INSERT INTO costs({}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        columns.join(", "),
        places.join(", "),
        COUNTS.iter().map(add).collect::<Vec<_>>().join(", ")
    )
});

static SELECT: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<&str> = NAMES.into_iter().chain(COUNTS).collect();
    format!("SELECT {} FROM costs WHERE day BETWEEN ?1 AND ?2", columns.join(", "))
});

/// Adds lines to the books.
pub(super) fn add<'a>(
    db: &Connection,
    lines: impl IntoIterator<Item = (&'a LineKey, &'a Sums)>,
) -> rusqlite::Result<()> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    let mut upsert = db.prepare_cached(&ADD)?;
    for (line, sums) in lines {
        let LineKey { day, purpose, tenant, key, set, arm, model, tier } = line;
        let text = |name: &Option<String>| name.clone().unwrap_or_default();
        let mut values: Vec<Box<dyn ToSql>> = vec![
            Box::new(int(day.0)),
            Box::new(purpose.as_str()),
            Box::new(text(tenant)),
            Box::new(text(key)),
            Box::new(set.as_str()),
            Box::new(arm.map_or("", Arm::as_str)),
            Box::new(model.as_str()),
            Box::new(text(tier)),
        ];
        values.extend(counts(sums).map(|count| Box::new(int(count)) as Box<dyn ToSql>));
        upsert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// The lines of these days, the last included.
pub(super) fn lines(db: &Connection, from: Day, to: Day) -> Result<BTreeMap<LineKey, Sums>> {
    let rows = || -> rusqlite::Result<Vec<(Named, Sums)>> {
        let mut select = db.prepare_cached(&SELECT)?;
        let rows = select.query_map([int(from.0), int(to.0)], read)?;
        rows.collect()
    };
    let rows = rows().map_err(|e| unreadable(&e))?;
    rows.into_iter().map(|(named, sums)| Ok((line(named)?, sums))).collect()
}

/// Prices all lines from a day on by another table; gives what they cost before and after, in
/// trillionths of a dollar.
pub(super) fn reprice(db: &Connection, from: Day, table: &PriceTable) -> Outcome<(u128, u128)> {
    let mut total = (0_u128, 0_u128);
    let mut update = db.prepare_cached(
        "UPDATE costs SET other_tier = ?8, unpriced = ?9, input_cost = ?10, output_cost = ?11,
             compute_cost = ?12
         WHERE day = ?1 AND tenant = ?2 AND key = ?3 AND set_id = ?4 AND arm = ?5 AND model = ?6
             AND tier = ?7 AND purpose = ?13",
    )?;
    for (line, before) in lines(db, from, Day(u64::MAX))? {
        let after = before.reprice(&line, table);
        total.0 = total.0.saturating_add(u128::from(before.bill.total().0));
        total.1 = total.1.saturating_add(u128::from(after.bill.total().0));
        let Bill { input_cost, output_cost, compute_cost } = after.bill;
        let LineKey { day, purpose, tenant, key, set, arm, model, tier } = &line;
        update.execute(params![
            int(day.0),
            tenant.as_deref().unwrap_or_default(),
            key.as_deref().unwrap_or_default(),
            set.as_str(),
            arm.map_or("", Arm::as_str),
            model,
            tier.as_deref().unwrap_or_default(),
            int(after.other_tier),
            int(after.unpriced),
            int(input_cost.0),
            int(output_cost.0),
            int(compute_cost.0),
            purpose.as_str(),
        ])?;
    }
    Ok(total)
}

/// A line's names as they are stored; an empty one is none.
type Named = (i64, [String; NAMES.len() - 1]);

fn read(row: &Row<'_>) -> rusqlite::Result<(Named, Sums)> {
    let mut names: [String; NAMES.len() - 1] = Default::default();
    for (at, name) in names.iter_mut().enumerate() {
        *name = row.get(at + 1)?;
    }
    let mut counts = [0_u64; COUNTS.len()];
    for (at, count) in counts.iter_mut().enumerate() {
        *count = uint(row.get(NAMES.len() + at)?);
    }
    Ok(((row.get(0)?, names), sums(counts)))
}

fn line((day, names): Named) -> Result<LineKey> {
    let [purpose, tenant, key, set, arm, model, tier] = names;
    let row = || format!("costs of day {}", Day(uint(day)));
    let some = |name: String| (!name.is_empty()).then_some(name);
    Ok(LineKey {
        day: Day(uint(day)),
        purpose: Purpose::parse(&purpose)
            .ok_or_else(|| damaged(&row(), "its purpose is not known"))?,
        tenant: some(tenant),
        key: some(key),
        set: VersionSetId::parse(&set).map_err(|e| damaged(&row(), &e.to_string()))?,
        arm: match [Arm::Stable, Arm::Candidate].into_iter().find(|it| it.as_str() == arm) {
            None if !arm.is_empty() => return Err(damaged(&row(), "its arm is not known")),
            arm => arm,
        },
        model,
        tier: some(tier),
    })
}

/// In the order of [`COUNTS`].
fn counts(sums: &Sums) -> impl Iterator<Item = u64> {
    let Sums { requests, estimated, unknown, other_tier, unpriced, used, bill } = *sums;
    let Bill { input_cost, output_cost, compute_cost } = bill;
    let requests = [requests, estimated, unknown, other_tier, unpriced];
    let costs = [input_cost.0, output_cost.0, compute_cost.0];
    requests.into_iter().chain(used.numbers()).chain(costs)
}

fn sums(counts: [u64; COUNTS.len()]) -> Sums {
    let [requests, estimated, unknown, other_tier, unpriced, used @ .., a, b, c] = counts;
    Sums {
        requests,
        estimated,
        unknown,
        other_tier,
        unpriced,
        used: Metered::of_numbers(used),
        bill: Bill { input_cost: Money(a), output_cost: Money(b), compute_cost: Money(c) },
    }
}
