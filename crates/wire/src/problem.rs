//! Why an answer is not one, and a model server's own error messages.

use crate::members::{Members, list, text};
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// Longest error code kept, in characters.
const CODE_MAX: usize = 64;
/// Most that is kept of an error's message, in characters; whoever shows it cuts it further.
const MESSAGE_MAX: usize = 2_000;

/// Why an answer is not one. Texts never hold the model server's own words but for its error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// No bytes.
    #[error("the upstream answered with an empty body")]
    NoBytes,
    /// A web page, as proxies and login walls send.
    #[error("the upstream answered with HTML, not JSON")]
    Html,
    /// Bytes that are no text.
    #[error("the upstream's answer is not UTF-8")]
    NotUtf8,
    /// Not JSON.
    #[error("the upstream's answer is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON that ends before it is done.
    #[error("the upstream's answer ends in the middle of its JSON")]
    Unended,
    /// JSON, but not an object.
    #[error("the upstream's answer is not a JSON object")]
    NotObject,
    /// The server's own error, where an answer should be.
    #[error("the upstream sent an error in place of an answer{}", .0.shown_code())]
    Error(ErrorFacts),
    /// `choices` is absent, not a list, or empty.
    #[error("the upstream's answer has no choices")]
    NoChoices,
    /// A choice has no `message`.
    #[error("the upstream's answer has a choice without a message")]
    NoMessage,
    /// `content` is absent or not a list.
    #[error("the upstream's answer has no content")]
    NoContent,
    /// It says something that the client's API cannot say.
    #[error("the upstream's answer cannot be translated: {0}")]
    Untranslatable(&'static str),
    /// More parts of an answer are begun and not ended than any server has.
    #[error("the upstream's answer has too many parts that are begun and not ended")]
    TooManyParts,
    /// More than [`crate::TOOL_CALLS_MAX`] tool calls.
    #[error("the upstream's answer calls more than 128 tools")]
    TooManyToolCalls,
}

/// What a model server says of an error: its envelope, in whatever form it comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorFacts {
    /// The status that the envelope names, where it names one.
    pub status: Option<u16>,
    /// Its code: a word of at most 64 of `A-Za-z0-9._-`.
    pub code: Option<String>,
    /// Its type, in the same form.
    pub kind: Option<String>,
    /// The member of the request at fault, in the same form with `[` and `]`.
    pub param: Option<String>,
    /// What it says, unchanged: it may hold a key, a prompt or personal data, and must be redacted
    /// before anyone sees it.
    pub message: Option<String>,
    /// Whether moderation refused the request.
    pub moderated: bool,
    /// How long the server asks to be left alone, ms, where the body says so.
    pub retry_after_ms: Option<u64>,
}

/// The members of a body that is an object.
///
/// # Errors
/// [`AnswerProblem`] when it is none.
pub(crate) fn members_of(body: &[u8]) -> Result<Members<'_>, AnswerProblem> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // It ends in the middle of a character: what is before that says what is missing.
        Err(error) if error.error_len().is_none() => {
            let whole = body.get(..error.valid_up_to()).unwrap_or_default();
            return Err(members_of(whole).err().unwrap_or(AnswerProblem::NotUtf8));
        }
        Err(_) => return Err(AnswerProblem::NotUtf8),
    };
    match text.trim_ascii_start().as_bytes().first() {
        None => return Err(AnswerProblem::NoBytes),
        Some(b'<') => return Err(AnswerProblem::Html),
        Some(_) => {}
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| match error.is_eof() {
        true => AnswerProblem::Unended,
        false => AnswerProblem::NotJson { line: error.line(), column: error.column() },
    })?;
    Members::of(raw).ok_or(AnswerProblem::NotObject)
}

/// Codes and types that say "account" and not "wait a moment".
const ACCOUNT: [&str; 15] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_error",
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_credits",
    "account_deactivated",
    // Moonshot's, Alibaba's, Volcengine's, Zhipu's.
    "exceeded_current_quota_error",
    "Arrearage",
    "AccountOverdueError",
    "1113",
];

/// Sentences that say so where no code does: Anthropic's of prepaid credit (with status 400),
/// Moonshot's and DeepSeek's, OpenAI's.
const ACCOUNT_SENTENCES: [&str; 4] = [
    "credit balance is too low",
    "insufficient balance",
    "account is suspended",
    "account has been deactivated",
];

impl ErrorFacts {
    /// Reads the body of an answer whose status is an error; one that says nothing gives nothing.
    pub fn of_body(body: &[u8]) -> ErrorFacts {
        let Ok(text) = std::str::from_utf8(body) else { return ErrorFacts::default() };
        let Ok(raw) = serde_json::from_str::<&RawValue>(text.trim_start_matches('\u{feff}')) else {
            let plain = text.trim();
            let is_text = !plain.is_empty() && !plain.starts_with('<');
            let message = is_text.then(|| shortened(plain));
            return ErrorFacts { message, ..ErrorFacts::default() };
        };
        first_object(raw).map(|body| ErrorFacts::of(&body)).unwrap_or_default()
    }

