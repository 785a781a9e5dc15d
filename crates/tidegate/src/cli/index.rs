//! `tidegate index`: builds the snapshots that requests are searched in, and shows them.

use crate::config::{EmbeddingService, Loaded, load};
use crate::error::{CliError, Result};
use crate::index::{self, Build, Built, Folder};
use crate::output::{self, Tone, paint};
use crate::store::{Embedded, SnapshotAbout};
use crate::upstream::Embedder;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_core::retrieval::terms;

/// How long a search on the command line may take.
const SEARCH_TIME: Duration = Duration::from_secs(60);
/// How much of a chunk is shown where it is not printed as JSON, characters.
const SHOWN_CHARS: usize = 200;

/// What `tidegate index` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Build the snapshot of a version from a folder of texts
    Build(BuildArgs),
    /// List the versions that are built
    List,
    /// Show the documents of a version
    Show {
        /// The version
        version: String,
    },
    /// Show which chunks of a version a question finds
    Search {
        /// The version
        version: String,
        /// The question
        question: String,
        /// Most chunks that are shown
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=50))]
        top_k: u64,
    },
}

/// What `index build` takes.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The folder, with texts in UTF-8 such as Markdown; left out, `artifacts.index.path`
    folder: Option<PathBuf>,
    /// The version, such as v2025.12.24.01; left out, `artifacts.index.version`
    #[arg(long)]
    version: Option<String>,
    /// Name files that are no text, and build the index without them
    #[arg(long)]
    skip_unreadable: bool,
}

/// Runs the command.
pub(crate) async fn run(config: &Path, command: IndexCommand, json: bool) -> Result<()> {
    let loaded = load(config)?;
    match command {
        IndexCommand::Build(args) => build(&loaded, &args, json).await,
        IndexCommand::List => list(&loaded.root, json),
        IndexCommand::Show { version } => show(&loaded.root, &version, json),
        IndexCommand::Search { version, question, top_k } => {
            search(&loaded, &version, (&question, top_k as usize), json).await
        }
    }
}

async fn build(loaded: &Loaded, args: &BuildArgs, json: bool) -> Result<()> {
    let artifact = &loaded.project.artifacts.index;
    let Some(given) = args.folder.as_ref().or(artifact.path.as_ref()) else {
        return Err(CliError::usage("no folder is named to build the index from").hint(
            "name it: `tidegate index build knowledge --version v1`, or `artifacts.index.path`",
        ));
    };
    // What is typed begins where it is typed; what the project says, at the project.
    let here = args.folder.as_ref().and_then(|folder| folder.canonicalize().ok());
    let below = here.as_ref().and_then(|here| {
        Some(here.strip_prefix(loaded.root.canonicalize().ok()?).ok()?.to_owned())
    });
    let given = below.as_ref().or(here.as_ref()).unwrap_or(given);
    let folder = Folder::of(&loaded.root, given)?;
    let bar = output::progress(folder.count() as u64, "indexing {wide_bar} {pos}/{len}");
    let build = Build {
        root: &loaded.root,
        version: args.version.as_deref().unwrap_or(&artifact.version),
        chunk_chars: index::chunk_chars(&artifact.retrieval)?,
        skip_unreadable: args.skip_unreadable,
        embeddings: embeddings(loaded),
    };
    let built = build.run(folder, || bar.inc(1)).await;
    bar.finish_and_clear();
    let Built { about, is_new, path, skipped } = built?;
    if json {
        let mut value = about_json(&about);
        value["written"] = is_new.into();
        value["path"] = path.display().to_string().into();
        value["skipped"] = json!(skipped);
        output::json(&value);
        return Ok(());
    }
    for skipped in &skipped {
        output::stderr(format!("warning: {} is left out: {}", skipped.path, skipped.why));
    }
    let version = paint(Tone::Bold, &about.version);
    let written = if is_new { "built" } else { "was built before, from the same content" };
    output::line(format!("index {version} {written}: {}", numbers(&about)));
    output::line(path.display().to_string());
    Ok(())
}

/// What makes the project's embeddings.
fn embeddings(loaded: &Loaded) -> Option<&EmbeddingService> {
    loaded.project.artifacts.index.search.as_ref()?.embeddings.as_ref()
}

