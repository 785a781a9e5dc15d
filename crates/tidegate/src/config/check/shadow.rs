//! Ranges of `release.shadow`.

use super::super::error::Result;
use super::super::project::Project;
use super::super::shadow::limit;
use super::Checker;
use crate::near;
use tidegate_core::access::bounds::BUDGET_USD_MAX;
use tidegate_core::pairs::{PairMetric, PairUnit};
use tidegate_core::shadow::{SHADOW_HOURS_MAX, SHADOW_REQUESTS_MAX};

impl Checker<'_> {
    pub(super) fn shadow(&self, project: &Project) -> Result<()> {
        let shadow = &project.release.shadow;
        let path = |key: &str| format!("release.shadow.{key}");
        let (least, allowed) = (0.01, "0.01 to 100 (percent)");
        self.number(&path("sample_pct"), shadow.sample_pct, (least, 100.0), allowed)?;
        let whole = [
            ("max_requests", shadow.max_requests, SHADOW_REQUESTS_MAX),
            ("max_hours", shadow.max_hours, SHADOW_HOURS_MAX),
        ];
        for (key, given, most) in whole {
            if !(1..=most).contains(&given) {
                return Err(self.refuse(&path(key), given, &format!("1 to {most}")));
            }
        }
        let range = (0.0, BUDGET_USD_MAX as f64);
        let allowed = format!("0 to {BUDGET_USD_MAX} (US dollars)");
        self.number(&path("max_cost_usd"), shadow.max_cost_usd, range, &allowed)?;
        let (evals, index) = (&project.evals, &project.artifacts.index);
        let of_index = index.search.as_ref().is_some_and(|search| search.embeddings.is_some());
        let asked = [
            ("judge_pct", shadow.judge_pct, evals.judge.is_some(), "evals.judge"),
            (
                "distance_pct",
                shadow.distance_pct,
                evals.embeddings.is_some() || of_index,
                "evals.embeddings",
            ),
        ];
        for (key, share, is_set, needs) in asked {
            self.number(&path(key), share, (0.0, 100.0), "0 to 100 (percent)")?;
            if share > 0.0 && !is_set {
                let text = format!("it needs `{needs}`, which is not set");
                return Err(self.error(&path(key), text).hint(format!("set `{needs}`")));
            }
        }
        for (name, given) in &shadow.lines {
            let path = path(&format!("lines.{name}"));
            let Some(metric) = shadow.compared().find(|metric| metric.as_str() == name) else {
                let known: Vec<&str> = shadow.compared().map(|metric| metric.as_str()).collect();
                let text = format!("there is no such metric; there are {}", known.join(", "));
                let unknown = match PairMetric::parse(name) {
                    Some(_) => {
                        let on = format!("`release.shadow.{name}_pct` is 0, so nothing asks it");
                        return Err(self.error(&path, on).hint("50 asks it of half the pairs"));
                    }
                    None => self.error(&path, text),
                };
                return Err(match near::hint(name, known) {
                    Some(hint) => unknown.hint(hint),
                    None => unknown,
                });
            };
            if let Some(given) = given.filter(|given| limit(metric, *given).is_none()) {
                let allowed = match metric.unit() {
                    PairUnit::Points => "a difference of shares above -1 and below 1, or null",
                    PairUnit::Times => "how many times stable's, above 0, or null",
                };
                return Err(self.refuse(&path, given, allowed));
            }
        }
        if shadow.limits().is_empty() {
            return Err(self
                .error("release.shadow.lines", "no line has a limit, so nothing would be decided")
                .hint("leave `lines` out for the limits of a release's rollback lines"));
        }
        Ok(())
    }
}
