//! What a record costs: CPU, bytes on disk, and finding it again.
//!
//! `cargo bench -p tidegate-store --bench records -- --records 10000000 --texts FOLDER`. The folder
//! has files of JSON lines with `prompt` or `answer`; without one, texts are made of random words,
//! which compress better than what people and models write.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tidegate_core::evidence::Record;
use tidegate_core::ids::TraceId;
use tidegate_store::{Access, RecordQuery, Records as _, SqliteStore};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Records made before they are handed over, so that making them is not measured.
const BURST: u64 = 512;
/// Traces looked up.
const LOOKUPS: u64 = 2_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut records, mut texts, mut rates) = (50_000, None, vec![8_000, 1_000]);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--records" => records = arguments.next().unwrap_or_default().parse()?,
            "--texts" => texts = arguments.next(),
            "--no-rates" => rates.clear(),
            _ => {}
        }
    }
    let texts = texts.map_or_else(|| Ok(Texts::made_up()), |folder| Texts::read(&folder))?;
    let template = serde_json::from_value(template())?;
    let maker = Maker { texts, template };
    let root = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let empty = size(root.path(), &runtime)?;
    as_fast_as_it_goes(&maker, root.path(), &runtime, records, empty)?;
    lookups(&maker, root.path(), records)?;
    questions(root.path())?;
    for rate in rates {
        at_a_rate(&maker, &runtime, rate)?;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// What people asked and models answered.
struct Texts {
    prompts: Vec<String>,
    answers: Vec<String>,
}

impl Texts {
    fn read(folder: &str) -> Result<Texts> {
        let mut texts = Texts { prompts: Vec::new(), answers: Vec::new() };
        for file in std::fs::read_dir(folder)? {
            for line in std::fs::read_to_string(file?.path())?.lines() {
                let value: Value = serde_json::from_str(line)?;
                texts.prompts.extend(value["prompt"].as_str().map(str::to_owned));
                texts.answers.extend(value["answer"].as_str().map(str::to_owned));
            }
        }
        match texts.prompts.is_empty() || texts.answers.is_empty() {
            true => Err(format!("{folder} has no lines with `prompt` and `answer`").into()),
            false => Ok(texts),
        }
    }

    fn made_up() -> Texts {
        let word = |n: u64| {
            // The lower the number the more often: about as words of a language are used.
            let rank = random(n) % (1 + random(n + 1) % 4_000);
            let letters = 1 + random(rank) % 9;
            let letter = |at| char::from(b'a' + u8::try_from(random(rank + at) % 26).unwrap_or(0));
            (0..letters).map(letter).collect::<String>()
        };
        let text = |n: u64, words: u64| {
            (0..words).map(|at| word(n * 1_000 + at)).collect::<Vec<_>>().join(" ")
        };
        let prompts = (0..800).map(|n| text(n, 10 + random(n) % 40)).collect();
        let answers = (0..3_200).map(|n| text(n + 800, 60 + random(n) % 240)).collect();
        Texts { prompts, answers }
    }
}

/// A number that looks random (SplitMix64).
fn random(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Makes records as a service with 5,000 users has them.
struct Maker {
    texts: Texts,
    template: Record,
}

fn template() -> Value {
    json!({
        "trace_id": "t", "request_id": "r", "at": 0, "tenant": "acme", "arm": "stable",
        "version_set": {"id": "vs-0f3a9c21d4e7", "code_v": "2026-11-20", "prompt_v": "v12",
            "model_v": "gpt-4o-mini", "index_v": "v3"},
        "status": 200, "streamed": true, "tokens_in": 0, "tokens_out": 0,
        "tokens_estimated": false, "cost_micro_usd": 0,
        "timing": {"queue_us": 0, "retrieval_us": 0, "first_token_us": 0, "generation_us": 0,
            "total_us": 0},
        "tool_calls": [], "finish_reason": "stop", "upstream_model": "gpt-4o-mini-2024-07-18",
        "refused": false, "pii": false, "risk": [], "prompt_length": 0, "response_length": 0
    })
}

fn trace(n: u64) -> Result<TraceId> {
    Ok(TraceId::parse(&format!("{:016x}{:016x}", random(2 * n), random(2 * n + 1)))?)
}

impl Maker {
    fn record(&self, n: u64) -> Result<Record> {
        let pick = |texts: &[String], at: u64| {
            let place = usize::try_from(at % texts.len() as u64).unwrap_or_default();
            texts.get(place).cloned().unwrap_or_default()
        };
        let input = pick(&self.texts.prompts, random(n));
        let output = pick(&self.texts.answers, random(n + 7));
        let mut record = self.template.clone();
        record.trace_id = trace(n)?;
        record.request_id = format!("{:016x}{:016x}", random(3 * n), random(3 * n + 2));
        record.at.0 = 1_764_300_000_000 + n;
        record.user = Some(format!("user-{}", random(n) % 5_000));
        record.tokens_in = input.len() as u64 / 4;
        record.tokens_out = output.len() as u64 / 4;
        record.cost_micro_usd = record.tokens_out * 3 / 5;
        record.timing.queue_us = random(n + 1) % 60;
        record.timing.first_token_us = 200_000 + random(n + 2) % 300_000;
        record.timing.generation_us = 900_000 + random(n + 3) % 3_000_000;
        record.timing.total_us = record.timing.first_token_us + record.timing.generation_us;
        record.prompt_length = input.chars().count() as u64;
        record.response_length = output.chars().count() as u64;
        (record.input, record.output) = (Some(input), Some(output));
        // A release runs all the time; one request in a hundred of its candidate fails.
        record.change_id = Some("prompt-v13-a1b2c".parse()?);
        if random(n + 4).is_multiple_of(10) {
            record.arm = tidegate_core::route::Arm::Candidate;
            if random(n + 5).is_multiple_of(100) {
                record.failure = Some(tidegate_core::upstream::Failure::ServerError);
            }
        }
        Ok(record)
    }
}

fn text_bytes(record: &Record) -> u64 {
    let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len) as u64;
    bytes(&record.input) + bytes(&record.output)
}

/// CPU time, µs.
fn cpu(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// CPU time of all threads but this one: of the writer, since nothing else runs.
fn writer_cpu() -> f64 {
    cpu(ClockId::ProcessCPUTime) - cpu(ClockId::ThreadCPUTime)
}

/// Bytes of the state's file when it is closed.
fn size(root: &Path, runtime: &tokio::runtime::Runtime) -> Result<u64> {
    let store = SqliteStore::open(root, Access::Exclusive)?;
    runtime.block_on(store.flush())?;
    drop(store);
    Ok(std::fs::metadata(root.join(".tidegate/state.db"))?.len())
}

fn as_fast_as_it_goes(
    maker: &Maker,
    root: &Path,
    runtime: &tokio::runtime::Runtime,
    records: u64,
    empty: u64,
) -> Result<()> {
    let store = SqliteStore::open(root, Access::Exclusive)?;
    let (mut text, mut pushing) = (0, 0.0);
    let (before, begun) = (writer_cpu(), Instant::now());
    let mut n = 0;
    while n < records {
        let burst = n..records.min(n + BURST);
        let made = burst.clone().map(|n| maker.record(n)).collect::<Result<Vec<_>>>()?;
        text += made.iter().map(text_bytes).sum::<u64>();
        let from = cpu(ClockId::ThreadCPUTime);
        let taken =
            made.into_iter().filter_map(|record| store.record(store.begin(), record).then_some(()));
        let taken = taken.count() as u64;
        pushing += cpu(ClockId::ThreadCPUTime) - from;
        if taken != burst.end - burst.start {
            return Err("records were dropped".into());
        }
        n = burst.end;
        // The queue is bounded: the writer catches up before it is full.
        if n.is_multiple_of(8 * BURST) {
            runtime.block_on(store.flush())?;
        }
    }
    runtime.block_on(store.flush())?;
    let (spent, took) = (writer_cpu() - before, begun.elapsed().as_secs_f64());
    drop(store);
    let bytes = size(root, runtime)?.saturating_sub(empty);
    let each = |sum: f64| sum / records as f64;
    say(&format!(
        "as fast as it goes: {records} records of {:.0} bytes of text\n\
         \x20 writer {:.2} µs CPU a record, push {:.0} ns, {:.0} records/s\n\
         \x20 on disk {:.0} bytes a record, {:.3} of the text",
        each(text as f64),
        each(spent),
        each(pushing) * 1e3,
        records as f64 / took,
        each(bytes as f64),
        bytes as f64 / text as f64,
    ))
}

fn lookups(maker: &Maker, root: &Path, records: u64) -> Result<()> {
    let store = SqliteStore::open(root, Access::Read)?;
    let timed = |id: &TraceId| -> Result<(f64, Option<Record>)> {
        let begun = Instant::now();
        let found = store.trace(Some("acme"), id)?;
        Ok((begun.elapsed().as_secs_f64() * 1e3, found))
    };
    for (what, is_kept) in [("found", true), ("not there", false)] {
        let mut times = Vec::new();
        for at in 0..LOOKUPS {
            let n = random(at) % records;
            let id = trace(if is_kept { n } else { n + records })?;
            let (ms, found) = timed(&id)?;
            times.push(ms);
            let expected = if is_kept { Some(maker.record(n)?) } else { None };
            if found != expected {
                return Err(format!("trace {id} is not what was written").into());
            }
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times.get(place).copied().unwrap_or_default()
        };
        say(&format!(
            "trace, {what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            at(0.5),
            at(0.99),
            times.last().copied().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn questions(root: &Path) -> Result<()> {
    let store = SqliteStore::open(root, Access::Read)?;
    let change_id = "prompt-v13-a1b2c".parse()?;
    let arm = tidegate_core::route::Arm::Candidate;
    let begun = Instant::now();
    let (requests, users) = store.exposure(&change_id, arm)?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    say(&format!("exposure: {requests} requests of {users} users in {took:.1} ms"))?;
    let query = |failing_only| RecordQuery {
        change_id: Some(change_id.clone()),
        arm: Some(arm),
        failing_only,
        newest_first: true,
        limit: 2_000,
        ..RecordQuery::default()
    };
    for failing_only in [false, true] {
        let begun = Instant::now();
        let found = store.records(&query(failing_only))?.len();
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let what = if failing_only { "failing" } else { "newest" };
        say(&format!("{what}: {found} records of the candidate in {took:.1} ms"))?;
    }
    Ok(())
}

/// Five seconds of so many records a second: commits are smaller, and small batches are merged.
fn at_a_rate(maker: &Maker, runtime: &tokio::runtime::Runtime, rate: u64) -> Result<()> {
    let root = tempfile::tempdir()?;
    let empty = size(root.path(), runtime)?;
    let store = SqliteStore::open(root.path(), Access::Exclusive)?;
    let total = rate * 5;
    let (mut text, mut n) = (0, 0);
    let (before, begun) = (writer_cpu(), Instant::now());
    while n < total {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while n < due.min(total) {
            let record = maker.record(n)?;
            text += text_bytes(&record);
            store.record(store.begin(), record);
            n += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    runtime.block_on(store.flush())?;
    let (spent, dropped) = (writer_cpu() - before, store.dropped_records());
    drop(store);
    let bytes = size(root.path(), runtime)?.saturating_sub(empty);
    say(&format!(
        "{rate} records/s: writer {:.2} µs CPU a record, on disk {:.3} of the text, \
         {dropped} dropped",
        spent / total as f64,
        bytes as f64 / text as f64,
    ))
}
