//! A parser of server-sent events (WHATWG HTML, 9.2) that gives the same events however the bytes
//! are split. Only `data` and `event` matter here; `id` and `retry` are for browsers.

use std::collections::VecDeque;

/// Longest line, and longest event, of a stream, bytes. A chunk with 20 logprobs is below 8 KiB; a
/// whole tool call in one chunk is the largest seen.
pub const LINE_MAX: usize = 1024 * 1024;
/// Most memory that is kept from one line to the next, bytes.
const LINE_KEPT: usize = 4 * 1024;
/// The data of the event that says that a stream is done.
pub const DONE: &[u8] = b"[DONE]";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseEvent {
    /// Data.
    Data {
        /// The `event` field, in as far as it matters.
        is_error: bool,
        /// The data. Lines of a multi-line event are joined by a space and not by a line feed: in
        /// JSON both mean the same between values, and a space may go on as one `data:` line.
        data: Vec<u8>,
    },
    /// A comment, or data of white space only: it says that the server lives, and no more.
    Ping,
}

/// A line or an event was longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// What has been read of a stream so far.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    is_error: bool,
    after_cr: bool,
    past_first_line: bool,
    events: VecDeque<SseEvent>,
}

impl Parser {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`TooLong`]; the parser is of no use afterwards.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > LINE_MAX {
                return Err(TooLong);
            }
            let Some(end) = end else {
                self.line.extend_from_slice(part);
                return Ok(());
            };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            // Most lines come whole, and are not copied.
            if self.line.is_empty() {
                self.end_line(part)?;
                continue;
            }
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(part);
            self.end_line(&line)?;
            // The memory of a long line is not held for the next one.
            if line.capacity() <= LINE_KEPT {
                line.clear();
                self.line = line;
            }
        }
        Ok(())
    }

    /// The next event that is complete.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.events.pop_front()
    }

    /// What is unfinished at the end of the body, with the line that has no end. The standard
    /// drops it; the caller decides.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            let _ = self.end_line(&line);
        }
        self.data.take()
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), TooLong> {
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line };
        if line.is_empty() {
            let is_error = std::mem::take(&mut self.is_error);
            if let Some(data) = self.data.take() {
                let is_ping = data.trim_ascii().is_empty();
                let event =
                    if is_ping { SseEvent::Ping } else { SseEvent::Data { is_error, data } };
                self.events.push_back(event);
            }
            return Ok(());
        }
        let (field, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add(value),
            b"event" => {
                self.is_error = value == b"error";
                Ok(())
            }
            b"" => {
                self.events.push_back(SseEvent::Ping);
                Ok(())
            }
            // `id`, `retry`, or unknown: to be ignored.
            _ => Ok(()),
        }
    }

    fn add(&mut self, value: &[u8]) -> Result<(), TooLong> {
        let data = match &mut self.data {
            Some(data) => {
                data.push(b' ');
                data
            }
            None => self.data.insert(Vec::with_capacity(value.len())),
        };
        if data.len() + value.len() > LINE_MAX {
            return Err(TooLong);
        }
        data.extend_from_slice(value);
        Ok(())
    }
}

