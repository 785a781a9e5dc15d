//! `tidegate smoke`: does a service that runs answer its clients?

use crate::config::{Environment, load};
use crate::error::{CliError, Result};
use crate::gate::replace_file;
use crate::near;
use crate::output;
use crate::smoke::{Asked, BASE_URL, Target, WITHIN, ask_service};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a smoke test takes.
#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Where the service is, without `/v1`
    #[arg(long, alias = "endpoint", value_name = "URL", default_value = BASE_URL)]
    #[arg(conflicts_with = "env")]
    base_url: String,
    /// One of the project's `environments`, with its address and key
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Environment variable that holds a key for the service
    #[arg(long, value_name = "VARIABLE", conflicts_with = "env")]
    api_key_env: Option<String>,
    /// Longest wait for each of the two answers, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = WITHIN.as_secs())]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Where the report is saved
    #[arg(long, value_name = "FILE", default_value = "api_smoke_test.json")]
    report: PathBuf,
}

/// Runs `tidegate smoke`: prints the report, saves it, and fails with what is wrong. A test that
/// fails saves its report too, so that no earlier one is taken for its result.
pub(crate) async fn run(config: &Path, args: &SmokeArgs) -> Result<()> {
    let within = Duration::from_secs(args.timeout);
    let target = match &args.env {
        Some(name) => of_environment(config, name, within)?,
        None => Target::new(&args.base_url, args.api_key_env.as_deref(), within)?,
    };
    let Asked { report, problem } = ask_service(&target).await;
    let text = report.text();
    output::raw(&text);
    replace_file(&args.report, text.as_bytes()).map_err(|error| {
        let file = args.report.display();
        CliError::internal(format!("the report cannot be saved in {file}: {error}"))
            .hint("name another file: `--report FILE`")
            .shown()
    })?;
    problem.map_or(Ok(()), |problem| Err(failed(&problem).shown()))
}

fn failed(problem: &str) -> CliError {
    CliError::failed(format!("API smoke test failed: {problem}"))
}

/// The service in an environment of the project.
fn of_environment(config: &Path, name: &str, within: Duration) -> Result<Target> {
    let environments = load(config)?.project.environments;
    let Some(Environment { base_url, api_key_env }) = environments.get(name) else {
        let error = CliError::usage(format!("the project has no environment `{name}`"));
        let known = environments.keys().map(String::as_str);
        return Err(match near::hint(name, known) {
            Some(hint) => error.hint(hint),
            None => error.hint(format!(
                "in tidegate.yaml: `environments: {{{name}: {{base_url: {BASE_URL}}}}}`"
            )),
        });
    };
    Ok(Target::new(base_url, api_key_env.as_deref(), within)?)
}

/// Asks the service in an environment before a release, for the release's evidence.
pub(super) async fn before_release(
    config: &Path,
    name: &str,
) -> Result<tidegate_core::evidence::GateRun> {
    let target = of_environment(config, name, WITHIN)?;
    let asked = ask_service(&target).await;
    match &asked.problem {
        Some(problem) => Err(failed(problem).hint("nothing was started")),
        None => Ok(asked.gate_run(&target)),
    }
}
