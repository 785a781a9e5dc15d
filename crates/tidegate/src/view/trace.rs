//! One request: who asked, which version set answered, how long it took, what became of it.

use super::words::{TraceWords, Words};
use crate::clock::rfc3339;
use crate::lang::{self, Lang};
use crate::output::{Tone, padded, paint, wrapped};
use crate::store::Unrecorded;
use serde_json::{Value, json};
use tidegate_core::evidence::{
    Admission, Record, RecordedFallback, RecordedRetrieval, RecordedToolCall, RecordedToolResult,
};
use tidegate_core::guard::Signal;
use tidegate_core::observe::{Feedback, Timing};
use tidegate_core::retrieval::Claims;
use tidegate_core::route::Arm;
use tidegate_core::upstream::FaultOwner;
use tidegate_core::version_set::{NamedSet, VersionKeys};
use unicode_width::UnicodeWidthStr as _;

/// The newest record of a trace; where other tenants used the id too, theirs are beside it.
pub(crate) fn trace_as_json(found: &[(Record, Vec<Feedback>)], unrecorded: &[Unrecorded]) -> Value {
    let one = |found: &(Record, Vec<Feedback>)| {
        let (record, feedback) = found;
        json!({ "record": record, "feedback": feedback })
    };
    let mut all = found.iter().map(one);
    let mut newest = all.next().unwrap_or_else(|| json!({ "record": null, "feedback": [] }));
    let others: Vec<Value> = all.collect();
    if !others.is_empty() {
        newest["others"] = others.into();
    }
    if !unrecorded.is_empty() {
        let rows = unrecorded.iter().map(|Unrecorded { admission, is_over }| {
            json!({ "admission": admission, "process_ended": is_over })
        });
        newest["unrecorded"] = rows.collect();
    }
    newest
}

/// The request in the reader's language.
pub(crate) fn trace(record: &Record, feedback: &[Feedback]) -> Vec<String> {
    trace_in(lang::reader(), record, feedback)
}

fn trace_in(lang: Lang, record: &Record, feedback: &[Feedback]) -> Vec<String> {
    let words = &Words::of(lang).trace;
    let mut rows = vec![
        (words.trace, record.trace_id.to_string()),
        (words.at, rfc3339(record.at)),
        (words.who, who(words, record.user.as_deref(), record.tenant.as_deref())),
        (words.served_by, served_by(words, record.arm, &record.set)),
        (words.result, result(lang, words, record)),
        (words.time, time(words, &record.timing, record.streamed)),
        (words.tokens, tokens(lang, words, record)),
    ];
    if let Some(RecordedRetrieval { chunks, failed, words_only, cited: _, claims }) =
        &record.retrieval
    {
        let found = if chunks.is_empty() { words.none.to_owned() } else { chunks.join(", ") };
        rows.push((
            words.retrieval,
            match failed {
                Some(why) => paint(Tone::Red, why),
                None => match words_only {
                    Some(why) => format!("{found} ({})", paint(Tone::Yellow, why)),
                    None => found,
                },
            },
        ));
        if let Some(Claims { made, uncited, ungrounded }) = claims {
            let (lack, support) = (words.uncited, words.ungrounded);
            let said = format!("{made} ({uncited} {lack}, {ungrounded} {support})");
            rows.push((words.claims, said));
        }
    }
    for call in &record.tool_calls {
        rows.push((words.tool, called(lang, call)));
    }
    for result in &record.tool_results {
        rows.push((words.tool, came_back(lang, result)));
    }
    if let Some(change_id) = &record.change_id {
        rows.push((words.release, change_id.to_string()));
    }
    if let Some(said) = &record.upstream_said {
        rows.push((words.upstream, paint(Tone::Red, said)));
    }
    if let Some(fallback) = &record.fallback {
        rows.push((words.fallback, paint(Tone::Yellow, &instead(lang, fallback))));
    }
    if let Some(problem) = &record.contract_problem {
        let result = record.repair.map(|it| format!(" ({})", it.as_str())).unwrap_or_default();
        rows.push((words.contract, paint(Tone::Red, &format!("{problem}{result}"))));
    }
    for event in &record.risk {
        let text = format!("{}: {}", event.kind.as_str(), event.detail);
        rows.push((words.risk, paint(Tone::Red, &text)));
    }
    for Signal { kind, place, detail } in &record.signals {
        let text = format!("{} ({}): {detail}", kind.as_str(), place.as_str());
        rows.push((words.risk, paint(Tone::Yellow, &text)));
    }
    let names = rows.len();
    rows.push((words.input, content(lang, record.input.as_ref(), record.prompt_length)));
    rows.push((words.output, content(lang, record.output.as_ref(), record.response_length)));
    for item in feedback {
        rows.push((words.feedback, serde_json::to_string(item).unwrap_or_default()));
    }
    laid_out(rows, names)
}

