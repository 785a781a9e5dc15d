//! Harm: how much worse one value is than another, and the value that is so much worse.

use super::plan::{Band, BandUnit, LineRule};

/// Harm of the candidate's value beside stable's, in `unit`, positive when worse.
pub(super) fn harm_point(rule: &LineRule, unit: BandUnit, stable: f64, candidate: f64) -> f64 {
    // Up to the floor, more is the same; less is not touched, so equal arms show no difference.
    let candidate =
        if candidate > stable { (candidate - rule.floor).max(stable) } else { candidate };
    match (unit, rule.metric.is_rate()) {
        (BandUnit::Points, _) => candidate - stable,
        (BandUnit::Relative, true) => 1.0 - (1.0 - candidate) / (1.0 - stable),
        (BandUnit::Relative, false) => candidate / stable - 1.0,
    }
}

/// The candidate's value whose [`harm_point`] is `harm`.
pub(super) fn value_of(rule: &LineRule, unit: BandUnit, stable: f64, harm: f64) -> f64 {
    let value = match (unit, rule.metric.is_rate()) {
        (BandUnit::Points, _) => stable + harm,
        (BandUnit::Relative, true) => 1.0 - (1.0 - stable) * (1.0 - harm),
        (BandUnit::Relative, false) => stable * (1.0 + harm),
    };
    value + rule.floor
}

impl LineRule {
    /// The candidate's values beyond which this rule pauses and rolls back, in the metric's unit,
    /// beside this value of the stable arm: where the estimated harm is the band's `pause` and
    /// `rollback`, the latter never above the ceiling. `None` where there is no such limit.
    pub fn limits(&self, stable: Option<f64>) -> (Option<f64>, Option<f64>) {
        let limit = |band: Band, harm: f64| Some(value_of(self, band.unit, stable?, harm));
        let pause = self.band.and_then(|band| limit(band, band.pause));
        let rollback = self.band.and_then(|band| limit(band, band.rollback));
        let rollback = match (rollback, self.ceiling) {
            (Some(rollback), Some(ceiling)) => Some(rollback.min(ceiling)),
            (rollback, ceiling) => rollback.or(ceiling),
        };
        (pause, rollback)
    }
}
