//! Content: what two real models answered to the same prompts, and when requests come.

use std::sync::Arc;
use tidegate_core::route::Arm;

/// What one model answered to one prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answered {
    /// Prompt and answer together.
    pub(crate) tokens: u64,
    /// How strongly a judge preferred the answer, 0 to 1.
    pub(crate) win: f64,
}

/// A model's means over all prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Means {
    /// Tokens a request.
    pub(crate) tokens: f64,
    /// Share of tasks that fail.
    pub(crate) task_failed: f64,
}

/// Two models' answers to the same prompts, and when requests come.
#[derive(Debug)]
pub(crate) struct Content {
    answers: Vec<(Answered, Answered)>,
    pub(crate) means: (Means, Means),
    /// Standard deviation of the logarithm of the candidate's tokens.
    pub(crate) tokens_sigma: f64,
    /// Seconds between requests, one after the other.
    pub(crate) gaps_s: Arc<Vec<f64>>,
}

impl Content {
    pub(crate) fn new(
        stable: &[Answered],
        candidate: &[Answered],
        gaps_s: Arc<Vec<f64>>,
    ) -> Content {
        let answers = stable.iter().copied().zip(candidate.iter().copied()).collect();
        let means = (means(stable), means(candidate));
        Content { answers, means, tokens_sigma: tokens_sigma(candidate), gaps_s }
    }

    /// A model's means.
    pub(crate) fn means(&self, arm: Arm) -> &Means {
        match arm {
            Arm::Stable => &self.means.0,
            Arm::Candidate => &self.means.1,
        }
    }

    /// The tokens of the arm's answer, and whether the task failed; `pick` and `label` are uniform.
    pub(crate) fn answer(&self, arm: Arm, pick: f64, label: f64) -> (u64, bool) {
        let index = (pick * self.answers.len() as f64) as usize;
        let Some((stable, candidate)) = self.answers.get(index) else { return (0, false) };
        let answered = match arm {
            Arm::Stable => stable,
            Arm::Candidate => candidate,
        };
        (answered.tokens, label >= answered.win)
    }
}

fn means(answers: &[Answered]) -> Means {
    let n = answers.len().max(1) as f64;
    Means {
        tokens: answers.iter().map(|a| a.tokens as f64).sum::<f64>() / n,
        task_failed: answers.iter().map(|a| 1.0 - a.win).sum::<f64>() / n,
    }
}

fn tokens_sigma(answers: &[Answered]) -> f64 {
    let n = answers.len().max(1) as f64;
    let log = |a: &Answered| (a.tokens.max(1) as f64).ln();
    let mean = answers.iter().map(log).sum::<f64>() / n;
    (answers.iter().map(|a| (log(a) - mean).powi(2)).sum::<f64>() / n).sqrt()
}
