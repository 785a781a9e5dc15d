//! Answers, whole and streamed.

use crate::facts::{Finish, TOOL_CALLS_MAX, Usage};
use crate::gemini::{Answer, Part, read_answer};
use crate::openai_chat::shape::{Call, Envelope, ExtraContent, Function, GoogleExtra, Said, Text};
use crate::problem::AnswerProblem;
use crate::translate::chunks::{Head, Step};
use std::borrow::Cow;

/// Translates a whole answer; `created` is when it came, seconds since the epoch.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn answer(body: &[u8], created: u64) -> Result<Vec<u8>, AnswerProblem> {
    let answer = read_answer(body)?;
    if !answer.is_answer {
        return Err(AnswerProblem::NoContent);
    }
    let id = answer.id.clone().unwrap_or_default();
    let model = answer.model.clone().unwrap_or_default();
    let usage = answer.usage;
    let mut calls = 0;
    let mut spoken = spoken(answer, &id, &mut calls)?;
    // Numbers are for chunks.
    spoken.calls.iter_mut().for_each(|call| call.index = None);
    let said = Said {
        role: Some("assistant"),
        content: Text::or_null(spoken.text),
        refusal: Text::or_null(spoken.refusal),
        reasoning_content: spoken.reasoning.map(Cow::Owned),
        tool_calls: spoken.calls,
        ..Said::default()
    };
    let finish = spoken.finish.map(|finish| with_calls(finish, calls));
    let envelope = Envelope { id: &id, created, model: &model };
    Ok(envelope.answer(&said, finish.as_ref(), usage))
}

/// What an answer or an event says.
struct Spoken {
    text: String,
    reasoning: Option<String>,
    refusal: String,
    calls: Vec<Call<'static>>,
    finish: Option<Finish>,
}

fn spoken(answer: Answer<'_>, id: &str, calls: &mut usize) -> Result<Spoken, AnswerProblem> {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut called = Vec::new();
    for part in answer.parts {
        match part {
            Part::Text(more) => text.push_str(&more),
            Part::Thought(more) => reasoning.push_str(&more),
            Part::Call { .. } if *calls == TOOL_CALLS_MAX => {
                return Err(AnswerProblem::TooManyToolCalls);
            }
            Part::Call { id: own, name, args, signature } => {
                let own = own.unwrap_or_else(|| format!("call_{id}_{calls}"));
                let arguments = args.map_or("{}", |raw| raw.get()).to_owned();
                called.push(Call {
                    index: Some(*calls),
                    id: Some(Cow::Owned(own)),
                    r#type: Some("function"),
                    function: Function {
                        name: Some(Cow::Owned(name)),
                        arguments: Cow::Owned(arguments),
                    },
                    extra_content: signature.map(|signature| ExtraContent {
                        google: GoogleExtra { thought_signature: Cow::Owned(signature) },
                    }),
                });
                *calls += 1;
            }
            Part::Other => {}
        }
    }
    let reasoning = (!reasoning.is_empty()).then_some(reasoning);
    let refusal = answer.refusal.unwrap_or_default();
    Ok(Spoken { text, reasoning, refusal, calls: called, finish: answer.finish })
}

/// The API says `STOP` where a tool is called.
fn with_calls(finish: Finish, calls: usize) -> Finish {
    if finish == Finish::Stop && calls > 0 { Finish::ToolCalls } else { finish }
}

/// A stream that is being translated. The API marks no end: the body ends.
#[derive(Debug)]
pub struct Stream {
    head: Head,
    has_begun: bool,
    is_finished: bool,
    calls: usize,
    usage: Option<Usage>,
}

impl Stream {
    /// A stream that begins now; `created` is when, seconds since the epoch.
    pub fn new(created: u64) -> Stream {
        let head = Head { created, ..Head::default() };
        Stream { head, has_begun: false, is_finished: false, calls: 0, usage: None }
    }

    /// Translates the data of one event.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is an error, or not an event.
    pub fn event(&mut self, data: &[u8]) -> Result<Step, AnswerProblem> {
        let mut answer = read_answer(data)?;
        let mut step = Step::default();
        self.usage = answer.usage.or(self.usage);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.head.id = answer.id.take().unwrap_or_default();
            self.head.model = answer.model.take().unwrap_or_default();
            let content = Text::Said(Cow::Borrowed(""));
            let said = Said { role: Some("assistant"), content, ..Said::default() };
            step.chunks.push(self.head.chunk(&said, None)?);
        }
        let spoken = spoken(answer, &self.head.id, &mut self.calls)?;
        let finish = spoken.finish.map(|finish| with_calls(finish, self.calls));
        let text = |text: String| match text.is_empty() {
            true => Text::Absent,
            false => Text::Said(Cow::Owned(text)),
        };
        let says_more = !spoken.text.is_empty()
            || !spoken.refusal.is_empty()
            || spoken.reasoning.is_some()
            || !spoken.calls.is_empty();
        if says_more || finish.is_some() {
            let said = Said {
                content: text(spoken.text),
                refusal: text(spoken.refusal),
                reasoning_content: spoken.reasoning.map(Cow::Owned),
                tool_calls: spoken.calls,
                ..Said::default()
            };
            step.chunks.push(self.head.chunk(&said, finish.as_ref())?);
        }
        self.is_finished |= finish.is_some();
        if let Some(chunk) = step.chunks.last_mut() {
            chunk.says.so_far = self.usage.map(Box::new);
        }
        Ok(step)
    }

    /// The end of the body: a good one after a reason to end, and otherwise not done.
    ///
    /// # Errors
    /// None that a server can cause: chunks of our making are read as any.
    pub fn end(&mut self) -> Result<Step, AnswerProblem> {
        if !self.is_finished {
            return Ok(Step::default());
        }
        let chunk = self.usage.map(|usage| self.head.usage_chunk(usage)).transpose()?;
        Ok(Step { chunks: chunk.into_iter().collect(), is_done: true })
    }
}
