//! `tidegate key`: who may call, and who may steer.

mod several;

use super::backend::{Backend, read_status};
use super::operator;
use crate::clock::{Clock, span};
use crate::config::PriorityName;
use crate::control::{Answer, Command, KeyRequest, NewKey};
use crate::error::Result;
use crate::lang;
use crate::output;
use crate::view;
use clap::{Args, Subcommand, ValueEnum};
use std::path::Path;
use tidegate_core::access::Role;
use tidegate_core::access::bounds::{CONCURRENT_MAX, PER_MIN_MAX, parse_budget};
use tidegate_core::money::Money;

/// Make, list, replace and revoke keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it, once.
    Create(CreateArgs),
    /// List the keys; what they are is not kept.
    List,
    /// Make a key's successor; the old one opens for a day more.
    Rotate(RotateArgs),
    /// Close a key at once.
    Revoke(RevokeArgs),
}

/// What a role is called on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Ask the model.
    Call,
    /// Read releases, incidents and records over the admin plane.
    Read,
    /// Read, and give orders.
    Operate,
    /// Operate, and make and revoke keys.
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Role {
        match role {
            RoleArg::Call => Role::Call,
            RoleArg::Read => Role::Read,
            RoleArg::Operate => Role::Operate,
            RoleArg::Admin => Role::Admin,
        }
    }
}

/// The services of a workspace that a key is for.
#[derive(Debug, Args)]
struct ServicesArg {
    /// The services of the workspace that it is for, separated by commas; left out, one.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "service")]
    services: Vec<String>,
}

/// What a new key takes.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose key it is, for logs and records.
    name: String,
    /// The tenant it belongs to.
    #[arg(long)]
    tenant: Option<String>,
    /// What it is for.
    #[arg(long, value_enum, default_value = "call")]
    role: RoleArg,
    /// The names of the service that it may ask for, separated by commas; left out, all of them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    services: ServicesArg,
    /// How long it opens, such as 90d, 12h or 30m; left out, until it is revoked.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<u64>,
    /// Where there are too few places, requests of a higher priority go first; left out, that of
    /// its tenant, which a key is never above.
    #[arg(long, value_enum)]
    priority: Option<PriorityName>,
    /// Most requests in a minute.
    #[arg(long, value_name = "N", value_parser = per_min, allow_negative_numbers = true)]
    requests_per_min: Option<u64>,
    /// Most tokens in a minute, of prompts and answers together.
    #[arg(long, value_name = "N", value_parser = per_min, allow_negative_numbers = true)]
    tokens_per_min: Option<u64>,
    /// Most requests at a time.
    #[arg(long, value_name = "N", value_parser = at_a_time, allow_negative_numbers = true)]
    concurrent: Option<u32>,
    /// Most money in a day (UTC), such as 5usd.
    #[arg(long, value_name = "USD", value_parser = usd, allow_negative_numbers = true)]
    budget_day: Option<Money>,
    /// Most money in a calendar month (UTC), such as 100usd.
    #[arg(long, value_name = "USD", value_parser = usd, allow_negative_numbers = true)]
    budget_month: Option<Money>,
    /// Who makes it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

/// What a rotation takes.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The key's id, or the name of its owner.
    key: String,
    #[command(flatten)]
    services: ServicesArg,
    /// How long the old key still opens.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "24h")]
    overlap: u64,
    /// Who rotates it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

/// What a revocation takes.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The key's id, or the name of its owner.
    key: String,
    #[command(flatten)]
    services: ServicesArg,
    /// Who revokes it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

fn per_min(text: &str) -> std::result::Result<u64, String> {
    let count = text.parse().ok().filter(|count| (1..=PER_MIN_MAX).contains(count));
    count.ok_or_else(|| format!("a whole number, 1 to {PER_MIN_MAX}"))
}

fn at_a_time(text: &str) -> std::result::Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=CONCURRENT_MAX).contains(count));
    count.ok_or_else(|| format!("a whole number, 1 to {CONCURRENT_MAX}"))
}

fn usd(text: &str) -> std::result::Result<Money, String> {
    parse_budget(text).map_err(|error| error.to_string())
}

/// Runs `tidegate key …`.
pub(crate) async fn run(config: &Path, command: KeyCommand, json: bool) -> Result<()> {
    let (services, command) = match command {
        KeyCommand::List => return list(config, json).await,
        KeyCommand::Create(args) => (args.services.services.clone(), made_of(args)?),
        KeyCommand::Rotate(RotateArgs { key, services, overlap, by }) => {
            let by = operator(by.as_deref())?;
            let command = Command::RotateKey { key, text: None, overlap_ms: overlap, by };
            (services.services, command)
        }
        KeyCommand::Revoke(RevokeArgs { key, services, by }) => {
            (services.services, Command::RevokeKey { key, by: operator(by.as_deref())? })
        }
    };
    if !services.is_empty() {
        return several::run(&services, command, json).await;
    }
    say(&Backend::reach(config, None).await?.command(command).await?, json);
    Ok(())
}

fn made_of(args: CreateArgs) -> Result<Command> {
    Ok(Command::MakeKey(Box::new(KeyRequest {
        name: args.name,
        tenant: args.tenant,
        role: args.role.into(),
        models: args.models.into_iter().collect(),
        text: None,
        lasts_ms: args.expires,
        priority: args.priority.map(Into::into),
        requests_per_min: args.requests_per_min,
        tokens_per_min: args.tokens_per_min,
        concurrent: args.concurrent,
        budget_day: args.budget_day,
        budget_month: args.budget_month,
        by: operator(args.by.as_deref())?,
    })))
}

fn say(answer: &Answer, json: bool) {
    if json {
        output::json(answer);
        return;
    }
    match &answer.new_key {
        Some(key) => {
            output::stderr(answer.sentence(lang::reader()));
            show(key);
        }
        None => output::line(answer.sentence(lang::reader())),
    }
}

/// The key alone goes to stdout, so that `$(tidegate key create …)` is the key.
fn show(key: &NewKey) {
    output::stderr(view::shown_once(lang::reader()));
    output::line(key.reveal());
}

async fn list(config: &Path, json: bool) -> Result<()> {
    let keys = read_status(config, None).await?.keys;
    if json {
        output::json(&keys);
        return Ok(());
    }
    let now = Clock::Real.now();
    view::keys(lang::reader(), &keys, now).iter().for_each(output::line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(span(text).ok(), expected, "{text}");
    }

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        check("90d", Some(7_776_000_000));
        check("12h", Some(43_200_000));
        check("30m", Some(1_800_000));
        check("0s", Some(0));
        check("", None);
        check("90", None);
        check("d", None);
        check("-1d", None);
        check("1.5h", None);
        check("1日", None);
        check("99999999999999999999d", None);
        check("18446744073709551615d", None);
        check("40000d", None);
    }
}
