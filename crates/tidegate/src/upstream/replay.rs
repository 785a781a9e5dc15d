//! Recorded answers from a JSONL file: what a model said is played back, and nothing is made up. A
//! prompt that was not recorded is refused.

use super::completion::{self, Pace, Prompt, Schedule};
use super::{Call, Reply, SetupError, UpstreamError, bounds};
use crate::clock::Clock;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::Finish;
use tidegate_wire::openai_chat::Completion;

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The model that answered; left out, the line serves every model.
    #[serde(default)]
    model: Option<String>,
    /// The last user message, spaces around it aside.
    prompt: String,
    /// What was answered.
    answer: String,
    /// Until the first token, ms.
    #[serde(default)]
    latency_ms: Option<u64>,
    /// Tokens of the request; estimated where not recorded.
    #[serde(default)]
    tokens_in: Option<u64>,
    /// Tokens of the answer; estimated where not recorded.
    #[serde(default)]
    tokens_out: Option<u64>,
}

#[derive(Debug)]
struct Recorded {
    at: usize,
    line: Line,
}

/// The recorded answers of one file.
#[derive(Debug)]
pub(crate) struct Replay {
    recorded: HashMap<String, Vec<Recorded>>,
    latency_ms: u64,
    ms_per_token: f64,
    clock: Clock,
}

impl Replay {
    /// Reads the file of the upstream `name`.
    ///
    /// # Errors
    /// A file that cannot be read or is empty, a line that is not of the form, or two lines with
    /// different answers for one model and prompt.
    pub(crate) fn new(
        name: &str,
        path: &Path,
        latency_ms: u64,
        ms_per_token: f64,
        clock: &Clock,
    ) -> Result<Self, SetupError> {
        let file = std::fs::File::open(path).map_err(|error| {
            let (name, path) = (name.to_owned(), path.to_owned());
            SetupError::Recording { name, path, source: error }
        })?;
        let recorded = read(BufReader::new(file), path)?;
        if recorded.is_empty() {
            let (name, path) = (name.to_owned(), path.to_owned());
            return Err(SetupError::NoAnswers { name, path });
        }
        Ok(Replay { recorded, latency_ms, ms_per_token, clock: clock.clone() })
    }

    /// Plays one answer back.
    ///
    /// # Errors
    /// A refusal (404) where none was recorded, or a deadline that is shorter than the recording.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        let pace = Pace::start(&self.clock, call.deadlines);
        let model = completion::model(&call.body);
        let prompt = Prompt::of(&call.body);
        let Some(line) = self.find(model, &prompt.user) else {
            let message = "no recorded answer for this prompt and model";
            let error = UpstreamError::new(Failure::Refused, message, pace.elapsed_now());
            return Err(UpstreamError { status: Some(404), ..error });
        };
        let tokens_out = line.tokens_out.unwrap_or_else(|| estimate_tokens(&line.answer));
        let first_token = completion::ms(line.latency_ms.unwrap_or(self.latency_ms) as f64);
        let writing = completion::ms(self.ms_per_token * tokens_out as f64);
        let schedule = Schedule { first_token, total: first_token + writing, cut: false };
        let completion = Completion {
            id: format!("chatcmpl-{}", call.request_id),
            created: self.clock.now().0 / 1000,
            model: model.to_owned(),
            fingerprint: "replay",
            text: line.answer.clone(),
            tool: None,
            finish: Finish::Stop,
            tokens_in: line.tokens_in.unwrap_or_else(|| prompt.tokens()),
            tokens_out,
        };
        pace.deliver(&call, &completion, schedule).await
    }

    /// Whether this request's answer has a time, its own or the upstream's.
    pub(super) fn is_timed(&self, body: &Map<String, Value>) -> bool {
        let line = self.find(completion::model(body), &Prompt::of(body).user);
        self.latency_ms > 0 || line.is_some_and(|line| line.latency_ms.is_some())
    }

    /// The line of this model, or else the one of every model.
    fn find(&self, model: &str, prompt: &str) -> Option<&Line> {
        let lines = self.recorded.get(prompt.trim())?;
        let of = |wanted: Option<&str>| {
            lines.iter().map(|recorded| &recorded.line).find(|l| l.model.as_deref() == wanted)
        };
        of(Some(model)).or_else(|| of(None))
    }
}

fn read(
    mut file: impl std::io::BufRead,
    path: &Path,
) -> Result<HashMap<String, Vec<Recorded>>, SetupError> {
    let mut recorded: HashMap<String, Vec<Recorded>> = HashMap::new();
    let mut text = String::new();
    for at in 1.. {
        let wrong = |what: String| SetupError::Line { path: path.to_owned(), line: at, what };
        text.clear();
        let max = bounds::REPLAY_LINE_MAX as u64;
        let count = (&mut file).take(max + 1).read_line(&mut text);
        let count = count.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if count == 0 {
            break;
        }
        if count as u64 > max {
            return Err(wrong(format!("the line is over {max} bytes")));
        }
        let content = text.strip_prefix('\u{feff}').unwrap_or(&text).trim();
        if content.is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(content).map_err(|error| wrong(explain(&error)))?;
        let lines = recorded.entry(line.prompt.trim().to_owned()).or_default();
        match lines.iter().find(|other| other.line.model == line.model) {
            Some(other) if other.line.answer != line.answer => {
                let first = other.at;
                let message = format!("another answer than line {first} for the same prompt");
                return Err(wrong(message));
            }
            Some(_) => {}
            None => lines.push(Recorded { at, line }),
        }
    }
    Ok(recorded)
}

