//! A run as tools that track runs see it: names, numbers, files.

use bytes::Bytes;
use std::collections::BTreeMap;
use tidegate_core::gate::{ACCURACY, EvalReport, GateVerdict, RowError, Tally};
use tidegate_core::version_set::{ArtifactKind, PackedSet};

/// A run with what is sent of it.
#[derive(Debug, Clone)]
pub(crate) struct TrackedRun {
    /// The service.
    pub(crate) service: String,
    /// What the runs that belong together are under, in tools that have such a thing.
    pub(crate) experiment: String,
    /// The run.
    pub(crate) report: EvalReport,
    /// The set that was asked, where it is kept.
    pub(crate) set: Option<PackedSet>,
}

impl TrackedRun {
    /// A name for people: the label of the set and the run's id.
    pub(super) fn name(&self) -> String {
        match &self.set {
            Some(set) => format!("{} {}", set.label, self.report.run_id),
            None => self.report.run_id.clone(),
        }
    }

    /// What was asked: the model and its files, the prompt's version and settings, the version set.
    pub(super) fn params(&self) -> BTreeMap<String, String> {
        let report = &self.report;
        let mut params = BTreeMap::from([
            ("model".to_owned(), report.model.clone()),
            ("version_set".to_owned(), report.version_set.to_string()),
            ("cases_digest".to_owned(), report.cases_digest.to_string()),
            ("threshold".to_owned(), report.threshold.to_string()),
        ]);
        let files = report.model_files.as_ref();
        params.extend(files.map(|files| ("model_files".to_owned(), files.digest.clone())));
        let prompt = self.set.as_ref().and_then(|set| set.set.artifacts.get(&ArtifactKind::Prompt));
        if let Some(prompt) = prompt {
            params.insert("prompt_version".to_owned(), prompt.version.clone());
        }
        for key in ["temperature", "max_tokens"] {
            params.extend(self.setting(key).map(|value| (key.to_owned(), value)));
        }
        params
    }

    /// A setting of the prompt's `config.yaml`.
    fn setting(&self, key: &str) -> Option<String> {
        let config = self.files().remove("config.yaml")?;
        let text = std::str::from_utf8(&config).ok()?.to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let value = line.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// What the run measures: what its gate compares, and the mean latency, s.
    ///
    /// # Errors
    /// A result cannot be read.
    pub(super) fn metrics(&self) -> Result<BTreeMap<String, f64>, RowError> {
        let report = &self.report;
        let mut tally = Tally::default();
        let (mut latency_s, mut answered) = (0.0, 0_u64);
        for result in report.results.iter() {
            let result = result?;
            tally.add(&result);
            if result.error.is_none() {
                latency_s += result.latency_ms as f64 / 1000.0;
                answered += 1;
            }
        }
        let mut measured = tally.metrics();
        measured.insert(ACCURACY.to_owned(), report.accuracy);
        measured.insert("cases".to_owned(), report.total as f64);
        measured.insert("correct".to_owned(), report.correct as f64);
        let known = [("avg_tokens", report.avg_tokens), ("cost_per_query", report.cost_per_query)];
        measured.extend(known.iter().filter_map(|(name, value)| Some(((*name).into(), (*value)?))));
        if answered > 0 {
            measured.insert("avg_latency".to_owned(), latency_s / answered as f64);
        }
        Ok(measured)
    }

    /// What is said beside: ours begin with `tidegate.`.
    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let verdict = match self.report.verdict {
            GateVerdict::Pass => "pass",
            GateVerdict::Fail => "fail",
            GateVerdict::Inconclusive => "inconclusive",
        };
        BTreeMap::from([
            ("tidegate.run_id".to_owned(), self.report.run_id.clone()),
            ("tidegate.service".to_owned(), self.service.clone()),
            ("tidegate.verdict".to_owned(), verdict.to_owned()),
        ])
    }

    /// The prompt's files by name, and the report as `evaluation.json`.
    pub(super) fn files(&self) -> BTreeMap<String, Bytes> {
        let mut files = BTreeMap::new();
        if let Some(set) = &self.set
            && let Some(prompt) = set.set.artifacts.get(&ArtifactKind::Prompt)
        {
            let content = |file: &tidegate_core::version_set::FileRef| {
                set.blobs.get(&file.digest).map(|content| Bytes::from(content.clone()))
            };
            let kept = prompt.files.iter();
            files.extend(kept.filter_map(|(name, file)| Some((name.clone(), content(file)?))));
        }
        let report = serde_json::to_vec_pretty(&self.report).unwrap_or_default();
        files.insert("evaluation.json".to_owned(), Bytes::from(report));
        files
    }
}
