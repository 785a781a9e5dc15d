//! Commands: what a person types, one file each.

mod ab;
mod approve;
mod backend;
mod cases;
mod check;
mod ci;
mod cost;
mod data;
mod degrade;
mod errors;
mod eval;
mod evidence;
mod gate;
mod index;
pub(crate) mod init;
mod key;
mod model;
mod outlook;
mod prompt;
mod records;
mod release;
mod runs;
mod sentinel;
mod serve;
mod set;
mod shadow;
mod smoke;
mod trace;
mod traces;
mod version;

use crate::config::{WORKSPACE_FILE, Workspace};
use crate::demo;
use crate::error::{CliError, ErrorKind, Result};
use crate::lang::{self, Lang};
use crate::log::{self, About};
use crate::output;
use crate::store::Store;
use backend::{Backend, read_state};
use clap::{Parser, Subcommand};
use set::{CandidateArgs, SetArgs, kept_set};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Release control for LLM services: from a tested version set to full traffic, or back, on
/// evidence.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The project file; left out, the nearest `tidegate.yaml` here or in a folder above.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TIDEGATE_CONFIG",
        help_heading = EVERYWHERE
    )]
    config: Option<PathBuf>,
    /// The project of this service, from the nearest `services.yaml` here or in a folder above.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "config",
        help_heading = EVERYWHERE
    )]
    service: Option<String>,
    /// Print results as JSON.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Language of results: en, zh or ja; left out, the locale's, else en. Help and errors are
    /// in English.
    #[arg(long, global = true, value_parser = lang::parse, help_heading = EVERYWHERE)]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

/// The heading of the options that every command takes, below the command's own.
const EVERYWHERE: &str = "Options of every command";

const EXAMPLES: &str = "\
First steps:
  tidegate demo                   see a bad release caught, in a minute
  tidegate init my-service        create a project that works at once
  tidegate serve                  answer OpenAI clients on 127.0.0.1:8787
  tidegate eval --prompt v2       ask the fixed cases, see what failed
  tidegate release start --prompt v2 --watch
  tidegate rollback --reason 'complaints from zh users'

Exit codes:
  0  pass
  1  a gate failed, or a release was rolled back or refused
  2  usage or configuration
  3  inconclusive, for example because the model server did not answer
  4  internal or infrastructure";

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a project that works at once.
    Init(init::InitArgs),
    /// Check the project: files, templates, cases, contract.
    Check(check::CheckArgs),
    /// Watch the whole loop, with a simulated model and simulated users.
    Demo(demo::DemoArgs),
    /// Answer OpenAI clients.
    Serve(serve::ServeArgs),
    /// Ask the fixed cases and show what failed.
    Eval(eval::EvalArgs),
    /// Check whether the project may be released: contract, cases, eval.
    Gate(gate::GateArgs),
    /// List, show and compare the evals that are kept.
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// Compare two version sets: by their runs of the same cases, or on live traffic.
    Ab(ab::AbArgs),
    /// Approve a version set before it is released.
    Approve(approve::ApproveArgs),
    /// Ask a service that runs: its health, and one chat completion.
    Smoke(smoke::SmokeArgs),
    /// Write a workflow for GitHub or GitLab, or run its stages here.
    #[command(subcommand)]
    Ci(ci::CiCommand),
    /// Start, watch and steer a release.
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// Roll back the running release now, or a promoted one by its name.
    Rollback(release::RollbackArgs),
    /// Compare a candidate with stable on the same requests; no user gets its answers.
    Shadow(shadow::ShadowArgs),
    /// Switch parts of the service off to relieve it, or on again.
    Degrade(degrade::DegradeArgs),
    /// Ask whether the model behind stable has changed without a release, or accept that.
    #[command(subcommand)]
    Sentinel(sentinel::SentinelCommand),
    /// List incidents, or close one.
    #[command(subcommand)]
    Incident(release::IncidentCommand),
    /// Make, list, replace and revoke keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Show what requests cost.
    Cost(cost::CostArgs),
    /// Delete records of a tenant or a user.
    #[command(subcommand)]
    Records(records::RecordsCommand),
    /// Show one request: input, output, versions, time.
    Trace(trace::TraceArgs),
    /// List requests, the newest first: those that failed, of an arm, of a tenant or a user.
    Traces(traces::TracesArgs),
    /// Write a release's evidence pack again and say where it is.
    Evidence(evidence::EvidenceArgs),
    /// Check an evidence pack, offline.
    Verify(evidence::VerifyArgs),
    /// List, show, compare and pack version sets.
    #[command(subcommand)]
    Version(version::VersionCommand),
    /// List, show, compare, check, test and promote the versions of the prompt.
    #[command(subcommand)]
    Prompt(prompt::PromptCommand),
    /// Build, list and search the indexes that requests are searched in.
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// Bring cases in from other programs and out to them, and check files of cases.
    #[command(subcommand)]
    Cases(cases::CasesCommand),
    /// Register the weights of models by commit and digest, and list them.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Check data that models are trained on.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Show what the project file may say.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether it is about a project, which `--service` can name.
    fn is_of_a_project(&self) -> bool {
        match self {
            Command::Check(_)
            | Command::Serve(_)
            | Command::Eval(_)
            | Command::Gate(_)
            | Command::Ab(_)
            | Command::Approve(_)
            | Command::Smoke(_)
            | Command::Ci(_)
            | Command::Release(_)
            | Command::Rollback(_)
            | Command::Shadow(_)
            | Command::Degrade(_)
            | Command::Runs(_)
            | Command::Sentinel(_)
            | Command::Incident(_)
            | Command::Key(_)
            | Command::Cost(_)
            | Command::Records(_)
            | Command::Trace(_)
            | Command::Traces(_)
            | Command::Evidence(_)
            | Command::Version(_)
            | Command::Prompt(_)
            | Command::Index(_)
            | Command::Cases(_)
            | Command::Model(_)
            | Command::Data(_) => true,
            Command::Init(_)
            | Command::Demo(_)
            | Command::Verify(_)
            | Command::Config(_)
            | Command::Completions { .. } => false,
        }
    }

    /// Starts the log: as asked where something is served, else as text. A demo shows its story by
    /// itself, unless a log is asked for.
    fn start_log(&self) {
        let (format, quiet) = match self {
            Command::Serve(args) => (args.log_format, false),
            Command::Demo(args) => (args.log_format.unwrap_or_default(), args.log_format.is_none()),
            _ => (log::Format::Text, false),
        };
        log::start(format, quiet);
    }
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of tidegate.yaml.
    Schema,
}

