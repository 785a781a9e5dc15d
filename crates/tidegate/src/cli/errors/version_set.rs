//! What to do about a version set that is none.

use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::models::RegistryError;
use crate::near;
use crate::store::StoreErrorKind;
use crate::version_set::{
    FilesError, ModelError, PromptError, SearchProblem, SetError, TemplateError, TemplateProblem,
    Versions,
};

impl Explain for SetError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            SetError::Config(error) => error.explain(),
            SetError::Upstream(error) => error.explain(),
            SetError::Files(error) => of_files(error),
            SetError::Prompt(error) => (Usage, of_prompt(error)),
            SetError::Template(error) => (Usage, of_template(error)),
            SetError::Model(error) => of_model(error),
            SetError::Search(problem) => of_search(problem),
            SetError::Tools { .. }
            | SetError::NotUtf8 { .. }
            | SetError::Name { .. }
            | SetError::NoPrompt { .. } => none(Usage),
            SetError::Schema { .. } => one(
                Usage,
                "keep everything in one schema; `$ref` may only point into it (`#/$defs/…`)",
            ),
            SetError::EmptyPlanted { .. } => {
                one(Usage, "write the text that must never appear in an answer")
            }
            SetError::Unwritten(_) | SetError::Incomplete(_) | SetError::Missing { .. } => {
                none(Internal)
            }
            SetError::Damaged(_) => {
                one(Internal, "the store is damaged: restore it, or pack the set again")
            }
            SetError::Unreadable { .. } => {
                one(Internal, "it may come from a newer tidegate; pack the set again with this one")
            }
        }
    }
}

fn of_search(problem: &SearchProblem) -> Meaning {
    use ErrorKind::{Internal, Usage};
    match problem {
        SearchProblem::Version { .. } => one(
            Usage,
            "build an index and name it: `tidegate index build knowledge --version \
             v2025.12.24.01`, `artifacts.index.version: v2025.12.24.01`",
        ),
        SearchProblem::Twice | SearchProblem::Embeds => one(Usage, "leave out one of them"),
        SearchProblem::Setting { .. } => none(Usage),
        SearchProblem::Snapshot(error) if error.kind == StoreErrorKind::NotFound => one(
            Usage,
            "build it: `tidegate index build knowledge --version VERSION`, or copy it into \
             `.tidegate/indexes`",
        ),
        SearchProblem::Snapshot(error) => error.explain(),
        SearchProblem::OtherChunks { .. } | SearchProblem::OtherModel { .. } => one(
            Usage,
            "build the index under a new version, and name that as `artifacts.index.version`",
        ),
        SearchProblem::Other { .. } => one(
            Internal,
            "put back the snapshot that the set was packed with: it may be built again from the \
             same documents, under the same version",
        ),
        SearchProblem::NoSlot => one(
            Usage,
            "write `{{ retrieved }}` into user_template.md; the prompt's mode is `render`",
        ),
        SearchProblem::NoSearch => one(Usage, "search requests: `artifacts.index.search: {}`"),
    }
}

pub(super) fn of_files(error: &FilesError) -> Meaning {
    use ErrorKind::{Internal, Usage};
    match error {
        FilesError::Missing { key, path: _ } => {
            one(Usage, format!("create it, or change `{key}` in tidegate.yaml"))
        }
        FilesError::LeadsOut { .. } => {
            one(Usage, "copy the file into the project instead of linking to it")
        }
        FilesError::TooDeep { .. } => {
            one(Usage, "look for a link that leads back to a folder above it")
        }
        FilesError::TooMany { .. } | FilesError::TooManyBytes { .. } => {
            one(Usage, "pack them into one archive; a large file is kept by its digest")
        }
        FilesError::TakenTwice { suffix, .. } => {
            one(Usage, format!("rename the file that ends with `{suffix}`"))
        }
        FilesError::Unreadable { .. }
        | FilesError::NotAFile { .. }
        | FilesError::TooLarge { .. }
        | FilesError::Name { .. } => none(Usage),
        FilesError::Unwritten(_) => none(Internal),
    }
}

