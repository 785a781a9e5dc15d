//! An outlook for people: how long it takes, three tables, then what else they should know.

use super::{RateFrom, Told, TotalAlike};
use crate::lang;
use crate::output::{padded, wrapped};
use tidegate_core::decide::{Band, Data, LineOutlook, LineRule, Outlook, Plan, RungOutlook};
use tidegate_core::route::Weight;
use unicode_width::UnicodeWidthStr as _;

/// Rungs that the tables of lines have room for: of more, the first ones and the last.
const RUNGS_SHOWN: usize = 6;

/// All of it.
pub(super) fn lines(told: &Told<'_>, plan: &Plan) -> Vec<String> {
    let outlook = told.outlook;
    let mut lines: Vec<String> = broken(head(told)).collect();
    lines.extend(broken(over_a_ceiling(outlook, plan)));
    lines.extend(broken([total(outlook, told.total_alike.as_ref())]));
    lines.push(String::new());
    lines.extend(table(&rungs(outlook)));
    lines.extend(broken(outlook.rungs.iter().filter(|rung| !rung.fits).map(too_short)));
    lines.push(String::new());
    lines.push("harm from which on a rung typically goes back by the end of its look:".to_owned());
    let seen = |line: &LineOutlook| cell(line.rolls_back, "more");
    lines.extend(table(&harms(outlook, plan, ("line", limit), seen)));
    lines.push(String::new());
    lines.extend(broken([
        "harm that may still hide in what looks like stable at the end of that look; a rung that \
         does not pass by then waits for longer:"
            .to_owned(),
    ]));
    let hidden = |line: &LineOutlook| match line.must_exclude {
        Some(_) => cell(line.excludes, "any"),
        None => "-".to_owned(),
    };
    let stable = |line: &LineOutlook, _: &LineRule| {
        line.stable.map_or("-".to_owned(), |stable| lang::reader().value(line.metric, stable))
    };
    lines.extend(table(&harms(outlook, plan, ("stable", stable), hidden)));
    lines.push(String::new());
    lines.extend(broken(legend(outlook, plan)));
    lines.extend(broken(not_judged(outlook)));
    lines.extend(broken(independence(outlook)));
    lines
}

/// Sentences as lines that fit the terminal.
fn broken(sentences: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    sentences.into_iter().flat_map(|sentence| wrapped(&sentence, 2))
}

/// What is not plain from the tables' heads.
fn legend(outlook: &Outlook, plan: &Plan) -> Vec<String> {
    let cells = || outlook.rungs.iter().flat_map(|rung| &rung.lines).filter(|l| l.stable.is_some());
    let mut lines = vec![
        "requests are the candidate's, in brackets by the time it passes; next may spoil: those \
         that harm not yet excluded may cost on the next rung (`release.bad_budget`)."
            .to_owned(),
    ];
    if cells().any(|line| line.rolls_back.is_none()) {
        lines.push("more: no harm that is looked for is proven so soon.".to_owned());
    }
    if cells().any(|line| line.must_exclude.is_some() && line.excludes.is_none()) {
        lines.push(
            "any: nothing is excluded by then; the rung waits for longer than its look.".to_owned(),
        );
    }
    if outlook.rungs.len() > RUNGS_SHOWN {
        lines.push("of the rungs between the first five and the last, `--json` tells.".to_owned());
    }
    if outlook.rungs.iter().any(|rung| rung.next_bad_requests > Some(plan.bad_budget)) {
        lines.push(format!(
            "more than `release.bad_budget` ({}) may be spoilt where keeping to it would need a \
             candidate better than its pause line.",
            plan.bad_budget
        ));
    }
    if plan.hold_back > Weight::ZERO {
        lines.push(format!(
            "{} of users stay on stable at the last rung, as a control (`release.hold_back_pct`).",
            plan.hold_back
        ));
    }
    lines
}

