//! Levels: how much is proof. A null is refuted at a chance of an error α once its e-value reaches
//! 1/α (Ville's inequality), so a level is ln(1/α).

/// Level of each "within" proof: the chance that a candidate exactly on its rollback line ever
/// passes it.
pub const ADVANCE_ALPHA: f64 = 0.01;

/// Level of "worse than pass". It only holds or pauses, and it is tested for every rule.
pub(super) const WORSE_ALPHA: f64 = 0.01;

/// ln of the largest odds that are shown, about 5 × 10¹¹ : 1: more would only make JSON long.
pub(crate) const LN_ODDS_MAX: f64 = 27.0;

/// ln of the odds that are proof at this chance of an error.
pub(crate) fn level(alpha: f64) -> f64 {
    (1.0 / alpha).ln()
}
