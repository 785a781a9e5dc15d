//! The policy of the gate, a separate file that `evals.gate` names: what a run must reach, who must
//! approve it, and the three gates that users write.

use super::error::{ConfigError, Result};
use super::load::Loaded;
use super::places::Places;
use super::yaml::{Source, any_of};
use crate::near;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_core::gate::{
    CaseSet, GatePolicy, Risk, SLICE, TAG, TRIED_BEFORE, Until, WrittenGate,
};
use tidegate_core::ids::UnixMs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most approvals that a gate may demand; more people than that do not look.
const APPROVALS_MAX: u32 = 10;

/// What the file says. It is read without variables: its digest names what a run was held to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GateFile {
    /// What each metric needs, 0 to 1.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// The share of each class of risk that must be correct.
    classes: BTreeMap<String, f64>,
    /// The share of each tag's cases that must be correct.
    tags: BTreeMap<String, f64>,
    /// The share of each slice's cases that must be correct: a tag, or `key:value` of metadata.
    slices: BTreeMap<String, f64>,
    /// Cases that fail the gate alone.
    pub(crate) blocking: BTreeSet<String>,
    /// The same, as red lines.
    pub(crate) red_lines: BTreeSet<String>,
    /// Whether what the lints of the prompt find fails the gate.
    pub(crate) lints: bool,
    /// How many must approve a version set before it is released.
    pub(crate) approvals: u32,
    /// Whose approvals count.
    approvers: Approvers,
    /// The gates that users write.
    gates: WrittenGates,
}

impl Default for GateFile {
    fn default() -> Self {
        GateFile {
            metrics: BTreeMap::new(),
            classes: BTreeMap::new(),
            tags: BTreeMap::new(),
            slices: BTreeMap::new(),
            blocking: BTreeSet::new(),
            red_lines: BTreeSet::new(),
            lints: true,
            approvals: 0,
            approvers: Approvers::Anyone,
            gates: WrittenGates::default(),
        }
    }
}

/// Whose approvals count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approvers {
    /// People, and machines such as a pipeline.
    Anyone,
    /// People only.
    People,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenGates {
    gate_1: Option<WrittenText>,
    gate_2: Option<WrittenText>,
    gate_3: Option<WrittenText>,
}

/// A gate as it is written: a preset with what it needs, or an own condition.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenText {
    preset: Option<Preset>,
    until: Option<String>,
    met: Option<String>,
    stop_at: Option<String>,
    tried: BTreeMap<String, String>,
    failures: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    ProtectedEndpoint,
    CasesAndStopTime,
    AllTried,
}

impl GateFile {
    /// Reads the policy that the project names; `None` where it names none.
    ///
    /// # Errors
    /// It is not there, or says what is not allowed: with file and line.
    pub(crate) fn of(loaded: &Loaded) -> Result<Option<GateFile>> {
        let Some(path) = &loaded.project.evals.gate else { return Ok(None) };
        let text = std::fs::read_to_string(loaded.root.join(path)).map_err(|error| {
            ConfigError::new(format!("the gate's policy cannot be read: {error}"))
                .at(path, None)
                .hint("`evals.gate` in tidegate.yaml names it; without the key there is none")
        })?;
        let source = Source { text: &text, file: path, env: None, rewritten: Vec::new() };
        let places = Places::of(&source.tree()?);
        let file: GateFile = source.parse(&places)?;
        Reader { source: &source, places: &places }.check(&file)?;
        Ok(Some(file))
    }

    /// Whether a machine's approval does not count.
    pub(crate) fn people_only(&self) -> bool {
        self.approvers == Approvers::People
    }

    /// What each metric needs; a class, a tag and a slice are metrics.
    pub(crate) fn thresholds(&self) -> impl Iterator<Item = (String, f64)> {
        let plain =
            self.metrics.iter().chain(&self.classes).map(|(name, bar)| (name.clone(), *bar));
        let tags = self.tags.iter().map(|(name, bar)| (format!("{TAG}{name}"), *bar));
        let slices = self.slices.iter().map(|(name, bar)| (format!("{SLICE}{name}"), *bar));
        plain.chain(tags).chain(slices)
    }

    /// Gives the cases that the policy names the severity that it says.
    pub(crate) fn mark(&self, set: &mut CaseSet) {
        let (blocking, red_lines) = (self.blocking.clone(), self.red_lines.clone());
        GatePolicy { blocking, red_lines, ..GatePolicy::default() }.mark(set);
    }

