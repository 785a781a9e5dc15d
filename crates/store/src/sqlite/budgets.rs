//! What was spent of budgets: a row each, written ahead of what is spent.

use super::row::{damaged, int, uint, unreadable};
use crate::api::BudgetName;
use crate::error::Result;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use tidegate_core::access::{Period, Spent};
use tidegate_core::ids::UnixMs;
use tidegate_core::money::Money;

/// Writes sums. An amount beyond 9 million dollars is kept as that.
pub(super) fn put(
    db: &Connection,
    sums: &[(BudgetName, Spent)],
    rises_only: bool,
) -> rusqlite::Result<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO budgets(scope, period, first, sum) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET first = excluded.first, sum = excluded.sum
         WHERE NOT ?5 OR excluded.first > first OR (excluded.first = first AND excluded.sum > sum)",
    )?;
    for ((scope, period), Spent { first, sum }) in sums {
        let (first, sum) = (int(first.0), int(sum.0));
        upsert.execute(params![scope, period.to_string(), first, sum, rises_only])?;
    }
    Ok(())
}

/// What is on disk.
pub(super) fn spent(db: &Connection) -> Result<BTreeMap<BudgetName, Spent>> {
    let rows = || -> rusqlite::Result<Vec<(String, String, i64, i64)>> {
        let mut select = db.prepare_cached("SELECT scope, period, first, sum FROM budgets")?;
        let rows =
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect()
    };
    let spent = |(scope, period, first, sum): (String, String, i64, i64)| {
        let period = match period.as_str() {
            "day" => Period::Day,
            "month" => Period::Month,
            _ => return Err(damaged(&format!("budget {scope}"), "its period is not known")),
        };
        let spent = Spent { first: UnixMs(uint(first)), sum: Money(uint(sum)) };
        Ok(((scope, period), spent))
    };
    rows().map_err(|e| unreadable(&e))?.into_iter().map(spent).collect()
}
