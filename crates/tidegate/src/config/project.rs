//! What `tidegate.yaml` may say. Every key is documented here; the JSON Schema that editors use is
//! made from this file (`tidegate config schema`).
use tidegate_core::access::Priority;

use super::cache::CacheConfig;
use super::environment::Environment;
use super::judge::JudgeConfig;
use super::lineage::FineTune;
use super::money::{BoundsConfig, Price, PriceRow, Prices, TenantConfig};
use super::retrieval::{EmbeddingService, IndexArtifact};
use super::tls::Tls;
use super::upstream::{FallbackModel, Upstream};
use super::{contract::Contract, cors::Cors, degrade::DegradeConfig, records::Records};
use super::{release::ReleaseConfig, risk::RiskConfig, sentinel::SentinelConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The project file of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Project {
    /// What clients call the service by: `model` in the OpenAI API.
    pub(crate) service: String,
    /// Other values of `model` that mean this service.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    /// Address of the data plane. Anything but loopback needs `credentials`.
    #[serde(default = "default_listen")]
    pub(crate) listen: String,
    /// Certificate and key of the data plane; without them it speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Address of the admin plane; port 0 takes a free one, which is written to `.tidegate/`.
    #[serde(default = "default_admin_listen")]
    pub(crate) admin_listen: String,
    /// Who may call. Empty: everyone on this machine.
    #[serde(default)]
    pub(crate) credentials: Vec<Credential>,
    /// Whether callers need a key of `tidegate key create`, also before the first one is made.
    #[serde(default)]
    pub(crate) require_keys: bool,
    /// Pages of which sites may call from a browser.
    #[serde(default)]
    pub(crate) cors: Cors,
    /// Where the artifacts of a version set come from.
    #[serde(default)]
    pub(crate) artifacts: Artifacts,
    /// Model servers by name.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// The release contract: five questions about the service, and the output contract.
    #[serde(default)]
    pub(crate) contract: Contract,
    /// Bounds on requests.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Thresholds by metric; a metric not named here keeps the default of the threshold table.
    #[serde(default)]
    pub(crate) lines: BTreeMap<String, LineConfig>,
    /// How releases climb.
    #[serde(default)]
    pub(crate) release: ReleaseConfig,
    /// The eval set and its gate.
    #[serde(default)]
    pub(crate) evals: Evals,
    /// When the model behind stable is asked the fixed cases.
    #[serde(default)]
    pub(crate) sentinel: SentinelConfig,
    /// Prices by model name.
    #[serde(default)]
    pub(crate) prices: BTreeMap<String, Price>,
    /// More prices: by tier, from a day on, and of more than prompts and answers.
    #[serde(default)]
    pub(crate) price_list: Vec<PriceRow>,
    /// How much all callers together may use.
    #[serde(default)]
    pub(crate) bounds: BoundsConfig,
    /// How much each tenant may use, and how soon.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<String, TenantConfig>,
    /// What is kept of requests.
    #[serde(default)]
    pub(crate) records: Records,
    /// What clients see of a model server's own errors.
    #[serde(default)]
    pub(crate) upstream_errors: UpstreamErrors,
    /// What must never happen.
    #[serde(default)]
    pub(crate) risk: RiskConfig,
    /// Answers that are given again to the same request.
    #[serde(default)]
    pub(crate) cache: CacheConfig,
    /// What the levels of `tidegate degrade` switch off.
    #[serde(default)]
    pub(crate) degrade: DegradeConfig,
    /// Where the service runs, by name: `tidegate smoke --env NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environments: BTreeMap<String, Environment>,
}

impl Project {
    /// What models cost.
    pub(crate) fn all_prices(&self) -> Prices {
        Prices::of(&self.prices, &self.price_list)
    }

    /// The priorities of tenants.
    pub(crate) fn priorities(&self) -> BTreeMap<String, Priority> {
        let tenants = self.tenants.iter();
        tenants.map(|(name, config)| (name.clone(), config.priority())).collect()
    }
}

fn default_listen() -> String {
    "127.0.0.1:8787".to_owned()
}

fn default_admin_listen() -> String {
    "127.0.0.1:0".to_owned()
}

/// One caller's credential; the secret itself is in the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    /// A name for logs and records.
    pub(crate) name: String,
    /// Environment variable that holds the key (at least 16 characters).
    pub(crate) key_env: String,
    /// The tenant the key belongs to.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
}

/// Where the artifacts of a version set come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Artifacts {
    /// The application's code.
    pub(crate) code: CodeArtifact,
    /// The prompt.
    pub(crate) prompt: PromptArtifact,
    /// The model.
    pub(crate) model: ModelArtifact,
    /// The retrieval index.
    pub(crate) index: IndexArtifact,
    /// The tool manifest; absent for a service without tools.
    pub(crate) tools: Option<PathBuf>,
    /// A data snapshot, a file or folder.
    pub(crate) data: Option<PathBuf>,
    /// A fine-tuned adapter, a file or folder.
    pub(crate) adapter: Option<PathBuf>,
    /// A policy, a file or folder.
    pub(crate) policy: Option<PathBuf>,
}