/// A request that was admitted and has no record, in the reader's language.
pub(crate) fn unrecorded(unrecorded: &Unrecorded) -> Vec<String> {
    unrecorded_in(lang::reader(), unrecorded)
}

fn instead(lang: Lang, RecordedFallback { upstream, model, failure }: &RecordedFallback) -> String {
    let ended = failure.map(|failure| format!(" ({})", failure.as_str())).unwrap_or_default();
    match lang {
        Lang::En => format!("`{model}` of `{upstream}` answered instead{ended}"),
        Lang::Zh => format!("由 `{upstream}` 的 `{model}` 代为回答{ended}"),
        Lang::Ja => format!("`{upstream}` の `{model}` が代わりに回答{ended}"),
    }
}

fn unrecorded_in(lang: Lang, Unrecorded { admission, is_over }: &Unrecorded) -> Vec<String> {
    let words = &Words::of(lang).trace;
    let Admission { trace_id, request_id: _, at, tenant, user, arm, set, change_id } = admission;
    let mut rows = vec![
        (words.trace, trace_id.to_string()),
        (words.at, rfc3339(*at)),
        (words.who, who(words, user.as_deref(), tenant.as_deref())),
        (words.served_by, served_by(words, *arm, set)),
        (words.result, no_record(lang, *is_over)),
    ];
    rows.extend(change_id.as_ref().map(|change_id| (words.release, change_id.to_string())));
    let names = rows.len();
    laid_out(rows, names)
}