/// Writes one event; data with line breaks takes a `data:` line for each.
pub fn write_event(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(data.len() + 8);
    for line in data.split(|b| *b == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Writes one event with its name, as Anthropic's API does.
pub fn write_named_event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    write_event(out, data);
}

/// Writes a ping: a comment without a text, since nobody looked at what the server's said.
pub fn write_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parts: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for part in parts {
            parser.push(part).unwrap();
            out.extend(std::iter::from_fn(|| parser.next_event()));
        }
        out
    }

    fn check(input: &str, expected: &[&str]) {
        let got: Vec<String> = events(&[input.as_bytes()])
            .into_iter()
            .map(|event| match event {
                SseEvent::Data { is_error: _, data } => String::from_utf8(data).unwrap(),
                SseEvent::Ping => "(ping)".to_owned(),
            })
            .collect();
        assert_eq!(got, expected, "{input:?}");
    }

    #[test]
    fn fields_and_line_ends() {
        check("data: a\n\ndata:b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
        check("data: a\r\n\rdata: b\n\r\n", &["a", "b"]);
        check("\u{feff}data: a\n\n", &["a"]);
        check("data: x\n\n\u{feff}data: a\n\n", &["x"]);
        check(": ping\n\n:\n\ndata: a\n: in between\n\n", &["(ping)", "(ping)", "(ping)", "a"]);
        check("data: {\"a\":\ndata: 1}\n\n", &["{\"a\": 1}"]);
        check("id: 7\nretry: 10\nevent: message\ndata: a\n\n", &["a"]);
        check("data\n\ndata:\n\ndata: a\n\n", &["(ping)", "(ping)", "a"]);
        check("data:  two spaces\n\n", &[" two spaces"]);
        check("datax: a\n\nevent: ping\n\n", &[]);
        check("data: no blank line\n", &[]);
    }

    #[test]
    fn an_error_event_is_marked_and_the_next_is_not() {
        let got = events(&[b"event: error\ndata: a\n\ndata: b\n\nevent: error\n\ndata: c\n\n"]);
        let errors: Vec<bool> = got
            .iter()
            .map(|event| matches!(event, SseEvent::Data { is_error: true, data: _ }))
            .collect();
        assert_eq!(errors, [true, false, false]);
    }

    /// Every split of a stream gives the same events.
    #[test]
    fn splits_do_not_matter() {
        let stream =
            "\u{feff}: 心跳\r\n\r\ndata: {\"答\":\"退款は７日\"}\r\n\r\nevent: error\rdata: \
                      {\"a\":\rdata: 1}\r\r\ndata: 🚢\n\nid: 1\ndata: [DONE]\n\n"
                .as_bytes();
        let whole = events(&[stream]);
        assert_eq!(whole.len(), 5);
        for first in 0..=stream.len() {
            assert_eq!(events(&[&stream[..first], &stream[first..]]), whole, "{first}");
            let (head, tail) = stream.split_at(first);
            let middle = tail.len() / 2;
            assert_eq!(events(&[head, &tail[..middle], &tail[middle..]]), whole, "{first}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    #[test]
    fn a_line_and_an_event_have_a_bound() {
        let part = vec![b'x'; 4096];
        let mut parser = Parser::default();
        let lines = (0..1000).take_while(|_| parser.push(&part).is_ok()).count();
        assert_eq!(lines, LINE_MAX / part.len());

        let line = [b"data: ".as_slice(), &part, b"\n"].concat();
        let mut parser = Parser::default();
        let lines = (0..1000).take_while(|_| parser.push(&line).is_ok()).count();
        assert_eq!(lines, LINE_MAX / (part.len() + 1));
    }

    #[test]
    fn the_rest_is_what_no_blank_line_ended() {
        let rest = |text: &str| {
            let mut parser = Parser::default();
            parser.push(text.as_bytes()).unwrap();
            parser.rest().map(|rest| String::from_utf8(rest).unwrap())
        };
        assert_eq!(rest("data: a\n\ndata: [DONE]"), Some("[DONE]".to_owned()));
        assert_eq!(rest("data: [DONE]\r"), Some("[DONE]".to_owned()));
        assert_eq!(rest("data: a\n\n"), None);
        assert_eq!(rest("data: a\n\nda"), None);
    }

    #[test]
    fn an_event_has_a_line_for_each_line() {
        let mut out = Vec::new();
        write_event(&mut out, b"{\"a\":\r\n1}");
        write_ping(&mut out);
        write_named_event(&mut out, "ping", b"{}");
        assert_eq!(out, b"data: {\"a\":\ndata: 1}\n\n:\n\nevent: ping\ndata: {}\n\n");
    }
}