    /// What a gate that users write waits for; `None` where it is not written.
    pub(crate) fn written(&self, gate: WrittenGate) -> Option<Until> {
        let text = self.gates.get(gate)?;
        Some(match text.preset {
            Some(Preset::ProtectedEndpoint) => Until::ProtectedEndpoint,
            Some(Preset::CasesAndStopTime) => {
                let stop_at = text.stop_at.as_deref().and_then(moment);
                Until::CasesAndStopTime { stop_at }
            }
            Some(Preset::AllTried) => {
                Until::AllTried { tried: text.tried.clone(), failures: text.failures.clone() }
            }
            None => Until::Own {
                condition: text.until.clone().unwrap_or_default(),
                met: text.met.clone(),
            },
        })
    }
}

impl WrittenGates {
    fn get(&self, gate: WrittenGate) -> Option<&WrittenText> {
        match gate {
            WrittenGate::Share => self.gate_1.as_ref(),
            WrittenGate::Rent => self.gate_2.as_ref(),
            WrittenGate::FineTune => self.gate_3.as_ref(),
        }
    }
}

/// A moment as RFC 3339; none before 1970.
fn moment(text: &str) -> Option<UnixMs> {
    let moment = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(UnixMs)
}

/// Checks what types cannot say.
struct Reader<'a> {
    source: &'a Source<'a>,
    places: &'a Places,
}

