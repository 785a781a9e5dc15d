//! Checks of `evals`.

use super::{Checker, MAX_LIMIT_MS};
use crate::config::error::Result;
use crate::config::yaml::any_of;
use crate::config::{JudgeConfig, Project};

/// Longest verdict of a judge, tokens.
const VERDICT_TOKENS_MAX: u64 = 1_000_000;

impl Checker<'_> {
    pub(super) fn evals(&self, project: &Project) -> Result<()> {
        let evals = &project.evals;
        self.share("evals.threshold", evals.threshold)?;
        if let Some(worst) = evals.worst_slice {
            self.share("evals.worst_slice", worst)?;
        }
        if let Some(size) = evals.sample_size.filter(|size| !(1..=1_000_000).contains(size)) {
            return Err(self.refuse("evals.sample_size", size, "1 to 1000000"));
        }
        if let Some(drop) = evals.max_drop {
            self.share("evals.max_drop", drop)?;
        }
        if !(1..=1024).contains(&evals.concurrency) {
            return Err(self.refuse("evals.concurrency", evals.concurrency, "1 to 1024"));
        }
        let times =
            [("latency_ms", evals.latency_ms), ("check_timeout_ms", evals.check_timeout_ms)];
        for (key, given) in times {
            if !(1..=MAX_LIMIT_MS).contains(&given) {
                let allowed = format!("1 to {MAX_LIMIT_MS}");
                return Err(self.refuse(&format!("evals.{key}"), given, &allowed));
            }
        }
        if let Some(service) = &evals.embeddings {
            self.base_url("evals.embeddings.url", &service.url, "")?;
            if let Some(variable) = &service.api_key_env {
                self.env_name("evals.embeddings.api_key_env", variable)?;
            }
        }
        if let Some(judge) = &evals.judge {
            self.judge(judge, project)?;
        }
        for (name, words) in &evals.commands {
            if words.first().is_none_or(|program| program.trim().is_empty()) {
                let path = format!("evals.commands.{name}");
                return Err(self
                    .error(&path, "names no program")
                    .hint("the program and its arguments: `[python3, checks/tone.py]`"));
            }
        }
        Ok(())
    }

    fn judge(&self, judge: &JudgeConfig, project: &Project) -> Result<()> {
        if !project.upstreams.contains_key(&judge.upstream) {
            let names: Vec<&str> = project.upstreams.keys().map(String::as_str).collect();
            return Err(self.refuse("evals.judge.upstream", &judge.upstream, &any_of(&names)));
        }
        if judge.model.trim().is_empty() {
            return Err(self.error("evals.judge.model", "is empty; a model's name is needed"));
        }
        if let Some(temperature) = judge.temperature {
            self.number("evals.judge.temperature", temperature, (0.0, 2.0), "0 to 2, or `null`")?;
        }
        if !(1..=VERDICT_TOKENS_MAX).contains(&judge.max_tokens) {
            let allowed = format!("1 to {VERDICT_TOKENS_MAX}");
            return Err(self.refuse("evals.judge.max_tokens", judge.max_tokens, &allowed));
        }
        Ok(())
    }
}
