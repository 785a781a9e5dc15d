//! Why a project's files do not make a version set, and why a kept one cannot be served.
//!
//! One enum for each kind of file, so that what is said of it is together; [`SetError`] holds them
//! all. What to do about each is said at the command line.

use crate::config::ConfigError;
use crate::models::RegistryError;
use crate::store::StoreError;
use crate::upstream::SetupError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use tidegate_core::ids::VersionSetId;
use tidegate_core::version_set::{PackedSetError, VersionSetError};

/// The result of packing a set, or of getting one ready.
pub(super) type Result<T, E = SetError> = std::result::Result<T, E>;

/// Why there is no set to serve.
#[derive(Debug, Error)]
pub(crate) enum SetError {
    /// A YAML file of the set.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of an artifact.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The prompt's folder.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A prompt template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The model and its upstream.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The search of requests.
    #[error(transparent)]
    Search(#[from] SearchProblem),
    /// The tool manifest.
    #[error("{place}: {problem}")]
    Tools { place: String, problem: ToolsProblem },
    /// The upstream of a set that is otherwise ready.
    #[error(transparent)]
    Upstream(#[from] SetupError),
    /// A file that is a text has bytes that are none.
    #[error("{}: the file is not UTF-8", file.display())]
    NotUtf8 { file: PathBuf },
    /// A schema of ours or a tool's; `at` points into it, and is empty for the whole.
    #[error(
        "{place}: not a valid JSON Schema{}: {problem}",
        if at.is_empty() { String::new() } else { format!(" at `{at}`") }
    )]
    Schema { place: String, at: String, problem: String },
    /// A label or version; what was given is cut and escaped.
    #[error(
        "{what} is `{given}`, allowed are 1 to {max} characters without line breaks or spaces at \
         the ends"
    )]
    Name { what: &'static str, given: String, max: usize },
    /// A planted text would be in every answer.
    #[error("`risk.planted[{index}]` is empty")]
    EmptyPlanted { index: usize },
    /// One of our own files has no JSON form.
    #[error("an artifact cannot be written: {0}")]
    Unwritten(serde_json::Error),
    /// The artifacts are not those of a set.
    #[error(transparent)]
    Incomplete(VersionSetError),
    /// A kept set is not what its id says.
    #[error(transparent)]
    Damaged(PackedSetError),
    /// A kept set renders prompts and has none.
    #[error("version set `{set}` has no prompt to render")]
    NoPrompt { set: VersionSetId },
    /// A kept set lacks one of our own files.
    #[error("version set `{set}`: {file} is missing")]
    Missing { set: VersionSetId, file: String },
    /// One of our own files of a kept set is not as this version writes it.
    #[error("version set `{set}`: {file} cannot be read: {source}")]
    Unreadable { set: VersionSetId, file: String, source: serde_json::Error },
}

/// Why requests cannot be searched as the project says.
#[derive(Debug, Error)]
pub(crate) enum SearchProblem {
    /// A version that no snapshot can have.
    #[error(
        "`artifacts.index.version` is `{}`; to be searched, an index has a version of 1 to 80 of \
         `A-Za-z0-9._-`, no dot first, and not `none`",
        given.escape_debug()
    )]
    Version { given: String },
    /// Two would retrieve.
    #[error(
        "`artifacts.index` has `search` and `send_as`: either Tidegate retrieves or the model \
         server does"
    )]
    Twice,
    /// The retriever has its own way to find.
    #[error("`artifacts.index.search` has `http` and `embeddings`: a retriever embeds by itself")]
    Embeds,
    /// It was built with the embeddings of another model, or with none.
    #[error(
        "index {version} was built {}, and `artifacts.index.search.embeddings.model` is `{says}`",
        built.as_ref().map_or("without embeddings".to_owned(), |it| format!("with those of `{it}`"))
    )]
    OtherModel { version: String, built: Option<String>, says: String },
    /// A setting of the search.
    #[error("`artifacts.index.{key}` is {given}, allowed is a whole number from {least} to {most}")]
    Setting { key: &'static str, given: String, least: u64, most: u64 },
    /// There is no snapshot, or it is damaged.
    #[error("`artifacts.index.search`: {0}")]
    Snapshot(#[from] StoreError),
    /// It was built with another length of chunks.
    #[error(
        "index {version} was built with `chunk_chars` {built}, and \
         `artifacts.index.retrieval.chunk_chars` is {says}"
    )]
    OtherChunks { version: String, built: u64, says: u64 },
    /// A snapshot with this version has another content.
    #[error(
        "the snapshot of index {version} is not the one that the version set was packed with: its \
         digest is {built}, that of the set's {packed}"
    )]
    Other { version: String, built: String, packed: String },
    /// What is found would be seen by no model.
    #[error("requests are searched, and the user template has no place for what is found")]
    NoSlot,
    /// Nothing is ever found.
    #[error("the user template uses `{{{{ retrieved }}}}`, and requests are not searched")]
    NoSearch,
}