fn of_prompt(error: &PromptError) -> Vec<String> {
    match error {
        PromptError::NoFolder { key: _, folder } => vec![
            format!(
                "make {}/v1/ with system.md, user_template.md and config.yaml, or run `tidegate \
                 init`",
                folder.display()
            ),
            "a service whose clients bring their own prompt sets `artifacts.prompt.mode: \
             pass_through`"
                .to_owned(),
        ],
        PromptError::NoVersion { known, .. } | PromptError::BadName { known, .. } => {
            vec![of_versions(known)]
        }
        PromptError::NoCurrent { path, problem: _, known } => vec![
            of_versions(known),
            format!("name one: `ln -sfn v1 {path}`, or write `v1` into the file {path}"),
        ],
        PromptError::NoFile { .. } => {
            vec!["a prompt version has system.md, user_template.md and config.yaml".to_owned()]
        }
        PromptError::EmptySystem { .. } => {
            vec!["write who the model is, what it does and what it must not do".to_owned()]
        }
        PromptError::EmptyUser { .. } => {
            vec!["write `{{ input }}` to pass the user's text on as it is".to_owned()]
        }
        PromptError::Setting { .. } | PromptError::LintOff { .. } => Vec::new(),
    }
}

fn of_versions(Versions { folder, names }: &Versions) -> String {
    let folder = folder.display();
    match names.as_slice() {
        [] => format!("make {folder}/v1/ with system.md, user_template.md and config.yaml"),
        names => format!("versions in {folder}: {}", names.join(", ")),
    }
}

fn of_template(error: &TemplateError) -> Vec<String> {
    let hint = |text: &str| vec![text.to_owned()];
    match &error.problem {
        TemplateProblem::TooLarge { .. } => {
            hint("keep long reference texts in the index (`artifacts.index.path`)")
        }
        TemplateProblem::NotUtf8 => hint("save the file as UTF-8"),
        TemplateProblem::Engine(_) => Vec::new(),
        TemplateProblem::Computes { .. } => vec![
            "loops, filters, calls and literals are not run; compute the value before the \
             request and send it as `metadata`"
                .to_owned(),
            "for two literal braces write `{ {`".to_owned(),
        ],
        TemplateProblem::Unknown { nearest, .. } => {
            vec![near::question(&format!("{{{{ {nearest} }}}}"))]
        }
        TemplateProblem::OfUser { .. } => {
            hint("move it to user_template.md: text from users gets no system authority")
        }
    }
}

impl Explain for RegistryError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Failed, Usage};
        match self {
            RegistryError::NoSha { .. } => one(Usage, "for example `--sha $(git rev-parse HEAD)`"),
            RegistryError::Unread { .. } => {
                one(Usage, "it is written by `tidegate model register`; restore it from Git")
            }
            RegistryError::Unreadable { .. }
            | RegistryError::Empty { .. }
            | RegistryError::TooMany { .. } => none(Usage),
            RegistryError::Taken { .. } => {
                one(Failed, "a commit names one model: register these files by their own commit")
            }
            RegistryError::NotRegistered { sha, known } if known.is_empty() => {
                one(Usage, format!("`tidegate model register --sha {sha} --from models/{sha}`"))
            }
            RegistryError::NotRegistered { sha, known } => {
                let near = near::hint(sha, known.iter().map(String::as_str));
                one(Usage, near.unwrap_or_else(|| format!("registered: {}", known.join(", "))))
            }
            RegistryError::Changed { .. } => one(
                Failed,
                "put the old files back, or register these by their own commit and name that one",
            ),
        }
    }
}

fn of_model(error: &ModelError) -> Meaning {
    let hint = match error {
        ModelError::NotNamed => {
            "set `artifacts.model.name`, or `model` in the prompt's config.yaml"
        }
        ModelError::NoEmbeddings { .. } => {
            "leave out `artifacts.model.embeddings`, or use an upstream of kind `openai` or `azure`"
        }
        ModelError::NoUpstream => "name one, for example `upstreams: {main: {kind: simulated}}`",
        ModelError::UnknownUpstream { name, known } => {
            let hint = near::hint(name, known.iter().map(String::as_str));
            return (ErrorKind::Usage, hint.into_iter().collect());
        }
        ModelError::SeveralUpstreams { .. } => {
            "name the one to use in `artifacts.model.upstream`, or with `--upstream`"
        }
        ModelError::UrlWithCredential { .. } => {
            "put the key into an environment variable and its name into `api_key_env`"
        }
        ModelError::BadMember { .. } => "for example `retrieval`",
        ModelError::RefusedParameter { .. } => {
            "they belong to `upstreams`, and a key into an environment variable"
        }
        ModelError::RecordingChanged { .. } => {
            "put the old file back, or pack a new version set: `tidegate version pack`"
        }
        ModelError::Registry(error) => return error.explain(),
        ModelError::BadName { .. }
        | ModelError::About { .. }
        | ModelError::NotAParameter { .. }
        | ModelError::FallbackToItself { .. }
        | ModelError::Recording { .. } => return none(ErrorKind::Usage),
    };
    one(ErrorKind::Usage, hint)
}
