//! An outlook for people: how long it takes, three tables, then what else they should know.

use super::{RateFrom, ShadowOutlook, Shown, TotalAlike};
use crate::lang::{self, Lang};
use crate::output::{aligned, wrapped};
use crate::view::{PlanWords, Words};
use tidegate_core::decide::{Band, Data, LineOutlook, LineRule, Outlook, Plan, RungOutlook};
use tidegate_core::route::Weight;

/// Rungs that the tables of lines have room for: of more, the first ones and the last.
const RUNGS_SHOWN: usize = 6;

/// All of it.
pub(super) fn lines(shown: &Shown<'_>, plan: &Plan) -> Vec<String> {
    let outlook = shown.outlook;
    let lang = lang::reader();
    let words = &Words::of(lang).plan;
    let mut lines: Vec<String> = broken(head(lang, words, shown)).collect();
    lines.extend(broken(over_a_ceiling(lang, outlook, plan)));
    lines.extend(broken([total(lang, words, outlook, shown.total_alike.as_ref())]));
    lines.extend(broken(shown.shadow.map(|shadow| in_the_shadow(lang, shadow))));
    lines.push(String::new());
    lines.extend(indented(&rungs(lang, words, outlook)));
    let short = outlook.rungs.iter().filter(|rung| !rung.fits);
    lines.extend(broken(short.map(|rung| too_short(lang, words, rung))));
    lines.push(String::new());
    lines.extend(broken([words.rolls_back.to_owned()]));
    let seen = |line: &LineOutlook| cell(line.rolls_back, words.more);
    lines.extend(indented(&harms(outlook, plan, words.metric, (words.line, limit), seen)));
    lines.push(String::new());
    lines.extend(broken([words.hides.to_owned()]));
    let hidden = |line: &LineOutlook| match line.must_exclude {
        Some(_) => cell(line.excludes, words.any),
        None => "-".to_owned(),
    };
    let stable = |line: &LineOutlook, _: &LineRule| {
        line.stable.map_or("-".to_owned(), |stable| lang.value(line.metric, stable))
    };
    lines.extend(indented(&harms(outlook, plan, words.metric, (words.stable, stable), hidden)));
    lines.push(String::new());
    lines.extend(broken(legend(lang, words, outlook, plan)));
    lines.extend(broken(not_judged(lang, outlook)));
    lines.extend(broken(independence(lang, words, outlook)));
    lines
}

/// What a shadow takes, and whether it is the better way to begin.
fn in_the_shadow(lang: Lang, shadow: ShadowOutlook) -> String {
    let ShadowOutlook { pairs, sample_pct, total_s, is_better } = shadow;
    let takes = lang.span(total_s as f64);
    let (text, better) = match lang {
        Lang::En => (
            format!("a shadow of {sample_pct} % of the requests takes {pairs} pairs, {takes}"),
            ", sooner than the first rung: begin with `tidegate shadow start`",
        ),
        Lang::Zh => (
            format!("用 {sample_pct} % 的请求做影子需要 {pairs} 对，{takes}"),
            "，比第一级更快：先运行 `tidegate shadow start`",
        ),
        Lang::Ja => (
            format!("リクエストの {sample_pct} % のシャドウは {pairs} 組、{takes} かかる"),
            "、最初の段階より早い：まず `tidegate shadow start`",
        ),
    };
    let end = if lang == Lang::En { "." } else { "。" };
    format!("{text}{}{end}", if is_better { better } else { "" })
}

/// Sentences as lines that fit the terminal.
fn broken(sentences: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    sentences.into_iter().flat_map(|sentence| wrapped(&sentence, 2))
}

