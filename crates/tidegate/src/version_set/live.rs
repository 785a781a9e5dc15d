//! A version set ready to serve: templates read, schema compiled, upstream connected.

use super::error::{Result, SearchProblem, SetError};
use super::model::{self, ModelFile};
use super::pack::{RETRIEVAL_FILE, RetrievalFile, TOOLS_FILE};
use super::render::{Rendered, Renderer, Slots};
use super::search::{self, Search, SnapshotFile};
use super::settings::Settings;
use super::template::{RenderError, Template};
use super::tools::{Manifest, SentTools};
use super::{contract, prompt};
use crate::clock::Clock;
use crate::config::{AnswerLimits, Block, PromptMode, Upstream as UpstreamConfig};
use crate::upstream::{Endpoints, Form, Moderation};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tidegate_core::guard::{Detectors, Words};
use tidegate_core::text::PrivateKind;
use tidegate_core::version_set::{ArtifactKind, NamedSet, PackedSet, VersionKeys, VersionSet};
use tidegate_wire::translate::Warnings;

/// How a prompt is used, its system prompt and user template, its temperature and its longest
/// answer.
type Prompt = (PromptMode, Option<(Template, Template)>, Option<f64>, Option<u64>);

/// A model that answers where the version set's own does not.
pub(crate) struct Fallback {
    /// The model's name for its upstream.
    pub(crate) model: String,
    /// The upstream's name in the project.
    pub(crate) upstream_name: String,
    /// The upstream's clients.
    pub(crate) upstream: Endpoints,
    renderer: Renderer,
}

/// A version set in memory.
pub(crate) struct LiveSet {
    /// The set.
    pub(crate) set: VersionSet,
    /// Its label.
    pub(crate) label: String,
    /// Its names.
    pub(crate) keys: VersionKeys,
    /// The model's name for the upstream.
    pub(crate) model: String,
    /// The name of the model that makes embeddings.
    pub(crate) embeddings: Option<String>,
    /// The upstream's name in the project.
    pub(crate) upstream_name: String,
    /// The upstream's definition; two sets with equal ones share an upstream.
    pub(crate) upstream_config: UpstreamConfig,
    /// The upstream's clients.
    pub(crate) upstream: Endpoints,
    /// What answers where the upstream does not, in this order.
    pub(crate) fallbacks: Vec<Fallback>,
    /// Longest answer, tokens: the prompt's config's, or the model parameters'.
    pub(crate) max_tokens: Option<u64>,
    /// What it adds to a request at most, bytes: its prompt and its tools.
    pub(crate) prompt_bytes: u64,
    /// What searches its requests.
    pub(crate) search: Option<Search>,
    /// How long an answer may take, and how often a failed call is repeated.
    pub(crate) limits: AnswerLimits,
    /// The output contract.
    pub(crate) contract: Option<Arc<jsonschema::Validator>>,
    /// Whether an answer that breaks it, or a tool's schema, is asked for once more.
    pub(crate) repair: bool,
    /// What the manifest says of the arguments of each tool that has a schema.
    arguments: BTreeMap<String, jsonschema::Validator>,
    /// What to look for in answers.
    pub(crate) detectors: Detectors,
    /// What answers are kept from the client for.
    pub(crate) block: Vec<Block>,
    /// What is replaced in answers, where the request did not hold it.
    pub(crate) redact: BTreeSet<PrivateKind>,
    /// A guard outside of this process.
    pub(crate) moderation: Option<Moderation>,
    /// Tools that are marked as expensive; they are switched off first.
    pub(crate) expensive_tools: BTreeSet<String>,
    renderer: Renderer,
    tools: Option<SentTools>,
    index: Option<(String, serde_json::Value)>,
}

impl LiveSet {
    /// Its id and its names, as telemetry has them.
    pub(crate) fn named(&self) -> NamedSet {
        NamedSet { id: self.set.id.clone(), keys: self.keys.clone() }
    }