/// What is wrong with a line, without its texts: Serde quotes the value of a wrong type.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let about_names = ["unknown field", "missing field", "duplicate field"];
    if about_names.iter().any(|start| text.starts_with(start)) {
        let end = text.rfind(" at line ").unwrap_or(text.len());
        text[..end].to_owned()
    } else if error.is_data() {
        format!("a member has the wrong type (column {})", error.column())
    } else {
        format!("not JSON (column {})", error.column())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{call, stream, text, whole};
    use super::*;
    use serde_json::json;
    use std::time::Duration;
    use tidegate_core::ids::UnixMs;

    fn open(lines: &str, clock: &Clock) -> Result<Replay, SetupError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        std::fs::write(&path, lines).unwrap();
        Replay::new("main", &path, 200, 10.0, clock)
    }

    fn demo() -> Clock {
        Clock::demo(UnixMs(1_700_000_000_000), 1_000_000)
    }

    fn check_error(lines: &str, expected: &str) {
        let error = open(lines, &Clock::Real).unwrap_err();
        let message = error.to_string();
        let message = message.rsplit('/').next().unwrap().to_owned();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("SECRET"), "{message}");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = "{\"prompt\":\"a\",\"answer\":\"b\"}\n";
        check_error(&format!("{good}\n{good}{{\"prompt\":"), "answers.jsonl:4: not JSON");
        check_error(&format!("{good}SECRET"), "answers.jsonl:2: not JSON");
        check_error("{\"prompt\":\"a\"}", "answers.jsonl:1: missing field `answer`");
        check_error(
            "{\"prompt\":\"a\",\"answer\":\"b\",\"win\":1}",
            "answers.jsonl:1: unknown field `win`",
        );
        check_error(
            "{\"prompt\":\"a\",\"answer\":\"b\",\"tokens_in\":\"SECRET\"}",
            "answers.jsonl:1: a member has the wrong type",
        );
        check_error(
            &format!("{good}{{\"prompt\":\" a \",\"answer\":\"SECRET\"}}"),
            "answers.jsonl:2: another answer than line 1",
        );
        check_error("\n", "has no answers");
        let error = Replay::new("main", Path::new("/no/such"), 0, 0.0, &Clock::Real).unwrap_err();
        assert!(error.to_string().contains("`/no/such` cannot be read"), "{error}");
    }

    const LINES: &str = concat!(
        "{\"model\":\"m1\",\"prompt\":\"退款?\",\"answer\":\"七天。\",\"tokens_in\":9,\"tokens_out\":4,",
        "\"latency_ms\":50}\n",
        "{\"prompt\":\"退款?\",\"answer\":\"anyone's answer\"}\n",
    );

    #[tokio::test]
    async fn answers_are_found_by_model_and_prompt() {
        let replay = open(LINES, &demo()).unwrap();
        let answer = whole(replay.call(call("m1", "", " 退款? ")).await);
        assert_eq!(text(&answer.0), "七天。");
        assert_eq!(
            answer.0["usage"],
            json!({"prompt_tokens":9,"completion_tokens":4,"total_tokens":13})
        );
        assert_eq!(answer.1.first_token, Duration::from_millis(90));
        assert_eq!(answer.1.total, Duration::from_millis(90));
        let answer = whole(replay.call(call("m2", "", "退款?")).await);
        assert_eq!(
            (text(&answer.0), answer.0["model"].as_str().unwrap()),
            ("anyone's answer", "m2")
        );
        assert_eq!(answer.0["usage"]["completion_tokens"], 4);
        let error = replay.call(call("m1", "", "other")).await.unwrap_err();
        assert_eq!((error.failure, error.status), (Failure::Refused, Some(404)));
    }

    #[tokio::test]
    async fn a_stream_has_the_same_text_and_its_usage() {
        let replay = open(LINES, &demo()).unwrap();
        let mut call = call("m1", "", "退款?");
        call.stream = true;
        call.body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        let got = stream(replay.call(call).await).await;
        assert_eq!(got.text, "七天。");
        assert_eq!(got.finish.as_deref(), Some("stop"));
        assert_eq!(got.chunks.last().unwrap()["usage"]["total_tokens"], 13);
        assert_eq!(got.chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let elapsed = got.end.unwrap();
        assert_eq!(elapsed.first_token, Duration::from_millis(50));
        assert_eq!(elapsed.total, Duration::from_millis(90));
    }

    #[tokio::test]
    async fn a_recording_slower_than_the_deadline_fails() {
        let replay = open(LINES, &demo()).unwrap();
        let mut late = call("m1", "", "退款?");
        late.deadlines.first_byte = Duration::from_millis(40);
        let error = replay.call(late).await.unwrap_err();
        assert_eq!(error.failure, Failure::FirstByteTimeout);
        assert_eq!(error.elapsed.total, Duration::from_millis(40));
        let mut late = call("m1", "", "退款?");
        late.stream = true;
        late.deadlines.total = Duration::from_millis(60);
        let got = stream(replay.call(late).await).await;
        assert_eq!(got.end.unwrap_err().failure, Failure::TotalTimeout);
    }
}
