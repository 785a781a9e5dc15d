//! The config artifact: the settings of the project file that shape answers.
//!
//! What is in a set is served from the set, and what is not in a set is not hashed. So a setting
//! is here exactly where a release must carry it: the time an answer may take is behaviour,
//! the number of requests that one process takes at a time is not.

use super::error::{Result, SetError};
use super::tools::Manifest;
use crate::config::{
    AnswerLimits, Block, Contract, Limits, ModerationConfig, PromptMode, Redact, RiskConfig,
    blocked_by_default, is_blocked_by_default,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_core::version_set::{ArtifactKind, PackedSet};

/// The artifact's file.
pub(super) const FILE: &str = "config.json";
/// The format that is written.
const FORMAT: u64 = 2;

/// What `config.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// [`FORMAT`]; sets of the first format have no such member.
    format: u64,
    /// JSON Schema that every answer's text must satisfy; none for free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    /// Whether an answer that breaks it, or a tool's schema, is asked for once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) repair: bool,
    /// How long an answer may take, and how often a failed call is repeated.
    pub(crate) limits: AnswerLimits,
    /// How the prompt is used.
    pub(crate) prompt_mode: PromptMode,
    /// What must never happen.
    pub(crate) risk: RiskSettings,
    /// Whether the tools of the manifest are sent to the model. Sets of the first format only
    /// checked calls against them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tools_sent: bool,
}

/// What must never happen. Planted texts are here unredacted, since answers are searched for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RiskSettings {
    /// Texts that must never appear in an answer.
    #[serde(default)]
    pub(crate) planted: Vec<String>,
    /// Words that are counted in requests and answers, or block them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) words: Vec<String>,
    /// What answers are kept from the client for; left out where it is the default, so that sets
    /// packed before there was a choice keep their names.
    #[serde(default = "blocked_by_default", skip_serializing_if = "is_blocked_by_default")]
    pub(crate) block: Vec<Block>,
    /// What is replaced in answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) redact: Vec<Redact>,
    /// An endpoint that is asked what texts hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moderation: Option<ModerationConfig>,
}

/// The first format. It also held settings of the process and of the release, which were never
/// served from the set; they are read past.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsV1 {
    #[serde(default)]
    contract: Contract,
    #[serde(default)]
    limits: Limits,
    prompt_mode: PromptMode,
    #[serde(default)]
    risk: RiskConfig,
}

impl Settings {
    /// What the project says now, with these tools.
    pub(super) fn of(project: &crate::config::Project, tools: &Manifest) -> Settings {
        Settings {
            format: FORMAT,
            output: project.contract.output.clone(),
            repair: project.contract.repair,
            limits: project.limits.of_answers(),
            prompt_mode: project.artifacts.prompt.mode,
            risk: RiskSettings {
                planted: project.risk.planted.clone(),
                words: project.risk.words.clone(),
                block: project.risk.block.clone(),
                redact: project.risk.redact.clone(),
                moderation: project.risk.moderation.clone(),
            },
            tools_sent: tools.send && !tools.tools.is_empty(),
        }
    }

    /// Whether both say the same; a set of the first format does not send tools, but its files may.
    pub(super) fn says_as(&self, now: &Settings) -> bool {
        let tools_sent = now.tools_sent;
        Settings { tools_sent, ..self.clone() } == *now
    }

    /// What a packed set says, in whichever format it was packed.
    ///
    /// # Errors
    /// The file is missing, or of a newer version of Tidegate.
    pub(crate) fn read(packed: &PackedSet) -> Result<Settings> {
        let (set, file) = (packed.set.id.clone(), format!("config/{FILE}"));
        let Some(bytes) = packed.file(ArtifactKind::Config, FILE) else {
            return Err(SetError::Missing { set, file });
        };
        Settings::parse(bytes).map_err(|source| SetError::Unreadable { set, file, source })
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Settings> {
        let value: Value = serde_json::from_slice(bytes)?;
        if value.get("format").is_some() {
            let settings: Settings = serde_json::from_value(value)?;
            return match settings.format {
                FORMAT => Ok(settings),
                other => Err(serde::de::Error::custom(format!("its format is {other}"))),
            };
        }
        let SettingsV1 { contract, limits, prompt_mode, risk } = serde_json::from_value(value)?;
        let RiskConfig { planted, words, block, redact, moderation, on_black: _, ban_s: _ } = risk;
        Ok(Settings {
            format: FORMAT,
            output: contract.output,
            repair: contract.repair,
            limits: limits.of_answers(),
            prompt_mode,
            risk: RiskSettings { planted, words, block, redact, moderation },
            tools_sent: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the first format wrote it.
    const V1: &str = r#"{
        "contract": {"endpoint": "/v1/chat/completions", "limits": null, "output": {"type":
            "object"},
            "request_shape": null, "response_shape": null, "stop_path": null},
        "limits": {"first_byte_ms": 1500, "idle_ms": 900, "max_body_bytes": 1000,
            "max_concurrent": 3, "queue_ms": 10, "retries": 4, "total_ms": 2500},
        "prompt_mode": "pass_through",
        "risk": {"on_black": "candidate", "planted": ["TG-CANARY-1"]}
    }"#;

    #[test]
    fn the_first_format_is_read_as_it_was_meant() {
        let settings = Settings::parse(V1.as_bytes()).unwrap();
        let limits = AnswerLimits { first_byte_ms: 1500, idle_ms: 900, total_ms: 2500, retries: 4 };
        assert_eq!(settings.limits, limits);
        assert_eq!(settings.output, Some(serde_json::json!({"type": "object"})));
        assert_eq!(settings.prompt_mode, PromptMode::PassThrough);
        assert_eq!(settings.risk.planted, ["TG-CANARY-1"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let settings = Settings::parse(V1.as_bytes()).unwrap();
        let bytes = serde_json::to_vec(&settings).unwrap();
        assert_eq!(Settings::parse(&bytes).unwrap(), settings);
        assert!(!String::from_utf8(bytes).unwrap().contains("max_concurrent"));
    }

    #[test]
    fn another_format_is_refused() {
        let mut settings = serde_json::to_value(Settings::parse(V1.as_bytes()).unwrap()).unwrap();
        settings["format"] = 3.into();
        let error = Settings::parse(settings.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("format is 3"), "{error}");
        settings["format"] = FORMAT.into();
        settings["detectors"] = 1.into();
        assert!(Settings::parse(settings.to_string().as_bytes()).is_err());
    }
}