/// Lines that stable itself is over: whatever is released goes back.
fn over_a_ceiling(outlook: &Outlook, plan: &Plan) -> Vec<String> {
    let lines = outlook.rungs.first().map(|rung| rung.lines.as_slice()).unwrap_or_default();
    let over = lines.iter().zip(&plan.rules).filter_map(|(line, rule)| {
        let (stable, ceiling) = line.stable.zip(rule.ceiling)?;
        (stable > ceiling).then(|| {
            let metric = line.metric.as_str();
            let guess = match line.data {
                Data::Assumed => {
                    format!(", which is a guess: say what it is, `--expect {metric}=…`")
                }
                Data::Baseline | Data::Given | Data::Nothing => String::new(),
            };
            format!(
                "stable itself is over the ceiling of {metric}: {}, ceiling {}; whatever is \
                 released goes back{guess}.",
                lang::reader().value(line.metric, stable),
                lang::reader().value(line.metric, ceiling)
            )
        })
    });
    over.collect()
}

fn head(told: &Told<'_>) -> Vec<String> {
    let outlook = told.outlook;
    let from = match told.rate_from {
        RateFrom::Given => "as given",
        RateFrom::Baseline => "as lately",
    };
    let known = match (outlook.baseline_days, outlook.baseline_requests) {
        (0, _) => "nothing is stored of stable yet: what it does is guessed, see `--expect`".into(),
        (1, requests) => format!("stable as in the last day ({requests} requests)"),
        (days, requests) => format!("stable as in the last {days} days ({requests} requests)"),
    };
    let rate = per_second(outlook.requests_per_s);
    vec![format!("{}: {rate}, {from}; {known}", told.service)]
}

fn per_second(rate: f64) -> String {
    let digits = match rate {
        10.0.. => 0,
        0.1.. => 2,
        _ => 5,
    };
    format!("{rate:.digits$} requests a second")
}

fn rungs(outlook: &Outlook) -> Vec<Vec<String>> {
    let head =
        ["rung", "weight", "look", "requests", "passes after", "waits for", "next may spoil"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, rung) in outlook.rungs.iter().enumerate() {
        let RungOutlook { passes_after_s, passes_after_requests, slowest, .. } = rung;
        let passes = match passes_after_s.zip(*passes_after_requests) {
            Some((after, requests)) => {
                format!("{} ({requests})", lang::reader().duration(after as f64))
            }
            None => "not in 30 days".to_owned(),
        };
        rows.push(vec![
            (index + 1).to_string(),
            rung.weight_pct.to_string(),
            lang::reader().duration(rung.look_s as f64),
            rung.candidate_requests.to_string(),
            passes,
            slowest.map_or("answers", |metric| metric.as_str()).to_owned(),
            rung.next_bad_requests.map_or("-".to_owned(), |bad| bad.to_string()),
        ]);
    }
    rows
}

/// A harm, or the word for one beyond all that is looked at.
fn cell(harm: Option<f64>, beyond: &str) -> String {
    harm.map_or(beyond.to_owned(), |harm| format!("{:+.1}", harm * 100.0))
}

/// What a line must not pass.
fn limit(line: &LineOutlook, rule: &LineRule) -> String {
    match (rule.band, rule.ceiling) {
        (Some(Band { rollback, .. }), _) => lang::reader().harm(rollback, line.unit),
        (None, Some(ceiling)) => lang::reader().value(line.metric, ceiling),
        (None, None) => "-".to_owned(),
    }
}