/// Rows with their labels; the first `names` of them are broken into lines.
fn laid_out(rows: Vec<(&'static str, String)>, names: usize) -> Vec<String> {
    let width = rows.iter().map(|(label, _)| label.width()).max().unwrap_or(0).max(10);
    let lines = rows.into_iter().enumerate().flat_map(|(row, (label, value))| {
        let line = format!("{} {value}", padded(label, width));
        // What was said is not broken: it may be copied.
        if row < names { wrapped(&line, width + 1) } else { vec![line] }
    });
    lines.collect()
}

fn who(words: &TraceWords, user: Option<&str>, tenant: Option<&str>) -> String {
    let (user, tenant) = (user.unwrap_or(words.none), tenant.unwrap_or(words.none));
    format!("{} {user} · {} {tenant}", words.user, words.tenant)
}

fn served_by(words: &TraceWords, arm: Arm, set: &NamedSet) -> String {
    let VersionKeys { code, prompt, model, index } = &set.keys;
    let arm = match arm {
        Arm::Stable => words.stable,
        Arm::Candidate => words.candidate,
    };
    let parts =
        [(words.prompt, prompt), (words.model, model), (words.index, index), (words.code, code)];
    let parts = parts.map(|(word, version)| format!("{word} {version}")).join(" · ");
    format!("{arm} · {} · {parts}", set.id)
}

fn no_record(lang: Lang, is_over: bool) -> String {
    let text = match (lang, is_over) {
        (Lang::En, true) => "admitted; the process ended before the record was written",
        (Lang::En, false) => "admitted; it has no record yet",
        (Lang::Zh, true) => "已受理；进程在写下记录之前结束",
        (Lang::Zh, false) => "已受理；还没有记录",
        (Lang::Ja, true) => "受理済み。記録が書かれる前にプロセスが終了した",
        (Lang::Ja, false) => "受理済み。記録はまだない",
    };
    paint(if is_over { Tone::Red } else { Tone::Yellow }, text)
}

fn result(lang: Lang, words: &TraceWords, record: &Record) -> String {
    let status = record.status;
    let Some(failure) = record.failure else { return format!("{status} · {}", words.answered) };
    let whose = match (lang, failure.fault()) {
        (Lang::En, FaultOwner::Upstream) => "(the upstream's fault)",
        (Lang::En, FaultOwner::Client) => "(the client's fault)",
        (Lang::En, FaultOwner::Ours) => "(our fault)",
        (Lang::En, FaultOwner::Operator) => "(the server was stopped)",
        (Lang::Zh, FaultOwner::Upstream) => "（上游的问题）",
        (Lang::Zh, FaultOwner::Client) => "（调用方的问题）",
        (Lang::Zh, FaultOwner::Ours) => "（网关自己的问题）",
        (Lang::Zh, FaultOwner::Operator) => "（服务器被停止）",
        (Lang::Ja, FaultOwner::Upstream) => "（上流の問題）",
        (Lang::Ja, FaultOwner::Client) => "（呼び出し側の問題）",
        (Lang::Ja, FaultOwner::Ours) => "（ゲートウェイの問題）",
        (Lang::Ja, FaultOwner::Operator) => "（サーバーが停止された）",
    };
    format!("{status} · {} {whose}", failure.as_str())
}

/// All of a whole answer comes at once: when its first token was made, only the model server knows.
fn time(words: &TraceWords, timing: &Timing, streamed: bool) -> String {
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
    let first = (streamed || timing.first_token_us > 0).then_some(timing.first_token_us);
    let parts = [
        (words.queue, Some(timing.queue_us)),
        (words.retrieval, Some(timing.retrieval_us)),
        (words.first_token, first),
        (words.generation, Some(timing.generation_us)),
    ];
    let parts = parts.into_iter().filter_map(|(word, us)| Some(format!("{word} {}", ms(us?))));
    format!("{} = {}", ms(timing.total_us), parts.collect::<Vec<_>>().join(" + "))
}

fn tokens(lang: Lang, words: &TraceWords, record: &Record) -> String {
    let estimated = match record.tokens_estimated {
        true => format!(" {}", words.estimated),
        false => String::new(),
    };
    let cost = record.cost_micro_usd as f64 / 1e6;
    let (tokens_in, tokens_out) = (record.tokens_in, record.tokens_out);
    let counts = match lang {
        Lang::En => format!("{tokens_in} in, {tokens_out} out"),
        Lang::Zh => format!("输入 {tokens_in}，输出 {tokens_out}"),
        Lang::Ja => format!("入力 {tokens_in}、出力 {tokens_out}"),
    };
    format!("{counts}{estimated} · ${cost:.6}")
}

fn called(lang: Lang, call: &RecordedToolCall) -> String {
    let (name, allowed) = (&call.name, call.allowed);
    match (lang, allowed) {
        (Lang::En, true) => format!("the answer calls {name}"),
        (Lang::En, false) => format!("the answer calls {name}, which is not allowed"),
        (Lang::Zh, true) => format!("回答调用 {name}"),
        (Lang::Zh, false) => format!("回答调用 {name}，不在允许之列"),
        (Lang::Ja, true) => format!("回答が {name} を呼び出し"),
        (Lang::Ja, false) => format!("回答が {name} を呼び出し（許可されていない）"),
    }
}

fn came_back(lang: Lang, result: &RecordedToolResult) -> String {
    let RecordedToolResult { name, took_us, failed } = result;
    let ms = format!("{:.1} ms", *took_us as f64 / 1000.0);
    match (lang, failed) {
        (Lang::En, Some(true)) => format!("the request brings the result of {name}: failed, {ms}"),
        (Lang::En, Some(false)) => format!("the request brings the result of {name}: ok, {ms}"),
        (Lang::En, None) => format!("the request brings the result of {name}, {ms}"),
        (Lang::Zh, Some(true)) => format!("请求带来 {name} 的结果：失败，{ms}"),
        (Lang::Zh, Some(false)) => format!("请求带来 {name} 的结果：成功，{ms}"),
        (Lang::Zh, None) => format!("请求带来 {name} 的结果，{ms}"),
        (Lang::Ja, Some(true)) => format!("リクエストに {name} の結果：失敗、{ms}"),
        (Lang::Ja, Some(false)) => format!("リクエストに {name} の結果：成功、{ms}"),
        (Lang::Ja, None) => format!("リクエストに {name} の結果、{ms}"),
    }
}

fn content(lang: Lang, text: Option<&String>, chars: u64) -> String {
    text.cloned().unwrap_or_else(|| match lang {
        Lang::En => format!("({chars} characters, content not kept)"),
        Lang::Zh => format!("（{chars} 个字符，内容没有保存）"),
        Lang::Ja => format!("（{chars} 文字、内容は保存されていない）"),
    })
}