    /// Gets a packed set ready. Everything that can be wrong with it is an error here.
    pub(crate) fn new(packed: &PackedSet, root: &Path, clock: &Clock) -> Result<LiveSet> {
        packed.verify().map_err(SetError::Damaged)?;
        let model: ModelFile = stored(packed, ArtifactKind::Model, model::FILE)?;
        let settings = Settings::read(packed)?;
        let shown = Path::new(packed.set.id.as_str()).join("prompt");
        let (prompt_config, templates) =
            prompt::check(&packed.files(ArtifactKind::Prompt), &shown)?;
        let mode = settings.prompt_mode;
        let system_prompt = system_prompt(packed, mode, &templates)?;
        let contract = settings.output.as_ref();
        let contract = contract.map(|schema| contract::compile("contract.output", schema));
        let manifest = match packed.file(ArtifactKind::Tools, TOOLS_FILE) {
            Some(bytes) => Manifest::parse(bytes, Path::new(TOOLS_FILE))?,
            None => Manifest::default(),
        };
        let arguments = manifest.arguments()?;
        let tools = settings.tools_sent.then(|| SentTools::new(&manifest));
        let index: RetrievalFile = stored(packed, ArtifactKind::Index, RETRIEVAL_FILE)?;
        let search = search(packed, root, &index)?;
        model.check_recording(root)?;
        let prompt = (mode, templates, prompt_config.temperature, prompt_config.max_tokens);
        let renderer = |model: &ModelFile| renderer(model, &prompt);
        let fallbacks = model.fallback.iter().map(|model| {
            Ok(Fallback {
                model: model.name.clone(),
                upstream: Endpoints::new(&model.upstream_name, &model.upstream, root, clock)?,
                upstream_name: model.upstream_name.clone(),
                renderer: renderer(model),
            })
        });
        let fallbacks = fallbacks.collect::<Result<_>>()?;
        let renderer = renderer(&model);
        let moderation = settings.risk.moderation.as_ref().map(Moderation::new).transpose()?;
        let redact = settings.risk.redact.iter().flat_map(|redact| redact.kinds());
        check_slot(&renderer, search.is_some())?;
        Ok(LiveSet {
            set: packed.set.clone(),
            label: packed.label.clone(),
            keys: packed.set.keys(),
            upstream: Endpoints::new(&model.upstream_name, &model.upstream, root, clock)?,
            upstream_config: model.upstream,
            upstream_name: model.upstream_name,
            model: model.name,
            embeddings: model.embeddings,
            fallbacks,
            max_tokens: renderer.max_tokens,
            prompt_bytes: added_bytes(packed) + search.as_ref().map_or(0, Search::bytes_max),
            search,
            limits: settings.limits,
            contract: contract.transpose()?.map(Arc::new),
            repair: settings.repair,
            arguments,
            detectors: Detectors {
                planted: settings.risk.planted.clone(),
                allowed_tools: manifest.allowed().filter(|_| !manifest.passes_client_tools()),
                system_prompt,
                words: Words::new(&settings.risk.words),
            },
            block: settings.risk.block,
            redact: redact.copied().collect(),
            moderation,
            expensive_tools: manifest.expensive(),
            renderer,
            tools,
            index: index.member(),
        })
    }

    /// Puts the prompt, model and parameters into a client's request body.
    ///
    /// `render`: the set's system prompt replaces none of the client's messages, it goes first; the
    /// last user message's text becomes `{{ input }}` of the user template. The client's own
    /// `temperature` and `max_tokens` win over the prompt's config, the latter up to the set's.
    /// Tools are the manifest's; [`SentTools::put_into`] says what becomes of the client's own.
    ///
    /// # Errors
    /// The request lacks what the template uses; the client's to fix.
    pub(crate) fn render<'a>(
        &self,
        body: serde_json::Map<String, serde_json::Value>,
        slots: impl Into<Slots<'a>>,
    ) -> Result<Rendered, RenderError> {
        self.render_with(&self.renderer, body, slots.into())
    }

    /// The same for a fallback's model, with its parameters.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub(crate) fn render_for(
        &self,
        fallback: &Fallback,
        body: serde_json::Map<String, serde_json::Value>,
        slots: Slots<'_>,
    ) -> Result<Rendered, RenderError> {
        self.render_with(&fallback.renderer, body, slots)
    }

    fn render_with(
        &self,
        renderer: &Renderer,
        body: serde_json::Map<String, serde_json::Value>,
        slots: Slots<'_>,
    ) -> Result<Rendered, RenderError> {
        let mut rendered = renderer.render(body, slots)?;
        if let Some(tools) = &self.tools {
            tools.put_into(&mut rendered.body)?;
        }
        if let Some((name, value)) = &self.index {
            rendered.body.insert(name.clone(), value.clone());
        }
        Ok(rendered)
    }

    /// The model that answers requests of this form.
    pub(crate) fn model_of(&self, form: Form) -> &str {
        match form {
            Form::Chat | Form::Completions | Form::Messages => &self.model,
            Form::Embeddings => self.embeddings.as_deref().unwrap_or(&self.model),
        }
    }

    /// Why requests of this form are not served; `None` where they are.
    pub(crate) fn unserved(&self, form: Form) -> Option<String> {
        let id = &self.set.id;
        match form {
            Form::Chat | Form::Messages => None,
            // It would be a way around the prompt.
            Form::Completions if self.renderer.templates.is_some() => Some(format!(
                "version set `{id}` has a prompt, which a plain completion has no place for; use \
                 `/v1/chat/completions`"
            )),
            Form::Embeddings if self.embeddings.is_none() => Some(format!(
                "version set `{id}` names no model for embeddings; its operator can name one as \
                 `artifacts.model.embeddings`"
            )),
            Form::Completions | Form::Embeddings => (!self.upstream.takes(form)).then(|| {
                format!(
                    "the model server of version set `{id}` has chat completions only; use \
                     `/v1/chat/completions`"
                )
            }),
        }
    }

    /// Whether it serves a message of Anthropic's API as it is: the model server speaks that API,
    /// and nothing of the set has to be translated for it. What is replaced in answers is replaced
    /// in chat completions.
    pub(crate) fn speaks_messages(&self) -> bool {
        let adds_chat = self.tools.is_some() || self.index.is_some();
        let is_free = !adds_chat && self.redact.is_empty();
        self.upstream.takes(Form::Messages) && is_free && self.renderer.fits_messages()
    }

    /// Puts the prompt and the model into a message, as [`Self::render`] does into a chat
    /// completion. The client's own system prompt follows the set's, with its marks of what to
    /// cache.
    ///
    /// # Errors
    /// The request lacks what the template uses; the client's to fix.
    pub(crate) fn render_message(
        &self,
        body: serde_json::Map<String, serde_json::Value>,
        slots: Slots<'_>,
    ) -> Result<Rendered, RenderError> {
        let sampling = match &self.upstream_config {
            UpstreamConfig::Anthropic(anthropic) => anthropic.sampling,
            _ => false,
        };
        self.renderer.render_message(body, slots, sampling)
    }

    /// Puts the model, and the longest answer, into a request that goes on in its own form.
    ///
    /// # Errors
    /// The length that it asks for is no number.
    pub(crate) fn pass(
        &self,
        form: Form,
        mut body: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Rendered, RenderError> {
        body.insert("model".to_owned(), self.model_of(form).into());
        if form == Form::Completions {
            self.renderer.bound(&mut body)?;
        }
        Ok(Rendered { body, left_out: Warnings::default() })
    }

    /// Whether its requests are searched for, here or by the model server.
    pub(crate) fn retrieves(&self) -> bool {
        self.search.is_some() || self.index.is_some()
    }

    /// The member of a request that asks for retrieval, where the set sends one.
    pub(crate) fn retrieval_member(&self) -> Option<&str> {
        self.index.as_ref().map(|(name, _)| name.as_str())
    }

    /// Why the answer breaks the output contract; `None` when it keeps it or there is none.
    pub(crate) fn contract_problem(&self, answer: &str) -> Option<String> {
        self.contract.as_deref().and_then(|validator| contract::problem(validator, answer))
    }

    /// Whether the arguments of a call keep to the schema that the manifest has for the tool, and
    /// why not; `None` where it has no schema for it.
    pub(crate) fn arguments_problem(&self, tool: &str, arguments: &str) -> Option<Option<String>> {
        let validator = self.arguments.get(tool)?;
        // Servers send none as an empty text.
        let given = if arguments.trim().is_empty() { "{}" } else { arguments };
        let problem = contract::problem(validator, given);
        Some(problem.map(|problem| format!("arguments of tool `{tool}`: {problem}")))
    }
}