/// What is not plain from the tables' heads.
fn legend(lang: Lang, words: &PlanWords, outlook: &Outlook, plan: &Plan) -> Vec<String> {
    let cells = || outlook.rungs.iter().flat_map(|rung| &rung.lines).filter(|l| l.stable.is_some());
    let mut lines = vec![words.requests_are.to_owned()];
    if cells().any(|line| line.rolls_back.is_none()) {
        lines.push(words.more_means.to_owned());
    }
    if cells().any(|line| line.must_exclude.is_some() && line.excludes.is_none()) {
        lines.push(words.any_means.to_owned());
    }
    if outlook.rungs.len() > RUNGS_SHOWN {
        lines.push(words.rungs_left_out.to_owned());
    }
    if outlook.rungs.iter().any(|rung| rung.next_bad_requests > Some(plan.bad_budget)) {
        let budget = plan.bad_budget;
        lines.push(match lang {
            Lang::En => format!(
                "more requests than `release.bad_budget` ({budget}) may be spoilt: to keep to it, \
                 the candidate would have to be better than its pause line."
            ),
            Lang::Zh => format!(
                "损坏的请求可能多于 `release.bad_budget`（{budget}）：要守住它，候选版得比暂停线还好。"
            ),
            Lang::Ja => format!(
                "損なう数が `release.bad_budget`（{budget}）を超えることがある：守るには候補版が停止線より\
                 良くなければならない。"
            ),
        });
    }
    if plan.hold_back > Weight::ZERO {
        let share = plan.hold_back;
        lines.push(match lang {
            Lang::En => format!(
                "{share} of users stay on stable at the last rung, as a control \
                 (`release.hold_back_pct`)."
            ),
            Lang::Zh => format!(
                "最后一级仍有 {share} 的用户留在稳定版上，作为对照（`release.hold_back_pct`）。"
            ),
            Lang::Ja => format!(
                "最後の段階でもユーザーの {share} は対照として安定版に残る（`release.hold_back_pct`）。"
            ),
        });
    }
    lines
}

/// Lines that stable itself is over: whatever is released is rolled back.
fn over_a_ceiling(lang: Lang, outlook: &Outlook, plan: &Plan) -> Vec<String> {
    let lines = outlook.rungs.first().map(|rung| rung.lines.as_slice()).unwrap_or_default();
    let over = lines.iter().zip(&plan.rules).filter_map(|(line, rule)| {
        let (stable, ceiling) = line.stable.zip(rule.ceiling)?;
        (stable > ceiling).then(|| {
            let metric = line.metric.as_str();
            let is_guess = line.data == Data::Assumed;
            let [stable, ceiling] = [stable, ceiling].map(|value| lang.value(line.metric, value));
            let (text, guess) = match lang {
                Lang::En => (
                    format!(
                        "stable itself is over the ceiling of {metric}: {stable}, ceiling \
                         {ceiling}; whatever is released is rolled back"
                    ),
                    format!("; stable's value is a guess: give it with `--expect {metric}=…`."),
                ),
                Lang::Zh => (
                    format!(
                        "稳定版自己就超过了 {metric} 的上限：{stable}，上限 {ceiling}；\
                         发布什么都会被回滚"
                    ),
                    format!("，但稳定版的值是估计的：用 `--expect {metric}=…` 给出实际值。"),
                ),
                Lang::Ja => (
                    format!(
                        "安定版自体が {metric} の上限を超えている：{stable}、上限 {ceiling}。\
                         何をリリースしてもロールバックする"
                    ),
                    format!("。ただし推測：実際の値を `--expect {metric}=…` で与える。"),
                ),
            };
            let end = match lang {
                Lang::En => ".",
                Lang::Zh | Lang::Ja => "。",
            };
            if is_guess { text + &guess } else { text + end }
        })
    });
    over.collect()
}

fn head(lang: Lang, words: &PlanWords, shown: &Shown<'_>) -> Vec<String> {
    let outlook = shown.outlook;
    let from = match shown.rate_from {
        RateFrom::Given => words.rate_given,
        RateFrom::Baseline => words.rate_of_days,
    };
    let (days, requests) = (outlook.baseline_days, outlook.baseline_requests);
    let known = match (days, lang) {
        (0, _) => words.nothing_stored.to_owned(),
        (1, Lang::En) => format!("stable as in the last day ({requests} requests)"),
        (_, Lang::En) => format!("stable as in the last {days} days ({requests} requests)"),
        (_, Lang::Zh) => format!("稳定版按最近 {days} 天（{requests} 个请求）"),
        (_, Lang::Ja) => format!("安定版は直近 {days} 日の値（{requests} 件）"),
    };
    let (service, label) = (shown.service, shown.label);
    let rate = per_second(outlook.requests_per_s);
    vec![match lang {
        Lang::En => format!("{service}, {label}: {rate} requests a second, {from}; {known}"),
        Lang::Zh => format!("{service}，{label}：每秒 {rate} 个请求（{from}）；{known}"),
        Lang::Ja => format!("{service}、{label}：毎秒 {rate} 件（{from}）。{known}"),
    }]
}

