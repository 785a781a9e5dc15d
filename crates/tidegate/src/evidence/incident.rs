//! The pack of an incident of the service: a red line in answers that no release decides on, an
//! outage of the model server, or a change of the model there. The audit log is its part of the
//! journal; `incident.md` has the chain of events and the impact list.

mod drift;
mod outage;

use super::clean::{clean, clean_entry, clean_record};
use super::collect::{PackInputs, env_info};
use super::error::{EvidenceError, Result};
use super::html::{cell, esc, lang};
use super::journal::{self, JournalLine};
use super::report::{page_begin, page_end, parts};
use super::samples::{self, Origin};
use super::write;
use crate::clock::rfc3339;
use crate::lang::Lang;
use crate::store::{Journal as _, Records as _, Sets as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tidegate_core::evidence::{
    EnvInfo, FileDigest, GateEntry, GateLevel, GateStatus, Manifest, Meta, PackRef, PackVerdict,
    RandomControl, Record, VerdictDecision,
};
use tidegate_core::guard::Sighting;
use tidegate_core::ids::{ChangeId, Digest, IncidentId, ServiceName, UnixMs, VersionSetId};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::Event;
use tidegate_core::version_set::VersionKeys;

/// Its page for people, in Markdown.
const INCIDENT: &str = "incident.md";

/// What the pack is made from; redacted when it is made.
struct Data {
    id: IncidentId,
    service: ServiceName,
    set: VersionSetId,
    /// What it is about, in a word.
    kind: &'static str,
    incident: Incident,
    keys: VersionKeys,
    journal: Vec<JournalLine>,
    journal_head: (u64, Digest),
    sightings: Vec<Sighting>,
    records: Vec<Record>,
    base_url: String,
    written_at: UnixMs,
    simulated_clock: bool,
    env: EnvInfo,
    gaps: Vec<String>,
}

/// Of the records of one trace id those that an incident is about: two tenants may use the same id,
/// and the answer of one of them crossed the red line.
pub(crate) fn of_incident(records: Vec<Record>) -> Vec<Record> {
    let crossed = |record: &Record| record.risk.iter().any(|event| event.kind.is_red_line());
    match records.iter().any(crossed) {
        true => records.into_iter().filter(crossed).collect(),
        false => records,
    }
}

/// Writes the pack of an incident of the service; the caller puts it into the journal. An earlier
/// one is replaced.
///
/// # Errors
/// When there is no such incident, or the store or the disk fails.
pub(crate) async fn write_incident_pack(
    inputs: &PackInputs<'_>,
    id: &IncidentId,
) -> Result<PackRef> {
    let data = collect(inputs, id)?;
    let day = rfc3339(data.incident.opened_at).chars().take(10).collect::<String>();
    let name = inputs.change_id.clone();
    let parent = inputs.root.join("reports").join(&day);
    let path = format!("reports/{day}/{id}");
    let manifest = tokio::task::spawn_blocking(move || write_data(&data, &name, &parent)).await??;
    Ok(PackRef { path, manifest })
}

fn write_data(data: &Data, name: &ChangeId, parent: &std::path::Path) -> Result<Digest> {
    let files = files(data)?;
    let manifest =
        manifest(data, &files).to_sealed_json().map_err(EvidenceError::part("the manifest"))?;
    write::write_folder(parent, name, &files, &manifest)?;
    Ok(Digest::of(manifest.as_bytes()))
}

fn collect(inputs: &PackInputs<'_>, id: &IncidentId) -> Result<Data> {
    let PackInputs { store, state, change_id: _, root: _, clock, base_url, gap } = *inputs;
    let unknown = || EvidenceError::UnknownIncident { incident: id.clone() };
    let incident = state.incidents.get(id).ok_or_else(unknown)?;
    let (set, kind) = match &incident.subject {
        Subject::Service { set, kind } => (set, kind.as_str()),
        Subject::Outage { set, upstream: _ } => (set, "outage"),
        Subject::Drift { set, .. } => (set, "drift"),
        Subject::Release { .. } => return Err(unknown()),
    };
    let service = state.service.clone();
    let service = service.ok_or(EvidenceError::NoService)?;
    let whole = store.journal(1)?;
    let head = whole.last().map(|entry| (entry.seq, entry.hash.clone()));
    let journal_head = head.ok_or(EvidenceError::NoJournal)?;
    let entries = journal::of_incident(&whole, id, set)?;
    let mut gaps: Vec<String> = gap.map(str::to_owned).into_iter().collect();
    let packed = store.set(set).map_err(|e| gaps.push(format!("the version set: {e}"))).ok();
    let mut sightings = Vec::new();
    for entry in &entries {
        if let Ok(Event::RedLinesSeen(lines)) = entry.event() {
            sightings.extend(lines.sightings);
        }
    }
    let mut records = Vec::new();
    for trace in &incident.traces {
        match store.traces(trace).map(of_incident) {
            Ok(found) if found.is_empty() => gaps.push(format!("trace {trace} has no record")),
            Ok(found) => {
                for record in &found {
                    records.push(clean_record(record, id.as_str())?);
                }
            }
            Err(error) => gaps.push(format!("trace {trace}: {error}")),
        }
    }
    Ok(Data {
        id: id.clone(),
        service,
        set: set.clone(),
        kind,
        // Its traces are in the records, under ids that are safe to show.
        incident: clean(&Incident { traces: Vec::new(), ..incident.clone() })?,
        keys: packed.map(|packed| packed.set.keys()).unwrap_or_default(),
        journal: entries.iter().map(clean_entry).collect::<Result<_>>()?,
        journal_head,
        sightings: sightings.iter().map(clean).collect::<Result<_>>()?,
        records,
        base_url: base_url.to_owned(),
        written_at: clock.now(),
        simulated_clock: clock.is_demo(),
        env: env_info(clock),
        gaps,
    })
}

fn files(data: &Data) -> Result<BTreeMap<String, Vec<u8>>> {
    let origin = Origin { service: &data.service, base_url: &data.base_url };
    let list = samples::samples(&data.records, &[]);
    let mut files = samples::files(&origin, &list)?;
    files.insert("journal.jsonl".to_owned(), journal::journal_jsonl(&data.journal)?);
    // No release, so nothing was decided: the file is there and empty.
    files.insert("decisions.jsonl".to_owned(), Vec::new());
    let diffs = format!(
        "# Nothing was changed\n\nThe incident is about version set `{}` as it was served; no \
         release decides on it.\n",
        data.set
    );
    files.insert("diffs/summary.md".to_owned(), diffs.into_bytes());
    let gates = format!(
        "# Gates of {}\n\n| gate | level | status | why | raw output |\n|---|---|---|---|---|\n\
         | {} | L0 | FAIL | {} | `{INCIDENT}` |\n",
        data.id,
        data.gate(),
        cell(&Lang::En.cause(&data.incident.reason)),
    );
    files.insert("gates/summary.md".to_owned(), gates.into_bytes());
    files.insert(INCIDENT.to_owned(), markdown(data).into_bytes());
    files.insert("report.html".to_owned(), page(data, &origin, &list).into_bytes());
    Ok(files)
}

fn manifest(data: &Data, files: &BTreeMap<String, Vec<u8>>) -> Manifest {
    let mut version_set = BTreeMap::from([("id".to_owned(), data.set.to_string())]);
    version_set.extend(data.keys.short());
    let (level, status) = (GateLevel::L0, GateStatus::Fail);
    let failed = GateEntry { level, status, evidence: INCIDENT.to_owned() };
    Manifest {
        meta: Meta {
            timestamp: rfc3339(data.written_at),
            timestamp_ms: data.written_at,
            change_id: data.id.to_string(),
            builder: concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned(),
            operator: "tidegate".to_owned(),
        },
        version_set,
        gates: BTreeMap::from([(data.gate().to_owned(), failed)]),
        verdict: PackVerdict {
            decision: VerdictDecision::Hold,
            reason: Lang::En.cause(&data.incident.reason),
            reviewer: "tidegate".to_owned(),
        },
        rollback: None,
        env_info: data.env.clone(),
        random_control: RandomControl { seed: data.id.to_string(), temperature: None },
        files: files.iter().map(|(path, bytes)| (path.clone(), FileDigest::of(bytes))).collect(),
        journal_head: data.journal_head.clone(),
        seal: Manifest::unsealed(),
    }
}

impl Data {
    /// The gate that it failed.
    fn gate(&self) -> &'static str {
        match self.incident.subject {
            Subject::Outage { .. } | Subject::Drift { .. } => "upstream",
            Subject::Service { .. } | Subject::Release { .. } => "risk",
        }
    }
}