fn list(root: &Path, json: bool) -> Result<()> {
    let found = index::list(root)?;
    if json {
        let rows = found.iter().map(|(version, snapshot)| match snapshot {
            Ok(snapshot) => about_json(snapshot.about()),
            Err(error) => json!({"version": version, "error": error.to_string()}),
        });
        output::json(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    if found.is_empty() {
        output::stderr("no index is built in this project");
        output::stderr("hint: build one: `tidegate index build knowledge --version v1`");
    }
    for (version, snapshot) in &found {
        match snapshot {
            Ok(snapshot) => output::line(format!("{version}  {}", numbers(snapshot.about()))),
            Err(error) => {
                output::line(format!("{version}  {}", paint(Tone::Red, &error.to_string())))
            }
        }
    }
    Ok(())
}

fn show(root: &Path, version: &str, json: bool) -> Result<()> {
    let snapshot = index::of(root, version)?;
    let documents = snapshot.documents()?;
    if json {
        let mut value = about_json(snapshot.about());
        let documents = documents.iter().map(|document| {
            json!({"path": document.path, "digest": document.digest, "chunks": document.chunks})
        });
        value["documents"] = documents.collect();
        output::json(&value);
        return Ok(());
    }
    output::line(format!("{}  {}", paint(Tone::Bold, version), numbers(snapshot.about())));
    for document in &documents {
        let digest = paint(Tone::Dim, document.digest.short(12));
        let path = output::one_line(&document.path);
        output::line(format!("  {path}  {} chunks  {digest}", document.chunks));
    }
    Ok(())
}

async fn search(
    loaded: &Loaded,
    version: &str,
    (question, top_k): (&str, usize),
    json: bool,
) -> Result<()> {
    let snapshot = index::of(&loaded.root, version)?;
    let vector = vector(loaded, snapshot.about(), question).await;
    let found = snapshot.search_near(&terms(question), vector.as_deref(), top_k, SEARCH_TIME)?;
    if json {
        let rows = found.iter().map(|found| {
            json!({"id": found.id, "document": found.document, "score": found.score,
                   "text": found.text})
        });
        output::json(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    if found.is_empty() {
        output::stderr(format!("index {version} has no chunk with a word of this question"));
    }
    for found in &found {
        let score = paint(Tone::Dim, &format!("{:.2}", found.score));
        output::line(format!(
            "{}  {score}",
            paint(Tone::Bold, &output::one_line(found.id.as_str()))
        ));
        let shown: String = found.text.chars().take(SHOWN_CHARS).collect();
        let more = if shown.len() < found.text.len() { "…" } else { "" };
        output::line(format!("  {}{more}", output::one_line(&shown)));
    }
    Ok(())
}

/// The vector of a question, where the index and the project have embeddings of the same model.
/// Without it the index is searched by words, and stderr says why.
async fn vector(loaded: &Loaded, about: &SnapshotAbout, question: &str) -> Option<Vec<f32>> {
    let built = about.embedded.as_ref()?;
    let service = embeddings(loaded).filter(|service| service.model == built.model);
    let why = match service.map(Embedder::new) {
        None => format!("`artifacts.index.search.embeddings` does not name `{}`", built.model),
        Some(Err(error)) => error.to_string(),
        Some(Ok(embedder)) => match embedder.embed(&[question], SEARCH_TIME).await {
            Ok(mut vectors) => return vectors.pop(),
            Err(error) => error.message,
        },
    };
    output::stderr(format!("warning: searched by words alone: {why}"));
    None
}

fn numbers(about: &SnapshotAbout) -> String {
    let SnapshotAbout { version: _, digest, chunk_chars, documents, chunks, embedded } = about;
    let embedded = embedded.as_ref().map_or(String::new(), |Embedded { model, dimensions }| {
        format!(", embeddings of {dimensions} numbers by {model}")
    });
    format!(
        "{documents} documents, {chunks} chunks of up to {chunk_chars} characters{embedded}  {}",
        paint(Tone::Dim, digest.short(12))
    )
}

fn about_json(about: &SnapshotAbout) -> Value {
    let SnapshotAbout { version, digest, chunk_chars, documents, chunks, embedded } = about;
    let mut value = json!({"version": version, "digest": digest, "chunk_chars": chunk_chars,
        "document_count": documents, "chunk_count": chunks});
    if let Some(Embedded { model, dimensions }) = embedded {
        value["embeddings"] = json!({"model": model, "dimensions": dimensions});
    }
    value
}
