//! Which stages of a pipeline run.

use super::error::CiError;
use super::file::{CiFile, Only, Stage};

/// What a pipeline runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Event {
    /// A change that is proposed: nothing is built for others or deployed
    PullRequest,
    /// The branch that is deployed
    Main,
}

impl Event {
    /// The event's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Event::PullRequest => "pull_request",
            Event::Main => "main",
        }
    }
}

/// Which stages a person asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// These alone, whatever they are for.
    pub(crate) only: Vec<String>,
    /// This one and those after it.
    pub(crate) from: Option<String>,
}

/// A stage, and why it does not run where it does not.
pub(crate) type Planned<'a> = (&'a Stage, Option<String>);

/// Every stage in its order.
///
/// # Errors
/// A stage is asked for that is not in the file.
pub(crate) fn plan<'a>(
    file: &'a CiFile,
    event: Event,
    wanted: &Wanted,
) -> Result<Vec<Planned<'a>>, CiError> {
    let known = || file.stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>();
    for name in wanted.only.iter().chain(&wanted.from) {
        if !file.stages.iter().any(|stage| stage.name == *name) {
            return Err(CiError::NoStage { name: name.clone(), known: known() });
        }
    }
    let mut begun = wanted.from.is_none();
    let stages = file.stages.iter().map(|stage| {
        begun |= wanted.from.as_ref() == Some(&stage.name);
        (stage, why_not(stage, event, wanted, begun))
    });
    Ok(stages.collect())
}

fn why_not(stage: &Stage, event: Event, wanted: &Wanted, begun: bool) -> Option<String> {
    if !wanted.only.is_empty() {
        return (!wanted.only.contains(&stage.name)).then(|| "not asked for".to_owned());
    }
    if !begun {
        return Some("before the stage that was asked for".to_owned());
    }
    let is_of = match stage.only {
        Only::Always => true,
        Only::PullRequest => event == Event::PullRequest,
        Only::Main => event == Event::Main,
    };
    (!is_of).then(|| match stage.only {
        Only::Main => "for the branch that is deployed: `--event main`".to_owned(),
        Only::PullRequest | Only::Always => "for pull requests: `--event pull-request`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::file::template;
    use super::*;
    use std::path::Path;

    fn check(event: Event, only: &[&str], from: Option<&str>, expected: &[&str]) {
        let file = CiFile::parse(&template(false), Path::new("ci.yaml")).unwrap();
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Wanted { only, from: from.map(str::to_owned) };
        let stages = plan(&file, event, &wanted).unwrap();
        let run = stages.iter().filter(|(_, why)| why.is_none());
        let run: Vec<&str> = run.map(|(stage, _)| stage.name.as_str()).collect();
        assert_eq!(run, expected);
    }

    #[test]
    fn nothing_is_deployed_for_a_pull_request() {
        let checks = ["lint", "unit-tests", "prompt-tests", "model-evaluation"];
        check(Event::PullRequest, &[], None, &checks);
        let main = [&checks[..3], &["build", "deploy-staging", "deploy-production"]].concat();
        check(Event::Main, &[], None, &main);
        check(Event::Main, &[], Some("deploy-staging"), &main[4..]);
        check(Event::PullRequest, &["build", "lint"], None, &["lint", "build"]);
        let file = CiFile::parse(&template(false), Path::new("ci.yaml")).unwrap();
        let wanted = Wanted { only: vec!["deploy".to_owned()], from: None };
        assert!(plan(&file, Event::Main, &wanted).is_err());
    }
}
