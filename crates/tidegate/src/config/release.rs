//! What `release:` in `tidegate.yaml` may say: ladder, audience and error budget.

use super::shadow::ShadowConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::decide::defaults;

/// A named ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LadderPreset {
    /// 1 % for 24 h, then everyone.
    Careful,
    /// 5, 10, 25, 50, 75, 100 %, 300 s each.
    #[default]
    Ladder,
    /// 10 % for 300 s, then everyone.
    Simple,
}

/// One rung of a ladder of your own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RungConfig {
    /// Share of subjects, percent.
    pub(crate) weight_pct: f64,
    /// How long to look at least, seconds.
    pub(crate) look_s: f64,
}

/// Which users a release reaches first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AudienceKind {
    /// A share of users.
    #[default]
    Users,
    /// Only the users of `allow_list`, until 100 %.
    AllowList,
    /// A share of tenants.
    Tenants,
    /// A share of keys.
    Keys,
}

/// How releases climb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReleaseConfig {
    /// A named ladder.
    pub(crate) preset: LadderPreset,
    /// A ladder of your own instead of the preset, rising to 100 %.
    pub(crate) rungs: Option<Vec<RungConfig>>,
    /// Which users a release reaches.
    pub(crate) audience: AudienceKind,
    /// The users of audience `allow_list`.
    pub(crate) allow_list: Vec<String>,
    /// Probability of rolling back a release that is within every rollback line; in (0, 0.5).
    pub(crate) alpha: f64,
    /// Requests that a worse candidate may be expected to spoil on the next rung, by the traffic so
    /// far: the more it could spoil there, the less harm may be left unexcluded.
    pub(crate) bad_budget: u64,
    /// Share of subjects kept on stable at the last rung, as a control, percent.
    pub(crate) hold_back_pct: f64,
    /// Answers each arm needs at a rung before it may advance.
    pub(crate) min_samples: u64,
    /// How often the lines are looked at, ms.
    pub(crate) tick_ms: u64,
    /// Without a new outcome for so long the data counts as missing, seconds.
    pub(crate) stale_after_s: u64,
    /// Answers that the candidate may spoil which stable would not have spoilt, as far as is proven
    /// of one rate line; then the release is rolled back. 0 for no such limit.
    pub(crate) harm_budget: u64,
    /// How long a pause by lines lasts at most, seconds; then the release is rolled back where the
    /// candidate is proven worse than stable, however much worse. 0 for no limit.
    pub(crate) pause_max_s: u64,
    /// How a candidate is compared before any user gets its answers.
    pub(crate) shadow: ShadowConfig,
}

impl Default for ReleaseConfig {
    fn default() -> Self {
        ReleaseConfig {
            preset: LadderPreset::Ladder,
            rungs: None,
            audience: AudienceKind::Users,
            allow_list: Vec::new(),
            alpha: defaults::ALPHA,
            bad_budget: defaults::BAD_BUDGET,
            hold_back_pct: defaults::HOLD_BACK_PCT,
            min_samples: defaults::MIN_SAMPLES,
            tick_ms: 1_000,
            stale_after_s: defaults::STALE_AFTER_S,
            harm_budget: defaults::HARM_BUDGET,
            pause_max_s: defaults::PAUSE_MAX_S,
            shadow: ShadowConfig::default(),
        }
    }
}