    /// Reads an object that has an `error`, or is one.
    pub(crate) fn of(body: &Members<'_>) -> ErrorFacts {
        match body.get("error").or_else(|| body.get("errors")) {
            Some(error) => {
                let inside = list(error).and_then(|items| items.first().copied()).unwrap_or(error);
                let mut facts = ErrorFacts::of_error(inside);
                // A short name beside a sentence: `{"error": "bad_request", "message": "…"}`.
                if let (Some(word), Some(message)) = (&facts.message, body.text("message")) {
                    facts.code = facts.code.take().or_else(|| crate::problem::word(word));
                    facts.message = Some(shortened(&message));
                }
                facts
            }
            None => ErrorFacts::of_members(body),
        }
    }

    /// Reads the value of an `error` member: an object, or only a text.
    pub(crate) fn of_error(error: &RawValue) -> ErrorFacts {
        match Members::of(error) {
            Some(members) => ErrorFacts::of_members(&members),
            None => ErrorFacts { message: text(error).map(|t| shortened(&t)), ..Self::default() },
        }
    }

    fn of_members(error: &Members<'_>) -> ErrorFacts {
        let status = |key| error.number(key).filter(|status| (400..600).contains(status));
        let details = error.object("details").and_then(|details| coded(&details, "error_code"));
        let (code, kind) = (coded(error, "code"), coded(error, "type"));
        let is_account =
            |code: &Option<String>| code.as_deref().is_some_and(|code| ACCOUNT.contains(&code));
        // Anthropic puts what matters in `details`, others in `type`.
        let account = [&code, &kind, &details].into_iter().find(|code| is_account(code)).cloned();
        let metadata = error.object("metadata");
        let flagged = metadata.is_some_and(|m| m.get("flagged_input").is_some());
        let message = error.text("message").or_else(|| detail(error));
        let mut facts = ErrorFacts {
            status: status("code").or_else(|| status("status")).and_then(|s| s.try_into().ok()),
            code: account.flatten().or(code),
            kind: kind.or_else(|| coded(error, "status")),
            param: error.text("param").map(|param| worded(&param, "._-[]")),
            message: message.map(|message| shortened(&message)),
            moderated: false,
            retry_after_ms: None,
        };
        facts.moderated = flagged || facts.names(&["content_filter", "content_policy", "moderat"]);
        facts
    }

    /// Whether it says that the account has no credit, has met its spend limit or is shut off.
    pub fn is_account_limit(&self) -> bool {
        let is_used_up = |said: &String| {
            let said = said.to_lowercase();
            ACCOUNT_SENTENCES.iter().any(|sentence| said.contains(sentence))
        };
        [&self.code, &self.kind].into_iter().flatten().any(|code| ACCOUNT.contains(&code.as_str()))
            || self.message.as_ref().is_some_and(is_used_up)
    }

    /// Whether the request is longer than the model can read. Servers say so in their own ways, and
    /// llama.cpp, vLLM and TGI in a sentence only.
    pub fn is_too_long(&self) -> bool {
        const SENTENCES: [&str; 8] = [
            "maximum context length",
            "available context size",
            "context window",
            "context length",
            "prompt is too long",
            "input is too long",
            "exceeds the maximum number of tokens",
            "must have less than",
        ];
        let said = self.message.as_deref().unwrap_or_default().to_lowercase();
        self.names(&["context_length", "context_size", "context_window"])
            || SENTENCES.iter().any(|sentence| said.contains(sentence))
    }

    /// Whether it speaks of a member of the request by this name.
    pub fn mentions(&self, member: &str) -> bool {
        let texts = [&self.message, &self.param, &self.code];
        texts.into_iter().flatten().any(|text| text.contains(member))
    }

    fn names(&self, parts: &[&str]) -> bool {
        let words = [&self.code, &self.kind];
        words.into_iter().flatten().any(|word| {
            let word = word.to_ascii_lowercase();
            parts.iter().any(|part| word.contains(part))
        })
    }

    fn shown_code(&self) -> String {
        let code = self.code.as_ref().or(self.kind.as_ref());
        code.map(|code| format!(" (code `{code}`)")).unwrap_or_default()
    }
}

/// An error's body: Google wraps its errors in a list.
pub(crate) fn first_object(raw: &RawValue) -> Option<Members<'_>> {
    let first = list(raw).and_then(|items| items.first().copied());
    Members::of(first.unwrap_or(raw))
}

/// FastAPI's form: `detail` is a text, or a list with what is wrong where.
fn detail(error: &Members<'_>) -> Option<String> {
    let detail = error.get("detail")?;
    if let Some(said) = text(detail) {
        return Some(said);
    }
    let first = list(detail).and_then(|items| items.first().copied()).unwrap_or(detail);
    let members = Members::of(first)?;
    let place: Vec<String> = members.list("loc").into_iter().filter_map(text).collect();
    let said = members.text("msg").or_else(|| members.text("message"))?;
    Some(if place.is_empty() { said } else { format!("{}: {said}", place.join(".")) })
}

fn coded(error: &Members<'_>, key: &str) -> Option<String> {
    error.text(key).and_then(|code| word(&code))
}

fn word(text: &str) -> Option<String> {
    let code = worded(text, "._-");
    (!code.is_empty()).then_some(code)
}

fn worded(text: &str, more: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || more.contains(*c);
    text.chars().take(CODE_MAX).filter(safe).collect()
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}
