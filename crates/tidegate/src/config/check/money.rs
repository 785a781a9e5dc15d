//! Prices and bounds: ranges, days, and that no price is there twice.

use super::Checker;
use crate::config::error::Result;
use crate::config::money::{BoundsConfig, PriceRow};
use crate::config::project::Project;
use tidegate_core::access::bounds::{BUDGET_USD_MAX, CONCURRENT_MAX, PER_MIN_MAX};
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{PriceTable, Rates};

/// Highest price, dollars.
const USD_MAX: f64 = 1e9;
/// Longest name of a tenant, a tier or a model, characters.
const NAME_MAX: usize = 200;

impl Checker<'_> {
    /// Prices and bounds.
    pub(super) fn money(&self, project: &Project) -> Result<()> {
        let mut table = PriceTable::default();
        for (model, price) in &project.prices {
            let keys = [
                ("input_per_million", price.input_per_million),
                ("output_per_million", price.output_per_million),
            ];
            for (key, given) in keys {
                self.usd(&format!("prices.{model}.{key}"), given)?;
            }
            table.add(model, (None, 0), UnixMs(0), Rates::default());
        }
        for (i, row) in project.price_list.iter().enumerate() {
            self.price_row(&format!("price_list[{i}]"), row, &mut table)?;
        }
        self.bounds("bounds", &project.bounds)?;
        for (tenant, config) in &project.tenants {
            if tenant.trim() != tenant || !(1..=NAME_MAX).contains(&tenant.chars().count()) {
                return Err(self.refuse("tenants", tenant, "names of 1 to 200 characters"));
            }
            self.bounds(&format!("tenants.{tenant}"), &config.bounds())?;
        }
        Ok(())
    }

    fn usd(&self, path: &str, given: f64) -> Result<()> {
        self.number(path, given, (0.0, USD_MAX), "0 to 1000000000 (dollars)")
    }

    fn price_row(&self, path: &str, row: &PriceRow, table: &mut PriceTable) -> Result<()> {
        for (key, given) in row.prices() {
            if let Some(given) = given {
                self.usd(&format!("{path}.{key}"), given)?;
            }
        }
        for (key, name) in [("model", Some(&row.model)), ("tier", row.tier.as_ref())] {
            if let Some(name) = name
                && !(1..=NAME_MAX).contains(&name.chars().count())
            {
                return Err(self.refuse(&format!("{path}.{key}"), name, "1 to 200 characters"));
            }
        }
        if let Some(most) = row.max_output_tokens
            && !(1..=PER_MIN_MAX).contains(&most)
        {
            let allowed = format!("1 to {PER_MIN_MAX}");
            return Err(self.refuse(&format!("{path}.max_output_tokens"), most, &allowed));
        }
        let Some(from) = row.holds_from() else {
            let given = row.from.as_deref().unwrap_or_default();
            let allowed = "a day such as `2026-11-28`";
            return Err(self.refuse(&format!("{path}.from"), given, allowed));
        };
        if !table.add(&row.model, row.place(), from, Rates::default()) {
            let text = format!("`{}` has a price in this tier from this day on already", row.model);
            return Err(self
                .error(path, text)
                .hint("`prices` and a row without `from` both hold from the first day on"));
        }
        Ok(())
    }

    fn bounds(&self, path: &str, bounds: &BoundsConfig) -> Result<()> {
        let BoundsConfig {
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day_usd,
            budget_month_usd,
        } = *bounds;
        let counts = [
            ("requests_per_min", requests_per_min, PER_MIN_MAX),
            ("tokens_per_min", tokens_per_min, PER_MIN_MAX),
            ("concurrent", concurrent.map(u64::from), u64::from(CONCURRENT_MAX)),
        ];
        for (key, given, most) in counts {
            if let Some(given) = given.filter(|given| !(1..=most).contains(given)) {
                return Err(self.refuse(&format!("{path}.{key}"), given, &format!("1 to {most}")));
            }
        }
        for (key, given) in
            [("budget_day_usd", budget_day_usd), ("budget_month_usd", budget_month_usd)]
        {
            if let Some(given) = given {
                let allowed = format!("0 to {BUDGET_USD_MAX} (US dollars)");
                let range = (0.0, BUDGET_USD_MAX as f64);
                self.number(&format!("{path}.{key}"), given, range, &allowed)?;
            }
        }
        Ok(())
    }
}