/// The facts, each as a name and a value.
fn facts(data: &Data) -> Vec<(&'static str, String)> {
    let incident = &data.incident;
    if let Some(outage) = &incident.outage {
        return outage::facts(data, outage);
    }
    if let Subject::Drift { .. } = incident.subject {
        return drift::facts(data);
    }
    let callers: BTreeSet<&str> =
        data.sightings.iter().filter_map(|sighting| sighting.caller.as_deref()).collect();
    let banned = data.sightings.iter().filter(|sighting| sighting.banned_s > 0).count();
    let cases = match incident.case_ids.as_slice() {
        [] => "none yet; the incident cannot be closed without one".to_owned(),
        ids => ids.join(", "),
    };
    let closed = match &incident.closed {
        Some((at, conclusion)) => format!("closed {}: {conclusion}", rfc3339(*at)),
        None => "open".to_owned(),
    };
    vec![
        ("Signal", incident.signal.as_str().to_owned()),
        ("State", closed),
        ("Opened", rfc3339(incident.opened_at)),
        ("What was seen", Lang::En.cause(&incident.reason)),
        ("Version set", format!("{}, the one that served; no release was judged by it", data.set)),
        (
            "Impact",
            format!(
                "{} answers; {} reached a client, {} were withheld; {} callers among the {} listed",
                incident.red_lines,
                incident.went_out,
                incident.red_lines.saturating_sub(incident.went_out),
                callers.len(),
                data.sightings.len(),
            ),
        ),
        ("What was done", format!("{banned} of those listed led to a ban of the caller")),
        ("Blocking cases", cases),
        (
            "What to do",
            format!(
                "change what is served with a release, or roll back the last one \
                 (`tidegate rollback CHANGE_ID`); then `tidegate incident close {}`",
                data.id
            ),
        ),
    ]
}

