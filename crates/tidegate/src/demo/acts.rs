//! The stories.

use super::stage::Stage;
use super::users::Habits;
use crate::error::{CliError, Result};
use crate::evidence;
use crate::output::{Tone, paint};
use serde_json::json;
use tidegate_core::decide::Phase;
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::ControlState;
use tidegate_core::route::Entrance;

/// Requests a tick of 10 s brings in an ordinary hour: 30 a second.
const REQUESTS: u64 = 300;
/// Requests a tick brings at night: one every five seconds.
const FEW_REQUESTS: u64 = 2;

const PEACEFUL: Habits = Habits { attack_one_in: 0 };

/// A bad one is refused, a worse one is caught and taken back, becomes a test; a good one climbs.
pub(super) async fn four_acts(stage: &mut Stage) -> Result<()> {
    stage.baseline("v1").await?;
    stage.act("Act 1 · prompt v2 forgets a required JSON key: the offline gate");
    let report = stage.eval("v2").await?;
    expect(!report.passed, "v2 fails its eval")?;
    stage.start_refused("v2").await?;

    stage.act("Act 2 · v3 passes the gate, and breaks on long Chinese requests in production");
    let report = stage.eval("v3").await?;
    expect(report.passed, "v3 passes its eval")?;
    let v3 = started(stage, "v3").await?;
    let state = stage.play(&v3, REQUESTS, PEACEFUL, |_, _| false).await?;
    expect(phase(&state, &v3) == Some(Phase::RolledBack), "v3 is rolled back")?;
    stage.say(paint(Tone::Red, "  v3 is rolled back, by itself"));
    stage.tell_end(&v3, &state).await?;

    stage.act("Act 3 · the evidence is kept, the failures are tests now, v3 stays out");
    show_evidence(stage, &v3).await?;
    stage.start_refused("v3").await?;
    let report = stage.eval("v3").await?;
    expect(!report.passed, "v3 fails on its own failures")?;

    stage.act("Act 4 · v4 keeps v3's wording and fixes its fault: the whole ladder");
    let report = stage.eval("v4").await?;
    expect(report.passed, "v4 passes its eval, written-back cases included")?;
    let v4 = started(stage, "v4").await?;
    let state = stage.play(&v4, REQUESTS, PEACEFUL, |_, _| false).await?;
    expect(phase(&state, &v4) == Some(Phase::Promoted), "v4 is promoted")?;
    stage.say(paint(Tone::Green, "  v4 is stable: everyone is on it"));
    stage.tell_end(&v4, &state).await?;
    show_evidence(stage, &v4).await
}

/// An attack works on the candidate: one event is enough.
pub(super) async fn injection(stage: &mut Stage) -> Result<()> {
    stage.act("Injection · v5 guards itself in English and Chinese; an attack comes in Japanese");
    let report = stage.eval("v5").await?;
    expect(report.passed, "v5 passes its eval")?;
    let v5 = started(stage, "v5").await?;
    let attacked = Habits { attack_one_in: 150 };
    let state = stage.play(&v5, REQUESTS, attacked, |_, _| false).await?;
    expect(phase(&state, &v5) == Some(Phase::ShutOff), "v5 is shut off")?;
    stage.say(paint(Tone::Black, "  black: forced rollback, entrance closed"));
    stage.tell_end(&v5, &state).await?;
    let closed =
        state.table.as_ref().is_some_and(|t| matches!(t.entrance, Entrance::Closed { .. }));
    expect(closed, "the entrance is closed")?;
    let (batch, _) = stage.tick(20, PEACEFUL).await?;
    stage.say(format!("  20 more requests: {} answered 503 entrance_closed", batch.closed));
    stage.note(json!({ "refused_at_the_entrance": batch.closed }));
    stage.say(paint(
        Tone::Dim,
        "  an operator opens it again: tidegate release reopen --by NAME --reason WHY",
    ));
    show_evidence(stage, &v5).await
}

/// The upstream fails for everyone: nobody is blamed.
pub(super) async fn outage(stage: &mut Stage) -> Result<()> {
    stage.act("Outage · the upstream fails for both arms from minute 2 to minute 5");
    let report = stage.eval("v4").await?;
    expect(report.passed, "v4 passes its eval")?;
    let v4 = started(stage, "v4").await?;
    let state = stage.play(&v4, REQUESTS, PEACEFUL, |_, state| rung(state, &v4) >= Some(1)).await?;
    expect(phase(&state, &v4) == Some(Phase::Running), "the outage is no verdict")?;
    stage.say(paint(
        Tone::Green,
        "  the candidate was held through the outage, then went on: no verdict from a shared fault",
    ));
    Ok(())
}

/// Too little traffic proves nothing: nothing moves.
pub(super) async fn no_data(stage: &mut Stage) -> Result<()> {
    stage.act("No data · v4 is released at night, one request every five seconds");
    let report = stage.eval("v4").await?;
    expect(report.passed, "v4 passes its eval")?;
    let v4 = started(stage, "v4").await?;
    let state = stage.play(&v4, FEW_REQUESTS, PEACEFUL, |tick, _| tick >= 120).await?;
    expect(phase(&state, &v4) == Some(Phase::Running), "nothing moves")?;
    expect(rung(&state, &v4) == Some(0), "the first rung is held")?;
    stage.say(paint(
        Tone::Yellow,
        "  after 20 minutes still at the first rung: no data is neither good nor bad",
    ));
    Ok(())
}

async fn started(stage: &mut Stage, prompt: &str) -> Result<ChangeId> {
    let answer = stage.start(prompt).await?;
    stage.say(&answer.text);
    answer.change_id.ok_or_else(|| CliError::internal("a release started without an id"))
}

async fn show_evidence(stage: &mut Stage, change_id: &ChangeId) -> Result<()> {
    let state = stage.state();
    let Some(pack) = state.releases.get(change_id).and_then(|release| release.pack.clone()) else {
        return Err(CliError::internal(format!("release {change_id} has no evidence pack")));
    };
    let folder = stage.root().join(&pack.path);
    let outcome = evidence::verify(&folder)?;
    expect(outcome.problems.is_empty(), "the pack verifies")?;
    stage.say(format!("  pack   {} · {} files · verified", folder.display(), outcome.files));
    stage.say(format!("  read   {}", folder.join("report.html").display()));
    if let Some(incident) = state.incident_of(change_id) {
        let cases = incident.case_ids.len();
        stage.say(format!(
            "  tests  {cases} failing requests are blocking cases in evals/regression.jsonl"
        ));
        expect(cases > 0, "failures are written back")?;
        stage.note(json!({ "cases_written": cases }));
    }
    Ok(())
}

fn phase(state: &ControlState, change_id: &ChangeId) -> Option<Phase> {
    state.releases.get(change_id).map(|release| release.state.phase)
}

fn rung(state: &ControlState, change_id: &ChangeId) -> Option<usize> {
    state.releases.get(change_id).map(|release| release.state.rung)
}

/// The demo's story must be true: what it says is checked.
fn expect(holds: bool, what: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(CliError::internal(format!("the demo did not go as it should: {what}"))
        .hint("please report this with the seed"))
}