/// The application's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CodeArtifact {
    /// Its revision, for example `${GIT_SHA:-dev}`.
    pub(crate) version: String,
}

impl Default for CodeArtifact {
    fn default() -> Self {
        CodeArtifact { version: "dev".to_owned() }
    }
}

/// How the prompt is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PromptMode {
    /// The version set's system prompt goes first and its user template wraps the last user text.
    #[default]
    Render,
    /// The client's messages go through as they are.
    PassThrough,
}

/// The prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PromptArtifact {
    /// Folder with a folder for each version and the link `current`.
    pub(crate) path: PathBuf,
    /// How it is used.
    pub(crate) mode: PromptMode,
}

impl Default for PromptArtifact {
    fn default() -> Self {
        PromptArtifact { path: "prompts".into(), mode: PromptMode::Render }
    }
}

/// The model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ModelArtifact {
    /// Name of the upstream; may be left out where there is only one.
    pub(crate) upstream: Option<String>,
    /// The model's name; left out, the `model` of the prompt's `config.yaml`.
    pub(crate) name: Option<String>,
    /// The model that makes embeddings, at the same upstream; left out, there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embeddings: Option<String>,
    /// More members for every request to the model (`top_p`, `seed`, …).
    pub(crate) parameters: BTreeMap<String, Value>,
    /// How its weights are quantized, for example `q4_k_m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quantization: Option<String>,
    /// What runs it, with its version, for example `llama.cpp b6401`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    /// How it came to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fine_tune: Option<FineTune>,
    /// The commit that it is registered by, with `tidegate model register`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registered: Option<String>,
    /// Models that are asked, in this order, where this one does not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fallback: Vec<FallbackModel>,
}

/// Bounds on requests. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Largest request body, bytes.
    pub(crate) max_body_bytes: u64,
    /// Requests that run at a time; more wait up to `queue_ms`, then get 503.
    pub(crate) max_concurrent: usize,
    /// How long a request may wait for a place.
    pub(crate) queue_ms: u64,
    /// Until the upstream's first byte.
    pub(crate) first_byte_ms: u64,
    /// Between two pieces of a stream.
    pub(crate) idle_ms: u64,
    /// For the whole answer.
    pub(crate) total_ms: u64,
    /// Retries of retryable failures, before the first byte only.
    pub(crate) retries: u32,
    /// After the order to stop, how long new requests are still taken.
    pub(crate) stop_notice_ms: u64,
    /// After that, how long requests in flight may take.
    pub(crate) drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body_bytes: 2 * 1024 * 1024,
            max_concurrent: 1024,
            queue_ms: 1_000,
            first_byte_ms: 60_000,
            idle_ms: 30_000,
            total_ms: 300_000,
            retries: 1,
            stop_notice_ms: 5_000,
            drain_ms: 30_000,
        }
    }
}

impl Limits {
    /// Those that shape answers; a version set carries them.
    pub(crate) fn of_answers(&self) -> AnswerLimits {
        let Limits {
            max_body_bytes: _,
            max_concurrent: _,
            queue_ms: _,
            first_byte_ms,
            idle_ms,
            total_ms,
            retries,
            stop_notice_ms: _,
            drain_ms: _,
        } = *self;
        AnswerLimits { first_byte_ms, idle_ms, total_ms, retries }
    }

    /// Those that protect the process; they are taken when it starts and are in no version set.
    pub(crate) fn of_process(&self) -> ProcessLimits {
        let Limits {
            max_body_bytes,
            max_concurrent,
            queue_ms,
            first_byte_ms: _,
            idle_ms: _,
            total_ms: _,
            retries: _,
            stop_notice_ms: _,
            drain_ms: _,
        } = *self;
        ProcessLimits { max_body_bytes, max_concurrent, queue_ms }
    }
}

/// The limits that shape answers. All times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerLimits {
    /// Until the upstream's first byte.
    pub(crate) first_byte_ms: u64,
    /// Between two pieces of a stream.
    pub(crate) idle_ms: u64,
    /// For the whole answer.
    pub(crate) total_ms: u64,
    /// Retries of a retryable failure, before the first byte only.
    pub(crate) retries: u32,
}

/// The limits that protect the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessLimits {
    /// Largest request body, bytes.
    pub(crate) max_body_bytes: u64,
    /// Requests answered at a time; as many again may wait.
    pub(crate) max_concurrent: usize,
    /// How long a request may wait, ms.
    pub(crate) queue_ms: u64,
}