/// Longest wait at the end for a log that is not read.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// Runs what was typed and gives the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0; the rest is usage.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { ErrorKind::Usage as u8 } else { 0 });
        }
    };
    lang::set_reader(cli.lang);
    cli.command.start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::stderr(format!("error: the async runtime cannot be started: {error}"));
            return ExitCode::from(ErrorKind::Internal as u8);
        }
    };
    let json = cli.json;
    let code = match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, json);
            ExitCode::from(error.kind as u8)
        }
    };
    output::flush_log(LOG_FLUSH);
    code
}

/// Says why and ends the process at once: what would end in order waits for a disk that does not
/// answer.
fn end_without_the_disk(error: &CliError, json: bool) -> ! {
    report(error, json);
    output::flush_log(LOG_FLUSH);
    std::process::exit(i32::from(error.kind as u8))
}

/// Prints an error: a sentence and its hints; with `--json` as JSON to stdout as well, unless a
/// result that says the same is there.
fn report(error: &CliError, json: bool) {
    if error.message.is_empty() {
        return;
    }
    if output::is_json_log() {
        let CliError { message, hints, .. } = error;
        About::service(output::service()).log(&log::Event::ProcessFailed { message, hints });
    } else {
        output::stderr(format!("error: {}", error.message));
        for hint in &error.hints {
            output::stderr(format!("hint: {hint}"));
        }
    }
    if json && !error.shown {
        output::json(&serde_json::json!({
            "error": {
                "message": error.message,
                "hints": error.hints,
                "exit_code": error.kind as u8,
            }
        }));
    }
}

async fn run(cli: Cli) -> Result<()> {
    let Cli { config, service, json, lang: _, command } = cli;
    let config = match service {
        Some(name) => project_of(&name)?,
        None => project_file(config),
    };
    let may_name_a_service = command.is_of_a_project() && !config.exists();
    obey(&config, command, json).await.map_err(|error| {
        let services = if may_name_a_service { services_here() } else { None };
        services.into_iter().fold(error, CliError::hint)
    })
}