impl Reader<'_> {
    fn error(&self, path: &str, message: &str) -> ConfigError {
        self.source.at(self.places.value(path), &format!("{path}: {message}"))
    }

    fn check(&self, file: &GateFile) -> Result<()> {
        let parts = [
            ("metrics", &file.metrics),
            ("classes", &file.classes),
            ("tags", &file.tags),
            ("slices", &file.slices),
        ];
        for (part, bars) in parts {
            for (name, bar) in bars {
                if !(0.0..=1.0).contains(bar) {
                    let text = format!("given `{bar}`, allowed 0 to 1");
                    return Err(self.error(&format!("{part}.{name}"), &text));
                }
            }
        }
        let classes = Risk::ALL.map(Risk::as_str);
        if let Some(name) = file.classes.keys().find(|name| Risk::parse(name).is_none()) {
            let text = format!("no class is called `{name}`; allowed {}", any_of(&classes));
            let error = self.source.at(self.places.key(&format!("classes.{name}")), &text);
            return Err(error.with(near::hint(name, classes)));
        }
        if file.approvals > APPROVALS_MAX {
            let text = format!("given `{}`, allowed 0 to {APPROVALS_MAX}", file.approvals);
            return Err(self.error("approvals", &text));
        }
        WrittenGate::ALL.into_iter().try_for_each(|gate| match file.gates.get(gate) {
            Some(text) => self.written(&format!("gates.{}", gate.as_str()), text),
            None => Ok(()),
        })
    }

    /// A key that its gate does not read would look as if it were met.
    fn written(&self, path: &str, text: &WrittenText) -> Result<()> {
        let WrittenText { preset, until, met, stop_at, tried, failures } = text;
        let given = [
            ("until", until.is_some()),
            ("met", met.is_some()),
            ("stop_at", stop_at.is_some()),
            ("tried", !tried.is_empty()),
            ("failures", !failures.is_empty()),
        ];
        let (read, as_what): (&[&str], &str) = match preset {
            None => (&["until", "met"], "a gate without a preset"),
            Some(Preset::ProtectedEndpoint) => (&[], "preset `protected_endpoint`"),
            Some(Preset::CasesAndStopTime) => (&["stop_at"], "preset `cases_and_stop_time`"),
            Some(Preset::AllTried) => (&["tried", "failures"], "preset `all_tried`"),
        };
        if let Some((key, _)) = given.iter().find(|(key, is)| *is && !read.contains(key)) {
            return Err(
                self.error(&format!("{path}.{key}"), &format!("{as_what} does not read it"))
            );
        }
        if preset.is_none() && until.as_deref().is_none_or(|text| text.trim().is_empty()) {
            return Err(self.error(path, "there is neither a `preset` nor a condition").hint(
                "write one: `until: the endpoint has TLS`, and `met: who, when, by what` once it \
                 is",
            ));
        }
        if let Some(given) = stop_at
            && moment(given).is_none()
        {
            let text = format!("given `{given}`, allowed a moment such as `2026-12-01T18:00:00Z`");
            return Err(self.error(&format!("{path}.stop_at"), &text));
        }
        if let Some(name) = tried.keys().find(|name| !TRIED_BEFORE.contains(&name.as_str())) {
            let text = format!("given `{name}`, allowed {}", any_of(&TRIED_BEFORE));
            return Err(self.error(&format!("{path}.tried.{name}"), &text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::good;
    use std::path::Path;

    fn read(text: &str) -> Result<GateFile> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
        let mut loaded = Loaded { project: good(""), root: folder.path().to_owned() };
        loaded.project.evals.gate = Some("gate.yaml".into());
        GateFile::of(&loaded).map(Option::unwrap)
    }

    fn check_refused(text: &str, says: &[&str]) {
        let error = read(text).unwrap_err();
        let all = format!("{error} {}", error.hints().join(" "));
        for part in says {
            assert!(all.contains(part), "`{part}` in: {all}");
        }
    }

    #[test]
    fn what_is_allowed_is_said_with_the_line() {
        check_refused("metrics:\n  bleu: 1.5\n", &["gate.yaml:2", "metrics.bleu", "0 to 1"]);
        check_refused("tags: {zh: .nan}\n", &["gate.yaml:1"]);
        check_refused("classes: {safty: 1}\n", &["gate.yaml:1", "safty", "safety"]);
        check_refused("approvals: 11\n", &["approvals", "0 to 10"]);
        check_refused("approvals: -1\n", &["gate.yaml:1", "approvals"]);
        check_refused("approvers: people_only\n", &["people_only", "`people`"]);
        check_refused("blockin: [a]\n", &["gate.yaml:1", "unknown key `blockin`", "blocking"]);
        check_refused("gates: {gate_4: {until: x}}\n", &["unknown key `gate_4`"]);
        check_refused("gates: {gate_1: {}}\n", &["gates.gate_1", "neither", "until:"]);
        check_refused(
            "gates:\n  gate_1: {preset: protected_endpoint, met: ann}\n",
            &["gate.yaml:2", "gates.gate_1.met", "does not read it"],
        );
        check_refused(
            "gates: {gate_2: {preset: cases_and_stop_time, stop_at: tonight}}\n",
            &["gates.gate_2.stop_at", "`tonight`", "2026-12-01T18:00:00Z"],
        );
        check_refused(
            "gates: {gate_3: {preset: all_tried, tried: {lora: yes}}}\n",
            &["tried.lora", "decoding"],
        );
    }

    #[test]
    fn a_policy_that_is_named_and_not_there_is_an_error() {
        let mut loaded = Loaded { project: good(""), root: Path::new("/nowhere").to_owned() };
        assert_eq!(GateFile::of(&loaded).unwrap(), None);
        loaded.project.evals.gate = Some("gate.yaml".into());
        assert!(GateFile::of(&loaded).unwrap_err().to_string().contains("gate.yaml"));
    }

    #[test]
    fn classes_tags_and_slices_are_metrics() {
        let file = read(
            "metrics: {bleu: 0.3}\nclasses: {safety: 1}\ntags: {zh: 0.9}\n\
             slices: {\"lang:ja\": 0.8}\n",
        )
        .unwrap();
        let bars: BTreeMap<String, f64> = file.thresholds().collect();
        let names: Vec<&str> = bars.keys().map(String::as_str).collect();
        assert_eq!(names, ["bleu", "safety", "slice:lang:ja", "tag:zh"]);
        assert!(file.lints, "what the lints find counts unless it is switched off");
    }

    #[test]
    fn a_preset_has_what_it_needs() {
        let file = read(
            "gates:\n  gate_1: {preset: protected_endpoint}\n  \
             gate_2: {preset: cases_and_stop_time, stop_at: \"1970-01-01T00:00:05+00:00\"}\n",
        )
        .unwrap();
        assert_eq!(file.written(WrittenGate::Share), Some(Until::ProtectedEndpoint));
        let until = Until::CasesAndStopTime { stop_at: Some(UnixMs(5_000)) };
        assert_eq!(file.written(WrittenGate::Rent), Some(until));
        assert_eq!(file.written(WrittenGate::FineTune), None);
    }
}
