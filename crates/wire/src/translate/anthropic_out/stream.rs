//! Streams, event by event.

use super::answer::signed;
use crate::anthropic::{Block, BlockDelta, Event, Tokens, read_event};
use crate::facts::{ANSWER_TEXT_MAX_BYTES, Finish, TOOL_CALLS_MAX};
use crate::openai_chat::shape::{Call, Function, Said, Text, ThinkingBlock};
use crate::problem::AnswerProblem;
use crate::translate::chunks::{Chunk, Head, Step};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Most blocks that are begun and not ended; the API has one at a time.
const OPEN_MAX: usize = 256;

/// A stream that is being translated. It is complete when a step says that it is done; one that
/// ends before was cut short. What a body ends with that no blank line follows is an event as well
/// ([`crate::sse::Parser::rest`]).
#[derive(Debug)]
pub struct Stream {
    head: Head,
    tokens: Tokens,
    open: BTreeMap<u64, Open>,
    calls: usize,
    /// How many blocks of what was thought have been written.
    thoughts: usize,
}

/// A block that has begun.
#[derive(Debug)]
enum Open {
    Text,
    /// What was thought so far; the signature comes at its end.
    Thinking {
        text: String,
        signature: String,
    },
    Call {
        /// Its number among the calls.
        index: usize,
        /// The input that came with its beginning, until a piece of it comes.
        input: Option<String>,
    },
    /// A block that is not translated.
    Other,
}

impl Stream {
    /// A stream that begins now; `created` is when, seconds since the epoch.
    pub fn new(created: u64) -> Stream {
        let head = Head { created, ..Head::default() };
        Stream { head, tokens: Tokens::default(), open: BTreeMap::new(), calls: 0, thoughts: 0 }
    }

    /// Translates the data of one event.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is an error, or not an event.
    pub fn event(&mut self, data: &[u8]) -> Result<Step, AnswerProblem> {
        self.take(read_event(data)?)
    }

    /// Translates one event.
    pub(in crate::translate) fn take(&mut self, event: Event<'_>) -> Result<Step, AnswerProblem> {
        let mut step = Step::default();
        match event {
            Event::Start { id, model, tokens } => {
                self.tokens.update(tokens);
                self.head.id = id.unwrap_or_default();
                self.head.model = model.unwrap_or_default();
                let content = Text::Said(Cow::Borrowed(""));
                let said = Said { role: Some("assistant"), content, ..Said::default() };
                step.chunks.push(self.head.chunk(&said, None)?);
            }
            Event::BlockStart { index, block } => step.chunks.extend(self.begin(index, block)?),
            Event::BlockDelta { index, delta } => step.chunks.extend(self.add(index, delta)?),
            Event::BlockStop { index } => step.chunks.extend(self.end(index)?),
            Event::Delta { finish, refusal, tokens } => {
                self.tokens.update(tokens);
                step.chunks.extend(self.finish(finish.as_ref(), refusal)?);
            }
            Event::Stop => {
                let usage = self.tokens.usage();
                step.chunks.extend(usage.map(|usage| self.head.usage_chunk(usage)).transpose()?);
                step.is_done = true;
            }
            Event::Other => {}
        }
        if let Some(chunk) = step.chunks.last_mut() {
            chunk.says.so_far = self.tokens.so_far().map(Box::new);
        }
        Ok(step)
    }

    fn begin(&mut self, index: u64, block: Block<'_>) -> Result<Option<Chunk>, AnswerProblem> {
        let (open, said) = match block {
            Block::Text(text, _) => (Open::Text, content(text)),
            Block::Thinking { text, signature } => {
                let said = reasoning(&text);
                (Open::Thinking { text, signature }, said)
            }
            Block::Redacted { data } => {
                let data = Cow::Owned(data);
                let index = Some(self.next_thought());
                let thinking_blocks = vec![ThinkingBlock::RedactedThinking { index, data }];
                (Open::Other, Some(Said { thinking_blocks, ..Said::default() }))
            }
            Block::ToolUse { id, name, input } => {
                let input = Some(input.map_or("{}", |raw| raw.get()).to_owned());
                let index = self.next_call()?;
                let call = Call {
                    index: Some(index),
                    id: Some(Cow::Owned(id.unwrap_or_default())),
                    r#type: Some("function"),
                    function: Function { name: Some(Cow::Owned(name)), ..Function::default() },
                    ..Call::default()
                };
                (Open::Call { index, input }, Some(called(call)))
            }
            Block::Other(_) => (Open::Other, None),
        };
        self.open.insert(index, open);
        if self.open.len() > OPEN_MAX {
            return Err(AnswerProblem::TooManyParts);
        }
        self.chunk(said)
    }

