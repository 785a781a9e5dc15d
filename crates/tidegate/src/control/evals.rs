//! Eval runs that are kept.

use super::{Answer, Control, ControlError, Done, Result};
use crate::gate::{GateError, remove_handed_over, take_over};
use crate::store::Evals as _;
use std::io::{self, Write};
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::Digester;
use tidegate_core::journal::Event;

impl Control {
    /// Keeps a run's report. The results of a large run are in a file that its command left in the
    /// project's folder.
    pub(super) async fn record_eval(&mut self, report: EvalReport) -> Result<Answer> {
        let root = self.root.clone();
        let report = take_over(&root, report).map_err(|source| {
            let what = "the results of the run".to_owned();
            GateError::Unread { what, source }
        })?;
        let mut digest = Digested::default();
        serde_json::to_writer(&mut digest, &report).map_err(ControlError::EvalReport)?;
        self.store.put_eval(&report).await?;
        let event = Event::EvalRun {
            run_id: report.run_id.clone(),
            set: report.version_set.clone(),
            cases: report.cases_digest.clone(),
            passed: report.passed,
            report: digest.0.done(),
            policy: report.held_to.as_ref().map(|held_to| held_to.counts_as.clone()),
        };
        self.append(vec![event]).await?;
        remove_handed_over(&root, &report.run_id);
        Ok(Answer::of(Done::EvalKept { released: self.leave_experiment().await? }))
    }
}

/// What is written, as a digest alone.
#[derive(Default)]
struct Digested(Digester);

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