async fn obey(config: &Path, command: Command, json: bool) -> Result<()> {
    match command {
        Command::Init(args) => init::run(&args, json),
        Command::Check(args) => check::run(config, &args, json).await,
        Command::Demo(args) => demo::run(args, json).await,
        Command::Serve(args) => serve::run(config, args, json).await,
        Command::Eval(args) => eval::run(config, &args, json).await,
        Command::Gate(args) => gate::run(config, &args, json).await,
        Command::Ab(args) => ab::run(config, args, json).await,
        Command::Approve(args) => approve::run(config, args, json).await,
        Command::Ci(command) => ci::run(config, command, json).await,
        Command::Smoke(args) => smoke::run(config, &args).await,
        Command::Release(command) => release::run(config, command, json).await,
        Command::Rollback(args) => release::rollback(config, &args, json).await,
        Command::Shadow(args) => shadow::run(config, args, json).await,
        Command::Degrade(args) => degrade::run(config, &args, json).await,
        Command::Runs(command) => runs::run(config, command, json).await,
        Command::Sentinel(command) => sentinel::run(config, command, json).await,
        Command::Incident(command) => release::incident(config, command, json).await,
        Command::Key(command) => key::run(config, command, json).await,
        Command::Cost(args) => cost::run(config, &args, json).await,
        Command::Records(command) => records::run(config, command, json).await,
        Command::Trace(args) => trace::run(config, &args, json),
        Command::Traces(args) => traces::run(config, args, json),
        Command::Evidence(args) => evidence::run(config, &args, json).await,
        Command::Verify(args) => evidence::verify(&args, json),
        Command::Version(command) => version(config, command, json).await,
        Command::Prompt(command) => prompt::run(config, command, json).await,
        Command::Index(command) => index::run(config, command, json).await,
        Command::Cases(command) => cases::run(config, command, json),
        Command::Model(command) => model::run(&crate::config::load(config)?, command, json),
        Command::Data(command) => data::run(config, command, json),
        Command::Config(ConfigCommand::Schema) => {
            output::json(&crate::config::schema());
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "tidegate", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
    }
}

/// The project file that a command is about. One that was deleted is taken to be where its state
/// is.
fn project_file(given: Option<PathBuf>) -> PathBuf {
    let name = Path::new("tidegate.yaml");
    let here = || given.or_else(|| name.exists().then(|| name.to_owned()));
    let above = || {
        let here = std::env::current_dir().ok()?;
        let has_file = |folder: &&Path| folder.join(name).exists();
        let has_state = |folder: &&Path| Store::exists(folder);
        let project = here.ancestors().find(has_file).or_else(|| here.ancestors().find(has_state));
        project.map(|folder| folder.join(name))
    };
    here().or_else(above).unwrap_or_else(|| name.to_owned())
}

/// The project file of a service that the nearest workspace file lists.
fn project_of(service: &str) -> Result<PathBuf> {
    let here = std::env::current_dir()
        .map_err(|error| CliError::internal(format!("the folder cannot be read: {error}")))?;
    let Some(file) = Workspace::nearest(&here) else {
        let message = format!("--service {service}: no {WORKSPACE_FILE} here or in a folder above");
        return Err(CliError::usage(message)
            .hint("it lists project folders: `services: [./desk, ./shop]`")
            .hint("or name the project file: `--config desk/tidegate.yaml`"));
    };
    let mut names = Vec::new();
    for project in Workspace::read(&file)?.projects {
        match crate::config::load(&project) {
            Ok(loaded) if loaded.project.service == service => return Ok(project),
            Ok(loaded) => names.push(loaded.project.service),
            // Another service's broken file does not stop this one.
            Err(_) => names.push(format!("{} (cannot be read)", project.display())),
        }
    }
    Err(CliError::usage(format!("--service {service}: not listed in {}", file.display()))
        .hint(format!("services: {}", names.join(", "))))
}

/// How to name a service, where there is no project but a workspace file.
fn services_here() -> Option<String> {
    let file = Workspace::nearest(&std::env::current_dir().ok()?)?;
    let projects = Workspace::read(&file).ok()?.projects;
    let services = projects.iter().filter_map(|project| crate::config::load(project).ok());
    let names: Vec<String> = services.map(|loaded| loaded.project.service).collect();
    let file = file.display();
    Some(format!("or name a service of {file} with `--service NAME`: {}", names.join(", ")))
}

async fn version(config: &Path, command: version::VersionCommand, json: bool) -> Result<()> {
    if let version::VersionCommand::Pack(args) = command {
        let command = crate::control::Command::Pack(args.overrides());
        let answer = Backend::connect(config).await?.command(command).await?;
        if json {
            output::json(&answer)
        } else {
            output::line(answer.sentence(lang::reader()))
        }
        return Ok(());
    }
    let loaded = crate::config::load(config)?;
    let (store, _) = read_state(&loaded.root)?;
    version::run(&loaded, &store, command, json)
}

/// A number on the command line.
fn number(text: &str) -> std::result::Result<f64, String> {
    text.parse().map_err(|_| "it takes a number without a unit, such as 0.5".to_owned())
}

/// Who gives an order: as said, or the user of this machine. At 3 a.m. in a bare container there
/// may be no name at all; the order still goes through, under the process's user id.
fn operator(by: Option<&str>) -> Result<String> {
    let environment = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|n| std::env::var(n).ok());
    let name = by.map(str::to_owned).or_else(environment).or_else(user_id).unwrap_or_default();
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
        return Err(CliError::usage("an order needs a name: who gives it")
            .hint("`--by NAME`, 1 to 80 characters; without it the environment's USER is taken"));
    }
    Ok(name)
}

#[cfg(unix)]
fn user_id() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()))
}

#[cfg(not(unix))]
fn user_id() -> Option<String> {
    None
}