/// Why an artifact's files are not taken; `key` is the project's key that names them.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    /// Nothing is there.
    #[error("`{key}`: {path} does not exist")]
    Missing { key: &'static str, path: String },
    /// The system refuses it.
    #[error("`{key}`: {path} cannot be read: {source}")]
    Unreadable { key: &'static str, path: String, source: io::Error },
    /// A link would take in files that are not the project's.
    #[error("`{key}`: {path} leads out of the project, to {}", to.display())]
    LeadsOut { key: &'static str, path: String, to: PathBuf },
    /// A folder, a socket or the like.
    #[error("`{key}`: {path} is not a file")]
    NotAFile { key: &'static str, path: String },
    /// A file over its bound, bytes.
    #[error("`{key}`: {path} is larger than the {max} bytes allowed")]
    TooLarge { key: &'static str, path: String, max: u64 },
    /// A name that could not be written into a manifest.
    #[error("`{key}`: the name of {} is not UTF-8, or is no name", path.display())]
    Name { key: &'static str, path: PathBuf },
    /// Folders in folders.
    #[error("`{key}`: folders are more than {max} deep at {path}")]
    TooDeep { key: &'static str, path: String, max: usize },
    /// Files in all.
    #[error("`{key}` has more than {max} files")]
    TooMany { key: &'static str, max: usize },
    /// Bytes in all.
    #[error("`{key}` has more than {max} bytes in files")]
    TooManyBytes { key: &'static str, max: u64 },
    /// A document is called as the pointer of its neighbour, which ends with `suffix`.
    #[error("`{key}`: the path {path} is taken twice")]
    TakenTwice { key: &'static str, path: String, suffix: &'static str },
    /// A pointer to a large file has no JSON form.
    #[error("an artifact cannot be written: {0}")]
    Unwritten(serde_json::Error),
}

/// Why there is no prompt version to take.
#[derive(Debug, Error)]
pub(crate) enum PromptError {
    /// The folder of all versions.
    #[error("`{key}`: the folder {} does not exist", folder.display())]
    NoFolder { key: &'static str, folder: PathBuf },
    /// The folder of one version.
    #[error("the prompt version {} does not exist", folder.display())]
    NoVersion { folder: PathBuf, known: Versions },
    /// What names a version cannot be a folder's name; `given` is cut and escaped.
    #[error("{by} names `{given}`, allowed is a folder's name: 1 to {max} of `A-Za-z0-9._-`")]
    BadName { by: String, given: String, max: usize, known: Versions },
    /// What should name the current version does not.
    #[error("{path} {problem}")]
    NoCurrent { path: String, problem: CurrentProblem, known: Versions },
    /// One of a version's three files.
    #[error("{}: the file does not exist", file.display())]
    NoFile { file: PathBuf },
    /// A system prompt without text.
    #[error("{}: the file is empty", file.display())]
    EmptySystem { file: PathBuf },
    /// A user template without text or substitution.
    #[error("{}: the file is empty", file.display())]
    EmptyUser { file: PathBuf },
    /// A setting of a version's `config.yaml`.
    #[error("{}: `{key}` is {given}, allowed is {allowed}", file.display())]
    Setting { file: PathBuf, key: String, given: String, allowed: &'static str },
    /// A lint that is switched off without a reason, or that there is not.
    #[error("{}: `{key}` is {given}; write the reason, for one of {known}", file.display())]
    LintOff { file: PathBuf, key: String, given: String, known: String },
}

/// The versions there are, those most like the one that was asked for first.
#[derive(Debug)]
pub(crate) struct Versions {
    /// The folder they are in.
    pub(crate) folder: PathBuf,
    /// Their names; not all where there are many.
    pub(crate) names: Vec<String>,
}

/// What is wrong with `prompts/current`.
#[derive(Debug, Error)]
pub(crate) enum CurrentProblem {
    #[error("does not exist")]
    Missing,
    #[error("does not point to a folder beside it")]
    Elsewhere,
    #[error("is a folder, but must be a link or a file that names a version")]
    Folder,
}

/// Why a template is refused, and where.
#[derive(Debug, Error)]
#[error("{file}{}: {problem}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub(crate) struct TemplateError {
    pub(super) file: String,
    /// Counted from 1; none for the file as a whole.
    pub(super) line: Option<usize>,
    /// Counted from 1, in characters; none for the file as a whole.
    pub(super) column: Option<usize>,
    /// What is wrong there.
    pub(crate) problem: TemplateProblem,
}

/// What is wrong with a template; `allowed` lists the variables that it may use.
#[derive(Debug, Error)]
pub(crate) enum TemplateProblem {
    #[error("the template is {bytes} bytes, allowed are {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("the template is not UTF-8")]
    NotUtf8,
    /// The engine refuses what our grammar lets through.
    #[error("the template cannot be read: {}", .0.kind())]
    Engine(minijinja::Error),
    /// It does more than substitute.
    #[error("{what}; templates only substitute {allowed}")]
    Computes { what: String, allowed: &'static str },
    /// A variable that no request has; `nearest` is one that it may have.
    #[error("unknown variable `{name}`; allowed are {allowed}")]
    Unknown { name: String, allowed: &'static str, nearest: String },
    /// A user's text would get the system's authority.
    #[error("the system prompt must not use `{name}`")]
    OfUser { name: String },
}

/// Why there is no model to ask.
#[derive(Debug, Error)]
pub(crate) enum ModelError {
    #[error("no model is named")]
    NotNamed,
    /// The name is cut and escaped.
    #[error("the model's name `{name}` is not valid: 1 to {max} characters without spaces")]
    BadName { name: String, max: usize },
    /// Servers of this kind make none.
    #[error("upstream `{}` makes no embeddings: its kind has chat only", upstream.escape_debug())]
    NoEmbeddings { upstream: String },
    #[error("`upstreams` is empty")]
    NoUpstream,
    #[error("upstream `{}` is not defined; there are {}", name.escape_debug(), quoted(known))]
    UnknownUpstream { name: String, known: Vec<String> },
    #[error("there are several upstreams: {}", quoted(known))]
    SeveralUpstreams { known: Vec<String> },
    /// What may hold a credential is not repeated.
    #[error(
        "`upstreams.{upstream}.base_url` may hold neither a user and password nor a `?` or `#`"
    )]
    UrlWithCredential { upstream: String },
    /// The name is cut and escaped.
    #[error(
        "`{key}` is `{name}`, allowed is the name of a free member of the request: 1 to {max} of \
         `A-Za-z0-9_`"
    )]
    BadMember { key: &'static str, name: String, max: usize },
    #[error("`artifacts.model.parameters.{name}`: this member is set by the gateway or the client")]
    NotAParameter { name: String },
    #[error("`artifacts.model.parameters.{name}`: addresses and credentials are not parameters")]
    RefusedParameter { name: String },
    #[error("`upstreams.{upstream}.path`: {} cannot be read: {source}", path.display())]
    Recording { upstream: String, path: PathBuf, source: io::Error },
    /// It would be asked twice.
    #[error("artifacts.model.fallback: `{name}` is the model itself")]
    FallbackToItself { name: String },
    /// What is said of the model is no text.
    #[error("`artifacts.model.{key}` is not valid: 1 to {max} characters on one line")]
    About { key: &'static str, max: usize },
    /// The weights that are named are not registered, or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Another recording is another model.
    #[error("upstream `{upstream}`: the recording is not the one this version set was packed with")]
    RecordingChanged { upstream: String },
}

/// What is wrong with a tool manifest.
#[derive(Debug, Error)]
pub(crate) enum ToolsProblem {
    #[error("{count} tools, allowed are {max}")]
    TooMany { count: usize, max: usize },
    #[error("the name `{name}` is used twice")]
    TwiceNamed { name: String },
    /// The name is cut and escaped.
    #[error("the name `{name}` is not valid: 1 to {max} of `A-Za-z0-9_-`")]
    BadName { name: String, max: usize },
    #[error("a JSON Schema is an object")]
    NoSchema,
}

/// `` `a`, `b` ``.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
