//! The engines that Tidegate's is compared with, each rewritten from its documented behaviour.
//!
//! Every peer is given the metric that matters in the scenario and, where it needs a limit, the
//! one a careful user would have set, which is kind to it. What it does with them is its own:
//! defaults, the order of checks, what missing data means. Each file says where it was read.

mod argo;
mod flagger;
mod growthbook;
mod kayenta;
mod reading;
mod sprt;
mod track_and_stop;
mod window;
mod ztest;

use super::information::Known;
use super::judge::{Judge, Watched};
use tidegate_core::decide::LineRule;

/// The false rollbacks that a release may have in all, and that the oracle is given.
const ALPHA_RELEASE: f64 = 0.01;

/// One engine with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Flagger, threshold 1: its default.
    Flagger1,
    /// Flagger, threshold 5.
    Flagger5,
    /// Flagger, threshold 10: the value in its guides.
    Flagger10,
    /// Argo Rollouts, failureLimit 0: its default.
    Argo0,
    /// Argo Rollouts, failureLimit 3.
    Argo3,
    /// Argo Rollouts with a success and a failure condition, so that between is inconclusive.
    ArgoBand,
    /// Kayenta's judge, once after an hour.
    KayentaOnce,
    /// Kayenta's judge every five minutes on all data so far.
    Kayenta5m,
    /// A fixed window of 500 candidate requests.
    Window,
    /// A significance test every minute.
    ZTest,
    /// GrowthBook's Safe Rollouts.
    GrowthBook,
    /// TensorZero's track-and-stop.
    TrackAndStop,
    /// The oracle at the release's α.
    Sprt,
    /// The oracle at one line's α, of as many as are watched by default.
    SprtLine,
}

impl Peer {
    /// Every peer, in the order of the report.
    pub(crate) const ALL: [Peer; 14] = [
        Peer::Flagger1,
        Peer::Flagger5,
        Peer::Flagger10,
        Peer::Argo0,
        Peer::Argo3,
        Peer::ArgoBand,
        Peer::KayentaOnce,
        Peer::Kayenta5m,
        Peer::Window,
        Peer::ZTest,
        Peer::GrowthBook,
        Peer::TrackAndStop,
        Peer::Sprt,
        Peer::SprtLine,
    ];

    /// Its name on the command line and in the report.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Peer::Flagger1 => "flagger_1",
            Peer::Flagger5 => "flagger_5",
            Peer::Flagger10 => "flagger_10",
            Peer::Argo0 => "argo_0",
            Peer::Argo3 => "argo_3",
            Peer::ArgoBand => "argo_band",
            Peer::KayentaOnce => "kayenta_once",
            Peer::Kayenta5m => "kayenta_5m",
            Peer::Window => "window_500",
            Peer::ZTest => "z_test",
            Peer::GrowthBook => "growthbook",
            Peer::TrackAndStop => "track_and_stop",
            Peer::Sprt => "oracle",
            Peer::SprtLine => "oracle_line",
        }
    }

    /// What it is, for lists.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Peer::Flagger1 => "Flagger, threshold 1: its default",
            Peer::Flagger5 => "Flagger, threshold 5",
            Peer::Flagger10 => "Flagger, threshold 10, as in its guides",
            Peer::Argo0 => "Argo Rollouts, failureLimit 0: its default",
            Peer::Argo3 => "Argo Rollouts, failureLimit 3",
            Peer::ArgoBand => {
                "Argo Rollouts, a success and a failure condition; between: inconclusive"
            }
            Peer::KayentaOnce => "Kayenta's judge with its defaults, once after an hour",
            Peer::Kayenta5m => "Kayenta's judge every 5 minutes on all data so far",
            Peer::Window => "a fixed window of 500 candidate requests",
            Peer::ZTest => "a two-sample z-test every minute at 1 %",
            Peer::GrowthBook => "GrowthBook's Safe Rollouts: asymptotic sequential intervals",
            Peer::TrackAndStop => "TensorZero's track-and-stop",
            Peer::Sprt => "Wald's test, given the true values and the line that breaks: the floor",
            Peer::SprtLine => "the same at one line's share of alpha: not given which line breaks",
        }
    }

    /// The engine at the start of a release; `None` for an oracle that is not given the truth.
    pub(crate) fn make(self, watched: &Watched, truth: Option<&Known>) -> Option<Box<dyn Judge>> {
        let oracle = |alpha| -> Option<Box<dyn Judge>> {
            Some(Box::new(sprt::Sprt::new(watched, truth?, alpha)))
        };
        Some(match self {
            Peer::Flagger1 => Box::new(flagger::Flagger::new(watched, 1)),
            Peer::Flagger5 => Box::new(flagger::Flagger::new(watched, 5)),
            Peer::Flagger10 => Box::new(flagger::Flagger::new(watched, 10)),
            Peer::Argo0 => Box::new(argo::Argo::below_limit(watched, 0)),
            Peer::Argo3 => Box::new(argo::Argo::below_limit(watched, 3)),
            Peer::ArgoBand => Box::new(argo::Argo::band(watched)),
            Peer::KayentaOnce => Box::new(kayenta::Kayenta::once(watched)),
            Peer::Kayenta5m => Box::new(kayenta::Kayenta::every_5_minutes(watched)),
            Peer::Window => Box::new(window::FixedWindow::new(watched)),
            Peer::ZTest => Box::new(ztest::ZTest::new(watched)),
            Peer::GrowthBook => Box::new(growthbook::GrowthBook::new(watched)),
            Peer::TrackAndStop => Box::new(track_and_stop::TrackAndStop::new(watched)),
            Peer::Sprt => return oracle(ALPHA_RELEASE),
            Peer::SprtLine => return oracle(ALPHA_RELEASE / LineRule::defaults().len() as f64),
        })
    }
}

#[cfg(test)]
mod tests;