/// For each line something `known` of it, with its name, and a cell for each rung: six rungs beside
/// more than that do not fit into 80 columns.
fn harms(
    outlook: &Outlook,
    plan: &Plan,
    (name, known): (&str, impl Fn(&LineOutlook, &LineRule) -> String),
    cell: impl Fn(&LineOutlook) -> String,
) -> Vec<Vec<String>> {
    let last = outlook.rungs.len().saturating_sub(1);
    let shown = || {
        let rungs = outlook.rungs.iter().enumerate();
        rungs.filter(|(i, _)| *i + 1 < RUNGS_SHOWN || *i == last).map(|(_, rung)| rung)
    };
    let mut head = vec!["metric".to_owned(), name.to_owned()];
    head.extend(shown().map(|rung| rung.weight_pct.to_string()));
    let mut rows = vec![head];
    let Some(first) = outlook.rungs.first() else { return rows };
    for (index, (line, rule)) in first.lines.iter().zip(&plan.rules).enumerate() {
        if line.stable.is_none() {
            continue;
        }
        let mut row = vec![line.metric.as_str().to_owned(), known(line, rule)];
        row.extend(shown().filter_map(|rung| rung.lines.get(index)).map(&cell));
        rows.push(row);
    }
    rows
}

/// Rows as lines, with their columns as wide as needed.
fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn too_short(rung: &RungOutlook) -> String {
    let RungOutlook { weight_pct, look_s, candidate_requests, .. } = rung;
    let look = lang::reader().duration(*look_s as f64);
    let s = if *candidate_requests == 1 { "" } else { "s" };
    let shows = format!("{weight_pct} for {look} is {candidate_requests} candidate request{s}");
    let fewest = if *weight_pct > weight_pct.rest() {
        "answers of stable"
    } else {
        "answers of the candidate"
    };
    let who = rung.slowest.map_or(fewest, |metric| metric.as_str());
    let blocking = rung.lines.iter().find(|line| Some(line.metric) == rung.slowest);
    match (rung.passes_after_s, blocking) {
        (Some(after), _) => {
            let after = lang::reader().duration(after as f64);
            format!("{shows}: too few to let it pass; {who}: typically after {after}.")
        }
        (None, Some(line)) if line.data == Data::Nothing => {
            format!("{shows}: it never passes; {who} is required and nothing gives a sample of it.")
        }
        (None, _) => format!("{shows}: it does not pass in 30 days, for want of {who}."),
    }
}

fn not_judged(outlook: &Outlook) -> Option<String> {
    let lines = &outlook.rungs.first()?.lines;
    let nothing = lines.iter().filter(|line| line.data == Data::Nothing && !line.required);
    let names: Vec<&str> = nothing.map(|line| line.metric.as_str()).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("not judged, since nothing gives samples and nothing requires them: {names}.")
    })
}

fn independence(outlook: &Outlook) -> Option<String> {
    let lines = &outlook.rungs.first()?.lines;
    let worst = lines.iter().max_by(|a, b| a.design_effect.total_cmp(&b.design_effect))?;
    Some(if worst.design_effect > 1.0 {
        format!(
            "requests of one user are alike: up to {:.1} are worth one independent one ({}).",
            worst.design_effect,
            worst.metric.as_str()
        )
    } else {
        "the first of two times takes requests to be independent, the other one in four of them to \
         count; a release says what it is: give it as `--design-effect`."
            .to_owned()
    })
}

fn total(outlook: &Outlook, alike: Option<&TotalAlike>) -> String {
    match outlook.total_s {
        Some(total) => {
            let spoken = lang::reader().duration(total as f64);
            let longer = alike.filter(|alike| alike.total_s != Some(total)).map(|alike| {
                let long = alike
                    .total_s
                    .map_or("over 30 days".to_owned(), |s| lang::reader().duration(s as f64));
                format!(" to {long}, by how alike the requests of one user are")
            });
            let longer = longer.unwrap_or_default();
            format!("if nothing is wrong, it is promoted after about {spoken}{longer}.")
        }
        None => {
            let stuck =
                outlook.rungs.iter().zip(1..).find(|(rung, _)| rung.passes_after_s.is_none());
            let which = stuck
                .map_or("a rung".to_owned(), |(rung, n)| format!("rung {n} ({})", rung.weight_pct));
            format!("it is not promoted by itself: {which} is not left within 30 days.")
        }
    }
}