/// One row for each listed sighting, oldest first.
fn chain(data: &Data) -> Vec<[String; 5]> {
    if data.incident.outage.is_some() {
        return outage::chain(data);
    }
    if let Subject::Drift { .. } = data.incident.subject {
        return drift::chain(data);
    }
    let row = |sighting: &Sighting| {
        let answer = if sighting.blocked { "withheld" } else { "sent" };
        let ban = match sighting.banned_s {
            0 => "no".to_owned(),
            seconds => format!("{seconds} s"),
        };
        [
            rfc3339(sighting.at),
            sighting.trace_id.to_string(),
            sighting.caller.clone().unwrap_or_else(|| "unnamed".to_owned()),
            format!("{} ({})", sighting.event.kind.as_str(), sighting.event.detail),
            format!("{answer}; banned: {ban}"),
        ]
    };
    data.sightings.iter().map(row).collect()
}

/// The columns of the chain of events.
fn chain_heads(data: &Data) -> [&'static str; 5] {
    match data.incident.subject {
        Subject::Outage { .. } => outage::HEADS,
        Subject::Drift { .. } => drift::HEADS,
        Subject::Service { .. } | Subject::Release { .. } => {
            ["when", "trace", "caller", "what", "answer"]
        }
    }
}

fn markdown(data: &Data) -> String {
    let mut text = format!("# Incident {} of service `{}`\n\n", data.id, data.service);
    // Writing to a String cannot fail, here and below.
    for (name, value) in facts(data) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let _ = writeln!(text, "\n## Chain of events\n\n| {} |", chain_heads(data).join(" | "));
    text.push_str("|---|---|---|---|---|\n");
    for row in chain(data) {
        let _ = writeln!(text, "| {} |", row.map(|text| cell(&text)).join(" | "));
    }
    let more = data.incident.red_lines.saturating_sub(data.sightings.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "\n{more} more are counted and not listed.");
    }
    for gap in &data.gaps {
        let _ = writeln!(text, "\nGap: {gap}");
    }
    text
}

fn page(data: &Data, origin: &Origin<'_>, samples: &[samples::Sample<'_>]) -> String {
    let mut out = page_begin(&format!("{} – {}", data.id, data.kind));
    let _ = writeln!(
        out,
        "<header>\n<h1>Incident <code>{}</code></h1>\n<p class=\"sub\">Service <code>{}</code>. \
         Page written {}.</p>",
        esc(data.id.as_str()),
        esc(data.service.as_str()),
        rfc3339(data.written_at),
    );
    if data.simulated_clock {
        out.push_str("<p class=\"note\">A simulation: the times are the demo's clock.</p>\n");
    }
    for gap in &data.gaps {
        let _ = writeln!(out, "<p class=\"note\">This pack has a gap: {}</p>", esc(gap));
    }
    out.push_str("</header>\n<main>\n<h2>In short</h2>\n<table><tbody>\n");
    for (name, value) in facts(data) {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td{}>{}</td></tr>",
            lang(&value),
            esc(&value)
        );
    }
    out.push_str("</tbody></table>\n<h2>Chain of events</h2>\n<table><thead><tr>");
    for head in chain_heads(data) {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in chain(data) {
        let cells: String = row.iter().map(|text| format!("<td>{}</td>", esc(text))).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</tbody></table>\n");
    parts::samples(&mut out, origin, samples);
    out.push_str("</main>\n");
    page_end(&mut out);
    out
}