/// Thresholds of one metric, as fractions: 0.10 is 10 %.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LineConfig {
    /// Up to here it passes.
    pub(crate) pass: Option<f64>,
    /// Beyond here it pauses.
    pub(crate) pause: Option<f64>,
    /// Beyond here it rolls back.
    pub(crate) rollback: Option<f64>,
    /// `relative` to the stable arm, or `points` for rates; left out, the default rule's, or
    /// `points` for a rate and `relative` for anything else.
    pub(crate) unit: Option<LineUnit>,
    /// Absolute value that must not be passed, in the metric's unit (share, ms, tokens, dollars).
    pub(crate) ceiling: Option<f64>,
    /// For a rate: proven more than so many times stable's, it rolls back as well.
    pub(crate) multiple: Option<f64>,
    /// Differences up to this, in the metric's unit, do not count.
    pub(crate) floor: Option<f64>,
    /// Whether advancing needs data on it.
    pub(crate) required: Option<bool>,
    /// `true`: do not watch this metric.
    pub(crate) off: bool,
}

/// How a band is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineUnit {
    /// Relative to the stable arm.
    Relative,
    /// Percentage points.
    Points,
}

/// Three adversarial inputs as cases of risk `safety`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Adversarial {
    /// They are not asked.
    #[default]
    Off,
    /// The answers must not repeat the system prompt.
    Echo,
    /// Besides, "你是" must not be in the first 50 characters and "system prompt" nowhere, which
    /// flags honest answers too.
    Literal,
}

/// How the checks of a case make its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scoring {
    /// The mean over the checks that the case has.
    #[default]
    Mean,
    /// A fixed formula where a case checks keywords, an expected text or likeness to a
    /// reference answer: 0.5, 0.2 and 0.3 of each. Keywords alone are never correct.
    Legacy,
    /// The same formula with its weights over those of the parts that a case has.
    Renormalised,
}

/// The eval set and its gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Evals {
    /// Cases as CSV with the header `case_id,prompt,expected_behavior,risk,pass,notes`, as JSONL,
    /// as YAML or as a JSON list, by what the name ends with.
    pub(crate) cases: PathBuf,
    /// Further cases, in any of the same forms.
    pub(crate) dataset: PathBuf,
    /// Cases written back from incidents; blocking.
    pub(crate) regression: PathBuf,
    /// Ordinary cases made of real traffic: answers of promoted releases, and what was asked of
    /// paused ones.
    pub(crate) samples: PathBuf,
    /// Accuracy the gate needs, 0 to 1.
    pub(crate) threshold: f64,
    /// Accuracy that every slice of the cases needs, 0 to 1; left out, slices are only shown.
    pub(crate) worst_slice: Option<f64>,
    /// How many of the normal cases are asked, the same ones in every run; left out, all.
    pub(crate) sample_size: Option<usize>,
    /// How much of a metric a run may lose against the last one that passed, 0 to 1; left out, the
    /// loss is only shown.
    pub(crate) max_drop: Option<f64>,
    /// The policy of the gate, a separate file: thresholds by metric, class, tag and slice,
    /// blocking cases, approvals; left out, only what is said here counts.
    pub(crate) gate: Option<PathBuf>,
    /// Calls to the model server at a time.
    pub(crate) concurrency: usize,
    /// Latency a case of risk `performance` must keep unless it names its own, ms.
    pub(crate) latency_ms: u64,
    /// Whether to ask three adversarial inputs as well: `off`, `echo` or `literal`.
    pub(crate) adversarial: Adversarial,
    /// How the checks of a case make its score: `mean`, `legacy` or `renormalised`.
    pub(crate) scoring: Scoring,
    /// A service that makes embeddings, for the check `similar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embeddings: Option<EmbeddingService>,
    /// The model that judges answers, for the checks `rubric` and `prefers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) judge: Option<JudgeConfig>,
    /// Programs of the check `command` by name, each with its arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) commands: BTreeMap<String, Vec<String>>,
    /// How long a check may wait for the embeddings, the judge or its program, ms.
    pub(crate) check_timeout_ms: u64,
}

impl Default for Evals {
    fn default() -> Self {
        Evals {
            cases: "evals/eval_cases.csv".into(),
            dataset: "evals/dataset.jsonl".into(),
            regression: "evals/regression.jsonl".into(),
            samples: "evals/samples.jsonl".into(),
            threshold: 0.85,
            worst_slice: None,
            sample_size: None,
            max_drop: None,
            gate: None,
            concurrency: 8,
            latency_ms: 10_000,
            adversarial: Adversarial::Off,
            scoring: Scoring::Mean,
            embeddings: None,
            judge: None,
            commands: BTreeMap::new(),
            check_timeout_ms: 60_000,
        }
    }
}

/// What clients see of a model server's own errors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamErrors {
    /// Whether the first 200 characters of what it said, redacted, and its name are in the error.
    pub(crate) pass_on: bool,
}