/// The text of the set's system prompt; none where the clients bring theirs.
fn system_prompt(
    packed: &PackedSet,
    mode: PromptMode,
    templates: &Option<(Template, Template)>,
) -> Result<String> {
    match (mode, templates) {
        (PromptMode::Render, Some((system, _))) => Ok(system.fixed_text().to_owned()),
        (PromptMode::PassThrough, _) => Ok(String::new()),
        (PromptMode::Render, None) => Err(SetError::NoPrompt { set: packed.set.id.clone() }),
    }
}

/// What searches the set's requests, where its settings ask for it.
fn search(packed: &PackedSet, root: &Path, index: &RetrievalFile) -> Result<Option<Search>> {
    let Some(settings) = index.search.clone() else { return Ok(None) };
    let version = &index.index_version;
    if let Some(http) = settings.http.clone() {
        return Ok(Some(Search::over_http(version, settings, &http)?));
    }
    let snapshot: SnapshotFile = stored(packed, ArtifactKind::Index, search::FILE)?;
    Search::open(root, version, settings, &snapshot).map(Some)
}

/// What is found has a place in the prompt, and the place has something to be filled with.
fn check_slot(renderer: &Renderer, searches: bool) -> Result<()> {
    match (renderer.has_slot(), searches) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(SearchProblem::NoSlot.into()),
        (true, false) => Err(SearchProblem::NoSearch.into()),
    }
}

/// More bytes than a set's prompt and tools have in a request: tools are wrapped in JSON.
fn added_bytes(packed: &PackedSet) -> u64 {
    let files = [ArtifactKind::Prompt, ArtifactKind::Tools].map(|kind| packed.files(kind));
    let bytes = files.iter().flat_map(|files| files.values()).map(|content| content.len() as u64);
    bytes.sum::<u64>().saturating_mul(2)
}

/// What renders the set's prompt for one of its models.
fn renderer(model: &ModelFile, (mode, templates, temperature, max_tokens): &Prompt) -> Renderer {
    let (templates, parameters) = (templates.clone(), &model.parameters);
    let mut renderer =
        Renderer::new(&model.name, *mode, templates, parameters, *temperature, *max_tokens);
    renderer.merge_system = model.upstream.merges_system();
    renderer
}

/// Reads one of our own files of a set.
fn stored<T: DeserializeOwned>(packed: &PackedSet, kind: ArtifactKind, file: &str) -> Result<T> {
    let (set, path) = (packed.set.id.clone(), format!("{}/{file}", kind.as_str()));
    let Some(bytes) = packed.file(kind, file) else {
        return Err(SetError::Missing { set, file: path });
    };
    serde_json::from_slice(bytes).map_err(|source| SetError::Unreadable { set, file: path, source })
}