    fn add(&mut self, index: u64, delta: BlockDelta<'_>) -> Result<Option<Chunk>, AnswerProblem> {
        let said = match (delta, self.open.get_mut(&index)) {
            (BlockDelta::Text(text), _) => content(text),
            (BlockDelta::Thinking(more), open) => {
                if let Some(Open::Thinking { text, signature: _ }) = open {
                    let fits = text.len() + more.len() <= ANSWER_TEXT_MAX_BYTES;
                    // What is cut would not fit its signature.
                    if fits {
                        text.push_str(&more);
                    } else {
                        self.open.insert(index, Open::Text);
                    }
                }
                reasoning(&more)
            }
            (BlockDelta::Signature(more), Some(Open::Thinking { text: _, signature })) => {
                signature.push_str(&more);
                None
            }
            (BlockDelta::InputJson(_), Some(Open::Other | Open::Text | Open::Thinking { .. })) => {
                None
            }
            (BlockDelta::InputJson(more), _) if more.is_empty() => None,
            (BlockDelta::InputJson(more), Some(Open::Call { index, input })) => {
                *input = None;
                Some(arguments(*index, more))
            }
            // Input of a call that never began: a call of a tool without a name.
            (BlockDelta::InputJson(more), None) => {
                let call = self.next_call()?;
                self.open.insert(index, Open::Call { index: call, input: None });
                Some(arguments(call, more))
            }
            (BlockDelta::Signature(_) | BlockDelta::Other(_), _) => None,
        };
        self.chunk(said)
    }

    fn end(&mut self, index: u64) -> Result<Option<Chunk>, AnswerProblem> {
        let said = match self.open.remove(&index) {
            Some(Open::Thinking { text, signature }) if !signature.is_empty() => {
                let block = signed(Some(self.next_thought()), text, signature);
                Some(Said { thinking_blocks: block.into_iter().collect(), ..Said::default() })
            }
            // A call without pieces of input: what it began with, or nothing.
            Some(Open::Call { index, input: Some(input) }) => Some(arguments(index, input)),
            Some(Open::Call { .. } | Open::Thinking { .. } | Open::Text | Open::Other) | None => {
                None
            }
        };
        self.chunk(said)
    }

    fn finish(
        &self,
        finish: Option<&Finish>,
        refusal: Option<String>,
    ) -> Result<Option<Chunk>, AnswerProblem> {
        if finish.is_none() && refusal.is_none() {
            return Ok(None);
        }
        let refusal = refusal.map_or(Text::Absent, |text| Text::Said(Cow::Owned(text)));
        self.head.chunk(&Said { refusal, ..Said::default() }, finish).map(Some)
    }

    fn next_thought(&mut self) -> usize {
        self.thoughts += 1;
        self.thoughts - 1
    }

    fn next_call(&mut self) -> Result<usize, AnswerProblem> {
        self.calls += 1;
        match self.calls {
            1..=TOOL_CALLS_MAX => Ok(self.calls - 1),
            _ => Err(AnswerProblem::TooManyToolCalls),
        }
    }

    fn chunk(&self, said: Option<Said<'_>>) -> Result<Option<Chunk>, AnswerProblem> {
        said.map(|said| self.head.chunk(&said, None)).transpose()
    }
}

fn content(text: String) -> Option<Said<'static>> {
    let content = Text::Said(Cow::Owned(text));
    let is_empty = matches!(&content, Text::Said(text) if text.is_empty());
    (!is_empty).then(|| Said { content, ..Said::default() })
}

fn reasoning(text: &str) -> Option<Said<'static>> {
    let reasoning_content = Some(Cow::Owned(text.to_owned()));
    (!text.is_empty()).then(|| Said { reasoning_content, ..Said::default() })
}

fn arguments(index: usize, arguments: String) -> Said<'static> {
    let function = Function { name: None, arguments: Cow::Owned(arguments) };
    called(Call { index: Some(index), function, ..Call::default() })
}

fn called(call: Call<'static>) -> Said<'static> {
    Said { tool_calls: vec![call], ..Said::default() }
}