fn per_second(rate: f64) -> String {
    let digits = match rate {
        10.0.. => 0,
        0.1.. => 2,
        _ => 5,
    };
    format!("{rate:.digits$}")
}

fn rungs(lang: Lang, words: &PlanWords, outlook: &Outlook) -> Vec<Vec<String>> {
    let mut rows = vec![words.rungs.map(str::to_owned).to_vec()];
    for (index, rung) in outlook.rungs.iter().enumerate() {
        let RungOutlook { passes_after_s, passes_after_requests, slowest, .. } = rung;
        let passes = match passes_after_s.zip(*passes_after_requests) {
            Some((after, requests)) => format!("{} ({requests})", lang.duration(after as f64)),
            None => words.not_in_30_days.to_owned(),
        };
        rows.push(vec![
            (index + 1).to_string(),
            rung.weight_pct.to_string(),
            lang.duration(rung.look_s as f64),
            rung.candidate_requests.to_string(),
            passes,
            slowest.map_or(words.answers, |metric| metric.as_str()).to_owned(),
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
    metric: &str,
    (name, known): (&str, impl Fn(&LineOutlook, &LineRule) -> String),
    cell: impl Fn(&LineOutlook) -> String,
) -> Vec<Vec<String>> {
    let last = outlook.rungs.len().saturating_sub(1);
    let shown = || {
        let rungs = outlook.rungs.iter().enumerate();
        rungs.filter(|(i, _)| *i + 1 < RUNGS_SHOWN || *i == last).map(|(_, rung)| rung)
    };
    let mut head = vec![metric.to_owned(), name.to_owned()];
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

/// A table of text, a little to the right.
fn indented(rows: &[Vec<String>]) -> impl Iterator<Item = String> {
    aligned(rows, usize::MAX).into_iter().map(|line| format!("  {line}"))
}

fn too_short(lang: Lang, words: &PlanWords, rung: &RungOutlook) -> String {
    let RungOutlook { weight_pct, look_s, candidate_requests: requests, .. } = rung;
    let look = lang.duration(*look_s as f64);
    let fewest = if *weight_pct > weight_pct.rest() {
        words.answers_of_stable
    } else {
        words.answers_of_candidate
    };
    let who = rung.slowest.map_or(fewest, |metric| metric.as_str());
    let blocking = rung.lines.iter().find(|line| Some(line.metric) == rung.slowest);
    let nothing = blocking.is_some_and(|line| line.data == Data::Nothing);
    let after = rung.passes_after_s.map(|after| lang.duration(after as f64));
    let s = if *requests == 1 { "" } else { "s" };
    let shows = match lang {
        Lang::En => format!("{weight_pct} for {look} is {requests} candidate request{s}: "),
        Lang::Zh => format!("{weight_pct} 观察 {look}，候选版只有 {requests} 个请求："),
        Lang::Ja => format!("{weight_pct} を {look}観察すると候補版は {requests} 件："),
    };
    let rest = match (after, nothing, lang) {
        (Some(after), _, Lang::En) => {
            format!("too few to let it pass; {who}: typically after {after}.")
        }
        (Some(after), _, Lang::Zh) => format!("太少，不能通过；{who} 通常要 {after}。"),
        (Some(after), _, Lang::Ja) => {
            format!("通過には足りない。{who} は通常 {after} かかる。")
        }
        (None, true, Lang::En) => {
            format!("it never passes; {who} is required and nothing gives a sample of it.")
        }
        (None, true, Lang::Zh) => format!("永远不会通过；{who} 是必需的，却没有它的样本。"),
        (None, true, Lang::Ja) => {
            format!("通過することはない。{who} は必須だが、その標本を与えるものがない。")
        }
        (None, false, Lang::En) => {
            format!("it does not pass within 30 days: too few samples ({who}).")
        }
        (None, false, Lang::Zh) => format!("30 天内不会通过：样本太少（{who}）。"),
        (None, false, Lang::Ja) => format!("30 日以内に通過しない。足りないのは{who}。"),
    };
    shows + &rest
}

fn not_judged(lang: Lang, outlook: &Outlook) -> Option<String> {
    let lines = &outlook.rungs.first()?.lines;
    let nothing = lines.iter().filter(|line| line.data == Data::Nothing && !line.required);
    let names: Vec<&str> = nothing.map(|line| line.metric.as_str()).collect();
    let text = match lang {
        Lang::En => "not judged (no samples, and not required): ",
        Lang::Zh => "不作判断（没有样本，也不要求有）：",
        Lang::Ja => "判定しない（標本がなく、必須でもない）：",
    };
    let comma = if lang == Lang::En { ", " } else { "、" };
    (!names.is_empty()).then(|| format!("{text}{}", names.join(comma)))
}

fn independence(lang: Lang, words: &PlanWords, outlook: &Outlook) -> Option<String> {
    let lines = &outlook.rungs.first()?.lines;
    let worst = lines.iter().max_by(|a, b| a.design_effect.total_cmp(&b.design_effect))?;
    let (effect, metric) = (worst.design_effect, worst.metric.as_str());
    if effect <= 1.0 {
        return Some(words.independence_unknown.to_owned());
    }
    Some(match lang {
        Lang::En => format!(
            "requests of one user are alike: up to {effect:.1} count as one independent request \
             ({metric})."
        ),
        Lang::Zh => {
            format!("同一用户的请求彼此相似：至多 {effect:.1} 个只抵一个独立请求（{metric}）。")
        }
        Lang::Ja => format!(
            "同じユーザーのリクエストは似ている：最大 {effect:.1} 件で独立した一件分（{metric}）。"
        ),
    })
}

fn total(lang: Lang, words: &PlanWords, outlook: &Outlook, alike: Option<&TotalAlike>) -> String {
    let Some(total) = outlook.total_s else {
        let stuck = outlook.rungs.iter().zip(1..).find(|(rung, _)| rung.passes_after_s.is_none());
        let (n, weight) = stuck.map_or((0, Weight::ZERO), |(rung, n)| (n, rung.weight_pct));
        return match lang {
            Lang::En => format!(
                "it is not promoted by itself: rung {n} ({weight}) does not pass within 30 days."
            ),
            Lang::Zh => format!("它不会自行转正：第 {n} 级（{weight}）30 天内过不去。"),
            Lang::Ja => {
                format!("自動では昇格しない：第 {n} 段階（{weight}）を 30 日以内に抜けられない。")
            }
        };
    };
    let spoken = lang.duration(total as f64);
    let longer = alike.filter(|alike| alike.total_s != Some(total)).map(|alike| {
        let long = alike.total_s.map(|s| lang.duration(s as f64));
        long.unwrap_or_else(|| words.over_30_days.to_owned())
    });
    match (longer, lang) {
        (None, Lang::En) => format!("if nothing is wrong, it is promoted after about {spoken}."),
        (None, Lang::Zh) => format!("如果一切正常，大约 {spoken}后转正。"),
        (None, Lang::Ja) => format!("問題がなければ、約 {spoken}後に昇格する。"),
        (Some(long), Lang::En) => format!(
            "if nothing is wrong, it is promoted after about {spoken} to {long}, depending on how \
             alike the requests of one user are."
        ),
        (Some(long), Lang::Zh) => {
            format!("如果一切正常，大约 {spoken}到 {long}后转正，取决于同一用户的请求有多相似。")
        }
        (Some(long), Lang::Ja) => format!(
            "問題がなければ、約 {spoken}から {long}後に昇格する。同じユーザーのリクエストが\
             どれだけ似ているかによる。"
        ),
    }
}
