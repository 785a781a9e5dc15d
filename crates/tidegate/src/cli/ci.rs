//! `tidegate ci`: the pipeline's stages here, and the workflow that runs them elsewhere.

use crate::ci::{CI_FILE, CiFile, Event, Host, Report, Status, Wanted, plan, template};
use crate::control::folder_of;
use crate::error::{CliError, Result};
use crate::gate::replace_file;
use crate::output;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What `tidegate ci` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum CiCommand {
    /// Write `ci.yaml` where there is none, and the workflow that runs its stages
    Init(InitArgs),
    /// Run the stages of `ci.yaml` here, and keep the evidence
    Run(RunArgs),
}

/// What `ci init` takes.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The service that runs pipelines
    host: Host,
    /// The repository's root, where it is not the project's folder
    #[arg(long, value_name = "FOLDER")]
    repository: Option<PathBuf>,
    /// Begin with data validation and training; for a new `ci.yaml` only
    #[arg(long)]
    training: bool,
    /// Replace the workflow; `ci.yaml` stays as it is
    #[arg(long)]
    force: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write nothing, and fail where the workflow is not what `ci.yaml` makes
    #[arg(long, conflicts_with_all = ["force", "dry_run"])]
    check: bool,
}

/// What `ci run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// These stages alone, whatever they are for
    #[arg(long, value_name = "STAGE", value_delimiter = ',', conflicts_with = "from")]
    only: Vec<String>,
    /// This stage and those after it
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// What the pipeline runs for; left out, what the pipeline's service says, else a pull request
    #[arg(long, value_enum)]
    event: Option<Event>,
    /// Say what would run, and run nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) async fn run(config: &Path, command: CiCommand, json: bool) -> Result<()> {
    let root = folder_of(config);
    match command {
        CiCommand::Init(args) => init(&root, &args),
        CiCommand::Run(args) => run_stages(&root, args, json).await,
    }
}

fn init(root: &Path, args: &InitArgs) -> Result<()> {
    let ci_path = root.join(CI_FILE);
    let fresh = (!ci_path.exists()).then(|| template(args.training));
    if args.training && fresh.is_none() {
        return Err(CliError::usage(format!("{} is there already", ci_path.display()))
            .hint("`--training` is for a new one: add its stages to the file"));
    }
    let file = match &fresh {
        Some(text) => CiFile::parse(text, &ci_path)?,
        None => CiFile::read(root)?,
    };
    let workflow = args.host.workflow(&file);
    let path = args.repository.as_deref().unwrap_or(root).join(args.host.path());
    if args.check {
        return check(&path, &workflow);
    }
    if args.dry_run {
        if let Some(text) = &fresh {
            output::raw(&format!("# {}\n{text}\n", ci_path.display()));
        }
        output::raw(&format!("# {}\n{workflow}", path.display()));
        return Ok(());
    }
    if path.exists() && !args.force {
        return Err(CliError::usage(format!("{} is there already", path.display()))
            .hint("replace it: `--force`; see what it would be: `--dry-run`"));
    }
    if let Some(text) = &fresh {
        write(&ci_path, text)?;
    }
    write(&path, &workflow)?;
    output::stderr("the stages are in ci.yaml: change them there, then write the workflow again");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    replace_file(path, text.as_bytes()).map_err(|error| {
        CliError::internal(format!("{} cannot be written: {error}", path.display()))
    })?;
    output::line(path.display().to_string());
    Ok(())
}

fn check(path: &Path, workflow: &str) -> Result<()> {
    match std::fs::read_to_string(path) {
        Ok(text) if text == *workflow => Ok(()),
        Ok(_) => Err(CliError::failed(format!("{} is not what ci.yaml makes", path.display()))
            .hint("write it again: `tidegate ci init … --force`")),
        Err(error) => Err(CliError::usage(format!("{}: {error}", path.display()))),
    }
}

async fn run_stages(root: &Path, args: RunArgs, json: bool) -> Result<()> {
    let file = CiFile::read(root)?;
    let event = args.event.unwrap_or_else(|| event_here(file.main()));
    let wanted = Wanted { only: args.only, from: args.from };
    let stages = plan(&file, event, &wanted)?;
    if args.dry_run {
        for (stage, why_not) in &stages {
            let why = why_not.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            let word = if why_not.is_some() { "skip" } else { "run " };
            output::line(format!("{word}  {}{why}", stage.name));
        }
        return Ok(());
    }
    let report = crate::ci::run(root, stages, event).await?;
    summarise(&report);
    match json {
        true => output::json(&report),
        false => {
            report.table().iter().for_each(output::line);
            output::line(format!("evidence: {}", report.pack));
        }
    }
    verdict(&report)
}

/// What the service for pipelines says that it runs for.
fn event_here(main: &str) -> Event {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|given| given == value);
    let pushed = is("GITHUB_EVENT_NAME", "push") && is("GITHUB_REF", &format!("refs/heads/{main}"))
        || is("CI_COMMIT_BRANCH", main) && !is("CI_PIPELINE_SOURCE", "merge_request_event");
    if pushed { Event::Main } else { Event::PullRequest }
}

/// The table on the page of the job, where GitHub wants one.
fn summarise(report: &Report) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(report.markdown().as_bytes()));
    if let Err(error) = written {
        output::stderr(format!("warning: the job's summary cannot be written: {error}"));
    }
}

fn verdict(report: &Report) -> Result<()> {
    let why = report.sentence();
    let error = match report.status {
        Status::Passed | Status::Skipped => return Ok(()),
        Status::Failed => CliError::failed(format!("the pipeline fails: {why}")),
        Status::Inconclusive => CliError::inconclusive(format!("the pipeline is open: {why}")),
        Status::Broken => CliError::internal(format!("the pipeline broke off: {why}")),
    };
    let bad = report.stages.iter().find(|stage| stage.status > Status::Passed);
    let from = bad.map_or("", |stage| stage.name.as_str());
    Err(error.hint(format!("go on there: `tidegate ci run --from {from}`")).shown())
}
